"""Limits on guesses and on what unknown parties can save, in fixed windows, :rfc:`6749#section-2.3.1` and 4.3.2.

Guesses count by credential and network together, so that guesses from one network lock out no other; in addition by the
network alone and, with a much higher limit, by the credential alone.

An attempt is counted before the credential is verified, so that simultaneous guesses are all seen. While it is in
flight it weighs little, so that a busy client with the right secret does not block itself; a failed one weighs more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from unicodedata import normalize

from ... import values
from ...errors import TemporarilyUnavailable
from ...server import AuthorizationServer

_MINUTE, _HOUR = 60, 3600

_FAILURE = 5
"""The weight of a failed attempt; one in flight weighs 1."""

_OF_NETWORK = 10
"""The limit of failed attempts from one network for all credentials, as a multiple of that of one credential."""

_EVERYWHERE = 100
"""How many times that limit one credential may fail from all networks together."""

_CONFIRMED = 10
"""The weight of a used unit of a quota; one in flight weighs 1."""

_SHARE, _SCARCE_SHARE = 10, 1000
"""A network may use a tenth of a quota, and a thousandth once half of the quota is used."""


class Attempt:
    """An attempt at the credential of ``name``. Raises :exc:`TemporarilyUnavailable` (429) after too many failures.

    :param address: the address that it comes from. Without one, all attempts at the name count together.
    :param most: the failures allowed in a window, instead of ``OAUTH2_MAX_FAILED_ATTEMPTS``.
    :param is_guess: set it if users type the credential. Each attempt then has the weight of a failed one from the
        start, and ``name`` is compared as it is.
    """

    def __init__(
        self,
        server: AuthorizationServer,
        kind: str,
        name: str,
        now: float,
        address: str | None = None,
        *,
        most: int | None = None,
        is_guess: bool = False,
    ) -> None:
        window, most = server.settings.failed_attempt_window, most or server.settings.max_failed_attempts
        self._store = server.store
        self._weight = _FAILURE if is_guess else 1
        if not is_guess:  # one credential, however it is spelled
            name = normalize("NFKC", name).strip().casefold()
        self._wider: list[bytes] = []
        """Counters that a failure adds to; they are only read before."""
        if address is not None:
            place = network(address)
            for wider, limit in ((f"{kind} everywhere {name}", _EVERYWHERE), (f"{kind} {place}", _OF_NETWORK)):
                key, self._ends_at = _counter("failures", wider, window, now)
                self._wider.append(key)
                if self._store.count(key, self._ends_at, 0) >= most * limit * _FAILURE:
                    raise self._refused(now)
            name = f"{place} {name}"
        self._key, self._ends_at = _counter(kind, name, window, now)
        if self._store.count(self._key, self._ends_at, self._weight) > most * _FAILURE:
            self._store.count(self._key, self._ends_at, -self._weight)
            raise self._refused(now)

    def _refused(self, now: float) -> TemporarilyUnavailable:
        return TemporarilyUnavailable(
            "too many failed attempts",
            status=429,
            retry_after=self._ends_at - int(now),
            rule="rfc6749 2.3.1",
            hint="correct the credential, or raise OAUTH2_MAX_FAILED_ATTEMPTS",
        )

    def failed(self) -> None:
        """Count a wrong credential."""
        if self._weight < _FAILURE:
            self._store.count(self._key, self._ends_at, _FAILURE - self._weight)
        for key in self._wider:
            self._store.count(key, self._ends_at, _FAILURE)

    def withdraw(self) -> None:
        """Remove this attempt from the count: the credential is correct, or could not be verified."""
        self._store.count(self._key, self._ends_at, -self._weight)


class Quota:
    """A unit of an hourly quota that all unauthenticated parties share.

    A reserved unit weighs less than a confirmed one, so that many simultaneous requests for the same object, of which
    only one succeeds, do not block each other.

    :param kind: the plural name of the counted objects in the log.
    :param most: the maximum number of units per hour. Simultaneous requests may exceed it, unless they are
        ``is_confirmed``.
    :param address: the address of the request. Its network may use a tenth, and a thousandth once half is used, so that
        a few networks do not use up everything.
    :param name: the owner of the quota. It replaces the whole site.
    :param hint: the hint in the log for a quota that is too small.
    :param is_confirmed: whether the unit is confirmed immediately.

    Raise :exc:`TemporarilyUnavailable` (429) if the quota is exhausted.
    """

    def __init__(
        self,
        server: AuthorizationServer,
        kind: str,
        most: int,
        now: float,
        *,
        address: str | None = None,
        name: str = "",
        hint: str | None = None,
        is_confirmed: bool = False,
    ) -> None:
        self._weight = _CONFIRMED if is_confirmed else 1
        self._store = server.store
        places = [name] if address is None else [name, network(address)]
        counters = [_counter(kind, place, _HOUR, now) for place in places]
        self._keys = [key for key, _ in counters]
        self._ends_at = counters[0][1]
        counts = [self._store.count(key, self._ends_at, self._weight) for key in self._keys]
        is_scarce = counts[0] > most * _CONFIRMED // 2
        limits = [most, -(-most // (_SCARCE_SHARE if is_scarce else _SHARE))]
        if any(count > limit * _CONFIRMED for count, limit in zip(counts, limits, strict=False)):
            self.release()
            raise TemporarilyUnavailable(
                f"too many {kind} within an hour",
                status=429,
                retry_after=self._ends_at - int(now),
                rule="rfc7591 3",
                received="one network has used its share"
                if counts[0] <= most * _CONFIRMED
                else "the quota is exhausted",
                hint=hint,
            )

    def confirm(self) -> None:
        """Count the unit as used."""
        self._add(_CONFIRMED - 1)

    def release(self) -> None:
        """Remove the unit from the count."""
        self._add(-self._weight)

    def _add(self, weight: int) -> None:
        for key in self._keys:
            self._store.count(key, self._ends_at, weight)


def spend_quota(
    server: AuthorizationServer,
    kind: str,
    most: int,
    now: float,
    *,
    address: str | None = None,
    name: str = "",
    hint: str | None = None,
) -> None:
    """Reserve and confirm a unit. Raise :exc:`TemporarilyUnavailable` (429) if the quota is exhausted."""
    Quota(server, kind, most, now, address=address, name=name, hint=hint, is_confirmed=True)


def network(address: str) -> str:
    """Return the network of an address. The owner of one IPv6 address has 2⁶⁴ of them."""
    try:
        parsed = ip_address(address)
    except ValueError:  # such as a Unix socket, which has none
        return f"of {address}"
    if isinstance(parsed, IPv6Address):
        mapped = parsed.ipv4_mapped  # the form in which a server that listens at both families shows IPv4
        return f"of {int(parsed) >> 64:x}" if mapped is None else f"of {mapped}"
    return f"of {parsed}"


@contextmanager
def at_once(server: AuthorizationServer, kind: str, name: str, now: float) -> Iterator[int]:
    """Yield the number of simultaneous requests, this one included, so that count-then-insert stays below a limit.

    A process that dies meanwhile counts until the minute is over.
    """
    store, (key, ends_at) = server.store, _counter(kind, name, _MINUTE, now)
    try:
        yield store.count(key, ends_at)
    finally:
        store.count(key, ends_at, -1)


def _counter(kind: str, name: str, length: int, now: float) -> tuple[bytes, int]:
    """Return the key of a counter in the current window, and the end of the window."""
    ends_at = (int(now) // length + 1) * length
    text = f"{kind} {ends_at} {name}"
    return values.timestamp(ends_at) + sha256(text.encode("utf-8", "surrogatepass")).digest(), ends_at
