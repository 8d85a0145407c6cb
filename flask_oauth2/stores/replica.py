"""Where guards look: at a copy of the database first, which knows of a revocation a moment later."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from ..records import AccessToken

log = logging.getLogger("flask_oauth2")

PAUSE = 30
"""Seconds for which a replica that failed is not asked."""

Found = TypeVar("Found")


class TokenReader(Protocol):
    """What a guard needs of a store."""

    def get_access(self, key: bytes) -> AccessToken | None:
        """See :meth:`.base.Store.get_access`."""
        ...

    def revoked(self, *marks: str, user: tuple[str, str] | None = None) -> bool:
        """See :meth:`.base.Store.revoked`."""
        ...


class ReplicatedReader:
    """The replica, and the primary wherever the replica knows nothing: what was issued a moment ago is never unknown.

    :param clock: seconds that only count up.
    """

    def __init__(self, primary: TokenReader, replica: TokenReader, clock: Callable[[], float] = time.monotonic) -> None:
        self._primary = primary
        self._replica = replica
        self._clock = clock
        self._away_until = float("-inf")

    def get_access(self, key: bytes) -> AccessToken | None:
        """By the replica, or else by the primary."""
        return self._ask(self._replica.get_access, key) or self._primary.get_access(key)

    def revoked(self, *marks: str, user: tuple[str, str] | None = None) -> bool:
        """By the replica: a token without a row has its marks alone, which come later there."""
        found = self._ask(self._replica.revoked, *marks, user=user)
        return self._primary.revoked(*marks, user=user) if found is None else found

    def _ask(self, look: Callable[..., Found], *arguments: Any, **named: Any) -> Found | None:
        """What the replica says; None where it is away."""
        now = self._clock()
        if now < self._away_until:
            return None
        try:
            return look(*arguments, **named)
        except Exception as error:  # whatever it lacks, a table too, the primary has
            self._away_until = now + PAUSE
            log.warning(
                "OAUTH2_REPLICA cannot be read (%s): guards ask the primary for %s seconds",
                type(error.__cause__ or error).__name__,
                PAUSE,
            )
            return None
