"""Text of a request appears on no page of the provider (CWE-451): neither names nor values of parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import pytest

from flask_oauth2 import MemoryStore
from flask_oauth2.web.routes import PAGES
from oauth_site import CALLBACK, CHALLENGE, Site, make_site

MARK = "Call-0800-123456"
"""Text that a scope, a parameter name and a path segment may hold."""

REQUEST = {
    "response_type": "code",
    "client_id": "web",
    "redirect_uri": CALLBACK,
    "scope": "profile",
    "state": "st-1",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}

NAMES = (
    *REQUEST,
    *("response_mode", "prompt", "resource", "nonce", "max_age", "request", "request_uri", "login_hint", "claims"),
    *("flask_oauth2_sent_at", "flask_oauth2_form", "ticket", "decision", "user_code", "next"),
    *("error", "error_description", "error_uri", "client_name", "name", "kind", "redirect_uris", "code", "iss"),
)


class Shown(HTMLParser):
    """What a page shows or says: its text, and attributes other than targets of links and hidden fields."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.said: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        is_hidden = ("type", "hidden") in attrs
        self.said += [text or "" for name, text in attrs if name not in ("href", "action") and not is_hidden]

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    def handle_comment(self, data: str) -> None:
        self.said.append(data)


def variants(base: dict[str, str]) -> Iterator[list[tuple[str, str]]]:
    """The parameters of a page with the text in each name and value, once and twice."""
    given = list(base.items())
    yield [*given, (MARK, MARK)]
    yield [*given, (MARK, MARK), (MARK, MARK)]
    yield [(MARK, "1"), (MARK, "2")]
    if not base:
        yield [(name, MARK) for name in NAMES]
        yield [(name, MARK) for name in (*NAMES, *NAMES)]
        return
    for name in NAMES:
        rest = [pair for pair in given if pair[0] != name]
        yield [*rest, (name, MARK)]
        yield [*rest, (name, f"{base.get(name, 'a')} {MARK}")]
        yield [*rest, (name, base.get(name, "a")), (name, MARK)]
        yield [(name, MARK), (name, MARK)]


@pytest.fixture(params=["", "open", "document"])
def page_site(tmp_path: Any, request: pytest.FixtureRequest) -> Site:
    site = make_site(
        tmp_path,
        store=MemoryStore(),
        OAUTH2_GRANT_TYPES=["authorization_code", "refresh_token", "device_code"],
        OAUTH2_DEVELOPER_PAGES=True,
        OAUTH2_CLIENT_ID_METADATA_DOCUMENTS=True,
    )
    site.add_client(registered_by=request.param, response_types=("code",), grant_types=("authorization_code",))
    return site


@pytest.mark.spec("rfc9700", "4.11")
@pytest.mark.parametrize("is_signed_in", [True, False])
@pytest.mark.parametrize("name", PAGES)
def test_no_page_shows_text_of_its_request(
    page_site: Site, name: str, is_signed_in: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path, _, methods = PAGES[name]
    path = f"/oauth{path.replace('<client_id>', MARK)}"
    pages, browser = 0, page_site.app.test_client()
    if is_signed_in:
        page_site.sign_in(browser=browser)
    for base in (REQUEST, {}):
        for parameters in variants(base):
            for method in methods:
                query = urlencode(parameters)
                answers = [browser.open(f"{path}?{query}", method=method)]
                if method == "POST":
                    answers.append(browser.post(path, data=query, content_type="application/x-www-form-urlencoded"))
                for answer in answers:
                    assert answer.status_code < 500
                    if answer.mimetype == "text/html":
                        pages += 1
                        said = [text for text in Shown(answer.text).said if MARK in text]
                        assert not said, (method, parameters, said)
    assert pages or not is_signed_in
    assert MARK not in page_site.browser.get(path).text


@pytest.mark.spec("rfc9700", "4.11")
def test_a_consent_form_of_another_site_shows_nothing_of_it(page_site: Site, caplog: pytest.LogCaptureFixture) -> None:
    answer = page_site.browser.post("/oauth/consent", data={MARK: ["1", "2"]})
    assert answer.status_code == 400
    assert "a parameter is repeated" in answer.text
    assert MARK not in answer.text
    assert f"{MARK} is repeated" in caplog.text, "the log keeps it"


@pytest.mark.spec("rfc6749", "4.1.2.1")
def test_the_client_is_told_what_its_request_holds(page_site: Site) -> None:
    """In the place that is made for it: the parameters of the answer."""
    page_site.sign_in()
    page = page_site.ask(scope=MARK)
    told = re.search(r"error_description=([^&\"]+)", page.text if page.status_code == 400 else page.location)
    assert told is not None
    assert MARK in told[1]
