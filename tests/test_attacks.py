"""Whatever a client sends: the right 4xx, clean headers, no secret in the log, never a 500."""

from __future__ import annotations

import itertools
import logging
import re
from typing import Any

import pytest

from oauth_site import CALLBACK, CHALLENGE, Site

ENDPOINTS = [
    ("POST", "/oauth/token"),
    ("POST", "/oauth/revoke"),
    ("POST", "/oauth/introspect"),
    ("GET", "/oauth/authorize"),
    ("POST", "/oauth/authorize"),
    ("POST", "/oauth/consent"),
    ("GET", "/.well-known/oauth-authorization-server"),
    ("GET", "/api/me"),
]

VALUES: list[bytes] = [
    b"%00",
    b"%ff%fe",
    b"\xff\xfe",
    b"%ED%A0%80",
    b"%F0%9F%98%80",
    b"%E2%80%AE",
    b"%0D%0ASet-Cookie:%20a=b",
    b"%22%5C%3Cscript%3E",
    b"' OR 1=1 --",
    b"%25s%25n{0}{{7*7}}${7*7}",
    b"../../etc/passwd",
    b"%zz%",
    b"+",
    b"A" * 30_000,
    b"[object Object]",
    b"null",
    b"-1",
    b"1e999",
]

FORMS: list[bytes] = [
    b"",
    b"&",
    b"=",
    b"&&&===",
    b"a",
    b"grant_type",
    b"grant_type[]=client_credentials",
    b"grant_type[a][b]=client_credentials",
    b"grant_type=client_credentials;client_id=web",
    b'{"grant_type":"client_credentials"}',
    b"client_id=web&client_id=web",
    b"client_id=&client_id=web",
    b"&".join(b"p%d=1" % number for number in range(1000)),
    b"=".join([b"a"] * 1000),
    b"%" * 1000,
    *(b"grant_type=%s&client_id=web" % value for value in VALUES),
    *(b"grant_type=authorization_code&client_id=app&code=%s" % value for value in VALUES),
    *(b"grant_type=authorization_code&client_id=app&code=x&code_verifier=%s" % value for value in VALUES),
    *(b"grant_type=refresh_token&client_id=app&refresh_token=%s" % value for value in VALUES),
    *(b"grant_type=client_credentials&client_id=%s&client_secret=x" % value for value in VALUES[:4]),
    *(b"grant_type=client_credentials&client_id=web&client_secret=%s" % value for value in VALUES[:4]),
    *(b"token=%s&client_id=app" % value for value in VALUES),
    *(b"ticket=%s&decision=allow" % value for value in VALUES),
    *(b"client_id=web&request_uri=urn:ietf:params:oauth:request_uri:%s" % value for value in VALUES),
    *(b"client_id=%s" % value for value in VALUES),
    *(b"client_id=web&redirect_uri=%s" % value for value in VALUES),
    *(b"client_id=web&state=%s&response_type=code" % value for value in VALUES),
    *(b"client_id=web&scope=%s&response_type=code" % value for value in VALUES),
    *(b"client_id=web&response_type=%s" % value for value in VALUES),
    *(b"client_id=web&response_mode=%s&response_type=code" % value for value in VALUES),
    *(b"client_id=web&response_type=code&code_challenge_method=S256&code_challenge=%s" % value for value in VALUES),
]

HEADERS: list[dict[str, str]] = [
    {},
    {"Authorization": "Basic"},
    {"Authorization": "Basic " + "A" * 8000},
    {"Authorization": "Basic d2ViOng=, Basic d2ViOng="},
    {"Authorization": "Bearer a, Bearer b"},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer \xff\xfe"},
    {"Authorization": "Bearer " + "A" * 8000},
    {"Authorization": "Negotiate x"},
    {"Authorization": ","},
    {"Content-Length": "nonsense"},
]

NQSCHAR = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]*\Z")


@pytest.fixture
def site(site: Site) -> Site:
    site.add_client()
    site.add_client("app", None)
    site.sign_in()
    return site


_OF_PROGRAMS = {"error", "challenge"}
KINDS = {
    "/oauth/token": _OF_PROGRAMS,
    "/oauth/revoke": _OF_PROGRAMS,
    "/oauth/introspect": _OF_PROGRAMS,
    "/oauth/authorize": {"redirect"},
    "/api/me": {"challenge"},
}
"""The kinds of answers that odd forms get, as :func:`check` returns them."""


def check(answer: Any) -> set[str]:
    """Check what holds for every answer. Return the kinds of answers whose rules applied."""
    assert answer.status_code < 500, answer.text
    assert not any("\r" in value or "\n" in value for value in answer.headers.values())
    kinds = set()
    if answer.mimetype == "application/json" and "error" in answer.get_json():
        kinds.add("error")
        assert answer.status_code >= 400
        assert NQSCHAR.match(answer.get_json()["error_description"])
        assert re.match(r"[a-z_]+\Z", answer.get_json()["error"])
        assert answer.headers["Cache-Control"] == "no-store"
    if answer.status_code == 303:
        kinds.add("redirect")
        assert answer.location.startswith((CALLBACK + "&", "/login?"))
    if answer.status_code == 401:
        kinds.add("challenge")
        assert "WWW-Authenticate" in answer.headers
    return kinds


