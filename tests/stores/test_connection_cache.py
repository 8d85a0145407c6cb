"""The cache of connections, which are part of the pool of an engine."""

from __future__ import annotations

import gc
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event, Thread
from time import monotonic
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from servers import PATIENCE
from sqlalchemy import event
from sqlalchemy.pool import NullPool
from sqlalchemy.pool.base import reset_rollback
from stores.workers import AsChild

from flask_oauth2 import TemporarilyUnavailable
from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore
from flask_oauth2.stores.sqlalchemy.connection_cache import IDLE_SECONDS, UNLIMITED_POOL, ConnectionCache
from flask_oauth2.stores.sqlalchemy.database import Step
from flask_oauth2.testing.samples import FAR, new_key, new_token, save_record

OpenStore = Callable[..., SQLAlchemyStore]
Count = Callable[[], int]

THREADS = 100


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def uri(request: pytest.FixtureRequest, kind: str) -> str:
    return str(request.getfixturevalue(f"{kind}_url"))


@pytest.fixture
def store(uri: str, open_store: OpenStore) -> SQLAlchemyStore:
    return open_store(uri)


@pytest.fixture
def count(uri: str, kind: str) -> Iterator[Count]:
    """Count the connections of this process to the database, as the server or the operating system sees them."""
    if kind == "sqlite":
        # SQLite leaves the file itself open while another connection of the process has a lock on it
        path = f"{Path(sa.make_url(uri).database or '').resolve()}-wal"

        def count_files() -> int:
            found = 0
            for name in os.listdir("/proc/self/fd"):
                try:
                    found += os.readlink(f"/proc/self/fd/{name}") == path
                except FileNotFoundError:  # that of listdir itself
                    continue
            return found

        yield count_files
        return
    listed = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with psycopg.connect(uri.replace("+psycopg", ""), autocommit=True) as connection:

        def count_backends() -> int:
            row = connection.execute(listed).fetchone()
            return int(row[0]) if row else 0

        yield count_backends


def cache(store: SQLAlchemyStore) -> ConnectionCache:
    return store._database.connections.cache


def idle(store: SQLAlchemyStore) -> list[Any]:
    """The connections of the driver that are idle in the cache."""
    return [connection.driver for connection in cache(store).own.idle]


def pool(store: SQLAlchemyStore) -> Any:
    return store.engine.pool


def wait_for(count: Count, most: int) -> None:
    """Wait until the server has ended the processes of closed connections. Nothing opens new ones."""
    deadline = monotonic() + PATIENCE
    while count() > most:
        assert monotonic() < deadline, f"more than {most} connections stay open"


def burst(store: SQLAlchemyStore, threads: int = THREADS, seen: Callable[[], None] = lambda: None) -> None:
    """Read and write in many threads at once."""
    together = Barrier(threads)

    def work(number: int) -> bool:
        together.wait(300)
        token = save_record(store, new_token())
        store.revoke(f"mark {number}", FAR)
        seen()
        return store.get_access(token.access.token_hash) == token.access and store.revoked(f"mark {number}")

    with ThreadPoolExecutor(threads) as workers:
        assert all(workers.map(work, range(threads)))


