"""Limits for what a process fetches from other hosts and keeps in memory. The caller holds a lock."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

from . import urls

_K = TypeVar("_K")
_V = TypeVar("_V")


class Bounded(OrderedDict[_K, _V]):
    """A mapping of limited size. A new entry replaces the least recently used one.

    :param most: the maximum number of entries.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def put(self, key: _K, value: _V) -> None:
        """Set an entry and mark it as used."""
        self[key] = value
        self.move_to_end(key)
        if len(self) > self._most:
            self.popitem(last=False)


class FetchRate:
    """Limits concurrent fetches, and the fetches from one host in a minute, so that no host is flooded.

    :param at_once: the maximum number of concurrent fetches.
    :param per_minute: the maximum number of fetches from one host in a minute.
    :param hosts: the maximum number of hosts whose fetches are counted.
    """

    def __init__(self, at_once: int, per_minute: int, hosts: int) -> None:
        self._at_once = at_once
        self._per_minute = per_minute
        self._visits: Bounded[tuple[str, int], int] = Bounded(hosts)

    def admit(self, url: str, now: float, under_way: int) -> bool:
        """Count a fetch and return True, or return False if it would exceed a limit.

        :param now: seconds since the epoch, UTC.
        :param under_way: the number of fetches in progress.
        """
        visit = (urls.host_of(url), int(now) // 60)
        count = self._visits.get(visit, 0)
        if under_way >= self._at_once or count >= self._per_minute:
            return False
        self._visits.put(visit, count + 1)
        return True
