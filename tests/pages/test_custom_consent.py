"""A custom consent page: ``authorize_handler``, new ones and those written for flask-oauthlib."""

from __future__ import annotations

import re
from gzip import compress
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask
import pytest
from werkzeug.test import TestResponse

from flask_oauth2 import MemoryStore, User
from oauth_site import CALLBACK, CHALLENGE, Site, answer_of, make_site


@pytest.fixture
def own(tmp_path: Any) -> Site:
    """A site whose consent page is its own, at a path of its own too."""
    scopes = {"profile": "See your name", "mail": "Read your mail", "trusted": "Everything"}
    site = make_site(tmp_path, store=MemoryStore(), OAUTH2_SCOPES=scopes)
    site.seen = []  # type: ignore[attr-defined]
    site.form = '<form action="" method="post">'  # type: ignore[attr-defined]

    @site.app.route("/allow", methods=["GET", "POST"])
    @site.provider.authorize_handler
    def authorize(*args: Any, client: Any, user: Any, host: str, **asked: Any) -> Any:
        """Nearly as in flask-oauthlib's documentation."""
        asked |= {"client": client, "user": user, "host": host}
        site.seen.append((flask.request.method, asked))  # type: ignore[attr-defined]
        if flask.request.method == "GET":
            if "trusted" in asked["scopes"]:
                return True
            page = "{{ client.name }} {{ scopes|join(' ') }}"
            return flask.render_template_string(page + site.form, **asked)  # type: ignore[attr-defined]
        return flask.request.form.get("confirm") == "yes"

    site.add_client(scope=("profile", "mail", "trusted"))
    site.sign_in()
    return site


TICKET = " ticket {{ ticket }}"

OLD_FORM = {"client_id": "web", "scope": "profile", "response_type": "code", "redirect_uri": CALLBACK, "state": "st-1"}
"""The hidden fields of flask-oauthlib's documentation: no word of PKCE."""


def send(site: Site, path: str = "/oauth/authorize", **form: str) -> TestResponse:
    return site.browser.post(path, data=form)


def ticket(page: TestResponse) -> str:
    assert page.status_code == 200, page.text
    found = re.findall(r'name="ticket" value="([^"]+)"', page.text)
    assert len(found) == 1
    return unescape(found[0])


def test_it_is_told_what_is_asked(own: Site) -> None:
    assert own.ask(scope="profile mail").text.startswith("web profile mail")
    [(method, asked)] = own.seen  # type: ignore[attr-defined]
    assert method == "GET"
    assert asked["client_id"] == asked["client"].client_id == "web"
    assert (asked["user"].name, asked["host"], asked["state"]) == ("ada", "https://client.example", "st-1")
    assert (asked["redirect_uri"], asked["response_type"]) == (CALLBACK, "code")


def test_a_view_of_flask_oauthlib_is_given_no_more_than_there(site: Site) -> None:
    @site.provider.authorize_handler
    def authorize(*args: Any, **asked: Any) -> Any:
        return flask.jsonify(dict(user="own", client="own", **{name: str(asked[name]) for name in asked}))

    site.add_client()
    site.sign_in()
    given = set(site.ask().get_json())
    classic = {"client_id", "redirect_uri", "request", "response_type", "scopes", "state"}
    assert given == classic | {"user", "client", "ticket"}


@pytest.mark.parametrize("path", ["/oauth/authorize", "/allow"])
@pytest.mark.parametrize("form", ["new", "old"])
def test_a_form_decides(own: Site, path: str, form: str) -> None:
    if form == "new":
        own.form = '<input name="ticket" value="{{ ticket }}">'  # type: ignore[attr-defined]
    page = own.browser.get(path, query_string=OLD_FORM | {"code_challenge": CHALLENGE, "code_challenge_method": "S256"})
    answer = answer_of(send(own, path, ticket=ticket(page), confirm="yes", **OLD_FORM))
    assert answer["state"] == "st-1"
    denied = answer_of(send(own, ticket=ticket(own.ask(scope="mail")), confirm="no"))
    assert denied["error"] == "access_denied"


@pytest.mark.spec("rfc7636", "4.6")
def test_an_old_form_keeps_what_it_does_not_know_of(own: Site) -> None:
    code = answer_of(send(own, ticket=ticket(own.ask()), **OLD_FORM, confirm="yes"))["code"]
    own.change_client(auth_method="none", secret=None)
    assert own.redeem(code, client_id="web", code_verifier="x" * 43).get_json()["error"] == "invalid_grant"
    assert own.redeem(code, client_id="web").status_code == 200


@pytest.mark.spec("rfc6749", "10.12")
def test_a_form_is_for_the_request_that_was_shown(own: Site) -> None:
    """Whatever else it says, and whatever was shown in other windows of the same client with the same state."""
    shown = ticket(own.ask())
    own.ask(scope="mail")
    code = answer_of(send(own, ticket=shown, **OLD_FORM | {"scope": "mail"}, confirm="yes"))["code"]
    own.change_client(auth_method="none", secret=None)
    assert own.redeem(code, client_id="web").get_json()["scope"] == "profile"