@pytest.mark.spec("rfc6749", "10.14")
@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_odd_forms(site: Site, method: str, path: str) -> None:
    kinds = set()
    for form in FORMS:
        if method == "POST":
            kinds |= check(site.browser.post(path, data=form, content_type="application/x-www-form-urlencoded"))
        kinds |= check(site.browser.open(path, method=method, query_string=form.decode("latin-1")))
    assert kinds == KINDS.get(path, set())


@pytest.mark.spec("rfc6749", "10.14")
@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_odd_headers(site: Site, method: str, path: str) -> None:
    form = b"grant_type=client_credentials&client_id=app&token=x"
    for headers, content_type in itertools.product(
        HEADERS, ["application/x-www-form-urlencoded", "application/json", "multipart/form-data", "x", "\xff"]
    ):
        answer = site.http.open(
            path, method=method, data=form if method == "POST" else None, headers=headers, content_type=content_type
        )
        check(answer)


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
@pytest.mark.parametrize("other", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "NONSENSE"])
def test_odd_methods(site: Site, method: str, path: str, other: str) -> None:
    answer = site.http.open(path, method=other)
    allowed = set(site.app.url_map.bind("localhost").allowed_methods(path))
    assert method in allowed
    assert answer.status_code < 500
    named = set(answer.headers["Allow"].split(", ")) if answer.status_code == 405 else None
    assert named == (None if other in allowed else allowed)


@pytest.mark.spec("rfc6749", "5.2")
@pytest.mark.parametrize("text", ['"', "\\", "é", "\x7f", "\n", "‮", "x" * 5000])
def test_an_error_description_holds_only_what_is_allowed(site: Site, text: str) -> None:
    answer = site.token("client_credentials", client_id="app", **{text: ["a", "b"]})
    assert answer.status_code == 400
    assert NQSCHAR.match(answer.get_json()["error_description"])
    assert len(answer.get_json()["error_description"]) < 300


@pytest.mark.spec("rfc6749", "5.2")
def test_a_scope_is_named_in_the_description_and_cut(site: Site) -> None:
    answer = site.browser.get(
        "/oauth/authorize",
        query_string={
            "client_id": "web",
            "response_type": "code",
            "scope": "x" * 3000,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        },
    )
    assert answer.status_code == 303
    assert len(answer.location) < 700


def test_no_secret_is_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = site.add_client("conf")
    tokens = site.tokens(secret, client_id="conf")
    code = site.authorize(client_id="conf")["code"]
    marks = [secret, tokens["access_token"], tokens["refresh_token"], code]
    for value in marks:
        for form in (
            {"grant_type": "authorization_code", "code": value},
            {"grant_type": "authorization_code", "code": code, "code_verifier": value},
            {"grant_type": "refresh_token", "refresh_token": value},
            {"grant_type": "password", "username": "ada", "password": value},
            {"grant_type": "client_credentials", "client_secret": value},
            {"token": value},
            {"grant_type": value},
            {"grant_type": "client_credentials", "scope": value},
            {"grant_type": "client_credentials", "client_id": value},
        ):
            for path in ("/token", "/revoke", "/introspect"):
                site.post(path, **{"client_id": "app", **form})
                site.post(path, ("web", value), **form)
                site.post(path, ("conf", "wrong"), **form)
                site.http.post(f"/oauth{path}", data=form, headers={"Authorization": value})
                site.http.post(f"/oauth{path}", data=f"{value}&{value}=&=={value}", headers={"Authorization": value})
        site.call(value)
        site.http.get("/api/me", headers={"Authorization": value})
        site.http.get(f"/api/me?access_token={value}")
        site.browser.post("/oauth/consent", data={"ticket": value, "decision": "allow"})
    for value in marks:
        assert value not in caplog.text
    assert caplog.records


def test_what_a_client_sends_cannot_forge_a_log_line(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.ask(client_id="x\nINFO forged line\r\x1b[31m")
    assert "\n" not in caplog.records[-1].getMessage()
    assert "\x1b" not in caplog.records[-1].getMessage()


def test_the_log_says_what_was_expected_and_what_came(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.ask(redirect_uri=CALLBACK + "/")
    line = caplog.records[-1].getMessage()
    assert re.match(
        r"invalid_request \[[0-9a-f]{8}\] redirect_uri is not registered for this client \(rfc9700 2.1\)", line
    )
    assert f"expected '{CALLBACK}'; received '{CALLBACK}/'" in line
