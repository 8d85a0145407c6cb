"""What the store on Redis does beside the contract: how long it keeps things, whom it tells, its absence, its cost."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from queue import Queue
from time import monotonic
from typing import Any

import pytest
import redis
from devices import Device, Person, add_device_client
from servers import RedisServer
from stores.workers import PATIENCE

from flask_oauth2 import ConfigurationError, MemoryStore, TemporarilyUnavailable, values
from flask_oauth2.endpoints.registration import GRANT_KIND
from flask_oauth2.errors import OAuth2Error
from flask_oauth2.stores.base import GRANT_MEMORY, LASTING, collect
from flask_oauth2.stores.callbacks import CallbackStore
from flask_oauth2.stores.redis import RedisStore, pubsub
from flask_oauth2.stores.redis.connection import verify
from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore
from flask_oauth2.testing.samples import (
    FAR,
    NOW,
    new_authorization,
    new_client,
    new_consent,
    new_device,
    new_grant,
    new_token,
    save_record,
    spent,
)
from oauth_site import Site, make_site

OpenRedis = Callable[..., RedisStore]


@pytest.fixture
def open_redis(redis_url: str) -> Iterator[OpenRedis]:
    """Opens stores before one in memory."""
    opened = []

    def open_redis(behind: Any = None, redis: Any = redis_url, prefix: str = "oauth2:") -> RedisStore:
        opened.append(RedisStore(behind or MemoryStore(), redis, prefix))
        return opened[-1]

    yield open_redis
    for store in opened:
        store.close()


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that a test may kill."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


class TestHowLong:
    """What is kept, by whose clock."""

    @pytest.mark.parametrize("now", [NOW - 10**9, NOW, NOW + 10**9])
    @pytest.mark.spec("rfc6749", "4.1.2")
    def test_a_grant_is_kept_for_its_replay_whatever_the_time_is(
        self, open_redis: OpenRedis, redis_client: redis.Redis, now: int
    ) -> None:
        store = open_redis()
        grant = save_record(store, new_grant(expires_at=now + 60), now)
        (name,) = redis_client.keys()
        assert GRANT_MEMORY < redis_client.ttl(name) <= GRANT_MEMORY + 60
        assert store.issue(grant, [], now + 61)
        assert GRANT_MEMORY < redis_client.ttl(name) <= GRANT_MEMORY + 60
        assert store.get_grant(grant.key, "code") == spent(grant, now + 61)

    def test_one_that_had_expired_when_it_was_filed_is_kept_as_long(
        self, open_redis: OpenRedis, redis_client: redis.Redis
    ) -> None:
        save_record(open_redis(), new_grant(expires_at=1))
        assert 0 < redis_client.ttl(redis_client.keys()[0]) <= GRANT_MEMORY

    def test_a_grant_ends_by_itself(self, open_redis: OpenRedis, redis_client: redis.Redis) -> None:
        store = open_redis()
        grant = save_record(store, new_grant())
        redis_client.pexpire(redis_client.keys()[0], 1)
        while redis_client.keys():
            pass
        assert store.get_grant(grant.key, "code") is None
        assert not store.issue(grant, [], NOW)

    def test_a_counter_ends_a_little_later_than_it_was_said_to_at_first(
        self, open_redis: OpenRedis, redis_client: redis.Redis
    ) -> None:
        store = open_redis()
        seconds, _ = redis_client.time()
        store.count(b"a", seconds + 1000)
        store.count(b"a", seconds + 9000)
        assert 1000 < redis_client.ttl(redis_client.keys()[0]) <= 1300

    def test_a_counter_counts_though_the_callers_clock_is_far_behind(
        self, open_redis: OpenRedis, redis_client: redis.Redis
    ) -> None:
        store = open_redis()
        assert [store.count(b"a", 1000), store.count(b"a", 1000)] == [1, 2], "or a replay would be the first time"
        assert 0 < redis_client.ttl(redis_client.keys()[0]) <= 300

    def test_nothing_stays_for_ever(self, open_redis: OpenRedis, redis_client: redis.Redis) -> None:
        store = open_redis()
        grant = save_record(store, new_grant(kind="request"))
        store.count(b"a", FAR)
        assert store.issue(grant, [new_grant(), new_token()], NOW)
        names = redis_client.keys()
        assert len(names) == 3
        assert all(redis_client.ttl(name) > 0 for name in names)


class TestTwoStores:
    """What is in Redis, what is behind it, and what if one of them fails."""

    def test_tokens_and_marks_are_behind(self, open_redis: OpenRedis, redis_client: redis.Redis) -> None:
        store = open_redis()
        token = save_record(store, new_token())
        store.revoke("mark", FAR)
        store.set_client(new_client())
        assert redis_client.keys() == []
        assert store.behind.get_access(token.access.token_hash) == token.access
        assert store.behind.revoked("mark")

    @pytest.mark.parametrize("mark", ["family", "client", "consent"])
    @pytest.mark.spec("rfc7009", "2.1")
    def test_a_mark_behind_ends_a_grant_here(self, open_redis: OpenRedis, mark: str) -> None:
        store = open_redis()
        owner = new_authorization(id="family", client_id="client", consent_id="consent")
        grant, other = save_record(store, new_grant(owner)), save_record(store, new_grant())
        store.behind.revoke(mark, FAR)
        assert store.get_grant(grant.key, "code") is None
        if mark != "client":
            assert store.get_grant(other.key, "code") == other

    def test_a_code_stays_spent_where_the_store_behind_is_lost(self, open_redis: OpenRedis) -> None:
        """It may have save_record the tokens before it was."""

        class Lost(MemoryStore):
            def issue(self, *_: Any) -> bool:
                raise TemporarilyUnavailable("gone", retry_after=1)

        store = open_redis(Lost())
        grant = save_record(store, new_grant())
        with pytest.raises(TemporarilyUnavailable):
            store.issue(grant, [new_token()], NOW)
        assert store.get_grant(grant.key, "code") == spent(grant)

    def test_a_grant_that_was_filed_for_a_refresh_token_that_is_spent_is_taken_back(
        self, open_redis: OpenRedis
    ) -> None:
        store = open_redis()
        token, grant = save_record(store, new_token()), new_grant()
        assert store.issue(token, [], NOW)
        assert not store.issue(token, [grant], NOW)
        assert store.get_grant(grant.key, "code") is None
        fresh = save_record(store, new_token())
        assert store.issue(fresh, [grant], NOW)
        assert store.get_grant(grant.key, "code") == grant

    def test_the_same_grant_twice_is_refused(self, open_redis: OpenRedis, redis_client: redis.Redis) -> None:
        grant = new_grant()
        with pytest.raises(ValueError, match="duplicate"):
            open_redis().issue(None, [grant, grant], NOW)
        assert redis_client.keys() == []

    def test_a_client_that_decodes_will_do(self, open_redis: OpenRedis, redis_client: redis.Redis) -> None:
        store = open_redis(redis=redis_client)
        grant = save_record(store, new_grant(used_at=NOW))
        assert store.get_grant(grant.key, "code") == grant
        assert store.count(b"a", FAR) == 1
        device, owner = save_record(store, new_device()), new_authorization()
        assert store.decide(device, owner, NOW)
        assert store.poll(device, NOW, 10)
        decided = replace(device, authorization=owner, polled_at=NOW, interval=10)
        assert store.find_device(device.user_code_key) == decided

    def test_applications_of_another_prefix_share_nothing(self, open_redis: OpenRedis) -> None:
        store, other = open_redis(), open_redis(prefix="other:")
        grant = save_record(store, new_grant())
        assert other.get_grant(grant.key, "code") is None
        assert [store.count(b"a", FAR), other.count(b"a", FAR)] == [1, 1]


class Counted(redis.Connection):
    """A connection that notes what it sends."""

    sent: list[str] = []

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        self.sent.append(repr(command))
        super().send_packed_command(command, check_health)


class TestProvider:
    """Whole flows of an application."""

    @pytest.fixture
    def site(self, tmp_path: Path, redis_url: str) -> Iterator[Site]:
        site = make_site(tmp_path, OAUTH2_REDIS_URL=redis_url, OAUTH2_REDIS_PREFIX="notes:")
        yield site
        site.store.close()
        site.store.behind.engine.dispose()

    def test_codes_and_kept_requests_are_in_redis(self, site: Site, redis_client: redis.Redis) -> None:
        secret = site.add_client()
        code = site.authorize()["code"]
        assert [name.split(":")[:2] for name in redis_client.scan_iter()] == [["notes", "grant"]]
        assert code not in str(redis_client.hgetall(redis_client.keys()[0])), "a store never sees a secret"
        answer = site.redeem(code, ("web", secret))
        assert site.is_alive(answer.get_json()["access_token"])

    @pytest.mark.spec("rfc6749", "4.1.2")
    def test_a_replay_ends_the_family(self, site: Site) -> None:
        secret = site.add_client()
        code = site.authorize()["code"]
        token = site.redeem(code, ("web", secret)).get_json()["access_token"]
        assert site.is_alive(token)
        assert site.redeem(code, ("web", secret)).get_json()["error"] == "invalid_grant"
        assert not site.is_alive(token)

    def test_guesses_are_counted_there(self, site: Site, redis_client: redis.Redis) -> None:
        site.add_client(secret="a secret of a person")
        for _ in range(10):
            assert site.token("client_credentials", ("web", "wrong")).status_code == 401
        assert site.token("client_credentials", ("web", "wrong")).status_code == 429
        assert {tuple(name.split(":")[:2]) for name in redis_client.scan_iter()} == {("notes", "count")}

    @pytest.mark.spec("rfc8628", "5.2")
    def test_device_codes_are_there_and_end_by_themselves(
        self, tmp_path: Path, redis_url: str, redis_client: redis.Redis
    ) -> None:
        site = make_site(tmp_path, OAUTH2_REDIS_URL=redis_url, OAUTH2_GRANT_TYPES=["device_code"])
        add_device_client(site)
        device = Device(site)
        assert {name.split(":")[1] for name in redis_client.scan_iter()} == {"count", "grant", "user_code"}
        assert device.error() == "authorization_pending"
        Person(site).decide(device.user_code)
        assert site.is_alive(device.poll().get_json()["access_token"])
        names = [name for name in redis_client.scan_iter() if ":count:" not in name]
        assert len(names) == 2
        assert all(GRANT_MEMORY < redis_client.ttl(name) <= GRANT_MEMORY + 600 for name in names)
        kept = str([redis_client.hgetall(name) for name in names]) + str(names)
        for value in (device.answer["device_code"], device.user_code, device.user_code.replace("-", "")):
            assert value not in kept
        site.store.close()
        site.store.behind.engine.dispose()

    def test_callbacks_come_first_then_redis_then_the_database(self, tmp_path: Path, redis_url: str) -> None:
        site = make_site(tmp_path, OAUTH2_REDIS_URL=redis_url)
        site.provider.grantsetter(lambda client_id, code, request: None)
        store = site.store
        assert [type(store), type(store.behind), type(store.behind.behind)] == [
            CallbackStore,
            RedisStore,
            SQLAlchemyStore,
        ]
        assert collect(store).pubsub is store.behind
        store.behind.close()
        store.behind.behind.engine.dispose()

    def test_any_store_may_be_behind(self, tmp_path: Path, redis_url: str) -> None:
        memory = MemoryStore()
        site = make_site(tmp_path, store=memory, OAUTH2_REDIS_URL=redis_url)
        assert site.store.behind is memory
        assert collect(memory).pubsub is None
        site.store.close()

    def test_without_redis_py_it_is_said_what_to_install(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "redis", None)
        with pytest.raises(ConfigurationError, match=r"install flask_oauth2\[redis\]"):
            make_site(tmp_path, OAUTH2_REDIS_URL="redis://127.0.0.1")
        make_site(tmp_path)

    @pytest.mark.parametrize("url", ["redis://127.0.0.1:port", "redis://127.0.0.1?max_connections=many"])
    def test_a_url_that_is_none_is_not_repeated(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match=r"OAUTH2_REDIS_URL is no URL") as raised:
            RedisStore(MemoryStore(), url)
        assert url not in str(raised.value)

    @pytest.mark.parametrize(
        ("work", "most"),
        [("authorize", 1), ("code", 2), ("client_credentials", 0), ("refresh", 0), ("guard", 0), ("revocation", 1)],
    )
    def test_round_trips(self, tmp_path: Path, redis_server: RedisServer, work: str, most: int) -> None:
        pool = redis.ConnectionPool(connection_class=Counted, port=redis_server.port)
        store = RedisStore(MemoryStore(), redis.Redis(connection_pool=pool))
        site = make_site(tmp_path, store=store)
        secret = site.add_client()
        auth = ("web", secret)
        token, code = site.tokens(secret), site.authorize()["code"]
        works: dict[str, Callable[[], Any]] = {
            "authorize": site.ask,
            "code": lambda: site.redeem(code, auth),
            "client_credentials": lambda: site.token("client_credentials", auth),
            "refresh": lambda: site.refresh(token["refresh_token"], secret),
            "guard": lambda: site.call(token["access_token"]),
            "revocation": lambda: site.post("/revoke", auth, token=token["access_token"]),
        }
        Counted.sent.clear()
        assert works[work]().status_code in (200, 303)
        assert len(Counted.sent) == most, Counted.sent
        store.close()


class TestAbsence:
    """A server that is away, or cannot work: 503, and service returns by itself."""

    def test_a_server_that_is_away_and_comes_back(self, tmp_path: Path, mortal: RedisServer) -> None:
        site = make_site(tmp_path, store=MemoryStore(), OAUTH2_REDIS_URL=mortal.url)
        secret = site.add_client()
        auth = ("web", secret)
        tokens, code = site.tokens(secret), site.authorize()["code"]
        mortal.kill()

        refused = site.redeem(code, auth)
        assert refused.status_code == 503
        assert refused.get_json()["error"] == "temporarily_unavailable"
        assert refused.headers["Retry-After"] == "1"
        assert site.authorize() == {
            "error": "temporarily_unavailable",
            "error_description": "the Redis server cannot be reached",
            "state": "st-1",
            "iss": "https://login.example",
            "shop": "7",
        }
        assert site.is_alive(tokens["access_token"])
        refreshed = site.refresh(tokens["refresh_token"], secret)
        assert refreshed.status_code == 200
        assert site.token("client_credentials", auth).status_code == 200
        assert site.post("/revoke", auth, token=tokens["access_token"]).status_code == 200
        assert not site.is_alive(tokens["access_token"]), "it is revoked, though nobody was told"

        mortal.start()
        assert site.redeem(code, auth).status_code == 200
        assert "code" in site.authorize()
        site.store.close()

    def test_a_server_that_is_away_at_start(
        self, tmp_path: Path, mortal: RedisServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        mortal.kill()
        site = make_site(tmp_path, store=MemoryStore(), OAUTH2_REDIS_URL=mortal.url)
        secret = site.add_client()
        assert site.token("client_credentials", ("web", secret)).status_code == 200
        assert "code" not in site.authorize()
        mortal.start()
        with redis.Redis(port=mortal.port) as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
        assert "code" in site.authorize()
        assert "set maxmemory-policy to noeviction" in caplog.text, "it is looked at once it is there"
        site.store.close()

    def test_the_store_behind_that_does_not_open_leaves_no_connection(self, redis_url: str) -> None:
        def open_behind() -> Any:
            raise TemporarilyUnavailable("away", retry_after=1)

        with pytest.raises(TemporarilyUnavailable):
            RedisStore.open(open_behind, redis_url)

    @pytest.mark.parametrize("cause", ["full", "replica", "password"])
    def test_a_server_that_cannot_work(
        self, open_redis: OpenRedis, redis_client: redis.Redis, redis_url: str, cause: str
    ) -> None:
        store = open_redis()
        if cause == "full":
            redis_client.config_set("maxmemory", 1)
        elif cause == "replica":
            redis_client.replicaof("127.0.0.1", 1)
        else:
            store = open_redis(redis=redis_url.replace("://", "://:wrong@"))
        try:
            with pytest.raises(TemporarilyUnavailable):
                save_record(store, new_grant())
            with pytest.raises(TemporarilyUnavailable):
                store.count(b"a", FAR)
        finally:
            redis_client.config_set("maxmemory", 0)
            redis_client.replicaof("NO", "ONE")
        if cause != "password":
            save_record(store, new_grant())

    def test_what_is_no_absence_is_passed_on(self, open_redis: OpenRedis, redis_client: redis.Redis) -> None:
        store = open_redis()
        redis_client.set(f"oauth2:grant:{values.text(b'key')}", "somebody else's")
        with pytest.raises(redis.ResponseError, match="WRONGTYPE") as raised:
            store.get_grant(b"key", "code")
        assert not isinstance(raised.value, OAuth2Error)

    def test_a_server_that_has_forgotten_the_scripts(self, open_redis: OpenRedis, redis_client: redis.Redis) -> None:
        store = open_redis()
        grant = save_record(store, new_grant())
        redis_client.script_flush()
        assert store.issue(grant, [], NOW)
        assert not store.issue(grant, [], NOW)


class TestGettingToKnow:
    """Whether the server will do."""

    @pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "noeviction"])
    def test_one_that_may_drop_keys_is_warned_about_once(
        self, open_redis: OpenRedis, redis_client: redis.Redis, policy: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        redis_client.config_set("maxmemory-policy", policy)
        try:
            store = open_redis()
            for _ in range(2):
                store.count(b"a", FAR)
        finally:
            redis_client.config_set("maxmemory-policy", "noeviction")
        assert caplog.text.count("set maxmemory-policy to noeviction") == (policy != "noeviction")

    def test_one_that_says_nothing_of_itself_is_warned_about(
        self, open_redis: OpenRedis, redis_client: redis.Redis, redis_url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        redis_client.acl_setuser("app", enabled=True, nopass=True, keys="*", channels="*", commands=["+@all", "-info"])
        store = open_redis(redis=redis_url.replace("://", "://app:any@"))
        assert [store.count(b"a", FAR), store.count(b"a", FAR)] == [1, 2]
        assert caplog.text.count("allow the command INFO") == 1

    @pytest.mark.parametrize("version", ["2.8.19", "4.0.14"])
    def test_one_that_is_too_old_is_refused(self, version: str) -> None:
        with pytest.raises(ConfigurationError, match=rf"is {version}, which is too old: .* 5\.0 or newer"):
            verify({"redis_version": version})

    @pytest.mark.parametrize("version", ["5.0.0", "7.0.15", "10.1", "unstable", ""])
    def test_another_is_taken(self, version: str, caplog: pytest.LogCaptureFixture) -> None:
        verify({"redis_version": version, "maxmemory_policy": "noeviction"})
        assert caplog.text == ""


class Subscriber:
    """Records the published revocations, in order."""

    def __init__(self) -> None:
        self._revoked_ids: Queue[str | None] = Queue()
        self.on_revoked = self._revoked_ids.put

    def next(self) -> str | None:
        return self._revoked_ids.get(timeout=PATIENCE)


class TestPublishedRevocations:
    """Revocations that subscribers receive."""

    def test_whoever_listens_hears_what_another_process_ends(self, open_redis: OpenRedis) -> None:
        here, there, subscriber = open_redis(), open_redis(), Subscriber()
        here.subscribe(subscriber.on_revoked)
        assert subscriber.next() is None, "something may have been missed before"
        there.revoke("family", FAR)
        there.delete_client("client é☕", FAR)
        here.publish("consent")
        assert [subscriber.next() for _ in range(3)] == ["family", "client é☕", "consent"]

    def test_a_mark_is_filed_before_it_is_announced(self, open_redis: OpenRedis) -> None:
        store, seen = open_redis(), Queue[bool]()
        store.subscribe(lambda mark: None if mark is None else seen.put(store.revoked(mark)))
        filed_before = Subscriber()
        store.subscribe(filed_before.on_revoked)
        assert filed_before.next() is None
        while seen.empty():
            store.revoke("mark", FAR)
        assert seen.get(timeout=PATIENCE) is True

    def test_a_consent_that_is_withdrawn_is_announced(self, tmp_path: Path, open_redis: OpenRedis) -> None:
        memory, subscriber = MemoryStore(), Subscriber()
        site = make_site(tmp_path, store=open_redis(memory))
        site.store.subscribe(subscriber.on_revoked)
        assert subscriber.next() is None
        site.add_client()
        site.sign_in()
        memory.set_consent(new_consent(id="consent-of-ada", user_id="ada", client_id="web"), None)
        page = site.browser.get("/oauth/applications").text
        ticket = page.partition('name="ticket" value="')[2].partition('"')[0]
        site.browser.post("/oauth/applications", data={"ticket": ticket})
        assert memory.get_consent("ada", "web") is None
        assert subscriber.next() == "consent-of-ada"

    def test_another_prefix_is_not_heard(self, open_redis: OpenRedis) -> None:
        store, other, subscriber = open_redis(), open_redis(prefix="other:"), Subscriber()
        store.subscribe(subscriber.on_revoked)
        assert subscriber.next() is None
        other.publish("theirs")
        store.publish("ours")
        assert subscriber.next() == "ours"

    def test_each_who_listens_hears(self, open_redis: OpenRedis) -> None:
        store, first, second = open_redis(), Subscriber(), Subscriber()
        store.subscribe(first.on_revoked)
        assert first.next() is None
        store.subscribe(second.on_revoked)
        assert second.next() is None
        store.publish("mark")
        assert [first.next(), second.next()] == ["mark", "mark"]

    def test_after_a_break_all_are_told_that_something_may_be_missing(
        self, open_redis: OpenRedis, mortal: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pubsub, "_PAUSE", 0.05)
        store, subscriber = open_redis(redis=mortal.url), Subscriber()
        store.subscribe(subscriber.on_revoked)
        assert subscriber.next() is None
        mortal.kill()
        store.publish("while nobody hears")
        mortal.start()
        assert subscriber.next() is None
        store.publish("later")
        assert subscriber.next() == "later"

    def test_a_server_that_falls_silent_is_noticed(
        self,
        open_redis: OpenRedis,
        mortal: RedisServer,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG, "flask_oauth2")
        monkeypatch.setattr(pubsub, "_PAUSE", 0.05)
        monkeypatch.setattr(pubsub, "_SILENCE", 0.1)
        store, subscriber = open_redis(redis=mortal.url), Subscriber()
        store.subscribe(subscriber.on_revoked)
        assert subscriber.next() is None
        mortal.send(signal.SIGSTOP)
        try:
            await_log(caplog, "revocations of other processes are not received for now: TimeoutError")
        finally:
            mortal.send(signal.SIGCONT)
        assert subscriber.next() is None
        store.publish("later")
        assert "later" in (subscriber.next() for _ in range(100))

    def test_one_who_fails_is_logged_and_the_others_go_on(
        self, open_redis: OpenRedis, caplog: pytest.LogCaptureFixture
    ) -> None:
        store, first, subscriber = open_redis(), Subscriber(), Subscriber()
        store.subscribe(first.on_revoked)
        assert first.next() is None

        def fail(mark: str | None) -> None:
            if mark == "bad":
                raise ValueError("of the test's own")

        store.subscribe(fail)
        store.subscribe(subscriber.on_revoked)
        store.publish("bad")
        store.publish("good")
        while subscriber.next() != "good":
            pass
        assert caplog.text.count("a subscriber failed") == 1

    def test_a_deleted_subscriber_is_not_called(self, open_redis: OpenRedis) -> None:
        received: list[str | None] = []

        class Cache:
            def on_revoked(self, revoked_id: str | None) -> None:
                received.append(revoked_id)

        store, cache, subscriber = open_redis(), Cache(), Subscriber()
        store.subscribe(subscriber.on_revoked)
        assert subscriber.next() is None  # messages before the subscription are lost
        store.subscribe(cache.on_revoked)
        for revoked_id in ("first", "second"):
            store.publish(revoked_id)
            assert subscriber.next() == revoked_id
        assert received[:2] == [None, "first"]
        del cache
        gc.collect()
        for revoked_id in ("third", "fourth"):
            store.publish(revoked_id)
            assert subscriber.next() == revoked_id
        assert "third" not in received


def await_log(caplog: pytest.LogCaptureFixture, text: str) -> None:
    deadline = monotonic() + PATIENCE
    while text not in caplog.text:
        assert monotonic() < deadline, caplog.text


FORKING = """
import os, queue, sys
from flask_oauth2 import MemoryStore
from flask_oauth2.stores.redis import RedisStore

