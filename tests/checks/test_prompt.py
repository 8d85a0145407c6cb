"""``prompt``: whether the user must, or must not, be asked."""

from __future__ import annotations

from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask
import pytest

from flask_oauth2 import MemoryStore, User
from oauth_site import Site, answer_of, make_site


@pytest.fixture
def timed(tmp_path: Any) -> Site:
    """A site that knows when somebody signed in."""

    @dataclass
    class Account:
        id: str
        auth_time: int

    site = make_site(tmp_path, store=MemoryStore())
    site.provider._current_user = lambda: (
        Account(flask.session["user"], flask.session["at"]) if "user" in flask.session else None
    )
    site.add_client()
    return site


def sign_in(site: Site, at: float | None = None, user: str = "ada") -> None:
    with site.browser.session_transaction() as session:
        session.update(user=user, at=int(site.clock.now if at is None else at))


def back(answer: Any) -> str:
    """Where the login page sends back to."""
    assert answer.status_code == 303, answer.text
    parts = urlsplit(answer.location)
    assert parts.path == "/login"
    return parse_qs(parts.query)["next"][0]


class TestNone:
    """OpenID Connect Core 1.0, section 3.1.2.1."""

    @pytest.mark.spec("oidc-core", "3.1.2.1")
    def test_who_allowed_it_before_is_answered_at_once(self, timed: Site) -> None:
        sign_in(timed)
        assert "code" in answer_of(timed.allow(timed.ask()))
        assert "code" in answer_of(timed.ask(prompt="none"))

    @pytest.mark.spec("oidc-core", "3.1.2.1")
    def test_nobody_is_asked_to_sign_in(self, timed: Site) -> None:
        answer = answer_of(timed.ask(prompt="none"))
        assert (answer["error"], answer["state"], answer["iss"]) == ("login_required", "st-1", "https://login.example")

    @pytest.mark.spec("oidc-core", "3.1.2.1")
    def test_nobody_is_asked_to_allow(self, timed: Site) -> None:
        sign_in(timed)
        assert answer_of(timed.ask(prompt="none"))["error"] == "consent_required"

    @pytest.mark.spec("oidc-core", "3.1.2.1")
    def test_a_scope_that_grew_is_not_taken_for_allowed(self, timed: Site) -> None:
        sign_in(timed)
        timed.allow(timed.ask())
        assert answer_of(timed.ask(prompt="none", scope="profile mail"))["error"] == "consent_required"

    @pytest.mark.spec("rfc9700", "4.11.2")
    def test_other_errors_are_answered_too(self, timed: Site) -> None:
        assert answer_of(timed.ask(prompt="none", scope="nonsense"))["error"] == "invalid_scope"

    @pytest.mark.spec("oidc-core", "3.1.2.1")
    @pytest.mark.parametrize("prompt", ["none login", "consent none"])
    def test_it_stands_alone(self, timed: Site, prompt: str) -> None:
        sign_in(timed)
        assert answer_of(timed.ask(prompt=prompt))["error"] == "invalid_request"

    @pytest.mark.spec("rfc8252", "8.6")
    def test_a_client_that_another_could_pass_for_is_not_answered_silently(self, timed: Site) -> None:
        uri = "http://127.0.0.1/back"
        timed.add_client("cli", None, redirect_uris=(uri,), application_type="native")
        sign_in(timed)
        timed.allow(timed.ask(client_id="cli", redirect_uri=uri))
        answer = answer_of(timed.ask(client_id="cli", redirect_uri=uri, prompt="none"))
        assert answer["error"] == "consent_required"


