"""Connections that are kept beside the pool of an engine."""

from __future__ import annotations

import gc
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Thread
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import NullPool
from stores.workers import AsChild

from flask_oauth2 import TemporarilyUnavailable
from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore
from flask_oauth2.stores.sqlalchemy.connect import connect
from flask_oauth2.stores.sqlalchemy.database import Step
from flask_oauth2.stores.sqlalchemy.kept import Kept
from flask_oauth2.stores.sqlalchemy.postgresql import PostgreSQL
from flask_oauth2.stores.sqlalchemy.sqlite import SQLite
from flask_oauth2.testing.samples import FAR, filed, new_key, new_token

OpenStore = Callable[..., SQLAlchemyStore]


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, open_store: OpenStore) -> SQLAlchemyStore:
    return open_store(request.getfixturevalue(f"{request.param}_url"))


def test_a_pool_that_a_child_disposes_of_leaves_the_connections_of_its_parent_open(
    store: SQLAlchemyStore, as_child: AsChild
) -> None:
    token = filed(store, new_token())
    (of_parent,) = kept(store).held.idle
    with as_child():
        store.engine.dispose()
        assert kept(store).held.idle == []
        assert store.get_access(token.access.key) == token.access
        (of_child,) = kept(store).held.idle
        assert of_child is not of_parent
        store.engine.dispose()
    assert kept(store).held.idle == [of_parent]
    assert store.get_access(token.access.key) == token.access
    assert kept(store).held.idle == [of_parent]


def kept(store: SQLAlchemyStore) -> Kept:
    assert isinstance(store._database, Kept)
    return store._database


def test_one_is_used_again_and_none_of_the_pool_is_taken(store: SQLAlchemyStore) -> None:
    token = filed(store, new_token())
    (one,) = kept(store).held.idle
    for _ in range(5):
        assert store.get_access(token.access.key) == token.access
    store.revoke("mark", FAR)
    assert kept(store).held.idle == [one]
    assert store.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_each_thread_has_one_while_it_needs_it(store: SQLAlchemyStore) -> None:
    token, together = filed(store, new_token()), Barrier(4)

    def read(_: int) -> bool:
        together.wait(300)
        return all(store.get_access(token.access.key) == token.access for _ in range(50))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(4)))
    assert 1 <= len(kept(store).held.idle) == kept(store).held.made <= 4


def test_postgresql_keeps_no_more_than_its_pool_does(postgresql_url: str, open_store: OpenStore) -> None:
    open_store(postgresql_url)
    engine = sa.create_engine(postgresql_url, pool_size=2, max_overflow=1)
    store = SQLAlchemyStore(engine)
    together = Barrier(8)

    def write(number: int) -> bool:
        together.wait(300)
        for one in range(10):
            store.revoke(f"mark {number} {one}", FAR)
            filed(store, new_token())
        return store.revoked(f"mark {number} 9")

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(write, range(8)))
    assert len(kept(store).held.idle) == kept(store).held.made == 2
    engine.dispose()
    assert kept(store).held.made == 0


def test_whoever_is_disposed_of_under_load_answers_and_counts_right(store: SQLAlchemyStore) -> None:
    token, ended = filed(store, new_token()), Event()

    def dispose() -> None:
        while not ended.is_set():
            store.engine.dispose()

    disposing = Thread(target=dispose)
    disposing.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            found = pool.map(lambda _: store.get_access(token.access.key), range(400))
            assert all(access == token.access for access in found)
    finally:
        ended.set()
        disposing.join()
    store.engine.dispose()
    assert kept(store).held.made == len(kept(store).held.idle) == 0


def test_one_on_which_something_failed_is_closed_with_what_was_open(store: SQLAlchemyStore) -> None:
    token = filed(store, new_token())
    (before,) = kept(store).held.idle
    with pytest.raises(store.engine.dialect.loaded_dbapi.IntegrityError):
        store.issue(None, [new_token(), token], 0)
    assert kept(store).held.idle == []
    assert kept(store).held.made == 0
    assert store.get_access(token.access.key) == token.access
    assert kept(store).held.idle != [before]


