"""The driver's cursors, from the pool of an engine: one kind to read in autocommit, one to write in a transaction."""

from __future__ import annotations

import os
import weakref
from types import TracebackType
from typing import Any

from sqlalchemy import Engine, exc

from ...errors import TemporarilyUnavailable

_RETRY_AFTER = 1


class Reading:
    """A cursor outside any transaction."""

    __slots__ = ("_connection", "_driver", "_engine")
    _connection: Any
    _driver: Any

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __enter__(self) -> Any:
        try:
            self._connection = self._engine.raw_connection()
        except (exc.DBAPIError, exc.TimeoutError) as error:
            raise _unavailable() from error
        self._driver = self._connection.dbapi_connection
        self._begin()
        return self._driver.cursor()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._end(kind is None)
        except self._engine.dialect.loaded_dbapi.Error as failure:
            error = error or failure
        if error is not None and self._is_lost(error):
            self._connection.invalidate()
            raise _unavailable() from error
        self._connection.close()
        if error is not None:
            raise error

    def _begin(self) -> None:
        """Nothing: SQLite's driver opens no transaction for a SELECT."""

    def _end(self, well: bool) -> None:
        """Nothing to end."""

    def _is_lost(self, error: BaseException) -> bool:
        driver = self._engine.dialect.loaded_dbapi
        return isinstance(error, driver.OperationalError | driver.InterfaceError)


class Writing(Reading):
    """A cursor inside a transaction, which an exception rolls back."""

    __slots__ = ()

    def _end(self, well: bool) -> None:
        if well:
            self._driver.commit()
        else:
            self._driver.rollback()


class SQLiteWriting(Writing):
    """SQLite: the lock is taken first, so that nothing read before can be stale."""

    __slots__ = ("_joined",)

    def _begin(self) -> None:
        # a database in memory has one connection, on which the application's own transaction may be open
        self._joined = self._driver.in_transaction
        if not self._joined:
            self._driver.execute("BEGIN IMMEDIATE")

    def _end(self, well: bool) -> None:
        if not self._joined:
            super()._end(well)


class AutocommitReading(Reading):
    """PostgreSQL: autocommit for the time of the reading, or each would cost a BEGIN and a ROLLBACK on the wire."""

    __slots__ = ()

    def _begin(self) -> None:
        self._driver.autocommit = True

    def _end(self, well: bool) -> None:
        self._driver.autocommit = False


READING: dict[str, type[Reading]] = {"sqlite": Reading, "postgresql": AutocommitReading}
WRITING: dict[str, type[Writing]] = {"sqlite": SQLiteWriting, "postgresql": Writing}
"""By dialect."""


def forget_in_children(engine: Engine) -> None:
    """Let a forked process open connections of its own: one connection serves one process."""
    reference = weakref.ref(engine)

    def forget() -> None:
        engine = reference()
        if engine is not None:
            engine.dispose(close=False)

    os.register_at_fork(after_in_child=forget)


def _unavailable() -> TemporarilyUnavailable:
    return TemporarilyUnavailable("the database cannot be reached", retry_after=_RETRY_AFTER)
