"""The refresh grant: rotation, reuse, grace period."""

from __future__ import annotations

from typing import Any

import pytest

from flask_oauth2 import values
from oauth_site import Site


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["error"]


OF_CODES: Any = {"grant_types": ("authorization_code", "refresh_token"), "response_types": ("code",)}
"""Of a client that the command line takes as it is."""


def allow(site: Site, scope: str, client_id: str = "web") -> None:
    """The operator says what a client may have."""
    result = site.app.test_cli_runner().invoke(args=["oauth2", "client", "update", client_id, "--scope", scope])
    assert result.exit_code == 0, result.output


@pytest.fixture
def secret(site: Site) -> str:
    return site.add_client()


@pytest.mark.spec("rfc6749", "6")
@pytest.mark.spec("rfc9700", "4.14.2")
def test_a_refresh_token_is_exchanged_for_a_new_pair(site: Site, secret: str) -> None:
    first = site.tokens(secret, scope="profile mail")
    second = site.refresh(first["refresh_token"], secret).get_json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    assert second["scope"] == "profile mail"
    assert site.is_alive(second["access_token"])
    assert site.is_alive(first["access_token"]), "an access token lives out its time"


@pytest.mark.spec("rfc9700", "4.14.2")
def test_reuse_revokes_the_whole_family(site: Site, secret: str) -> None:
    first = site.tokens(secret)
    second = site.refresh(first["refresh_token"], secret).get_json()
    third = site.refresh(second["refresh_token"], secret).get_json()
    site.clock.forward(30)
    assert refusal(site.refresh(first["refresh_token"], secret)) == (400, "invalid_grant")
    assert refusal(site.refresh(third["refresh_token"], secret)) == (400, "invalid_grant")
    assert not any(site.is_alive(tokens["access_token"]) for tokens in (first, second, third))


@pytest.mark.spec("rfc9700", "4.14.2")
def test_the_replay_of_an_expired_refresh_token_revokes_the_family(new_site: Any) -> None:
    site = new_site(OAUTH2_REFRESH_TOKEN_LIFETIME=100)
    secret = site.add_client()
    first = site.tokens(secret)
    site.clock.forward(90)
    second = site.refresh(first["refresh_token"], secret).get_json()
    site.clock.forward(60)
    assert refusal(site.refresh(first["refresh_token"], secret)) == (400, "invalid_grant")
    assert not site.is_alive(second["access_token"])
    assert refusal(site.refresh(second["refresh_token"], secret)) == (400, "invalid_grant")


@pytest.mark.spec("rfc6749", "5.1")
def test_no_refresh_token_is_issued_if_the_grant_is_off(new_site: Any) -> None:
    """The record of a client may be older than the setting."""
    site = new_site(OAUTH2_GRANT_TYPES=["authorization_code"])
    secret = site.add_client(grant_types=("authorization_code", "refresh_token"))
    assert "refresh_token" not in site.tokens(secret)
    both = new_site()
    assert "refresh_token" in both.tokens(both.add_client())


@pytest.mark.spec("oauth-v2-1", "4.3.1")
def test_a_public_client_has_no_grace_period(site: Site) -> None:
    site.add_client("app", None)
    first = site.tokens(client_id="app")
    second = site.refresh(first["refresh_token"], client_id="app").get_json()
    assert refusal(site.refresh(first["refresh_token"], client_id="app")) == (400, "invalid_grant")
    assert not site.is_alive(second["access_token"])


def test_a_client_may_repeat_a_refresh_within_the_grace_period(site: Site, secret: str) -> None:
    first = site.tokens(secret)
    second = site.refresh(first["refresh_token"], secret).get_json()
    site.clock.forward(29)
    siblings = [site.refresh(first["refresh_token"], secret).get_json() for _ in range(2)]
    assert all(site.is_alive(tokens["access_token"]) for tokens in (second, *siblings))


