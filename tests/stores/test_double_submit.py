"""A button that is pressed twice: the same answer twice, one code, in every store."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from threading import Barrier
from urllib.parse import parse_qs, urlsplit

import pytest
from devices import Device, Person, add_device_client
from werkzeug.test import TestResponse

from flask_oauth2.stores.base import Store
from oauth_site import Site, answer_of, make_site

OFFERED = ["authorization_code", "refresh_token", "implicit", "device_code"]

LONG = {"state": "s" * 3000}
"""A request that is saved while the user signs in, and consumed by the answer."""


@pytest.fixture
def site(tmp_path: Path, store: Store) -> Site:
    site = make_site(tmp_path, store=store, OAUTH2_GRANT_TYPES=OFFERED)
    site.add_client("web", None)
    return site


def ask(site: Site, **parameters: str) -> TestResponse:
    """The consent page, after the login page that comes first."""
    site.browser.delete_cookie("session")
    login = site.ask(**parameters)
    back = parse_qs(urlsplit(login.location).query)["next"][0]
    assert ("request_uri=" in back) is ("state" in parameters)
    site.sign_in()
    page = site.browser.get(back)
    assert page.status_code == 200
    return page


def at_once(press: Callable[[], TestResponse], times: int = 4) -> list[TestResponse]:
    barrier = Barrier(times)

    def pressed() -> TestResponse:
        barrier.wait()
        return press()

    with ThreadPoolExecutor(times) as pool:
        return [future.result() for future in [pool.submit(pressed) for _ in range(times)]]


def press(site: Site, page: TestResponse, decision: str = "allow") -> Callable[[], TestResponse]:
    """Send the form from a copy of the browser: threads cannot share one."""
    ticket = re.search(r'name="ticket" value="([^"]+)"', page.text)
    cookie = site.browser.get_cookie("session")
    assert ticket is not None
    assert cookie is not None
    form = {"ticket": unescape(ticket[1]), "decision": decision}

    def send() -> TestResponse:
        browser = site.app.test_client()
        browser.set_cookie("session", cookie.value)
        return browser.post("/oauth/consent", data=form)

    return send


@pytest.mark.spec("rfc6749", "4.1.2.1")
@pytest.mark.parametrize("parameters", [{}, LONG])
@pytest.mark.parametrize(("first", "second"), [("allow", "deny"), ("deny", "allow")])
def test_the_first_decision_stands(site: Site, parameters: dict[str, str], first: str, second: str) -> None:
    page = ask(site, **parameters)
    answer = answer_of(site.allow(page, first))
    other = site.allow(page, second)
    assert (other.status_code, other.location) == (400, None)
    assert "this authorization request has already been completed" in other.text
    if first == "allow":
        assert site.redeem(answer["code"], client_id="web").status_code == 200
    else:
        assert answer["error"] == "access_denied"


@pytest.mark.spec("rfc6749", "4.2.2")
@pytest.mark.parametrize("parameters", [{}, LONG])
def test_a_form_gives_one_token(site: Site, parameters: dict[str, str]) -> None:
    page = ask(site, response_type="token", **parameters)
    assert "access_token" in answer_of(site.allow(page))
    assert site.allow(page).status_code == 400


@pytest.mark.spec("rfc6749", "4.1.2")
@pytest.mark.parametrize("parameters", [{}, LONG])
def test_allow_pressed_twice_is_one_code(site: Site, parameters: dict[str, str]) -> None:
    page = ask(site, **parameters)
    first, second = site.allow(page), site.allow(page)
    assert first.location == second.location
    code = answer_of(first)["code"]
    assert site.redeem(code, client_id="web").status_code == 200


@pytest.mark.spec("rfc6749", "4.1.2")
@pytest.mark.parametrize("parameters", [{}, LONG])
def test_at_the_same_time_too(site: Site, parameters: dict[str, str]) -> None:
    answers = at_once(press(site, ask(site, **parameters)))
    assert len({answer.location for answer in answers}) == 1
    assert site.redeem(answer_of(answers[0])["code"], client_id="web").status_code == 200


@pytest.mark.parametrize("parameters", [{}, LONG])
def test_form_post_has_the_same_page_twice(site: Site, parameters: dict[str, str]) -> None:
    page = ask(site, response_mode="form_post", **parameters)
    first, second = site.allow(page), site.allow(page)
    assert 'name="code"' in first.text
    assert first.text == second.text


@pytest.mark.spec("rfc9700", "4.2.4")
@pytest.mark.parametrize("parameters", [{}, LONG])
def test_a_code_that_was_redeemed_is_not_given_again(site: Site, parameters: dict[str, str]) -> None:
    page = ask(site, **parameters)
    code = answer_of(site.allow(page))["code"]
    tokens = site.redeem(code, client_id="web").get_json()
    again = site.allow(page)
    assert (again.status_code, again.location) == (400, None)
    assert "this authorization request has already been completed" in again.text
    assert code not in again.text
    assert site.is_alive(tokens["access_token"]), "nobody has replayed the code"


@pytest.mark.spec("rfc6749", "4.1.2")
@pytest.mark.parametrize("parameters", [{}, LONG])
def test_a_code_that_has_expired_is_not_given_again(site: Site, parameters: dict[str, str]) -> None:
    page = ask(site, **parameters)
    answer_of(site.allow(page))
    site.clock.forward(601)
    again = site.allow(page)
    assert (again.status_code, again.location) == (400, None)
    assert "this authorization request has already been completed" in again.text


def test_each_page_has_a_code_of_its_own(site: Site) -> None:
    codes = {answer_of(site.allow(ask(site, prompt="consent")))["code"] for _ in range(3)}
    assert len(codes) == 3


@pytest.mark.spec("rfc6749", "10.12")
def test_nobody_else_gets_the_code_of_a_form(site: Site) -> None:
    page = ask(site)
    answer_of(site.allow(page))
    stranger = site.app.test_client()
    site.sign_in("grace", stranger)
    assert site.allow(page, browser=stranger).status_code == 400
    same_user = site.app.test_client()
    site.sign_in("ada", same_user)
    assert site.allow(page, browser=same_user).status_code == 400, "from another browser"


def test_an_old_form_gives_back_nothing_that_the_user_has_taken(site: Site) -> None:
    page = ask(site)
    first = answer_of(site.allow(page))["code"]
    consents = site.server.consents
    assert consents is not None
    consents.delete_consent("ada", "web", int(site.clock.now) + 10**6)
    assert site.allow(page).status_code == 400
    assert site.redeem(first, client_id="web").get_json()["error"] == "invalid_grant"
    second = answer_of(site.allow(ask(site)))["code"]
    assert site.redeem(second, client_id="web").status_code == 200


def test_an_old_form_takes_nothing_back_that_the_user_has_allowed_since(site: Site) -> None:
    page = ask(site)
    answer_of(site.allow(page))
    consents = site.server.consents
    assert consents is not None
    consents.delete_consent("ada", "web", int(site.clock.now) + 10**6)
    second = answer_of(site.allow(site.ask()))["code"]
    assert "this authorization request has already been completed" in site.allow(page).text
    assert consents.get_consent("ada", "web") is not None
    assert site.redeem(second, client_id="web").status_code == 200


def test_a_form_that_was_denied_gives_no_code_after_a_purge(site: Site) -> None:
    page = ask(site)
    assert answer_of(site.allow(page, "deny"))["error"] == "access_denied"
    site.clock.forward(3599)
    sum(site.store.purge(int(site.clock.now)))
    other = site.allow(page)
    assert (other.status_code, other.location) == (400, None)
    assert "this authorization request has already been completed" in other.text


@pytest.mark.parametrize("parameters", [{}, LONG])
def test_deny_pressed_twice_is_the_same_answer(site: Site, parameters: dict[str, str]) -> None:
    page = ask(site, **parameters)
    first, second = site.allow(page, "deny"), site.allow(page, "deny")
    assert first.location == second.location
    assert answer_of(first)["error"] == "access_denied"


@pytest.mark.parametrize("response_type", ["token", "code token"])
def test_a_token_is_not_given_twice_for_a_request_that_was_saved(site: Site, response_type: str) -> None:
    page = ask(site, response_type=response_type, **LONG)
    assert "access_token" in answer_of(site.allow(page))
    assert "this authorization request has already been completed" in site.allow(page).text


@pytest.mark.spec("rfc8628", "3.3")
@pytest.mark.parametrize(("decision", "said"), [("allow", "You allowed Television"), ("deny", "You denied Television")])
def test_a_device_is_decided_about_once(site: Site, decision: str, said: str) -> None:
    add_device_client(site)
    device, person = Device(site, scope="profile"), Person(site)
    page = person.type(device.user_code)
    for _ in range(2):
        answer = person.press(page, decision)
        assert answer.status_code == 303
        assert said in person.browser.get(answer.location).text
    other = person.press(page, "deny" if decision == "allow" else "allow")
    assert other.status_code == 410, "another decision comes too late"
    assert (device.poll().status_code == 200) is (decision == "allow")
    assert person.press(page, decision).status_code == 303, "it is as it was"


@pytest.mark.spec("rfc8628", "3.3")
def test_by_nobody_else(site: Site) -> None:
    add_device_client(site)
    device, person = Device(site, scope="profile"), Person(site)
    page = person.type(device.user_code)
    person.press(page, "allow")
    assert Person(site, "grace").press(page, "allow").status_code == 400
