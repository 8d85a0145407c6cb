"""The stores for every test of this folder, and their servers."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
import redis
from pytest_postgresql.executors import PostgreSQLExecutor
from pytest_postgresql.janitor import DatabaseJanitor
from servers import RedisServer, reserve_port
from sqlalchemy import MetaData, create_engine
from stores.mariadb_server import MariaDBServer, find_mariadbd
from stores.mysql_server import MySQLServer, require_mysqld
from stores.workers import open_by_url

from flask_oauth2 import MemoryStore
from flask_oauth2.clients.from_object import read_client
from flask_oauth2.stores.base import Store
from flask_oauth2.stores.callbacks import Callbacks, CallbackStore
from flask_oauth2.stores.redis import RedisStore
from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore, declare

OpenStore = Callable[[str], SQLAlchemyStore]


def find_pg_ctl() -> Path | None:
    """Return the newest ``pg_ctl``. Debian installs it outside the PATH, in a folder for each version."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[4]))
    return programs[-1] if programs else None


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQLExecutor]:
    """Yield a server for the session. It runs as ``postgres`` if the user is root."""
    pg_ctl = find_pg_ctl()
    if pg_ctl is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
            "no PostgreSQL server in /usr/lib/postgresql: apt-get install postgresql"
        )
    directory = Path(tempfile.mkdtemp(prefix="postgresql-"))
    if os.getuid() == 0:
        shutil.chown(directory, "postgres", "postgres")
        real, pg_ctl = pg_ctl, directory / "pg_ctl"
        pg_ctl.write_text(
            f'#!/bin/sh\ncd /\nexec setpriv --reuid=postgres --regid=postgres --init-groups {real} "$@"\n'
        )
        pg_ctl.chmod(0o755)
    server = PostgreSQLExecutor(
        executable=str(pg_ctl),
        host="127.0.0.1",
        port=reserve_port(),
        datadir=str(directory / "data"),
        unixsocketdir=str(directory),
        logfile=str(directory / "log"),
        startparams="-w",
        dbname="store",
    )
    try:
        with server:
            server.wait_for_postgres()
            yield server
    finally:
        shutil.rmtree(directory)


@contextmanager
def database(server: PostgreSQLExecutor, name: str) -> Iterator[str]:
    """Create an empty database and yield its URL."""
    with DatabaseJanitor(user=server.user, host=server.host, port=server.port, dbname=name):
        yield f"postgresql+psycopg://{server.user}@{server.host}:{server.port}/{name}"


@pytest.fixture(scope="session")
def postgresql_database(postgresql_server: PostgreSQLExecutor) -> Iterator[str]:
    """Yield the URL of a database for tests that open their own stores."""
    with database(postgresql_server, "opened") as url:
        yield url


