"""The simulated registered clients: a page, a program, a device, a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import flask
import pytest

from flask_oauth2 import ConfigurationError, current_token
from oauth_site import Site
from simulated import lines_of, notes_of, play, result_of, rewrite_json, stop_of

NewSite = Callable[..., Site]

DEVICES = ["authorization_code", "refresh_token", "device_code"]


def readable(site: Site) -> Site:
    """Let pages of any site read the responses of the application's own views."""

    @site.app.after_request
    def allow(response: flask.Response) -> flask.Response:
        if flask.request.path == "/api/me":
            response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    return site


@pytest.mark.parametrize("profile", ["spa", "cli", "server"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"OAUTH2_ISSUER": None},
        {"OAUTH2_ACCESS_TOKEN_FORMAT": "signed"},
        {"OAUTH2_REFRESH_TOKEN_GRACE_PERIOD_PUBLIC": 60},
        {"OAUTH2_GRANT_TYPES": [*DEVICES, "client_credentials"]},
        {"OAUTH2_SCOPES": {}},
        {"OAUTH2_ISSUER": "https://login.example/t1"},
        {"APPLICATION_ROOT": "/notes"},
    ],
    ids=str,
)
def test_an_application_in_order(new_app: NewSite, profile: str, options: dict[str, Any]) -> None:
    steps = play(readable(new_app(**options)).app, profile)
    assert notes_of(steps) == ""
    mount = options.get("APPLICATION_ROOT") or urlsplit(options.get("OAUTH2_ISSUER") or "").path
    assert result_of(steps, "Call a view") == f"{mount}/api/me accepts the token"
    assert f"GET {mount}/api/me → 401" in lines_of(steps)


def test_what_belongs_to_a_resource_is_asked_for_it(new_app: NewSite) -> None:
    site = new_app()
    site.provider.protect_resource("/api", ["mail"])
    steps = play(site.app, "server")
    assert steps[0].learnt.endswith("the client requests mail profile")
    assert notes_of(steps) == ""


def test_a_view_within_a_resource_is_guarded_by_it(new_app: NewSite) -> None:
    site = new_app()
    site.provider.protect_resource("/data", ["mail"])
    site.app.get("/data/all")(lambda: {"for": current_token.user_id})
    steps = play(site.app, "server", "/data/all")
    assert steps[0].learnt.endswith("the client requests mail")
    assert result_of(steps, "Call a view") == "/data/all accepts the token"


def test_no_view_has_a_guard(new_app: NewSite) -> None:
    for profile in ("spa", "cli", "server"):
        site = new_app()
        site.app.view_functions["me"] = lambda: "open"
        steps = play(site.app, profile)
        assert notes_of(steps) == ""
        assert result_of(steps, "Call a view").startswith("no guarded view accepts")


def test_an_mcp_server_alone(mcp_site: NewSite) -> None:
    site = mcp_site()
    site.app.view_functions["me"] = lambda: "open"
    steps = play(site.app, "cli")
    assert steps[0].learnt.endswith("the client requests profile write")


def test_views_that_cannot_be_tried_are_passed_over(new_app: NewSite) -> None:
    site = new_app()
    guard = site.provider.require_oauth("mail")
    site.app.view_functions["me"] = lambda: "open"
    site.app.get("/api/<name>", endpoint="named")(guard(lambda name: name))
    site.app.post("/api/send", endpoint="send")(guard(lambda: "sent"))
    site.app.get("/api/greet", endpoint="greet")(site.provider.require_oauth(optional=True)(lambda: "hello"))
    site.app.get("/api/mail", endpoint="mail")(guard(lambda: "mail"))
    assert result_of(play(site.app, "cli"), "Call a view") == "/api/mail accepts the token"
    assert result_of(play(site.app, "cli", "/api/ada"), "Call a view") == "/api/ada accepts the token"
    with pytest.raises(ConfigurationError, match="no view accepts GET at /api/send/all"):
        play(site.app, "cli", "/api/send/all")


# a guard, and what it demands


