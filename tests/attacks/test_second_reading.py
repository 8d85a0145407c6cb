"""What a second reading broke. Each fails while the hole is open, and says in its docstring what is wrong."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from time import monotonic
from typing import Any

import flask
import pytest
from devices import Device, Person, add_device_client
from document_server import DocumentServer, serve_documents
from importing.tables import Mixed, fill, mixed_client, mixed_token
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import TestResponse

from flask_oauth2 import MemoryStore, OAuth2Provider, signals, values
from oauth_site import CALLBACK, CHALLENGE, Site, answer_of

from .test_documents import open_site
from .test_resources import echo, token_for

NewSite = Callable[..., Site]

DEVELOPER: dict[str, Any] = {
    "OAUTH2_DEVELOPER_PAGES": True,
    "OAUTH2_REGISTRATION_SCOPES": ["profile", "mail", "write"],
    "OAUTH2_GRANT_TYPES": ["authorization_code", "refresh_token", "device_code"],
}
TYPED = {"name": "Shop", "kind": "server", "redirect_uris": CALLBACK, "scope.profile": "on"}


def ticket_of(page: TestResponse) -> str:
    found = re.search(r'name="ticket" value="([^"]+)"', page.text)
    assert found, page.text
    return unescape(found[1])


def register(site: Site, browser: Any, **typed: str) -> str:
    """A client of whoever is signed in there: its id."""
    page = browser.get("/oauth/developer/new")
    before = {client.client_id for client in site.store.list_clients()}
    browser.post("/oauth/developer/new", data={"ticket": ticket_of(page), **TYPED, **typed})
    (client_id,) = {client.client_id for client in site.store.list_clients()} - before
    return str(client_id)


def operate(site: Site, client_id: str, *options: str) -> None:
    """What the operator does to a client."""
    ran = site.app.test_cli_runner().invoke(args=["oauth2", "client", "update", client_id, *options])
    assert ran.exit_code == 0, ran.output


def change(browser: Any, client_id: str, **typed: str) -> TestResponse:
    page = browser.get(f"/oauth/developer/{client_id}")
    answer: TestResponse = browser.post(f"/oauth/developer/{client_id}", data={"ticket": ticket_of(page), **typed})
    assert answer.status_code == 303, answer.text
    return answer


def test_a_long_scope_costs_little(new_site: NewSite, caplog: pytest.LogCaptureFixture) -> None:
    """One POST of 60 kB by anybody, with the id of any public client, takes six seconds of CPU under the lock of the
    interpreter: cures are masked by a regular expression that is quadratic, and the scope in them has any length.
    """
    site = new_site()
    site.add_client("spa", None)
    form = {"client_id": "spa", "response_type": "code", "redirect_uri": CALLBACK, "scope": "a" * 40_000}
    form |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    site.sign_in()
    answer = site.browser.post("/oauth/authorize", data=form)
    assert answer_of(answer)["error"] == "invalid_scope"
    assert max(map(len, caplog.messages)) < 3000
    words = "a" * 1_000_000  # the square of which takes an hour
    assert values.mask(words) == words


def test_nobody_gets_more_than_the_page_has_shown(new_site: NewSite) -> None:
    """A request that names no scope is for all that the client may have, which is looked up anew when the person
    presses Allow: its developer adds a scope while the page is open, and the person allows what they never saw.
    """
    site = new_site(**DEVELOPER)
    eve = site.app.test_client()
    site.sign_in("eve", eve)
    client_id = register(site, eve, kind="native", redirect_uris="https://eve.example/back")
    site.sign_in("ada")
    page = site.ask(client_id=client_id, redirect_uri="https://eve.example/back", scope=None)
    assert "See your name" in page.text
    assert "Write in your name" not in page.text
    boxes = {"scope.profile": "on", "scope.write": "on"}
    change(eve, client_id, name="Shop", redirect_uris="https://eve.example/back", **boxes)
    again = site.allow(page)
    assert again.status_code == 200
    assert "Write in your name" in again.text
    code = answer_of(site.allow(again))["code"]
    found = site.redeem(code, client_id=client_id, redirect_uri="https://eve.example/back").get_json()
    assert found["scope"] == "profile write"


def test_forms_that_wait_for_somebody_to_sign_in_are_not_without_end(new_site: NewSite) -> None:
    """Whoever once opened a form of the pages for developers can post it signed out as often as they like, for ever:
    each is a row of up to 16 kB for a day, and nothing counts them. Requests that are kept have a limit.
    """
    site = new_site(**DEVELOPER)
    eve = site.app.test_client()
    site.sign_in("eve", eve)
    ticket = ticket_of(eve.get("/oauth/developer/new"))
    site.clock.forward(30 * 86400)
    nobody = site.app.test_client()
    form = {"ticket": ticket, **TYPED, "client_uri": "x" * 16_000}
    answers = [nobody.post("/oauth/developer/new", data=form).status_code for _ in range(1200)]
    assert answers.count(303) < 1200


@pytest.mark.parametrize("host", ["Login.example", "login.example:443", "LOGIN.EXAMPLE:443"])
def test_no_spelling_of_this_site_vouches_for_a_client(host: str) -> None:
    """A document of this very site is refused by comparing the text of hosts, of which there are several spellings."""
    from flask_oauth2.clients.document_cache import Failure
    from flask_oauth2.fetch import Fetched
    from flask_oauth2.server import Server
    from flask_oauth2.settings import Settings

    server = Server(
        Settings(issuer="https://login.example", client_id_documents=True, default_scope=("profile",)), MemoryStore
    )
    url = f"https://{host}/uploads/7.json"
    body = json.dumps({"client_id": url, "client_name": "Support", "redirect_uris": ["https://evil.example/cb"]})
    assert server.clients.documents is not None
    server.clients.documents.fetch = lambda *_: Fetched({"content-type": "application/json"}, body.encode())
    assert isinstance(server.clients.documents.find(url), Failure)


def test_a_developer_does_not_bring_back_a_scope_that_the_operator_has_taken(new_site: NewSite) -> None:
    """docs/howto/developer-pages: "what you take away does not come back"."""
    site = new_site(**DEVELOPER)
    eve = site.app.test_client()
    site.sign_in("eve", eve)
    boxes = {"scope.profile": "on", "scope.write": "on"}
    client_id = register(site, eve, **boxes)
    operate(site, client_id, "--scope", "profile")
    assert "scope.write" not in eve.get(f"/oauth/developer/{client_id}").text
    change(eve, client_id, name="Shop", redirect_uris=CALLBACK, **boxes)
    assert site.store.get_client(client_id).scope == ("profile",)
    operate(site, client_id, "--scope", "profile write")
    change(eve, client_id, name="Shop", redirect_uris=CALLBACK, **{"scope.profile": "on"})
    change(eve, client_id, name="Shop", redirect_uris=CALLBACK, **boxes)
    assert site.store.get_client(client_id).scope == ("profile", "write"), "the operator has given it back"


def test_a_developer_does_not_bring_back_a_grant_that_the_operator_has_taken(new_site: NewSite) -> None:
    site = new_site(**DEVELOPER)
    eve = site.app.test_client()
    site.sign_in("eve", eve)
    client_id = register(site, eve, device="on")
    device_code = "urn:ietf:params:oauth:grant-type:device_code"
    assert device_code in site.store.get_client(client_id).grant_types
    operate(site, client_id, "--grant-type", "authorization_code", "--grant-type", "refresh_token")
    assert 'name="device"' not in eve.get(f"/oauth/developer/{client_id}").text
    change(eve, client_id, name="Shop", redirect_uris=CALLBACK, device="on", **{"scope.profile": "on"})
    assert device_code not in site.store.get_client(client_id).grant_types


def test_a_put_does_not_bring_back_a_grant_that_the_operator_has_taken(new_site: NewSite) -> None:
    site = new_site(
        OAUTH2_REGISTRATION="open",
        OAUTH2_DEFAULT_SCOPE="profile",
        OAUTH2_GRANT_TYPES=["authorization_code", "refresh_token", "device_code"],
    )
    device_code = "urn:ietf:params:oauth:grant-type:device_code"
    asked = {"redirect_uris": [CALLBACK], "grant_types": ["authorization_code", device_code]}
    made = site.http.post("/oauth/register", json=asked).get_json()
    operate(site, made["client_id"], "--grant-type", "authorization_code")
    bearer = {"Authorization": f"Bearer {made['registration_access_token']}"}
    body = {"client_id": made["client_id"], **asked}
    answer = site.http.put(f"/oauth/register/{made['client_id']}", json=body, headers=bearer)
    assert device_code not in site.store.get_client(made["client_id"]).grant_types, answer.text


def test_nor_does_what_the_application_says_of_all_clients(new_site: NewSite) -> None:
    """A policy gives each client what not all may have, and is asked anew with each change."""
    site = new_site(
        OAUTH2_REGISTRATION="open",
        OAUTH2_DEFAULT_SCOPE="profile",
        OAUTH2_GRANT_TYPES=["authorization_code", "refresh_token", "client_credentials"],
    )
    given = {"scope": "profile mail", "grant_types": ["authorization_code", "client_credentials"]}
    site.provider.registration_policy(lambda metadata, request: {**metadata, **given})
    made = site.http.post("/oauth/register", json={"redirect_uris": [CALLBACK]}).get_json()
    assert (made["scope"], made["grant_types"]) == (given["scope"], given["grant_types"])
    operate(site, made["client_id"], "--scope", "profile", "--grant-type", "authorization_code")
    bearer = {"Authorization": f"Bearer {made['registration_access_token']}"}
    body = {"client_id": made["client_id"], "redirect_uris": [CALLBACK]}
    changed = site.http.put(f"/oauth/register/{made['client_id']}", json=body, headers=bearer).get_json()
    assert (changed["scope"], changed["grant_types"]) == ("profile", ["authorization_code"])


class Endless:
    """A body that never ends, and how much of it was read."""

    def __init__(self) -> None:
        self.read_bytes = 0

    def read(self, size: int = -1) -> bytes:
        size = 1 << 16 if size < 0 else size
        self.read_bytes += size
        return b"a" * size


def test_a_guard_does_not_read_what_strangers_send_without_end(new_site: NewSite) -> None:
    """With OAUTH2_TOKEN_IN_BODY a guard reads all of a form into memory before it knows who sends it."""
    site = new_site(OAUTH2_TOKEN_IN_BODY=True)

    @site.app.post("/api/notes")
    @site.provider.require_oauth("profile")
    def notes() -> Any:
        return ""

    body = Endless()
    environ = {"wsgi.input": body, "CONTENT_LENGTH": str(200 << 20)}
    answer = site.http.post("/api/notes", content_type="application/x-www-form-urlencoded", environ_overrides=environ)
    assert answer.status_code in (401, 413)
    assert body.read_bytes < 1 << 20, body.read_bytes


@pytest.fixture
def served() -> Iterator[DocumentServer]:
    with serve_documents() as server:
        yield server


@pytest.mark.parametrize("path", ["/token", "/revoke", "/introspect", "/device_authorization"])
def test_nobody_makes_this_server_fetch_at_the_endpoints_of_programs(
    new_site: NewSite, served: DocumentServer, path: str
) -> None:
    """docs/howto/client-documents: "Nothing is fetched for strangers". That holds at the authorization endpoint alone:
    wherever a client authenticates, a client_id that is a URL is fetched before anything else is looked at.
    """
    site = open_site(new_site, served)
    _ = site.server
    site.post(path, client_id=served.put(), grant_type="authorization_code", code="x", token="x")
    assert served.count() == 0


def test_a_stranger_cannot_use_up_the_visits_of_a_host_at_the_token_endpoint(
    new_site: NewSite, served: DocumentServer
) -> None:
    """Thirty requests a minute of nobody in particular, and people get 503 for each client of that host."""
    site = open_site(new_site, served)
    _ = site.server
    good = served.put()
    for number in range(30):
        site.post("/token", client_id=served.url(f"/no/{number}"), grant_type="authorization_code", code="x")
    site.sign_in()
    assert site.ask(client_id=good, redirect_uri="http://127.0.0.1/back").status_code == 200


def test_a_document_that_is_gone_is_no_client(new_site: NewSite, served: DocumentServer) -> None:
    """docs/howto/client-documents: a stale copy serves for a day more "should its server be away". It also does where
    the server says that there is no such document any more, so whoever takes a stolen one down cannot.
    """
    site = open_site(new_site, served)
    _ = site.server
    url = served.put()
    site.sign_in()
    assert site.ask(client_id=url, redirect_uri="http://127.0.0.1/back").status_code == 200
    served.answers["/client.json"] = (410, {"Content-Type": "application/json"}, b"{}")
    site.clock.forward(2 * 3600)
    before = served.count()
    site.ask(client_id=url, redirect_uri="http://127.0.0.1/back")
    until = monotonic() + 5
    documents = site.server.clients.documents
    while (served.count() == before or documents._under_way) and monotonic() < until:
        threading.Event().wait(0.01)
    assert served.count() > before
    site.clock.forward(60)
    assert site.ask(client_id=url, redirect_uri="http://127.0.0.1/back").status_code == 400


def test_the_issuer_is_not_taken_from_a_header_behind_a_proxy(tmp_path: Any) -> None:
    """README: OAUTH2_ISSUER "is never taken from the Host header". Without it SERVER_NAME says it, which ProxyFix with
    x_host=1, as the documentation has it, sets from X-Forwarded-Host, and gunicorn on a Unix socket from Host: the
    first stranger who says localhost names the issuer for everybody, until the process ends.
    """
    app = flask.Flask("behind", instance_path=str(tmp_path))
    app.config["SECRET_KEY"] = "a secret key of the tests"
    OAuth2Provider(app, store=MemoryStore())
    app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1)  # type: ignore[method-assign]
    named = {"X-Forwarded-Host": "localhost:6666", "X-Forwarded-Proto": "https"}
    http, environ = app.test_client(), {"SERVER_NAME": "10.0.0.5", "SERVER_PORT": "8000"}
    answer = http.get("/.well-known/oauth-authorization-server", headers=named, environ_overrides=environ)
    assert "6666" not in answer.text, answer.text


def test_a_cure_can_be_pasted(new_site: NewSite, caplog: pytest.LogCaptureFixture) -> None:
    """A cure is a command to be pasted into a shell, and the scope in it is what a stranger has sent, between double
    quotes: the grammar of scopes allows $( ), backticks and ${IFS}.
    """
    site = new_site(OAUTH2_SCOPES={})
    site.add_client("spa", None)
    caplog.set_level(logging.WARNING, "flask_oauth2")
    site.sign_in()
    site.ask(client_id="spa", scope="$(echo${IFS}pwned)")
    command = re.search(r"flask oauth2 client update spa --scope (\"[^\"]*\"|'[^']*')", caplog.text)
    assert command, caplog.text
    ran = subprocess.run(["sh", "-c", f"printf %s {command[1]}"], capture_output=True, text=True, check=True)
    assert ran.stdout.endswith("$(echo${IFS}pwned)"), ran.stdout


def test_no_signed_token_is_in_a_log(new_site: NewSite, caplog: pytest.LogCaptureFixture) -> None:
    """What a signed token says is packed where that is shorter, and then begins with a dot, which the mask does not
    know: a client that sends its token as client_id has all of it in the audit log.
    """
    site = new_site(OAUTH2_ACCESS_TOKEN_FORMAT="signed")
    secret = site.add_client()
    caplog.set_level(logging.INFO, "flask_oauth2")
    for _number in range(20):  # some hold what the mask takes for the end of a prefix
        token = site.token("client_credentials", ("web", secret), scope="profile").get_json()["access_token"]
        site.post("/token", client_id=token, grant_type="client_credentials")
        assert token not in caplog.text


def test_a_mounted_application_does_not_get_the_token_of_a_form(new_site: NewSite) -> None:
    """The token of an Authorization header is not passed on, that of a form is."""
    site = new_site(OAUTH2_TOKEN_IN_BODY=True)
    site.provider.protect_resource("/files", ["profile"], wsgi_app=echo)
    token = token_for(site, "https://login.example/files")
    answer = site.http.post("/files/x", data={"a": "b", "access_token": token})
    assert answer.status_code == 200
    assert token not in answer.text


def test_a_mounted_application_gets_a_form_that_is_not_ascii(new_site: NewSite) -> None:
    """The guard reads it, finds that no token can be in it, and puts nothing in its place: what is mounted reads an
    empty body, or waits for the rest where the server gives it the socket itself.
    """
    site = new_site(OAUTH2_TOKEN_IN_BODY=True)
    site.provider.protect_resource("/files", ["profile"], wsgi_app=echo)
    token = token_for(site, "https://login.example/files")
    headers, kind = {"Authorization": f"Bearer {token}"}, "application/x-www-form-urlencoded"
    answer = site.http.post("/files/x", data="a=é".encode(), content_type=kind, headers=headers)
    assert answer.data.endswith("body=a=é".encode()), answer.data


def test_a_mounted_application_gets_a_form_that_was_read_before(new_site: NewSite) -> None:
    """An extension looks into each form, so that nothing is left to read; a mounted application got an empty body."""
    site = new_site(OAUTH2_TOKEN_IN_BODY=True)
    site.app.before_request(lambda: flask.request.form.get("csrf_token") and None)
    site.provider.protect_resource("/files", ["profile"], wsgi_app=echo)
    token = token_for(site, "https://login.example/files")
    for headers, named in (({"Authorization": f"Bearer {token}"}, {}), ({}, {"access_token": token})):
        answer = site.http.post("/files/x", data={"a": "é b"} | named, headers=headers)
        assert answer.text.endswith("body=a=%C3%A9%20b"), answer.text


def test_guesses_at_clients_that_are_not_there_are_no_rows_without_end(new_site: NewSite) -> None:
    """Each client_id of the path that somebody makes up is a row of counters: there is nothing to guess, and no cost."""
    site = new_site(OAUTH2_REGISTRATION="open", OAUTH2_DEFAULT_SCOPE="profile")
    for number in range(1200):
        site.http.get(f"/oauth/register/{number}", headers={"Authorization": "Bearer x"})
    assert len(site.store._counters) < 1200


def test_registration_that_can_register_nobody_does_not_start(new_site: NewSite) -> None:
    """As with the pages for developers: where no grant is offered that strangers may have, each is refused."""
    from flask_oauth2 import ConfigurationError

    site = new_site(
        OAUTH2_REGISTRATION="open", OAUTH2_GRANT_TYPES=["client_credentials"], OAUTH2_DEFAULT_SCOPE="profile"
    )
    with pytest.raises(ConfigurationError):
        _ = site.server


def test_a_client_of_strangers_is_no_way_to_send_people_on(new_site: NewSite) -> None:
    """rfc9700 section 4.11.2: only to trusted URIs by itself. Where anybody may register, anybody's link here led to
    their own page at once, by any mistake in the request for whoever is signed in.
    """
    site = new_site(OAUTH2_REGISTRATION="open", OAUTH2_DEFAULT_SCOPE="profile")
    evil = "https://evil.example/sign-in"
    asked = {"redirect_uris": [evil], "token_endpoint_auth_method": "none"}
    client_id = site.http.post("/oauth/register", json=asked).get_json()["client_id"]
    site.sign_in()
    answer = site.ask(client_id=client_id, redirect_uri=evil, response_type="none")
    assert not answer.headers.get("Location", "").startswith("https://evil.example"), answer.location


@pytest.mark.parametrize("page", ["tutorial.rst", "howto/mcp.rst"])
def test_the_login_pages_of_the_documentation_lead_nowhere_else(page: str) -> None:
    """The tutorial lets /<tab>/evil.example pass, which Werkzeug and browsers write //evil.example; the page about MCP
    lets anything pass. Both are copied into sites whose users come there by links of strangers.
    """
    text = (Path(__file__).parents[2] / "docs" / page).read_text()
    found = re.search(r"redirect\((back if [^,\n]+?)(?:, 303)?\)\n", text)
    assert found, "the page has changed: look at it again"
    app = flask.Flask("login")

    @app.get("/login")
    def login() -> Any:
        return flask.redirect(eval(found[1], {"back": flask.request.args["next"]}))

    answer = app.test_client().get("/login", query_string={"next": "/\t/evil.example"})
    assert not answer.location.startswith("//"), answer.location


def test_wrong_secrets_of_clients_that_are_not_there_are_counted_too(new_site: NewSite) -> None:
    """Each token request with a secret and a client_id that was made up costs a slow hash, a tenth of a second of CPU
    and 32 MB, and a row; guesses are counted by client_id alone, so nobody is ever told to wait.
    """
    site = new_site(OAUTH2_THROTTLE_FAILURES=1)
    form = {"grant_type": "client_credentials"}
    answers = [
        site.http.post("/oauth/token", data=form, auth=(f"nobody{number}", "a guess")).status_code
        for number in range(30)
    ]
    assert 429 in answers


def test_clients_that_are_imported_are_told_of_as_all_others(sql_site: Site, tmp_path: Path) -> None:
    """docs/reference/signals: client_created comes with registered_by. From an import it does not, so a receiver that
    takes it by name ends the import half way.
    """
    uri = f"sqlite:///{tmp_path / 'old.sqlite'}"
    fill(uri, Mixed, mixed_client(), mixed_token())
    _ = sql_site.server

    def hear(sender: Any, client_id: str, registered_by: str, **more: Any) -> None:
        assert registered_by == ""

    with signals.client_created.connected_to(hear, sql_site.app):
        ran = sql_site.app.test_cli_runner().invoke(args=["oauth2", "import", "authlib", "--database", uri])
    assert ran.exit_code == 0, repr(ran.exception)


@pytest.mark.parametrize("path", ["//api", "/api/../api", "/./api"])
def test_a_resource_that_no_request_can_be_in_is_refused(new_site: NewSite, path: str) -> None:
    """Slashes of a request count as one, those of the description do not: what is below is open, and nothing says so."""
    from flask_oauth2 import ConfigurationError

    site = new_site()

    @site.app.get("/api/notes")
    def notes() -> str:
        return "secret"

    try:
        site.provider.protect_resource(path, ["profile"])
    except ConfigurationError:
        return
    assert site.http.get("/api/notes").status_code == 401


def test_one_bad_redirect_uri_does_not_shut_all_pages_out(new_site: NewSite) -> None:
    """store.set_client(), which docs/howto/client-documents tells operators to call, looks at nothing. A port that is
    none in any client is a traceback for every request of a page, whoever sends it.
    """
    site = new_site(PROPAGATE_EXCEPTIONS=False)
    site.add_client("spa", None, redirect_uris=("https://spa.example/back",))
    site.add_client("bad", None, redirect_uris=("https://bad.example:99999/back",))
    answer = site.http.options("/oauth/token", headers={"Origin": "https://spa.example"})
    assert answer.status_code == 204, answer.status_code


def test_nobody_gets_more_than_a_page_of_the_applications_own_has_shown(new_site: NewSite) -> None:
    """The same where the consent page is the application's."""
    site = new_site(**DEVELOPER)

    @site.provider.authorize_handler
    def consent(scopes: list[str], ticket: str, **more: Any) -> Any:
        if flask.request.method == "POST":
            return True
        return f'{scopes}<form method="post"><input name="ticket" value="{ticket}"></form>'

    eve = site.app.test_client()
    site.sign_in("eve", eve)
    client_id = register(site, eve, kind="native", redirect_uris="https://eve.example/back")
    site.sign_in("ada")
    page = site.ask(client_id=client_id, redirect_uri="https://eve.example/back", scope=None)
    assert "write" not in page.text.partition("<form")[0]
    boxes = {"scope.profile": "on", "scope.write": "on"}
    change(eve, client_id, name="Shop", redirect_uris="https://eve.example/back", **boxes)
    answer = site.browser.post("/oauth/authorize", data={"ticket": ticket_of(page)})
    assert not answer.headers.get("Location", "").startswith("https://eve.example"), answer.location


