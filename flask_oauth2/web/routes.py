"""The routes of the blueprint: a view for each endpoint and page, measured if ``OAUTH2_METRICS`` is set."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Any, cast

import flask
from werkzeug.exceptions import TooManyRequests
from werkzeug.wrappers import Response

from .. import pages, resources, web
from ..answering import answer, refuse
from ..endpoints import AUTHORIZATION, DEVICE, ENDPOINTS, JWKS, Endpoint, cross_origin, jwks, metadata
from ..endpoints.base import is_offered, respond_with, run
from ..errors import ConfigurationError, TemporarilyUnavailable
from ..http.messages import Request
from ..pages.base import show_error
from ..pages.site import Site
from ..server import AuthorizationServer

PAGES: dict[str, tuple[str, Callable[[Site], Response], tuple[str, ...]]] = {
    "authorize": (AUTHORIZATION.path, pages.authorize, AUTHORIZATION.methods),
    "consent": ("/consent", pages.decide, ("POST",)),
    "device": (DEVICE.path, pages.device, DEVICE.methods),
    "applications": ("/applications", pages.applications, ("GET", "POST")),
    "developer": ("/developer", pages.developer, ("GET",)),
    "developer_new": ("/developer/new", pages.developer_client, ("GET", "POST")),
    "developer_client": ("/developer/<client_id>", pages.developer_client, ("GET", "POST")),
    "developer_secret": ("/developer/<client_id>/secret", pages.developer_secret, ("GET", "POST")),
    "developer_delete": ("/developer/<client_id>/delete", pages.developer_delete, ("GET", "POST")),
}
"""The pages for users by endpoint name: path, page function and methods."""


def add_routes(provider: Site, blueprint: flask.Blueprint, prefix: str) -> None:
    """Add the routes of all endpoints and pages to the blueprint. Metadata paths do not have the prefix."""
    for endpoint in ENDPOINTS:
        if endpoint.respond is not None:
            make = document_view if endpoint.is_well_known else key_set_view if endpoint is JWKS else view
            path = endpoint.path if endpoint.is_well_known else f"{prefix}{endpoint.path}"
            blueprint.add_url_rule(path, endpoint.name, make(provider, endpoint), methods=_methods(endpoint))
            if endpoint.name == "metadata_path" and "<" in prefix:
                # a route with the variables of the issuer's path, for the issuergetter
                tenant = endpoint.path.partition("/<")[0] + prefix[: prefix.rindex(">") + 1]
                blueprint.add_url_rule(tenant, endpoint.name, methods=_methods(endpoint))

    for name, (path, show, methods) in PAGES.items():
        blueprint.add_url_rule(f"{prefix}{path}", name, page(provider, name, show), methods=methods)

    # raised by rate limiters such as Flask-Limiter
    blueprint.register_error_handler(429, partial(_refuse_too_many, provider))
    if find_spec("flask_wtf"):
        blueprint.url_value_preprocessor(_ExemptFromCSRF(blueprint))


def add_endpoint(provider: Site, app: flask.Flask, prefix: str, endpoint: Endpoint) -> None:
    """Add the route of an endpoint that the application registered.

    Raise :exc:`ConfigurationError` if another endpoint or a page has its path.
    """
    path = endpoint.path if endpoint.is_well_known else f"{prefix}{endpoint.path}"
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("oauth2.") and _without_names(rule.rule) == _without_names(path):
            raise ConfigurationError(
                f"the endpoint {endpoint.name} has the path of {rule.endpoint.removeprefix('oauth2.')}, {path}: choose "
                "another path"
            )
    app.add_url_rule(path, f"oauth2.{endpoint.name}", offered_view(provider, endpoint), methods=_methods(endpoint))


def add_resource_document(app: flask.Flask, path: str) -> None:
    """Let an application answer at the metadata URL of a resource whose path has variables, for the issuergetter."""
    name = "resource_metadata_path"
    methods = next(_methods(endpoint) for endpoint in ENDPOINTS if endpoint.name == name)
    app.add_url_rule(f"{resources.WELL_KNOWN}{path}", f"oauth2.{name}", methods=methods, strict_slashes=False)


def _without_names(path: str) -> str:
    """Return a path without the names and converters of its variables."""
    return re.sub(r"<[^>]*>", "<>", path.rstrip("/"))


def _methods(endpoint: Endpoint) -> tuple[str, ...]:
    return (*endpoint.methods, "OPTIONS") if endpoint.cors else endpoint.methods


def view(provider: Site, endpoint: Endpoint) -> Callable[..., Response]:
    """Return the view of an endpoint that clients call, measured if ``OAUTH2_METRICS`` is set."""

    def respond(**_: str) -> Response:
        server = provider.verifier.server
        request = web.read(server.settings)
        metrics = server.events.metrics
        if metrics is None:
            return _respond(server, endpoint, request)
        grant_type = request.claims.get("grant_type", "") if endpoint.name == "token" else ""
        offered = grant_type if grant_type in server.capabilities.grants else ""
        return metrics.measure(endpoint.name, offered, _respond, server, endpoint, request)

    return _named(respond, endpoint.name)


def offered_view(provider: Site, endpoint: Endpoint) -> Callable[..., Response]:
    """Return the view of an endpoint that the application registered. It responds with 404 if it is not offered."""
    build = view(provider, replace(endpoint, respond=partial(respond_with, endpoint)))

    def respond(**_: str) -> Response:
        return build() if is_offered(provider.verifier.server, endpoint) else flask.Response(status=404)

    return _named(respond, endpoint.name)


def document_view(provider: Site, endpoint: Endpoint) -> Callable[..., Response]:
    """Return the view of a metadata document, which is sent from the cache if it was requested before."""
    build = view(provider, endpoint)

    def respond(**_: str) -> Response:
        server = provider.verifier.server
        request = web.current_request()
        environ = request.environ
        text = server.built_metadata.get((environ["PATH_INFO"], environ.get("SCRIPT_NAME", "")))
        if text is None or request.method == "OPTIONS" or server.events.metrics is not None:
            return build()
        return flask.Response(text, 200, _DOCUMENT_HEADERS)

    return _named(respond, endpoint.name)


def key_set_view(provider: Site, endpoint: Endpoint) -> Callable[..., Response]:
    """Return the view of the JWK set, which is sent from memory while the keys need not be read again."""
    build = view(provider, endpoint)

    def respond(**_: str) -> Response:
        server = provider.verifier.server
        environ = web.current_request().environ
        is_plain = environ["REQUEST_METHOD"] == "GET" and "HTTP_IF_NONE_MATCH" not in environ
        if not is_plain or not server.capabilities.needs_keys or server.events.metrics is not None:
            return build()
        published = server.keys.find_cached(server.clock())
        return build() if published is None else flask.Response(published.body, 200, jwks.headers_of(published.etag))

    return _named(respond, endpoint.name)


def page(provider: Site, name: str, show: Callable[[Site], Response]) -> Callable[..., Response]:
    """Return the view of a page, measured if ``OAUTH2_METRICS`` is set."""

    def answer(*_: Any, **__: Any) -> Response:
        metrics = provider.verifier.server.events.metrics
        return show(provider) if metrics is None else metrics.measure(name, "", show, provider)

    return _named(answer, name)


def _respond(server: AuthorizationServer, endpoint: Endpoint, request: Request) -> Response:
    origin = request.headers.get("Origin", "") if endpoint.cors else ""
    if request.method == "OPTIONS":
        return web.write(cross_origin.answer_preflight(server, endpoint, origin))
    response = answer(server, request, run, partial(refuse, server), server, endpoint, request)
    if origin and endpoint.cors == "clients":
        response = cross_origin.allow(server, response, request)
    return web.write(response)


_DOCUMENT_HEADERS = tuple(metadata.HEADERS.items())


def _refuse_too_many(provider: Site, error: TooManyRequests) -> Response:
    """Return the response to a request that an extension such as Flask-Limiter rejected."""
    if error.response is not None:  # the response that the application chose
        return cast(Response, error.response)
    server, name = provider.server, (web.current_request().endpoint or "").removeprefix("oauth2.")
    refusal = TemporarilyUnavailable(
        "too many requests", status=429, retry_after=web.find_wait(error), rule="rfc6585 4", received=error.description
    )

    def reject(*_: object) -> Any:
        raise refusal

    if name not in PAGES:
        known = server.capabilities.endpoints[name]
        return view(provider, replace(known, respond=reject, authentication="", requires=frozenset()))()

    def show(_: Site) -> Response:
        response: Response = answer(server, web.read(), reject, partial(show_error, server))
        return response

    return page(provider, name, show)()


def _named(view: Callable[..., Response], name: str) -> Callable[..., Response]:
    """Give a view a unique name: extensions that limit or exempt views identify them by name."""
    view.__name__, view.__qualname__ = name, f"OAuth2Provider.{name}"
    return view


class _ExemptFromCSRF:
    """Exempts the blueprint from the CSRF protection of Flask-WTF, once per application.

    Clients send requests without a CSRF token, and the pages have their own CSRF protection. This runs before all
    ``before_request`` functions, including that of Flask-WTF.
    """

    def __init__(self, blueprint: flask.Blueprint) -> None:
        self._blueprint = blueprint

    def __call__(self, *_: object) -> None:
        app = web.current_app()
        csrf = app.extensions.get("csrf")
        if csrf is not None:
            csrf.exempt(self._blueprint)
        # replace the list, because other threads may be iterating over it
        functions = app.url_value_preprocessors
        functions["oauth2"] = [function for function in functions["oauth2"] if function is not self]
