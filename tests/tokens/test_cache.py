"""Guards that remember tokens, ``OAUTH2_TOKEN_CACHE_TTL``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import event
from stores.workers import PATIENCE

from flask_oauth2 import values
from flask_oauth2.records import AccessToken
from flask_oauth2.resource import token_cache as cache
from flask_oauth2.resource.token_cache import TokenCache
from oauth_site import NOW, Clock, Site, Statements, make_site

SECONDS = 5


@pytest.fixture
def site(tmp_path: Any) -> Iterator[Site]:
    site = make_site(tmp_path, OAUTH2_TOKEN_CACHE_TTL=SECONDS)
    yield site
    site.store.engine.dispose()


@pytest.fixture
def elsewhere(site: Site, tmp_path: Any) -> Iterator[Site]:
    """Another process with the same database, as far as memory goes."""
    other = make_site(tmp_path, OAUTH2_TOKEN_CACHE_TTL=SECONDS)
    other.clock = site.clock
    assert other.store
    yield other
    other.store.engine.dispose()


@pytest.fixture
def site_statements(site: Site) -> Statements:
    """Return the SQL statements that the site sends from now on."""
    seen = Statements()
    site.store.engine.dispose()

    @event.listens_for(site.store.engine, "connect")
    def trace(connection: Any, _: Any) -> None:
        connection.set_trace_callback(seen.append)

    return seen


def test_a_cached_token_needs_one_statement_within_the_ttl(site: Site, site_statements: Statements) -> None:
    token = site.tokens(site.add_client())["access_token"]
    site_statements.clear()
    answers = [site.call(token) for _ in range(3)]
    assert [answer.get_json()["user"] for answer in answers] == ["ada", "ada", "ada"]
    assert len(site_statements) == 1
    site.clock.forward(SECONDS - 1)
    assert site.is_alive(token)
    assert len(site_statements) == 1
    site.clock.forward(1)
    assert site.is_alive(token)
    assert len(site_statements) == 2


def test_the_cache_is_off_by_default(sql_site: Site, statements: Statements) -> None:
    token = sql_site.tokens(sql_site.add_client())["access_token"]
    statements.clear()
    assert sql_site.is_alive(token)
    assert sql_site.is_alive(token)
    assert len(statements) == 2


def test_rejected_tokens_are_not_cached(site: Site, site_statements: Statements) -> None:
    secret = site.add_client()
    token = site.tokens(secret)["access_token"]
    site.post("/revoke", ("web", secret), token=token)
    site_statements.clear()
    assert not site.is_alive(token)
    assert not site.is_alive(token)
    assert len(site_statements) == 2


@pytest.mark.spec("rfc6750", "3.1")
def test_an_expired_token_in_the_cache_is_rejected(site: Site) -> None:
    token = site.tokens(site.add_client())["access_token"]
    site.clock.forward(3599)
    assert site.is_alive(token)
    site.clock.forward(1)
    assert site.call(token).status_code == 401


def test_the_scope_of_a_cached_token_is_verified(site: Site) -> None:
    token = site.tokens(site.add_client(), scope="mail")["access_token"]
    assert [site.call(token).status_code for _ in range(2)] == [403, 403]


def revoke_token(site: Site, secret: str, tokens: dict[str, Any]) -> None:
    site.post("/revoke", ("web", secret), token=tokens["access_token"])


def revoke_family(site: Site, secret: str, tokens: dict[str, Any]) -> None:
    site.post("/revoke", ("web", secret), token=tokens["refresh_token"])


def repeat_refresh(site: Site, secret: str, tokens: dict[str, Any]) -> None:
    site.refresh(tokens["refresh_token"], secret)
    site.clock.forward(31)
    assert site.is_alive(tokens["access_token"])
    assert site.refresh(tokens["refresh_token"], secret).get_json()["error"] == "invalid_grant"


def withdraw_consent(site: Site, secret: str, tokens: dict[str, Any]) -> None:
    page = site.browser.get("/oauth/applications").text
    ticket = re.search(r'name="ticket" value="([^"]+)"', page)
    assert ticket
    assert site.browser.post("/oauth/applications", data={"ticket": ticket[1]}).status_code == 303


def delete_client(site: Site, secret: str, tokens: dict[str, Any]) -> None:
    result = site.app.test_cli_runner().invoke(args=["oauth2", "client", "delete", "web", "--yes"])
    assert result.exit_code == 0, result.output


ENDINGS = [revoke_token, revoke_family, repeat_refresh, withdraw_consent, delete_client]


@pytest.mark.spec("rfc7009", "2.1")
@pytest.mark.parametrize("end", ENDINGS)
def test_a_revocation_in_the_same_process_applies_immediately(site: Site, end: Callable[..., None]) -> None:
    secret = site.add_client()
    tokens, other = site.tokens(secret), site.tokens(site.add_client("zebra"), "zebra")
    assert site.is_alive(tokens["access_token"])
    assert site.is_alive(other["access_token"])
    end(site, secret, tokens)
    assert not site.is_alive(tokens["access_token"])
    assert site.is_alive(other["access_token"])


@pytest.mark.parametrize("end", ENDINGS)
def test_a_revocation_in_another_process_applies_after_the_ttl(
    site: Site, elsewhere: Site, end: Callable[..., None]
) -> None:
    secret = site.add_client()
    tokens = site.tokens(secret)
    elsewhere.sign_in()
    end(elsewhere, secret, tokens)
    assert not elsewhere.is_alive(tokens["access_token"])
    site.clock.forward(SECONDS)
    assert not site.is_alive(tokens["access_token"])


def test_a_token_revoked_in_another_process_is_accepted_until_the_ttl(site: Site, elsewhere: Site) -> None:
    secret = site.add_client()
    tokens = site.tokens(secret)
    assert site.is_alive(tokens["access_token"])
    revoke_token(elsewhere, secret, tokens)
    site.clock.forward(SECONDS - 1)
    assert site.is_alive(tokens["access_token"])
    site.clock.forward(1)
    assert not site.is_alive(tokens["access_token"])


@pytest.mark.spec("rfc7662", "2.2")
def test_introspection_bypasses_the_cache(site: Site, elsewhere: Site) -> None:
    secret = site.add_client()
    tokens = site.tokens(secret)
    assert site.is_alive(tokens["access_token"])
    revoke_token(elsewhere, secret, tokens)
    assert site.post("/introspect", ("web", secret), token=tokens["access_token"]).get_json() == {"active": False}


def test_signed_tokens_are_cached(tmp_path: Any) -> None:
    site = make_site(tmp_path, OAUTH2_TOKEN_CACHE_TTL=SECONDS, OAUTH2_ACCESS_TOKEN_FORMAT="signed")
    secret = site.add_client()
    tokens = site.tokens(secret)
    assert site.is_alive(tokens["access_token"])
    site.store.engine.dispose()
    site_statements: list[str] = []
    event.listen(site.store.engine, "connect", lambda driver, _: driver.set_trace_callback(site_statements.append))
    assert site.is_alive(tokens["access_token"])
    assert not site_statements
    revoke_token(site, secret, tokens)
    assert not site.is_alive(tokens["access_token"])
    site.store.engine.dispose()


def access(number: int = 0) -> AccessToken:
    return AccessToken(
        token_hash=number.to_bytes(38, "big"),
        authorization_id=f"family-{number}",
        client_id="web",
        user_id="ada",
        scope=("profile",),
        type="Bearer",
        issued_at=int(NOW),
        expires_at=int(NOW) + 3600,
        consent_id="consent",
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def remembered(clock: Clock) -> TokenCache:
    return TokenCache(SECONDS, clock)


def test_a_revocation_during_a_read_applies(remembered: TokenCache, clock: Clock) -> None:
    remembered.on_revoked("family-0")
    remembered.put("value", access(), clock() - 0.1)  # what was read before the mark was there
    assert remembered.get("value") is None


def test_revocations_are_stored_for_the_ttl(remembered: TokenCache, clock: Clock) -> None:
    remembered.put("value", access(), clock())
    remembered.on_revoked("family-0")
    for second in range(SECONDS):
        remembered.on_revoked(f"another-{second}")
        assert remembered.get("value") is None
        clock.forward(1)
    clock.forward(SECONDS)
    remembered.on_revoked("another")
    assert list(remembered._revoked) == ["another"]


def test_a_repeated_revocation_does_not_delay_the_cleanup(remembered: TokenCache, clock: Clock) -> None:
    for second in range(3 * SECONDS):
        remembered.on_revoked("the same")
        remembered.on_revoked(f"another-{second}")
        clock.forward(1)
    assert len(remembered._revoked) <= SECONDS + 1


def test_the_cache_is_bounded(remembered: TokenCache, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST", 3)
    for number in range(5):
        remembered.put(f"value-{number}", access(number), clock())
    assert [remembered.get(f"value-{number}") is not None for number in range(5)] == [False] * 2 + [True] * 3


def test_a_cached_value_is_replaced_in_place(
    remembered: TokenCache, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MOST", 2)
    remembered.put("one", access(1), clock())
    remembered.put("two", access(2), clock())
    newer = replace(access(2), scope=("mail",))
    remembered.put("two", newer, clock())
    assert remembered.get("one") == access(1)
    assert remembered.get("two") == newer


def test_the_cache_can_be_cleared(remembered: TokenCache, clock: Clock) -> None:
    remembered.put("value", access(), clock())
    remembered.clear()
    assert remembered.get("value") is None


def test_the_cache_ignores_the_wall_clock(site: Site) -> None:
    """What is remembered is counted by another one."""
    secret = site.add_client()
    tokens, others = site.tokens(secret), [site.tokens(secret) for _ in range(2)]
    clock = Clock()
    cache = site.verifier.cache
    site.clock.forward(600)
    cache.clock = clock
    assert site.http.get("/api/me", headers={"Authorization": f"Bearer {tokens['access_token']}"}).status_code == 200
    site.clock.forward(-600)
    for one in (tokens, *others):
        site.http.post("/oauth/revoke", data={"token": one["access_token"]}, auth=("web", secret))
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert site.http.get("/api/me", headers=headers).status_code == 401
        site.clock.forward(SECONDS + 1)
        clock.forward(SECONDS + 1)


def test_a_delayed_revocation_removes_tokens_cached_during_the_wait(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = site.add_client()
    tokens, other = site.tokens(secret), site.tokens(secret)
    revoke = site.store.revoke

    def wait_first(mark: str, expires_at: int) -> None:
        site.clock.forward(SECONDS - 1)
        assert site.is_alive(tokens["access_token"])
        revoke(mark, expires_at)

    monkeypatch.setattr(site.store, "revoke", wait_first)
    revoke_token(site, secret, tokens)
    monkeypatch.undo()
    assert not site.is_alive(tokens["access_token"])
    site.clock.forward(2)
    revoke_token(site, secret, other)
    assert not site.is_alive(tokens["access_token"])


class Lagging:
    """A replica that learns nothing any more."""

    def __init__(self, token: AccessToken) -> None:
        self._token = token

    def get_access(self, key: bytes) -> AccessToken:
        return self._token

    def revoked(self, *marks: str) -> bool:
        return False


def test_a_lagging_replica_does_not_restore_a_token_in_the_revoking_process(site: Site) -> None:
    secret = site.add_client()
    tokens = site.tokens(secret)
    value = tokens["access_token"]
    site.server.opening.guards_read = Lagging(site.store.get_access(values.key(value)))
    assert site.is_alive(value)
    revoke_token(site, secret, tokens)
    assert not site.is_alive(value)


@pytest.fixture
def connected_sites(site: Site, redis_url: str, tmp_path: Any) -> Iterator[tuple[Site, Site]]:
    """Yield two sites that simulate two processes and share revocations over Redis."""
    sites = [make_site(tmp_path, OAUTH2_TOKEN_CACHE_TTL=SECONDS, OAUTH2_REDIS_URL=redis_url) for _ in range(2)]
    for other in sites:
        ready = Event()
        cleared = other.verifier.cache.clear
        other.verifier.cache.clear = lambda cleared=cleared, ready=ready: (cleared(), ready.set())
        assert other.store
        assert ready.wait(PATIENCE)  # the subscription is active
    yield sites[0], sites[1]
    for other in sites:
        other.store.close()
        other.store.behind.engine.dispose()


@pytest.mark.parametrize("end", ENDINGS)
def test_redis_publishes_a_revocation_to_other_processes(
    connected_sites: tuple[Site, Site], end: Callable[..., None]
) -> None:
    here, there = connected_sites
    secret = here.add_client()
    there.clock = here.clock
    tokens = here.tokens(secret)
    assert there.is_alive(tokens["access_token"])
    here.sign_in()
    end(here, secret, tokens)
    until = monotonic() + PATIENCE
    while there.is_alive(tokens["access_token"]):  # no time passes for its guard
        assert monotonic() < until
