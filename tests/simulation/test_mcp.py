"""The simulated MCP client: it succeeds without problems, and stops where a real client fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import flask
import pytest
from a2wsgi import ASGIMiddleware
from mcp.server.mcpserver import MCPServer

from flask_oauth2 import OAuth2Provider, current_token
from oauth_site import Site
from simulated import initialize, lines_of, notes_of, play, result_of, rewrite_json, stop_of

NewSite = Callable[..., Site]

MCP = "mcp-authorization"


@pytest.mark.parametrize("options", [{}, {"OAUTH2_ACCESS_TOKEN_FORMAT": "signed"}, {"OAUTH2_TOKEN_CACHE_TTL": 10}])
def test_a_server_in_order(mcp_site: NewSite, options: dict[str, Any]) -> None:
    steps = play(mcp_site(**options).app, "mcp")
    assert notes_of(steps) == ""
    assert len(steps) == 11
    assert result_of(steps, "Call with the token") == "the server is 'notes'"
    assert result_of(steps, "Request more scope") == "the client has the scope write too"
    lines = lines_of(steps)
    assert lines[:3] == [
        "POST /mcp → 401",
        "GET /.well-known/oauth-protected-resource/mcp → 200",
        "GET /.well-known/oauth-authorization-server → 200",
    ]
    assert lines[-2:] == ["POST /oauth/revoke → 200", "POST /mcp → 401"]


def test_the_issuer_may_have_a_path(mcp_site: NewSite) -> None:
    steps = play(mcp_site(OAUTH2_ISSUER="https://login.example/t1").app, "mcp")
    assert "GET /.well-known/oauth-authorization-server/t1 → 200" in lines_of(steps)
    assert notes_of(steps) == ""


def test_the_application_may_be_mounted(mcp_site: NewSite) -> None:
    steps = play(mcp_site(APPLICATION_ROOT="/notes").app, "mcp")
    assert lines_of(steps)[:3] == [
        "POST /notes/mcp → 401",
        "GET /.well-known/oauth-protected-resource/notes/mcp → 200",
        "GET /.well-known/oauth-authorization-server → 200",
    ]
    assert "GET /notes/oauth/authorize → 200" in lines_of(steps)
    assert notes_of(steps) == ""


# without a token


def test_nothing_is_there(new_app: NewSite) -> None:
    stop = stop_of(play(new_app().app, "mcp"))
    assert stop.reason == "no view accepts POST at /mcp"
    assert "--path" in stop.hint
    assert "provider.protect_mcp('/mcp', …)" in stop.hint


def test_another_path(new_app: NewSite) -> None:
    site = new_app()
    site.provider.protect_mcp("/tools/mcp", ["profile"])
    site.app.post("/tools/mcp", endpoint="mcp")(initialize)
    assert notes_of(play(site.app, "mcp")) == ""
    assert stop_of(play(site.app, "mcp", "/mcp")).reason == "no view accepts POST at /mcp"


def test_a_server_without_a_guard(new_app: NewSite) -> None:
    site = new_app()
    site.app.post("/mcp")(dict)
    stop = stop_of(play(site.app, "mcp"))
    assert stop.reason == "/mcp responds without a token, so no client signs in"
    assert stop.rule == f"{MCP} O Errors"


@pytest.mark.parametrize(
    ("answer", "received"),
    [(lambda: flask.redirect("/login"), "a redirect to https://login.example/login"), (lambda: ("", 403), "403")],
)
def test_something_else_than_401(new_app: NewSite, answer: Any, received: str) -> None:
    site = new_app()
    site.app.post("/mcp", endpoint="mcp")(answer)
    stop = stop_of(play(site.app, "mcp"))
    assert stop.reason.startswith(f"/mcp responds to a request without a token with {received}")


def test_a_login_before_every_request(mcp_site: NewSite) -> None:
    site = mcp_site()
    site.app.before_request_funcs.setdefault(None, []).insert(0, lambda: sign_in_first("/login"))
    stop = stop_of(play(site.app, "mcp"))
    assert "a redirect to https://login.example/login" in stop.reason
    assert "before_request" in stop.hint


def sign_in_first(*spared: str) -> Any:
    return None if flask.request.path.startswith(spared) or flask.session else flask.redirect("/login")


def test_an_unknown_host(mcp_site: NewSite) -> None:
    stop = stop_of(play(mcp_site(TRUSTED_HOSTS=["127.0.0.1"]).app, "mcp"))
    assert stop.reason == "there is no authorization server metadata at the URLs that clients try"
    assert "TRUSTED_HOSTS" in stop.hint


# metadata of the resource


@pytest.mark.parametrize("instead", [None, 'Basic realm="notes"'])
def test_no_challenge(mcp_site: NewSite, instead: str | None) -> None:
    site = mcp_site()

    @site.app.after_request
    def strip(response: flask.Response) -> flask.Response:
        if response.headers.pop("WWW-Authenticate", None) and instead:
            response.headers["WWW-Authenticate"] = instead
        return response

    steps = play(site.app, "mcp")
    assert "the 401 response has no WWW-Authenticate: Bearer" in notes_of(steps)
    assert lines_of(steps)[1] == "GET /.well-known/oauth-protected-resource/mcp → 200"


def test_no_metadata_of_the_resource(new_app: NewSite) -> None:
    site = new_app(OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_REGISTRATION_SCOPES=["profile"])
    site.app.post("/mcp", endpoint="mcp")(site.provider.require_oauth("profile")(initialize))
    steps = play(site.app, "mcp")
    assert "a token with the scope profile is required" in steps[0].learnt
    notes = notes_of(steps)
    assert "the challenge has no resource_metadata (RFC 9728 section 5.1)" in notes
    assert "as in revision 2025-03-26" in notes
    assert lines_of(steps)[1:3] == [
        "GET /.well-known/oauth-protected-resource/mcp → 404",
        "GET /.well-known/oauth-protected-resource → 404",
    ]


def test_the_url_is_of_another_host(mcp_site: NewSite) -> None:
    steps = play(mcp_site().app, "mcp", "https://tools.example/mcp")
    stop = stop_of(steps)
    assert stop.reason.startswith(
        "the document describes https://login.example/mcp instead of https://tools.example/mcp"
    )
    assert stop.rule == "rfc9728 3.3"
    assert "OAUTH2_ISSUER" in stop.hint
    assert "is on another host and was skipped" in steps[-1].notes[0]


def test_the_authorization_server_is_elsewhere(mcp_site: NewSite) -> None:
    site = mcp_site()
    rewrite_json(
        site.app,
        "/.well-known/oauth-protected-resource",
        lambda found: found.update(authorization_servers=["https://sso.example"]),
    )
    assert "another host: the simulation only runs this application" in stop_of(play(site.app, "mcp")).reason


def test_no_scope_is_named_and_the_client_asks_for_all(new_app: NewSite) -> None:
    site = new_app()
    site.provider.protect_mcp("/mcp", step_up=["write"])
    site.app.post("/mcp", endpoint="mcp")(initialize)
    steps = play(site.app, "mcp")
    assert "requests every scope of the authorization server: write" in notes_of(steps)


def test_the_challenge_names_no_scope_and_the_resource_does(mcp_site: NewSite) -> None:
    site = mcp_site()

    @site.app.after_request
    def shorten(response: flask.Response) -> flask.Response:
        if "WWW-Authenticate" in response.headers:
            text = response.headers["WWW-Authenticate"]
            response.headers["WWW-Authenticate"] = text.replace('scope="profile", ', "")
        return response

    assert "the challenge names no scope, so the client requests all of scopes_supported: profile" in notes_of(
        play(site.app, "mcp")
    )


@pytest.mark.parametrize("status", [429, 503])
def test_the_resource_says_nothing_of_itself_for_now(mcp_site: NewSite, status: int) -> None:
    site = mcp_site()
    limited = "/.well-known/oauth-protected-resource/mcp"
    site.app.before_request(lambda: ("", status) if flask.request.path == limited else None)
    assert "GET /.well-known/oauth-protected-resource → 200" in lines_of(play(site.app, "mcp"))
    site = mcp_site()
    site.app.before_request(lambda: ("", status) if "protected-resource" in flask.request.path else None)
    assert f"responds with {status}, so the client cannot tell" in stop_of(play(site.app, "mcp")).reason


# metadata of the server


@pytest.mark.parametrize("status", [500, 204])
def test_the_metadata_fails(mcp_site: NewSite, status: int) -> None:
    site = mcp_site()
    failing = "/.well-known/oauth-authorization-server"
    site.app.before_request(lambda: ("", status) if flask.request.path == failing else None)
    assert (
        f"{failing} responds with {status}: clients only try the next URL after a 4xx status"
        in stop_of(play(site.app, "mcp")).reason
    )


def test_well_known_paths_lead_to_the_login_page(mcp_site: NewSite) -> None:
    site = mcp_site()
    site.app.before_request_funcs.setdefault(None, []).insert(
        0, lambda: sign_in_first("/login", "/mcp", "/.well-known/oauth-protected")
    )
    stop = stop_of(play(site.app, "mcp"))
    assert stop.reason == (
        "/.well-known/oauth-authorization-server redirects to https://login.example/login. Some clients stop "
        "here, others find a page there"
    )
    assert stop.rule == "rfc8414 3.2"


def test_a_route_for_everything_else_leads_to_the_login_page(mcp_site: NewSite) -> None:
    site = mcp_site()
    site.app.get("/<path:path>", endpoint="rest")(lambda path: flask.redirect("/login"))
    assert "/.well-known/openid-configuration responds with 302: clients that try this URL first stop here" in notes_of(
        play(site.app, "mcp")
    )


def test_the_metadata_is_hidden(mcp_site: NewSite) -> None:
    site = mcp_site()
    hidden = "/.well-known/oauth-authorization-server"
    site.app.before_request(lambda: ("", 404) if flask.request.path.startswith(hidden) else None)
    steps = play(site.app, "mcp")
    assert stop_of(steps).reason == "there is no authorization server metadata at the URLs that clients try"
    assert lines_of(steps)[-1] == "GET /.well-known/openid-configuration → 404"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"issuer": "https://login.example/"}, "instead of 'https://login.example', which the client used"),
        ({"token_endpoint": None}, "the metadata has no token_endpoint"),
        ({"code_challenge_methods_supported": ["plain"]}, "does not contain the code challenge method S256"),
        ({"token_endpoint": "https://sso.example/token"}, "on another host: the simulation only runs this application"),
        ({"revocation_endpoint": None}, "the metadata has no revocation_endpoint"),
    ],
)
def test_the_metadata_is_changed(mcp_site: NewSite, change: dict[str, Any], reason: str) -> None:
    site = mcp_site()
    rewrite_json(site.app, "/.well-known/oauth-authorization-server", lambda found: found.update(change))
    assert reason in stop_of(play(site.app, "mcp")).reason


def test_iss_is_not_announced(mcp_site: NewSite) -> None:
    site = mcp_site()
    member = "authorization_response_iss_parameter_supported"
    rewrite_json(site.app, "/.well-known/oauth-authorization-server", lambda found: found.pop(member))
    assert "does not announce iss" in notes_of(play(site.app, "mcp"))


def test_no_grant_type_with_a_user(mcp_site: NewSite) -> None:
    stop = stop_of(
        play(mcp_site(OAUTH2_GRANT_TYPES=["client_credentials"], OAUTH2_DYNAMIC_REGISTRATION="off").app, "mcp")
    )
    assert stop.reason == "the metadata has no authorization_endpoint"
    assert "authorization_code" in stop.hint


# registration


def test_registration_is_off(mcp_site: NewSite) -> None:
    stop = stop_of(
        play(mcp_site(OAUTH2_DYNAMIC_REGISTRATION="off", OAUTH2_CLIENT_ID_METADATA_DOCUMENTS=False).app, "mcp")
    )
    assert "needs a client registered by hand" in stop.reason
    assert "OAUTH2_DYNAMIC_REGISTRATION = 'open'" in stop.hint


def test_clients_with_a_document_alone(mcp_site: NewSite) -> None:
    steps = play(mcp_site(OAUTH2_DYNAMIC_REGISTRATION="off", OAUTH2_CLIENT_ID_METADATA_DOCUMENTS=True).app, "mcp")
    assert "only clients with a metadata document can connect" in notes_of(steps)


def test_registration_asks_for_a_token(mcp_site: NewSite) -> None:
    stop = stop_of(
        play(mcp_site(OAUTH2_DYNAMIC_REGISTRATION="token", OAUTH2_CLIENT_ID_METADATA_DOCUMENTS=False).app, "mcp")
    )
    assert stop.reason == "registration requires an initial access token, which MCP clients do not have"


def test_registration_is_refused(mcp_site: NewSite) -> None:
    site = mcp_site()
    site.app.before_request(
        lambda: ({"error": "invalid_client_metadata"}, 400) if flask.request.path == "/oauth/register" else None
    )
    assert (
        stop_of(play(site.app, "mcp")).reason == "the registration endpoint responds with 400 invalid_client_metadata"
    )


def test_registration_gives_another_method(mcp_site: NewSite) -> None:
    site = mcp_site()
    rewrite_json(site.app, "/oauth/register", lambda got: got.update(token_endpoint_auth_method="tls_client_auth"))
    assert "token_endpoint_auth_method to tls_client_auth" in stop_of(play(site.app, "mcp")).reason


def test_a_client_may_be_given_a_secret(mcp_site: NewSite) -> None:
    site = mcp_site()

    def give(got: dict[str, Any]) -> None:
        got["client_secret"] = "s" * 20
        got["token_endpoint_auth_method"] = "client_secret_basic"

    rewrite_json(site.app, "/oauth/register", give)
    assert stop_of(play(site.app, "mcp")).rule.startswith("rfc6749")  # it was registered without one


# the view


def test_the_view_fails(mcp_site: NewSite) -> None:
    def fail() -> Any:
        raise LookupError("no notes")

    for options in ({}, {"PROPAGATE_EXCEPTIONS": False}):
        stop = stop_of(play(mcp_site(fail, **options).app, "mcp"))
        assert stop.reason == "/mcp responds to initialize with 500: the application raised LookupError: no notes"


@pytest.mark.parametrize("place", ["/mcp/", "https://login.example/mcp/"])
def test_the_view_has_a_slash_at_its_end(new_app: NewSite, place: str) -> None:
    site = new_app()
    site.provider.protect_mcp("/mcp", ["profile"])
    site.app.post("/mcp", endpoint="moved")(lambda: flask.redirect(place, 307))
    site.app.post("/mcp/", endpoint="mcp")(initialize)
    assert "/mcp redirects to /mcp/" in notes_of(play(site.app, "mcp"))


def test_the_view_leads_to_another_host(mcp_site: NewSite) -> None:
    site = mcp_site(lambda: flask.redirect("https://elsewhere.example/mcp", 307))
    assert stop_of(play(site.app, "mcp")).reason == "/mcp responds to initialize with 307"


def test_a_server_of_the_sdk(tmp_path: Path) -> None:
    with Behind(tmp_path) as app:
        steps = play(app, "mcp")
    assert "redirects to" not in notes_of(steps)
    assert result_of(steps, "Call with the token") == "the server is 'mounted'"


class Behind:
    """A server of the MCP SDK, mounted as part of a Flask application."""

    def __init__(self, folder: Path) -> None:
        self._app = flask.Flask("mounted", instance_path=str(folder))
        self._app.config.update(
            SECRET_KEY="a secret key of the tests", OAUTH2_ISSUER="http://localhost:5000", OAUTH2_LOGIN_VIEW="/login"
        )
        self._app.get("/login")(lambda: "sign in")
        self._provider = OAuth2Provider(self._app)
        self._provider.current_user(lambda: None)
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)
        self._stop = asyncio.Event()

    def __enter__(self) -> flask.Flask:
        mcp = MCPServer("mounted")
        asgi = mcp.streamable_http_app(streamable_http_path="/", stateless_http=True)
        self._provider.protect_mcp("/mcp", ["tools"], wsgi_app=ASGIMiddleware(asgi, loop=self._loop))
        self._thread.start()
        self._running = asyncio.run_coroutine_threadsafe(self._run(mcp), self._loop)
        return self._app

    async def _run(self, mcp: MCPServer) -> None:
        async with mcp.session_manager.run():
            await self._stop.wait()

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._running.result(300)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def test_the_view_is_no_mcp_server(mcp_site: NewSite) -> None:
    assert "has no serverInfo" in notes_of(play(mcp_site(lambda: {"result": "hello"}).app, "mcp"))


def test_the_view_answers_by_events(mcp_site: NewSite) -> None:
    def stream() -> Any:
        def events() -> Any:
            yield 'event: message\ndata: {"result": {"serverInfo": {"name": "endless"}}}\n\n'
            while True:
                yield ": and on\n\n"

        return flask.Response(events(), mimetype="text/event-stream")

    assert result_of(play(mcp_site(stream).app, "mcp"), "Call with the token") == "the server is 'endless'"


@pytest.mark.parametrize(
    ("number", "status", "reason", "rule"),
    [
        (2, 401, "the server rejects the token that was just issued", "O Token handling"),
        (2, 404, "/mcp responds to initialize with 404", "O Overview"),
        (3, 401, "the server rejects the refreshed token", "O Token handling"),
        (4, 200, "the server responds to a token for another resource with 200 instead of 401", "O Token handling"),
        (
            5,
            200,
            "the server responds to a token without the scope profile with 200 instead of 403 insufficient_scope",
            "O Scope challenge",
        ),
        (6, 401, "the server rejects the token with more scope", "O Token handling"),
        (7, 200, "the server responds to the revoked token with 200 instead of 401", "O Token handling"),
    ],
)
def test_one_call_is_answered_as_it_must_not_be(
    mcp_site: NewSite, number: int, status: int, reason: str, rule: str
) -> None:
    site, calls = mcp_site(), list[str]()

    def answer() -> Any:
        if flask.request.path == "/mcp":
            calls.append("")
            return ("{}", status) if len(calls) == number else None
        return None

    site.app.before_request_funcs.setdefault(None, []).insert(0, answer)
    stop = stop_of(play(site.app, "mcp"))
    assert stop.reason == reason
    assert stop.rule == f"{MCP} {rule}"


def test_the_guard_is_outside_of_the_resource(new_app: NewSite) -> None:
    site = new_app(OAUTH2_DYNAMIC_REGISTRATION="open")
    site.provider.protect_resource("/api", ["mail"])
    site.app.post("/mcp", endpoint="mcp")(site.provider.require_oauth(initialize))
    stop = stop_of(play(site.app, "mcp", "/mcp"))
    assert stop.reason.startswith("the document describes https://login.example/api instead of")
    assert "provider.protect_mcp('/mcp', …)" in stop.hint


def test_a_token_that_is_for_another_resource(new_app: NewSite) -> None:
    site = new_app(OAUTH2_DYNAMIC_REGISTRATION="open")
    site.provider.protect_resource("/api", ["mail"])
    site.provider.protect_resource("/data", ["write"])
    site.app.post("/mcp", endpoint="mcp")(site.provider.require_oauth(initialize))
    stop = stop_of(play(site.app, "mcp", "/mcp", "mail"))
    assert stop.reason == "the server rejects the token that was just issued: the token is for another resource"
    assert stop.rule == "rfc8707 2"


def test_less_scope_than_was_asked_for(mcp_site: NewSite) -> None:
    site = mcp_site()
    rewrite_json(site.app, "/oauth/token", lambda got: got.update(scope="profile"))
    stop = stop_of(play(site.app, "mcp"))
    assert stop.reason == "the client requested profile write and received profile"


def test_the_view_needs_more_than_was_said(mcp_site: NewSite) -> None:
    def demanding() -> Any:
        current_token.require("write")
        return initialize()

    steps = play(mcp_site(demanding).app, "mcp")
    assert (
        "initialize requires the scope profile write, which the challenge of the request without a token did not name"
        in notes_of(steps)
    )


def test_the_view_forbids_without_a_reason(mcp_site: NewSite) -> None:
    stop = stop_of(play(mcp_site(lambda: ("", 403)).app, "mcp"))
    assert stop.reason == "/mcp responds with 403 without a challenge that names the required scope"
    assert "current_token.require()" in stop.hint


def test_the_view_is_never_content(mcp_site: NewSite) -> None:
    def never() -> Any:
        return "", 403, {"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="profile"'}

    assert "although its challenge names it" in stop_of(play(mcp_site(never).app, "mcp")).reason


def test_a_challenge_that_names_an_unknown_scope(mcp_site: NewSite) -> None:
    def unknown() -> Any:
        return "", 403, {"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="shout"'}

    stop = stop_of(play(mcp_site(unknown).app, "mcp"))
    assert stop.reason.startswith("the challenge names the scope shout")
    assert "OAUTH2_SCOPES" in stop.hint


def test_registered_clients_do_not_get_what_the_resource_needs(mcp_site: NewSite) -> None:
    stop = stop_of(
        play(mcp_site(OAUTH2_REGISTRATION_SCOPES=["mail"], OAUTH2_CLIENT_ID_METADATA_DOCUMENTS=False).app, "mcp")
    )
    assert stop.reason == "the user sees an error page, status 400: scope profile may not be granted here"


def test_no_refresh_token(mcp_site: NewSite) -> None:
    steps = play(mcp_site(OAUTH2_GRANT_TYPES=["authorization_code"]).app, "mcp")
    assert "the response has no refresh token" in notes_of(steps)
    assert result_of(steps, "Refresh the token") == "there is nothing to refresh"


def test_the_scope_may_be_named(mcp_site: NewSite) -> None:
    steps = play(mcp_site().app, "mcp", scope="profile write")
    assert result_of(steps, "Request more scope") == "no request requires more scope than the client has"
    assert notes_of(steps) == ""
