"""A provider that runs, the clients it knows, and a person with a browser."""

from __future__ import annotations

from collections.abc import Iterator
from secrets import token_hex
from threading import Thread
from time import time
from typing import Any

import flask
import pytest
from joserfc.jwk import ECKey, RSAKey
from werkzeug.serving import make_server

from flask_oauth2 import Client, OAuth2Provider, current_token, values
from flask_oauth2.clients.secrets import hash_secret
from flask_oauth2.settings import DEVICE_CODE

from .browser import Browser

CALLBACK = "https://client.example/callback"
KEYS: dict[str, Any] = {"RS256": RSAKey.generate_key(2048), "ES256": ECKey.generate_key("P-256")}
"""The private keys of clients, by algorithm."""


class Provider:
    """Where the provider runs, and how the person answers it."""

    def __init__(self, url: str, secrets: dict[str, str], store: Any, browser: Browser) -> None:
        self.url = url
        self._store = store
        self.authorization = f"{url}/oauth/authorize"
        self.token = f"{url}/oauth/token"
        self.revocation = f"{url}/oauth/revoke"
        self.device_authorization = f"{url}/oauth/device_authorization"
        self.introspection = f"{url}/oauth/introspect"
        self.api = f"{url}/api/me"
        self.secrets = secrets
        self.keys = KEYS
        self.user = token_hex(4)
        """Somebody new, whose consent nobody remembers."""
        self._browser = browser

    def visit(self, url: str, decision: str = "Allow") -> str:
        """The person follows a URL: where the client gets its answer."""
        return self._browser.authorize(url, decision, name=self.user)

    def has_polled(self, device_code: str) -> bool:
        """Whether a device has asked how things stand."""
        return self._store.get_grant(values.key(device_code), "device_code").polled_at is not None

    def slow_down(self, device_code: str, interval: int) -> None:
        """Record a poll now and the seconds until the next one: the test's speed does not decide what is too fast."""
        grant = self._store.get_grant(values.key(device_code), "device_code")
        assert self._store.poll(grant, int(time()), interval)

    def connect(self, verification_uri: str, user_code: str, decision: str = "Allow") -> str:
        """The person types a code: what the last page says."""
        page = self._browser.open(verification_uri)
        if any("Sign in" in form.buttons for form in page.forms):
            page = self._browser.press(page, "Sign in", name=self.user)
        page = self._browser.press(page, "Go on", user_code=user_code)
        return self._browser.press(page, decision).text


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str], Any]]:
    """The URL of a provider on the embedded database, the secrets of its clients, and its store."""
    app = flask.Flask("interop", instance_path=str(tmp_path_factory.mktemp("instance")))
    app.config.update(
        SECRET_KEY="a secret key of the tests",
        OAUTH2_SCOPES={"profile": "See your name", "mail": "Read your mail"},
        OAUTH2_LOGIN_VIEW="login",
        OAUTH2_DYNAMIC_REGISTRATION="open",
        OAUTH2_DEFAULT_SCOPE="profile mail",
        OAUTH2_MAX_FAILED_ATTEMPTS=1000,  # all libraries send wrong secrets of one client within minutes
        OAUTH2_GRANT_TYPES=[
            *("authorization_code", "client_credentials", "refresh_token", "password", "implicit", "device_code")
        ],
        OAUTH2_DEVICE_INTERVAL=1,
        OAUTH2_DPOP="optional",
    )
    provider = OAuth2Provider(app)

    @app.route("/login", methods=["GET", "POST"])
    def login() -> Any:
        if flask.request.method == "POST":
            flask.session["user"] = flask.request.form["name"]
            return flask.redirect(flask.request.args["next"], 303)
        return '<form method="post"><input name="name"><button>Sign in</button></form>'

    @provider.current_user
    def current_user() -> Any:
        return flask.session.get("user")

    @provider.usergetter
    def find_user(username: str, password: str, client: Client, request: Any) -> str | None:
        return username if (username, password) == ("ada", "pass word & more=") else None

    @app.get("/api/me")
    @provider.require_oauth("profile")
    def me() -> Any:
        return {"user": current_token.user_id, "client": current_token.client_id}

    code = {"grant_types": ("authorization_code", "refresh_token"), "redirect_uris": (CALLBACK,)}
    clients: dict[str, dict[str, Any]] = {
        "web": code,
        "public": code | {"auth_method": "none"},
        "machine": {"grant_types": ("client_credentials",), "response_types": ()},
        "legacy": {"grant_types": ("password", "refresh_token"), "response_types": ()},
        "page": {
            "grant_types": ("implicit",),
            "response_types": ("token",),
            "redirect_uris": (CALLBACK,),
            "auth_method": "none",
        },
        "device": {
            "grant_types": (DEVICE_CODE, "refresh_token"),
            "response_types": (),
            "auth_method": "none",
            "application_type": "native",
        },
        "box": {"grant_types": (DEVICE_CODE,), "response_types": ()},
        "api": {"grant_types": (), "response_types": (), "resource_server": True},
    }
    for algorithm, key in KEYS.items():
        clients[f"key {algorithm}"] = {
            "grant_types": ("client_credentials",),
            "response_types": (),
            "auth_method": "private_key_jwt",
            "metadata": {"jwks": {"keys": [key.as_dict(private=False)]}},
        }
    secrets = {name: values.new("ocs", values.timestamp(1)) for name in clients}
    with app.app_context():
        store: Any = provider.server.store
        for name, fields in clients.items():
            secret = None if "auth_method" in fields else hash_secret(secrets[name])
            store.set_client(Client(client_id=name, name=name, secret=secret, scope=("profile", "mail"), **fields))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", secrets, store
    server.shutdown()
    thread.join()
    server.server_close()
    store.engine.dispose()


@pytest.fixture
def provider(served: tuple[str, dict[str, str], Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """The provider, with a person who has not signed in yet. The clients take HTTP in place of HTTPS."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Browser() as browser:
        yield Provider(*served, browser)