@pytest.mark.spec("rfc6749", "10.12")
@pytest.mark.spec("rfc6749", "4.1.2")
def test_a_form_that_is_sent_twice_gets_one_code(own: Site) -> None:
    form = {"ticket": ticket(own.ask()), "confirm": "yes"}
    first, second = send(own, **form), send(own, **form)
    assert first.location == second.location
    assert "code" in answer_of(first)
    denied = {"ticket": ticket(own.ask(scope="mail")), "confirm": "no"}
    assert send(own, **denied).location == send(own, **denied).location


@pytest.mark.spec("rfc7591", "5")
def test_a_view_learns_whether_the_client_is_verified(site: Site) -> None:
    @site.provider.authorize_handler
    def authorize(client: Any, is_unverified: bool, **_: Any) -> Any:
        return flask.jsonify(is_unverified=is_unverified, pages=dict(client.metadata))

    pages = {"client_uri": "https://www.bank.example/", "logo_uri": "https://www.bank.example/logo.png"}
    site.add_client(metadata=pages, registered_by="open")
    site.sign_in()
    assert site.ask().get_json() == {"is_unverified": True, "pages": {}}
    site.change_client(registered_by="")
    assert site.ask().get_json() == {"is_unverified": False, "pages": {"client_uri": "https://www.bank.example/"}}


def test_a_form_without_the_ticket_is_a_request(own: Site) -> None:
    own.ask()
    own.seen.clear()  # type: ignore[attr-defined]
    answer = send(own, **OLD_FORM, code_challenge=CHALLENGE, code_challenge_method="S256", confirm="yes")
    assert answer.status_code == 303
    assert answer.location.startswith("/oauth/authorize?")
    assert own.seen == []  # type: ignore[attr-defined]
    assert own.store.get_consent("ada", "web") is None
    assert own.browser.get(answer.location).text.startswith("web profile")


@pytest.mark.spec("rfc6749", "10.12")
def test_a_form_is_for_who_was_shown_it_and_for_a_while(own: Site) -> None:
    shown = ticket(own.ask())
    own.sign_in("eve")
    own.ask()
    assert send(own, ticket=shown, confirm="yes").status_code == 400
    assert send(own, ticket="nonsense", confirm="yes").status_code == 400
    foreign = own.app.test_client()
    own.sign_in("ada", foreign)
    assert foreign.post("/oauth/authorize", data={"ticket": shown, "confirm": "yes"}).status_code == 400
    for user in ("ada", "eve"):
        assert own.store.get_consent(user, "web") is None


def test_what_was_refused_is_refused_though_it_was_allowed_in_another_tab(own: Site) -> None:
    one, two = ticket(own.ask(state="one")), ticket(own.ask(state="two"))
    assert "code" in answer_of(send(own, ticket=one, confirm="yes"))
    assert answer_of(send(own, ticket=two, confirm="no"))["error"] == "access_denied"


def test_our_own_page_does_not_take_its_ticket(own: Site) -> None:
    form = {"ticket": ticket(own.ask()), "decision": "allow"}
    assert own.browser.post("/oauth/consent", data=form).status_code == 400
    assert own.store.get_consent("ada", "web") is None


def test_head_decides_nothing(own: Site) -> None:
    query = OLD_FORM | {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    answer = own.browser.head("/oauth/authorize", query_string=query)
    assert (answer.status_code, answer.location) == (200, None)
    assert own.seen == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("form", "is_given"),
    [
        ('<form method="post">', True),
        ("<FORM action='/oauth/authorize' METHOD=POST>", True),
        ('<form data-x="a > b" method="post" action="?x=http://a">', True),
        ("<form>", False),
        ('<form method="get">', False),
        ('<form method="post" action="https://evil.example/">', False),
        ("<form method=post action=//evil.example/>", False),
        ('<form action="\\\\evil.example" method="post">', False),
        ('<formula method="post">', False),
    ],
)
def test_the_ticket_is_put_into_forms_of_this_site(own: Site, form: str, is_given: bool) -> None:
    own.form = form  # type: ignore[attr-defined]
    assert (f'{form}<input type="hidden" name="ticket"' in own.ask().text) is is_given


@pytest.mark.parametrize("page", ["json", "streamed", "encoded"])
def test_what_is_no_plain_html_is_left_as_it_is(site: Site, page: str) -> None:
    html = '<form method="post">'

    @site.provider.authorize_handler
    def authorize(**asked: Any) -> Any:
        if page == "json":
            return {"html": html}
        if page == "streamed":
            return flask.Response(iter([html]), mimetype="text/html")
        return flask.Response(compress(html.encode()), headers={"Content-Encoding": "gzip"})

    site.add_client()
    site.sign_in()
    answer = site.ask()
    assert (answer.status_code, b"ticket" in answer.data) == (200, False)


def test_a_view_may_be_asynchronous(site: Site) -> None:
    @site.provider.authorize_handler
    async def authorize(client: Any, **asked: Any) -> Any:
        return f"May {client.name}?"

    site.add_client()
    site.sign_in()
    assert site.ask().text == "May web?"


