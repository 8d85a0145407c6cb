"""Guessing is counted by credential, in fixed windows, :rfc:`6749#section-2.3.1` and section 4.3.2.

An attempt is counted before the credential is looked at, so that guesses made at once are all seen. While it is in
flight it weighs little, so that a busy client with the right secret is not in its own way; a failed one weighs more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING
from unicodedata import normalize

from .. import values
from ..errors import TemporarilyUnavailable

if TYPE_CHECKING:
    from ..server import Server

_MINUTE, _HOUR = 60, 3600

_FAILURE = 5
"""The weight of a failed attempt; one in flight weighs 1."""


_HAD = 10
"""The weight of what was had of a quota; one in flight weighs 1."""


class Attempt:
    """An attempt at the credential of ``name``. Raises :exc:`TemporarilyUnavailable` (429) after too many failures.

    ``most`` is how many there may be in a window, where it is not ``OAUTH2_THROTTLE_FAILURES``. With ``is_guess`` the
    credential is one that people guess and no program sends: each attempt weighs what a failed one does from the
    start, and ``name`` is taken to the letter.
    """

    def __init__(
        self, server: Server, kind: str, name: str, now: float, most: int | None = None, is_guess: bool = False
    ) -> None:
        self._store = server.store
        self._weight = _FAILURE if is_guess else 1
        if not is_guess:  # one credential, however it is spelt
            name = normalize("NFKC", name).strip().casefold()
        self._key, self._ends_at = _counter(kind, name, server.settings.throttle_window, now)
        if self._add(self._weight) > (most or server.settings.throttle_failures) * _FAILURE:
            self._add(-self._weight)
            raise TemporarilyUnavailable(
                "too many failed attempts", status=429, retry_after=self._ends_at - int(now), rule="rfc6749 2.3.1"
            )

    def failed(self) -> None:
        """The credential was wrong."""
        if self._weight < _FAILURE:
            self._add(_FAILURE - self._weight)

    def withdraw(self) -> None:
        """It was right, or could not be looked at: nothing is held against it."""
        self._add(-self._weight)

    def _add(self, weight: int) -> int:
        return self._store.count(self._key, self._ends_at, weight)


class Quota:
    """One of so many that may be had within an hour, by each of several names; all count or none does.

    While it is not known whether one is had it weighs little, so that many who want the same at once, which is had
    once, are not in each other's way.

    :param most: for each name how many. As many as come at the same moment may be had beyond that, unless each is
        ``had_at_once``.

    Raises :exc:`TemporarilyUnavailable` (429) where one of them has had that many.
    """

    def __init__(
        self, server: Server, kind: str, most: Mapping[str, int], now: float, had_at_once: bool = False
    ) -> None:
        self._weight = _HAD if had_at_once else 1
        self._store = server.store
        counters = [(*_counter(kind, name, _HOUR, now), number) for name, number in most.items()]
        self._keys = [key for key, _, _ in counters]
        self._ends_at = counters[0][1]
        counts = [self._store.count(key, self._ends_at, self._weight) for key in self._keys]
        if any(count > number * _HAD for count, (_, _, number) in zip(counts, counters, strict=True)):
            self.give_back()
            raise TemporarilyUnavailable(
                f"too many within an hour: {kind}", status=429, retry_after=self._ends_at - int(now), rule="rfc7591 3"
            )

    def had(self) -> None:
        """It was had."""
        self._add(_HAD - 1)

    def give_back(self) -> None:
        """It was not."""
        self._add(-self._weight)

    def _add(self, weight: int) -> None:
        for key in self._keys:
            self._store.count(key, self._ends_at, weight)


def spend_quota(server: Server, kind: str, most: Mapping[str, int], now: float) -> None:
    """One of so many is had at once. Raises :exc:`TemporarilyUnavailable` (429) as :class:`Quota` does."""
    Quota(server, kind, most, now, had_at_once=True)


def network(address: str) -> str:
    """What is counted by where it comes from: whoever has one address of IPv6 has 2⁶⁴ of them."""
    try:
        parsed = ip_address(address)
    except ValueError:  # such as a socket's, which has none
        return f"of {address}"
    if isinstance(parsed, IPv6Address):
        mapped = parsed.ipv4_mapped  # as a server that listens at both families shows the other
        return f"of {int(parsed) >> 64:x}" if mapped is None else f"of {mapped}"
    return f"of {parsed}"


@contextmanager
def at_once(server: Server, kind: str, name: str, now: float) -> Iterator[int]:
    """How many do this at this moment, who asks included: what is counted first and then added to stays below a limit.

    Whoever dies meanwhile counts until the minute is over.
    """
    store, (key, ends_at) = server.store, _counter(kind, name, _MINUTE, now)
    try:
        yield store.count(key, ends_at)
    finally:
        store.count(key, ends_at, -1)


def _counter(kind: str, name: str, length: int, now: float) -> tuple[bytes, int]:
    """The key of what is counted in the window of now, and when that ends."""
    ends_at = (int(now) // length + 1) * length
    text = f"{kind} {ends_at} {name}"
    return values.stamp(ends_at) + sha256(text.encode("utf-8", "surrogatepass")).digest(), ends_at
