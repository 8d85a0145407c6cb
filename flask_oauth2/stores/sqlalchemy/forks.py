"""Connections that a process inherits when it is forked: they belong to its parent and are neither used nor closed."""

from __future__ import annotations

from os import getpid
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, event, exc

from .engines import is_in_memory

INHERITED: list[Any] = []
"""What the parent process has connections in. To collect a connection as garbage could close it for the parent."""

_OWNERS: WeakKeyDictionary[Engine, int] = WeakKeyDictionary()
"""The process that the pool of each watched engine belongs to."""

_PID = "flask_oauth2_pid"


class Watch:
    """A listener for ``checkout`` that lets no process use a connection of another, whoever asks the engine for it.

    :param pid: the process that opened the connections which were there before.
    """

    def __init__(self, engine: Engine, pid: int) -> None:
        self._engine = engine
        self._pid = pid

    def __call__(self, connection: Any, record: Any, proxy: Any) -> None:
        """Let the pool open another connection if this one is inherited."""
        if record.info.get(_PID, self._pid) == getpid():
            return
        INHERITED.append(connection)
        record.dbapi_connection = proxy.dbapi_connection = None
        own_pool(self._engine)
        raise exc.DisconnectionError("the connection was opened by another process")  # the pool opens another


def _note_process(_: Any, record: Any) -> None:
    record.info[_PID] = getpid()


def watch(engine: Engine, pid: int | None = None) -> None:
    """Let each process use connections of its own alone. ``pid`` is the process that may have opened some so far.

    A database in memory is copied with its process, and so is the connection that holds it.
    """
    if engine in _OWNERS or is_in_memory(engine.url):
        return
    pid = _OWNERS[engine] = pid or getpid()
    event.listen(engine, "connect", _note_process)
    event.listen(engine, "checkout", Watch(engine, pid))


def own_pool(engine: Engine) -> None:
    """Replace the pool of an engine if it belongs to the parent: with it, locks that a thread of the parent held."""
    pid = getpid()
    if _OWNERS.get(engine, pid) == pid:
        return
    INHERITED.append(engine.pool)
    engine.dispose(close=False)
    _OWNERS[engine] = pid  # last: a thread that sees it finds the new pool