def test_nobody_gets_more_than_a_view_that_asks_nobody_was_told(new_site: NewSite) -> None:
    """It lets clients do without a page what is harmless; the client is changed before its answer is kept."""
    site, told = new_site(), []

    @site.provider.authorize_handler
    def consent(scopes: list[str], **more: Any) -> bool:
        told.append(scopes)
        site.change_client("spa", scope=("profile", "write"))
        return "write" not in scopes

    site.add_client("spa", None, scope=("profile",))
    site.sign_in()
    assert answer_of(site.ask(client_id="spa", scope=None))["error"] == "access_denied"
    assert told == [["profile"], ["profile", "write"]]


def test_a_person_is_not_asked_for_what_the_client_may_no_longer_have(new_site: NewSite) -> None:
    """The scope of a device is looked at when the device begins, and never again: what the operator takes from the
    client meanwhile is shown, allowed, and renewed by refresh tokens without an end.
    """
    site = new_site(OAUTH2_GRANT_TYPES=["authorization_code", "refresh_token", "device_code"])
    add_device_client(site, scope=("profile", "write"))
    device = Device(site, scope="profile write")
    site.change_client("tv", scope=("profile",))  # flask oauth2 client update tv --scope profile
    page = Person(site).type(device.user_code)
    assert "Write in your name" not in page.text


