"""SQLite, in a file or in memory."""

from __future__ import annotations

from threading import Lock
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.pool import Pool

from ...processes import OfProcess
from .database import Database
from .forks import own_pool
from .kept import Kept


class SQLite(Database):
    """SQLite in a file. Its driver opens no transaction for a SELECT."""

    def _begin(self, driver: Any) -> Any:
        """Take the lock first, so that nothing read before can be stale."""
        if not driver.in_transaction:  # a driver whose own autocommit is off always is in one
            driver.execute("BEGIN IMMEDIATE")


class KeptSQLite(Kept, SQLite):
    """The same on connections that are kept."""

    _begins = "BEGIN IMMEDIATE"

    def _prepare(self, driver: Any) -> None:
        if hasattr(driver, "autocommit"):
            driver.autocommit = -1  # LEGACY_TRANSACTION_CONTROL of Python 3.12, so that the next line holds
        driver.isolation_level = None
        driver.execute("PRAGMA busy_timeout = 10000")


class InMemory(SQLite):
    """SQLite in memory: one connection, on which the application's own transaction may be open.

    It is never given back to the pool, which would roll that back; our threads take turns.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._take = _Turns(engine).take

    def _begin(self, driver: Any) -> Any:
        """A savepoint, where a transaction is open."""
        is_inner: bool = driver.in_transaction
        driver.execute("SAVEPOINT oauth2" if is_inner else "BEGIN IMMEDIATE")
        return is_inner

    def _give_up(self, connection: Any, error: BaseException) -> bool:
        """Nothing is sent again on another connection, which has another database."""
        super()._give_up(connection, error)
        return False

    def _end(self, driver: Any, state: Any, well: bool) -> None:
        if not state:
            super()._end(driver, state, well)
            return
        if not well:
            driver.execute("ROLLBACK TO oauth2")
        driver.execute("RELEASE oauth2")


class _Turns:
    """The one connection of a database in memory, as a pool would hand it out: ``close`` ends a thread's turn."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = OfProcess(Lock)
        self._taken: Lock
        self._pool: Pool | None = None
        self._connection: Any = None

    def take(self) -> Any:
        """The connection, once our other threads are done with it."""
        lock = self._lock.own
        lock.acquire()
        self._taken = lock
        try:
            own_pool(self._engine)
            if self._pool is not self._engine.pool:  # the first time, or the engine was disposed of
                self._connection = self._engine.raw_connection()
                self._pool = self._engine.pool
        except BaseException:
            lock.release()
            raise
        return self

    def close(self) -> None:
        """End the turn of this thread."""
        self._taken.release()

    @property
    def dbapi_connection(self) -> Any:
        """The driver's connection."""
        return self._connection.dbapi_connection

    def invalidate(self) -> None:
        """Whoever closed it took the database with it, and may make another."""
        self._pool = None
        self._taken.release()
