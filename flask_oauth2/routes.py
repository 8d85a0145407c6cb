"""The routes of the blueprint: each endpoint and each page as a view, measured where that is wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

import flask
from werkzeug.exceptions import TooManyRequests
from werkzeug.wrappers import Response

from . import pages, web
from .endpoints import AUTHORIZATION, DEVICE, ENDPOINTS, Endpoint, cross_origin, metadata
from .endpoints.base import run
from .errors import TemporarilyUnavailable
from .pages.base import show_error

if TYPE_CHECKING:
    from .provider import OAuth2Provider
    from .server import Server

PAGES: dict[str, tuple[str, Callable[[OAuth2Provider], Response], tuple[str, ...]]] = {
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
"""What people see: the path, the page and the methods of each."""


def add_routes(provider: OAuth2Provider, blueprint: flask.Blueprint, prefix: str) -> None:
    """Let the blueprint answer at every endpoint and page; server metadata is always below the host's root."""
    for endpoint in ENDPOINTS:
        if endpoint.respond is not None:
            answer = _show_document if endpoint.is_well_known else respond
            path = endpoint.path if endpoint.is_well_known else f"{prefix}{endpoint.path}"
            blueprint.add_url_rule(path, endpoint.name, view(provider, endpoint, answer), methods=_methods(endpoint))

    for name, (path, show, methods) in PAGES.items():
        blueprint.add_url_rule(f"{prefix}{path}", name, page(provider, name, show), methods=methods)

    # of an extension that limits requests
    blueprint.register_error_handler(429, partial(_refuse_too_many, provider))
    if find_spec("flask_wtf"):  # before every before_request function, its own among them
        blueprint.url_value_preprocessor(_ExemptFromCSRF(blueprint))


def add_endpoint(provider: OAuth2Provider, app: flask.Flask, prefix: str, endpoint: Endpoint) -> None:
    """Let an application answer at an endpoint that it has registered."""
    path = endpoint.path if endpoint.is_well_known else f"{prefix}{endpoint.path}"
    app.add_url_rule(path, f"oauth2.{endpoint.name}", view(provider, endpoint, respond), methods=_methods(endpoint))


def _methods(endpoint: Endpoint) -> tuple[str, ...]:
    return (*endpoint.methods, "OPTIONS") if endpoint.cors else endpoint.methods


def view(
    provider: OAuth2Provider, endpoint: Endpoint, respond: Callable[[Server, Endpoint], Response]
) -> Callable[..., Response]:
    """The view of an endpoint that programs call."""

    def answer(**_: str) -> Response:
        server = provider.server
        if server.metrics is None:
            return respond(server, endpoint)
        return server.metrics.measure(endpoint.name, respond, server, endpoint)

    return _named(answer, endpoint.name)


def page(provider: OAuth2Provider, name: str, show: Callable[[OAuth2Provider], Response]) -> Callable[..., Response]:
    """The view of a page that people see."""

    def answer(*_: Any, **__: Any) -> Response:
        metrics = provider.server.metrics
        return show(provider) if metrics is None else metrics.measure(name, show, provider)

    return _named(answer, name)


def respond(server: Server, endpoint: Endpoint) -> Response:
    """What an endpoint answers to the request."""
    request = web.read()
    origin = request.headers.get("Origin", "") if endpoint.cors else ""
    if request.method == "OPTIONS":
        return web.write(cross_origin.answer_preflight(server, endpoint, origin))
    answer = server.answer(run, server.refuse, server, endpoint, request)
    if origin and endpoint.cors == "clients":
        answer = cross_origin.allow(server, answer, origin)
    return web.write(answer)


_DOCUMENT_HEADERS = tuple(metadata.HEADERS.items())


def _show_document(server: Server, endpoint: Endpoint) -> Response:
    """Metadata, from memory where it was asked for before: such a request costs no more than a view that is static."""
    request = web.current_request()
    environ = request.environ
    text = server.built_metadata.get((environ["PATH_INFO"], environ.get("SCRIPT_NAME", "")))
    if text is None or request.method == "OPTIONS":
        return respond(server, endpoint)
    return flask.Response(text, 200, _DOCUMENT_HEADERS)


def _refuse_too_many(provider: OAuth2Provider, error: TooManyRequests) -> Response:
    """An extension such as Flask-Limiter let nobody through to an endpoint or a page of ours."""
    if error.response is not None:  # the application has said what is to be answered
        return cast(Response, error.response)
    server, name = provider.server, (web.current_request().endpoint or "").removeprefix("oauth2.")
    refusal = TemporarilyUnavailable(
        "too many requests", status=429, retry_after=web.find_wait(error), rule="rfc6585 4", came=error.description
    )

    def refuse(*_: object) -> Any:
        raise refusal

    def answer() -> Response:
        if name in PAGES:
            shown: Response = server.answer(refuse, partial(show_error, server))
            return shown
        return respond(server, replace(server.offer.endpoints[name], respond=refuse, authentication="", requires=()))

    return answer() if server.metrics is None else server.metrics.measure(name, answer)


def _named(view: Callable[..., Response], name: str) -> Callable[..., Response]:
    """The view under a name of its own: extensions that limit or exempt views tell them apart by it."""
    view.__name__, view.__qualname__ = name, f"OAuth2Provider.{name}"
    return view


class _ExemptFromCSRF:
    """Flask-WTF: clients send no form of ours, and the consent page has a protection of its own. Said once."""

    def __init__(self, blueprint: flask.Blueprint) -> None:
        self._blueprint = blueprint
        self._apps: set[flask.Flask] = set()

    def __call__(self, *_: object) -> None:
        app = web.current_app()
        if app not in self._apps:
            csrf = app.extensions.get("csrf")
            if csrf is not None:
                csrf.exempt(self._blueprint)
            self._apps.add(app)
