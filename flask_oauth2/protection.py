"""Parts of an application that are protected resources: described, guarded as a whole, and mounted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import flask

from . import web
from .errors import ConfigurationError
from .guard import MARK, Guard, find_guards
from .guard_order import GuardedFunctions
from .ownership import EXTENSION, find_caller
from .registry import Registry
from .resources import Resource, innermost
from .scopes import parse_option

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from .provider import OAuth2Provider

_PATH = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@/]*\Z")
"""A path that is its own encoding, so that its URL is written in one way."""


class Protection(Registry):
    """Takes descriptions of protected resources until the first request."""

    def __init__(self) -> None:
        super().__init__()
        self._guarded = GuardedFunctions()

    def protect_resource(
        self,
        path: str,
        scopes: str | Iterable[str] = (),
        *,
        step_up: str | Iterable[str] = (),
        name: str | None = None,
        documentation: str | None = None,
        policy_uri: str | None = None,
        tos_uri: str | None = None,
        wsgi_app: WSGIApplication | None = None,
    ) -> None:
        """Describe a part of the application as a protected resource, :rfc:`9728`, and guard all that is in it.

        Every request at ``path`` or below it needs a token that was issued for this resource (:rfc:`8707`) and has all
        of ``scopes``; a view with an optional guard of its own answers without one. Of what is at ``/``
        only the views that have a guard are guarded, and what is mounted there.

        :param path: where it begins, such as ``/api``.
        :param scopes: words that every request needs. What the guards of views below demand beside is added by itself.
        :param step_up: words that some requests need beside, where no guard of a view says so.
        :param name: what people call it.
        :param documentation: the URL of a page for developers of clients; ``policy_uri`` and ``tos_uri`` likewise.
        :param wsgi_app: a WSGI application that answers there, in place of views. Whose token came it sees by
            ``REMOTE_USER``, and by ``current_token``.
        """
        self._describe(
            Resource(
                path=path,
                scopes=parse_option(scopes),
                further=parse_option(step_up),
                name=name,
                documentation=documentation,
                policy_uri=policy_uri,
                tos_uri=tos_uri,
            ),
            wsgi_app,
        )

    def protect_mcp(
        self,
        path: str = "/mcp",
        scopes: str | Iterable[str] = (),
        *,
        step_up: str | Iterable[str] = (),
        name: str | None = None,
        documentation: str | None = None,
        wsgi_app: WSGIApplication | None = None,
    ) -> None:
        """Make an MCP server at ``path`` connectable by its URL alone: :meth:`protect_resource`, and what clients need.

        Clients that nobody has registered may register themselves, :rfc:`7591`, unless ``OAUTH2_REGISTRATION`` says
        otherwise, and may be known by the URL of their metadata document, unless ``OAUTH2_CLIENT_ID_DOCUMENTS`` does.
        They get the scope of resources and ``OAUTH2_DEFAULT_SCOPE``, nothing else.

        :param scopes: what each request needs; clients ask for it at first.
        :param step_up: what some tools need beside; demand it by ``current_token.require()``.
        """
        described = Resource(
            path=path,
            scopes=parse_option(scopes),
            further=parse_option(step_up),
            name=name,
            documentation=documentation,
            is_mcp=True,
        )
        self._describe(described, wsgi_app)

    def _describe(self, resource: Resource, wsgi_app: WSGIApplication | None) -> None:
        path = resource.path
        segments = path[1:].split("/") if path != "/" else []
        if not _PATH.match(path) or {"", ".", ".."}.intersection(segments):  # which no request that comes has
            raise ConfigurationError(
                f"a protected resource has a path of the application, such as /api or /mcp, not {path!r}"
            )
        self._register("resources", path, (resource, wsgi_app), f"the resource {path}")

    def _took(self, app: flask.Flask, kind: str, name: str, before: object) -> None:
        if kind == "resources" and before is None:
            self._mount(app, name)

    def _note_guarded(self, function: Any, wrapper: Any) -> None:
        """Remember what a guard was given and has returned, see :mod:`flask_oauth2.guard_order`."""
        self._guarded.add(function, wrapper, find_caller())

    def _find_misplaced_guards(self, app: flask.Flask) -> list[str]:
        """Return a sentence for each view of an application that was registered without its guard."""
        return list(self._guarded.find_misplaced(app, self._apps))

    def _check_guards(self) -> None:
        """Before the first request: raise :exc:`ConfigurationError` if a guard stands above its route."""
        app = web.current_app()
        misplaced = self._find_misplaced_guards(app)
        if misplaced:
            raise ConfigurationError("; ".join(misplaced))
        # another list, as other threads may be going through this one
        hooks = app.before_request_funcs
        hooks[None] = [hook for hook in hooks[None] if hook != self._check_guards]

    def _mount(self, app: flask.Flask, path: str) -> None:
        resource, wsgi_app = app.extensions[EXTENSION].registered.resources[path]
        hooks = app.before_request_funcs.setdefault(None, [])
        if self._guard_resources not in hooks:
            hooks.append(self._guard_resources)
        if wsgi_app is not None:
            web.mount(app, path, wsgi_app, self._guard_of(resource))

    def _guard_resources(self) -> flask.Response | None:
        """Before each request: what is in a protected resource needs a token."""
        request = web.current_request()
        resources = web.current_app().extensions[EXTENSION].registered.resources
        endpoint = request.endpoint or ""
        described = innermost([resource for resource, _ in resources.values()], request.path)
        if described is None or described.path == "/" or endpoint.startswith("oauth2."):
            return None
        if request.path.rstrip("/") == described.path:
            web.match_other_slash(request)
            endpoint = request.endpoint or ""
        own = getattr(flask.current_app.view_functions.get(endpoint), MARK, None)
        return self._guard_of(described, own is not None and own.is_optional).check_unless_options()

    def _guard_of(self, resource: Resource, optional: bool = False) -> Guard:
        """What every request to the resource needs."""
        return Guard(cast("OAuth2Provider", self), (resource.scopes,) if resource.scopes else (), optional)


def collect_scopes(app: flask.Flask, described: Iterable[Resource]) -> tuple[list[Resource], set[str], bool]:
    """Return the resources with the scopes that the guards of their views demand, and those of guards in no resource.

    The last value says whether a guard in no resource accepts any token.
    """
    described = list(described)
    is_open_elsewhere = False
    found: dict[str, list[str]] = {resource.path: [] for resource in described}
    elsewhere: list[str] = []
    for path, _, guards in find_guards(app):
        owner = innermost(described, path)
        words = elsewhere if owner is None else found[owner.path]
        words += [word for guard in guards for way in guard.demanded for word in way]
        is_open_elsewhere |= owner is None and any(not guard.demanded for guard in guards)
    collected = [replace(resource, further=(*resource.further, *found[resource.path])) for resource in described]
    return collected, set(elsewhere), is_open_elsewhere
