"""Database connections: take them from the engine's pool, cache them, return them, and close lost ones."""

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
    :param before: settings of the driver to restore before the connection returns to the pool.
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
        """The list of idle connections that it returns to. If the cache has replaced this list, the connection leaves
        the cache.
        """


def has_default_behavior(pool: QueuePool) -> bool:
    """Return whether a pool has no ``pool_pre_ping`` and no ``pool_recycle``.

    If the application set one of these options, it must apply to each statement, so no connection may be cached.
    """
    return not getattr(pool, "_pre_ping", True) and getattr(pool, "_recycle", 0) == -1


class Connections:
    """Connections from the pool of an engine. Subclasses implement the dialects.

    :param caches: whether connections may be cached, if :func:`has_default_behavior` is true for the pool.
    """

    steps_alone: int | None = None
    """The number of statements that need no transaction: 1 if the database commits each by itself, otherwise None."""
    has_server = False
    """True if the database is a server, which may close idle connections."""
    transaction = Transaction()

    def __init__(self, engine: Engine, caches: bool = False) -> None:
        self.engine = engine
        self._pool_limit = 0
        pool = engine.pool
        if caches and isinstance(pool, QueuePool) and has_default_behavior(pool):
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
        """Separate the connections of a forked process from those of its parent, which stay referenced."""
        INHERITED.extend(connections.idle for connections in list(self.cache.processes.values()))
        own_pool(self.engine)
        return self.cache.enter_process()

    def open(self, own: ProcessConnections) -> Connection:
        """Take a connection from the pool, in autocommit mode if the driver supports it.

        The connection returns to the cache, unless it is the last one of the pool or the application listens to pool
        events.
        """
        try:
            return self._take_from_pool(own)
        except self.engine.dialect.loaded_dbapi.Error as error:
            if not is_loss(self.engine, error, None):
                raise
            replace_lost(self.engine)
            return self._take_from_pool(own)

    def _take_from_pool(self, own: ProcessConnections) -> Connection:
        pool = self.engine.pool
        pooled = self.engine.raw_connection()
        try:
            connection = self._prepare(pooled)
            home = own.idle  # before the check: another thread may replace the list when the pool is exhausted
            if self._may_cache():
                self._tune(connection)
                connection.home = home
        except BaseException:
            pooled.invalidate()
            raise
        connection.pool = pool
        return connection

    def _prepare(self, pooled: Any) -> Connection:
        """Change the settings of the driver. Raise an error of the driver if the connection is lost."""
        return Connection(pooled, self.transaction)

    def _tune(self, connection: Connection) -> None:
        """Change the settings of the database session for a cached connection. Raise errors of the driver."""

    def _restore(self, connection: Connection) -> None:
        """Restore the settings that the driver had in the pool."""

    def release_surplus(self, own: ProcessConnections, home: list[Any], now: float) -> None:
        """Close surplus connections of the cache, and return those that leave the cache to the pool."""
        if home is own.idle:
            self._discard_all(self.cache.take_surplus(own, now))
            return
        with suppress(IndexError):  # another thread may have returned the others
            while True:
                self.give_back(home.pop())

    def give_back(self, connection: Connection) -> None:
        """Return a connection to an exhausted pool. Otherwise cache it, or close it if the cache is full.

        The cache and the pool would otherwise each hold ``pool_size`` idle connections.
        """
        if connection.pool is not self.engine.pool:  # the application disposed the engine
            self.discard(connection)
        elif self._may_cache():
            self._cache(connection)
        else:
            self._return(connection)

    def _cache(self, connection: Connection) -> None:
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
        with suppress(IndexError):  # another thread may have taken the others
            while True:
                self.discard(connections.pop())

    def discard(self, connection: Connection) -> None:
        """Close a connection and free its place in the pool."""
        connection.pooled.invalidate()

    def give_up(self, connection: Connection | None, error: BaseException) -> bool:
        """Release a connection after an error: return it to the pool or close it. Return whether it was lost."""
        if connection is None:
            return False
        if is_loss(self.engine, error, connection.driver):
            self.drop_lost(connection)
            return True
        # after an interrupt, the response to a statement may still arrive on the connection
        if isinstance(error, Exception) and self._roll_back(connection):
            self.give_back(connection)
        else:
            self.discard(connection)
        return False

    def _roll_back(self, connection: Connection) -> bool:
        """Roll back an open transaction. Return whether the connection is still usable."""
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
        """Close a lost connection. Let the pool replace its idle connections, which are probably lost too."""
        opened = find_opened(connection.pooled.info)
        self.discard(connection)
        replace_lost(self.engine, opened)

    def may_repeat(self, error: BaseException, attempt: int) -> bool:
        """Return whether the database rolled back a transaction that may be repeated, after a pause."""
        return False

    def close_idle(self) -> None:
        """Close the idle connections of the cache. Connections in use leave the cache after their statement."""
        self._discard_all(self.cache.clear())

    def _clear_disposed(self, _: Engine) -> None:
        self.close_idle()

    def yield_to_pool(self) -> None:
        """Return a cached connection to an exhausted pool, so that the next thread of the application receives it.

        If no cached connection is idle, the ones in use return to the pool after their statement.
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
        """Return whether the application listens to pool events, for example to set a search path."""
        dispatch: Any = self.engine.pool.dispatch
        return bool(
            dispatch.checkin or dispatch.reset or not all(isinstance(listener, Watch) for listener in dispatch.checkout)
        )
