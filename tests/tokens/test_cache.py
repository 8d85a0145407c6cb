"""Guards that remember tokens, ``OAUTH2_TOKEN_CACHE``."""

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

from flask_oauth2.records import AccessToken
from flask_oauth2.tokens import cache
from flask_oauth2.tokens.cache import TokenCache
from oauth_site import NOW, Site, Statements, make_site

SECONDS = 5


@pytest.fixture
def site(tmp_path: Any) -> Iterator[Site]:
    site = make_site(tmp_path, OAUTH2_TOKEN_CACHE=SECONDS)
    yield site
    site.store.engine.dispose()


@pytest.fixture
def elsewhere(site: Site, tmp_path: Any) -> Iterator[Site]:
    """Another process with the same database, as far as memory goes."""
    other = make_site(tmp_path, OAUTH2_TOKEN_CACHE=SECONDS)
    other.clock = site.clock
    assert other.store
    yield other
    other.store.engine.dispose()


@pytest.fixture
def asked(site: Site) -> Statements:
    """What the site asks its database from now on."""
    seen = Statements()
    site.store.engine.dispose()

    @event.listens_for(site.store.engine, "connect")
    def trace(connection: Any, _: Any) -> None:
        connection.set_trace_callback(seen.append)

    return seen


def test_a_token_is_asked_for_once_in_its_seconds(site: Site, asked: Statements) -> None:
    token = site.tokens(site.add_client())["access_token"]
    asked.clear()
    answers = [site.call(token) for _ in range(3)]
    assert [answer.get_json()["user"] for answer in answers] == ["ada", "ada", "ada"]
    assert len(asked) == 1
    site.clock.forward(SECONDS - 1)
    assert site.is_alive(token)
    assert len(asked) == 1
    site.clock.forward(1)
    assert site.is_alive(token)
    assert len(asked) == 2


def test_it_is_off_by_default(sql_site: Site, statements: Statements) -> None:
    token = sql_site.tokens(sql_site.add_client())["access_token"]
    statements.clear()
    assert sql_site.is_alive(token)
    assert sql_site.is_alive(token)
    assert len(statements) == 2


def test_what_is_refused_is_not_remembered(site: Site, asked: Statements) -> None:
    secret = site.add_client()
    token = site.tokens(secret)["access_token"]
    site.post("/revoke", ("web", secret), token=token)
    asked.clear()
    assert not site.is_alive(token)
    assert not site.is_alive(token)
    assert len(asked) == 2


@pytest.mark.spec("rfc6750", "3.1")
def test_one_that_expires_is_refused_all_the_same(site: Site) -> None:
    token = site.tokens(site.add_client())["access_token"]
    site.clock.forward(3599)
    assert site.is_alive(token)
    site.clock.forward(1)
    assert site.call(token).status_code == 401


def test_scope_is_looked_at_each_time(site: Site) -> None:
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
def test_a_revocation_in_the_same_process_ends_it_at_once(site: Site, end: Callable[..., None]) -> None:
    secret = site.add_client()
    tokens, other = site.tokens(secret), site.tokens(site.add_client("zebra"), "zebra")
    assert site.is_alive(tokens["access_token"])
    assert site.is_alive(other["access_token"])
    end(site, secret, tokens)
    assert not site.is_alive(tokens["access_token"])
    assert site.is_alive(other["access_token"])


@pytest.mark.parametrize("end", ENDINGS)
def test_one_elsewhere_ends_it_within_its_seconds(site: Site, elsewhere: Site, end: Callable[..., None]) -> None:
    secret = site.add_client()
    tokens = site.tokens(secret)
    elsewhere.sign_in()
    end(elsewhere, secret, tokens)
    assert not elsewhere.is_alive(tokens["access_token"])
    site.clock.forward(SECONDS)
    assert not site.is_alive(tokens["access_token"])


def test_until_then_it_may_pass(site: Site, elsewhere: Site) -> None:
    secret = site.add_client()
    tokens = site.tokens(secret)
    assert site.is_alive(tokens["access_token"])
    revoke_token(elsewhere, secret, tokens)
    site.clock.forward(SECONDS - 1)
    assert site.is_alive(tokens["access_token"])
    site.clock.forward(1)
    assert not site.is_alive(tokens["access_token"])


