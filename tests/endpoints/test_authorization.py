"""The authorization endpoint: what is settled first, who is asked, and how the answer travels."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import flask
import pytest

from flask_oauth2 import Consent, MemoryStore, TemporarilyUnavailable, values
from flask_oauth2.http import urls
from flask_oauth2.pages.base import serializer
from oauth_site import CALLBACK, CHALLENGE, Site, StoreWithoutConsents, answer_of


@pytest.fixture(autouse=True)
def client(site: Site) -> None:
    site.add_client()


@pytest.mark.spec("rfc6749", "4.1.2")
@pytest.mark.spec("rfc9207", "2")
def test_the_response_has_code_state_and_issuer_and_keeps_the_query(site: Site) -> None:
    site.sign_in()
    answer = site.allow(site.ask(state="st at/e?&=+é"))
    assert answer.status_code == 303
    assert answer.location.startswith(f"{CALLBACK}&code=")
    assert answer_of(answer)["state"] == "st at/e?&=+é"
    assert answer_of(answer)["iss"] == "https://login.example"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.spec("rfc6749", "3.1")
@pytest.mark.parametrize("state", ["", None])
def test_an_empty_state_is_not_returned(site: Site, state: str | None) -> None:
    assert "state" not in site.authorize(state=state)


@pytest.mark.spec("rfc6749", "4.1.2.1")
@pytest.mark.parametrize(
    "parameters",
    [
        {"client_id": None},
        {"client_id": ""},
        {"client_id": "nobody"},
        {"client_id": ["web", "web"]},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": CALLBACK + "/"},
        {"redirect_uri": [CALLBACK, CALLBACK]},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "//evil.example"},
        {"redirect_uri": "x\r\nSet-Cookie: a=b"},
        {"response_mode": "web_message"},
        {"response_mode": ["query", "query"]},
    ],
)
@pytest.mark.parametrize("signed_in", [True, False])
def test_an_invalid_client_or_redirect_uri_is_not_redirected(
    site: Site, parameters: dict[str, Any], signed_in: bool
) -> None:
    if signed_in:
        site.sign_in()
    answer = site.ask(**parameters)
    assert answer.status_code == 400
    assert "Location" not in answer.headers
    assert answer.mimetype == "text/html"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "evil.example" not in answer.text


@pytest.mark.spec("rfc6749", "3.1.2.3")
def test_a_client_with_several_redirect_uris_must_name_one(site: Site) -> None:
    site.sign_in()
    site.change_client(redirect_uris=(CALLBACK, "https://client.example/other"))
    assert site.ask(redirect_uri=None).status_code == 400
    assert site.ask().status_code == 200


ERRORS = [
    ({"response_type": None}, "invalid_request"),
    ({"response_type": ""}, "invalid_request"),
    ({"response_type": "nonsense"}, "unsupported_response_type"),
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"response_type": "code code_x"}, "unsupported_response_type"),
    ({"response_type": "code "}, "unsupported_response_type"),
    ({"response_type": ["code", "code"]}, "invalid_request"),
    ({"scope": "unknown"}, "invalid_scope"),
    ({"scope": "profile unknown"}, "invalid_scope"),
    ({"scope": 'pro"file'}, "invalid_scope"),
    ({"scope": "profile\tmail"}, "invalid_scope"),
    ({"scope": ["profile", "mail"]}, "invalid_request"),
    ({"nonce": ["1", "2"]}, "invalid_request"),
    ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
    ({"code_challenge": ""}, "invalid_request"),
    ({"code_challenge": None}, "invalid_request"),
    ({"code_challenge_method": None}, "invalid_request"),
    ({"code_challenge_method": "plain"}, "invalid_request"),
    ({"code_challenge_method": "s256"}, "invalid_request"),
    ({"code_challenge_method": "S512"}, "invalid_request"),
    ({"code_challenge": CHALLENGE + "="}, "invalid_request"),
    ({"code_challenge": CHALLENGE[:-1]}, "invalid_request"),
    ({"code_challenge": CHALLENGE[:-1] + "+"}, "invalid_request"),
    ({"code_challenge": [CHALLENGE, CHALLENGE]}, "invalid_request"),
]


@pytest.mark.spec("rfc6749", "4.1.2.1")
@pytest.mark.spec("rfc7636", "4.4.1")
@pytest.mark.spec("rfc9207", "2")
@pytest.mark.parametrize(("parameters", "code"), ERRORS)
def test_other_errors_are_redirected_to_the_client_with_state_and_issuer(
    site: Site, parameters: dict[str, Any], code: str
) -> None:
    site.sign_in()
    answer = answer_of(site.ask(**parameters))
    assert answer["error"] == code
    assert answer["state"] == "st-1"
    assert answer["iss"] == "https://login.example"
    assert set(answer) <= {"shop", "error", "error_description", "state", "iss"}


WRONG: dict[str, Any] = {
    "client_id": "nobody",
    "redirect_uri": "https://evil.example/",
    "response_mode": "web_message",
    "nonce": ["1", "2"],
    "request_uri": "https://client.example/request",
    "response_type": "nonsense",
    "code_challenge": "short",
    "scope": "unknown",
    "prompt": "odd",
}
"""A request in which everything is wrong, in the order in which the checks find it."""

FOUND = [
    "client_id is unknown",
    "redirect_uri is not registered for this client",
    "response_mode is not supported",
    "nonce is repeated",
    "request_uri must name a request that this server has saved",
    "response_type is not supported",
    "code_challenge is not an S256 challenge",
    "scope unknown may not be granted here",
    "prompt is not supported",
]


@pytest.mark.spec("rfc6749", "4.1.2.1")
@pytest.mark.parametrize("right", range(3))
def test_the_user_sees_the_first_error_if_the_redirect_uri_is_not_verified(site: Site, right: int) -> None:
    site.sign_in()
    page = site.ask(**dict(list(WRONG.items())[right:]))
    assert (page.status_code, page.location) == (400, None)
    assert FOUND[right] in page.text


@pytest.mark.spec("rfc6749", "4.1.2.1")
@pytest.mark.parametrize("right", range(3, len(WRONG)))
def test_the_client_receives_the_first_error_after_the_redirect_uri_is_verified(site: Site, right: int) -> None:
    site.sign_in()
    assert FOUND[right] in answer_of(site.ask(**dict(list(WRONG.items())[right:])))["error_description"]


@pytest.mark.spec("rfc9700", "4.11.2")
@pytest.mark.parametrize(("parameters", "code"), ERRORS)
def test_a_signed_out_user_signs_in_before_an_error_is_redirected(
    site: Site, parameters: dict[str, Any], code: str
) -> None:
    answer = site.ask(**parameters)
    assert answer.status_code == 303
    assert answer.location.startswith("/login?next=")
    site.sign_in()
    back = parse_qs(urlsplit(answer.location).query)["next"][0]
    assert answer_of(site.browser.get(back))["error"] == code


@pytest.mark.spec("rfc9700", "4.11.2")
@pytest.mark.spec("oauth-v2-1", "7.13.2")
@pytest.mark.parametrize("registered_by", ["open", "token", "developer", "document"])
@pytest.mark.parametrize("parameters", [{"scope": "unknown"}, {"response_type": "none"}, {"prompt": "odd"}])
def test_the_user_confirms_the_error_redirect_to_an_unverified_client(
    site: Site, registered_by: str, parameters: dict[str, Any]
) -> None:
    site.change_client(registered_by=registered_by, name="Bank")
    site.sign_in()
    page = site.ask(**parameters)
    assert (page.status_code, page.location) == (400, None)
    assert "Bank did not get what it asked for" in page.text
    assert "Bank has not been verified." in page.text
    assert "<h1>Go on to https://client.example?</h1>" in page.text
    assert page.headers["X-Frame-Options"] == "DENY"
    link = re.search(r'class="button primary" href="([^"]+)"', page.text)
    assert link
    assert unescape(link[1]).startswith(f"{CALLBACK}&error=")
    assert "state=st-1&amp;iss=" in link[1]
    form = site.ask(response_mode="form_post", **parameters)
    assert "form_post.js" not in form.text, "it does not send itself"
    assert f'action="{CALLBACK}"' in form.text
    assert 'name="state" value="st-1"' in form.text
    assert "form-action" not in form.headers["Content-Security-Policy"]


def test_the_redirect_warning_shows_the_error_id_and_debug_hints(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.change_client(registered_by="open")
    site.sign_in()
    page = site.ask(scope="unknown").text
    logged = re.search(r"invalid_scope \[([0-9a-f]{8})\]", caplog.text)
    assert logged
    assert logged[1] in page
    assert "For the developer" not in page
    site.app.debug = True
    assert "add unknown to OAUTH2_SCOPES" in site.ask(scope="unknown").text


@pytest.mark.spec("rfc9700", "4.11.2")
def test_a_decision_of_the_user_is_redirected_without_a_warning(site: Site) -> None:
    site.change_client(registered_by="open")
    site.sign_in()
    assert answer_of(site.allow(site.ask(), "deny"))["error"] == "access_denied"
    assert "error=invalid_scope" in site.ask(scope="unknown").text, "a denial is no consent"
    answer_of(site.allow(site.ask()))
    assert answer_of(site.ask(scope="unknown"))["error"] == "invalid_scope", "it was allowed before"
    assert answer_of(site.ask(scope="mail", prompt="none"))["error"] == "consent_required"
    other = site.app.test_client()
    site.sign_in("grace", other)
    assert site.ask(other, scope="unknown").status_code == 400, "by somebody else"
    assert site.ask(site.app.test_client(), prompt="none").status_code == 400, "by nobody who is signed in"


@pytest.mark.spec("rfc9700", "4.11.2")
@pytest.mark.parametrize("registered_by", ["open", "token", "developer", "document"])
@pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
@pytest.mark.parametrize("is_signed_in", [True, False])
@pytest.mark.parametrize(
    "uri", ["https://evil.example/cb", "HTTPS://Evil.Example/cb", "http://127.0.0.1/cb", "cursor://evil/cb"]
)
def test_no_error_of_an_unverified_client_is_redirected_to_it(
    site: Site, uri: str, is_signed_in: bool, mode: str, registered_by: str
) -> None:
    site.add_client("evil", None, redirect_uris=(uri,), registered_by=registered_by, name="Bank")
    ask = partial(site.ask, client_id="evil", redirect_uri=uri, response_mode=mode)
    if is_signed_in:
        site.sign_in()
    for parameters in (
        {},
        {"scope": "unknown"},
        {"scope": 'pro"file'},
        {"code_challenge": None},
        {"response_type": "token"},
        {"response_type": None},
        {"resource": "https://elsewhere.example"},
        {"nonce": ["a", "b"]},
    ):
        page = ask(prompt="none", **parameters)
        assert (page.status_code, page.location) == (400, None)
        assert f"Go on to {urls.origin(uri)}?" in page.text
        assert "Bank has not been verified." in page.text
        assert "form_post.js" not in page.text


@pytest.mark.spec("rfc9700", "4.11.2")
def test_prompt_none_errors_are_redirected_to_a_verified_client(site: Site) -> None:
    assert answer_of(site.ask(prompt="none"))["error"] == "login_required"
    site.sign_in()
    assert answer_of(site.ask(prompt="none"))["error"] == "consent_required"


@pytest.mark.spec("rfc9700", "4.11.2")
def test_an_authorize_handler_that_denies_does_not_redirect_to_an_unverified_client(new_site: Any) -> None:
    site = new_site()
    site.provider.authorize_handler(lambda *_, **__: False)
    site.add_client(registered_by="open")
    site.sign_in()
    page = site.ask()
    assert (page.status_code, page.location) == (400, None)
    assert "error=access_denied" in page.text
    site.change_client(registered_by="")
    assert answer_of(site.ask())["error"] == "access_denied"


def test_a_repeated_state_is_refused_and_not_echoed(site: Site) -> None:
    site.sign_in()
    answer = answer_of(site.ask(state=["a", "b"]))
    assert answer["error"] == "invalid_request"
    assert "state" not in answer


@pytest.mark.spec("rfc6749", "4.1.2.1")
def test_a_client_without_the_response_type_is_unauthorized(site: Site) -> None:
    site.sign_in()
    site.change_client(response_types=())
    assert answer_of(site.ask())["error"] == "unauthorized_client"
    site.change_client(response_types=("code",), grant_types=("client_credentials",))
    assert answer_of(site.ask())["error"] == "unauthorized_client"


@pytest.mark.spec("rfc6749", "4.1.2.1")
def test_a_denial_is_access_denied(site: Site) -> None:
    site.sign_in()
    answer = answer_of(site.allow(site.ask(), "deny"))
    assert answer["error"] == "access_denied"
    assert answer["state"] == "st-1"
    assert site.ask().status_code == 200, "a refusal is not remembered"


@pytest.mark.spec("rfc7636", "4.4.1")
def test_pkce_is_required_unless_a_client_is_exempt(site: Site, new_site: Any) -> None:
    without = {"code_challenge": None, "code_challenge_method": None}
    site.sign_in()
    assert answer_of(site.ask(**without))["error"] == "invalid_request"
    site.change_client(pkce_required=False)
    assert site.ask(**without).status_code == 200
    lax = new_site(OAUTH2_PKCE_REQUIRED="public")
    lax.add_client()
    lax.add_client("app", None, pkce_required=False)
    lax.sign_in()
    assert lax.ask(**without).status_code == 200
    assert answer_of(lax.ask(client_id="app", **without))["error"] == "invalid_request"
    lax.change_client(pkce_required=True)
    assert answer_of(lax.ask(**without))["error"] == "invalid_request"


@pytest.mark.spec("rfc6749", "3.1")
@pytest.mark.spec("oauth-v2-multiple-response-types-1_0", "2.1")
@pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
def test_response_modes(site: Site, mode: str) -> None:
    site.sign_in()
    answer = site.allow(site.ask(response_mode=mode, state='s"<t>'))
    if mode == "query":
        assert "code=" in urlsplit(answer.location).query
    elif mode == "fragment":
        assert "code=" in urlsplit(answer.location).fragment
        assert urlsplit(answer.location).query == "shop=7"
    else:
        assert answer.status_code == 200
        assert "Location" not in answer.headers
        assert f'action="{CALLBACK}"' in answer.text
        assert 'name="iss" value="https://login.example"' in answer.text
        assert 'value="s&#34;&lt;t&gt;"' in answer.text
        assert "no-store" in answer.headers["Cache-Control"]
        assert "form-action" not in answer.headers["Content-Security-Policy"]
        assert "unsafe-inline" not in answer.headers["Content-Security-Policy"]
        assert "<script>" not in answer.text


@pytest.mark.spec("oauth-v2-multiple-response-types-1_0", "2.2")
def test_errors_use_the_requested_response_mode(site: Site) -> None:
    site.sign_in()
    assert "error=invalid_scope" in urlsplit(site.ask(scope="x", response_mode="fragment").location).fragment
    assert 'name="error" value="invalid_scope"' in site.ask(scope="x", response_mode="form_post").text


@pytest.mark.spec("rfc6749", "3.1")
def test_the_authorization_endpoint_accepts_post(site: Site) -> None:
    site.sign_in()
    form = {
        "response_type": "code",
        "client_id": "web",
        "scope": "profile",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    page = site.browser.post("/oauth/authorize", data=form)
    assert "code" in answer_of(site.allow(page))
    assert site.browser.post("/oauth/authorize?client_id=web", data=form).status_code == 400, "client_id came twice"
    assert site.browser.post("/oauth/authorize", json=form).status_code == 400


@pytest.mark.spec("rfc6749", "3.1")
@pytest.mark.parametrize("size", [10, 5000])
def test_a_posted_request_is_saved_during_sign_in(site: Site, size: int) -> None:
    form = {
        "response_type": "code",
        "client_id": "web",
        "scope": "profile",
        "state": "s" * size,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    answer = site.browser.post("/oauth/authorize", data=form)
    assert answer.status_code == 303
    assert len(answer.location) < 2500
    back = parse_qs(urlsplit(answer.location).query)["next"][0]
    site.sign_in()
    assert site.browser.get(back).status_code == 200, "seeing it spends nothing"
    answer = site.allow(site.browser.get(back))
    assert answer_of(answer)["state"] == "s" * size
    if size > 1000:
        again = site.browser.get(back)
        assert (again.status_code, again.location) == (400, None), "it is answered once"
        assert "this authorization request has already been completed" in again.text


def test_a_posted_request_that_is_too_long_is_rejected(site: Site) -> None:
    form = {"response_type": "code", "client_id": "web", "state": "s" * 20_000}
    assert site.browser.post("/oauth/authorize", data=form).status_code == 413
    site.sign_in()
    form |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    assert site.browser.post("/oauth/authorize", data=form).status_code == 413


@pytest.mark.spec("rfc6819", "4.4.1.11")
def test_saved_requests_are_limited_per_address(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_oauth2.endpoints.authorization.saved.MOST_SAVED", 100)
    form = {"response_type": "code", "client_id": "web", "state": "s" * 2000}

    def keep(address: str = "192.0.2.1") -> int:
        return site.http.post("/oauth/authorize", data=form, environ_overrides={"REMOTE_ADDR": address}).status_code

    assert {keep() for _ in range(10)} == {303}
    assert keep() == 429
    assert keep("192.0.2.2") == 303
    assert 429 in {keep(f"198.51.100.{network}") for network in range(100)}, "all addresses together have an end"
    site.clock.forward(3600)
    assert keep() == 303


def test_a_saved_request_expires(site: Site) -> None:
    form = {"response_type": "code", "client_id": "web", "state": "s" * 5000}
    back = parse_qs(urlsplit(site.browser.post("/oauth/authorize", data=form).location).query)["next"][0]
    site.clock.forward(3600)
    site.sign_in()
    assert site.browser.get(back).status_code == 400


def test_a_signed_out_user_signs_in_and_returns(site: Site) -> None:
    answer = site.ask()
    assert answer.status_code == 303
    assert urlsplit(answer.location).path == "/login"
    back = parse_qs(urlsplit(answer.location).query)["next"][0]
    assert back.startswith("/oauth/authorize?")
    site.sign_in()
    assert "code" in answer_of(site.allow(site.browser.get(back)))


@pytest.mark.spec("rfc6749", "10.12")
@pytest.mark.spec("rfc9700", "4.16")
def test_the_consent_page_cannot_be_framed_cached_or_scripted(site: Site) -> None:
    site.sign_in()
    page = site.ask()
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert "form-action" not in page.headers["Content-Security-Policy"], "nobody knows where the client leads on to"
    assert page.headers["X-Frame-Options"] == "DENY"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store"
    assert "See your name" in page.text
    assert "ada" in page.text
    assert "https://client.example" in page.text


def test_the_consent_page_escapes_the_client_name(site: Site) -> None:
    site.change_client(name="<script>alert(1)</script>")
    site.sign_in()
    assert "<script>alert" not in site.ask().text


def ticket_of(page: Any) -> str:
    found = re.search(r'name="ticket" value="([^"]+)"', page.text)
    assert found
    return unescape(found[1])


@pytest.mark.spec("rfc6749", "10.12")
def test_consent_is_bound_to_the_session_and_the_user(site: Site) -> None:
    site.sign_in()
    page = site.ask()
    stranger = site.app.test_client()
    assert site.allow(page, browser=stranger).status_code == 400
    site.sign_in("ada", stranger)
    site.ask(browser=stranger)
    assert site.allow(page, browser=stranger).status_code == 400, "the same user in another browser"
    site.sign_in("eve")
    assert site.allow(page).status_code == 400, "another user in the same browser"
    site.sign_in("ada")
    assert "code" in answer_of(site.allow(page))


@pytest.mark.spec("rfc6749", "10.12")
@pytest.mark.parametrize(
    "form",
    [
        {},
        {"decision": "allow"},
        {"ticket": "nonsense", "decision": "allow"},
        {"ticket": "", "decision": "allow"},
        {"ticket": "real"},
        {"ticket": "real", "decision": "yes"},
        {"ticket": "altered", "decision": "allow"},
    ],
)
def test_consent_requires_a_ticket_and_a_decision(site: Site, form: dict[str, str]) -> None:
    site.sign_in()
    ticket = ticket_of(site.ask())
    tickets = {"real": ticket, "altered": ticket[:9] + ("A" if ticket[9] != "A" else "B") + ticket[10:]}
    if "ticket" in form:
        form = {**form, "ticket": tickets.get(form["ticket"], form["ticket"])}
    assert site.browser.post("/oauth/consent", data=form).status_code == 400
    assert site.browser.get("/oauth/consent").status_code == 405


@pytest.mark.spec("rfc6749", "10.10")
def test_a_code_is_derived_with_the_newest_secret_key(new_site: Any) -> None:
    """A key is changed because others may know it: with it and the form they would find the code."""
    site = new_site(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["old"])
    site.add_client()
    site.sign_in()
    page = site.ask()
    ticket = re.search(r'name="ticket" value="([^"]+)"', page.text)
    assert ticket is not None
    answer_id = serializer(site.server, "consent").loads(unescape(ticket[1]))["answer_id"]
    timestamp = values.from_text(answer_id)[:6]
    with_new, with_old = (
        values.generate("oac", timestamp, values.derive_key(key, "code", answer_id))[0] for key in (b"new", b"old")
    )
    assert answer_of(site.allow(page))["code"] == with_new != with_old


def test_the_request_is_verified_again_after_consent(site: Site) -> None:
    site.sign_in()
    page = site.ask()
    site.change_client(redirect_uris=("https://client.example/other",))
    assert site.allow(page).status_code == 400


def test_a_user_who_signed_out_signs_in_again(site: Site) -> None:
    site.sign_in()
    page = site.ask()
    with site.browser.session_transaction() as session:
        del session["user"]
    assert site.allow(page).location.startswith("/login?next=")


@pytest.mark.spec("rfc8252", "8.6")
def test_consent_is_remembered_until_the_scope_grows(site: Site) -> None:
    site.authorize(scope="profile mail")
    assert site.ask(scope="profile").status_code == 303
    assert site.ask(scope="mail").status_code == 303
    page = site.ask(scope="profile write")
    assert page.status_code == 200
    site.allow(page)
    assert site.ask(scope="profile mail write").status_code == 303
    site.sign_in("eve")
    assert site.ask(scope="profile").status_code == 200, "consent of another user"


@pytest.mark.spec("rfc8252", "8.6")
@pytest.mark.parametrize(
    ("redirect_uri", "remembered"),
    [
        ("https://app.example/cb", True),
        ("http://127.0.0.1/cb", False),
        ("http://localhost:7000/cb", False),
        ("com.example.app:/cb", False),
    ],
)
def test_consent_is_not_remembered_for_loopback_and_private_use_redirect_uris(
    site: Site, redirect_uri: str, remembered: bool
) -> None:
    site.add_client("app", None, redirect_uris=(redirect_uri,), application_type="native")
    answer = site.authorize(client_id="app", redirect_uri=redirect_uri)
    assert "code" in answer
    again = site.ask(client_id="app", redirect_uri=redirect_uri)
    assert again.status_code == (303 if remembered else 200)


NATIVE: dict[str, Any] = {
    "redirect_uris": ("com.example.app:/cb",),
    "application_type": "native",
    "pkce_required": False,
}
WITHOUT_PKCE = {"redirect_uri": "com.example.app:/cb", "code_challenge": None, "code_challenge_method": None}


@pytest.mark.spec("rfc8252", "8.5")
@pytest.mark.spec("oauth-v2-1", "8.1")
def test_a_native_client_with_a_shared_secret_is_treated_as_public(site: Site) -> None:
    uri = "com.example.app:/cb"
    secret = site.add_client("app", **NATIVE)
    code = site.authorize(client_id="app", redirect_uri=uri)["code"]
    assert site.ask(client_id="app", redirect_uri=uri).status_code == 200, "it is asked for each time"
    assert answer_of(site.ask(client_id="app", **WITHOUT_PKCE))["error"] == "invalid_request"
    refused = site.token("client_credentials", ("app", secret)).get_json()
    assert refused["error"] == "unauthorized_client"
    tokens = site.redeem(code, ("app", secret), redirect_uri=uri).get_json()
    asked = {"token": tokens["access_token"]}
    assert site.post("/introspect", ("app", secret), **asked).status_code == 401, (
        "whoever has the application could ask"
    )
    assert site.refresh(tokens["refresh_token"], secret, "app").status_code == 200
    assert site.refresh(tokens["refresh_token"], secret, "app").status_code == 400, "no grace_period"


@pytest.mark.spec("rfc8252", "8.4")
@pytest.mark.spec("oauth-v2-1", "8.1")
def test_a_registered_native_client_is_confidential(site: Site) -> None:
    uri = "com.example.app:/cb"
    secret = site.add_client("app", registered_by="token", **NATIVE)
    assert site.token("client_credentials", ("app", secret)).status_code == 200
    code = site.authorize(client_id="app", **WITHOUT_PKCE)["code"]
    tokens = site.redeem(code, ("app", secret), redirect_uri=uri, code_verifier=None).get_json()
    assert site.post("/introspect", ("app", secret), token=tokens["access_token"]).get_json()["active"]
    assert site.refresh(tokens["refresh_token"], secret, "app").status_code == 200
    assert site.refresh(tokens["refresh_token"], secret, "app").status_code == 200


def test_consent_is_saved_only_if_the_request_succeeds(site: Site) -> None:
    site.sign_in()
    page = site.ask()
    site.change_client(token_format="gone", response_types=("code token",))
    assert answer_of(site.allow(page))["error"] == "unauthorized_client"
    assert site.store.get_consent("ada", "web") is None


def test_a_private_use_scheme_is_a_valid_redirect_target(site: Site) -> None:
    uri = "com.example.app:/oauth/done"
    site.add_client("app", None, redirect_uris=(uri,), application_type="native")
    site.sign_in()
    page = site.ask(client_id="app", redirect_uri=uri)
    assert "An application on this device will open." in page.text
    assert site.allow(page).location.startswith("com.example.app:/oauth/done?code=")


def test_a_loopback_redirect_accepts_any_port(site: Site) -> None:
    site.add_client("cli", None, redirect_uris=("http://127.0.0.1/done",), application_type="native")
    site.sign_in()
    answer = site.allow(site.ask(client_id="cli", redirect_uri="http://127.0.0.1:53411/done"))
    assert answer.location.startswith("http://127.0.0.1:53411/done?code=")


def test_a_store_without_consents_always_prompts(new_site: Any) -> None:
    site = new_site(store=StoreWithoutConsents())
    site.add_client()
    assert "code" in site.authorize()
    assert site.ask().status_code == 200


@pytest.mark.spec("rfc9700", "2.6")
def test_there_is_no_cors_on_the_authorization_endpoint(site: Site) -> None:
    site.sign_in()
    page = site.browser.get("/oauth/authorize", headers={"Origin": "https://client.example"})
    assert not any(name.startswith("Access-Control") for name, _ in page.headers.items())


def test_a_query_that_is_not_utf8_is_a_bad_request(site: Site) -> None:
    site.sign_in()
    for query in (b"client_id=%ff", b"client_id=web&state=%00", "client_id=wéb".encode("latin-1")):
        answer = site.browser.get("/oauth/authorize", query_string=query.decode("latin-1"))
        assert answer.status_code == 400, query


def test_an_error_page_shows_the_error_id_of_the_log(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    answer = site.ask(client_id="nobody")
    record = caplog.records[-1].getMessage()
    error_id = record.split("[")[1].split("]")[0]
    assert error_id in answer.text
    assert "rfc6749 4.1.2.1" in record
    assert "nobody" in record


def test_unused_parameters_are_ignored(site: Site) -> None:
    assert "code" in site.authorize(foo="bar", access_type="offline")
    assert urlencode({"a": "b"}) == "a=b"


class Busy(MemoryStore):
    """A store in which somebody else is always faster, for a number of times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def set_consent(self, consent: Consent, before: Consent | None) -> bool:
        if self.times > 0:
            self.times -= 1
            words = (*(before.scope if before else ()), f"other-{self.times}")
            super().set_consent(replace(consent, id=before.id if before else "theirs", scope=words), before)
        return super().set_consent(consent, before)