def test_nobody_learns_by_429_which_registrations_there_are(new_site: NewSite) -> None:
    """The same at the client configuration endpoint: 429 comes for clients that are there, and for no others."""
    site = new_site(OAUTH2_REGISTRATION="open", OAUTH2_DEFAULT_SCOPE="profile")
    made = site.http.post("/oauth/register", json={"redirect_uris": [CALLBACK]}).get_json()
    wrong = {"Authorization": "Bearer x"}
    seen = [
        {site.http.get(f"/oauth/register/{client_id}", headers=wrong).status_code for _ in range(15)}
        for client_id in (made["client_id"], "0" * 24)
    ]
    assert seen[0] == seen[1]


def test_the_issuer_is_not_taken_from_a_header_by_the_server_itself(tmp_path: Any) -> None:
    """Servers that make SERVER_NAME of the Host header need no proxy for it: Apache does (UseCanonicalName is Off at
    first), and so mod_wsgi. Whoever is not on this machine has not connected to a loopback address.
    """
    app = flask.Flask("apache", instance_path=str(tmp_path))
    app.config["SECRET_KEY"] = "a secret key of the tests"
    OAuth2Provider(app, store=MemoryStore())
    environ = {"SERVER_NAME": "localhost", "SERVER_PORT": "6666", "REMOTE_ADDR": "203.0.113.9"}
    answer = app.test_client().get("/.well-known/oauth-authorization-server", environ_overrides=environ)
    assert "6666" not in answer.text, answer.text
