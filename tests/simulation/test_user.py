"""The simulated user: sign-in, consent page, and the policies of browsers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask
import pytest
from flask_login import LoginManager, UserMixin, current_user, login_required
from markupsafe import Markup
from werkzeug.datastructures import Headers

from flask_oauth2 import OAuth2Provider
from flask_oauth2.tools.simulation import open_sandbox
from flask_oauth2.tools.simulation.exchange import Exchange
from flask_oauth2.tools.simulation.forms import find_allow, find_obstacle, read_forms
from flask_oauth2.tools.simulation.sandbox import SIGNED_IN
from oauth_site import Site
from simulated import lines_of, notes_of, play, result_of, rewrite_json, stop_of

NewSite = Callable[..., Site]

FORM = '<form method="post" action="/oauth/authorize">{}</form>'


# signing in


def test_no_login_view(new_app: NewSite) -> None:
    stop = stop_of(play(new_app(OAUTH2_LOGIN_VIEW=None).app, "cli"))
    assert stop.reason == "the provider cannot redirect signed-out users to a login page, because it knows none"
    assert stop.rule == "rfc6749 3.1"
    assert "OAUTH2_LOGIN_VIEW" in stop.hint


def bare_app(tmp_path: Any, **config: Any) -> tuple[flask.Flask, OAuth2Provider]:
    app = flask.Flask("bare", instance_path=str(tmp_path))
    app.config.update(SECRET_KEY="a secret key of the tests", OAUTH2_SCOPES={"profile": "Your name"}, **config)
    return app, OAuth2Provider(app)


def test_no_user_can_sign_in(tmp_path: Any) -> None:
    app, _ = bare_app(tmp_path)
    stop = stop_of(play(app, "cli"))
    assert stop.reason == "no user can sign in, because the provider cannot determine the signed-in user"
    assert "@provider.current_user" in stop.hint


def test_the_login_page_is_not_there(new_app: NewSite) -> None:
    stop = stop_of(play(new_app(OAUTH2_LOGIN_VIEW="/sign-in").app, "cli"))
    assert stop.reason == "the login page responds with 404"


def test_the_login_page_fails(new_app: NewSite) -> None:
    site = new_app(OAUTH2_LOGIN_VIEW="/sign-in")

    @site.app.get("/sign-in")
    def sign_in() -> Any:
        raise RuntimeError("no template")

    assert stop_of(play(site.app, "cli")).reason.endswith("the application raised RuntimeError: no template")


def test_the_login_view_is_no_endpoint(new_app: NewSite) -> None:
    stop = stop_of(play(new_app(OAUTH2_LOGIN_VIEW="nothing").app, "cli"))
    assert "the application raised BuildError" in stop.reason


def test_the_login_page_leads_on(new_app: NewSite) -> None:
    site = new_app(OAUTH2_LOGIN_VIEW="/sign-in")
    site.app.get("/sign-in")(lambda: flask.redirect("https://sso.example/login?x=1"))
    assert "the login page redirects to https://sso.example/login, which the simulation does not open" in notes_of(
        play(site.app, "cli")
    )


def test_the_login_page_is_elsewhere(new_app: NewSite) -> None:
    steps = play(new_app(OAUTH2_LOGIN_VIEW="https://sso.example/login").app, "cli")
    assert result_of(steps, "Redirect a signed-out user") == (
        "the login page is https://sso.example/login, which the simulation does not open"
    )


def test_the_login_page_gets_no_return_url(new_app: NewSite) -> None:
    site = new_app()
    site.app.before_request(lambda: flask.redirect("/login") if flask.request.path == "/oauth/authorize" else None)
    stop = stop_of(play(site.app, "cli"))
    assert stop.reason.startswith("the provider redirects signed-out users to /login without a return URL")


def test_everybody_is_signed_in(tmp_path: Any) -> None:
    app, provider = bare_app(tmp_path, OAUTH2_LOGIN_VIEW="/login")
    provider.current_user(lambda: "everybody")
    assert "every visitor is that user" in notes_of(play(app, "cli"))


def test_the_authorization_endpoint_is_closed(new_app: NewSite) -> None:
    site = new_app()
    site.app.before_request(lambda: ("", 403) if flask.request.path == "/oauth/authorize" else None)
    assert stop_of(play(site.app, "cli")).reason == (
        "/oauth/authorize responds to a signed-out user with 403 and no redirect to the login page"
    )


def test_no_request_can_be_the_simulated_user(new_app: NewSite) -> None:
    site = new_app()
    with open_sandbox(site.app, "eve") as sandbox:
        site.app.get("/who")(lambda: str(sandbox.provider.get_current_user()))
        http = site.app.test_client()
        assert "eve" in http.get("/who", environ_overrides={SIGNED_IN: sandbox.marker}).text
        assert http.get("/who", headers={SIGNED_IN: "eve"}).text == "None"
        for forged in ("eve", True, object()):
            assert http.get("/who", environ_overrides={SIGNED_IN: forged}).text == "None"
        site.sign_in("ada", http)
        assert "ada" in http.get("/who").text


class Row(UserMixin):
    def __init__(self, user_id: str) -> None:
        self.id = user_id


def login_site(tmp_path: Any) -> flask.Flask:
    app, provider = bare_app(tmp_path)
    manager = LoginManager(app)
    manager.login_view = "login"
    manager.session_protection = "strong"

    @manager.user_loader
    def load(user_id: str) -> Any:
        return Row(user_id) if int(user_id) == 7 else None

    @app.get("/login")
    def login() -> str:
        return "sign in"

    @provider.authorize_handler
    @login_required
    def consent(**asked: Any) -> Any:
        return (
            True
            if flask.request.method == "POST"
            else FORM.format(Markup("<p>{}</p><button name=confirm value=yes>Go</button>").format(current_user.id))
        )

    return app


@pytest.mark.parametrize("profile", ["cli", "server"])
def test_flask_login_knows_the_user_too(tmp_path: Any, profile: str) -> None:
    assert notes_of(play(login_site(tmp_path), profile, user="7")) == ""


@pytest.mark.parametrize("user", ["8", "simulated"])
def test_flask_login_does_not_know_the_user(tmp_path: Any, user: str) -> None:
    stop = stop_of(play(login_site(tmp_path), "cli", user=user))
    assert "redirects a signed-in user to http://localhost:5000/login instead of the client" in stop.reason
    assert "--user" in stop.hint


# the consent page


@pytest.mark.parametrize(
    "button",
    [
        '<button name="confirm" value="yes">',
        '<input type="submit" name="confirm" value="no"><input type="submit" name="confirm" value="yes">',
        '<button name="deny" value="1">Do not allow</button><button name="allow" value="1">Allow</button>',
        '<input type="radio" name="confirm" value="no"><input type="radio" name="confirm" value="yes">'
        '<input type="checkbox" name="read" required><textarea></textarea><button>Continue</button>',
    ],
)
def test_a_consent_page_of_the_application(new_app: NewSite, button: str) -> None:
    site = new_app()

    @site.provider.authorize_handler
    def consent(**asked: Any) -> Any:
        if flask.request.method == "GET":
            return FORM.format(button)
        return "yes" in flask.request.form.values() or "allow" in flask.request.form

    assert notes_of(play(site.app, "cli")) == ""


def test_a_consent_page_without_a_usable_form(new_app: NewSite) -> None:
    site = new_app()
    site.provider.authorize_handler(lambda **asked: '<div onclick="decide()">Allow</div>')
    steps = play(site.app, "cli")
    assert "the simulation could not use the page" in notes_of(steps)
    assert "POST /oauth/authorize" not in " ".join(lines_of(steps))


def test_a_consent_page_that_decides_by_itself(new_app: NewSite) -> None:
    site = new_app()
    site.provider.authorize_handler(lambda **asked: True)
    assert "GET /oauth/authorize → 303" in lines_of(play(site.app, "cli"))


def test_a_consent_page_that_always_denies(new_app: NewSite) -> None:
    site = new_app()
    site.provider.authorize_handler(
        lambda **asked: False if flask.request.method == "POST" else FORM.format("<button>Allow</button>")
    )
    stop = stop_of(play(site.app, "cli"))
    assert stop.reason == "the client receives the error access_denied: the resource owner denied the request"
    assert "return True from the authorize_handler" in stop.hint


def test_a_consent_page_that_is_shown_again(new_app: NewSite) -> None:
    site = new_app()
    site.provider.authorize_handler(lambda **asked: FORM.format("<button>Allow</button>"))
    stop = stop_of(play(site.app, "cli"))
    assert stop.reason.startswith("another page follows the consent page")
    assert "return True from the authorize_handler" in stop.hint


def test_a_consent_page_that_is_no_html(new_app: NewSite) -> None:
    site = new_app()
    site.provider.authorize_handler(lambda **asked: {"client": asked["client_id"]})
    assert stop_of(play(site.app, "cli")).reason.startswith("the consent page is application/json instead of HTML")


def test_a_consent_page_that_fails(new_app: NewSite) -> None:
    site = new_app(PROPAGATE_EXCEPTIONS=False)

    @site.provider.authorize_handler
    def consent(**asked: Any) -> Any:
        raise KeyError("name")

    stop = stop_of(play(site.app, "cli"))
    assert stop.reason == "the user sees an error page, status 500: the application raised KeyError: 'name'"


def test_a_policy_keeps_the_browser_from_the_client(new_app: NewSite) -> None:
    site = new_app()

    @site.app.after_request
    def protect(response: flask.Response) -> flask.Response:
        response.headers["Content-Security-Policy"] = "default-src 'self'; form-action 'self'"
        return response

    stop = stop_of(play(site.app, "cli"))
    assert "its Content-Security-Policy \"form-action 'self'\" excludes http:" in stop.reason
    assert "after_request" in stop.hint


def test_the_session_cookie_is_not_sent_back(new_app: NewSite) -> None:
    stop = stop_of(play(new_app(SESSION_COOKIE_DOMAIN="other.example").app, "cli"))
    assert stop.reason.startswith("the user sees an error page, status 400: this page is no longer valid")
    assert "SESSION_COOKIE_DOMAIN" in stop.hint


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("iss=", "issuer=", "the response has the issuer None"),
        ("state=", "status=", "another state than the client sent"),
    ],
)
@pytest.mark.parametrize("is_announced", [True, False])
def test_the_redirect_is_changed(new_app: NewSite, old: str, new: str, reason: str, is_announced: bool) -> None:
    site = new_app()

    @site.app.after_request
    def change(response: flask.Response) -> flask.Response:
        location = response.headers.get("Location", "")
        if location.startswith("http://127.0.0.1"):
            response.headers["Location"] = location.replace(old, new)
        return response

    if not is_announced:
        announced = "authorization_response_iss_parameter_supported"
        rewrite_json(site.app, "/.well-known/", lambda found: found.pop(announced))
    steps = play(site.app, "cli")
    if old == "iss=" and not is_announced:
        assert notes_of(steps) == ""
    else:
        assert reason in stop_of(steps).reason


# forms and policies


def page(html: str = "", policy: str = "", url: str = "https://login.example/oauth/authorize?a=b") -> Exchange:
    headers = Headers({"Content-Type": "text/html"} | ({"Content-Security-Policy": policy} if policy else {}))
    return Exchange("GET", url, 200, headers, html.encode(), None)


def test_what_a_form_holds() -> None:
    [form] = read_forms(
        page(
            '<input name="outside"><form><button>Search</button></form><form method="POST"><input name="a" value="1">'
            '<input type="hidden" name="b"><input type="file" name="c"><input type="checkbox" name="d" checked>'
            '<input type="checkbox" name="e"><input type="reset" name="f"><input type="image" name="g" value="allow">'
            "<button><b>Al</b>low</button></form>"
        )
    )
    assert form.fields == {"a": "1", "b": "", "d": "on"}
    assert form.action == "https://login.example/oauth/authorize?a=b"
    assert [(button.name, button.value, button.text) for button in form.buttons] == [
        ("g", "allow", ""),
        ("", "", "Allow"),
    ]


@pytest.mark.parametrize(
    "html",
    [
        '<form method="post"><button>Deny</button><button>Send</button></form>',
        '<form method="post" action="https://elsewhere.example/"><button>Allow</button></form>',
        "<form><button>Allow</button></form>",
        "<button>Allow</button>",
    ],
)
def test_forms_that_allow_nothing(html: str) -> None:
    assert find_allow(page(html)) is None


@pytest.mark.parametrize(
    ("policy", "target", "is_let"),
    [
        ("", "http://127.0.0.1:5/", True),
        ("default-src 'none'", "http://127.0.0.1:5/", True),
        ("form-action *", "https://client.example/", True),
        ("form-action *", "com.example.app:/back", False),
        ("form-action 'none'", "https://client.example/", False),
        ("; form-action 'self'", "https://login.example/back", True),
        ("form-action 'self' http:", "http://127.0.0.1:5/", True),
        ("FORM-ACTION https:", "http://127.0.0.1:5/", False),
        ("form-action com.example.app:", "com.example.app:/back", True),
        ("form-action http://127.0.0.1:*", "http://127.0.0.1:5/", True),
        ("form-action http://127.0.0.1", "http://127.0.0.1:5/", False),
        ("form-action client.example", "https://client.example/back", True),
        ("form-action https://client.example:443", "https://client.example/back", True),
        ("form-action http://client.example", "https://client.example/back", False),
        ("form-action *.example", "https://client.example/back", True),
        ("form-action https://client.example/other", "https://client.example/back", False),
        ("form-action https:, form-action 'self'", "https://client.example/", False),
    ],
)
def test_whether_a_policy_lets_a_form_through(policy: str, target: str, is_let: bool) -> None:
    assert (find_obstacle(page(policy=policy), target) is None) is is_let
