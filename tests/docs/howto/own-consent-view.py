"""The companion of the page about the pages: the templates are used, and the form does what it says."""

from __future__ import annotations

import sys
from html import unescape
from re import search
from typing import Any

from doc_page import Page

from flask_oauth2 import Client
from oauth_site import CHALLENGE


def check(page: Page) -> None:
    """First with the application's own view, then with the default page and its overridden blocks."""
    module = sys.modules["app"]
    app, provider = module.app, module.provider
    app.testing = True
    with app.app_context():
        provider.server.store.set_client(
            Client(
                client_id="shop",
                name="Shop",
                auth_method="none",
                redirect_uris=("https://shop.example/back",),
                scope=("notes",),
            )
        )
    browser = app.test_client()
    with browser.session_transaction() as session:
        session["user"] = "ada"

    def ask() -> Any:
        query = {"client_id": "shop", "response_type": "code", "code_challenge": CHALLENGE}
        return browser.get("/oauth/authorize", query_string=query | {"code_challenge_method": "S256"})

    def form() -> dict[str, str]:
        shown = ask().text
        assert "ada, may Shop have: notes?" in shown
        ticket = search(r'name="ticket" value="([^"]+)"', shown)
        assert ticket is not None
        return {"ticket": unescape(ticket[1])}

    assert "error=access_denied" in browser.post("/oauth/authorize", data=form() | {"answer": "no"}).location

    view, provider.consent_view = provider.consent_view, None
    shown = ask().text
    assert "<p>Ada's notebooks</p>" in shown
    assert "/static/notebooks.css" in shown
    assert "oauth2.css" in shown
    assert "Read your notes" in shown

    provider.consent_view = view
    assert "?code=" in browser.post("/oauth/authorize", data=form() | {"answer": "yes"}).location
