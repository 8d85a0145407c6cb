"""Flask-Login in the ways that its documentation shows: the user returns to the request after signing in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import flask
import flask_login
import pytest
from werkzeug.test import TestResponse

from flask_oauth2 import MemoryStore, OAuth2Provider
from flask_oauth2.tools.doctor import diagnose
from oauth_site import Clock, Site, answer_of


class Person(flask_login.UserMixin):  # type: ignore[misc]
    def __init__(self, user_id: str) -> None:
        self.id = user_id


def make(tmp_path: Path, set_up: Callable[[flask.Flask, Any], None], **config: Any) -> Site:
    app = flask.Flask("site", instance_path=str(tmp_path))
    app.config.update(PROPAGATE_EXCEPTIONS=True, SECRET_KEY="a secret key of the tests", **config)
    app.config.update(OAUTH2_ISSUER="https://login.example", OAUTH2_SCOPES={"profile": "See your name"})
    app.config.update(OAUTH2_GRANT_TYPES=["authorization_code", "refresh_token", "device_code"])
    app.config.update(OAUTH2_DEVELOPER_PAGES=True)
    manager = flask_login.LoginManager(app)
    manager.user_loader(Person)
    provider = OAuth2Provider(app, store=MemoryStore())

    def login() -> Any:
        """As Flask-Login's documentation has it, with both places of ``next``."""
        if flask.request.method == "GET":
            return "sign in"
        flask_login.login_user(Person(flask.request.form["user"]))
        if app.config.get("USE_SESSION_FOR_NEXT"):
            return flask.redirect(flask.session.pop("next", "/"))
        return flask.redirect(flask.request.args.get("next") or "/")

    app.add_url_rule("/login", "login", login, methods=["GET", "POST"])
    auth = flask.Blueprint("auth", __name__)
    auth.add_url_rule("/auth/login", "login", login, methods=["GET", "POST"])
    app.register_blueprint(auth)
    set_up(app, manager)
    return Site(app, provider, Clock())


def by_view(app: flask.Flask, manager: Any) -> None:
    manager.login_view = "login"


def by_blueprint(app: flask.Flask, manager: Any) -> None:
    manager.blueprint_login_views = {"notes": "auth.login", "admin": "auth.login"}


def by_our_blueprint(app: flask.Flask, manager: Any) -> None:
    manager.blueprint_login_views = {"notes": "login", "oauth2": "auth.login"}


def by_handler(app: flask.Flask, manager: Any) -> None:
    @manager.unauthorized_handler
    def send_to_login() -> Any:
        flask.flash("sign in first")
        return flask.redirect(flask.url_for("login", next=flask.request.full_path))


def by_handler_with_url(app: flask.Flask, manager: Any) -> None:
    @manager.unauthorized_handler
    def send_to_login() -> Any:
        return flask.redirect(flask.url_for("login", next=flask.request.url)), 302


WAYS = [by_view, by_blueprint, by_our_blueprint, by_handler, by_handler_with_url]


def sign_in(site: Site, sent: TestResponse) -> TestResponse:
    """Sign in on the login page that a response leads to, and follow it back."""
    assert sent.status_code in (302, 303), sent.text
    location = urlsplit(sent.location)
    assert location.path in ("/login", "/auth/login")
    answer = site.browser.post(f"{location.path}?{location.query}", data={"user": "ada"})
    back = urlsplit(answer.location)
    return site.browser.get(f"{back.path}?{back.query}")


