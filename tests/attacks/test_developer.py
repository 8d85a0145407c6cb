"""The pages for developers, read by somebody whose client wants more than people or the operator let it have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask
import pytest
from pages.test_developer import NEW, ON, TYPED, Developer, ticket_of

from flask_oauth2.settings import DEVICE_CODE
from oauth_site import CALLBACK, Site, answer_of

from .test_registration import operate

NewSite = Callable[..., Site]
BOXES = {"scope.profile": "on", "scope.write": "on"}


@pytest.fixture
def site(new_site: NewSite) -> Site:
    return new_site(**ON | {"OAUTH2_REGISTRATION_SCOPES": ["profile", "mail", "write"]})


@pytest.fixture
def eve(site: Site) -> Developer:
    return Developer(site, "eve")


def change(eve: Developer, client_id: str, **typed: str) -> None:
    answer = eve.send(f"/{client_id}", name="Shop", redirect_uris=CALLBACK, **typed)
    assert answer.status_code == 303, answer.text


@pytest.mark.spec("rfc6819", "5.2.4.1")
@pytest.mark.spec("oauth-v2-1", "7.9")
def test_nobody_gets_more_than_the_page_has_shown(site: Site, eve: Developer) -> None:
    """A request without scope is for all that the client may have, to which its developer adds while a page is open."""
    client_id, _ = eve.register(kind="native")
    site.sign_in()
    page = site.ask(client_id=client_id, scope=None)
    assert "See your name" in page.text
    assert "Write in your name" not in page.text
    change(eve, client_id, **BOXES)
    asked_again = site.allow(page)
    assert "Write in your name" in asked_again.text
    code = answer_of(site.allow(asked_again))["code"]
    assert site.redeem(code, client_id=client_id).get_json()["scope"] == "profile write"


@pytest.mark.spec("rfc6819", "5.2.4.1")
@pytest.mark.spec("oauth-v2-1", "7.9")
def test_nobody_gets_more_than_a_page_of_the_applications_own_has_shown(site: Site) -> None:
    @site.provider.authorize_handler
    def consent(scopes: list[str], ticket: str, **more: Any) -> Any:
        if flask.request.method == "POST":
            return True
        return f'{scopes}<form method="post"><input name="ticket" value="{ticket}"></form>'

    eve = Developer(site, "eve")
    client_id, _ = eve.register(kind="native")
    site.sign_in()
    page = site.ask(client_id=client_id, scope=None)
    assert "write" not in page.text.partition("<form")[0]
    change(eve, client_id, **BOXES)
    answer = site.browser.post("/oauth/authorize", data={"ticket": ticket_of(page)})
    assert answer.location.startswith("/oauth/authorize?")
    assert "write" in site.browser.get(answer.location).text.partition("<form")[0]


@pytest.mark.spec("rfc6819", "4.4.1.11")
def test_forms_that_wait_for_somebody_to_sign_in_are_not_without_end(site: Site, eve: Developer) -> None:
    """Whoever once opened a form can post it signed out, and each time it is kept for whoever signs in."""
    ticket = ticket_of(eve.open("/new"))
    site.clock.forward(30 * 86400)
    nobody = site.app.test_client()
    form = {"ticket": ticket, **TYPED, "client_uri": "x" * 16_000}
    answers = [nobody.post(NEW, data=form).status_code for _ in range(1200)]
    assert answers.count(303) < 1200
    assert answers[-1] == 429


@pytest.mark.spec("oauth-v2-1", "7.9")
def test_a_developer_does_not_bring_back_a_scope_that_the_operator_has_taken(site: Site, eve: Developer) -> None:
    client_id, _ = eve.register(**BOXES)
    operate(site, client_id, "--scope", "profile")
    assert "scope.write" not in eve.open(f"/{client_id}").text
    change(eve, client_id, **BOXES)
    assert eve.client(client_id).scope == ("profile",)
    operate(site, client_id, "--scope", "profile write")
    change(eve, client_id, **{"scope.profile": "on"})
    change(eve, client_id, **BOXES)
    assert eve.client(client_id).scope == ("profile", "write"), "the operator has given it back"


def test_a_developer_does_not_bring_back_a_grant_that_the_operator_has_taken(site: Site, eve: Developer) -> None:
    client_id, _ = eve.register(device="on")
    assert DEVICE_CODE in eve.client(client_id).grant_types
    operate(site, client_id, "--grant-type", "authorization_code", "--grant-type", "refresh_token")
    assert 'name="device"' not in eve.open(f"/{client_id}").text
    change(eve, client_id, device="on", **{"scope.profile": "on"})
    assert DEVICE_CODE not in eve.client(client_id).grant_types