class TestUse:
    def test_a_connection_is_used_again(self, store: SQLAlchemyStore) -> None:
        token = save_record(store, new_token())
        (one,) = idle(store)
        for _ in range(5):
            assert store.get_access(token.access.token_hash) == token.access
        store.revoke("mark", FAR)
        assert idle(store) == [one]
        assert pool(store).checkedout() == 1

    def test_each_thread_has_its_own(self, store: SQLAlchemyStore) -> None:
        token, together = save_record(store, new_token()), Barrier(4)

        def read(_: int) -> bool:
            together.wait(300)
            return all(store.get_access(token.access.token_hash) == token.access for _ in range(50))

        with ThreadPoolExecutor(4) as workers:
            assert all(workers.map(read, range(4)))
        assert 1 <= len(idle(store)) == pool(store).checkedout() <= 4

    def test_an_error_rolls_back_and_the_connection_stays_usable(self, store: SQLAlchemyStore) -> None:
        token, other = save_record(store, new_token()), new_token()
        with pytest.raises(store.engine.dialect.loaded_dbapi.IntegrityError):
            store.issue(None, [other, token], 0)
        assert len(idle(store)) == pool(store).checkedout() == 1
        assert store.get_access(other.access.token_hash) is None
        assert store.get_access(token.access.token_hash) == token.access

    def test_an_interrupt_in_a_transaction_leaves_nothing_behind(self, store: SQLAlchemyStore) -> None:
        token = new_token()

        class Interrupted(dict[str, Any]):
            """Parameters that are interrupted when they are read."""

            def keys(self) -> Any:
                raise KeyboardInterrupt

            def __getitem__(self, name: str) -> Any:
                raise KeyboardInterrupt

        statements = store._sql
        with pytest.raises(KeyboardInterrupt):
            store._database.run(
                Step(statements.revoke, {"issuer_id": "", "revoked_id": "half", "expires_at": FAR}),
                Step(statements.revoke, Interrupted(issuer_id="", revoked_id="other", expires_at=FAR)),
            )
        assert not store.revoked("half")
        assert save_record(store, token)
        assert len(idle(store)) == pool(store).checkedout() == 1

    def test_a_closed_connection_is_replaced(self, store: SQLAlchemyStore) -> None:
        token = save_record(store, new_token())
        idle(store)[0].close()
        assert store.get_access(token.access.token_hash) == token.access

    def test_a_pool_that_cannot_connect_is_unavailable(self, sqlite_url: str, open_store: OpenStore) -> None:
        store = open_store(sqlite_url)
        store.engine.dispose()
        event.listen(store.engine, "do_connect", _refuse)
        with pytest.raises(TemporarilyUnavailable):
            store.get_access(new_key())
        assert pool(store).checkedout() == 0
        event.remove(store.engine, "do_connect", _refuse)
        assert store.get_access(new_key()) is None


def _refuse(*_: Any) -> None:
    raise sqlite3.OperationalError("unable to open database file")


class TestLimit:
    """The pool counts all connections, so ``pool_size`` and ``max_overflow`` hold for the process."""

    def test_a_burst_of_threads(self, store: SQLAlchemyStore, count: Count) -> None:
        counts: list[int] = []
        burst(store, seen=lambda: counts.append(pool(store).checkedout()))
        assert max(counts) <= 15
        assert pool(store).checkedout() == len(idle(store)) <= 5
        assert pool(store).checkedin() <= 5  # those that returned while threads were waiting
        wait_for(count, len(idle(store)) + pool(store).checkedin())
        assert 1 <= len(idle(store)) <= count()

    def test_the_database_sees_no_more_during_a_burst(self, uri: str, open_store: OpenStore, count: Count) -> None:
        open_store(uri).engine.dispose()
        engine = sa.create_engine(uri, pool_size=2, max_overflow=1)
        opened: list[int] = []
        event.listen(engine, "connect", lambda *_: opened.append(count()))
        store = SQLAlchemyStore(engine)
        burst(store, 20)
        assert max(opened) <= 3
        wait_for(count, 3)
        engine.dispose()
        wait_for(count, 0)

    @pytest.mark.parametrize(
        ("options", "limit"),
        [
            ({}, 5),
            ({"pool_size": 7}, 7),
            ({"pool_size": 2, "max_overflow": -1}, 2),
            ({"pool_size": 0}, UNLIMITED_POOL),
            ({"pool_pre_ping": True}, 0),
            ({"pool_recycle": 60}, 0),
            ({"poolclass": NullPool}, 0),
        ],
    )
    def test_the_options_of_the_engine(self, uri: str, options: dict[str, Any], limit: int) -> None:
        store = SQLAlchemyStore(sa.create_engine(uri, **options))
        assert cache(store).limit == limit

    @pytest.mark.parametrize("options", [{"pool_size": 0}, {"pool_size": 2, "max_overflow": -1}])
    def test_an_unlimited_pool(self, uri: str, open_store: OpenStore, count: Count, options: dict[str, Any]) -> None:
        open_store(uri).engine.dispose()
        engine = sa.create_engine(uri, **options)
        store = SQLAlchemyStore(engine)
        burst(store, 40)
        limit = options["pool_size"] or UNLIMITED_POOL
        assert pool(store).checkedout() == len(idle(store)) <= limit
        wait_for(count, len(idle(store)) + pool(store).checkedin())
        engine.dispose()

    @pytest.mark.parametrize(("size", "overflow"), [(1, 0), (2, 0), (1, 1), (3, 2)])
    def test_the_application_gets_every_connection_of_the_pool(
        self, uri: str, open_store: OpenStore, size: int, overflow: int
    ) -> None:
        open_store(uri).engine.dispose()
        engine = sa.create_engine(uri, pool_size=size, max_overflow=overflow, pool_timeout=0.1)
        store = SQLAlchemyStore(engine)
        burst(store, 8) if size + overflow > 1 else save_record(store, new_token())
        for _ in range(2):
            save_record(store, new_token())
            taken = [engine.connect() for _ in range(size + overflow)]
            assert idle(store) == []
            assert pool(store).checkedout() == size + overflow
            with pytest.raises(TemporarilyUnavailable):
                store.get_access(new_key())
            for connection in taken:
                assert connection.scalar(sa.text("SELECT 1")) == 1
                connection.close()
            assert store.get_access(new_key()) is None
        engine.dispose()

    def test_the_application_gets_a_connection_as_the_driver_made_it(
        self, uri: str, kind: str, open_store: OpenStore
    ) -> None:
        open_store(uri).engine.dispose()
        engine = sa.create_engine(uri, pool_size=2, max_overflow=0)
        store = SQLAlchemyStore(engine)

        def states() -> set[Any]:
            connections = [engine.raw_connection() for _ in range(2)]
            found = {_state(connection.dbapi_connection, kind) for connection in connections}
            for connection in connections:
                connection.close()
            return found

        before = states()
        assert len(before) == 1
        save_record(store, new_token())
        assert len(idle(store)) == 1
        assert states() == before
        engine.dispose()


