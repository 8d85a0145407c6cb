"""The fixtures and functions of the test kit, as the tests of an application use them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask
import pytest
from flask.testing import FlaskClient

from flask_oauth2 import ConfigurationError, MemoryStore, OAuth2Provider, values
from flask_oauth2.testing import Clock, RegisteredClient, http_with_token, issue_token, register_client, stop_clock
from oauth_site import make_site


class TestTokens:
    """``token_for``, ``oauth_http`` and ``as_token``."""

    def test_a_token_opens_what_it_is_for(self, oauth_http: Callable[..., FlaskClient]) -> None:
        http = oauth_http("ada", "profile mail")
        answer = http.get("/api/me").get_json()
        assert (answer["user"], answer["scope"]) == ("ada", ["profile", "mail"])
        assert http.get("/api/me", headers={"Authorization": "Bearer another"}).status_code == 401

    def test_a_token_without_the_scope_does_not(self, oauth_http: Callable[..., FlaskClient]) -> None:
        assert oauth_http("ada", "mail").get("/api/me").status_code == 403

    def test_another_client_of_the_application_has_no_token(
        self, app: flask.Flask, oauth_http: Callable[..., FlaskClient]
    ) -> None:
        oauth_http("ada")
        assert app.test_client().get("/api/me").status_code == 401

    def test_text_is_carried_as_it_is(
        self, as_token: Callable[[str], FlaskClient], token_for: Callable[..., str]
    ) -> None:
        token = token_for("ada", "profile")
        assert as_token(token).get("/api/me").status_code == 200
        assert as_token(token + "x").get("/api/me").status_code == 401

    def test_all_scopes_by_default(self, oauth_http: Callable[..., FlaskClient]) -> None:
        assert oauth_http("ada").get("/api/me").get_json()["scope"] == ["profile", "mail", "write"]

    def test_a_scope_that_nobody_knows(self, token_for: Callable[..., str]) -> None:
        with pytest.raises(ValueError, match="profil is not in OAUTH2_SCOPES"):
            token_for("ada", "profil")

    def test_a_token_of_the_client_itself(self, oauth_http: Callable[..., FlaskClient]) -> None:
        assert oauth_http(None, "profile").get("/api/me").get_json()["user"] is None

    @pytest.mark.parametrize("user", [7, {"id": 7}])
    def test_a_user_is_an_id_or_has_one(self, oauth_http: Callable[..., FlaskClient], user: Any) -> None:
        if isinstance(user, dict):
            user = type("Account", (), user)()
        assert oauth_http(user, "profile").get("/api/me").get_json()["user"] == "7"

    def test_a_token_of_a_client(
        self, oauth_http: Callable[..., FlaskClient], oauth_client: RegisteredClient, token_for: Callable[..., str]
    ) -> None:
        for client in (oauth_client, oauth_client.client, oauth_client.client_id):
            answer = oauth_http("ada", "profile", client=client).get("/api/me").get_json()
            assert answer["client"] == oauth_client.client_id
        with pytest.raises(ValueError, match="there is no client 'nobody'"):
            token_for("ada", client="nobody")

    def test_tokens_of_one_test_share_a_client(self, oauth_http: Callable[..., FlaskClient]) -> None:
        first, second = (oauth_http(user, "profile").get("/api/me").get_json() for user in ("ada", "bob"))
        assert first["client"] == second["client"]

    def test_a_token_that_has_expired(self, oauth_http: Callable[..., FlaskClient]) -> None:
        assert oauth_http("ada", lifetime=0).get("/api/me").status_code == 401

    @pytest.mark.parametrize("lifetime", [-1, 3601])
    def test_a_lifetime_that_no_token_has(self, token_for: Callable[..., str], lifetime: int) -> None:
        with pytest.raises(ValueError, match="lifetime must be from 0 to 3600"):
            token_for("ada", lifetime=lifetime)

    def test_a_token_is_revoked_by_its_client(
        self, oauth_client: RegisteredClient, token_for: Callable[..., str], as_token: Callable[[str], FlaskClient]
    ) -> None:
        token = token_for("ada", "profile", oauth_client)
        http = as_token(token)
        assert http.get("/api/me").status_code == 200
        plain = oauth_client.app.test_client()
        assert plain.post("/oauth/revoke", data={"token": token}, auth=oauth_client.auth).status_code == 200
        assert http.get("/api/me").status_code == 401


class TestClock:
    """``oauth_clock`` and ``stop_clock``."""

    def test_time_stands_still_until_it_is_moved(
        self, oauth_clock: Clock, oauth_http: Callable[..., FlaskClient]
    ) -> None:
        assert abs(oauth_clock.now - time.time()) < 60
        http = oauth_http("ada", "profile", lifetime=100)
        oauth_clock.forward(99)
        assert http.get("/api/me").status_code == 200
        oauth_clock.forward(1)
        assert http.get("/api/me").status_code == 401
        oauth_clock.now -= 1
        assert http.get("/api/me").status_code == 200

    def test_the_clock_is_put_back(self, app: flask.Flask, oauth_provider: OAuth2Provider) -> None:
        with app.app_context():
            server = oauth_provider.server
        with stop_clock(app, now=1_800_000_000) as clock:
            assert server.clock() == clock.now == 1_800_000_000
        assert server.clock is values.clock


class TestClients:
    """``oauth_client`` and ``register_client``."""

    def test_it_authenticates(self, app: flask.Flask, oauth_client: RegisteredClient) -> None:
        data = {"grant_type": "client_credentials"}
        assert app.test_client().post("/oauth/token", data=data, auth=oauth_client.auth).status_code == 200
        wrong = (oauth_client.client_id, "guess")
        assert app.test_client().post("/oauth/token", data=data, auth=wrong).status_code == 401

    def test_one_more(self, oauth_client: RegisteredClient) -> None:
        other = oauth_client(scope="mail", grant_types=["client_credentials"], name="Robot")
        assert other.client_id != oauth_client.client_id
        assert (other.client.name, other.client.scope, other.client.response_types) == ("Robot", ("mail",), ())

    def test_a_public_one(self, app: flask.Flask, oauth_client: RegisteredClient) -> None:
        public = oauth_client(is_public=True)
        assert (public.secret, public.auth) == (None, None)
        assert public.client.is_public
        assert "client_credentials" in oauth_client.client.grant_types
        assert "client_credentials" not in public.client.grant_types

    def test_the_secret_is_not_kept(self, oauth_client: RegisteredClient) -> None:
        assert oauth_client.secret is not None
        assert oauth_client.secret not in str(oauth_client.client)

    def test_one_that_may_not_be(self, app: flask.Flask) -> None:
        with pytest.raises(ValueError, match="scope: unknown scope 'everything'"):
            register_client(app, scope="everything")

    def test_where_no_grant_gives_refresh_tokens(self, tmp_path: Any) -> None:
        options = {"OAUTH2_GRANT_TYPES": ["client_credentials", "refresh_token"]}
        client = register_client(make_site(tmp_path, store=MemoryStore(), **options).app)
        assert client.client.grant_types == ("client_credentials",)


def test_an_application_without_a_provider() -> None:
    with pytest.raises(ConfigurationError, match="this application has no OAuth2Provider"):
        register_client(flask.Flask("plain"))


def test_an_application_with_clients_and_tokens_of_its_own(tmp_path: Any) -> None:
    site = make_site(tmp_path, store=MemoryStore())
    mine, tokens = {"client_id": "mine", "default_scopes": ["profile"], "redirect_uris": []}, []
    site.provider.clientgetter(lambda client_id: mine if client_id == "mine" else None)
    site.provider.tokensetter(lambda token, request: tokens.append((request.client, token["scope"])))
    for client in ("mine", mine):
        http = http_with_token(site.app, issue_token(site.app, "ada", client=client))
        assert http.get("/api/me").get_json()["client"] == "mine"
    assert tokens == [(mine, "profile")] * 2
    with pytest.raises(ConfigurationError, match="clients come from the application's clientgetter"):
        register_client(site.app)


CONFTEST = """
import flask
import pytest

