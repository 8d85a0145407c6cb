"""The companion of README.rst."""

from __future__ import annotations

import sys

import requests
from doc_page import ROOT, Block, Page
from interop.browser import Browser

from flask_oauth2 import Client


def run_quickstart(page: Page, block: Block) -> None:
    """tests/test_examples.py runs it and walks through it."""
    assert block.code.endswith(".venv/bin/flask --app examples/quickstart/app.py run\n")


def run_tests(page: Page, block: Block) -> None:
    """The gate runs the command that readers see."""
    assert f"\ntests='{block.code.strip()}'\n" in (ROOT / ".ci/run").read_text()


def answer(page: Page, prompt: str) -> str:
    """The person who is asked to open a URL."""
    with Browser() as browser:
        return browser.authorize(prompt.split()[1], name="ada")


def check(page: Page) -> None:
    """Without a token there is no answer; the grant and the format work."""
    assert requests.get(f"{page.address()}/api/me", timeout=10).status_code == 401
    login = f"{page.address()}/login?next=//evil.example"
    assert requests.post(login, {"name": "ada"}, allow_redirects=False, timeout=10).headers["Location"] == "/"

    shop = sys.modules["shop"]
    client = Client(client_id="robot", auth_method="none", redirect_uris=(), grant_types=("urn:example:api-key",))
    shop.app.testing = True
    with shop.app.app_context():
        shop.provider.server.store.set_client(client)
        assert shop.db.session.query(shop.provider.models["OAuth2Client"]).one().client_id == "robot"
    ask = {"grant_type": "urn:example:api-key", "client_id": "robot", "api_key": "a key that Ada was given"}
    with shop.app.test_client() as http:
        token = http.post("/oauth/token", data=ask).get_json()["access_token"]
        assert len(token) == 32  # of the page's own format
        assert http.post("/oauth/token", data=ask | {"api_key": "another"}).get_json()["error"] == "invalid_grant"
