"""Errors of a database that cannot be reached, is locked, full or read-only for now."""

from __future__ import annotations

import select
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Engine, exc

from ...errors import ConfigurationError, TemporarilyUnavailable
from .forks import replace_lost

T = TypeVar("T")

_RETRY_AFTER = 1


@contextmanager
def translate_errors(engine: Engine) -> Iterator[None]:
    """Raise errors of SQLAlchemy like those of the store's own statements."""
    try:
        yield
    except (exc.SQLAlchemyError, RuntimeError) as error:  # PyMySQL raises the latter if it lacks a package
        raise_unavailable(engine, getattr(error, "orig", None) or error)
        raise


def is_loss(engine: Engine, error: BaseException, connection: Any) -> bool:
    """Return whether an error of the driver means that the connection is gone."""
    dialect = engine.dialect
    if not isinstance(error, dialect.loaded_dbapi.Error):
        return False
    return dialect.is_disconnect(error, connection, None) or error_number(error) in _CLOSED


_CLOSED = {1053, 1927, 3169, 4031}
"""Numbers of MariaDB and MySQL for a connection that the server has closed: shutdown, killed, or idle for too long."""


def is_closed(driver: Any) -> bool:
    """Return whether the server has closed an idle connection.

    On an idle connection, a server sends only a notice that it ends, and the end of the stream.
    """
    try:
        descriptor = driver.fileno()
    except Exception:  # the driver has noticed it
        return True
    if poll is None:
        return bool(select.select([descriptor], [], [], 0)[0])
    watched = poll()
    watched.register(descriptor, select.POLLIN)
    return bool(watched.poll(0))


poll = getattr(select, "poll", None)
"""None on Windows, where :func:`select.select` has no limit."""


def retry_lost(engine: Engine, work: Callable[[], T]) -> T:
    """Do work that changes nothing with SQLAlchemy. If the connection was lost while idle, do it once more.

    Raises :exc:`TemporarilyUnavailable` like :func:`translate_errors`.
    """
    with translate_errors(engine):
        try:
            return work()
        except exc.DBAPIError as error:
            if not (error.connection_invalidated or is_loss(engine, error.orig or error, None)):
                raise
            replace_lost(engine)
        return work()


def raise_unavailable(engine: Engine, error: BaseException) -> None:
    """Raise :exc:`TemporarilyUnavailable` if this is the meaning of an error of the driver.

    Raises :exc:`ConfigurationError` if the server is MySQL and the URI names MariaDB, or if PyMySQL lacks a package.
    """
    if isinstance(error, exc.InvalidRequestError) and "not a MariaDB variant" in str(error):
        raise ConfigurationError(
            "the database server is MySQL: begin the URI with mysql+pymysql://, not mariadb"
        ) from error
    if isinstance(error, RuntimeError) and "'cryptography' package is required" in str(error):
        raise ConfigurationError(
            "the password method of the user of the database needs another package: install cryptography, which is in "
            "flask_oauth2[mysql]"
        ) from error
    driver = engine.dialect.loaded_dbapi
    is_away = isinstance(error, driver.OperationalError | driver.InterfaceError | exc.TimeoutError)
    is_read_only = getattr(error, "sqlstate", None) == "25006"  # PostgreSQL, while a standby takes over
    if (is_away and not _is_mistake(error)) or is_read_only:
        code = getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None) or error_number(error) or ""
        raise TemporarilyUnavailable(
            "the database cannot be reached",
            retry_after=_RETRY_AFTER,
            received=f"{type(error).__name__} {code}".strip(),
            hint=_find_fix(engine, str(code)),
        ) from error


def _find_fix(engine: Engine, code: str) -> str:
    """Return the fix, by the kind of database and by the name that SQLite gives the error."""
    if engine.dialect.name != "sqlite":
        return f"see that the {engine.dialect.name} server runs, lets the application in, and what its log says"
    file = engine.url.database
    for names, fix in _SQLITE_FIXES.items():
        if code.startswith(names):
            return fix.format(file=file)
    return f"see that no other process locks {file} for long"


_SQLITE_FIXES = {
    ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH"): (
        "let the user of the server process write {file} and the folder that it is in"
    ),
    ("SQLITE_FULL", "SQLITE_IOERR"): "see that the disk of {file} has space and works",
}


def _is_mistake(error: BaseException) -> bool:
    """Return whether an error means a wrong statement or a missing table.

    The drivers of SQLite and of MySQL have one class for these and for passing errors.
    """
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
        return True
    number = error_number(error)
    return 1000 <= number < 2000 and number not in _PASSING


_PASSING = {
    *(1020, 1205, 1213),  # other transactions have locked the rows
    *(1021, 1114),  # the disk or table is full
    *(1040, 1044, 1045, 1049, 1129, 1130, 1203, 1226, 1698),  # it accepts no connection
    *(1047, 1053, 1152, 1158, 1159, 1160, 1161, 1180, 1317, 1927, 1969),  # it shuts down or has aborted the statement
    *(1290, 1792, 1836),  # it is read-only while a replica takes over
}
"""Numbers of MariaDB and MySQL for errors that pass."""


def error_number(error: BaseException | None) -> int:
    """Return the number that MariaDB or MySQL gives an error; 0 for other errors."""
    number = error.args[0] if error and error.args else 0
    return number if isinstance(number, int) else 0
