"""From a URI to an engine of our own, tuned for it; and which engines will do."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, event, exc

from ...errors import ConfigurationError, TemporarilyUnavailable

DIALECTS = ("sqlite", "postgresql", "mariadb")
"""Those that the statements are written for."""

_EXTRAS = {"psycopg": "postgresql", "pymysql": "mariadb"}
"""What must be installed with flask_oauth2, by driver."""

_ONE_CONNECTION: dict[str, Any] = {"poolclass": sa.StaticPool, "connect_args": {"check_same_thread": False}}
"""For SQLite in memory, where each connection has a database of its own."""

_ONE_MESSAGE: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "pool_reset_on_return": None}
"""For MariaDB, where each reading would cost a ROLLBACK: nothing of ours leaves a transaction open."""


def check_dialect(name: str, driver: str) -> None:
    """Raise :exc:`ConfigurationError` for an engine that the statements are not written for."""
    if name == "mysql":
        raise ConfigurationError(
            "flask_oauth2 keeps its tables in SQLite, PostgreSQL or MariaDB, not in MySQL; where the server is MariaDB "
            "the URI must begin with mariadb+pymysql://"
        )
    if name not in DIALECTS:
        raise ConfigurationError(
            f"flask_oauth2 keeps its tables in SQLite, PostgreSQL or MariaDB, not in {name}; set OAUTH2_DATABASE_URI "
            "or pass a store= of your own"
        )
    if name == "mariadb" and driver != "pymysql":
        raise ConfigurationError(
            f"flask_oauth2 speaks to MariaDB by PyMySQL, not by {driver}: the URI must begin with mariadb+pymysql://"
        )


def create_engine(uri: str, option: str = "OAUTH2_DATABASE_URI") -> Engine:
    """The engine of a URI, which came from ``option``."""
    try:
        url = sa.make_url(uri)
        check_dialect(url.get_backend_name(), url.get_driver_name())
        engine = sa.create_engine(url, **_options(url))
    except (exc.ArgumentError, ValueError) as error:  # the latter for a port that is no number
        raise ConfigurationError(f"{option} is no database URI that SQLAlchemy knows: {error}") from error
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(str(error.name), "postgresql")
        raise ConfigurationError(
            f"{option} needs {error.name}: install flask_oauth2[{extra}], or the driver that it names"
        ) from error
    return engine


def _options(url: sa.URL) -> dict[str, Any]:
    if url.get_backend_name() == "mariadb":
        return _ONE_MESSAGE
    return _ONE_CONNECTION if is_in_memory(url) else {}


def is_in_memory(url: sa.URL) -> bool:
    """Whether it is SQLite in memory."""
    return url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")


def tune(engine: Engine) -> None:
    """Make the file of an SQLite database for its owner only, and set what holds for a connection."""
    if engine.dialect.name == "sqlite":
        if not is_in_memory(engine.url) and "uri" not in engine.url.query:
            os.close(os.open(str(engine.url.database), os.O_CREAT, 0o600))
        event.listen(engine, "connect", _tune_sqlite)
    elif engine.dialect.name == "mariadb":
        event.listen(engine, "connect", _tune_mariadb)


def _tune_sqlite(connection: sqlite3.Connection, _: object) -> None:
    # WAL is kept in the file; the others hold for a connection. Nothing acknowledged is lost when a process dies.
    connection.execute("PRAGMA busy_timeout = 10000")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    # at most 16 MiB of pages once read; a file that is mapped would kill the process when somebody overwrites it
    connection.execute("PRAGMA cache_size = -16384")


def _tune_mariadb(connection: Any, _: object) -> None:
    # where the server is not strict, it cuts off what is too long for a column; 50 seconds are too long for a client
    connection.query("SET sql_mode = CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES'), innodb_lock_wait_timeout = 10")


def verify_exactness(engine: Engine, tables: Sequence[str]) -> None:
    """Raise :exc:`ConfigurationError` where MariaDB takes two ids for the same that are not equal."""
    columns = sa.text(
        "SELECT DISTINCT table_name FROM information_schema.columns WHERE table_schema = DATABASE()"
        " AND table_name IN :tables AND collation_name <> 'utf8mb4_nopad_bin'"
    ).bindparams(sa.bindparam("tables", list(tables), expanding=True))
    with engine.connect() as connection:
        found = connection.scalars(columns).all()
        mode = str(connection.scalar(sa.text("SELECT @@sql_mode")))
    if found:
        raise ConfigurationError(
            f"the table {found[0]} compares text in another way than flask_oauth2: ALTER TABLE {found[0]} CONVERT TO "
            "CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
        )
    if "STRICT_" not in mode:
        raise ConfigurationError(
            "MariaDB cuts off what is too long for a column: add STRICT_TRANS_TABLES to the server's sql_mode"
        )


def create_tables(engine: Engine, metadata: sa.MetaData) -> None:
    """Create the tables of ``metadata`` that are missing, however many processes do so at once."""
    if engine.dialect.name not in DIALECTS or is_in_memory(engine.url):
        metadata.create_all(engine)
        return
    with alone(engine) as connection:
        metadata.create_all(connection)


_LOCKS = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT pg_advisory_xact_lock(674974)"}
"""By dialect: what lets one of several workers that start at once make the tables."""

_MARIADB_LOCK = "CONCAT('flask_oauth2 ', MD5(DATABASE()))"  # such names are of the whole server


@contextmanager
def alone(engine: Engine) -> Iterator[Connection]:
    """A connection, in a transaction where the dialect has one for tables, that no other worker has beside it."""
    with engine.begin() as connection:
        if engine.dialect.name != "mariadb":
            connection.execute(sa.text(_LOCKS[engine.dialect.name]))
            yield connection
            return
        if connection.scalar(sa.text(f"SELECT GET_LOCK({_MARIADB_LOCK}, 60)")) != 1:
            raise TemporarilyUnavailable("another worker makes the tables", retry_after=1, came="a lock that is held")
        try:
            yield connection
        finally:
            with suppress(exc.SQLAlchemyError):  # a lost connection has lost it too
                connection.execute(sa.text(f"SELECT RELEASE_LOCK({_MARIADB_LOCK})"))
