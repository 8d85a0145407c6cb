"""The states of stored signing keys, which follow from the times in their rows.

A key is *published* from ``created_at``, *active* from ``activates_at``, *retired* from ``retires_at`` and *removed* at
``expires_at``. Every worker reads the same rows and reaches the same state, so workers need not coordinate.

The rule that protects other parties: a key signs no earlier than ``PUBLISHED_AHEAD`` seconds after it is in the
store. This is longer than the time for which any worker may use its copy of the rows, and any other party its copy of
the JWK set, so every copy that is still in use contains the key. ``starts_at()`` enforces it on the rows themselves.

The only exception is the first set of an issuer, of which no older copy exists. One row, which one worker adds, names
its algorithms (``FIRST_SET``). No worker publishes a set before all keys of this row are stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ..records import SigningKey

SET_LIFETIME = 900
"""Seconds for which other parties may use a copy of the JWK set: the ``max-age`` of the response."""

RELOAD_AFTER = 60
"""Seconds after which a worker reads the rows again."""

MAX_STALE = 1800
"""Seconds for which a worker uses the rows that it has read if the store is unavailable."""

PUBLISHED_AHEAD = 3600
"""Seconds from the time at which a key is stored to its first signature: more than ``MAX_STALE``, ``RELOAD_AFTER``,
``SET_LIFETIME`` and the difference of two clocks together."""

PUBLISHED_AFTER = 86400
"""Seconds for which a retired key stays published, or longer if tokens live longer."""

FIRST_SET = "first-set"
"""The ``algorithm`` of the row that names the algorithms of the first set. It holds no key."""

_FIRST_SET_LIFETIME = 3600
"""Seconds for which a worker that finds the first set incomplete completes it."""


def keys_only(rows: Iterable[SigningKey]) -> list[SigningKey]:
    """Return the rows that hold a key."""
    return [row for row in rows if row.algorithm != FIRST_SET]


def starts_at(key: SigningKey) -> int:
    """Return the time of the first signature.

    Only the first key of an algorithm may sign at once, as part of the first set of an issuer. It signs at any time, so
    that a worker whose clock is slow does not have to wait.
    """
    if key.number > 1:
        return max(key.activates_at, key.created_at + PUBLISHED_AHEAD)
    return key.activates_at if key.activates_at > key.created_at else 0


def state_of(key: SigningKey, now: float) -> str:
    """Return ``published``, ``active``, ``retired`` or ``removed``."""
    if is_removed(key, now):
        return "removed"
    if key.retires_at is not None and key.retires_at <= now:
        return "retired"
    return "active" if starts_at(key) <= now else "published"


def is_removed(key: SigningKey, now: float) -> bool:
    """Return whether the key is published no longer."""
    return key.expires_at is not None and key.expires_at <= now


def find_signing(rows: Iterable[SigningKey], algorithm: str, now: float) -> SigningKey | None:
    """Return the newest active key of an algorithm, which signs now, or None."""
    active = [row for row in rows if row.algorithm == algorithm and state_of(row, now) == "active"]
    return max(active, key=lambda row: row.number, default=None)


def find_next(rows: Iterable[SigningKey], algorithm: str, now: float) -> SigningKey | None:
    """Return the published key of an algorithm that will sign next, or None."""
    pending = [row for row in rows if row.algorithm == algorithm and state_of(row, now) == "published"]
    return min(pending, key=lambda row: (starts_at(row), row.number), default=None)


def new_first_set(rows: Sequence[SigningKey], algorithms: Sequence[str], now: float) -> SigningKey | None:
    """Return the row that names the first set if an issuer has no rows yet, or None."""
    if rows:
        return None
    begins_at = int(now)
    return SigningKey(
        id=FIRST_SET,
        algorithm=FIRST_SET,
        number=1,
        encrypted=json.dumps(list(algorithms)).encode(),
        created_at=begins_at,
        activates_at=begins_at,
        retires_at=begins_at,
        expires_at=begins_at + _FIRST_SET_LIFETIME,
    )


def first_set(rows: Iterable[SigningKey], now: float) -> tuple[str, ...]:
    """Return the algorithms of the first set while it may be incomplete."""
    for row in rows:
        if row.algorithm == FIRST_SET and not is_removed(row, now):
            return tuple(json.loads(row.encrypted))
    return ()


def find_missing(
    rows: Sequence[SigningKey], algorithms: Iterable[str], period: int | None, now: float
) -> tuple[str, int, int] | None:
    """Return the algorithm, the number and the first second of a key that must be created, or None.

    :param algorithms: the algorithms that the settings name.
    :param period: seconds after which a key is followed by another.
    """
    configured = tuple(algorithms)
    first = first_set(rows, now)
    for algorithm in dict.fromkeys((*first, *configured)):
        own = [row for row in rows if row.algorithm == algorithm]
        number = 1 + max((row.number for row in own), default=0)
        if not own and algorithm in first:
            return algorithm, number, int(now)
        if algorithm in configured and (begins_at := _next_start(own, period, now)) is not None:
            return algorithm, number, begins_at
    return None


def find_successions(
    rows: Sequence[SigningKey], published_after: int, now: float
) -> Iterator[tuple[SigningKey, SigningKey]]:
    """Yield each key that another has followed, with the times at which it retires and is removed, and as it is.

    :param published_after: seconds for which a retired key stays published.
    """
    for algorithm in sorted({row.algorithm for row in rows}):
        signing = find_signing(rows, algorithm, now)
        for row in rows:
            if signing is None or row.algorithm != algorithm or row.number >= signing.number or row.retires_at:
                continue
            retires_at = starts_at(signing)
            yield replace(row, retires_at=retires_at, expires_at=retires_at + published_after), row


def _next_start(own: Iterable[SigningKey], period: int | None, now: float) -> int | None:
    """Return the first second of the next key of an algorithm if it must be created now."""
    earliest = int(now) + PUBLISHED_AHEAD
    usable = [row for row in own if state_of(row, now) in ("published", "active") and row.retires_at is None]
    if not usable:
        return earliest
    if period is None:
        return None
    due = max(max(row.activates_at, starts_at(row)) for row in usable) + period
    return max(due, earliest) if now >= due - PUBLISHED_AHEAD else None