@pytest.mark.spec("rfc9700", "4.14.2")
def test_surplus_requests_within_the_grace_period_revoke_nothing(site: Site, secret: str) -> None:
    first = site.tokens(secret)
    served = [site.refresh(first["refresh_token"], secret).get_json() for _ in range(3)]
    for _ in range(5):
        assert refusal(site.refresh(first["refresh_token"], secret)) == (400, "invalid_grant")
    assert all(site.is_alive(tokens["access_token"]) for tokens in served)
    assert site.refresh(served[-1]["refresh_token"], secret).status_code == 200
    site.clock.forward(30)
    assert refusal(site.refresh(first["refresh_token"], secret)) == (400, "invalid_grant")
    assert not any(site.is_alive(tokens["access_token"]) for tokens in served), "reuse after the grace period"


@pytest.mark.spec("rfc9700", "4.14.2")
@pytest.mark.parametrize(("options", "seconds"), [({}, 10), ({"OAUTH2_REFRESH_TOKEN_GRACE_PERIOD_PUBLIC": 0}, 0)])
def test_a_public_client_of_an_mcp_server_has_a_grace_period(
    new_site: Any, options: dict[str, Any], seconds: int
) -> None:
    site = new_site(**options)
    site.provider.protect_mcp("/mcp", ["profile"])
    site.add_client("app", None)
    first = site.tokens(client_id="app")
    assert site.refresh(first["refresh_token"], client_id="app").status_code == 200
    if seconds:
        site.clock.forward(seconds - 1)
        assert site.refresh(first["refresh_token"], client_id="app").status_code == 200
        site.clock.forward(1)
    assert refusal(site.refresh(first["refresh_token"], client_id="app")) == (400, "invalid_grant")
    assert site.server.store.get_refresh(values.key(first["refresh_token"])) is None, "the family is revoked"


def test_the_grace_period_ends(site: Site, secret: str) -> None:
    first = site.tokens(secret)
    second = site.refresh(first["refresh_token"], secret).get_json()
    site.clock.forward(30)
    assert refusal(site.refresh(first["refresh_token"], secret)) == (400, "invalid_grant")
    assert not site.is_alive(second["access_token"])


def test_the_grace_period_ends_when_a_child_is_used(site: Site, secret: str) -> None:
    first = site.tokens(secret)
    second = site.refresh(first["refresh_token"], secret).get_json()
    assert site.refresh(second["refresh_token"], secret).status_code == 200
    assert refusal(site.refresh(first["refresh_token"], secret)) == (400, "invalid_grant")
    assert site.is_alive(second["access_token"]), "nothing is revoked within the grace period"


def test_both_grace_periods_are_configurable(new_site: Any) -> None:
    site = new_site(OAUTH2_REFRESH_TOKEN_GRACE_PERIOD=0, OAUTH2_REFRESH_TOKEN_GRACE_PERIOD_PUBLIC=5)
    secret = site.add_client()
    site.add_client("app", None)
    strict, lax = site.tokens(secret)["refresh_token"], site.tokens(client_id="app")["refresh_token"]
    assert site.refresh(strict, secret).status_code == 200
    assert site.refresh(strict, secret).status_code == 400
    assert site.refresh(lax, client_id="app").status_code == 200
    assert site.refresh(lax, client_id="app").status_code == 200


@pytest.mark.spec("rfc6749", "6")
def test_the_access_token_may_be_narrower_and_the_refresh_token_keeps_its_scope(site: Site, secret: str) -> None:
    first = site.tokens(secret, scope="profile mail")
    narrow = site.refresh(first["refresh_token"], secret, scope="mail").get_json()
    assert narrow["scope"] == "mail"
    assert site.call(narrow["access_token"]).status_code == 403
    wide = site.refresh(narrow["refresh_token"], secret).get_json()
    assert wide["scope"] == "profile mail"


@pytest.mark.spec("rfc6749", "6")
def test_denied_scopes_are_not_refreshed(site: Site) -> None:
    secret = site.add_client(**OF_CODES)
    first = site.tokens(secret, scope="profile mail")
    allow(site, "profile")
    assert refusal(site.refresh(first["refresh_token"], secret, scope="mail")) == (400, "invalid_scope")
    second = site.refresh(first["refresh_token"], secret).get_json()
    assert second["scope"] == "profile"
    allow(site, "write")
    assert refusal(site.refresh(second["refresh_token"], secret)) == (400, "invalid_scope")
    allow(site, "profile mail write")
    third = site.refresh(second["refresh_token"], secret).get_json()
    assert third["scope"] == "profile mail", "what is given back was granted by the user once"