def test_a_scope_that_oauth2_scopes_lacks(new_app: NewSite) -> None:
    site = new_app()
    site.app.view_functions["me"] = site.provider.require_oauth("shout")(lambda: "HELLO")
    for profile in ("spa", "cli", "server"):
        stop = stop_of(play(site.app, profile))
        assert stop.reason.startswith("the client receives the error invalid_scope")
        assert stop.rule == "rfc6749 3.3"
        assert stop.hint.startswith("add shout to OAUTH2_SCOPES")


def test_less_scope_than_the_view_demands(new_app: NewSite) -> None:
    stop = stop_of(play(new_app().app, "cli", scope="mail"))
    assert stop.reason == "/api/me rejects the token that was issued for it: the scope of the token is insufficient"
    assert stop.rule == "rfc6750 3.1"


def test_a_view_without_a_guard_is_named(new_app: NewSite) -> None:
    stop = stop_of(play(new_app().app, "server", "/login"))
    assert stop.reason == "/login responds with 200 to a request without a valid token, instead of 401 and a challenge"


def test_a_view_that_redirects_to_the_login_page(new_app: NewSite) -> None:
    site = new_app()

    @site.app.errorhandler(401)
    def to_login(error: Exception) -> Any:
        return flask.redirect("/login")

    @site.app.after_request
    def redirect(response: flask.Response) -> Any:
        return flask.redirect("/login") if response.status_code == 401 else response

    assert "/api/me responds with 302" in stop_of(play(site.app, "cli")).reason


def test_the_view_fails(new_app: NewSite) -> None:
    site = new_app(PROPAGATE_EXCEPTIONS=False)

    def fail() -> Any:
        return {"id": int(current_token.user["id"])}

    site.app.view_functions["me"] = site.provider.require_oauth("profile")(fail)
    stop = stop_of(play(site.app, "cli"))
    assert stop.reason.startswith(
        "/api/me responds with 500: the application raised ValueError: invalid literal for int()"
    )
    assert "--user" in stop.hint
    assert notes_of(play(site.app, "cli", user="7")) == ""


def test_the_view_itself_finds_nothing(new_app: NewSite) -> None:
    site = new_app()
    site.app.view_functions["me"] = site.provider.require_oauth("profile")(lambda: ("", 404))
    assert "the view itself responds with 404" in notes_of(play(site.app, "cli"))


def test_a_view_that_accepts_a_revoked_token(new_app: NewSite) -> None:
    site, seen = new_app(), set[str]()

    @site.app.before_request
    def remember() -> Any:
        return {"remembered": True} if flask.request.headers.get("Authorization") in seen else None

    @site.app.after_request
    def note(response: flask.Response) -> flask.Response:
        if flask.request.path == "/api/me" and response.status_code == 200:
            seen.add(flask.request.headers["Authorization"])
        return response

    assert stop_of(play(site.app, "cli")).reason == "the view responds to the revoked token with 200 instead of 401"
    assert stop_of(play(site.app, "server")).reason == "the view responds to the revoked token with 200 instead of 401"
    assert "the access token still works" in stop_of(play(site.app, "spa")).reason


def test_a_refreshed_token_is_refused(new_app: NewSite) -> None:
    site, calls = new_app(), list[str]()

    def answer() -> Any:
        calls.append(flask.request.path)
        return ("", 401) if calls.count("/api/me") == 4 else None

    site.app.before_request(answer)
    assert stop_of(play(site.app, "cli")).reason == "the view rejects the refreshed token"


# a page


def test_an_extension_writes_cors_over_ours(new_app: NewSite) -> None:
    site = readable(new_app())

    @site.app.after_request
    def overwrite(response: flask.Response) -> flask.Response:
        if flask.request.path == "/oauth/token":
            response.headers["Access-Control-Allow-Origin"] = "https://www.example"
        return response

    steps = play(site.app, "spa")
    stop = stop_of(steps)
    assert stop.reason == (
        "the browser does not let a page of https://client.example read the response of the token endpoint: "
        "Access-Control-Allow-Origin is https://www.example"
    )
    assert "Flask-CORS" in stop.hint
    assert "does not allow a preflight request of https://client.example" in steps[1].notes[0]


def test_cors_comes_twice(new_app: NewSite) -> None:
    site = readable(new_app())

    @site.app.after_request
    def add(response: flask.Response) -> flask.Response:
        response.headers.add("Access-Control-Allow-Origin", "*")
        return response

    stop = stop_of(play(site.app, "spa"))
    assert stop.reason.endswith("read the metadata: Access-Control-Allow-Origin is *, *")