def test_an_interrupt_in_a_transaction_leaves_nothing_behind(store: SQLAlchemyStore) -> None:
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
            Step(statements.revoke, {"revoked_id": "half", "expires_at": FAR, "issuer_id": ""}),
            Step(statements.revoke, Interrupted(revoked_id="other", expires_at=FAR, issuer_id="")),
        )
    assert not store.revoked("half")
    assert filed(store, token)
    assert kept(store).held.made == len(kept(store).held.idle) == 1


def test_a_connection_that_is_closed_by_somebody_is_replaced(store: SQLAlchemyStore) -> None:
    token = filed(store, new_token())
    kept(store).held.idle[0].close()
    assert store.get_access(token.access.key) == token.access


def test_in_a_child_nothing_of_the_parent_is_used(store: SQLAlchemyStore) -> None:
    token = filed(store, new_token())
    (of_parent,) = kept(store).held.idle
    child = os.fork()
    if child == 0:
        well = kept(store).held.idle == [] and store.get_access(token.access.key) == token.access
        os._exit(0 if well and of_parent not in kept(store).held.idle else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    gc.collect()
    assert store.get_access(token.access.key) == token.access
    assert kept(store).held.idle == [of_parent]


@pytest.mark.parametrize("options", [{"poolclass": NullPool}, {"pool_pre_ping": True}, {"pool_recycle": 60}])
@pytest.mark.parametrize(("kind", "uri"), [(SQLite, "sqlite_url"), (PostgreSQL, "postgresql_url")])
def test_a_pool_of_another_kind_is_asked_each_time(
    request: pytest.FixtureRequest, open_store: OpenStore, options: dict[str, Any], kind: type, uri: str
) -> None:
    url = request.getfixturevalue(uri)
    open_store(url)
    engine = sa.create_engine(url, **options)
    assert type(connect(engine)) is kind
    store = SQLAlchemyStore(engine)
    token = filed(store, new_token())
    assert store.get_access(token.access.key) == token.access
    store.revoke(token.authorization.id, FAR)
    assert store.get_access(token.access.key) is None
    engine.dispose()


@pytest.mark.parametrize("name", ["checkout", "checkin", "reset"])
def test_whoever_sees_to_each_use_of_a_connection_does(store: SQLAlchemyStore, name: str) -> None:
    """Such as by the search path or the role of a tenant."""
    store.engine.dispose()
    seen: list[int] = []
    event.listen(store.engine, name, lambda *_: seen.append(1))
    token = filed(store, new_token())
    assert store.get_access(token.access.key) == token.access
    store.revoke("mark", FAR)
    assert store.revoked("mark")
    assert store.count(b"key", FAR) == 1
    assert store.count(b"key", FAR) == 2
    assert len(seen) == 6
    assert kept(store).held.idle == []


def test_psycopg2_is_asked_by_the_pool(postgresql_url: str, open_store: OpenStore) -> None:
    open_store(postgresql_url)
    engine = sa.create_engine(postgresql_url.replace("+psycopg", "+psycopg2"))
    store = SQLAlchemyStore(engine)
    token = filed(store, new_token())
    assert store.get_access(token.access.key) == token.access
    store.revoke(token.authorization.id, FAR)
    assert store.get_access(token.access.key) is None
    engine.dispose()


def test_where_none_can_be_made_that_is_an_absence_and_counts_right(sqlite_url: str, open_store: OpenStore) -> None:
    store = open_store(sqlite_url)
    store.engine.dispose()
    event.listen(store.engine, "do_connect", _refuse)
    with pytest.raises(TemporarilyUnavailable):
        store.get_access(new_key())
    assert kept(store).held.made == 0
    event.remove(store.engine, "do_connect", _refuse)
    assert store.get_access(new_key()) is None


def _refuse(*_: Any) -> None:
    raise sqlite3.OperationalError("unable to open database file")
