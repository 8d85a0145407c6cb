"""The device grant, read by somebody who guesses, hurries and floods."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from devices import PAGE, Device, Person, add_device_client, ticket_of

from flask_oauth2 import MemoryStore
from flask_oauth2.grants import user_codes
from flask_oauth2.records import Authorization, Grant
from oauth_site import Site

NewSite = Callable[..., Site]
OFFER: dict[str, Any] = {"OAUTH2_GRANT_TYPES": ["authorization_code", "refresh_token", "device_code"]}


class Hurried(MemoryStore):
    """As slow as a database: who looks for a code waits for the others who do."""

    barrier: threading.Barrier | None = None

    def find_device(self, user_code_key: bytes) -> Grant | None:
        if self.barrier is not None:
            with suppress(threading.BrokenBarrierError):
                self.barrier.wait(3)
        return super().find_device(user_code_key)


def test_one_person_has_five_guesses_though_they_are_made_at_once(new_site: NewSite) -> None:
    many = 25
    store = Hurried()
    site = new_site(store=store, **OFFER)
    add_device_client(site)
    person = Person(site)
    ticket = ticket_of(person.open())
    cookie = person.browser.get_cookie("session")
    assert cookie is not None
    store.barrier = threading.Barrier(many)

    def guess(_: int) -> int:
        browser = site.app.test_client()
        browser.set_cookie("session", cookie.value)
        answer = browser.post(PAGE, data={"ticket": ticket, "user_code": user_codes.new()})
        return int(answer.status_code)

    with ThreadPoolExecutor(many) as pool:
        answers = list(pool.map(guess, range(many)))
    looked_at = answers.count(400)
    assert looked_at <= 5, f"{looked_at} guesses were looked at"


def test_addresses_of_one_network_of_ipv6_are_one_guesser(new_site: NewSite) -> None:
    """As registration has it: whoever has one address has 2⁶⁴."""
    site = new_site(OAUTH2_MAX_FAILED_ATTEMPTS=1, **OFFER)
    add_device_client(site)

    def guess(number: int, address: str) -> int:
        person = Person(site, f"user{number}")
        answer = person.type(user_codes.new(), environ_overrides={"REMOTE_ADDR": address})
        return int(answer.status_code)

    assert [guess(number, "198.51.100.7") for number in range(12)][-1] == 429
    site.clock.forward(1000)
    assert [guess(number, f"2001:db8::{number + 1:x}") for number in range(12)][-1] == 429


class Faster(MemoryStore):
    """Somebody else decides a moment before."""

    def decide(self, grant: Grant, authorization: Authorization | None, now: int) -> bool:
        super().decide(grant, None, now)
        return super().decide(grant, authorization, now)


def test_a_device_that_polls_again_as_the_answer_was_slow_keeps_its_tokens(new_site: NewSite) -> None:
    """Exactly one poll wins: the loser must not take from the winner what it has just got, rfc8628 3.5 lets it retry."""
    site = new_site(**OFFER)
    add_device_client(site)
    device = Device(site)
    Person(site).decide(device.user_code)
    won = device.poll()
    assert won.status_code == 200
    assert device.poll().status_code == 400
    assert site.refresh(won.get_json()["refresh_token"], client_id="tv").status_code == 200


@pytest.mark.parametrize("is_shipped", [False, True])
def test_codes_are_not_made_without_end_for_whoever_names_a_public_client(
    new_site: NewSite, is_shipped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor for whoever has an application with its secret in it; and a few networks do not use up all codes."""
    monkeypatch.setattr("flask_oauth2.endpoints.device_authorization.MOST_CODES", 100)
    site = new_site(**OFFER)
    secret = add_device_client(site, secret="generated" if is_shipped else None)
    auth, named = (("tv", secret), {}) if is_shipped else (None, {"client_id": "tv"})

    def ask(address: str) -> int:
        environ = {"REMOTE_ADDR": address}
        path = "/oauth/device_authorization"
        return site.http.post(path, data=named, auth=auth, environ_overrides=environ).status_code

    assert [ask("192.0.2.1") for _ in range(12)] == [200] * 10 + [429] * 2
    had = sum(ask(f"192.0.2.{network}") == 200 for network in range(2, 12) for _ in range(12))
    assert 10 + had < 60, "ten more networks leave a half"
    assert ask("198.51.100.1") == 200
    assert ask("198.51.100.1") == 429
    others = [ask(f"198.51.100.{network}") for network in range(2, 100)]
    assert set(others) == {200, 429}, "all together have an end"


@pytest.mark.spec("rfc8628", "3.3")
def test_a_person_is_not_asked_for_what_the_client_may_no_longer_have(new_site: NewSite) -> None:
    """The operator takes a scope from the client while a device waits."""
    site = new_site(**OFFER)
    add_device_client(site, scope=("profile", "write"))
    device, person = Device(site, scope="profile write"), Person(site)
    site.change_client("tv", scope=("profile",))
    page = person.type(device.user_code)
    assert "See your name" in page.text
    assert "Write in your name" not in page.text
    person.press(page)
    assert device.poll().get_json()["scope"] == "profile"


def test_no_odd_form_is_a_traceback(new_site: NewSite) -> None:
    site = new_site(**OFFER)
    add_device_client(site)
    person = Person(site)
    ticket = ticket_of(person.open())
    for body in (
        b"ticket=%ff", b"ticket=x&decision=allow", b"user_code=%00", b"ticket=" + ticket.encode() + b"&user_code=%F0%9F%98%80",
        b"ticket=" + ticket.encode() + b"&decision=allow", b"ticket=" + ticket.encode() + b"&user_code=" + b"B" * 60000,
        b"ticket=" + ticket.encode() + b"&user_code=" + "ﬀﬀﬀﬀ".encode(), b"a" * 70000, b"",
        b"ticket=" + ticket.encode() * 2, b"decision=deny&decision=allow",
    ):  # fmt: skip
        for content_type in (
            "application/x-www-form-urlencoded",
            "application/json",
            "multipart/form-data; boundary=x",
            "x",
        ):
            answer = person.browser.post(PAGE, data=body, content_type=content_type)
            assert answer.status_code in (200, 303, 400, 413), (body[:80], answer.status_code)
    for query in ("user_code=%00", "user_code=%ff", "user_code=" + "x" * 5000, "user_code=a&user_code=b", "x" * 3000):
        assert person.browser.get(f"{PAGE}?{query}").status_code in (200, 400)
        stranger = site.app.test_client().get(f"{PAGE}?{query}")
        assert stranger.status_code in (303, 400)


def test_another_person_or_browser_cannot_press_the_button(new_site: NewSite) -> None:
    site = new_site(**OFFER)
    add_device_client(site)
    device, ada, eve = Device(site), Person(site), Person(site, "eve")
    page = ada.type(device.user_code)
    assert eve.press(page).status_code == 400
    ticket = ticket_of(page)
    assert eve.browser.post(PAGE, data={"ticket": ticket, "decision": "allow"}).status_code == 400
    assert ada.browser.post("/oauth/consent", data={"ticket": ticket, "decision": "allow"}).status_code == 400
    site.sign_in("eve", ada.browser)
    assert ada.press(page).status_code == 400
    site.clock.forward(3)
    assert device.error() in ("authorization_pending", "slow_down")


def test_people_whose_ids_differ_by_case_are_two(new_site: NewSite) -> None:
    site = new_site(**OFFER)
    add_device_client(site)
    device, eve, victim = Device(site), Person(site, "ADA"), Person(site, "ada")
    for _ in range(6):
        eve.type(user_codes.new())
    assert victim.type(device.user_code).status_code == 200