def test_pages_of_any_site_may_call(new_app: NewSite) -> None:
    site = readable(new_app())

    @site.app.after_request
    def open_all(response: flask.Response) -> flask.Response:
        response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    assert "pages of any site may call /oauth/token, not only those of clients" in notes_of(play(site.app, "spa"))


def test_cors_headers_are_removed(new_app: NewSite) -> None:
    site = new_app()

    @site.app.after_request
    def strip(response: flask.Response) -> flask.Response:
        response.headers.pop("Access-Control-Allow-Origin", None)
        return response

    assert stop_of(play(site.app, "spa")).reason.endswith("Access-Control-Allow-Origin is missing")


def test_the_views_are_of_the_same_site(new_app: NewSite) -> None:
    assert "pages of another site cannot read the response of /api/me" in notes_of(play(new_app().app, "spa"))


def test_a_page_without_refresh_tokens(new_app: NewSite) -> None:
    steps = play(readable(new_app(OAUTH2_GRANT_TYPES=["authorization_code"])).app, "spa")
    assert "the response has no refresh token" in notes_of(steps)
    assert result_of(steps, "Reuse the old refresh token") == "the client has used no refresh token"


def answer_tokens(site: Site, **members: Any) -> None:
    rewrite_json(site.app, "/oauth/token", lambda got: got.update(members))


def test_the_refresh_token_stays(new_app: NewSite) -> None:
    site, first = readable(new_app()), list[str]()

    def keep(got: dict[str, Any]) -> None:
        first.append(got["refresh_token"])
        got["refresh_token"] = first[0]

    rewrite_json(site.app, "/oauth/token", keep)
    steps = play(site.app, "spa")
    assert "the refresh token stays the same" in "\n".join(note for step in steps for note in step.notes)


def test_a_spent_refresh_token_is_good_again(new_app: NewSite) -> None:
    for counted in (1, 2):
        site, seen = readable(new_app()), list[str]()

        def answer(seen: list[str] = seen, counted: int = counted) -> Any:
            sent = flask.request.form.get("refresh_token")
            if sent is None or flask.request.path != "/oauth/token":
                return None
            seen.append(sent)
            if len(seen) == 1 + counted:
                headers = {"Access-Control-Allow-Origin": "*"}
                return {"access_token": "again", "token_type": "Bearer"}, 200, headers
            return None

        site.app.before_request(answer)
        reason = stop_of(play(site.app, "spa")).reason
        assert ("accepts a spent refresh token" if counted == 1 else "the next refresh token still works") in reason


# tokens


def test_the_token_endpoint_is_closed(new_app: NewSite) -> None:
    site = new_app()
    site.app.before_request(lambda: ({"error": "maintenance"}, 503) if flask.request.path == "/oauth/token" else None)
    assert stop_of(play(site.app, "cli")).reason == "the token endpoint responds with 503 maintenance"
    assert "the token endpoint responds to a wrong secret with 503" in stop_of(play(site.app, "server")).reason


def test_tokens_of_another_type(new_app: NewSite) -> None:
    site = new_app()
    answer_tokens(site, token_type="MAC")
    assert "the token has the type 'MAC'" in stop_of(play(site.app, "cli")).reason


def test_revocation_is_closed(new_app: NewSite) -> None:
    site = new_app()
    site.app.before_request(lambda: ("", 503) if flask.request.path == "/oauth/revoke" else None)
    assert stop_of(play(site.app, "cli")).reason == "the revocation endpoint responds with 503"


def test_the_verifier_is_not_checked(new_app: NewSite) -> None:
    site = new_app()
    site.app.before_request(lambda: ({}, 200) if flask.request.path == "/oauth/token" else None)
    assert "accepts the code with a wrong code verifier" in stop_of(play(site.app, "cli")).reason


# a device


def test_a_device_is_connected(new_app: NewSite) -> None:
    steps = play(new_app(OAUTH2_GRANT_TYPES=DEVICES).app, "cli")
    assert "and allowed access: a token with the scope profile" in result_of(steps, "Connect without a browser")
    assert notes_of(steps) == ""


