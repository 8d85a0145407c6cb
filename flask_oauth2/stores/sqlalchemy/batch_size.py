"""The number of rows that a purge deletes in one transaction: so many that it holds its locks for a moment only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOMENT = 0.01
"""The time that a transaction should take, in seconds. Requests notice ten times as much."""

PAUSE = 2
"""The pause after each transaction, as a multiple of its time, for a database with one lock for all writers. A writer
that waits for this lock tries it at intervals. Without a pause, it would hardly ever find the lock free.
"""

_FIRST, _LARGEST = 25, 500


class BatchSize:
    """The size of the next batch, which follows from the time that the batches before it took.

    :param pause: the pause after each batch, as a multiple of its time: :data:`PAUSE`, or 0 for row locks.
    :param clock: returns seconds that only increase.
    :param sleep: waits for a number of seconds.
    """

    def __init__(
        self,
        pause: float = 0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._pause = pause
        self._clock = clock
        self._sleep = sleep
        self._pause_due = 0.0
        self.rows = _FIRST

    def divide(self, rows: Sequence[T], act: Callable[[Sequence[T]], R]) -> Iterator[R]:
        """Call ``act`` with one batch of rows after the other. Yield what it returns."""
        done = 0
        while done < len(rows):
            batch = rows[done : done + self.rows]
            done += len(batch)
            if self._pause_due:
                self._sleep(self._pause_due)
            begin = self._clock()
            result = act(batch)
            seconds = self._clock() - begin
            self._pause_due = seconds * self._pause
            self._adapt(len(batch), seconds)
            yield result

    def _adapt(self, rows: int, seconds: float) -> None:
        """Let the batch grow to twice its size at most: one fast transaction may be a coincidence."""
        fitting = int(rows * MOMENT / seconds) if seconds else _LARGEST
        self.rows = max(1, min(fitting, 2 * self.rows, _LARGEST))
