"""The revocation endpoint."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest

from oauth_site import Site


@pytest.fixture
def secret(site: Site) -> str:
    return site.add_client()


@pytest.mark.spec("rfc7009", "2.1")
@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense", ""])
def test_revoking_a_refresh_token_revokes_its_family_with_any_hint(site: Site, secret: str, hint: str) -> None:
    tokens = site.tokens(secret)
    answer = site.post("/revoke", ("web", secret), token=tokens["refresh_token"], token_type_hint=hint)
    assert (answer.status_code, answer.mimetype, answer.get_json()) == (200, "application/json", {})
    assert answer.headers["Cache-Control"] == "no-store"
    assert not site.is_alive(tokens["access_token"])
    assert site.refresh(tokens["refresh_token"], secret).get_json()["error"] == "invalid_grant"


@pytest.mark.spec("rfc7009", "2.1")
@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense", ""])
def test_revoking_an_access_token_revokes_only_that_token(site: Site, secret: str, hint: str) -> None:
    tokens = site.tokens(secret)
    answer = site.post("/revoke", ("web", secret), token=tokens["access_token"], token_type_hint=hint)
    assert answer.status_code == 200
    assert not site.is_alive(tokens["access_token"])
    again = site.refresh(tokens["refresh_token"], secret)
    assert site.is_alive(again.get_json()["access_token"])


@pytest.mark.spec("rfc7009", "2.1")
def test_revoking_a_spent_refresh_token_revokes_the_family(site: Site, secret: str) -> None:
    first = site.tokens(secret)
    second = site.refresh(first["refresh_token"], secret).get_json()
    site.post("/revoke", ("web", secret), token=first["refresh_token"])
    assert not site.is_alive(second["access_token"])


def revoke_refresh_token(site: Site, secret: str, tokens: dict[str, Any]) -> None:
    site.post("/revoke", ("web", secret), token=tokens["refresh_token"])


def replay(site: Site, secret: str, tokens: dict[str, Any]) -> None:
    assert site.refresh(tokens["refresh_token"], secret).status_code == 200
    site.clock.forward(site.server.settings.refresh_token_grace_period)
    assert site.refresh(tokens["refresh_token"], secret).status_code == 400


def remove_access(site: Site, secret: str, tokens: dict[str, Any]) -> None:
    page = site.browser.get("/oauth/applications").text
    _, ticket = re.findall(r'name="ticket" value="([^"]+)"', page)  # that of web comes after that of other
    assert site.browser.post("/oauth/applications", data={"ticket": unescape(ticket)}).status_code == 303


@pytest.mark.spec("rfc7009", "2.1")
@pytest.mark.parametrize("end", [revoke_refresh_token, replay, remove_access])
@pytest.mark.parametrize("purged_after", [0, 60, 1800])
def test_revoked_tokens_stay_revoked_after_a_purge(site: Site, secret: str, end: Any, purged_after: int) -> None:
    untouched = site.tokens(site.add_client("other"), "other")
    tokens = site.tokens(secret)
    end(site, secret, tokens)
    site.clock.forward(purged_after)
    sum(site.store.purge(int(site.clock())))
    assert not site.is_alive(tokens["access_token"])
    assert site.refresh(tokens["refresh_token"], secret).get_json()["error"] == "invalid_grant"
    assert site.is_alive(untouched["access_token"])


def test_revoked_tokens_stay_revoked_with_shorter_lifetimes(site: Site, secret: str) -> None:
    """A mark is kept for as long as today's lifetimes need; what was issued under longer ones ends by today's."""
    old = site.tokens(secret)
    site.server.longest_lifetime = 3600
    site.post("/revoke", ("web", secret), token=old["refresh_token"])
    site.clock.forward(7200)
    list(site.store.purge(int(site.clock())))
    assert site.refresh(old["refresh_token"], secret).get_json()["error"] == "invalid_grant"
    assert not site.is_alive(old["access_token"])


@pytest.mark.spec("rfc7009", "2.2")
def test_revoking_an_unknown_token_succeeds(site: Site, secret: str) -> None:
    tokens = site.tokens(secret)
    site.post("/revoke", ("web", secret), token=tokens["refresh_token"])
    for value in ("nonsense", "oat_" + "A" * 50, tokens["refresh_token"], tokens["access_token"], "é", "x" * 9000):
        assert site.post("/revoke", ("web", secret), token=value).status_code == 200
    site.clock.forward(40 * 86400)
    assert site.post("/revoke", ("web", secret), token=site.tokens(secret)["refresh_token"]).status_code == 200


@pytest.mark.spec("rfc7009", "2.1")
@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_a_token_of_another_client_is_not_revoked(site: Site, secret: str, kind: str) -> None:
    other = site.add_client("other")
    tokens = site.tokens(secret)
    answer = site.post("/revoke", ("other", other), token=tokens[kind])
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_grant")
    assert site.is_alive(tokens["access_token"])
    assert site.refresh(tokens["refresh_token"], secret).status_code == 200


@pytest.mark.spec("rfc7009", "2.1")
def test_a_public_client_sends_its_client_id(site: Site) -> None:
    site.add_client("app", None)
    tokens = site.tokens(client_id="app")
    assert site.post("/revoke", token=tokens["refresh_token"]).status_code == 401
    assert site.is_alive(tokens["access_token"])
    assert site.post("/revoke", token=tokens["refresh_token"], client_id="app").status_code == 200
    assert not site.is_alive(tokens["access_token"])


@pytest.mark.spec("rfc7009", "2.2.1")
@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        ({}, 400, "invalid_request"),
        ({"token": ""}, 400, "invalid_request"),
        ({"token": ["a", "b"]}, 400, "invalid_request"),
        ({"token": "a", "token_type_hint": ["a", "b"]}, 400, "invalid_request"),
    ],
)
def test_invalid_revocation_requests_are_rejected(
    site: Site, secret: str, form: dict[str, Any], status: int, code: str
) -> None:
    answer = site.post("/revoke", ("web", secret), **form)
    assert (answer.status_code, answer.get_json()["error"]) == (status, code)


@pytest.mark.spec("rfc7009", "2.1")
def test_a_confidential_client_authenticates(site: Site, secret: str) -> None:
    tokens = site.tokens(secret)
    for answer in (
        site.post("/revoke", token=tokens["access_token"], client_id="web"),
        site.post("/revoke", ("web", "wrong"), token=tokens["access_token"]),
    ):
        assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_client")
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert site.is_alive(tokens["access_token"])
