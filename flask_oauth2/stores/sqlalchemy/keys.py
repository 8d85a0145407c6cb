"""Signing keys in their table."""

from __future__ import annotations

from typing import Any

from ...records import SigningKey
from . import rows
from .database import Database, Step
from .statements import Statements


class KeyTable:
    """The part of the store that is a :class:`~..base.KeyStore`."""

    engine: Any
    _issuer_id: str
    _sql: Statements
    _database: Database

    def list_keys(self) -> list[SigningKey]:
        """See :meth:`.base.KeyStore.list_keys`."""
        return [rows.read_key(row) for row in self._database.fetch(self._sql.list_keys, issuer_id=self._issuer_id)]

    def add_key(self, key: SigningKey) -> bool:
        """See :meth:`.base.KeyStore.add_key`."""
        try:
            add = Step(self._sql.add_key, rows.write_key(key, self._issuer_id), 1)
            return self._database.run(add) is not None
        except self.engine.dialect.loaded_dbapi.IntegrityError:  # MariaDB and MySQL report an existing key with it
            return False

    def change_key(self, key: SigningKey, before: SigningKey) -> bool:
        """See :meth:`.base.KeyStore.change_key`."""
        if key == before:  # MariaDB and MySQL do not count a row that stays as it is
            return before in self.list_keys()
        row = rows.write_key(key, self._issuer_id) | {
            "encrypted_before": before.encrypted,
            "activates_at_before": before.activates_at,
            "retires_at_before": before.retires_at,
            "expires_at_before": before.expires_at,
        }
        return self._database.run(Step(self._sql.change_key, row, 1)) is not None

    def delete_key(self, key: SigningKey) -> bool:
        """See :meth:`.base.KeyStore.delete_key`."""
        row = rows.write_key(key, self._issuer_id)
        return self._database.run(Step(self._sql.delete_key, row, 1)) is not None
