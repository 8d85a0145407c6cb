"""An application's own templates, block by block or for all pages, and what the pages say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flask_oauth2 import MemoryStore
from flask_oauth2.http import redirects
from oauth_site import Site, StoreWithoutConsents, make_site


@pytest.fixture
def site_with(tmp_path: Path) -> Any:
    """Sites with templates of their own."""

    def site_with(**templates: str) -> Site:
        folder = tmp_path / "templates" / "oauth2"
        folder.mkdir(parents=True)
        for name, text in templates.items():
            (folder / f"{name}.html").write_text(text)
        site = make_site(tmp_path, store=MemoryStore())
        site.app.template_folder = str(folder.parent)
        site.add_client(name="Shop")
        site.sign_in()
        return site

    return site_with


def test_one_block_of_one_page(site_with: Any) -> None:
    own = (
        '{% extends "oauth2/default/consent.html" %}{% block heading %}<h1>Let {{ client_name }} in?</h1>{% endblock %}'
    )
    site = site_with(consent=own)
    page = site.ask()
    assert "<h1>Let Shop in?</h1>" in page.text
    assert "<h1>Allow" not in page.text
    assert "See your name" in page.text
    assert 'value="deny"' in page.text
    site.allow(page)
    assert "<h1>Connected applications</h1>" in site.browser.get("/oauth/applications").text


def test_all_pages_at_once(site_with: Any) -> None:
    own = (
        '{% extends "oauth2/default/base.html" %}{% block brand %}<b>Acme</b>{% endblock %}'
        '{% block styles %}{{ super() }}<link rel="stylesheet" href="/acme.css">{% endblock %}'
    )
    site = site_with(base=own)
    consent = site.ask()
    form = site.ask(scope="unknown", response_mode="form_post")
    error = site.ask(client_id="nobody")
    site.allow(consent)
    for page in (consent, form, error, site.browser.get("/oauth/applications")):
        assert "<header><b>Acme</b></header>" in page.text
        assert 'href="/acme.css"' in page.text
        assert 'href="/oauth/static/oauth2.css"' in page.text
    assert "form_post.js" in form.text


def test_a_layout_of_the_applications_own(site_with: Any) -> None:
    site = site_with(base="<title>{% block title %}{% endblock %}</title><body>{% block main %}{% endblock %}")
    page = site.ask()
    assert page.text.startswith("<title>Allow Shop?</title><body>")
    assert site.allow(page).status_code == 303


BLOCKS = {
    "base": ["title", "styles", "script", "head", "brand", "main", "footer"],
    "consent": [
        *(
            "title",
            "main",
            "client",
            "heading",
            "again",
            "warning",
            "scopes",
            "client_host",
            "resources",
            "account",
            "host",
        ),
        *("actions", "notes"),
    ],
    "error": ["title", "main", "heading", "reason", "advice", "details", "diagnosis"],
    "applications": ["title", "main", "heading", "ended", "account", "connections"],
    "sign_in": ["title", "main", "heading", "reason", "account", "advice", "warning", "actions"],
    "redirect_warning": ["title", "main", "heading", "warning", "reason", "actions", "details", "diagnosis"],
    "device": ["title", "main", "heading", "warning", "question", "wrong", "form", "account"],
    "device_consent": ["warning", "host", "actions"],
    "device_done": ["title", "main", "heading", "outcome", "account", "warning", "notes"],
    "developer": ["title", "main", "heading", "done", "account", "clients", "actions"],
    "developer_client": ["title", "main", "client", "heading", "notice", "facts", "form", "more", "account"],
    "developer_secret": ["title", "main", "heading", "secret", "actions", "account"],
    "developer_delete": ["title", "main", "heading", "warning", "account", "actions"],
    "form_post": ["title", "script", "main", "heading", "form"],
}
"""What applications may count on."""


@pytest.mark.parametrize("name", BLOCKS)
def test_the_blocks_have_these_names(site: Site, name: str) -> None:
    template = site.app.jinja_env.get_template(f"oauth2/default/{name}.html")
    assert list(template.blocks) == BLOCKS[name]


def test_the_consent_page_says_who_asks_for_what(site: Site) -> None:
    pages = {
        "client_uri": "https://shop.example/",
        "logo_uri": "https://login.example/static/shop.png",
        "policy_uri": "https://shop.example/privacy",
        "tos_uri": "https://shop.example/terms",
    }
    site.add_client(name="Shop", metadata=pages)
    site.sign_in()
    page = site.ask(scope="profile mail")
    for uri in pages.values():
        assert f'"{uri}"' in page.text
    assert page.text.count('rel="noopener noreferrer nofollow"') == 3
    assert ">shop.example</a>" in page.text
    assert "Signed in as" in page.text
    assert "https://client.example" in page.text
    assert 'href="/login?next=/oauth/authorize?' in page.text
    assert "img-src 'self';" in page.headers["Content-Security-Policy"]
    site.add_client(name="Shop")
    bare = site.ask(scope="profile mail").text
    for said in ("nofollow", "<img", "Privacy", "Terms"):
        assert said not in bare


def test_what_is_new_is_marked(site: Site) -> None:
    site.add_client(name="Shop")
    site.authorize(scope="profile")
    page = site.ask(scope="profile mail").text
    assert "You allowed Shop before. Now it asks for more" in page
    assert '<li>Read your mail <strong class="new">New</strong></li>' in page
    assert "<li>See your name</li>" in page
    again = site.ask(scope="profile", prompt="consent").text
    assert "You allowed Shop before. It asks for nothing new." in again
    assert "New</strong>" not in again
    assert "before" not in site.ask(client_id=site.add_client("other") and "other").text


def test_a_client_that_wants_nothing_special(new_site: Any) -> None:
    site = new_site(OAUTH2_SCOPES={})
    site.add_client(name="Shop", scope=())
    site.sign_in()
    page = site.ask(scope=None)
    assert "Shop asks to know that you are signed in here." in page.text
    site.allow(page)
    assert "Know that you are signed in here" in site.browser.get("/oauth/applications").text


def test_nothing_is_promised_where_consents_are_not_kept(site: Site, new_site: Any) -> None:
    for running_site, promises in ((site, True), (new_site(store=StoreWithoutConsents()), False)):
        running_site.add_client()
        running_site.sign_in()
        assert ("You can end this at any time" in running_site.ask().text) is promises


def test_an_empty_list_says_what_it_is_for(site: Site) -> None:
    site.sign_in()
    page = site.browser.get("/oauth/applications").text
    assert "No application may act for you." in page
    assert "<form" not in page


def test_the_error_page_says_what_can_be_done(site: Site) -> None:
    site.add_client()
    page = site.ask(redirect_uri="https://evil.example/").text
    assert '<span lang="en">redirect_uri is not registered for this client.</span>' in page
    assert "begin again" in page
    assert "For the developer" not in page
    site.app.debug = True
    page = site.ask(redirect_uri="https://evil.example/").text
    assert "For the developer" in page
    assert "<dt>Came</dt><dd><code>https://evil.example/</code></dd>" in page
    assert "<dt>Came</dt>" not in site.browser.post("/oauth/consent", data={"ticket": "x"}).text


@pytest.mark.spec("rfc9700", "4.2.4")
@pytest.mark.parametrize(
    ("logo_uri", "registered_by", "is_shown"),
    [
        ("https://login.example/static/logo.png", "", True),
        ("HTTPS://LOGIN.example:443/static/logo.png", "", True),
        ("https://login.example/static/logo.png", "developer", False),
        ("https://login.example/static/logo.png", "open", False),
        ("https://client.example/logo.png", "", False),
        ("https://client.example/logo.png", "open", False),
        ("https://login.example:8443/logo.png", "", False),
        ("http://login.example/logo.png", "", False),
        ("https://login.example.evil.example/logo.png", "", False),
        ("https://login.example@evil.example/logo.png", "", False),
        ("https://img.example; frame-ancestors */l.png", "", False),
        ("data:image/png;base64,AAAA", "", False),
        ("nonsense", "", False),
    ],
)
def test_no_page_loads_an_image_of_another_site(site: Site, logo_uri: str, registered_by: str, is_shown: bool) -> None:
    site.add_client(metadata={"logo_uri": logo_uri}, registered_by=registered_by)
    site.sign_in()
    page = site.ask()
    assert ("<img" in page.text) is is_shown
    policy = page.headers["Content-Security-Policy"]
    assert "img-src 'self'; frame-ancestors 'none';" in policy
    assert policy.count(";") == 5
    site.allow(page)
    assert ("<img" in site.browser.get("/oauth/applications").text) is is_shown


PAGES = {
    "client_uri": "https://www.bank.example/",
    "policy_uri": "https://www.bank.example/privacy",
    "tos_uri": "https://www.bank.example/terms",
    "logo_uri": "https://www.bank.example/logo.png",
}


@pytest.mark.spec("rfc7591", "5")
@pytest.mark.parametrize("registered_by", ["open", "token", "developer"])
@pytest.mark.parametrize(
    ("redirect_uri", "is_shown"),
    [
        ("https://evil.example/cb", False),
        ("https://www.bank.example/unused", True),
        ("HTTPS://WWW.BANK.EXAMPLE/unused", True),
        ("https://bank.example/cb", False),
        ("http://localhost/cb", False),
        ("cursor://www.bank.example/cb", False),
    ],
)
def test_the_links_of_an_unverified_client_are_those_of_the_host_in_use(
    site: Site, redirect_uri: str, is_shown: bool, registered_by: str
) -> None:
    redirect_uris = (redirect_uri, "https://www.bank.example/second")
    site.add_client(name="Bank", metadata=PAGES, redirect_uris=redirect_uris, registered_by=registered_by)
    site.sign_in()
    for page in (site.ask(redirect_uri=redirect_uri), site.ask(redirect_uri=redirect_uri, scope="unknown")):
        assert "logo.png" not in page.text
        assert "Bank has not been verified." in page.text
    page = site.ask(redirect_uri=redirect_uri)
    for name in ("client_uri", "policy_uri", "tos_uri"):
        assert (f'"{PAGES[name]}"' in page.text) is is_shown
    host = redirects.host_and_port(redirect_uri)
    assert (f"What you allow goes to {host}." in page.text) is bool(host)
    site.allow(page)
    connected = site.browser.get("/oauth/applications").text
    assert "www.bank.example" not in connected
    assert "Bank has not been verified." in connected


@pytest.mark.spec("client-id-metadata-document", "6.4")
def test_the_links_of_a_client_with_a_document_are_those_of_its_own_host_too(site: Site) -> None:
    url, uri = "https://www.bank.example/client.json", "http://127.0.0.1/cb"
    site.add_client(url, None, name="Bank", metadata=PAGES, redirect_uris=(uri,), registered_by="document")
    site.sign_in()
    page = site.ask(client_id=url, redirect_uri=uri).text
    assert f'"{PAGES["policy_uri"]}"' in page
    assert '<p class="place"><a href="https://www.bank.example/"' in page
    site.change_client(url, metadata={})
    assert '<p class="place">www.bank.example</p>' in site.ask(client_id=url, redirect_uri=uri).text
    site.change_client(url, metadata=PAGES, redirect_uris=("https://evil.example/cb",))
    assert '<p class="place">evil.example</p>' in site.ask(client_id=url, redirect_uri="https://evil.example/cb").text
    metadata = {**PAGES, "policy_uri": "https://elsewhere.example/privacy"}
    site.add_client(url, None, name="Bank", metadata=metadata, redirect_uris=(uri,), registered_by="document")
    assert "elsewhere" not in site.ask(client_id=url, redirect_uri=uri).text


def test_a_client_that_the_operator_registered_has_no_warning(site: Site) -> None:
    site.add_client(name="Bank", metadata=PAGES)
    site.sign_in()
    page = site.ask()
    assert "not been verified" not in page.text
    assert f'"{PAGES["policy_uri"]}"' in page.text
    site.allow(page)
    assert "not been verified" not in site.browser.get("/oauth/applications").text
