"""PostgreSQL behind a transaction pooler: PgBouncer gives each transaction to a server process that is free."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from time import monotonic
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from pytest_postgresql.executors import PostgreSQLExecutor
from servers import require
from stores.workers import PATIENCE

from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore
from flask_oauth2.testing.samples import FAR, NOW, new_grant, new_token, save_record

CONFIGURATION = """
[databases]
opened = host=127.0.0.1 port={port} dbname=opened user={user}
[pgbouncer]
listen_addr =
unix_socket_dir = {folder}
auth_type = any
pool_mode = transaction
default_pool_size = 4
logfile = {folder}/pgbouncer.log
pidfile = {folder}/pgbouncer.pid
"""


@pytest.fixture
def pooled_url(postgresql_url: str, postgresql_server: PostgreSQLExecutor) -> Iterator[str]:
    """The same database through PgBouncer, which refuses to run as root. It listens on a socket file."""
    program = require(shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin"), "pgbouncer")
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))  # which the other user can read
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        CONFIGURATION.format(port=postgresql_server.port, user=postgresql_server.user, folder=folder)
    )
    as_user: list[str] = []
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
    process = subprocess.Popen([*as_user, program, "-q", str(configuration)], cwd=folder)
    try:
        deadline = monotonic() + PATIENCE
        while not (folder / ".s.PGSQL.6432").exists():
            assert process.poll() is None
            assert monotonic() < deadline
        yield f"postgresql+psycopg://{postgresql_server.user}@/opened?host={folder}&port=6432"
    finally:
        process.terminate()
        process.wait(PATIENCE)
        shutil.rmtree(folder)


def work(store: SQLAlchemyStore) -> None:
    """Send many kinds of statements from many connections, each often enough to be prepared."""
    token, together = save_record(store, new_token()), Barrier(8)

    def go_on(number: int) -> None:
        together.wait(PATIENCE)
        for one in range(40):
            own = save_record(store, new_token())
            assert store.get_access(own.access.token_hash) == own.access
            assert store.get_access(token.access.token_hash) == token.access
            grant = save_record(store, new_grant())
            assert store.issue(grant, [new_token()], NOW)
            store.revoke(f"mark {number} {one}", FAR)
            assert store.revoked(f"mark {number} {one}")
            assert store.count(f"key {number}".encode(), FAR) == one + 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(go_on, range(8)))


@pytest.mark.slow
def test_each_statement_reaches_a_process_that_knows_it(pooled_url: str) -> None:
    store = SQLAlchemyStore.open(pooled_url)
    work(store)
    store.engine.dispose()


@pytest.mark.slow
def test_the_pool_of_an_application(pooled_url: str) -> None:
    SQLAlchemyStore.open(pooled_url).engine.dispose()
    engine = sa.create_engine(pooled_url)
    sa.event.listen(engine, "checkin", lambda *_: None)
    work(SQLAlchemyStore(engine))
    engine.dispose()


@pytest.mark.slow
def test_psycopg_by_itself_fails_there(pooled_url: str) -> None:
    """This is what the tests above would see."""
    connections = [psycopg.connect(pooled_url.replace("+psycopg", ""), autocommit=True) for _ in range(2)]

    def ask() -> None:
        for _ in range(20):
            for connection in connections:
                connection.execute("SELECT %s::int", (1,))

    with pytest.raises(psycopg.Error):
        ask()
    for connection in connections:
        connection.close()


def test_without_a_pooler_statements_are_prepared(
    postgresql_url: str, open_store: Callable[[str], SQLAlchemyStore]
) -> None:
    store = open_store(postgresql_url)
    with store.engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        assert driver.prepare_threshold is not None


def test_what_the_operator_said_stands(postgresql_url: str) -> None:
    store = SQLAlchemyStore.open(postgresql_url, {"connect_args": {"prepare_threshold": None}})
    with store.engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        assert driver.prepare_threshold is None
    store.engine.dispose()
