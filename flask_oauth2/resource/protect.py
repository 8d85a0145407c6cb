"""Protected resources: parts of an application that the provider describes, guards and mounts."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import flask

from .. import web
from ..errors import ConfigurationError
from ..resources import Resource, innermost
from ..scopes import parse_option
from .guard import MARK, Guard, Guards, find_guards

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_PATH = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@/]*\Z")
"""A path without characters that need encoding, so that its URL has one form."""

_VARIABLE = re.compile(r"<[A-Za-z_][A-Za-z0-9_]*>\Z")
"""A segment that is a variable."""


class Protection(Guards):
    """Describes parts of an application as protected resources, and guards them."""

    @abstractmethod
    def _register_resource(self, resource: Resource, wsgi_app: WSGIApplication | None) -> None:
        """Register a protected resource and the WSGI application that is mounted at its path."""

    @abstractmethod
    def _resources_of(self, app: flask.Flask) -> Mapping[str, tuple[Resource, WSGIApplication | None]]:
        """Return the protected resources of an application by path."""

    @abstractmethod
    def _path_of(self, resource: Resource) -> str:
        """Return the path of a resource at the issuer of the current request. End the request with 404 without one."""

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
        """Describe a part of the application as a protected resource, :rfc:`9728`, and guard it.

        Every request to ``path`` or a path below it requires a token that was issued for this resource (:rfc:`8707`)
        and has all of ``scopes``. Views with an optional guard also accept requests without a token. At ``/``, only
        the views that have a guard and the mounted application are guarded.

        :param path: the path of the resource, such as ``/api``. If the application has several issuers, the path may
            have variables, such as ``/<tenant>/api``. The ``arguments`` of the :class:`~flask_oauth2.Issuer` set them.
        :param scopes: scope values that every request requires. Scope values that the guards of views below this path
            require are added to the metadata automatically.
        :param step_up: scope values that some requests require in addition, if no guard of a view declares them.
        :param name: the name of the resource for users.
        :param documentation: the URL of a page for client developers.
        :param policy_uri: the URL of the policy.
        :param tos_uri: the URL of the terms of service.
        :param wsgi_app: a WSGI application that responds to these requests. It finds the user of the token in
            ``REMOTE_USER`` and in ``current_token``.
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
        """Protect an MCP server, so that MCP clients can connect to it with its URL only. See :meth:`protect_resource`.

        Clients can register themselves, :rfc:`7591`, unless ``OAUTH2_DYNAMIC_REGISTRATION`` is set. They can use the
        URL of their metadata document as ``client_id``, unless ``OAUTH2_CLIENT_ID_METADATA_DOCUMENTS`` is set. Such
        clients may request the scope of protected resources and ``OAUTH2_DEFAULT_SCOPE``.

        :param scopes: scope values that every request requires. Clients request them first.
        :param step_up: scope values that some tools require in addition. Check them with ``current_token.require()``.
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
        segments = path.split("/")
        fixed = [segment for segment in segments if not _VARIABLE.match(segment)]
        if not is_canonical("/".join("variable" if segment not in fixed else segment for segment in segments)):
            raise ConfigurationError(
                f"{path!r} is not the path of a protected resource. Pass a path such as /api or /mcp"
            )
        if len(fixed) == 1:
            raise ConfigurationError(
                f"the resource {path} would contain every path: add a segment without a variable, such as {path}/api"
            )
        self._register_resource(resource, wsgi_app)

    def _mount(self, app: flask.Flask, path: str) -> None:
        """Guard a resource of an application, and mount its WSGI application."""
        resource, wsgi_app = self._resources_of(app)[path]
        hooks = app.before_request_funcs.setdefault(None, [])
        if self._guard_resources not in hooks:
            hooks.append(self._guard_resources)
        if wsgi_app is not None:
            web.mount(app, path, wsgi_app, self._guard_of(resource))

    def _guard_resources(self) -> flask.Response | None:
        """Check the token of a request to a protected resource. This runs before each request."""
        request = web.current_request()
        resources = self._resources_of(web.current_app())
        endpoint = request.endpoint or ""
        described = innermost([resource for resource, _ in resources.values()], request.path)
        if described is None or described.path == "/" or endpoint.startswith("oauth2."):
            return None
        if request.path.rstrip("/").count("/") == described.path.count("/"):
            web.match_other_slash(request)
            endpoint = request.endpoint or ""
        if described.has_variables:
            self._check_variables(described, request)
        own = getattr(flask.current_app.view_functions.get(endpoint), MARK, None)
        return self._guard_of(described, own is not None and own.is_optional).check_unless_options()

    def _check_variables(self, resource: Resource, request: flask.Request) -> None:
        """End a request with 404 if the variables of its path are not those of its issuer."""
        if request.view_args is None:  # no rule fits, but the issuergetter needs the variables
            request.view_args = resource.read_variables(request.path)
        if not replace(resource, path=self._path_of(resource)).covers(request.path):
            flask.abort(404)

    def _guard_of(self, resource: Resource, optional: bool = False) -> Guard:
        """Return the guard for every request to the resource."""
        return Guard(self, (resource.scopes,) if resource.scopes else (), optional)


def is_canonical(path: str) -> bool:
    """Return whether requests can have a path, and its URL can be written in one way only."""
    segments = path[1:].split("/") if path != "/" else []
    return _PATH.match(path) is not None and not {"", ".", ".."}.intersection(segments)


def collect_scopes(app: flask.Flask, described: Iterable[Resource]) -> tuple[list[Resource], set[str], bool]:
    """Return the resources with the scopes of the guards of their views, and the scopes of guards outside resources.

    The last value is true if a guard outside all resources accepts any token.
    """
    described = list(described)
    is_open_outside = False
    found: dict[str, list[str]] = {resource.path: [] for resource in described}
    outside_scopes: list[str] = []
    for path, _, guards in find_guards(app):
        owner = innermost(described, path)
        values = outside_scopes if owner is None else found[owner.path]
        values += [value for guard in guards for alternative in guard.required for value in alternative]
        is_open_outside |= owner is None and any(not guard.required for guard in guards)
    collected = [replace(resource, further=(*resource.further, *found[resource.path])) for resource in described]
    return collected, set(outside_scopes), is_open_outside