@pytest.mark.spec("rfc7662", "2.2")
def test_introspection_remembers_nothing(site: Site, elsewhere: Site) -> None:
    secret = site.add_client()
    tokens = site.tokens(secret)
    assert site.is_alive(tokens["access_token"])
    revoke_token(elsewhere, secret, tokens)
    assert site.post("/introspect", ("web", secret), token=tokens["access_token"]).get_json() == {"active": False}


def test_signed_tokens_are_remembered_too(tmp_path: Any) -> None:
    site = make_site(tmp_path, OAUTH2_TOKEN_CACHE=SECONDS, OAUTH2_ACCESS_TOKEN_FORMAT="signed")
    secret = site.add_client()
    tokens = site.tokens(secret)
    assert site.is_alive(tokens["access_token"])
    site.store.engine.dispose()
    asked: list[str] = []
    event.listen(site.store.engine, "connect", lambda driver, _: driver.set_trace_callback(asked.append))
    assert site.is_alive(tokens["access_token"])
    assert not asked
    revoke_token(site, secret, tokens)
    assert not site.is_alive(tokens["access_token"])
    site.store.engine.dispose()


def access(number: int = 0) -> AccessToken:
    return AccessToken(
        key=number.to_bytes(38, "big"),
        authorization_id=f"family-{number}",
        client_id="web",
        user_id="ada",
        scope=("profile",),
        type="Bearer",
        issued_at=int(NOW),
        expires_at=int(NOW) + 3600,
        consent_id="consent",
    )


def test_a_mark_that_came_while_the_store_was_read_holds() -> None:
    remembered = TokenCache(SECONDS)
    remembered.end("family-0", NOW + 0.1)
    remembered.put("value", access(), NOW)  # what was read before the mark was there
    assert remembered.get("value", NOW + 0.2) is None


def test_marks_are_kept_as_long_as_what_was_read_before_them() -> None:
    remembered = TokenCache(SECONDS)
    remembered.put("value", access(), NOW)
    remembered.end("family-0", NOW)
    for second in range(SECONDS):
        remembered.end(f"another-{second}", NOW + second)
        assert remembered.get("value", NOW + second) is None
    remembered.end("another", NOW + 2 * SECONDS)
    assert list(remembered._ended) == ["another"]


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST", 3)
    remembered = TokenCache(SECONDS)
    for number in range(5):
        remembered.put(f"value-{number}", access(number), NOW)
    assert [remembered.get(f"value-{number}", NOW) is not None for number in range(5)] == [False] * 2 + [True] * 3


def test_what_is_read_again_takes_no_other_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST", 2)
    remembered = TokenCache(SECONDS)
    remembered.put("one", access(1), NOW)
    remembered.put("two", access(2), NOW)
    newer = replace(access(2), scope=("mail",))
    remembered.put("two", newer, NOW + 1)
    assert remembered.get("one", NOW + 1) == access(1)
    assert remembered.get("two", NOW + 1) == newer


def test_all_can_be_forgotten() -> None:
    remembered = TokenCache(SECONDS)
    remembered.put("value", access(), NOW)
    remembered.clear()
    assert remembered.get("value", NOW) is None


@pytest.fixture
def heard(site: Site, redis_url: str, tmp_path: Any) -> Iterator[tuple[Site, Site]]:
    """Two processes, as far as memory goes, that a Redis server tells of what has ended."""
    sites = [make_site(tmp_path, OAUTH2_TOKEN_CACHE=SECONDS, OAUTH2_REDIS_URL=redis_url) for _ in range(2)]
    for other in sites:
        ready = Event()
        cleared = other.server.token_cache.clear
        other.server.token_cache.clear = lambda cleared=cleared, ready=ready: (cleared(), ready.set())
        assert other.store
        assert ready.wait(PATIENCE)  # it has begun to listen
    yield sites[0], sites[1]
    for other in sites:
        other.store.close()
        other.store.behind.engine.dispose()


@pytest.mark.parametrize("end", ENDINGS)
def test_where_redis_tells_of_it_a_revocation_elsewhere_ends_it_at_once(
    heard: tuple[Site, Site], end: Callable[..., None]
) -> None:
    here, there = heard
    secret = here.add_client()
    there.clock = here.clock
    tokens = here.tokens(secret)
    assert there.is_alive(tokens["access_token"])
    here.sign_in()
    end(here, secret, tokens)
    until = monotonic() + PATIENCE
    while there.is_alive(tokens["access_token"]):  # no time passes for its guard
        assert monotonic() < until
