"""Sessions and their clients in their tables."""

from __future__ import annotations

from ...records import Session
from . import rows
from .database import Database, Step
from .statements import Statements


class SessionTables:
    """The part of the store that is a :class:`~..base.SessionStore`."""

    _issuer_id: str
    _sql: Statements
    _database: Database

    def add_session(self, session: Session) -> None:
        """See :meth:`.base.SessionStore.add_session`."""
        self._database.run(Step(self._sql.add_session, rows.write_session(session, self._issuer_id)))

    def get_session(self, session_id: str) -> Session | None:
        """See :meth:`.base.SessionStore.get_session`."""
        if "\0" in session_id:  # a character that PostgreSQL's text cannot hold
            return None
        found = self._database.fetch(self._sql.get_session, id=session_id, issuer_id=self._issuer_id)
        return rows.read_session(found[0]) if found else None

    def list_sessions(self, user_id: str) -> list[Session]:
        """See :meth:`.base.SessionStore.list_sessions`."""
        found = self._database.fetch(self._sql.list_sessions, user_id=user_id, issuer_id=self._issuer_id)
        return [rows.read_session(row) for row in found]

    def end_session(self, session_id: str, now: int) -> bool:
        """See :meth:`.base.SessionStore.end_session`."""
        row = {"id": session_id, "now": now, "issuer_id": self._issuer_id}
        return self._database.run(Step(self._sql.end_session, row, 1)) is not None

    def add_session_client(self, session_id: str, client_id: str) -> None:
        """See :meth:`.base.SessionStore.add_session_client`."""
        row = {"session_id": session_id, "client_id": client_id, "issuer_id": self._issuer_id}
        self._database.run(Step(self._sql.add_session_client, row))

    def list_session_clients(self, session_id: str) -> list[str]:
        """See :meth:`.base.SessionStore.list_session_clients`."""
        found = self._database.fetch(self._sql.list_session_clients, session_id=session_id, issuer_id=self._issuer_id)
        return [row[0] for row in found]
