"""Connections of the driver: where they are taken from, how statements run on them, and when they are closed."""

from __future__ import annotations

from contextlib import suppress
from os import getpid
from typing import Any, NamedTuple

from sqlalchemy import Engine, event
from sqlalchemy.pool import QueuePool

from .connection_cache import UNLIMITED_POOL, ConnectionCache, ProcessConnections
from .forks import INHERITED, Watch, find_opened, own_pool, replace_lost, watch
from .unavailable import is_loss

READY, ALONE, OPEN, COMMITTING = range(4)
"""States of a connection: no statement runs, a statement runs outside a transaction, a transaction is open, and the
outcome of a transaction is not known yet.
"""


class Transaction(NamedTuple):
    """The SQL that begins and ends a transaction. Without ``begin``, the driver begins it with the first statement."""

    begin: str | None = "BEGIN"
    commit: str = "COMMIT"
    rollback: tuple[str, ...] = ("ROLLBACK",)


class Connection:
    """A connection of the driver that was taken from the pool.

    :param pooled: the connection as the pool gave it.
    :param transaction: how a transaction begins and ends on it.
    :param before: settings of the driver that are restored before the pool gets the connection back.
    """

    __slots__ = ("before", "driver", "home", "pool", "pooled", "state", "transaction", "used_at")

    def __init__(self, pooled: Any, transaction: Transaction, before: Any = None) -> None:
        self.pooled = pooled
        self.pool: Any = None
        self.driver: Any = pooled.dbapi_connection
        self.transaction = transaction
        self.before = before
        self.state = READY
        self.used_at = 0.0
        self.home: list[Any] = []
        """The list of idle connections that it returns to. If the cache has another list, it leaves the cache."""


def keeps_connections(pool: QueuePool) -> bool:
    """Return whether a pool keeps connections open for any time and does not test them at each checkout.

    An application that chose a pool with another behavior wants this behavior for each statement.
    """
    return not getattr(pool, "_pre_ping", True) and getattr(pool, "_recycle", 0) == -1