store, subscriber = RedisStore(MemoryStore(), sys.argv[1]), queue.Queue()
store.subscribe(subscriber.put)
assert subscriber.get(timeout=300) is None
assert store.count(b"a", 10**10) == 1  # a connection that both must not use
child = os.fork()
if child == 0:
    store.subscribe(subscriber.put)
    assert subscriber.get(timeout=300) is None, "the child has a thread of its own"
    for _ in range(100):
        store.count(b"a", 10**10)
    store.publish("of the child")
    assert subscriber.get(timeout=300) == "of the child"
    os._exit(0)
for _ in range(100):
    store.count(b"a", 10**10)
assert subscriber.get(timeout=300) == "of the child"
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert store.count(b"a", 10**10, 0) == 201
store.close()
"""


def test_a_forked_process_has_connections_and_a_thread_of_its_own(redis_url: str) -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING, redis_url]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment)
    assert done.returncode == 0, done.stderr


class Faulty(MemoryStore):
    """It files what it is given, and fails afterwards."""

    def issue(self, *arguments: Any) -> bool:
        super().issue(*arguments)
        raise LookupError


@pytest.mark.spec("rfc6749", "4.1.2")
def test_a_code_whose_tokens_were_filed_after_all_stays_spent(open_redis: OpenRedis) -> None:
    store = open_redis(Faulty())
    grant = new_grant()
    store.issue(None, [grant], NOW)
    with pytest.raises(LookupError):
        store.issue(grant, [new_token()], NOW)
    found = store.get_grant(grant.key, grant.kind)
    assert found is not None
    assert found.used_at == NOW
    assert store.issue(grant, [new_grant()], NOW) is False


def test_a_client_that_was_given_stays_open(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    store = RedisStore(MemoryStore(), client)
    save_record(store, new_grant())
    held = client.connection_pool.get_connection()
    store.close()
    held.send_command("PING")
    assert held.read_response() in (b"PONG", True)
    client.connection_pool.release(held)
    client.close()


@pytest.mark.spec("rfc7591", "3")
def test_an_initial_access_token_is_not_lost_with_redis(
    open_redis: OpenRedis, redis_client: redis.Redis, sqlite_url: str
) -> None:
    behind = SQLAlchemyStore.open(sqlite_url)
    store = open_redis(behind)
    one, other = save_record(store, new_grant(kind=GRANT_KIND)), save_record(store, new_grant(kind=GRANT_KIND))
    assert GRANT_KIND in LASTING
    redis_client.flushall()
    assert store.get_grant(one.key, GRANT_KIND) == one
    assert store.get_grant(one.key, "code") is None
    assert store.issue(one, [], NOW)
    assert not store.issue(one, [], NOW), "it is spent once"
    assert store.get_grant(one.key, GRANT_KIND) == spent(one)
    assert behind.get_grant(other.key, GRANT_KIND) == other
    with pytest.raises(sqlite3.IntegrityError):
        store.issue(None, [other, new_grant()], NOW)
    behind.engine.dispose()


def test_a_lasting_grant_that_was_filed_after_all(open_redis: OpenRedis) -> None:
    store = open_redis(Faulty())
    code, lasting = new_grant(), new_grant(kind=GRANT_KIND)
    with pytest.raises(LookupError):
        store.issue(None, [code, lasting], NOW)
    assert store.get_grant(code.key, "code") == code
    assert store.get_grant(lasting.key, GRANT_KIND) == lasting