def _state(driver: Any, kind: str) -> Any:
    if kind == "postgresql":
        return driver.autocommit
    return driver.isolation_level, driver.execute("PRAGMA busy_timeout").fetchone()


class TestIdle:
    """A later use closes connections that no statement has used for a minute."""

    def test_unused_connections_are_closed(self, store: SQLAlchemyStore, count: Count) -> None:
        burst(store, 8)
        fill(store, 4)
        own = cache(store).own
        for connection in own.idle[:-1]:
            connection.used_at -= IDLE_SECONDS + 1
        newest = own.idle[-1].driver
        own.check_at = 0
        assert not store.revoked("mark")
        assert idle(store) == [newest]
        wait_for(count, 1 + pool(store).checkedin())

    def test_used_connections_stay(self, store: SQLAlchemyStore) -> None:
        fill(store, 4)
        own = cache(store).own
        before = idle(store)
        for connection in own.idle:
            connection.used_at -= IDLE_SECONDS - 30
        own.check_at = 0
        assert not store.revoked("mark")
        assert idle(store) == before

    def test_the_last_one_stays(self, store: SQLAlchemyStore) -> None:
        save_record(store, new_token())
        own = cache(store).own
        (before,) = idle(store)
        own.idle[0].used_at -= 10 * IDLE_SECONDS
        own.check_at = 0
        assert not store.revoked("mark")
        assert idle(store) == [before]

    def test_the_time_is_looked_at_now_and_then(self, store: SQLAlchemyStore) -> None:
        fill(store, 2)
        own = cache(store).own
        for connection in own.idle:
            connection.used_at -= IDLE_SECONDS + 1
        store.revoke("mark", FAR)
        assert len(idle(store)) == 2


def fill(store: SQLAlchemyStore, number: int) -> None:
    """Have a number of connections idle in the cache."""
    store._database.connections.close_idle()
    own = cache(store).own
    connections = [store._database.connections.open(own) for _ in range(number)]
    own.check_at = connections[0].used_at = 0
    for connection in connections:
        connection.used_at = 1e12
        own.idle.append(connection)
    assert not store.revoked("mark")
    for connection in own.idle:
        connection.used_at = own.check_at - IDLE_SECONDS / 4
    assert len(own.idle) == number


