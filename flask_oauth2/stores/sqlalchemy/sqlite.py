"""SQLite, in a file or in memory."""

from __future__ import annotations

from threading import Lock
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.pool import Pool

from ...processes import OfProcess
from .connection_cache import ProcessConnections
from .connections import Connection, Connections, Transaction
from .forks import own_pool
from .unavailable import is_loss

# BEGIN IMMEDIATE takes the lock first, so nothing that the transaction has read can be stale
_IMMEDIATE = Transaction("BEGIN IMMEDIATE")
_NESTED = Transaction("SAVEPOINT oauth2", "RELEASE oauth2", ("ROLLBACK TO oauth2", "RELEASE oauth2"))

_LEGACY_TRANSACTION_CONTROL = -1
"""The constant of :mod:`sqlite3` since Python 3.12: ``isolation_level`` decides when a transaction begins."""


class SQLiteConnections(Connections):
    """Connections to an SQLite file, on which the driver begins no transaction by itself."""

    steps_alone = 1
    transaction = _IMMEDIATE

    def _prepare(self, pooled: Any) -> Connection:
        driver = pooled.dbapi_connection
        if driver.in_transaction:  # a listener of the application left it open
            driver.rollback()
        ((timeout,),) = driver.execute("PRAGMA busy_timeout").fetchall()
        before = getattr(driver, "autocommit", None), driver.isolation_level, timeout
        if before[0] is not None:
            driver.autocommit = _LEGACY_TRANSACTION_CONTROL
        driver.isolation_level = None
        driver.execute("PRAGMA busy_timeout = 10000")
        return Connection(pooled, self.transaction, before)

    def _restore(self, connection: Connection) -> None:
        driver = connection.driver
        autocommit, driver.isolation_level, timeout = connection.before
        driver.execute(f"PRAGMA busy_timeout = {timeout}")
        if autocommit is not None:
            driver.autocommit = autocommit


class MemoryConnections(Connections):
    """The one connection of SQLite in memory, on which a transaction of the application may be open.

    The pool would roll back this transaction, so it never gets the connection back. Threads of the store take turns.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._lock = OfProcess(Lock)
        self._taken: Lock
        self._pool: Pool | None = None
        self._pooled: Any = None

    def open(self, own: ProcessConnections) -> Connection:
        """Return the connection when no other thread of the store uses it."""
        lock = self._lock.own
        lock.acquire()
        self._taken = lock
        try:
            own_pool(self.engine)
            if self._pool is not self.engine.pool:  # the first time, or the engine was disposed of
                self._pooled = self.engine.raw_connection()
                self._pool = self.engine.pool
            is_inner = self._pooled.dbapi_connection.in_transaction
        except BaseException as error:
            self._end_turn(error)
            raise
        return Connection(self._pooled, _NESTED if is_inner else _IMMEDIATE)

    def give_back(self, connection: Connection) -> None:
        """End the turn of this thread."""
        self._taken.release()

    def give_up(self, connection: Connection | None, error: BaseException) -> bool:
        """Roll back and end the turn of this thread. Another connection would have another database."""
        if connection is not None:
            self._roll_back(connection)
            self._end_turn(error)
        return False

    def _end_turn(self, error: BaseException) -> None:
        if is_loss(self.engine, error, None):  # the application has closed the connection, and the database with it
            self._pooled.invalidate()
            self._pool = None
        self._taken.release()
