"""Open the store of a server on first use, once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..errors import TemporarilyUnavailable
from ..processes import Once
from .base import Store, Stores, collect
from .replica import ReplicatedReader, TokenReader

PAUSE = 1
"""Seconds after which a store that could not be opened is tried again."""


class LazyStore:
    """The way to open a store, and the open store.

    :param open_store: opens it. Raises :exc:`~.errors.TemporarilyUnavailable` if it is unavailable.
    :param wrap: returns the store that the server uses instead, such as one with the callbacks of the application.
    :param replica: the reader for guards instead of the store.
    :param clock: seconds of a monotonic clock.
    """

    def __init__(
        self,
        open_store: Callable[[], Store],
        wrap: Callable[[Any], Any],
        replica: TokenReader | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_store = open_store
        self._wrap = wrap
        self.replica = replica
        """The reader for guards instead of the store, before it is open."""
        self._clock = clock
        self._once = Once()
        self._away_until = float("-inf")
        self._opened: Store | None = None
        self.on_open: list[Callable[[Stores], None]] = []
        """Functions that receive the store and its capabilities once, before any other code does. They may raise
        :exc:`~.errors.ConfigurationError` for a store that does not fit."""
        self.unwrapped: Store
        """The store without the callbacks of the application, once it is open."""
        self.stores: Stores
        """The store that the server uses, with its capabilities, once it is open."""
        self.guards_read: TokenReader | None = None
        """The reader for guards instead of the store, once it is open."""

    def open(self) -> Store:
        """Return the open store. Raises :exc:`~.errors.TemporarilyUnavailable` if it is unavailable."""
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
        capabilities = collect(store)
        for function in self.on_open:
            function(capabilities)
        if self.replica is not None:
            self.guards_read = self._wrap(ReplicatedReader(store, self.replica))
        opened: Store = self._wrap(store)
        self.unwrapped, self.stores = store, collect(opened)
        self._opened = opened
        return opened
