"""Tests that every view of an application is guarded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask
from flask.views import MethodView, View

from ..provider import EXTENSION
from ..resource.guard import MARK, guards_before

_OWN = "oauth2."


def unguarded(app: flask.Flask) -> list[str]:
    """Return the sorted endpoints of the application's own views that no ``require_oauth`` guards.

    A view is guarded if it is decorated, if it is a class-based view with the guard on the class or on every method, or
    if it belongs to a guarded blueprint or a protected resource. Optional guards count. Static files are ignored.
    """
    return sorted(
        endpoint
        for endpoint, view in app.view_functions.items()
        if not endpoint.startswith(_OWN)
        and not endpoint.endswith(".static")
        and endpoint != "static"
        and not _is_guarded(view)
        and not guards_before(app, endpoint)
        and not _is_in_resource(app, endpoint)
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


def _is_in_resource(app: flask.Flask, endpoint: str) -> bool:
    """Return whether every path of a view is in a part that ``protect_resource`` guards."""
    described = app.extensions[EXTENSION].registered.resources.values() if EXTENSION in app.extensions else ()
    return all(
        any(resource.path != "/" and resource.covers(rule.rule) for resource, _ in described)
        for rule in app.url_map.iter_rules(endpoint)
    )
