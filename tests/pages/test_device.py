"""The pages of the verification URI: sign-in, user code, decision, and limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask
import pytest
from devices import PAGE, Device, Person, add_device_client, ticket_of
from playwright.sync_api import Page

from flask_oauth2 import MemoryStore, OAuth2Provider, signals
from flask_oauth2.grants import user_codes
from flask_oauth2.settings import DEVICE_CODE
from oauth_site import Site, answer_of, make_site

GRANTS = ["authorization_code", "device_code", "refresh_token"]
WRONG = "This code is wrong or has expired."


@pytest.fixture
def site(new_site: Any) -> Site:
    site: Site = new_site(OAUTH2_GRANT_TYPES=GRANTS)
    add_device_client(site)
    return site


def wrong_code(number: int = 0) -> str:
    """Return a user code that no device has."""
    letters = user_codes.ALPHABET
    return "BBBBB" + letters[number // 400 % 20] + letters[number // 20 % 20] + letters[number % 20]


@pytest.mark.spec("rfc8628", "3.3")
def test_somebody_types_the_code_and_allows(site: Site) -> None:
    device, person = Device(site, scope="profile mail"), Person(site)
    page = person.open()
    assert page.status_code == 200
    assert "Type the code that your device shows." in page.text
    asked = person.type(device.user_code, page)
    assert asked.status_code == 200
    for said in ("Allow Television?", "See your name", "Read your mail", "Signed in as", "ada", device.user_code):
        assert said in asked.text
    assert "whoever holds it can act for you" in asked.text
    assert device.error() == "authorization_pending"
    answer = person.press(asked)
    assert (answer.status_code, answer.location) == (303, PAGE)
    last = person.browser.get(answer.location)
    assert "Go back to your device" in last.text
    assert "You allowed Television." in last.text
    assert "Go back to your device" not in person.open().text, "it is said once"
    assert device.poll().status_code == 200


@pytest.mark.spec("rfc8628", "3.3")
def test_somebody_denies(site: Site) -> None:
    device, person = Device(site), Person(site)
    last = person.decide(device.user_code, "deny")
    assert "You denied Television." in last.text
    assert "Connected applications" not in last.text
    assert device.error() == "access_denied"


@pytest.mark.spec("rfc8628", "6.1")
def test_it_is_typed_as_people_type(site: Site) -> None:
    device, person = Device(site), Person(site)
    for typed in (device.user_code.lower(), device.user_code.replace("-", " "), f" {device.user_code}. "):
        assert "Allow Television?" in person.type(typed).text


@pytest.mark.spec("rfc8628", "3.3")
@pytest.mark.parametrize(("query", "back"), [("", PAGE), ("?user_code=WDJB-MJHT", f"{PAGE}?user_code%3DWDJB-MJHT")])
def test_a_stranger_signs_in_first(site: Site, query: str, back: str) -> None:
    answer = site.browser.get(PAGE + query)
    assert (answer.status_code, answer.location) == (303, f"/login?next={back}")
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.spec("rfc8628", "3.3.1")
def test_who_comes_by_the_link_is_asked_whether_the_code_is_that_of_the_device(site: Site) -> None:
    device, person = Device(site), Person(site)
    page = person.open(user_code=device.user_code.lower())
    assert "Is this the code that your device shows?" in page.text
    assert f"<strong>{device.user_code}</strong>" in page.text
    assert "If somebody sent you the code or a link, close this page" in page.text
    assert device.error() == "authorization_pending"
    asked = person.type(device.user_code, page)
    assert 'value="allow"' in asked.text
    assert 'value="deny"' in asked.text
    person.press(asked, "deny")
    assert device.error() == "access_denied"


@pytest.mark.spec("rfc8628", "3.3")
def test_the_address_to_type_has_no_code_in_it(site: Site) -> None:
    device = Device(site)
    assert device.user_code not in device.answer["verification_uri"]
    assert device.answer["verification_uri_complete"].endswith(f"?user_code={device.user_code}")


@pytest.mark.parametrize("text", ["nonsense", "x" * 5000, '"><script>'])
def test_a_link_with_nonsense_asks_for_the_code(site: Site, text: str) -> None:
    page = Person(site).open(user_code=text)
    assert page.status_code == 200
    assert WRONG in page.text
    assert "<script>" not in page.text


@pytest.mark.spec("rfc8628", "5.4")
@pytest.mark.spec("rfc8252", "8.6")
@pytest.mark.parametrize("by_link", [True, False])
def test_what_was_allowed_before_skips_nothing(site: Site, by_link: bool) -> None:
    person = Person(site)
    first = Device(site, scope="profile")
    person.decide(first.user_code)
    device = Device(site, scope="profile")
    page = person.open(**({"user_code": device.user_code} if by_link else {}))
    assert device.error() == "authorization_pending"
    asked = person.type(device.user_code, page)
    assert "You allowed Television before. It asks for nothing new." in asked.text
    assert device.error() == "slow_down"
    person.press(asked)
    assert device.poll().status_code == 200


@pytest.mark.spec("rfc8628", "5.1")
def test_wrong_expired_and_decided_codes_look_the_same(site: Site) -> None:
    person = Person(site)
    expired = Device(site).user_code
    site.clock.forward(600)
    decided, denied, gone = Device(site).user_code, Device(site).user_code, Device(site, "tv").user_code
    person.decide(decided)
    person.decide(denied, "deny")
    pages = [
        Person(site, user).type(code)
        for user, code in zip("abcd", (wrong_code(), expired, decided, denied), strict=True)
    ]
    assert {page.status_code for page in pages} == {400}
    shown = {
        page.text.replace(ticket_of(page), "").replace(code, "").replace(f"<dd>{user}</dd>", "")
        for user, page, code in zip(
            "abcd", pages, (user_codes.show(wrong_code()), expired, decided, denied), strict=True
        )
    }
    assert len(shown) == 1
    assert WRONG in shown.pop()
    site.change_client("tv", grant_types=("refresh_token",))
    assert WRONG in person.type(gone).text
    site.store.delete_client("tv", 2_000_000_000)
    assert WRONG in person.type(gone).text


@pytest.mark.spec("rfc8628", "5.1")
def test_five_wrong_codes_of_one_person_are_enough(site: Site) -> None:
    device = Device(site)
    for number in range(5):
        assert Person(site).type(wrong_code(number)).status_code == 400
    page = Person(site).type(device.user_code)
    assert page.status_code == 429
    assert 0 < int(page.headers["Retry-After"]) <= 300
    assert "Please try again in a moment." in page.text
    assert device.error() == "authorization_pending"
    assert "Allow Television?" in Person(site, "grace").type(device.user_code).text, "another person"
    site.clock.forward(int(page.headers["Retry-After"]))
    assert "Allow Television?" in Person(site).type(device.user_code).text


@pytest.mark.spec("rfc8628", "5.1")
def test_five_wrong_codes_of_one_browser_are_enough(site: Site) -> None:
    device, browser = Device(site), site.app.test_client()
    answers = [Person(site, f"user-{number}", browser).type(wrong_code(number)).status_code for number in range(6)]
    assert answers == [400] * 5 + [429]
    assert "Allow Television?" in Person(site).type(device.user_code).text


@pytest.mark.spec("rfc8628", "5.1")
def test_five_times_of_one_code_are_enough(site: Site) -> None:
    answers = [Person(site, f"user-{number}").type(wrong_code()).status_code for number in range(6)]
    assert answers == [400] * 5 + [429]
    assert Person(site, "user-9").type(wrong_code(1)).status_code == 400


@pytest.mark.spec("rfc8628", "5.1")
def test_an_address_and_the_whole_site_have_their_limit(new_site: Any) -> None:
    site = new_site(OAUTH2_GRANT_TYPES=GRANTS, OAUTH2_MAX_FAILED_ATTEMPTS=1)
    add_device_client(site)

    def guess(number: int, address: int) -> int:
        options = {"environ_overrides": {"REMOTE_ADDR": f"192.0.2.{address}"}}
        return Person(site, f"user-{number}").type(wrong_code(number), **options).status_code

    assert [guess(number, 0) for number in range(11)] == [400] * 10 + [429]
    assert [guess(number, number // 10) for number in range(11, 101)] == [400] * 90
    assert guess(101, 200) == 429, "a hundred from everywhere"
    site.clock.forward(300)
    assert guess(102, 200) == 400


def test_right_codes_and_links_are_not_counted(site: Site) -> None:
    device, person = Device(site), Person(site)
    for number in range(20):
        assert person.type(device.user_code).status_code == 200
        assert person.open(user_code=wrong_code(number)).status_code == 200
        assert person.type("no code").status_code == 400
    assert "Allow Television?" in person.type(device.user_code).text


def test_a_look_that_fails_is_not_counted(site: Site) -> None:
    person = Person(site)

    def broken(_: bytes) -> None:
        raise RuntimeError("no space")

    page, devices = person.open(), site.server.devices
    devices.find_device = broken
    for _ in range(12):
        with pytest.raises(RuntimeError, match="no space"):
            person.type(wrong_code(), page)
    del devices.find_device
    assert person.type(wrong_code(), page).status_code == 400


@pytest.mark.spec("rfc9700", "4.16")
@pytest.mark.parametrize("step", ["code", "consent", "last", "wrong"])
def test_no_site_frames_these_pages(site: Site, step: str) -> None:
    device, person = Device(site), Person(site)
    page = {
        "code": person.open,
        "wrong": lambda: person.type(wrong_code()),
        "consent": lambda: person.type(device.user_code),
        "last": lambda: person.decide(device.user_code),
    }[step]()
    assert page.headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.spec("rfc6749", "10.12")
def test_a_form_of_another_site_or_browser_does_nothing(site: Site) -> None:
    device, ada, grace = Device(site), Person(site), Person(site, "grace")
    code_page, asked = grace.open(), grace.type(device.user_code)
    for form in (
        {"user_code": device.user_code},
        {"user_code": device.user_code, "ticket": "forged"},
        {"user_code": device.user_code, "ticket": ticket_of(code_page)},
        {"decision": "allow"},
        {"decision": "allow", "ticket": "forged"},
        {"decision": "allow", "ticket": ticket_of(asked)},
        {"decision": "allow", "ticket": ticket_of(ada.open())},
    ):
        assert ada.browser.post(PAGE, data=form).status_code == 400
    asked = ada.type(device.user_code)
    assert ada.browser.post(PAGE, data={"decision": "perhaps", "ticket": ticket_of(asked)}).status_code == 400
    assert ada.browser.get(PAGE, query_string={"decision": "allow", "ticket": ticket_of(asked)}).status_code == 200
    assert device.error() == "authorization_pending"
    assert ada.press(asked).status_code == 303


def test_the_ticket_of_the_consent_page_is_none_here(site: Site) -> None:
    site.add_client()
    device, person = Device(site), Person(site)
    asked = person.type(device.user_code)
    other = site.ask(browser=person.browser)
    assert person.browser.post(PAGE, data={"decision": "allow", "ticket": ticket_of(other)}).status_code == 400
    form = {"decision": "allow", "ticket": ticket_of(asked)}
    assert person.browser.post("/oauth/consent", data=form).status_code == 400
    assert device.error() == "authorization_pending"


@pytest.mark.spec("rfc8628", "3.3")
def test_who_signs_in_as_somebody_else_begins_anew(site: Site) -> None:
    device, person = Device(site), Person(site)
    asked = person.type(device.user_code)
    site.sign_in("grace", person.browser)
    assert person.press(asked).status_code == 400
    assert device.error() == "authorization_pending"
    person.decide(device.user_code)
    assert site.call(device.poll().get_json()["access_token"]).get_json()["user"] == "grace"


def test_who_has_signed_out_meanwhile_signs_in_again(site: Site) -> None:
    device, person = Device(site), Person(site)
    code_page, asked = person.open(), person.type(device.user_code)
    site.sign_in("", person.browser)
    typed = person.type(device.user_code, code_page)
    assert typed.location == f"/login?next={PAGE}?user_code%3D{device.user_code}"
    assert person.press(asked).location == f"/login?next={PAGE}"
    assert device.error() == "authorization_pending"


def test_two_pages_of_one_device_decide_once(site: Site) -> None:
    device, ada, grace = Device(site), Person(site), Person(site, "grace")
    first, second = ada.type(device.user_code), grace.type(device.user_code)
    assert ada.press(first, "deny").status_code == 303
    late = grace.press(second)
    assert late.status_code == 410
    assert "this device no longer waits for a decision" in late.text
    assert device.error() == "access_denied"


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_of_two_decisions_at_once_the_later_is_told_so(site: Site, decision: str) -> None:
    """A store in which another request decides between read and write."""
    device, person = Device(site), Person(site)
    asked = person.type(device.user_code)
    site.server.devices.decide = lambda *_: False
    assert person.press(asked, decision).status_code == 410


def test_a_page_that_was_shown_for_too_long_decides_nothing(site: Site) -> None:
    device, person = Device(site), Person(site)
    asked = person.type(device.user_code)
    site.clock.forward(600)
    assert person.press(asked).status_code == 410
    assert device.error() == "expired_token"


def test_what_is_allowed_is_added_to_what_was_and_can_be_ended(site: Site) -> None:
    add_device_client(
        site,
        "web",
        redirect_uris=("https://client.example/back?shop=7",),
        response_types=("code",),
        grant_types=("authorization_code", DEVICE_CODE),
        application_type="web",
        name="Shop",
    )
    person = Person(site)
    answer_of(site.allow(site.ask(browser=person.browser), browser=person.browser))
    device = Device(site, "web", scope="mail")
    asked = person.type(device.user_code)
    assert "Now it asks for more, which is marked." in asked.text
    assert '<li>Read your mail <strong class="new">New</strong></li>' in asked.text
    person.press(asked)
    consent = site.store.get_consent("ada", "web")
    assert consent.scope == ("profile", "mail")
    tokens = device.poll().get_json()
    assert site.store.revoked(consent.id) is False
    page = person.browser.get("/oauth/applications")
    assert page.text.count("Shop") >= 1
    person.browser.post("/oauth/applications", data={"ticket": ticket_of(page)})
    assert not site.is_alive(tokens["access_token"])


def test_what_is_decided_is_told(site: Site) -> None:
    found: list[tuple[str, dict[str, Any]]] = []

    def note(name: str) -> Callable[..., None]:
        return lambda sender, **what: found.append((name, what))

    first, second, person = Device(site, scope="profile"), Device(site, scope="profile"), Person(site)
    with (
        signals.consent_given.connected_to(given := note("given")),
        signals.consent_denied.connected_to(denied := note("denied")),
    ):
        person.decide(first.user_code)
        person.decide(second.user_code, "deny")
    assert given is not denied
    family = found[0][1].pop("authorization_id")
    told = {"client_id": "tv", "user_id": "ada", "scope": ("profile",), "issuer": "https://login.example"}
    assert found == [("given", told), ("denied", told)]
    with signals.token_issued.connected_to(issued := note("issued")):
        first.poll()
    assert issued
    assert found[-1][1]["authorization_id"] == family
    assert found[-1][1]["grant_type"] == DEVICE_CODE


def test_a_code_outlives_a_change_of_the_secret_key(tmp_path: Any) -> None:
    store = MemoryStore()
    old = make_site(tmp_path / "old", store, OAUTH2_GRANT_TYPES=GRANTS)
    add_device_client(old)
    device = Device(old)
    keys = {"SECRET_KEY": "a new one", "SECRET_KEY_FALLBACKS": ["a secret key of the tests"]}
    new = make_site(tmp_path / "new", store, OAUTH2_GRANT_TYPES=GRANTS, **keys)
    assert new.server.clock is new.clock
    assert "Allow Television?" in Person(new).type(device.user_code).text
    without = make_site(tmp_path / "without", store, OAUTH2_GRANT_TYPES=GRANTS, SECRET_KEY="a new one")
    assert WRONG in Person(without).type(device.user_code).text


def test_a_code_is_saved_under_the_newest_secret_key(tmp_path: Any) -> None:
    """A leaked key is replaced, because an attacker could find codes with it and the table."""
    store = MemoryStore()
    keys = {"SECRET_KEY": "a new one", "SECRET_KEY_FALLBACKS": ["a secret key of the tests"]}
    both = make_site(tmp_path / "both", store, OAUTH2_GRANT_TYPES=GRANTS, **keys)
    add_device_client(both)
    codes = [user_codes.read(Device(both).user_code) or "" for _ in range(2)]
    for code in codes:
        assert both.store.find_device(user_codes.key(code, b"a new one")) is not None
        assert both.store.find_device(user_codes.key(code, b"a secret key of the tests")) is None


def test_where_nobody_signs_in_there_is_no_page(tmp_path: Any) -> None:
    app = flask.Flask("site", instance_path=str(tmp_path))
    app.config.update(SECRET_KEY="x", OAUTH2_ISSUER="https://login.example", OAUTH2_GRANT_TYPES=["device_code"])
    OAuth2Provider(app, store=MemoryStore())
    page = app.test_client().get(PAGE)
    assert page.status_code == 404
    assert "this site has no user accounts" in page.text
    assert app.test_client().post(PAGE, data={"user_code": "x"}).status_code == 404


def test_repeated_parameters_are_refused(site: Site) -> None:
    assert Person(site).browser.get(f"{PAGE}?user_code=a&user_code=b").status_code == 400


def test_without_a_login_page_nobody_changes_accounts(new_site: Any) -> None:
    site = new_site(OAUTH2_GRANT_TYPES=GRANTS, OAUTH2_LOGIN_VIEW=None)
    add_device_client(site)
    asked = Person(site).type(Device(site).user_code)
    assert asked.status_code == 200
    assert "Use another account" not in asked.text


def test_one_who_types_in_chromium(open_page: Callable[..., Page], running_site: Any) -> None:
    """Use the keyboard on a phone without JavaScript."""
    device = running_site.start_device()
    page = open_page(viewport={"width": 390, "height": 844}, java_script_enabled=False)
    page.goto(device["verification_uri"])
    page.get_by_label("Name").fill("Ada")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Code").wait_for()
    page.get_by_label("Code").fill("BBBB-BBBB")
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    page.get_by_label("Code").fill(device["user_code"].lower())
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Allow Notes on the television?").wait_for()
    page.get_by_role("button", name="Allow").click()
    page.get_by_role("heading", name="Go back to your device").wait_for()
    page.reload()
    assert page.get_by_label("Code").is_visible()


@pytest.mark.spec("rfc8628", "3.3.1")
@pytest.mark.parametrize("button", ["Allow", "Deny"])
def test_one_who_follows_the_link_in_chromium(open_page: Callable[..., Page], running_site: Any, button: str) -> None:
    device = running_site.start_device()
    page = open_page()
    page.goto(device["verification_uri_complete"])
    page.get_by_label("Name").fill("Ada")
    page.get_by_role("button", name="Sign in").click()
    assert page.get_by_text(device["user_code"], exact=True).is_visible()
    page.get_by_role("button", name="Yes, go on").click()
    page.get_by_role("button", name=button).click()
    page.get_by_role("heading", name="Go back to your device").wait_for()
    assert page.get_by_role("status").inner_text().startswith("You allowed" if button == "Allow" else "You denied")


def test_who_has_another_code_types_it(open_page: Callable[..., Page], running_site: Any) -> None:
    page = open_page()
    running_site.sign_in(page)
    page.goto(running_site.start_device()["verification_uri_complete"])
    page.get_by_role("link", name="No, another").click()
    assert page.get_by_label("Code").input_value() == ""