class TestLoss:
    """A lost connection closes the idle ones, and nothing of the application."""

    def test_the_engine_of_the_application_is_not_disposed_of(self, uri: str, open_store: OpenStore) -> None:
        open_store(uri).engine.dispose()
        engine = sa.create_engine(uri)
        store, disposed = SQLAlchemyStore(engine), []
        event.listen(engine, "engine_disposed", disposed.append)
        pool_before = engine.pool
        save_record(store, new_token())
        spare = engine.connect()
        in_use = engine.connect()
        with in_use.begin():
            in_use.execute(sa.text("CREATE TABLE note (text TEXT)"))
        spare_driver: Any = spare.connection.dbapi_connection
        spare.close()
        idle(store)[0].close()
        with in_use.begin():
            in_use.execute(sa.text("INSERT INTO note VALUES ('kept')"))
            assert not store.revoked("mark"), "the connection was lost"
        with in_use.begin():
            assert in_use.scalar(sa.text("SELECT text FROM note")) == "kept"
        driver: Any = in_use.connection.dbapi_connection
        in_use.close()
        assert disposed == []
        assert engine.pool is pool_before
        fresh = [engine.connect() for _ in range(3)]
        drivers = {id(connection.connection.dbapi_connection) for connection in fresh}
        assert drivers.isdisjoint({id(driver), id(spare_driver)}), "what was opened before the loss is replaced"
        for connection in fresh:
            connection.close()
        engine.dispose()

    def test_one_loss_replaces_once(self, store: SQLAlchemyStore) -> None:
        fill(store, 3)
        lost = cache(store).own.idle[:]
        for connection in lost:
            connection.driver.close()
        connections = store._database.connections
        first, *others = lost
        cache(store).own.idle.clear()
        connections.drop_lost(first)
        assert not store.revoked("mark")
        (fresh,) = idle(store)
        for connection in others:
            connections.drop_lost(connection)
        assert idle(store) == [fresh]
        assert not store.revoked("mark")

    def test_a_reconnection_during_another_loss(self, store: SQLAlchemyStore) -> None:
        """The pool opens a connection while a second loss is found: the checkout must not fail."""
        save_record(store, new_token())
        connections = store._database.connections
        store.engine.raw_connection().close()
        event.listen(store.engine, "connect", lambda *_: lose())

        def lose() -> None:
            from flask_oauth2.stores.sqlalchemy.forks import replace_lost

            replace_lost(store.engine)

        lose()
        with store.engine.connect() as connection:
            assert connection.scalar(sa.text("SELECT 1")) == 1
        assert not store.revoked("mark")
        connections.close_idle()