@pytest.mark.spec("rfc9700", "4.14.2")
def test_reuse_revokes_the_family_with_denied_scopes(site: Site) -> None:
    secret = site.add_client(**OF_CODES)
    first = site.tokens(secret)
    second = site.refresh(first["refresh_token"], secret).get_json()
    site.clock.forward(1000)
    allow(site, "write")
    assert refusal(site.refresh(first["refresh_token"], secret)) == (400, "invalid_grant")
    assert not site.is_alive(second["access_token"])


def test_a_resource_without_remaining_scopes_receives_no_token(new_site: Any) -> None:
    """The answer would have no scope, which says that it is the one that was asked for."""
    site = new_site()
    site.provider.protect_resource("/a", ["profile"])
    site.provider.protect_resource("/b", ["mail"])
    secret = site.add_client(**OF_CODES)
    a, b = "https://login.example/a", "https://login.example/b"
    code = site.authorize(scope="profile mail", resource=[a, b])["code"]
    first = site.redeem(code, ("web", secret), resource=a).get_json()
    allow(site, "profile")
    assert refusal(site.refresh(first["refresh_token"], secret, resource=b)) == (400, "invalid_scope")
    assert site.refresh(first["refresh_token"], secret, resource=a).get_json()["scope"] == "profile"


@pytest.mark.spec("rfc6749", "6")
def test_a_refresh_cannot_extend_the_scope(site: Site, secret: str) -> None:
    first = site.tokens(secret, scope="profile")
    assert refusal(site.refresh(first["refresh_token"], secret, scope="profile mail")) == (400, "invalid_scope")
    assert site.refresh(first["refresh_token"], secret).status_code == 200, "nothing was spent"


@pytest.mark.spec("rfc6749", "6")
def test_a_refresh_token_is_bound_to_its_client(site: Site, secret: str) -> None:
    other = site.add_client("other")
    site.add_client("app", None)
    first = site.tokens(secret)
    assert refusal(site.refresh(first["refresh_token"], other, "other")) == (400, "invalid_grant")
    assert refusal(site.refresh(first["refresh_token"], client_id="app")) == (400, "invalid_grant")
    assert refusal(site.refresh(first["refresh_token"], client_id="web")) == (401, "invalid_client")
    assert site.refresh(first["refresh_token"], secret).status_code == 200


@pytest.mark.spec("rfc9700", "4.14.2")
def test_an_unused_refresh_token_expires(site: Site, secret: str) -> None:
    first = site.tokens(secret)
    site.clock.forward(30 * 86400 - 1)
    second = site.refresh(first["refresh_token"], secret).get_json()
    site.clock.forward(30 * 86400)
    assert refusal(site.refresh(second["refresh_token"], secret)) == (400, "invalid_grant")


def test_a_refresh_token_may_expire_before_the_access_token(new_site: Any) -> None:
    site = new_site(OAUTH2_REFRESH_TOKEN_LIFETIME=60)
    secret = site.add_client()
    tokens = site.tokens(secret)
    site.clock.forward(60)
    assert site.is_alive(tokens["access_token"])
    assert refusal(site.refresh(tokens["refresh_token"], secret)) == (400, "invalid_grant")


@pytest.mark.parametrize("value", ["nonsense", "ort_" + "A" * 50, "é"])
def test_an_unknown_refresh_token_is_invalid_grant(site: Site, secret: str, value: str) -> None:
    assert refusal(site.refresh(value, secret)) == (400, "invalid_grant")


def test_an_access_token_is_not_a_refresh_token(site: Site, secret: str) -> None:
    assert refusal(site.refresh(site.tokens(secret)["access_token"], secret)) == (400, "invalid_grant")


def test_a_refresh_token_is_not_an_access_token(site: Site, secret: str) -> None:
    assert site.call(site.tokens(secret)["refresh_token"]).status_code == 401
