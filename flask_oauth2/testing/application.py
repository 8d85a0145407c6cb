"""Clients, tokens and the time of an application under test."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import flask
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers

from .. import addresses
from ..clients import rules
from ..clients.secrets import generate_secret
from ..http.messages import Params, Request
from ..http.urls import encode
from ..provider import find_provider
from ..records import Client, find
from ..scopes import Scope, parse_option
from ..server import AuthorizationServer
from ..tokens.base import ITSELF, TokenGrant, TokenRequest
from ..tokens.issue import issue

REDIRECT_URI = "https://client.example/callback"
"""The default redirect URI of registered clients."""

GRANT_TYPE = "testing"
"""The grant type in ``signals.token_issued`` for tokens that a test has issued."""


class Clock:
    """A clock that stands still until a test moves it.

    :param now: seconds since the epoch, UTC; by default the present.
    """

    def __init__(self, now: float | None = None) -> None:
        self.now: float = int(time.time()) if now is None else now

    def __call__(self) -> float:
        """Return the time. The provider calls it."""
        return self.now

    def forward(self, seconds: float) -> None:
        """Move the clock forward."""
        self.now += seconds


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """A client of the application, with its secret.

    Call it to register another client, with the options of :func:`register_client`.
    """

    app: flask.Flask
    client: Client
    secret: str | None

    @property
    def client_id(self) -> str:
        """The client_id."""
        return self.client.client_id

    @property
    def auth(self) -> tuple[str, str] | None:
        """The client_id and secret for ``auth=`` of a request; None for a client without a secret."""
        return None if self.secret is None else (self.client.client_id, self.secret)

    def __call__(self, **options: Any) -> RegisteredClient:
        """Register another client, see :func:`register_client`."""
        return register_client(self.app, **options)


def find_server(app: flask.Flask) -> AuthorizationServer:
    """Return the server of an application, and build it if no request has done so."""
    with app.app_context():
        return find_provider(app).server


@contextmanager
def stop_clock(app: flask.Flask, now: float | None = None) -> Iterator[Clock]:
    """Set the time of the provider within ``with stop_clock(app) as clock:``."""
    server, clock = find_server(app), Clock(now)
    before, server.clock = server.clock, clock
    try:
        yield clock
    finally:
        server.clock = before


def register_client(
    app: flask.Flask,
    *,
    scope: str | Scope | None = None,
    grant_types: tuple[str, ...] | list[str] | None = None,
    redirect_uris: tuple[str, ...] | list[str] = (REDIRECT_URI,),
    is_public: bool = False,
    auth_method: str | None = None,
    **fields: Any,
) -> RegisteredClient:
    """Register a client, with the rules of ``flask oauth2 client create``.

    :param scope: the scope that the client may request. Default: all of ``OAUTH2_SCOPES``.
    :param grant_types: the grant types. Default: all that the application offers and such a client may have.
    :param is_public: register a client without a secret: the ``auth_method`` is ``none``.
    :param auth_method: the client authentication method, built-in or registered. Default: ``client_secret_basic``. A
        secret is generated if the method needs one.
    :param fields: other fields of :class:`~flask_oauth2.Client`, such as ``name`` or ``resource_server``.

    Raises :exc:`ValueError` for a client that is not valid, and :exc:`~flask_oauth2.ConfigurationError` if the
    application stores its clients itself, with a ``clientgetter``.
    """
    if is_public and auth_method not in (None, "none"):
        raise ValueError(f"a public client has no auth_method {auth_method!r}: remove is_public or auth_method")
    auth_method = "none" if is_public else auth_method or "client_secret_basic"
    server = find_server(app)
    with app.app_context():
        now = server.clock()
        if grant_types is None:
            never = {"client_credentials"} if auth_method == "none" else set()
            if rules.GIVES_NO_REFRESH_TOKEN.issuperset(server.capabilities.grant_types):
                never.add("refresh_token")
            grant_types = [name for name in server.capabilities.grant_types if name not in never]
        standard: dict[str, Any] = {
            "client_id": rules.new_client_id(),
            "name": "A client of a test",
            "auth_method": auth_method,
            "response_types": rules.default_response_types(tuple(grant_types), server),
            "created_at": int(now),
        }
        client = Client(
            **standard | fields,
            scope=tuple(server.settings.scopes) if scope is None else parse_option(scope),
            grant_types=tuple(grant_types),
            redirect_uris=tuple(redirect_uris),
        )
        secret, stored = generate_secret(server, now) if rules.needs_secret(client, server) else (None, None)
        client = replace(client, secret=stored)
        rules.check(client, server)
        server.store.set_client(client)
    return RegisteredClient(app, client, secret)


def issue_token(
    app: flask.Flask,
    user: object,
    scope: str | Scope | None = None,
    *,
    client: object = None,
    lifetime: int | None = None,
    resource: str | None = None,
) -> str:
    """Return an access token, issued as the token endpoint does, in the format of the client.

    :param user: the user, or the user's ID; None for a token of the client itself.
    :param scope: the scope of the token. Default: the scope of the client.
    :param client: a :class:`RegisteredClient`, a :class:`~flask_oauth2.Client`, one of the application's own, or a
        ``client_id``. Default: a new client; with a ``clientgetter``, name one.
    :param lifetime: seconds, at most ``OAUTH2_ACCESS_TOKEN_LIFETIME``, which is the default. With 0 the token has
        expired already.
    :param resource: the protected resource of the token, its path or its URL. Default: the one that its scope belongs
        to.

    Raises :exc:`ValueError` for an unknown scope value or client.
    """
    server = find_server(app)
    if not server.issuer:
        with app.test_request_context():  # with the issuer that the test client sees
            server = find_provider(app).server
    settings = server.settings
    if client is None:
        client = register_client(app)
    with app.app_context():
        record = _find_client(server, client)
        wanted = record.scope if scope is None else parse_option(scope)
        unknown = [name for name in wanted if settings.scopes and name not in settings.scopes]
        if unknown:
            raise ValueError(f"{' '.join(unknown)} is not in OAUTH2_SCOPES, so no client gets a token for it")
        if lifetime is not None and not 0 <= lifetime <= settings.access_token_lifetime:
            raise ValueError(f"lifetime must be from 0 to {settings.access_token_lifetime}, not {lifetime}")
        now = server.clock()
        if resource is not None and resource.startswith("/"):
            resource = f"{addresses.find_origin(server)}{resource}"
        form = Params(b"" if resource is None else encode([("resource", resource)]).encode())
        request = TokenRequest(Request("POST", "/", Headers(), b"", b""), form, record, server, now)
        decided = TokenGrant(request.authorization(ITSELF if user is None else user, wanted), lifetime=lifetime)
        answer = issue(request, decided, GRANT_TYPE)
        return str(answer["access_token"])


def http_with_token(app: flask.Flask, token: str) -> FlaskClient:
    """Return a test client of the application that sends the token with each request."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


def _find_client(server: AuthorizationServer, client: object) -> Client:
    if isinstance(client, RegisteredClient):
        return client.client
    if isinstance(client, Client):
        return client
    client_id = client if isinstance(client, str) else find(client, "client_id")
    found = server.store.get_client(str(client_id))
    if found is None:
        raise ValueError(f"there is no client {client_id!r}: register it first")
    return found
