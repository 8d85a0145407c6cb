"""Guards that require how and when the user signed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from flask_oauth2 import User, current_token
from oauth_site import Site, answer_of

TWO_FACTOR, HARDWARE = "urn:example:two-factor", "urn:example:hardware"


class Bank:
    """A site with a guard, and a user who can sign in in several ways."""

    def __init__(self, site: Site, **required: Any) -> None:
        self.site = site
        self.secret = site.add_client()
        self.user = User(id="ada", auth_time=int(site.clock.now))
        site.provider._current_user = lambda: self.user

        @site.app.get("/pay")
        @site.provider.require_oauth("write", **required)
        def pay() -> Any:
            return "paid"

    def pay(self, acr: str | None = None, age: int | None = 0, scope: str = "write") -> Any:
        """Call the view with a token of a user who signed in ``age`` seconds ago."""
        auth_time = None if age is None else int(self.site.clock.now) - age
        self.user = replace(self.user, acr=acr, auth_time=auth_time)
        page = self.site.ask(scope=scope)
        code = answer_of(self.site.allow(page) if page.status_code == 200 else page)["code"]
        self.token = self.site.redeem(code, ("web", self.secret)).get_json()["access_token"]
        return self.site.call(self.token, "/pay")


@pytest.fixture
def make_bank(site: Site) -> Callable[..., Bank]:
    return lambda **required: Bank(site, **required)


def challenge_of(answer: Any) -> dict[str, str]:
    assert answer.status_code == 401
    challenge = answer.www_authenticate
    assert challenge.type == "bearer"
    return dict(challenge.parameters)


@pytest.mark.spec("rfc9470", "3")
def test_another_class_is_challenged(make_bank: Callable[..., Bank]) -> None:
    bank = make_bank(acr=[TWO_FACTOR, HARDWARE], max_age=300)
    challenge = challenge_of(bank.pay())
    assert challenge["error"] == "insufficient_user_authentication"
    assert challenge["acr_values"] == f"{TWO_FACTOR} {HARDWARE}"
    assert challenge["max_age"] == "300"
    assert bank.pay(HARDWARE).text == "paid"
    assert bank.pay(TWO_FACTOR).text == "paid"


@pytest.mark.spec("rfc9470", "3")
def test_an_older_login_is_challenged(make_bank: Callable[..., Bank]) -> None:
    bank = make_bank(max_age=300)
    assert bank.pay(age=300).text == "paid"
    bank.site.clock.forward(1)
    challenge = challenge_of(bank.site.call(bank.token, "/pay"))
    assert challenge["max_age"] == "300"
    assert "acr_values" not in challenge
    assert bank.pay(TWO_FACTOR).text == "paid"
    assert challenge_of(bank.pay(age=None))["error"] == "insufficient_user_authentication"


@pytest.mark.spec("rfc9470", "3")
def test_a_missing_scope_is_named_too(make_bank: Callable[..., Bank]) -> None:
    """One new authorization request is enough."""
    bank = make_bank(acr=TWO_FACTOR)
    challenge = challenge_of(bank.pay(scope="profile"))
    assert (challenge["error"], challenge["scope"]) == ("insufficient_user_authentication", "write")
    assert bank.pay(TWO_FACTOR, scope="profile").status_code == 403


@pytest.mark.spec("rfc9470", "3")
def test_a_client_that_acts_for_itself_is_challenged(make_bank: Callable[..., Bank]) -> None:
    bank = make_bank(acr=TWO_FACTOR)
    token = bank.site.token("client_credentials", ("web", bank.secret), scope="write").get_json()["access_token"]
    assert challenge_of(bank.site.call(token, "/pay"))["acr_values"] == TWO_FACTOR


@pytest.mark.spec("rfc9470", "9")
def test_without_a_valid_token_the_requirement_is_not_disclosed(make_bank: Callable[..., Bank]) -> None:
    bank = make_bank(acr=TWO_FACTOR, max_age=300)
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        text = bank.site.http.get("/pay", headers=headers).headers["WWW-Authenticate"]
        assert "acr_values" not in text
        assert "max_age" not in text


@pytest.mark.spec("rfc9470", "4")
def test_a_client_steps_up_with_the_values_of_the_challenge(new_site: Callable[..., Site]) -> None:
    bank = Bank(new_site(OAUTH2_ACR_VALUES=[TWO_FACTOR]), acr=TWO_FACTOR, max_age=60)
    challenge = challenge_of(bank.pay(age=100))
    parameters = {name: challenge[name] for name in ("acr_values", "max_age")}
    answer = bank.site.ask(scope="write", **parameters)
    assert answer.location.startswith("/login?")
    bank.site.clock.forward(5)
    bank.user = replace(bank.user, acr=TWO_FACTOR, auth_time=int(bank.site.clock.now))
    code = answer_of(bank.site.ask(scope="write", **parameters))["code"]
    token = bank.site.redeem(code, ("web", bank.secret)).get_json()["access_token"]
    assert bank.site.call(token, "/pay").text == "paid"


@pytest.mark.spec("rfc9470", "3")
def test_a_view_may_require_it_for_some_requests(make_bank: Callable[..., Bank]) -> None:
    bank = make_bank()

    @bank.site.app.get("/pay/<int:amount>")
    @bank.site.provider.require_oauth("write")
    def pay_amount(amount: int) -> Any:
        if amount > 100:
            current_token.require("write", acr=TWO_FACTOR)
        return "paid"

    bank.pay()
    assert bank.site.call(bank.token, "/pay/100").text == "paid"
    assert challenge_of(bank.site.call(bank.token, "/pay/101"))["acr_values"] == TWO_FACTOR
    bank.pay(TWO_FACTOR)
    assert bank.site.call(bank.token, "/pay/101").text == "paid"


@pytest.mark.parametrize(
    ("required", "error"),
    [
        ({"acr": ""}, ValueError),
        ({"acr": []}, ValueError),
        ({"acr": ['a"b']}, ValueError),
        ({"acr": ["a\nb"]}, ValueError),
        ({"acr": 5}, TypeError),
        ({"max_age": 0}, ValueError),
        ({"max_age": -1}, ValueError),
        ({"max_age": "300"}, TypeError),
        ({"max_age": True}, TypeError),
        ({"max_age": 1.5}, TypeError),
    ],
)
def test_a_requirement_that_means_nothing_fails_at_start(site: Site, required: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"acr|max_age|scope|iterable"):
        site.provider.require_oauth("write", **required)
