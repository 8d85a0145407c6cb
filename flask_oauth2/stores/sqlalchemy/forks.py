"""Connections that the pool of an engine must not hand out: those of another process, and those that were lost.

A process inherits connections when it is forked. They belong to its parent, so it neither uses nor closes them.
"""

from __future__ import annotations

from os import getpid
from typing import Any, Protocol
from weakref import WeakKeyDictionary, WeakMethod, ref

from sqlalchemy import Engine, event, exc

from .engines import is_in_memory

INHERITED: list[Any] = []
"""Pools and connections of the parent process. If Python collected them as garbage, it could close connections of the
parent.
"""

_WATCHES: WeakKeyDictionary[Engine, Watch] = WeakKeyDictionary()

_OPENED = "flask_oauth2_opened"
"""The name under which a connection of a pool notes the process that opened it and its generation."""


class Cache(Protocol):
    """A cache of connections of a pool."""

    def yield_to_pool(self) -> None:
        """Return the idle connections to the pool if it has no other left."""

    def close_idle(self) -> None:
        """Close the idle connections."""


class Watch:
    """A listener for ``checkout`` that has the pool replace connections of other processes and lost connections.

    :param pid: the process that opened the connections which the pool has now.
    """

    def __init__(self, engine: Engine, pid: int) -> None:
        self.owner = pid
        """The process that the pool belongs to."""
        self._engine = ref(engine)
        self._first = pid, 0
        self._generation = 0
        """How often idle connections were declared lost."""
        self._caches: list[tuple[Any, Any]] = []

    def __call__(self, connection: Any, record: Any, proxy: Any) -> None:
        """Let the pool open another connection if this one must not be used."""
        opened = record.info.get(_OPENED, self._first)
        current = getpid(), self._generation
        if opened is None:  # by this checkout
            record.info[_OPENED] = current
        elif opened[0] != current[0]:
            INHERITED.append(connection)
            record.dbapi_connection = proxy.dbapi_connection = None
            engine = self._engine()
            if engine is not None:
                own_pool(engine)
            raise exc.DisconnectionError("the connection was opened by another process")  # the pool opens another
        elif opened != current:
            raise exc.DisconnectionError("the connection was opened before others were lost")
        for yield_to_pool, _ in self._caches:
            if (act := yield_to_pool()) is not None:
                act()

    def add_cache(self, cache: Cache) -> None:
        """Notify a cache when the pool hands out a connection and when connections are lost."""
        self._caches.append((WeakMethod(cache.yield_to_pool), WeakMethod(cache.close_idle)))

    def replace_lost(self, opened: Any) -> None:
        """Have the pool replace its idle connections, unless that was done after the lost one was opened."""
        if opened is not None and opened[1] != self._generation:
            return
        self._generation += 1
        for _, close_idle in self._caches:
            if (act := close_idle()) is not None:
                act()


def _record_opened(_: Any, record: Any) -> None:
    record.info[_OPENED] = None


def find_opened(info: dict[str, Any]) -> Any:
    """Return the process that opened a connection and its generation, from the ``info`` of the connection."""
    return info.get(_OPENED)


def watch(engine: Engine, pid: int | None = None) -> Watch | None:
    """Let each process use connections of its own alone. ``pid`` is the process that may have opened some so far.

    Return None for a database in memory: it is copied with its process, and so is the connection that holds it.
    """
    found = _WATCHES.get(engine)
    if found is not None or is_in_memory(engine.url):
        return found
    found = _WATCHES[engine] = Watch(engine, pid or getpid())
    event.listen(engine, "connect", _record_opened)
    event.listen(engine, "checkout", found)
    return found


def replace_lost(engine: Engine, opened: Any = None) -> None:
    """Have the pool of an engine replace its idle connections at their next use, since others were lost.

    Connections that are in use stay as they are. The engine is not disposed of, since it may be the application's.

    :param opened: of the lost connection, see :func:`find_opened`.
    """
    found = _WATCHES.get(engine)
    if found is not None:
        found.replace_lost(opened)


def own_pool(engine: Engine) -> None:
    """Replace the pool of an engine if it belongs to the parent: with it, locks that a thread of the parent held."""
    pid = getpid()
    found = _WATCHES.get(engine)
    if found is None or found.owner == pid:
        return
    INHERITED.append(engine.pool)
    engine.dispose(close=False)
    found.owner = pid  # last: a thread that sees it finds the new pool