class TestLogin:
    """OpenID Connect Core 1.0, section 3.1.2.3."""

    @pytest.mark.spec("oidc-core", "3.1.2.3")
    def test_who_is_signed_in_signs_in_again_and_comes_back_once(self, timed: Site) -> None:
        sign_in(timed, timed.clock.now - 100)
        page = back(timed.ask(prompt="login"))
        timed.clock.forward(5)
        sign_in(timed)
        answer = timed.browser.get(page)
        assert answer.status_code == 200
        assert "code" in answer_of(timed.allow(answer))

    @pytest.mark.spec("oidc-core", "3.1.2.3")
    def test_who_comes_back_without_is_told_so_and_goes_round_no_further(self, timed: Site) -> None:
        sign_in(timed, timed.clock.now - 100)
        page = timed.browser.get(back(timed.ask(prompt="login")))
        assert page.status_code == 200
        assert "web asks that you sign in once more" in page.text
        assert "ticket" not in page.text
        link = unescape(page.text.partition('class="button primary" href="')[2].partition('"')[0])
        again = parse_qs(urlsplit(link).query)["next"][0]
        assert again.count("flask_oauth2_sent_at") == 1
        timed.clock.forward(5)
        sign_in(timed)
        assert "Allow web?" in timed.browser.get(again).text

    @pytest.mark.spec("oidc-core", "3.1.2.3")
    def test_a_time_that_a_client_makes_up_does_not_count(self, timed: Site) -> None:
        sign_in(timed, timed.clock.now - 100)
        for made_up in ("soon", "1", "9" * 5000, "MQ.sig", "\0"):
            assert timed.ask(prompt="login", flask_oauth2_sent_at=made_up).status_code in (303, 400)

    @pytest.mark.spec("oidc-core", "3.1.2.3")
    def test_a_login_page_that_begins_a_new_session_is_no_way_round(self, timed: Site) -> None:
        sign_in(timed)
        timed.ask()  # which gives the session its name
        timed.clock.forward(100)
        page = back(timed.ask(prompt="login"))
        timed.clock.forward(5)
        with timed.browser.session_transaction() as session:
            session.clear()  # as the tutorial of Flask does before it says who is there
        sign_in(timed)
        assert "code" in answer_of(timed.allow(timed.browser.get(page)))

    @pytest.mark.spec("oidc-core", "3.1.2.3")
    def test_a_login_counts_for_its_own_request_and_browser_alone(self, timed: Site) -> None:
        other = timed.app.test_client()
        page, of_other = back(timed.ask(prompt="login")), back(timed.ask(other, prompt="login"))
        timed.clock.forward(5)
        sign_in(timed)
        assert back(timed.browser.get(of_other))
        assert back(timed.browser.get(page.replace("state=st-1", "state=st-2")))
        assert timed.browser.get(page).status_code == 200

    @pytest.mark.spec("oidc-core", "3.1.2.1")
    def test_none_with_space_around_it_is_none(self, timed: Site) -> None:
        assert answer_of(timed.ask(prompt="none "))["error"] == "login_required"

    @pytest.mark.spec("oidc-core", "3.1.2.3")
    def test_who_was_a_stranger_signs_in_once(self, timed: Site) -> None:
        page = back(timed.ask(prompt="login"))
        sign_in(timed)
        assert timed.browser.get(page).status_code == 200

    @pytest.mark.spec("oidc-core", "3.1.2.3")
    def test_remembered_consent_is_enough_afterwards(self, timed: Site) -> None:
        sign_in(timed)
        timed.allow(timed.ask())
        timed.clock.forward(10)
        page = back(timed.ask(prompt="login"))
        sign_in(timed)
        assert "code" in answer_of(timed.browser.get(page))

    @pytest.mark.spec("oidc-core", "3.1.2.3")
    def test_where_nobody_knows_when_it_cannot_be_asked(self, site: Site, caplog: pytest.LogCaptureFixture) -> None:
        site.add_client()
        site.sign_in()
        assert answer_of(site.ask(prompt="login"))["error"] == "login_required"
        assert "return a User with auth_time" in caplog.text

    def test_a_stranger_of_an_application_that_does_not_know_when_signs_in_once(self, site: Site) -> None:
        site.add_client()
        page = back(site.ask(prompt="login"))
        site.sign_in()
        assert site.browser.get(page).status_code == 200

    def test_a_request_that_is_too_long_for_a_url_comes_back_too(self, timed: Site) -> None:
        sign_in(timed, timed.clock.now - 100)
        page = back(timed.ask(prompt="login", state="s" * 3000))
        assert len(page) < 400
        timed.clock.forward(5)
        sign_in(timed)
        assert timed.browser.get(page).status_code == 200


class TestConsent:
    """OpenID Connect Core 1.0, section 3.1.2.1."""

    @pytest.mark.spec("oidc-core", "3.1.2.1")
    def test_who_allowed_it_before_is_asked_again(self, timed: Site) -> None:
        sign_in(timed)
        timed.allow(timed.ask())
        page = timed.ask(prompt="consent")
        assert page.status_code == 200
        assert answer_of(timed.allow(page, "deny"))["error"] == "access_denied"
        assert "code" in answer_of(timed.allow(timed.ask(prompt="consent")))


class TestSelectAccount:
    """OpenID Connect Core 1.0, section 3.1.2.1."""

    @pytest.mark.spec("oidc-core", "3.1.2.1")
    def test_the_login_page_comes_first_whoever_is_there(self, timed: Site) -> None:
        sign_in(timed)
        page = back(timed.ask(prompt="select_account"))
        sign_in(timed, user="grace")
        answer = timed.browser.get(page)
        assert answer.status_code == 200
        assert "grace" in answer.text


@pytest.mark.spec("oidc-core", "PC:4.1")
@pytest.mark.parametrize("prompt", ["create", "LOGIN", "login x"])
def test_an_unknown_value_is_refused(timed: Site, prompt: str) -> None:
    sign_in(timed)
    assert answer_of(timed.ask(prompt=prompt))["error"] == "invalid_request"


def test_a_user_may_say_when_it_signed_in(timed: Site) -> None:
    timed.provider._current_user = lambda: User(id="ada", auth_time=int(timed.clock.now) - 5)
    assert timed.ask(prompt="login").status_code == 303
    timed.provider._current_user = lambda: User(id="ada", auth_time=int(timed.clock.now) + 5)
    assert timed.browser.get(back(timed.ask(prompt="login"))).status_code == 200