@pytest.fixture
def postgresql_url(postgresql_database: str) -> str:
    """Return the URL of that database after connections and tables are removed. This is faster than a new database."""
    with psycopg.connect(postgresql_database.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.execute("DROP SCHEMA IF EXISTS auth CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return postgresql_database


@pytest.fixture(scope="session")
def postgresql_store(postgresql_server: PostgreSQLExecutor) -> Iterator[SQLAlchemyStore]:
    """Yield a store that is emptied after each test."""
    with database(postgresql_server, "contract") as url:
        store = SQLAlchemyStore.open(url)
        yield store
        store.engine.dispose()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Yield a Redis server that evicts nothing."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def redis_client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """Yield a client of the Redis server, which is empty."""
    with redis.Redis(port=redis_server.port, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture
def redis_url(redis_server: RedisServer, redis_client: redis.Redis) -> str:
    """Return the URL of the empty Redis server."""
    return redis_server.url


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDBServer]:
    """Yield a server for the session."""
    mariadbd = find_mariadbd()
    if mariadbd is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
            "no MariaDB server: apt-get install mariadb-server"
        )
    with MariaDBServer(mariadbd) as server:
        yield server


@pytest.fixture
def mariadb_url(mariadb_server: MariaDBServer) -> str:
    """Return the URL of an empty database without connections."""
    return _open(mariadb_server)


def _open(server: MariaDBServer) -> str:
    for (connection,) in server.run("SELECT id FROM information_schema.processlist WHERE db = 'opened'"):
        with suppress(pymysql.Error):  # the connection is already closed
            server.run(f"KILL {connection}")
    server.run("DROP DATABASE IF EXISTS opened", "CREATE DATABASE opened")
    return server.url("opened")


@pytest.fixture(scope="session")
def mariadb_store(mariadb_server: MariaDBServer) -> Iterator[SQLAlchemyStore]:
    """Yield a store that is emptied after each test."""
    mariadb_server.run("CREATE DATABASE contract")
    store = SQLAlchemyStore.open(mariadb_server.url("contract"))
    yield store
    store.engine.dispose()


@pytest.fixture(scope="session")
def mysql_server() -> Iterator[MySQLServer]:
    """Yield a server for the session."""
    with MySQLServer(require_mysqld()) as server:
        yield server


@pytest.fixture
def mysql_url(mysql_server: MySQLServer) -> str:
    """Return the URL of an empty database without connections."""
    return _open(mysql_server)


@pytest.fixture(scope="session")
def mysql_store(mysql_server: MySQLServer) -> Iterator[SQLAlchemyStore]:
    """Yield a store that is emptied after each test."""
    mysql_server.run("CREATE DATABASE contract")
    store = SQLAlchemyStore.open(mysql_server.url("contract"))
    yield store
    store.engine.dispose()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Return the URL of an SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'oauth2.sqlite'}"


@pytest.fixture(params=["sqlite", "postgresql", "mariadb", "mysql"])
def url(request: pytest.FixtureRequest) -> str:
    """Return the URL of a persistent store, which other processes can open."""
    location: str = request.getfixturevalue(f"{request.param}_url")
    return location


@pytest.fixture
def open_store(request: pytest.FixtureRequest) -> Iterator[OpenStore]:
    """Yield a function that opens stores from the URL of a database, or from those of Redis and a database."""
    with ExitStack() as stack:

        def open_store(url: str) -> Any:
            store = open_by_url(url)
            behind = getattr(store, "behind", store)
            stack.callback(behind.engine.dispose)
            if isinstance(store, RedisStore):
                stack.callback(store.close)
            return store

        yield open_store


def new_callbacks() -> Callbacks:
    """Return callbacks that save and load every code and token."""
    saved: set[str] = set()
    return Callbacks(
        grantgetter=lambda client_id, code: code in saved,
        grantsetter=lambda client_id, code, request: saved.add(code["code"]),
        tokengetter=lambda access_token=None, refresh_token=None: (access_token or refresh_token) in saved,
        tokensetter=lambda token, request: saved.update([token["access_token"], token.get("refresh_token", "")]),
    )


@pytest.fixture(
    params=[
        "memory",
        "callbacks",
        "sqlite",
        "sqlite-application",
        "postgresql",
        "mariadb",
        "mysql",
        "redis-memory",
        "redis-sqlite",
    ]
)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Yield every store.

    ``sqlite-application`` has its tables in the metadata of an application. ``callbacks`` wraps a store in callbacks.
    """
    if request.param == "memory":
        yield MemoryStore()
    elif request.param == "callbacks":
        memory = MemoryStore()
        yield CallbackStore(
            memory, new_callbacks(), read_client, lambda store, family, now: store.revoke(family, 10**12)
        )
    elif request.param == "redis-memory":
        store = RedisStore(MemoryStore(), request.getfixturevalue("redis_url"))
        yield store
        store.close()
    elif request.param == "redis-sqlite":
        urls = request.getfixturevalue("redis_url"), request.getfixturevalue("sqlite_url")
        yield request.getfixturevalue("open_store")(" ".join(urls))
    elif request.param == "sqlite":
        yield request.getfixturevalue("open_store")(request.getfixturevalue("sqlite_url"))
    elif request.param == "sqlite-application":
        engine, metadata = create_engine(request.getfixturevalue("sqlite_url")), MetaData()
        tables = declare(metadata)
        metadata.create_all(engine)
        yield SQLAlchemyStore(engine, tables)
        engine.dispose()
    else:
        store = request.getfixturevalue(f"{request.param}_store")
        yield store
        with store.engine.begin() as connection:
            for table in store.tables:
                connection.execute(table.delete())
