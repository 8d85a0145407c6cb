"""The companion of the tutorial: Ada with a browser, and the phone as AppAuth would play it."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import requests
from doc_page import Block, Page
from interop.browser import Browser
from servers import PATIENCE

from oauth_site import CHALLENGE, VERIFIER

ADA = {"name": "ada", "password": "engine"}


def answer(page: Page, prompt: str) -> str:
    """Ada opens the address, signs in and allows it."""
    with Browser() as browser:
        wrong = browser.press(browser.open(prompt.split()[1]), "Sign in", name="ada", password="guess")
        assert "is wrong" in wrong.text
        return browser.authorize(prompt.split()[1], **ADA)


def run_end(page: Page, block: Block) -> None:
    """Ada ends the access, and then the block is run."""
    with Browser() as browser:
        shown = browser.open(f"{page.address()}/oauth/applications")
        shown = browser.press(shown, "Sign in", **ADA)
        assert "Notes for phones" in shown.text
        assert "Read your notes" in shown.text
        shown = browser.press(shown, "End access")
        assert "Read your notes" not in shown.text
    page.run_python(block)


def check(page: Page) -> None:
    """The redirect URI of a phone works as the one of a computer does, and the login page leads nowhere else."""
    for target in ("https://evil.example/", "//evil.example/", "/\t/evil.example"):
        url = f"{page.address()}/login"
        answer = requests.post(url, ADA, params={"next": target}, allow_redirects=False, timeout=PATIENCE)
        assert answer.headers["Location"] == "/"
    metadata = requests.get(f"{page.address()}/.well-known/oauth-authorization-server", timeout=PATIENCE).json()
    ask = {
        "response_type": "code",
        "client_id": "notes-phone",
        "redirect_uri": "com.example.notes:/signed-in",
        "scope": "notes",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    url = requests.Request("GET", metadata["authorization_endpoint"], params=ask).prepare().url
    with Browser() as browser:
        received = browser.authorize(url or "", **ADA)
    assert received.startswith("com.example.notes:/signed-in?code=")
    form = {"grant_type": "authorization_code", "client_id": "notes-phone", "redirect_uri": ask["redirect_uri"]}
    form |= {"code": parse_qs(urlsplit(received).query)["code"][0], "code_verifier": VERIFIER}
    answer = requests.post(metadata["token_endpoint"], form, timeout=PATIENCE)
    assert answer.json()["scope"] == "notes"