def test_who_signed_out_meanwhile_signs_in_again(own: Site) -> None:
    shown = ticket(own.ask())
    with own.browser.session_transaction() as session:
        del session["user"]
    assert send(own, ticket=shown, confirm="yes").location.startswith("/login?next=")


def test_a_view_may_decide_by_itself(own: Site) -> None:
    assert "code" in answer_of(own.ask(scope="trusted"))


@pytest.mark.spec("oauth-v2-1", "7.9")
def test_nobody_gets_more_than_a_view_that_asks_nobody_was_told(site: Site) -> None:
    """It allows what is harmless; the client is changed before its answer is kept."""
    told = []

    @site.provider.authorize_handler
    def consent(scopes: list[str], **more: Any) -> bool:
        told.append(scopes)
        site.change_client(scope=("profile", "write"))
        return "write" not in scopes

    site.add_client(scope=("profile",))
    site.sign_in()
    assert answer_of(site.ask(scope=None))["error"] == "access_denied"
    assert told == [["profile"], ["profile", "write"]]


def test_what_was_allowed_is_remembered(own: Site) -> None:
    send(own, ticket=ticket(own.ask()), confirm="yes")
    assert "code" in answer_of(own.ask())
    assert own.ask(scope="profile mail").status_code == 200


def test_a_long_request_is_good_too(own: Site) -> None:
    state = "s" * 3000
    assert answer_of(send(own, ticket=ticket(own.ask(state=state)), confirm="yes"))["state"] == state


@pytest.mark.spec("rfc9700", "4.16")
def test_the_page_cannot_be_framed(own: Site) -> None:
    headers = own.ask().headers
    assert headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


def test_prompt_login_is_asked_once(own: Site) -> None:
    own.provider._current_user = lambda: User(id="ada", auth_time=int(own.clock.now))
    own.clock.forward(5)
    back = own.ask(prompt="login").location
    assert back.startswith("/login?next=")
    now = int(own.clock.now)
    own.provider._current_user = lambda: User(id="ada", auth_time=now)
    own.clock.forward(5)
    page = own.browser.get(parse_qs(urlsplit(back).query)["next"][0])
    assert "code" in answer_of(send(own, ticket=ticket(page), confirm="yes"))


class TestOtherViews:
    """``token_handler`` and ``revoke_handler``, so that an application of flask-oauthlib need not drop them."""

    @pytest.fixture
    def old(self, tmp_path: Any) -> Site:
        site = make_site(tmp_path, store=MemoryStore())

        @site.app.route("/my/token", methods=["POST"])
        @site.provider.token_handler
        def token() -> dict[str, Any]:
            return {"version": "0.1.0", "access_token": "never"}

        @site.app.route("/my/revoke", methods=["POST"])
        @site.provider.revoke_handler
        def revoke() -> None:
            raise AssertionError("it is not called")

        return site

    @pytest.mark.parametrize("path", ["/my/token", "/oauth/token"])
    def test_an_answer_has_what_the_function_adds(self, old: Site, path: str) -> None:
        secret = old.add_client()
        form = {"grant_type": "client_credentials"}
        answer = old.http.post(path, data=form, auth=("web", secret)).get_json()
        assert answer["version"] == "0.1.0"
        assert answer["access_token"].startswith("oat_")
        assert "version" not in old.http.post(path, data=form, auth=("web", "wrong")).get_json()

    def test_revocation(self, old: Site) -> None:
        secret = old.add_client()
        token = old.token("client_credentials", ("web", secret), scope="profile").get_json()["access_token"]
        assert old.is_alive(token)
        assert old.http.post("/my/revoke", data={"token": token}, auth=("web", "x" * 50)).status_code == 401
        assert old.is_alive(token)
        assert old.http.post("/my/revoke", data={"token": token}, auth=("web", secret)).status_code == 200
        assert not old.is_alive(token)


@pytest.mark.parametrize("name", ["before_request", "after_request", "invalid_response", "verify_request"])
def test_a_name_that_is_not_here_says_what_to_use(site: Site, name: str) -> None:
    assert not hasattr(site.provider, name)
    with pytest.raises(AttributeError, match=f"flask_oauth2 has no {name}: ."):
        getattr(site.provider, name)
    with pytest.raises(AttributeError, match=r"no attribute 'nonsense'$"):
        _ = site.provider.nonsense


def test_several_scopes_are_called_out_at_start(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    @site.app.get("/both")
    @site.provider.require_oauth("profile", "mail")
    def both() -> str:
        return ""

    @site.app.get("/text")
    @site.provider.require_oauth("profile mail")
    def text() -> str:
        return ""

    secret = site.add_client()
    assert caplog.text.count("requires all of these scope values") == 1
    assert "require_oauth('profile', 'mail') in " in caplog.text
    assert "test_custom_consent.py:" in caplog.text
    assert site.call(site.tokens(secret)["access_token"], "/both").status_code == 403
