"""How many rows purge deletes at a time: as many as hold their locks for a moment, whatever the database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOMENT = 0.02
"""Seconds that a transaction should last; five times as long is too long for those who wait behind it."""

_FIRST, _MOST = 25, 500


class Pace:
    """Learns from each transaction how many rows the next may take.

    :param clock: seconds that only count up.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.rows = _FIRST

    def divide(self, rows: Sequence[T], act: Callable[[Sequence[T]], R]) -> Iterator[R]:
        """What ``act`` returns for the rows, a few at a time."""
        done = 0
        while done < len(rows):
            few = rows[done : done + self.rows]
            done += len(few)
            begin = self._clock()
            result = act(few)
            self._learn(len(few), self._clock() - begin)
            yield result

    def _learn(self, rows: int, seconds: float) -> None:
        """At most twice as many, so that one that went well by chance misleads little."""
        fitting = int(rows * MOMENT / seconds) if seconds else _MOST
        self.rows = max(1, min(fitting, 2 * self.rows, _MOST))
