"""How many rows purge deletes at a time: as many as hold their locks for a moment, whatever the database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOMENT = 0.01
"""Seconds that a transaction should last; ten times as long is too long for those who wait behind it."""

REST = 2
"""How many times as long as a transaction nothing is done after it, where there is one lock for all: who waits for it
asks for it now and then, and would hardly ever find it free.
"""

_FIRST, _MOST = 25, 500


class Pace:
    """Learns from each transaction how many rows the next may take.

    :param rest: as :data:`REST`, or 0 where rows are locked one by one.
    :param clock: seconds that only count up.
    :param sleep: waits for seconds.
    """

    def __init__(
        self,
        rest: float = 0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rest = rest
        self._clock = clock
        self._sleep = sleep
        self._owed = 0.0
        self.rows = _FIRST

    def divide(self, rows: Sequence[T], act: Callable[[Sequence[T]], R]) -> Iterator[R]:
        """What ``act`` returns for the rows, a few at a time."""
        done = 0
        while done < len(rows):
            few = rows[done : done + self.rows]
            done += len(few)
            if self._owed:
                self._sleep(self._owed)
            begin = self._clock()
            result = act(few)
            seconds = self._clock() - begin
            self._owed = seconds * self._rest
            self._learn(len(few), seconds)
            yield result

    def _learn(self, rows: int, seconds: float) -> None:
        """At most twice as many, so that one that went well by chance misleads little."""
        fitting = int(rows * MOMENT / seconds) if seconds else _MOST
        self.rows = max(1, min(fitting, 2 * self.rows, _MOST))