class TestDispose:
    def test_under_load(self, store: SQLAlchemyStore) -> None:
        token, ended = save_record(store, new_token()), Event()

        def dispose() -> None:
            while not ended.is_set():
                store.engine.dispose()

        disposing = Thread(target=dispose)
        disposing.start()
        try:
            with ThreadPoolExecutor(4) as workers:
                found = workers.map(lambda _: store.get_access(token.access.token_hash), range(400))
                assert all(access == token.access for access in found)
        finally:
            ended.set()
            disposing.join()
        store.engine.dispose()
        assert idle(store) == []

    def test_all_connections_are_closed(self, store: SQLAlchemyStore, count: Count) -> None:
        burst(store, 8)
        store.engine.dispose()
        wait_for(count, 0)
        assert not store.revoked("mark")
        assert count() == 1

    def test_in_a_child_the_connections_of_its_parent_stay_open(
        self, store: SQLAlchemyStore, as_child: AsChild
    ) -> None:
        token = save_record(store, new_token())
        (of_parent,) = idle(store)
        with as_child():
            store.engine.dispose()
            assert idle(store) == []
            assert store.get_access(token.access.token_hash) == token.access
            (of_child,) = idle(store)
            assert of_child is not of_parent
            store.engine.dispose()
        assert idle(store) == [of_parent]
        assert store.get_access(token.access.token_hash) == token.access
        assert idle(store) == [of_parent]

    def test_in_a_child_nothing_of_the_parent_is_used(self, store: SQLAlchemyStore) -> None:
        token = save_record(store, new_token())
        (of_parent,) = idle(store)
        child = os.fork()
        if child == 0:
            well = idle(store) == [] and store.get_access(token.access.token_hash) == token.access
            os._exit(0 if well and of_parent not in idle(store) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        gc.collect()
        assert store.get_access(token.access.token_hash) == token.access
        assert idle(store) == [of_parent]


class TestPools:
    @pytest.mark.parametrize("options", [{"poolclass": NullPool}, {"pool_pre_ping": True}, {"pool_recycle": 60}])
    def test_another_kind_of_pool_sees_each_use(self, uri: str, open_store: OpenStore, options: dict[str, Any]) -> None:
        open_store(uri)
        engine = sa.create_engine(uri, **options)
        store, seen = SQLAlchemyStore(engine), []
        event.listen(engine, "checkin", lambda *_: seen.append(1))
        token = save_record(store, new_token())
        assert store.get_access(token.access.token_hash) == token.access
        store.revoke(token.authorization.id, FAR)
        assert store.get_access(token.access.token_hash) is None
        assert len(seen) == 4
        assert idle(store) == []
        engine.dispose()

    @pytest.mark.parametrize("name", ["checkout", "checkin", "reset"])
    def test_listeners_of_the_application_see_each_use(self, store: SQLAlchemyStore, name: str) -> None:
        """Such as those that set the search path or the role of a tenant."""
        store.engine.dispose()
        seen: list[int] = []
        event.listen(store.engine, name, lambda *_: seen.append(1))
        token = save_record(store, new_token())
        assert store.get_access(token.access.token_hash) == token.access
        store.revoke("mark", FAR)
        assert store.revoked("mark")
        assert store.count(b"key", FAR) == 1
        assert store.count(b"key", FAR) == 2
        assert len(seen) == 6
        assert idle(store) == []

    def test_psycopg2(self, postgresql_url: str, open_store: OpenStore) -> None:
        open_store(postgresql_url)
        engine = sa.create_engine(postgresql_url.replace("+psycopg", "+psycopg2"))
        store = SQLAlchemyStore(engine)
        token = save_record(store, new_token())
        assert store.get_access(token.access.token_hash) == token.access
        with pytest.raises(engine.dialect.loaded_dbapi.IntegrityError):
            store.issue(None, [new_token(), token], 0)
        store.revoke(token.authorization.id, FAR)
        assert store.get_access(token.access.token_hash) is None
        assert len(idle(store)) == 1
        engine.dispose()


class TestPrivateAttributes:
    """Attributes of SQLAlchemy that are not documented. Seen with SQLAlchemy 2.0.30 to 2.1.9.

    If one is missing, the store uses no cache, which is slower and right.
    """

    def test_pool(self) -> None:
        pool: Any = sa.create_engine("sqlite:///:memory:", poolclass=sa.QueuePool, pool_size=3, max_overflow=4).pool
        assert (pool._max_overflow, pool._pre_ping, pool._recycle) == (4, False, -1)
        pool = sa.create_engine("sqlite:///file", pool_size=0, pool_pre_ping=True, pool_recycle=60).pool
        assert (pool._max_overflow, pool._pre_ping, pool._recycle) == (-1, True, 60)

    def test_listeners(self) -> None:
        engine = sa.create_engine("sqlite:///file")
        dispatch: Any = engine.pool.dispatch
        assert [list(found) for found in (dispatch.checkin, dispatch.checkout, dispatch.reset)] == [[]] * 3

        def listener(*_: Any) -> None:
            """Do nothing."""

        for name in ("checkin", "checkout", "reset"):
            event.listen(engine, name, listener)
        assert [list(found) for found in (dispatch.checkin, dispatch.checkout, dispatch.reset)] == [[listener]] * 3

    def test_reset(self) -> None:
        assert sa.create_engine("sqlite:///file").pool._reset_on_return is reset_rollback
        plain: Any = sa.create_engine("sqlite:///file", pool_reset_on_return=None).pool
        assert plain._reset_on_return is not reset_rollback
