"""The driver's cursors, from the pool of an engine: one kind to read in autocommit, one to write in a transaction."""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Callable
from functools import partial
from threading import Lock
from types import TracebackType
from typing import Any

from sqlalchemy import Engine, exc
from sqlalchemy.pool import Pool, PoolProxiedConnection, SingletonThreadPool, StaticPool

from ...errors import TemporarilyUnavailable

_RETRY_AFTER = 1
_IN_MEMORY = StaticPool, SingletonThreadPool


class Pooled:
    """The connections of an engine's pool."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def take(self) -> PoolProxiedConnection:
        """A connection that nobody else has."""
        return self.engine.raw_connection()

    def give_back(self, connection: PoolProxiedConnection) -> None:
        """Let others have it."""
        connection.close()

    def drop(self, connection: PoolProxiedConnection) -> None:
        """Let nobody have it, nor those that were opened with it: they went the same way."""
        connection.invalidate()
        self.engine.dispose()


class Shared(Pooled):
    """A database in memory has one connection, on which the application's own transaction may be open.

    So it is never given back to the pool, which would roll that back.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._lock = Lock()
        self._pool: Pool | None = None
        self._one: Any = None

    def take(self) -> PoolProxiedConnection:
        """The connection, once our other threads are done with it."""
        self._lock.acquire()
        try:
            if self._pool is not self.engine.pool:  # the first time, or the engine was disposed of
                self._one = super().take()
                self._pool = self.engine.pool
        except BaseException:
            self._lock.release()
            raise
        connection: PoolProxiedConnection = self._one
        return connection

    def give_back(self, connection: PoolProxiedConnection) -> None:
        """Let another thread of ours have it."""
        self._lock.release()

    def drop(self, connection: PoolProxiedConnection) -> None:
        """Whoever closed it took the database with it, and may make another."""
        self._pool = None
        self._lock.release()


class Reading:
    """A cursor outside any transaction: SQLite's driver opens none for a SELECT.

    Whatever happens, the connection goes back. A database that is away or locked raises
    :exc:`TemporarilyUnavailable`; any other error is passed on.
    """

    __slots__ = ("_connection", "_cursor", "_driver", "_source")
    _connection: PoolProxiedConnection
    _driver: Any
    _cursor: Any

    def __init__(self, source: Pooled) -> None:
        self._source = source

    def __enter__(self) -> Any:
        try:
            self._connection = self._source.take()
        except (self._source.engine.dialect.loaded_dbapi.Error, exc.TimeoutError) as error:
            raise _unavailable() from error
        self._driver = self._connection.dbapi_connection
        try:
            self._begin()
            self._cursor = self._driver.cursor()
        except BaseException as error:
            self._leave(error)
            raise
        return self._cursor

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failure = error
        try:
            self._cursor.close()
            self._end(error is None)
        except self._source.engine.dialect.loaded_dbapi.Error as late:
            failure = error or late  # that a rollback failed says less than what led to it
        self._leave(failure)
        if failure is not None and failure is not error:
            raise failure

    def _begin(self) -> None:
        """Nothing to begin."""

    def _end(self, well: bool) -> None:
        """Nothing to end."""

    def _leave(self, error: BaseException | None) -> None:
        """Give the connection back; after an error, only if it is still good."""
        engine = self._source.engine
        driver = engine.dialect.loaded_dbapi
        if isinstance(error, driver.Error) and engine.dialect.is_disconnect(error, self._driver, None):
            self._source.drop(self._connection)
        else:
            self._source.give_back(self._connection)
        if isinstance(error, driver.OperationalError | driver.InterfaceError) and not _is_mistake(error):
            raise _unavailable() from error


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

    __slots__ = ()

    def _begin(self) -> None:
        if not self._driver.in_transaction:  # a driver whose own autocommit is off always is in one
            self._driver.execute("BEGIN IMMEDIATE")


class SharedWriting(Writing):
    """SQLite in memory: a savepoint where the application's transaction is open."""

    __slots__ = ("_joined",)

    def _begin(self) -> None:
        self._joined = self._driver.in_transaction
        self._driver.execute("SAVEPOINT oauth2" if self._joined else "BEGIN IMMEDIATE")

    def _end(self, well: bool) -> None:
        if not self._joined:
            super()._end(well)
            return
        if not well:
            self._driver.execute("ROLLBACK TO oauth2")
        self._driver.execute("RELEASE oauth2")


class PostgreSQLReading(Reading):
    """Autocommit for the time of the reading, or each would cost a BEGIN and a ROLLBACK on the wire."""

    __slots__ = ("_before",)

    def _begin(self) -> None:
        self._before = self._driver.autocommit
        self._driver.autocommit = True

    def _end(self, well: bool) -> None:
        self._driver.autocommit = self._before


class PostgreSQLWriting(Writing):
    """A transaction, even where the application's engine is in autocommit."""

    __slots__ = ("_before",)

    def _begin(self) -> None:
        self._before = self._driver.autocommit
        self._driver.autocommit = False

    def _end(self, well: bool) -> None:
        super()._end(well)
        self._driver.autocommit = self._before


def cursors(engine: Engine) -> tuple[Callable[[], Reading], Callable[[], Writing]]:
    """How to read and how to write the database of an engine."""
    if engine.dialect.name == "postgresql":
        pooled = Pooled(engine)
        return partial(PostgreSQLReading, pooled), partial(PostgreSQLWriting, pooled)
    if isinstance(engine.pool, _IN_MEMORY):
        shared = Shared(engine)
        return partial(Reading, shared), partial(SharedWriting, shared)
    pooled = Pooled(engine)
    return partial(Reading, pooled), partial(SQLiteWriting, pooled)


def forget_in_children(engine: Engine) -> None:
    """Let a forked process open connections of its own: one connection serves one process."""
    reference = weakref.ref(engine)

    def forget() -> None:
        engine = reference()
        if engine is not None and not isinstance(engine.pool, _IN_MEMORY):
            _INHERITED.append(engine.pool)
            engine.dispose(close=False)

    os.register_at_fork(after_in_child=forget)


_INHERITED: list[Pool] = []
"""Pools of the parent process. A child keeps them, since to collect their connections would be to close them."""


def _is_mistake(error: BaseException) -> bool:
    """Whether SQLite's driver, which has one class for both, means a wrong statement or a missing table."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR


def _unavailable() -> TemporarilyUnavailable:
    return TemporarilyUnavailable("the database cannot be reached", retry_after=_RETRY_AFTER)
