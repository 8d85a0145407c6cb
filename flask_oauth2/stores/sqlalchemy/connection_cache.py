"""A cache of connections that are ready for the next statement.

Taking a connection from the pool of an engine costs as much as a SELECT of SQLite. The cache therefore keeps
connections in autocommit mode instead of returning them after each statement. They remain part of the pool, which
counts them as checked out: the process never has more connections than the pool allows.
"""

from __future__ import annotations

from os import getpid
from typing import Any

IDLE_SECONDS = 60.0
"""A later use of the store closes connections that no statement has used for this time. One connection remains."""

_CHECK_SECONDS = IDLE_SECONDS / 4

UNLIMITED_POOL = 20
"""The largest number of idle connections in the cache if ``pool_size`` is 0, which means no limit."""


class ProcessConnections:
    """The connections in the cache of one process."""

    __slots__ = ("check_at", "idle")

    def __init__(self) -> None:
        self.idle: list[Any] = []
        """Connections that no statement uses now, the most recently used one last. A new list replaces this one when
        the connections of the old list must leave the cache.
        """
        self.check_at = 0.0
        """The time of the next check for unused connections, in seconds of the monotonic clock."""


class ConnectionCache:
    """The connections in the cache, by process.

    List operations are atomic, so threads need no lock.

    :param limit: the largest number of idle connections. 0 turns the cache off.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.processes = {getpid(): ProcessConnections()}

    @property
    def own(self) -> ProcessConnections:
        """Return the connections of this process."""
        return self.processes.get(getpid()) or self.enter_process()

    def enter_process(self) -> ProcessConnections:
        """Return an empty cache for a new process. Connections of the parent process stay referenced."""
        return self.processes.setdefault(getpid(), ProcessConnections())  # atomic: threads agree on one

    def clear(self) -> list[Any]:
        """Remove the idle connections of this process and return them.

        Connections in use leave the cache when their statement ends: their list is no longer the current one.
        """
        own = self.processes.get(getpid())
        if own is None:
            return []
        idle, own.idle = own.idle, []
        return idle

    def take_surplus(self, own: ProcessConnections, now: float) -> list[Any]:
        """Remove the connections above the limit and those unused for :data:`IDLE_SECONDS`, and return them."""
        idle, surplus = own.idle, []
        is_due = now >= own.check_at
        if is_due:
            own.check_at = now + _CHECK_SECONDS
        try:
            while len(idle) > self.limit or (is_due and len(idle) > 1 and idle[0].used_at <= now - IDLE_SECONDS):
                surplus.append(idle.pop(0))
        except IndexError:  # other threads have taken the rest
            pass
        return surplus
