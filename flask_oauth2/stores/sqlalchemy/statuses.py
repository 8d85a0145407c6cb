"""The status of self-contained tokens in their table."""

from __future__ import annotations

from ... import values
from ...records import TokenStatus
from ..base import NEVER
from .database import Database, Step
from .statements import Statements

COUNTER = values.key("status list")
"""The key of the counter of numbers."""


class StatusTable:
    """The part of the store that is a :class:`~..base.StatusStore`."""

    _issuer_id: str
    _sql: Statements
    _database: Database

    def count(self, key: bytes, expires_at: int, by: int = 1) -> int:
        """See :meth:`.base.Store.count`."""
        raise NotImplementedError

    def reserve_statuses(self, size: int) -> int:
        """See :meth:`.base.StatusStore.reserve_statuses`."""
        return self.count(COUNTER, NEVER, size) - size

    def add_status(self, status: TokenStatus) -> None:
        """See :meth:`.base.StatusStore.add_status`."""
        row = {
            "issuer_id": self._issuer_id,
            "number": status.number,
            "token_id": status.token_id,
            "authorization_id": status.authorization_id,
            "client_id": status.client_id,
            "user_id": status.user_id,
            "consent_id": status.consent_id,
            "expires_at": status.expires_at,
        }
        self._database.run(Step(self._sql.add_status, row))

    def find_revoked_statuses(self, first: int, last: int) -> list[int] | None:
        """See :meth:`.base.StatusStore.find_revoked_statuses`."""
        span = {"first": first, "last": last, "issuer_id": self._issuer_id}
        if self._database.fetch(self._sql.has_statuses, **span)[0][0] is None:
            return None
        return [number for (number,) in self._database.fetch(self._sql.find_revoked_statuses, **span)]
