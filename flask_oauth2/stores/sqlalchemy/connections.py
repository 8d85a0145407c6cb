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


Take = Callable[[], PoolProxiedConnection]


class Shared:
    """A database in memory has one connection, on which the application's own transaction may be open.

    So it is never given back to the pool, which would roll that back; "close" lets our next thread have it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = Lock()
        self._pool: Pool | None = None
        self._connection: Any = None
        self.close = self._lock.release

    def take(self) -> Any:
        """The connection, once our other threads are done with it."""
        self._lock.acquire()
        try:
            if self._pool is not self._engine.pool:  # the first time, or the engine was disposed of
                self._connection = self._engine.raw_connection()
                self._pool = self._engine.pool
        except BaseException:
            self._lock.release()
            raise
        return self

    @property
    def dbapi_connection(self) -> Any:
        """The driver's connection."""
        return self._connection.dbapi_connection

    def invalidate(self) -> None:
        """Whoever closed it took the database with it, and may make another."""
        self._pool = None
        self._lock.release()


class Reading:
    """A cursor outside any transaction: SQLite's driver opens none for a SELECT.

    Whatever happens, the connection goes back. A database that is away or locked raises
    :exc:`TemporarilyUnavailable`; any other error is passed on.
    """

    __slots__ = ("_connection", "_cursor", "_driver", "_engine", "_take")
    _connection: PoolProxiedConnection
    _driver: Any
    _cursor: Any

    def __init__(self, engine: Engine, take: Take) -> None:
        self._engine = engine
        self._take = take

    def __enter__(self) -> Any:
        try:
            self._connection = self._take()
        except (self._engine.dialect.loaded_dbapi.Error, exc.TimeoutError) as error:
            raise _unavailable() from error
        self._driver = self._connection.dbapi_connection
        try:
            self._begin()
            self._cursor = self._driver.cursor()
        except BaseException as error:
            self._give_up(error)
            raise
        return self._cursor

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failure = error
        try:
            self._cursor.close()
            self._end(error is None)
        except self._engine.dialect.loaded_dbapi.Error as late:
            failure = error or late  # that a rollback failed says less than what led to it
        if failure is None:
            self._connection.close()
            return
        self._give_up(failure)
        if failure is not error:
            raise failure

    def _begin(self) -> None:
        """Nothing to begin."""

    def _end(self, well: bool) -> None:
        """Nothing to end."""

    def _give_up(self, error: BaseException) -> None:
        """Give the connection back if it is still good, and raise what the database's absence is called here."""
        dialect = self._engine.dialect
        driver = dialect.loaded_dbapi
        if isinstance(error, driver.Error) and dialect.is_disconnect(error, self._driver, None):
            self._connection.invalidate()
            self._engine.dispose()  # the others in the pool went the same way
        else:
            self._connection.close()
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
        try:
            super()._end(well)
        finally:
            self._driver.autocommit = self._before


def cursors(engine: Engine) -> tuple[Callable[[], Reading], Callable[[], Writing]]:
    """How to read and how to write the database of an engine."""
    reading: type[Reading]
    writing: type[Writing]
    if engine.dialect.name == "postgresql":
        reading, writing, take = PostgreSQLReading, PostgreSQLWriting, engine.raw_connection
    elif isinstance(engine.pool, _IN_MEMORY):
        reading, writing, take = Reading, SharedWriting, Shared(engine).take
    else:
        reading, writing, take = Reading, SQLiteWriting, engine.raw_connection
    return partial(reading, engine, take), partial(writing, engine, take)


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
