"""Guards of an application that is no authorization server: they need a verifier of two methods, and no provider."""

from __future__ import annotations

import time
from collections.abc import Sequence

import flask
import pytest

from flask_oauth2 import (
    AccessToken,
    ConfigurationError,
    InvalidToken,
    OAuth2Error,
    Request,
    ResourceServer,
    Response,
    Verified,
    challenge,
    current_token,
    read_value,
)
from flask_oauth2.resource.verify import Alternatives

TOKENS = {"good": ("profile",), "narrow": ()}


class Verifier:
    """Knows two tokens."""

    def __init__(self) -> None:
        self.rejected: list[str] = []

    def verify(self, request: Request) -> Verified:
        _, value = read_value(request)
        if value not in TOKENS:
            raise InvalidToken("the token is unknown")
        access = AccessToken(
            token_hash=b"",
            authorization_id="a",
            client_id="web",
            user_id="ada",
            scope=TOKENS[value],
            type="Bearer",
            issued_at=0,
            expires_at=int(time.time()) + 60,
        )
        return Verified(access, headers={"Token-Of": request.url})

    def refuse(self, error: OAuth2Error, request: Request, required: Sequence[Alternatives]) -> Response:
        self.rejected.append(error.code)
        return challenge(error, required, realm="notes")


@pytest.fixture
def verifier() -> Verifier:
    return Verifier()


@pytest.fixture
def app(verifier: Verifier) -> flask.Flask:
    app = flask.Flask("notes")
    guards = ResourceServer(verifier)

    @app.get("/me")
    @guards.require_oauth("profile")
    def me() -> dict[str, object]:
        return {"user": current_token.user_id, "scope": current_token.scopes}

    @app.get("/open")
    @guards.require_oauth(optional=True)
    def open_to_all() -> dict[str, object]:
        return {"user": current_token.user_id if current_token else None}

    @app.get("/step-up")
    @guards.require_oauth
    def step_up() -> str:
        current_token.require("profile")
        return "done"

    @app.get("/user")
    @guards.require_oauth("profile")
    def user() -> str:
        with pytest.raises(ConfigurationError, match="the application is no provider"):
            _ = current_token.user
        return "done"

    return app


@pytest.mark.spec("rfc6750", "2.1")
def test_a_valid_token_opens_a_view(app: flask.Flask) -> None:
    answer = app.test_client().get("/me", headers={"Authorization": "Bearer good"})
    assert answer.get_json() == {"user": "ada", "scope": ["profile"]}
    assert answer.headers["Token-Of"] == "http://localhost/me"
    assert app.test_client().get("/user", headers={"Authorization": "Bearer good"}).text == "done"


@pytest.mark.spec("rfc6750", "3")
@pytest.mark.parametrize(
    ("path", "sent", "status", "said"),
    [
        ("/me", None, 401, 'Bearer realm="notes", scope="profile"'),
        ("/me", "Bearer bad", 401, 'error="invalid_token"'),
        ("/me", "Bearer narrow", 403, 'error="insufficient_scope"'),
        ("/step-up", "Bearer narrow", 403, 'scope="profile"'),
        ("/open", "Bearer bad", 401, 'error="invalid_token"'),
    ],
)
def test_other_requests_are_challenged(
    app: flask.Flask, verifier: Verifier, path: str, sent: str | None, status: int, said: str
) -> None:
    answer = app.test_client().get(path, headers={"Authorization": sent} if sent else {})
    assert answer.status_code == status
    assert said in answer.headers["WWW-Authenticate"]
    assert len(verifier.rejected) == 1


def test_an_optional_guard_lets_requests_without_a_token_pass(app: flask.Flask) -> None:
    http = app.test_client()
    assert http.get("/open").get_json() == {"user": None}
    assert http.get("/open", headers={"Authorization": "Bearer good"}).get_json() == {"user": "ada"}
    assert http.get("/step-up", headers={"Authorization": "Bearer good"}).text == "done"
