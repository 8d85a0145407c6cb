"""The store of a server is opened with its first use, and once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..errors import TemporarilyUnavailable
from ..processes import Once
from .base import Store
from .replica import ReplicatedReader, TokenReader

PAUSE = 1
"""Seconds for which a store that could not be opened is not tried again."""


class Opening:
    """How a store is opened.

    :param open_store: opens it. Raises :exc:`~.errors.TemporarilyUnavailable` where it is away.
    :param stand_before: what the server asks in its place, or that of the replica: the application, where it has
        callbacks.
    :param clock: seconds that only count up.
    """

    def __init__(
        self,
        open_store: Callable[[], Store],
        stand_before: Callable[[Any], Any],
        replica: TokenReader | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_store = open_store
        self._stand_before = stand_before
        self.replica = replica
        """What guards read in place of the store, before it is known whether it is there."""
        self._clock = clock
        self._once = Once()
        self._away_until = float("-inf")
        self._opened: Store | None = None
        self.on_open: list[Callable[[Store], None]] = []
        """Functions that receive the open store once, before anything else uses it. They may raise an error."""
        self.kept: Store
        """The store without the application's callbacks before it, once it is open."""
        self.guards_read: TokenReader | None = None
        """Where guards look, once the store is open, if not there."""

    def open(self) -> Store:
        """Return the open store. Raises :exc:`~.errors.TemporarilyUnavailable` if it is away."""
        if self._opened is not None:
            return self._opened
        return self._once.run(lambda: self._opened, self._open)

    def _open(self) -> Store:
        if self._away_until > self._clock():  # a thread that waited for a failed attempt does not try again
            raise TemporarilyUnavailable("the store cannot be reached", retry_after=PAUSE)
        try:
            store = self._open_store()
        except TemporarilyUnavailable:
            self._away_until = self._clock() + PAUSE
            raise
        for function in self.on_open:
            function(store)
        if self.replica is not None:
            self.guards_read = self._stand_before(ReplicatedReader(store, self.replica))
        opened: Store = self._stand_before(store)
        self.kept, self._opened = store, opened
        return opened
