"""The replay memory of a resource server without a store: the proofs that this process has accepted."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from threading import Lock

from ..processes import OfProcess

MOST = 100_000
"""The maximum number of remembered proofs. The one that expires first is removed first."""


class ReplayMemory:
    """Keys until their expiry, in the memory of one process.

    :param clock: returns the time in seconds since the epoch.
    :param most: the maximum number of keys.
    """

    def __init__(self, clock: Callable[[], float], most: int = MOST) -> None:
        self._clock = clock
        self._most = most
        self._keys: set[bytes] = set()
        self._expiries: list[tuple[int, bytes]] = []
        self._lock = OfProcess(Lock)

    def remember(self, key: bytes, expires_at: int) -> bool:
        """Save a key until a time. Return False if it was saved before."""
        with self._lock.own:
            while self._expiries and (self._expiries[0][0] <= self._clock() or len(self._keys) > self._most):
                self._keys.discard(heappop(self._expiries)[1])
            if key in self._keys:
                return False
            self._keys.add(key)
            heappush(self._expiries, (expires_at, key))
            return True
