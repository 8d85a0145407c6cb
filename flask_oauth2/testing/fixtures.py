"""The pytest fixtures. They require a fixture ``app`` in the tests of the application."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import flask
import pytest
from flask.testing import FlaskClient

from ..provider import OAuth2Provider, find_provider
from ..scopes import Scope
from . import application
from .application import Clock, RegisteredClient, register_client, stop_clock


@pytest.fixture
def oauth_provider(app: flask.Flask) -> OAuth2Provider:
    """Return the provider of the application."""
    return find_provider(app)


@pytest.fixture
def oauth_clock(app: flask.Flask) -> Iterator[Clock]:
    """Return the provider's clock. It stands still until the test sets ``now`` or calls ``forward``."""
    with stop_clock(app) as clock:
        yield clock


@pytest.fixture
def oauth_client(app: flask.Flask) -> RegisteredClient:
    """Return a registered client with a secret. Call it with the options of :func:`register_client` to add another."""
    return register_client(app)


@pytest.fixture
def token_for(app: flask.Flask) -> Callable[..., str]:
    """Return ``token_for(user, scope, client=None, lifetime=None)``, which issues access tokens."""
    own: list[RegisteredClient] = []

    def token_for(
        user: object,
        scope: str | Scope | None = None,
        client: object = None,
        lifetime: int | None = None,
    ) -> str:
        if client is None:
            if not own:
                own.append(register_client(app))
            client = own[0]
        return application.issue_token(app, user, scope, client=client, lifetime=lifetime)

    return token_for


@pytest.fixture
def as_token(app: flask.Flask) -> Callable[[str], FlaskClient]:
    """Return ``as_token(token)``, which returns a test client that sends the token with each request."""
    return lambda token: application.http_with_token(app, token)


@pytest.fixture
def oauth_http(as_token: Callable[[str], FlaskClient], token_for: Callable[..., str]) -> Callable[..., FlaskClient]:
    """Return ``oauth_http(user, scope, client=None, lifetime=None)``, which returns a test client with a new token."""
    return lambda *arguments, **options: as_token(token_for(*arguments, **options))
