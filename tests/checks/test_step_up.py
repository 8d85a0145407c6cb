"""``max_age`` and ``acr_values``: when and how the user must be authenticated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask
import pytest

from flask_oauth2 import User, current_token
from oauth_site import Site, answer_of

PASSWORD, TWO_FACTOR, HARDWARE = "urn:example:password", "urn:example:two-factor", "urn:example:hardware"


METADATA = "/.well-known/oauth-authorization-server"


@pytest.fixture
def make_timed(new_site: Any) -> Callable[..., Site]:
    """Returns a site that knows when and how the user signed in."""

    def make(**options: Any) -> Site:
        site: Site = new_site(OAUTH2_ACR_VALUES=[PASSWORD, TWO_FACTOR, HARDWARE], **options)
        site.provider._current_user = lambda: (
            User(id="ada", **flask.session["authentication"]) if "authentication" in flask.session else None
        )
        return site

    return make


@pytest.fixture
def timed(make_timed: Callable[..., Site]) -> Site:
    site = make_timed()
    site.add_client()
    return site


def sign_in(site: Site, age: int | None = 0, acr: str | None = PASSWORD) -> None:
    """Sign the user in, or let the login have happened ``age`` seconds ago."""
    auth_time = None if age is None else int(site.clock.now) - age
    with site.browser.session_transaction() as session:
        session["authentication"] = {"auth_time": auth_time, "acr": acr}


def find_next(answer: Any) -> str:
    """Return the path to which the login page sends the user back."""
    assert answer.status_code == 303, answer.text
    parts = urlsplit(answer.location)
    assert parts.path == "/login"
    return parse_qs(parts.query)["next"][0]


@pytest.mark.spec("oidc-core", "3.1.2.1")
@pytest.mark.spec("rfc9470", "4")
class TestMaxAge:
    def test_a_login_within_max_age_is_accepted(self, timed: Site) -> None:
        sign_in(timed, age=300)
        assert "code" in answer_of(timed.allow(timed.ask(max_age="300")))

    def test_an_older_login_must_be_repeated(self, timed: Site) -> None:
        sign_in(timed, age=301)
        path = find_next(timed.ask(max_age="300"))
        assert timed.browser.get(path).status_code == 200  # without a new login: a page that says so
        assert "ticket" not in timed.browser.get(path).text
        timed.clock.forward(2)
        sign_in(timed)
        assert "code" in answer_of(timed.allow(timed.browser.get(path)))

    @pytest.mark.parametrize("age", [0, 1])
    def test_zero_requires_a_login_for_each_request(self, timed: Site, age: int) -> None:
        """0 counts, although it is false."""
        sign_in(timed, age=age)
        path = find_next(timed.ask(max_age="0"))
        timed.clock.forward(5)
        sign_in(timed)
        timed.clock.forward(3)
        assert "code" in answer_of(timed.allow(timed.browser.get(path)))

    def test_a_session_restored_by_a_cookie_is_no_login(self, timed: Site) -> None:
        sign_in(timed, age=int(timed.clock.now))
        assert find_next(timed.ask(max_age="999999"))

    def test_prompt_none_is_login_required(self, timed: Site) -> None:
        sign_in(timed, age=301)
        assert answer_of(timed.ask(max_age="300", prompt="none"))["error"] == "login_required"

    def test_an_unknown_auth_time_is_login_required(self, timed: Site) -> None:
        sign_in(timed, age=None)
        assert answer_of(timed.ask(max_age="300"))["error"] == "login_required"

    @pytest.mark.parametrize("value", ["-1", "1.5", "soon", "٣", "1e3", "9" * 11, "1 "])
    def test_anything_but_a_whole_number_is_invalid_request(self, timed: Site, value: str) -> None:
        sign_in(timed)
        assert answer_of(timed.ask(max_age=value))["error"] == "invalid_request"

    def test_a_user_who_was_signed_out_signs_in_once(self, timed: Site) -> None:
        path = find_next(timed.ask(max_age="60"))
        sign_in(timed)
        timed.clock.forward(100)  # the login page took its time, and this login is for this request
        assert "code" in answer_of(timed.allow(timed.browser.get(path)))


@pytest.mark.spec("rfc9470", "4")
class TestAcrValues:
    def test_one_of_the_values_is_enough(self, timed: Site) -> None:
        sign_in(timed, acr=HARDWARE)
        assert "code" in answer_of(timed.allow(timed.ask(acr_values=f"{TWO_FACTOR} {HARDWARE}")))

    def test_another_value_must_sign_in_again(self, timed: Site) -> None:
        sign_in(timed)
        path = find_next(timed.ask(acr_values=TWO_FACTOR))
        sign_in(timed, acr=TWO_FACTOR)
        assert "code" in answer_of(timed.allow(timed.browser.get(path)))

    @pytest.mark.spec("rfc9470", "5")
    def test_a_user_who_returns_without_it_is_an_error(self, timed: Site) -> None:
        """The browser is not sent to the login page twice."""
        sign_in(timed)
        answer = answer_of(timed.browser.get(find_next(timed.ask(acr_values=TWO_FACTOR))))
        assert (answer["error"], answer["state"]) == ("unmet_authentication_requirements", "st-1")

    @pytest.mark.spec("rfc9470", "5")
    def test_values_that_the_server_does_not_support_are_an_error(self, timed: Site) -> None:
        sign_in(timed)
        assert answer_of(timed.ask(acr_values="urn:example:dna"))["error"] == "unmet_authentication_requirements"

    @pytest.mark.spec("rfc9470", "5")
    def test_a_weaker_login_during_the_consent_page_is_an_error(self, timed: Site) -> None:
        sign_in(timed, acr=TWO_FACTOR)
        page = timed.ask(acr_values=TWO_FACTOR)
        sign_in(timed)
        assert answer_of(timed.allow(page))["error"] == "unmet_authentication_requirements"

    def test_prompt_none_is_login_required(self, timed: Site) -> None:
        sign_in(timed)
        assert answer_of(timed.ask(acr_values=TWO_FACTOR, prompt="none"))["error"] == "login_required"

    def test_a_consent_given_with_a_weaker_login_does_not_replace_it(self, timed: Site) -> None:
        sign_in(timed)
        timed.allow(timed.ask())
        assert find_next(timed.ask(acr_values=TWO_FACTOR))

    @pytest.mark.spec("rfc9470", "7")
    def test_metadata_list_the_values_in_order(self, timed: Site, site: Site) -> None:
        assert timed.http.get(METADATA).get_json()["acr_values_supported"] == [PASSWORD, TWO_FACTOR, HARDWARE]
        assert "acr_values_supported" not in site.http.get(METADATA).get_json()

    def test_a_server_without_values_ignores_them(self, site: Site) -> None:
        site.add_client()
        assert "code" in site.authorize(acr_values=TWO_FACTOR)


class TestLoginPage:
    """``provider.requested_acr_values()``."""

    @pytest.fixture
    def asked(self, timed: Site) -> Callable[[str], list[str]]:
        @timed.app.get("/asked")
        def asked() -> Any:
            return list(timed.provider.requested_acr_values())

        return lambda back: timed.browser.get("/asked", query_string={"next": back}).get_json()

    def test_the_login_page_knows_the_values(self, timed: Site, asked: Callable[[str], list[str]]) -> None:
        path = find_next(timed.ask(acr_values=f"urn:example:dna {HARDWARE} {TWO_FACTOR}"))
        assert asked(path) == [HARDWARE, TWO_FACTOR]

    def test_of_a_request_that_is_too_long_for_a_url_too(self, timed: Site, asked: Callable[[str], list[str]]) -> None:
        path = find_next(timed.ask(acr_values=TWO_FACTOR, state="s" * 3000))
        assert TWO_FACTOR not in path
        assert asked(path) == [TWO_FACTOR]
        assert asked(path.replace("client_id=web", "client_id=other")) == []

    @pytest.mark.parametrize(
        "back",
        [
            "",
            "/elsewhere?acr_values=urn:example:hardware",
            "https://evil.example/oauth/authorize?acr_values=urn:example:hardware",
            "/oauth/authorize",
            "/oauth/authorize?acr_values=%FF",
            "/oauth/authorize?request_uri=a&request_uri=b",
            "//[",
        ],
    )
    def test_other_addresses_have_none(self, asked: Callable[[str], list[str]], back: str) -> None:
        assert asked(back) == []


@pytest.mark.spec("rfc9470", "6.1")
@pytest.mark.parametrize("token_format", ["opaque", "signed", "jwt"])
def test_a_token_says_how_and_when_its_user_signed_in(make_timed: Callable[..., Site], token_format: str) -> None:
    """They do not change on refresh."""
    options = {"OAUTH2_SIGNING_ALGORITHMS": ["ES256"]} if token_format == "jwt" else {}
    site = make_timed(OAUTH2_ACCESS_TOKEN_FORMAT=token_format, **options)
    secret = site.add_client()

    @site.app.get("/api/authentication")
    @site.provider.require_oauth
    def authentication() -> Any:
        return [current_token.acr, current_token.auth_time]

    sign_in(site, acr=TWO_FACTOR)
    signed_in = int(site.clock.now)
    code = answer_of(site.allow(site.ask(acr_values=TWO_FACTOR, max_age="60")))["code"]
    tokens = site.redeem(code, ("web", secret)).get_json()
    site.clock.forward(1000)
    for answer in (tokens, site.refresh(tokens["refresh_token"], secret).get_json()):
        assert site.call(answer["access_token"], "/api/authentication").get_json() == [TWO_FACTOR, signed_in]
        described = site.post("/introspect", ("web", secret), token=answer["access_token"]).get_json()
        assert (described["acr"], described["auth_time"]) == (TWO_FACTOR, signed_in)
