"""The page of connected applications."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask
import pytest
from werkzeug.test import TestResponse

from flask_oauth2 import MemoryStore, OAuth2Provider
from oauth_site import Site, StoreWithoutConsents, answer_of

PAGE = "/oauth/applications"


def tickets(page: TestResponse) -> list[str]:
    assert page.status_code == 200, page.text
    return [unescape(ticket) for ticket in re.findall(r'name="ticket" value="([^"]+)"', page.text)]


def end(site: Site, ticket: str, browser: Any = None) -> TestResponse:
    return (browser or site.browser).post(PAGE, data={"ticket": ticket})


@pytest.mark.spec("rfc6819", "5.1.3")
def test_each_client_is_shown_with_what_it_may_do(site: Site) -> None:
    site.add_client(
        name="Shop", metadata={"client_uri": "https://shop.example", "logo_uri": "https://img.example/l.png"}
    )
    site.tokens(site.add_client("other", name="Other"), "other", scope="mail")
    site.authorize(scope="profile mail")
    page = site.browser.get(PAGE)
    assert "Shop" in page.text
    assert "Other" in page.text
    assert "See your name" in page.text
    assert "Read your mail" in page.text
    assert "img-src 'self';" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Frame-Options"] == "DENY"
    assert page.headers["Cache-Control"] == "no-store"
    assert len(tickets(page)) == 2


@pytest.mark.spec("rfc6819", "5.1.3")
def test_removing_a_client_revokes_its_tokens_only(site: Site) -> None:
    secret, other = site.add_client(), site.add_client("other")
    one, two = site.tokens(secret), site.tokens(secret, scope="profile mail")
    untouched = site.tokens(other, "other")
    code = site.authorize()["code"]
    foreign = site.app.test_client()
    site.sign_in("grace", foreign)
    graces = site.redeem(answer_of(site.allow(site.ask(foreign), browser=foreign))["code"], ("web", secret)).get_json()

    page = site.browser.get(PAGE)
    ticket = next(t for t in tickets(page) if "web" in unsigned(site, t)["client_id"])
    answer = end(site, ticket)
    assert (answer.status_code, answer.location) == (303, PAGE)

    for pair in (one, two):
        assert not site.is_alive(pair["access_token"])
        assert site.refresh(pair["refresh_token"], secret).get_json()["error"] == "invalid_grant"
    assert site.redeem(code, ("web", secret)).get_json()["error"] == "invalid_grant"
    assert site.is_alive(untouched["access_token"])
    assert site.is_alive(graces["access_token"])
    assert len(tickets(site.browser.get(PAGE))) == 1
    assert site.ask().status_code == 200, "the user is asked again"
    again = site.tokens(secret)
    assert site.is_alive(again["access_token"])


def unsigned(site: Site, ticket: str) -> dict[str, Any]:
    from flask_oauth2.pages.base import serializer

    found: dict[str, Any] = serializer(site.server, "applications").loads(ticket)
    return found


def test_signed_tokens_end_with_it_too(new_site: Any) -> None:
    site = new_site(OAUTH2_ACCESS_TOKEN_FORMAT="signed")
    secret = site.add_client()
    pair = site.tokens(secret)
    assert site.is_alive(pair["access_token"])
    end(site, tickets(site.browser.get(PAGE))[0])
    assert not site.is_alive(pair["access_token"])


def test_the_page_names_the_removed_client_once(site: Site) -> None:
    site.tokens(site.add_client(name="Shop"))
    end(site, tickets(site.browser.get(PAGE))[0])
    assert "Shop" in site.browser.get(PAGE).text
    assert "Shop" not in site.browser.get(PAGE).text


def test_a_second_time_is_as_good_as_the_first(site: Site) -> None:
    site.tokens(site.add_client())
    ticket = tickets(site.browser.get(PAGE))[0]
    assert [end(site, ticket).status_code for _ in range(2)] == [303, 303]


def test_a_client_that_is_gone_is_not_shown(site: Site) -> None:
    site.tokens(site.add_client())
    site.store.delete_client("web", 10**12)
    assert tickets(site.browser.get(PAGE)) == []


@pytest.mark.spec("rfc8252", "8.6")
def test_a_native_client_is_shown_though_it_is_asked_for_each_time(site: Site) -> None:
    uri = "http://127.0.0.1/back"
    site.add_client("cli", None, redirect_uris=(uri,), application_type="native")
    site.sign_in()
    site.allow(site.ask(client_id="cli", redirect_uri=uri))
    assert len(tickets(site.browser.get(PAGE))) == 1


def test_use_is_noted_once_a_day(site: Site) -> None:
    secret = site.add_client()
    pair = site.tokens(secret)
    first = site.store.get_consent("ada", "web")
    site.clock.forward(60)
    pair = site.refresh(pair["refresh_token"], secret).get_json()
    assert site.store.get_consent("ada", "web") == first
    site.clock.forward(86400)
    site.refresh(pair["refresh_token"], secret)
    refreshed = site.store.get_consent("ada", "web")
    assert refreshed.used_at == int(site.clock.now)
    assert (refreshed.id, refreshed.granted_at) == (first.id, first.granted_at)
    site.clock.forward(86400)
    assert "code" in answer_of(site.ask())
    assert site.store.get_consent("ada", "web").used_at == int(site.clock.now)


def test_the_first_day_is_kept_when_the_scope_grows(site: Site) -> None:
    site.tokens(site.add_client())
    first = site.store.get_consent("ada", "web")
    site.clock.forward(86400)
    site.tokens(site.add_client(), scope="profile mail")
    grown = site.store.get_consent("ada", "web")
    assert (grown.id, grown.granted_at, grown.scope) == (first.id, first.granted_at, ("profile", "mail"))


def test_a_stranger_signs_in_first(site: Site) -> None:
    answer = site.browser.get(PAGE)
    assert (answer.status_code, answer.location) == (303, "/login?next=/oauth/applications")


@pytest.mark.spec("rfc6749", "10.12")
def test_the_form_is_bound_to_the_user_and_the_session(site: Site) -> None:
    pair = site.tokens(site.add_client())
    ticket = tickets(site.browser.get(PAGE))[0]
    foreign = site.app.test_client()
    assert end(site, ticket, foreign).status_code == 400
    site.sign_in("ada", foreign)
    assert end(site, ticket, foreign).status_code == 400
    site.sign_in("grace")
    assert end(site, ticket).status_code == 400
    site.sign_in("ada")
    assert end(site, "").status_code == 400
    assert end(site, f"{ticket}x").status_code == 400
    assert site.is_alive(pair["access_token"])


@pytest.mark.spec("rfc6749", "10.12")
def test_a_ticket_of_the_consent_page_removes_nothing(site: Site) -> None:
    site.tokens(site.add_client())
    consent = tickets(site.ask(scope="mail"))[0]
    assert end(site, consent).status_code == 400
    applications = tickets(site.browser.get(PAGE))[0]
    assert site.browser.post("/oauth/consent", data={"ticket": applications, "decision": "allow"}).status_code == 400


def test_a_user_who_has_signed_out_removes_nothing(site: Site) -> None:
    pair = site.tokens(site.add_client())
    ticket = tickets(site.browser.get(PAGE))[0]
    with site.browser.session_transaction() as session:
        del session["user"]
    assert end(site, ticket).status_code == 303
    assert site.browser.get(PAGE).location.startswith("/login")
    assert site.is_alive(pair["access_token"])


def test_a_store_that_remembers_nothing_says_so(new_site: Any) -> None:
    site = new_site(store=StoreWithoutConsents())
    site.sign_in()
    assert site.browser.get(PAGE).status_code == 404


def test_a_client_of_an_older_version_of_the_application_is_named_by_its_id(site: Site) -> None:
    site.add_client("web", name="")
    site.tokens(site.add_client("web", name=""))
    assert "web" in site.browser.get(PAGE).text


def test_a_site_without_users_has_no_page(tmp_path: Path) -> None:
    app = flask.Flask("machines", instance_path=str(tmp_path))
    app.config.update(SECRET_KEY="secret", PROPAGATE_EXCEPTIONS=True, OAUTH2_ISSUER="https://login.example")
    OAuth2Provider(app, store=MemoryStore())
    browser = app.test_client()
    assert browser.get(PAGE).status_code == 404
    assert browser.get("/oauth/authorize?client_id=guessed").status_code == 400


def test_a_withdrawn_consent_is_not_restored_by_an_old_page(site: Site) -> None:
    site.add_client()
    back = parse_qs(urlsplit(site.ask(state="s" * 3000).location).query)["next"][0]
    site.sign_in()
    page = site.browser.get(back)
    answer_of(site.allow(page))
    end(site, tickets(site.browser.get(PAGE))[0])
    assert "this authorization request has already been completed" in site.allow(page).text
    assert site.store.get_consent("ada", "web") is None
