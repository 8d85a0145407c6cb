"""An application with a provider, a clock that tests set, and the requests of every flow."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from dataclasses import replace
from hashlib import sha256
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_oauth2 import Client, MemoryStore, OAuth2Provider, current_token, values
from flask_oauth2.clients.secrets import hash_secret

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
"""The vector of RFC 7636, appendix B."""

CALLBACK = "https://client.example/back?shop=7"
NOW = 1_800_000_000.0


def challenge_of(verifier: str) -> str:
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


class Clock:
    """A clock that only a test advances."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


class Site:
    """An application with a provider, and the requests of clients and browsers."""

    def __init__(self, app: flask.Flask, provider: OAuth2Provider, clock: Clock) -> None:
        self.app = app
        self.provider = provider
        self.clock = clock
        self.http = app.test_client()
        self.browser = app.test_client()

    @property
    def verifier(self) -> Any:
        with self.app.app_context():
            verifier = self.provider.verifier
        verifier.server.clock = self.clock
        if verifier.cache is not None:
            verifier.cache.clock = self.clock
        return verifier

    @property
    def server(self) -> Any:
        return self.verifier.server

    @property
    def store(self) -> Any:
        return self.server.store

    def add_client(self, client_id: str = "web", secret: str | None = "generated", **fields: Any) -> str:
        """Save a client and return its secret."""
        if secret == "generated":
            secret = values.new("ocs", values.timestamp(NOW))
        defaults: dict[str, Any] = {
            "name": client_id,
            "auth_method": "client_secret_basic" if secret else "none",
            "redirect_uris": (CALLBACK,),
            "grant_types": ("authorization_code", "refresh_token", "client_credentials", "password", "implicit"),
            "response_types": ("code", "token", "code token"),
            "scope": ("profile", "mail", "write"),
        }
        client = Client(client_id=client_id, secret=secret and hash_secret(secret), **{**defaults, **fields})
        self.store.set_client(client)
        return secret or ""

    def change_client(self, client_id: str = "web", **fields: Any) -> None:
        self.store.set_client(replace(self.store.get_client(client_id), **fields))

    def sign_in(self, user_id: str = "ada", browser: FlaskClient | None = None) -> None:
        (browser or self.browser).post("/login", data={"user": user_id})

    def ask(self, browser: FlaskClient | None = None, **parameters: Any) -> TestResponse:
        """Send an authorization request with GET."""
        defaults = {
            "response_type": "code",
            "client_id": "web",
            "redirect_uri": CALLBACK,
            "scope": "profile",
            "state": "st-1",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        query = {name: value for name, value in {**defaults, **parameters}.items() if value is not None}
        return (browser or self.browser).get("/oauth/authorize", query_string=query)

    def allow(self, page: TestResponse, decision: str = "allow", browser: FlaskClient | None = None) -> TestResponse:
        """Press a button of the consent page."""
        assert page.status_code == 200, page.text
        ticket = re.search(r'name="ticket" value="([^"]+)"', page.text)
        assert ticket, page.text
        data = {"ticket": unescape(ticket[1]), "decision": decision}
        return (browser or self.browser).post("/oauth/consent", data=data)

    def authorize(self, **parameters: Any) -> dict[str, str]:
        """Sign in, send an authorization request and consent if needed. Return the response parameters."""
        self.sign_in()
        answer = self.ask(**parameters)
        if answer.status_code == 200:
            answer = self.allow(answer)
        return answer_of(answer)

    def token(self, grant_type: str = "authorization_code", auth: Any = None, **form: Any) -> TestResponse:
        """Send a token request."""
        data = {"grant_type": grant_type, **form}
        data = {name: value for name, value in data.items() if value is not None}
        return self.http.post("/oauth/token", data=data, auth=auth)

    def redeem(self, code: str, auth: Any = None, **form: Any) -> TestResponse:
        defaults = {"code": code, "code_verifier": VERIFIER, "redirect_uri": CALLBACK}
        return self.token(auth=auth, **{**defaults, **form})

    def tokens(self, secret: str = "", client_id: str = "web", **parameters: Any) -> dict[str, Any]:
        """Run the authorization code flow and return the members of the token response."""
        code = self.authorize(client_id=client_id, **parameters)["code"]
        form = {} if secret else {"client_id": client_id}
        answer = self.redeem(code, (client_id, secret) if secret else None, **form)
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json())

    def refresh(self, refresh_token: str, secret: str = "", client_id: str = "web", **form: Any) -> TestResponse:
        auth = (client_id, secret) if secret else None
        return self.token(
            "refresh_token", auth, refresh_token=refresh_token, client_id=None if secret else client_id, **form
        )

    def call(self, token: str, path: str = "/api/me") -> TestResponse:
        """Call a guarded view with a token."""
        return self.http.get(path, headers={"Authorization": f"Bearer {token}"})

    def post(self, path: str, auth: Any = None, **form: Any) -> TestResponse:
        return self.http.post(f"/oauth{path}", data=form, auth=auth)

    def is_alive(self, token: str) -> bool:
        return self.call(token).status_code == 200


def answer_of(response: TestResponse) -> dict[str, str]:
    """Return the parameters in the query or the fragment of a redirect."""
    assert response.status_code == 303, response.text
    parts = urlsplit(response.location)
    return dict(parse_qsl(parts.fragment or parts.query))


def make_site(tmp_path: Any, store: Any = None, db: Any = None, **config: Any) -> Site:
    app = flask.Flask("site", instance_path=str(tmp_path / "instance"))
    app.config.update(
        PROPAGATE_EXCEPTIONS=True,
        SECRET_KEY="a secret key of the tests",
        OAUTH2_ISSUER="https://login.example",
        OAUTH2_SCOPES={"profile": "See your name", "mail": "Read your mail", "write": "Write in your name"},
        OAUTH2_LOGIN_VIEW="login",
    )
    app.config.update(config)
    if db is not None:
        db.init_app(app)
    provider = OAuth2Provider(app, store=store, db=db)

    @app.route("/login", methods=["GET", "POST"])
    def login() -> Any:
        if flask.request.method == "POST":
            flask.session["user"] = flask.request.form["user"]
            return "", 204
        return "sign in"

    @provider.current_user
    def current_user() -> Any:
        return flask.session.get("user")

    @provider.userloader
    def load_user(user_id: str) -> Any:
        return {"id": user_id, "name": user_id.title()}

    @app.get("/api/me")
    @provider.require_oauth("profile")
    def me() -> Any:
        return {"user": current_token.user_id, "client": current_token.client_id, "scope": current_token.scope}

    return Site(app, provider, Clock())


class StoreWithoutConsents:
    """A store that does not implement ConsentStore."""

    def __init__(self) -> None:
        self._store = MemoryStore()

    def __getattr__(self, name: str) -> Any:
        if "consent" in name:
            raise AttributeError(name)
        return getattr(self._store, name)


class Statements(list[str]):
    """The SQL statements that a store sends to its driver."""

    def work(self) -> list[str]:
        """Return the statements without transaction control."""
        return [text for text in self if text.split()[0] not in ("BEGIN", "COMMIT", "ROLLBACK", "PRAGMA")]

    def commits(self) -> int:
        """Return the number of commits. A write outside a transaction counts as a commit."""
        found, is_inside = 0, False
        for text in self:
            keyword = text.split()[0]
            is_inside = keyword == "BEGIN" or (is_inside and keyword not in ("COMMIT", "ROLLBACK"))
            found += keyword == "COMMIT" or (not is_inside and keyword in ("INSERT", "UPDATE", "DELETE"))
        return found
