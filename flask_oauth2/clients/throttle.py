"""Guessing is counted by credential, in fixed windows, :rfc:`6749#section-2.3.1` and section 4.3.2.

An attempt is counted before the credential is looked at, so that guesses made at once are all seen. While it is in
flight it weighs little, so that a busy client with the right secret is not in its own way; a failed one weighs more.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING
from unicodedata import normalize

from .. import values
from ..errors import TemporarilyUnavailable

if TYPE_CHECKING:
    from ..server import Server

_FAILURE = 5
"""The weight of a failed attempt; one in flight weighs 1."""


class Attempt:
    """An attempt at the credential of ``name``. Raises :exc:`TemporarilyUnavailable` (429) after too many failures.

    ``most`` is how many there may be in a window, where it is not ``OAUTH2_THROTTLE_FAILURES``.
    """

    def __init__(self, server: Server, kind: str, name: str, now: float, most: int | None = None) -> None:
        self._store = server.store
        length = server.settings.throttle_window
        self._ends_at = (int(now) // length + 1) * length
        # one credential, however it is spelt
        text = f"{kind} {self._ends_at} {normalize('NFKC', name).strip().casefold()}"
        self._key = values.stamp(self._ends_at) + sha256(text.encode("utf-8", "surrogatepass")).digest()
        if self._add(1) > (most or server.settings.throttle_failures) * _FAILURE:
            self._add(-1)
            raise TemporarilyUnavailable(
                "too many failed attempts", status=429, retry_after=self._ends_at - int(now), rule="rfc6749 2.3.1"
            )

    def failed(self) -> None:
        """The credential was wrong."""
        self._add(_FAILURE - 1)

    def withdraw(self) -> None:
        """It was right, or could not be looked at: nothing is held against it."""
        self._add(-1)

    def _add(self, weight: int) -> int:
        return self._store.count(self._key, self._ends_at, weight)
