"""Read tokens from a replica of the database first, which sees a revocation after the replication lag."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from copy import copy
from typing import Any, Protocol, TypeVar

from ..records import AccessToken
from .base import IssuerStore

log = logging.getLogger("flask_oauth2")

PAUSE = 30
"""Seconds for which a replica that failed is not read."""

Found = TypeVar("Found")


class TokenReader(Protocol):
    """The part of a store that a guard reads."""

    def get_access(self, key: bytes) -> AccessToken | None:
        """See :meth:`.base.Store.get_access`."""
        ...

    def revoked(self, *ids: str, user: tuple[str, str] | None = None) -> bool:
        """See :meth:`.base.Store.revoked`."""
        ...


class ReplicatedReader:
    """The replica, and the primary for everything that the replica does not have, such as the newest tokens.

    :param clock: seconds of a monotonic clock.
    """

    def __init__(self, primary: TokenReader, replica: TokenReader, clock: Callable[[], float] = time.monotonic) -> None:
        self._primary = primary
        self._replica = replica
        self._clock = clock
        self._away_until = float("-inf")

    def for_issuer(self, issuer_id: str) -> ReplicatedReader:
        """See :meth:`.base.IssuerStore.for_issuer`. Raises :exc:`TypeError` for stores of one issuer only."""
        primary, replica = self._primary, self._replica
        if not (isinstance(primary, IssuerStore) and isinstance(replica, IssuerStore)):
            raise TypeError("a replica of a store of one issuer has no views")
        view = copy(self)
        view._primary, view._replica = primary.for_issuer(issuer_id), replica.for_issuer(issuer_id)
        return view

    def get_access(self, key: bytes) -> AccessToken | None:
        """Read the replica, or else the primary."""
        return self._ask(self._replica.get_access, key) or self._primary.get_access(key)

    def revoked(self, *ids: str, user: tuple[str, str] | None = None) -> bool:
        """Read the replica: a token without a row has revocations only, which arrive there later."""
        found = self._ask(self._replica.revoked, *ids, user=user)
        return self._primary.revoked(*ids, user=user) if found is None else found

    def _ask(self, look: Callable[..., Found], *arguments: Any, **named: Any) -> Found | None:
        """Return the answer of the replica, or None if it is unavailable."""
        now = self._clock()
        if now < self._away_until:
            return None
        try:
            return look(*arguments, **named)
        except Exception as error:  # including a missing table: the primary has it
            self._away_until = now + PAUSE
            log.warning(
                "OAUTH2_READ_REPLICA cannot be read (%s): guards ask the primary for %s seconds",
                type(error.__cause__ or error).__name__,
                PAUSE,
            )
            return None