@pytest.mark.spec("rfc9700", "4.14.2")
def test_concurrent_consents_are_merged(new_site: Any) -> None:
    store = Busy(2)
    site = new_site(store=store)
    secret = site.add_client()
    tokens = site.tokens(secret)
    consent = store.get_consent("ada", "web")
    assert consent is not None
    assert (consent.id, consent.scope) == ("theirs", ("other-1", "other-0", "profile"))
    assert site.is_alive(tokens["access_token"])
    store.delete_consent("ada", "web", 10**12)
    assert not site.is_alive(tokens["access_token"])


def test_a_consent_that_keeps_changing_is_temporarily_unavailable(new_site: Any) -> None:
    site = new_site(store=Busy(10**6))
    site.add_client()
    assert site.authorize()["error"] == "temporarily_unavailable"


class Away(MemoryStore):
    """A store that has lost its consents for a moment."""

    def get_consent(self, user_id: str, client_id: str) -> Any:
        raise TemporarilyUnavailable("the database cannot be reached", retry_after=1)


def test_a_store_failure_shows_a_page_for_an_unverified_client(new_site: Any, caplog: pytest.LogCaptureFixture) -> None:
    site = new_site(store=Away())
    site.add_client()
    site.sign_in()
    assert answer_of(site.ask())["error"] == "temporarily_unavailable"
    site.change_client(registered_by="open")
    caplog.clear()
    page = site.ask()
    assert (page.status_code, page.location, page.headers["Retry-After"]) == (503, None, "1")
    assert CALLBACK not in page.text
    assert caplog.text.count("temporarily_unavailable") == 1, "the store is not asked again whether there is a consent"