class Connections:
    """Connections from the pool of an engine. Subclasses know the dialects.

    :param caches: whether connections may stay in a cache, if the pool is one that keeps connections.
    """

    steps_alone: int | None = None
    """The number of statements that need no transaction: 1 if the database commits each by itself, otherwise None."""
    has_server = False
    """Whether a server may close an idle connection."""
    transaction = Transaction()

    def __init__(self, engine: Engine, caches: bool = False) -> None:
        self.engine = engine
        self._pool_limit = 0
        pool = engine.pool
        if caches and isinstance(pool, QueuePool) and keeps_connections(pool):
            limit = pool.size() or UNLIMITED_POOL
            overflow = getattr(pool, "_max_overflow", 0)
            self._pool_limit = pool.size() + overflow if overflow >= 0 else 0
            self.cache = ConnectionCache(limit)
            event.listen(engine, "engine_disposed", self._clear_disposed)
            if (found := watch(engine)) is not None:
                found.add_cache(self)
        else:
            self.cache = ConnectionCache(0)

    def enter_process(self) -> ProcessConnections:
        """Use connections of this process from now on: it was forked. Connections of its parent stay referenced."""
        INHERITED.extend(connections.idle for connections in list(self.cache.processes.values()))
        own_pool(self.engine)
        return self.cache.enter_process()

    def open(self, own: ProcessConnections) -> Connection:
        """Take a connection from the pool, in autocommit mode where the driver has one.

        It stays in the cache unless it is the last connection of the pool or the application listens to each use.
        """
        try:
            return self._take(own)
        except self.engine.dialect.loaded_dbapi.Error as error:
            if not is_loss(self.engine, error, None):
                raise
            replace_lost(self.engine)
            return self._take(own)

    def _take(self, own: ProcessConnections) -> Connection:
        pool = self.engine.pool
        pooled = self.engine.raw_connection()
        try:
            connection = self._prepare(pooled)
            home = own.idle  # before the check, so that an exhausted pool cannot go unnoticed in between
            if self._may_cache():
                self._tune(connection)
                connection.home = home
        except BaseException:
            pooled.invalidate()
            raise
        connection.pool = pool
        return connection

    def _prepare(self, pooled: Any) -> Connection:
        """Change the settings of the driver. Raises its errors if the connection was lost."""
        return Connection(pooled, self.transaction)

    def _tune(self, connection: Connection) -> None:
        """Change the settings of the session for many statements. Raises the driver's errors."""

    def _restore(self, connection: Connection) -> None:
        """Restore the settings of the driver as the pool gave them."""

    def keep_or_return(self, own: ProcessConnections, home: list[Any], now: float) -> None:
        """Return connections that do not stay in the cache to the pool, or close them."""
        if home is own.idle:
            self._discard_all(self.cache.take_surplus(own, now))
            return
        with suppress(IndexError):  # another thread may have returned the rest
            while True:
                self.give_back(home.pop())

    def give_back(self, connection: Connection) -> None:
        """Return a connection to the pool.

        A connection of a pool that has others left goes to the cache, or is closed if the cache is full. Otherwise,
        the cache and the pool would each keep ``pool_size`` idle connections.
        """
        if connection.pool is not self.engine.pool:  # the application has disposed of it
            self.discard(connection)
        elif self._may_cache():
            self._keep(connection)
        else:
            self._return(connection)

    def _keep(self, connection: Connection) -> None:
        try:
            self._tune(connection)
        except self.engine.dialect.loaded_dbapi.Error:
            self.discard(connection)
            return
        connection.home = self.cache.own.idle
        connection.home.append(connection)
        self._discard_all(self.cache.take_surplus(self.cache.own, connection.used_at))

    def _return(self, connection: Connection) -> None:
        try:
            self._restore(connection)
        except self.engine.dialect.loaded_dbapi.Error:
            self.discard(connection)
        else:
            connection.pooled.close()

    def _discard_all(self, connections: list[Any]) -> None:
        with suppress(IndexError):  # another thread may have taken the rest
            while True:
                self.discard(connections.pop())

    def discard(self, connection: Connection) -> None:
        """Close a connection. Its place in the pool becomes free."""
        connection.pooled.invalidate()

    def give_up(self, connection: Connection | None, error: BaseException) -> bool:
        """Return or close a connection on which an error occurred. Return whether it was lost."""
        if connection is None:
            return False
        if is_loss(self.engine, error, connection.driver):
            self.drop_lost(connection)
            return True
        # after an interrupt, the answer to a statement may still be under way
        if isinstance(error, Exception) and self._roll_back(connection):
            self.give_back(connection)
        else:
            self.discard(connection)
        return False

    def _roll_back(self, connection: Connection) -> bool:
        """Roll back an open transaction. Return whether the connection can be used again."""
        try:
            if connection.state >= OPEN:
                cursor = connection.driver.cursor()
                for statement in connection.transaction.rollback:
                    cursor.execute(statement)
        except self.engine.dialect.loaded_dbapi.Error:
            return False
        connection.state = READY
        return True

    def drop_lost(self, connection: Connection) -> None:
        """Close a lost connection, and have the pool replace the idle ones, which are most likely lost too."""
        opened = find_opened(connection.pooled.info)
        self.discard(connection)
        replace_lost(self.engine, opened)

    def may_repeat(self, error: BaseException, attempt: int) -> bool:
        """Return, after a pause, whether the database has undone a transaction that may be repeated."""
        return False

    def close_idle(self) -> None:
        """Close the idle connections of the cache. Those in use leave the cache after their statement."""
        self._discard_all(self.cache.clear())

    def _clear_disposed(self, _: Engine) -> None:
        self.close_idle()

    def yield_to_pool(self) -> None:
        """Return a connection to the pool if it has no other left for the next thread of the application.

        If none is idle, those in use return to the pool after their statement.
        """
        own = self.cache.processes.get(getpid())
        if own is None or not self._is_exhausted():
            return
        try:
            connection = own.idle.pop()
        except IndexError:
            own.idle = []
        else:
            self._return(connection)

    def _may_cache(self) -> bool:
        return self.cache.limit > 0 and not self._is_exhausted() and not self._is_listened_to()

    def _is_exhausted(self) -> bool:
        pool = self.engine.pool
        return isinstance(pool, QueuePool) and 0 < self._pool_limit <= pool.checkedout()

    def _is_listened_to(self) -> bool:
        """Return whether the application listens to each use of a connection, for example to set a search path."""
        dispatch: Any = self.engine.pool.dispatch
        return bool(
            dispatch.checkin or dispatch.reset or not all(isinstance(listener, Watch) for listener in dispatch.checkout)
        )
