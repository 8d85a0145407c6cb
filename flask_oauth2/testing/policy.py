"""Which views of an application are guarded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask
from flask.views import MethodView, View

from ..guard import MARK, Guard

_OWN = "oauth2."


def unguarded(app: flask.Flask) -> list[str]:
    """The endpoints of the application's own that no ``require_oauth`` guards, sorted.

    Guarded are a decorated view, a class of views with the guard on it or on each of its methods, and what is in a
    guarded blueprint. An optional guard counts. Static files do not.
    """
    return sorted(
        endpoint
        for endpoint, view in app.view_functions.items()
        if not endpoint.startswith(_OWN)
        and not endpoint.endswith(".static")
        and endpoint != "static"
        and not _is_guarded(view)
        and not _is_guarded_before(app, endpoint)
    )


def _is_guarded(view: Callable[..., Any]) -> bool:
    if hasattr(view, MARK):
        return True
    kind = getattr(view, "view_class", None)
    if kind is None or not issubclass(kind, View):
        return False
    if issubclass(kind, MethodView):
        methods = [getattr(kind, method.lower()) for method in kind.methods or () if hasattr(kind, method.lower())]
        return all(hasattr(method, MARK) for method in methods)
    return hasattr(kind.dispatch_request, MARK)


def _is_guarded_before(app: flask.Flask, endpoint: str) -> bool:
    """By a ``before_request`` function of the application or of a blueprint, which may be in another."""
    parts = endpoint.split(".")[:-1]
    names = [None, *(".".join(parts[: size + 1]) for size in range(len(parts)))]
    return any(
        isinstance(getattr(function, "__self__", None), Guard)
        for name in names
        for function in app.before_request_funcs.get(name, ())
    )
