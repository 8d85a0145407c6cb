"""The pages in Chromium: on desktop and phone, light and dark, by keyboard, without scripts, without styles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page

OpenPage = Callable[..., Page]

APPLICATION = "cursor://anysphere.cursor-mcp/oauth/callback"
"""A redirect URI with a private-use scheme."""

PICTURES = Path(__file__).parent.parent.parent / "docs" / "_static" / "screenshots"
"""``--screenshots`` writes ``NAME-SIZE-SCHEME.png`` here, for each name of ``PICTURED``."""

PICTURED = (
    *("consent", "consent-document", "error", "error-debug", "applications", "sign-in"),
    *("device", "device-link", "device-consent"),
    *("developer", "developer-client", "developer-wrong", "developer-secret", "developer-delete"),
)

SIZES = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}
NARROW = {"width": 320, "height": 640}
"""The narrowest screen that pages must fit, WCAG 2.2, 1.4.10."""

WEB = {"redirect_uri": "https://notes.example/back"}
AGENT = "https://agent.example/client.json"
"""A client that nobody has registered."""

TEAMS = "6f1e2ab09c3d7745"
"""A client that a developer has registered, which has a secret."""

WRONG = {"client_id": "notes-web", "redirect_uri": "https://notes.example/back/"}


def ask_for_device(running_site: Any, page: Page) -> None:
    """Somebody follows the link of a device, and its code is right."""
    running_site.sign_in(page, "Ada")
    page.goto(running_site.start_device()["verification_uri_complete"])
    page.get_by_role("button", name="Yes, go on").click()
    page.get_by_role("heading", name="Allow").wait_for()


def open_developer_page(running_site: Any, page: Page, path: str = "", name: str = "Ada Lovelace") -> None:
    """Somebody comes to the pages for developers."""
    running_site.sign_in(page, name)
    page.goto(f"{running_site.url}/oauth/developer{path}")


def register_wrongly(running_site: Any, page: Page) -> None:
    """Somebody types what cannot be registered."""
    open_developer_page(running_site, page, "/new")
    page.get_by_label("Name", exact=True).fill("Notes for printers")
    page.get_by_label("Redirect URIs").fill("http://printers.example/back")
    page.get_by_label("Home page").fill("printers.example")
    page.get_by_role("button", name="Register").click()
    page.get_by_role("alert").wait_for()


SCENES: dict[str, Callable[[Any, Page], Any]] = {
    "consent": lambda running_site, page: (running_site.sign_in(page, "Ada"), page.goto(running_site.ask(**WEB))),
    "consent-again": lambda running_site, page: (
        running_site.sign_in(page),
        page.goto(running_site.ask(**WEB, scope="profile notes write")),
    ),
    "consent-plain": lambda running_site, page: (running_site.sign_in(page), page.goto(running_site.ask("plain"))),
    "consent-long": lambda running_site, page: (
        running_site.sign_in(page, "a" * 90),
        page.goto(running_site.ask("long", **WEB)),
    ),
    "consent-document": lambda running_site, page: (
        running_site.sign_in(page, "Ada"),
        page.goto(running_site.ask(AGENT, redirect_uri="http://127.0.0.1:3456/back")),
    ),
    "consent-elsewhere": lambda running_site, page: (
        running_site.sign_in(page, "Ada"),
        page.goto(running_site.ask(AGENT, **WEB)),
    ),
    "leave": lambda running_site, page: (
        running_site.sign_in(page, "Ada"),
        page.goto(running_site.ask(AGENT, redirect_uri=WEB["redirect_uri"], scope="unknown")),
    ),
    "error": lambda running_site, page: page.goto(running_site.ask(**WRONG)),
    "error-debug": lambda running_site, page: page.goto(running_site.ask(**WRONG)),
    "applications": lambda running_site, page: (
        running_site.sign_in(page),
        page.goto(f"{running_site.url}/oauth/applications"),
    ),
    "applications-none": lambda running_site, page: (
        running_site.sign_in(page, "Somebody new"),
        page.goto(f"{running_site.url}/oauth/applications"),
    ),
    "sign-in": lambda running_site, page: (
        running_site.sign_in(page),
        page.goto(running_site.ask(prompt="login")),
        page.goto(running_site.url + parse_qs(urlsplit(page.url).query)["next"][0]),
    ),
    "device": lambda running_site, page: (
        running_site.sign_in(page, "Ada"),
        page.goto(f"{running_site.url}/oauth/device"),
    ),
    "device-wrong": lambda running_site, page: (
        running_site.sign_in(page, "Ada"),
        page.goto(f"{running_site.url}/oauth/device?user_code=nonsense"),
    ),
    "device-link": lambda running_site, page: (
        running_site.sign_in(page, "Ada"),
        page.goto(running_site.start_device()["verification_uri_complete"]),
    ),
    "device-consent": lambda running_site, page: ask_for_device(running_site, page),
    "device-done": lambda running_site, page: (
        ask_for_device(running_site, page),
        page.get_by_role("button", name="Allow").click(),
        page.get_by_role("heading", name="Go back").wait_for(),
    ),
    "developer": lambda running_site, page: open_developer_page(running_site, page),
    "developer-none": lambda running_site, page: open_developer_page(running_site, page, name="Somebody new"),
    "developer-new": lambda running_site, page: open_developer_page(running_site, page, "/new"),
    "developer-wrong": lambda running_site, page: register_wrongly(running_site, page),
    "developer-client": lambda running_site, page: open_developer_page(running_site, page, f"/{TEAMS}"),
    "developer-missing": lambda running_site, page: open_developer_page(running_site, page, "/nothing"),
    "developer-rotate": lambda running_site, page: open_developer_page(running_site, page, f"/{TEAMS}/secret"),
    "developer-secret": lambda running_site, page: (
        open_developer_page(running_site, page, f"/{TEAMS}/secret"),
        page.get_by_role("button", name="Make a new secret").click(),
        page.get_by_role("status").wait_for(),
    ),
    "developer-delete": lambda running_site, page: open_developer_page(running_site, page, f"/{TEAMS}/delete"),
    "form-post": lambda running_site, page: (
        running_site.sign_in(page, "Ada"),
        page.goto(running_site.ask(**WEB, response_mode="form_post", scope="unknown")),
    ),
}
"""Every page, and how somebody comes to see it."""


@pytest.fixture
def show(request: pytest.FixtureRequest, open_page: OpenPage) -> Callable[..., Page]:
    """A window that shows a scene. A form that would send itself is held back."""

    def show(scene: str) -> Page:
        running_site = request.getfixturevalue("debug_site" if scene == "error-debug" else "running_site")
        page = open_page()
        page.route("**/form_post.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
        SCENES[scene](running_site, page)
        page.wait_for_load_state()  # what led to it may have waited for words only, and styles come later
        return page

    return show


@pytest.mark.parametrize("scene", SCENES)
def test_the_accessibility_engine_finds_nothing(
    show: Callable[..., Page], scene: str, axe: str, request: pytest.FixtureRequest
) -> None:
    page = show(scene)
    page.evaluate(axe)
    for size, viewport in SIZES.items():
        page.set_viewport_size(viewport)  # type: ignore[arg-type]
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            found = page.evaluate("axe.run({rules: {'target-size': {enabled: true}}})")
            assert [(one["id"], one["help"], one["nodes"]) for one in found["violations"]] == []
            assert len(found["passes"]) > 15
            if scene in PICTURED and request.config.getoption("--screenshots"):
                PICTURES.mkdir(parents=True, exist_ok=True)
                page.screenshot(path=PICTURES / f"{scene}-{size}-{scheme}.png", full_page=True)


@pytest.mark.parametrize("scene", SCENES)
def test_it_fits_every_screen_and_every_thumb(show: Callable[..., Page], scene: str) -> None:
    page = show(scene)
    for viewport in (*SIZES.values(), NARROW):
        page.set_viewport_size(viewport)  # type: ignore[arg-type]
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        for target in page.locator("button, .button, .choice, .client a, .facts a, .links a").all():
            box = target.bounding_box()
            assert box is not None
            assert box["height"] >= 44, target.text_content()
            assert box["width"] >= 44, target.text_content()


@pytest.mark.parametrize("scene", SCENES)
def test_it_says_the_same_without_styles(show: Callable[..., Page], scene: str) -> None:
    page = show(scene)
    styled = page.locator("body").inner_text()
    page.evaluate("for (const link of document.querySelectorAll('link[rel=stylesheet]')) link.remove()")
    assert page.evaluate("getComputedStyle(document.querySelector('main')).padding") == "0px"
    bare = page.locator("body").inner_text()
    assert bare.casefold().split() == styled.casefold().split()  # styles begin a sentence with a capital
    for element in page.locator("h1, h2, h3, p, li, dt, dd, button, a").all():
        assert element.is_visible()


def sign_in_and_come(page: Page, running_site: Any, **parameters: str) -> None:
    """A stranger comes with a request, signs in, and is asked."""
    page.goto(running_site.ask(**parameters))
    page.get_by_label("Name").fill("Ada")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_load_state()
    assert page.get_by_role("heading", level=1).inner_text() == "Allow Notes for phones?"


def answer_names(page: Page) -> list[str]:
    """The parameters that the client was sent."""
    page.get_by_role("heading", name="Back", exact=True).wait_for()
    return page.get_by_role("listitem").all_inner_texts()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("button", "sent"), [("Allow", "code"), ("Deny", "error")])
def test_somebody_decides(
    open_page: OpenPage, running_site: Any, size: str, scheme: str, button: str, sent: str
) -> None:
    page = open_page(viewport=SIZES[size], color_scheme=scheme)
    sign_in_and_come(page, running_site, state="st-1")
    assert page.get_by_text("See your name and your picture").is_visible()
    assert page.get_by_text("Ada", exact=True).is_visible()
    assert page.get_by_text(running_site.client_url, exact=True).is_visible()
    assert page.evaluate("document.querySelector('img').naturalWidth") > 0, "the policy lets our own images in"
    assert page.title() == "Allow Notes for phones?"
    page.get_by_role("button", name=button).click()
    names = answer_names(page)
    assert sent in names
    assert {"state", "iss"} <= set(names)


@pytest.mark.parametrize(("button", "sent"), [("Allow", "code"), ("Deny", "error")])
def test_the_keyboard_is_enough(open_page: OpenPage, running_site: Any, button: str, sent: str) -> None:
    page = open_page()
    page.goto(running_site.ask())
    page.keyboard.type("Ada")
    page.keyboard.press("Enter")
    page.get_by_role("button", name=button).wait_for()
    page.wait_for_load_state()
    passed = []
    while not passed or passed[-1] != button:
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        passed.append(focused.inner_text())
        assert focused.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
        assert len(passed) < 9
    assert passed == ["notes.example", "Use another account", "Allow", "Deny"][: len(passed)]
    page.keyboard.press("Enter")
    assert sent in answer_names(page)


def test_another_account(open_page: OpenPage, running_site: Any) -> None:
    page = open_page()
    sign_in_and_come(page, running_site)
    page.get_by_role("link", name="Use another account").click()
    page.get_by_label("Name").fill("Grace")
    page.get_by_role("button", name="Sign in").click()
    assert page.get_by_text("Grace", exact=True).is_visible()
    page.get_by_role("button", name="Allow").click()
    assert "code" in answer_names(page)


@pytest.mark.parametrize("mode", ["query", "form_post"])
@pytest.mark.parametrize(("button", "sent"), [("Allow", "code"), ("Deny", "error")])
def test_scripts_are_not_needed(open_page: OpenPage, running_site: Any, mode: str, button: str, sent: str) -> None:
    page = open_page(viewport=SIZES["phone"], java_script_enabled=False)
    sign_in_and_come(page, running_site, response_mode=mode)
    page.get_by_role("button", name=button).click()
    if mode == "form_post":
        page.get_by_role("button", name="Continue").click()
    assert sent in answer_names(page)


@pytest.mark.spec("oauth-v2-form-post-response-mode-1_0", "2")
def test_with_scripts_the_form_sends_itself(open_page: OpenPage, running_site: Any) -> None:
    page = open_page()
    sign_in_and_come(page, running_site, response_mode="form_post")
    page.get_by_role("button", name="Allow").click()
    assert "code" in answer_names(page)
    assert page.url == f"{running_site.client_url}/back"


@pytest.mark.spec("rfc8252", "7.1")
@pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
@pytest.mark.parametrize(("button", "sent"), [("Allow", "code"), ("Deny", "error")])
def test_the_callback_of_the_client_may_lead_on_to_another_port(
    open_page: OpenPage, running_site: Any, mode: str, button: str, sent: str
) -> None:
    """Chromium applies ``form-action`` to all redirects after a form, those of the client too."""
    page = open_page()
    sign_in_and_come(page, running_site, response_mode=mode, redirect_uri=f"{running_site.client_url}/onward")
    page.get_by_role("button", name=button).click()
    page.get_by_role("heading", name="Back", exact=True).wait_for()
    assert not page.url.startswith(running_site.client_url)
    assert f"{sent}=" in page.url


@pytest.mark.spec("rfc8252", "7.1")
@pytest.mark.parametrize("mode", ["query", "form_post"])
@pytest.mark.parametrize(("button", "sent"), [("Allow", "code"), ("Deny", "error")])
def test_the_callback_of_the_client_may_open_an_application(
    open_page: OpenPage, running_site: Any, mode: str, button: str, sent: str
) -> None:
    page = open_page()
    sign_in_and_come(page, running_site, response_mode=mode, redirect_uri=f"{running_site.client_url}/application")
    with page.expect_event("requestfailed", lambda request: request.url.startswith(APPLICATION)) as found:
        page.get_by_role("button", name=button).click()
    assert f"{sent}=" in found.value.url, "no application of this name is installed"


@pytest.mark.spec("rfc8252", "7.1")
def test_an_application_is_opened_at_once_if_the_answer_is_for_it(open_page: OpenPage, running_site: Any) -> None:
    page = open_page()
    sign_in_and_come(page, running_site, redirect_uri=APPLICATION)
    assert page.get_by_text("An application on this device will open.").is_visible()
    with page.expect_event("requestfailed", lambda request: request.url.startswith(APPLICATION)) as found:
        page.get_by_role("button", name="Allow").click()
    assert "code=" in found.value.url


@pytest.mark.spec("rfc6749", "4.1.2")
def test_a_button_that_is_pressed_twice(open_page: OpenPage, running_site: Any) -> None:
    page = open_page()
    sign_in_and_come(page, running_site)
    page.get_by_role("button", name="Allow").dblclick()
    assert "code" in answer_names(page)


@pytest.mark.spec("rfc6819", "5.1.3")
def test_somebody_ends_what_they_allowed(open_page: OpenPage, running_site: Any) -> None:
    page = open_page(viewport=SIZES["phone"])
    running_site.sign_in(page, "Grace Hopper")
    page.goto(f"{running_site.url}/oauth/applications")
    assert [item.inner_text() for item in page.get_by_role("heading", level=2).all()] == [
        "Notes for phones",
        "Weekly summary",
    ]
    page.get_by_role("button", name="End access Weekly summary").click()
    assert page.get_by_role("status").inner_text() == "Weekly summary has no access any more."
    assert running_site.store.get_consent("Grace Hopper", "plain") is None
    assert running_site.store.get_consent("Grace Hopper", "notes") is not None
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text("No application may act for you.").wait_for()
    page.reload()
    assert page.get_by_role("status").count() == 0


def test_the_page_of_a_developer_whose_client_is_wrong(open_page: OpenPage, debug_site: Any, running_site: Any) -> None:
    page = open_page()
    page.goto(debug_site.ask(**WRONG))
    panel = page.get_by_role("region", name="For the developer")
    assert "by a slash at the end" in panel.inner_text()
    assert panel.get_attribute("lang") == "en"
    page.goto(running_site.ask(**WRONG))
    assert panel.count() == 0


def test_a_style_sheet_of_the_applications_own(open_page: OpenPage, run_site: Any, tmp_path: Path) -> None:
    folder = tmp_path / "templates" / "oauth2"
    folder.mkdir(parents=True)
    (folder / "base.html").write_text(
        '{% extends "oauth2/default/base.html" %}'
        '{% block styles %}{{ super() }}<link rel="stylesheet" href="/acme.css">{% endblock %}'
    )
    acme = run_site(template_folder=str(folder.parent))
    acme.app.add_url_rule(
        "/acme.css", view_func=lambda: (":root { --accent: rgb(120, 0, 80) }", {"Content-Type": "text/css"})
    )
    page = open_page()
    sign_in_and_come(page, acme)
    color = page.get_by_role("button", name="Allow").evaluate("element => getComputedStyle(element).backgroundColor")
    assert color == "rgb(120, 0, 80)"


def test_a_link_that_is_a_script_does_nothing(chromium: Browser, run_site: Any) -> None:
    running_site = run_site()
    notes = running_site.store.get_client("notes")
    running_site.store.set_client(replace(notes, metadata={"client_uri": "javascript:document.title='mine'"}))
    with chromium.new_context() as context:
        page = context.new_page()
        sign_in_and_come(page, running_site)
        with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
            page.locator(".client a").click()
        assert page.title() == "Allow Notes for phones?"