from flask_oauth2 import MemoryStore, OAuth2Provider, current_token
from flask_oauth2.testing import RegisteredClient  # before the plugin is loaded

pytest_plugins = ["flask_oauth2.testing"]


@pytest.fixture
def app():
    app = flask.Flask("shop")
    app.config.update(SECRET_KEY="a secret key of the tests", OAUTH2_SCOPES={"orders": "See your orders"})
    provider = OAuth2Provider(app, store=MemoryStore())

    @app.get("/orders")
    @provider.require_oauth("orders")
    def orders():
        return {"user": current_token.user_id}

    return app
"""

MODULE = """
from flask_oauth2.testing import unguarded


def test_orders(oauth_http, oauth_clock, app):
    http = oauth_http("ada", "orders")
    assert http.get("/orders").get_json() == {"user": "ada"}
    oauth_clock.forward(3600)
    assert http.get("/orders").status_code == 401
    assert unguarded(app) == []


def test_what_is_not_so(oauth_http):
    assert oauth_http("ada", "orders").get("/orders").get_json() == {"user": "bob"}
"""


def test_in_a_project_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_shop.py").write_text(MODULE)
    command = [sys.executable, "-m", "pytest", "-q", "--strict-markers", "-W", "error", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, "-rA", "test_shop.py"], cwd=tmp_path, capture_output=True, text=True)
    assert "PASSED test_shop.py::test_orders" in done.stdout
    assert "FAILED test_shop.py::test_what_is_not_so" in done.stdout
    assert "1 failed, 1 passed" in done.stdout


WITHOUT_PYTEST = """
import sys
sys.modules["pytest"] = None
import flask, flask_oauth2, flask_oauth2.testing as kit
app = flask.Flask("plain")
app.config["SECRET_KEY"] = "a secret key of the tests"
flask_oauth2.OAuth2Provider(app, store=flask_oauth2.MemoryStore())
kit.http_with_token(app, kit.issue_token(app, "ada"))
for name in "oauth_client", "StoreContract", "nothing":
    try:
        getattr(kit, name)
    except (AttributeError, ImportError) as error:
        print(error)
"""


def test_without_pytest() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", WITHOUT_PYTEST], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "flask_oauth2.testing.oauth_client needs pytest: pip install pytest",
        "flask_oauth2.testing.StoreContract needs pytest: pip install pytest",
        "module 'flask_oauth2.testing' has no attribute 'nothing'",
    ]


def test_plain_functions(app: flask.Flask) -> None:
    token = issue_token(app, "ada", "profile", client=register_client(app))
    assert http_with_token(app, token).get("/api/me").get_json()["user"] == "ada"
    assert http_with_token(app, "guess").get("/api/me").status_code == 401
    first, second = (http_with_token(app, issue_token(app, "ada")).get("/api/me").get_json() for _ in range(2))
    assert first["client"] != second["client"]
