"""PostgreSQL reads a few rows for each request, even if tables have grown since it planned the statements."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from stores.conftest import OpenStore

from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore
from flask_oauth2.testing.samples import (
    new_client,
    new_consent,
    new_grant,
    new_token,
    refreshed,
    save_record,
)

GROWN = 20_000

OTHERS = {
    "revocation": "SELECT '', md5(g::text), 1 FROM generate_series(1, %s) g",
    "user_revocation": "SELECT '', md5(g::text), '0', 1 FROM generate_series(1, %s) g",
}
"""Rows of others for the tables that each look-up of a token reads."""

POOLS: dict[str, dict[str, Any]] = {
    "psycopg": {},
    "psycopg-exhausted": {"pool_size": 1, "max_overflow": 0},
    "psycopg-tested": {"pool_pre_ping": True},
    "psycopg-unprepared": {"connect_args": {"prepare_threshold": None}},
    "psycopg2": {},
}


@pytest.mark.parametrize("pool", POOLS)
def test_a_plan_stays_right_when_tables_grow(postgresql_url: str, open_store: OpenStore, pool: str) -> None:
    open_store(postgresql_url).engine.dispose()
    driver, _, _ = pool.partition("-")
    engine = sa.create_engine(postgresql_url.replace("+psycopg", f"+{driver}"), **POOLS[pool])
    store = SQLAlchemyStore(engine)
    store.set_client(client := new_client())
    assert store.set_consent(consent := new_consent(), None)
    grant, token = save_record(store, new_grant()), save_record(store, new_token())

    def work() -> None:
        assert store.get_access(token.access.token_hash) == token.access
        assert store.get_refresh(token.refresh_token_hash) == token
        assert store.get_grant(grant.key, grant.kind) == grant
        assert store.get_client(client.client_id) == client
        assert store.get_consent(consent.user_id, consent.client_id) == consent
        assert list(store.list_consents(consent.user_id)) == [consent]
        assert not store.revoked("one", "two", "three", "four")
        assert not store.revoked("one", "two", user=("ada", token.authorization.id))
        assert refreshed(store, child := save_record(store, new_token()))
        assert refreshed(store, child, grace_period=10)

    with psycopg.connect(postgresql_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("ANALYZE")
        for _ in range(12):  # psycopg prepares a statement after 5 uses, and the server keeps its plan after 5 more
            work()
        for name, rows in OTHERS.items():
            connection.execute(f"INSERT INTO oauth2_{name} {rows}", [GROWN])  # type: ignore[arg-type]
        for _ in range(5):
            work()
        engine.dispose()
        assert read_rows(connection) < GROWN


def read_rows(connection: psycopg.Connection[Any]) -> int:
    """Return how many rows all statements have read, which a server process reports at its end."""
    others = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    while connection.execute(others).fetchall():
        pass
    rows = 0
    for counted in ("seq_tup_read) FROM pg_stat_user_tables", "idx_tup_read) FROM pg_stat_user_indexes"):
        ((number,),) = connection.execute(f"SELECT sum({counted}").fetchall()  # type: ignore[arg-type]
        rows += int(number)
    return rows


def test_the_application_gets_a_connection_with_its_own_planner(postgresql_url: str, open_store: OpenStore) -> None:
    open_store(postgresql_url).engine.dispose()
    engine = sa.create_engine(postgresql_url, pool_size=1, max_overflow=1)
    store = SQLAlchemyStore(engine)
    settings = sa.text("SELECT current_setting('enable_seqscan'), current_setting('jit')")
    with engine.connect() as connection:
        before = connection.execute(settings).one()
    assert store.get_client("none") is None
    tuned = store._database.connections.cache.own.idle[0].driver
    assert tuned.execute("SELECT current_setting('enable_seqscan')").fetchone() == ("off",)
    assert tuned.prepare_threshold == 5
    with engine.connect() as first, engine.connect() as second:
        for connection in (first, second):
            assert connection.execute(settings).one() == before
            driver: Any = connection.connection.dbapi_connection
            assert driver.prepare_threshold == 5
    engine.dispose()


def test_a_lost_connection_does_not_enter_the_cache(postgresql_url: str, open_store: OpenStore) -> None:
    open_store(postgresql_url).engine.dispose()
    engine = sa.create_engine(postgresql_url, pool_size=2, max_overflow=0)
    connections = SQLAlchemyStore(engine)._database.connections
    for is_lost in (False, True):
        with engine.connect() as other:
            connection = connections.open(connections.cache.own)  # the last one of the pool
            if is_lost:
                other.execute(
                    sa.text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": connection.driver.info.backend_pid}
                )
        connections.give_back(connection)
        assert [one.driver.closed for one in connections.cache.own.idle] == [False] * (not is_lost)
        connections.close_idle()
    engine.dispose()
