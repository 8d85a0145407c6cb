"""Engines: create one from a URI, tune it, and verify that the store works with it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, event, exc

from ...errors import ConfigurationError, TemporarilyUnavailable
from . import schema

DIALECTS = ("sqlite", "postgresql", "mariadb", "mysql")
"""The dialects of the statements. Each except SQLite is also the name of the extra with its driver."""

_ONE_CONNECTION: dict[str, Any] = {"poolclass": sa.StaticPool, "connect_args": {"check_same_thread": False}}
"""Options for SQLite in memory, where each connection would have its own database."""

_ONE_MESSAGE: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "pool_reset_on_return": None}
"""Options for MariaDB and MySQL. Without them, each read costs a ROLLBACK. The extension leaves no transaction open."""

_OLDEST_MYSQL = (8, 0, 17)
"""The oldest version with the collation of the tables."""

_DRIVERS = {
    "postgresql": ("psycopg", "psycopg2", "psycopg2cffi"),
    "mariadb": ("pymysql",),
    "mysql": ("pymysql",),
    "sqlite": ("pysqlite", "pysqlcipher"),
}
"""The drivers that work, by dialect, the best one first."""


_NAMES = {"mariadb": "MariaDB", "mysql": "MySQL"}


def check_dialect(name: str, driver: str) -> None:
    """Raise :exc:`ConfigurationError` for an engine that the statements are not written for."""
    if name not in DIALECTS:
        raise ConfigurationError(
            f"flask_oauth2 stores its tables in SQLite, PostgreSQL, MariaDB or MySQL, not in {name}: set "
            "OAUTH2_DATABASE_URI or pass a custom store="
        )
    if name in schema.COLLATIONS and driver not in _DRIVERS[name]:
        raise ConfigurationError(
            f"flask_oauth2 connects to {_NAMES[name]} with PyMySQL, not with {driver}: begin the URI with "
            f"{name}+pymysql:// and install flask_oauth2[{name}]"
        )
    if driver not in _DRIVERS[name]:
        best = "sqlite" if name == "sqlite" else f"{name}+{_DRIVERS[name][0]}"
        install = "" if name == "sqlite" else f" and install flask_oauth2[{name}]"
        raise ConfigurationError(
            f"flask_oauth2 does not work with the driver {driver}, which is asynchronous or has another parameter "
            f"style: begin the URI with {best}://{install}. Your application may use {driver} in an engine of its own"
        )


def check_engine(engine: Engine | None) -> None:
    """Raise :exc:`ConfigurationError` for an engine of the application that does not work, before it is used."""
    if engine is None:
        raise ConfigurationError(
            "OAuth2Provider(db=db) keeps its tables in the default database: set SQLALCHEMY_DATABASE_URI, or leave db= "
            "out and set OAUTH2_DATABASE_URI to the URI of one of SQLALCHEMY_BINDS"
        )
    check_dialect(engine.dialect.name, engine.dialect.driver)
    if "schema_translate_map" in engine.get_execution_options():
        raise ConfigurationError(
            "flask_oauth2 does not use the schema_translate_map of the engine: name the schema of its tables with "
            "SQLAlchemy(metadata=MetaData(schema=...)), or set OAUTH2_DATABASE_URI and leave db= out"
        )


def read_uri(uri: str, option: str = "OAUTH2_DATABASE_URI") -> sa.URL:
    """Return the URL of a database, with a driver that works if the URI names none.

    Raises :exc:`ConfigurationError` with the name of the option and the fix.
    """
    try:
        url = sa.make_url(uri)
        if url.drivername == "postgres":  # as platforms such as Heroku write it
            url = url.set(drivername="postgresql")
        if url.drivername in DIALECTS[1:]:
            drivers = [driver for driver in _DRIVERS[url.drivername] if find_spec(driver) is not None]
            url = url.set(drivername=f"{url.drivername}+{(drivers or _DRIVERS[url.drivername])[0]}")
        check_dialect(url.get_backend_name(), url.get_driver_name())
    except (exc.ArgumentError, ValueError) as error:  # the latter for a port that is no number
        raise ConfigurationError(f"{option} is no database URI that SQLAlchemy knows: {error}") from error
    except ModuleNotFoundError as error:
        raise _lacks(option, url, error) from error
    return url


def _lacks(option: str, url: sa.URL, error: ModuleNotFoundError) -> ConfigurationError:
    extra = url.drivername.partition("+")[0]
    return ConfigurationError(
        f"{option} needs {error.name}: install flask_oauth2[{extra}], or the driver that it names"
    )


def create_engine(
    uri: str, option: str = "OAUTH2_DATABASE_URI", options: Mapping[str, Any] = MappingProxyType({})
) -> Engine:
    """Create the engine of a URI, which ``option`` contains, with arguments of :func:`sqlalchemy.create_engine`."""
    url = read_uri(uri, option)
    arguments = {**_options(url), **options}
    try:
        return sa.create_engine(url, **arguments)
    except ModuleNotFoundError as error:
        raise _lacks(option, url, error) from error
    except (exc.ArgumentError, TypeError, ValueError) as error:
        raise ConfigurationError(f"create_engine() does not take OAUTH2_DATABASE_ENGINE_OPTIONS: {error}") from error


def _options(url: sa.URL) -> dict[str, Any]:
    if url.get_backend_name() in schema.COLLATIONS:
        return _ONE_MESSAGE
    return _ONE_CONNECTION if is_in_memory(url) else {}


def is_in_memory(url: sa.URL) -> bool:
    """Return whether a URL names SQLite in memory."""
    return url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")


def tune(engine: Engine) -> None:
    """Create the file of an SQLite database with mode 0600, and have each connection set its options."""
    if engine.dialect.name == "sqlite":
        if not is_in_memory(engine.url) and "uri" not in engine.url.query:
            os.close(os.open(str(engine.url.database), os.O_CREAT, 0o600))
        event.listen(engine, "connect", _tune_sqlite)
    elif engine.dialect.name in schema.COLLATIONS:
        event.listen(engine, "connect", _tune_mysql)


def tune_application(engine: Engine) -> None:
    """Let the application read its SQLite file while the store writes, and the other way round.

    WAL is a property of the file. If it is not possible, for example on a network drive, SQLite uses its journal.
    """
    if engine.dialect.name != "sqlite" or is_in_memory(engine.url):
        return
    with suppress(exc.SQLAlchemyError), engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")


def _tune_sqlite(connection: sqlite3.Connection, _: object) -> None:
    # WAL is a property of the file, the others of the connection. A process that dies loses no committed transaction.
    connection.execute("PRAGMA busy_timeout = 10000")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    # cache at most 16 MiB; with a mapped file, overwriting the file would kill the process
    connection.execute("PRAGMA cache_size = -16384")


def _tune_mysql(connection: Any, _: object) -> None:
    # without strict mode, the server truncates long values; clients do not wait for 50 seconds
    strict = "SET sql_mode = CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES')"
    try:
        connection.query(f"{strict}, innodb_lock_wait_timeout = 10")
    except connection.Error:  # a server with the protocol of MySQL that has no InnoDB
        connection.query(strict)


def verify_server(engine: Engine) -> None:
    """Raise :exc:`ConfigurationError` if the URI names another kind of server, or if MySQL is too old."""
    if engine.dialect.name != "mysql":  # SQLAlchemy refuses MySQL behind mariadb://; see raise_unavailable
        return
    with engine.connect():
        dialect: Any = engine.dialect
    version = dialect.server_version_info or ()
    if dialect.is_mariadb:
        raise ConfigurationError("the database server is MariaDB: begin the URI with mariadb+pymysql://, not mysql")
    if version < _OLDEST_MYSQL:
        oldest, found = (".".join(map(str, numbers)) for numbers in (_OLDEST_MYSQL, version))
        raise ConfigurationError(
            f"flask_oauth2 needs MySQL {oldest} or newer, and the server is MySQL {found}: upgrade the server"
        )


def verify_exactness(engine: Engine, tables: Sequence[str]) -> None:
    """Raise :exc:`ConfigurationError` if MariaDB or MySQL treats two different IDs as equal."""
    collation = schema.COLLATIONS[engine.dialect.name]
    columns = sa.text(
        "SELECT DISTINCT table_name FROM information_schema.columns WHERE table_schema = DATABASE()"
        " AND table_name IN :tables AND collation_name <> :collation"
    ).bindparams(sa.bindparam("tables", list(tables), expanding=True), collation=collation)
    with engine.connect() as connection:
        found = connection.scalars(columns).all()
        mode = str(connection.scalar(sa.text("SELECT @@sql_mode")))
    if found:
        raise ConfigurationError(
            f"the table {found[0]} compares text in another way than flask_oauth2: ALTER TABLE {found[0]} CONVERT TO "
            f"CHARACTER SET utf8mb4 COLLATE {collation}"
        )
    if "STRICT_" not in mode:
        raise ConfigurationError(
            f"{_NAMES[engine.dialect.name]} cuts off what is too long for a column: add STRICT_TRANS_TABLES to the "
            "server's sql_mode"
        )


def create_tables(engine: Engine, metadata: sa.MetaData) -> None:
    """Create the missing tables of ``metadata``. Several processes may do so at once."""
    if engine.dialect.name not in DIALECTS or is_in_memory(engine.url):
        metadata.create_all(engine)
        return
    with alone(engine) as connection:
        metadata.create_all(connection)


_LOCKS = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT pg_advisory_xact_lock(674974)"}
"""The statement that lets only one of several workers create the tables, by dialect."""

_MYSQL_LOCK = "CONCAT('flask_oauth2 ', LEFT(SHA2(DATABASE(), 256), 32))"
"""The name of the lock, at most 64 characters. All databases of the server share it. MySQL 9 has no MD5()."""


@contextmanager
def alone(engine: Engine) -> Iterator[Connection]:
    """Yield a connection that only one worker has at a time, in a transaction if the dialect has one for tables."""
    with engine.begin() as connection:
        if engine.dialect.name not in schema.COLLATIONS:
            connection.execute(sa.text(_LOCKS[engine.dialect.name]))
            yield connection
            return
        if connection.scalar(sa.text(f"SELECT GET_LOCK({_MYSQL_LOCK}, 60)")) != 1:
            raise TemporarilyUnavailable(
                "another worker is creating the tables", retry_after=1, received="a lock that is held"
            )
        try:
            yield connection
        finally:
            with suppress(exc.SQLAlchemyError):  # a lost connection has lost the lock too
                connection.execute(sa.text(f"SELECT RELEASE_LOCK({_MYSQL_LOCK})"))