def test_devices_alone(new_app: NewSite) -> None:
    steps = play(new_app(OAUTH2_GRANT_TYPES=["device_code"]).app, "cli")
    assert "GET /oauth/device → 303" in lines_of(steps)
    assert (
        result_of(steps, "Connect without a browser")
        == "done in an earlier step, because the provider only supports devices"
    )


def test_no_devices(new_app: NewSite) -> None:
    assert result_of(play(new_app().app, "cli"), "Connect without a browser").startswith(
        "the provider does not support devices"
    )


@pytest.mark.parametrize(
    ("path", "method", "answer", "reason"),
    [
        (
            "/oauth/device_authorization",
            "POST",
            ("", 503),
            "the device authorization endpoint responds with 503 and no user code",
        ),
        ("/oauth/device", "POST", ("", 503), "status 503, has no form that allows access"),
        ("/oauth/device", "GET", ("", 403), "/oauth/device responds to a signed-out user with 403"),
    ],
)
def test_what_a_device_needs_is_closed(new_app: NewSite, path: str, method: str, answer: Any, reason: str) -> None:
    site = new_app(OAUTH2_GRANT_TYPES=["device_code"])
    site.app.before_request(lambda: answer if (flask.request.path, flask.request.method) == (path, method) else None)
    assert reason in stop_of(play(site.app, "cli")).reason


def test_the_page_of_the_device_leads_to_the_login_page(new_app: NewSite) -> None:
    site = new_app(OAUTH2_GRANT_TYPES=DEVICES)
    site.app.before_request(lambda: flask.redirect("/login") if flask.request.path == "/oauth/device" else None)
    assert (
        "redirects a signed-in user to https://login.example/login instead of the page"
        in stop_of(play(site.app, "cli")).reason
    )


def test_a_decision_that_fails(new_app: NewSite) -> None:
    site = new_app(OAUTH2_GRANT_TYPES=DEVICES)
    site.app.before_request(
        lambda: ("", 503) if flask.request.path == "/oauth/device" and "decision" in flask.request.form else None
    )
    assert stop_of(play(site.app, "cli")).reason == "the page responds to the decision with 503"


def test_a_device_that_need_not_wait(new_app: NewSite) -> None:
    site = new_app(OAUTH2_GRANT_TYPES=DEVICES)
    site.app.before_request(lambda: ({"error": "expired_token"}, 400) if "device_code" in flask.request.form else None)
    assert (
        stop_of(play(site.app, "cli")).reason
        == "the token endpoint responds with 400 to a device whose user has not decided yet"
    )


# a server


def test_a_server_that_acts_for_itself_alone(new_app: NewSite) -> None:
    steps = play(new_app(OAUTH2_GRANT_TYPES=["client_credentials"]).app, "server")
    assert result_of(steps, "Introspect the token") == "the token of the client itself is active"
    assert result_of(steps, "Redirect a signed-out user").startswith("no user is redirected")
    assert notes_of(steps) == ""


def test_clients_cannot_act_for_themselves(new_app: NewSite) -> None:
    steps = play(new_app(OAUTH2_GRANT_TYPES=["authorization_code"]).app, "server")
    assert result_of(steps, "Request a token with client_credentials").startswith(
        "clients cannot use client_credentials"
    )


def test_a_view_that_needs_a_user(new_app: NewSite) -> None:
    site = new_app()
    site.app.view_functions["me"] = site.provider.require_oauth("profile")(lambda: {"name": current_token.user["name"]})
    notes = notes_of(play(site.app, "server"))
    assert "/api/me responds with 500 to a client_credentials token" in notes
    assert "TypeError" in notes


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda got: got.update(active=False), "introspection responds with 200"),
        (lambda got: got.update(active=True), "introspection reports the revoked token as active"),
    ],
)
def test_introspection_is_changed(new_app: NewSite, change: Any, reason: str) -> None:
    site = new_app()
    rewrite_json(site.app, "/oauth/introspect", change)
    assert reason in stop_of(play(site.app, "server")).reason


def test_no_introspection(new_app: NewSite) -> None:
    site = new_app()
    rewrite_json(site.app, "/.well-known/", lambda found: found.pop("introspection_endpoint"))
    assert stop_of(play(site.app, "server")).reason == "the metadata has no introspection_endpoint"