@pytest.mark.parametrize("protection", ["basic", "strong", None])
@pytest.mark.parametrize("in_session", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_the_user_returns_to_the_request(tmp_path: Path, way: Any, in_session: bool, protection: str | None) -> None:
    if in_session and way in (by_handler, by_handler_with_url):
        pytest.skip("such a handler says itself where next is")
    site = make(tmp_path, way, USE_SESSION_FOR_NEXT=in_session)
    site.app.login_manager.session_protection = protection  # type: ignore[attr-defined]
    site.add_client(scope=("profile",))
    assert answer_of(site.allow(sign_in(site, site.ask(state="é & ü"))))["state"] == "é & ü"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.spec("rfc6749", "3.1")
def test_a_request_by_post_returns(tmp_path: Path, way: Any) -> None:
    site = make(tmp_path, way)
    site.add_client(scope=("profile",))
    form = {"response_type": "code", "client_id": "web", "state": "x" * 3000, "code_challenge_method": "S256"}
    form["code_challenge"] = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    sent = site.browser.post("/oauth/authorize", data=form)
    assert answer_of(site.allow(sign_in(site, sent)))["state"] == "x" * 3000


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.spec("oidc-core", "3.1.2.1")
def test_somebody_who_must_sign_in_again_does_so_once(tmp_path: Path, way: Any) -> None:
    site = make(tmp_path, way)
    site.add_client(scope=("profile",))
    site.clock.forward(60)
    assert "code" in answer_of(site.allow(sign_in(site, site.ask(prompt="login"))))
    site.clock.forward(60)
    assert "code" in answer_of(sign_in(site, site.ask(prompt="login")))


def test_somebody_who_comes_back_without_signing_in_is_told(tmp_path: Path) -> None:
    site = make(tmp_path, by_handler)
    site.add_client(scope=("profile",))
    site.clock.forward(60)
    sign_in(site, site.ask(prompt="login"))
    site.clock.forward(60)
    back = urlsplit(site.ask(prompt="login").location).query
    page = site.browser.get(dict(parse_qsl(back))["next"])
    assert page.status_code == 200
    assert "flask_oauth2_sent_at" not in page.text
    assert "/oauth/authorize?" in page.text


@pytest.mark.parametrize("path", ["/oauth/applications", "/oauth/device?user_code=BCDF-GHJK", "/oauth/developer/new"])
@pytest.mark.parametrize("way", WAYS)
def test_other_pages_too(tmp_path: Path, way: Any, path: str) -> None:
    site = make(tmp_path, way)
    page = sign_in(site, site.browser.get(path))
    assert (page.status_code, page.request.path) == (200, urlsplit(path).path)


def test_below_a_prefix(tmp_path: Path) -> None:
    site = make(tmp_path, by_handler)
    site.add_client(scope=("profile",))
    query = {"response_type": "code", "client_id": "web", "code_challenge_method": "S256"}
    query["code_challenge"] = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    sent = site.browser.get("/oauth/authorize", query_string=query, base_url="https://login.example/app")
    assert sent.location.startswith("/app/login?next=/oauth/authorize?")


def test_a_handler_may_refuse(tmp_path: Path) -> None:
    def refuse(app: flask.Flask, manager: Any) -> None:
        manager.unauthorized_handler(lambda: ("members only", 401))

    site = make(tmp_path, refuse)
    site.add_client(scope=("profile",))
    answer = site.ask()
    assert (answer.status_code, answer.text) == (401, "members only")


def test_the_session_of_the_handler_is_that_of_the_browser(tmp_path: Path) -> None:
    site = make(tmp_path, by_handler)
    site.add_client(scope=("profile",))
    site.ask()
    with site.browser.session_transaction() as session:
        assert session["_flashes"] == [("message", "sign in first")]


@pytest.mark.parametrize("way", WAYS)
def test_the_doctor_finds_a_login_page(tmp_path: Path, way: Any) -> None:
    site = make(tmp_path, way)
    assert not [found for found in diagnose(site.app, offline=True) if found.check.startswith("sign_in")]


def test_several_views_of_blueprints_are_none(tmp_path: Path) -> None:
    def several(app: flask.Flask, manager: Any) -> None:
        manager.blueprint_login_views = {"notes": "login", "admin": "auth.login"}

    site = make(tmp_path, several)
    (found,) = [found for found in diagnose(site.app, offline=True) if found.check == "sign_in.login_view"]
    assert found.level == "error"


class TestPrivateAttributes:
    """Attributes of Flask-Login that are not documented. Seen with Flask-Login 0.6.3."""

    def test_user_callback(self) -> None:
        manager = flask_login.LoginManager()
        assert manager._user_callback is None
        manager.user_loader(Person)
        assert manager._user_callback is Person

    def test_session_identifier(self) -> None:
        manager = flask_login.LoginManager(flask.Flask("site"))
        with flask.Flask("site").test_request_context(headers={"User-Agent": "a browser"}):
            assert manager._session_identifier_generator() == manager._session_identifier_generator() != ""