def test_an_application_may_change_the_redirect_response(site: Site) -> None:
    """As is done for pages that scripts load: they follow a header of their own."""

    @site.app.after_request
    def change(response: Any) -> Any:
        if "X-Script" in flask.request.headers:
            response.headers["X-Go-To"] = response.headers.pop("Location")
            response.status_code = 200
            response.set_data(b"moved")
        return response

    site.add_client()
    site.authorize()
    site.browser.environ_base["HTTP_X_SCRIPT"] = "yes"
    answer = site.ask()
    assert (answer.status_code, answer.text, answer.headers["Content-Length"]) == (200, "moved", "5")
    assert "code=" in answer.headers["X-Go-To"]


def test_the_redirect_response_has_content_length_zero(site: Site) -> None:
    site.add_client()
    site.authorize()
    answer = site.ask()
    assert (answer.status_code, answer.data, answer.headers["Content-Length"]) == (303, b"", "0")


class Full(MemoryStore):
    """A store that has no room for grants."""

    is_full = False

    def issue(self, spend: Any, records: Any, now: int, grace_period: int = 0) -> bool:
        if self.is_full:
            raise RuntimeError("the disk is full")
        return super().issue(spend, records, now, grace_period)


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_a_store_error_does_not_complete_the_request(new_site: Any, decision: str) -> None:
    site = new_site(store=Full())
    site.add_client()
    site.sign_in()
    page = site.ask()
    site.store.is_full = True
    with pytest.raises(RuntimeError, match="the disk is full"):
        site.allow(page, decision)
    site.store.is_full = False
    answer = answer_of(site.allow(page, decision))
    assert ("code" in answer) is (decision == "allow")
    assert ("error" in answer) is (decision == "deny")


class Slow(MemoryStore):
    """A store in which another browser is faster to answer a saved request."""

    def issue(self, spend: Any, records: Any, now: int, grace_period: int = 0) -> bool:
        if spend is not None and spend.kind == "request_uri":
            super().issue(spend, [], now)
        return super().issue(spend, records, now, grace_period)


def test_a_saved_request_is_completed_once(new_site: Any) -> None:
    site = new_site(store=Slow())
    site.add_client()
    site.authorize()
    long = {"response_type": "code", "client_id": "web", "scope": "profile", "state": "s" * 5000}
    long |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    stranger = site.app.test_client()
    back = parse_qs(urlsplit(stranger.post("/oauth/authorize", data=long).location).query)["next"][0]
    answer = site.browser.get(back)
    assert (answer.status_code, answer.location) == (400, None)
    assert "this authorization request has already been completed" in answer.text
