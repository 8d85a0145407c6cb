"""An INSERT of a row whose key may exist already, in the syntax of each dialect."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, case
from sqlalchemy.sql import visitors

from .schema import COLLATIONS


class Upsert:
    """A row to insert.

    :param dialect: the name of the dialect.
    :param values: the row by column.
    """

    def __init__(self, dialect: str, table: Table, values: Mapping[str, Any]) -> None:
        self._table = table
        self._is_mysql = dialect in COLLATIONS
        name = "mysql" if self._is_mysql else dialect
        self._insert: Any = import_module(f"sqlalchemy.dialects.{name}").insert(table).values(values)
        self.proposed: Any = self._insert.inserted if self._is_mysql else self._insert.excluded
        """The columns of the new row, for the right side of a change."""

    @property
    def rest(self) -> dict[str, Any]:
        """Return the change of all columns except the key."""
        keys = list(self._table.primary_key)
        return {column.name: self.proposed[column.key] for column in self._table.columns if column not in keys}

    @property
    def adding(self) -> Any:
        """Return the statement that leaves an existing row alone.

        On MariaDB and MySQL it raises the driver's ``IntegrityError`` instead.
        """
        return self._insert if self._is_mysql else self._insert.on_conflict_do_nothing()

    def replacing(self, change: Mapping[str, Any], only_if: ColumnElement[bool] | None = None) -> Any:
        """Return the statement that changes an existing row. If ``only_if`` is given, it must hold for this row."""
        if not self._is_mysql:
            return self._insert.on_conflict_do_update(
                index_elements=list(self._table.primary_key), set_=change, where=only_if
            )
        if only_if is None:
            return self._insert.on_duplicate_key_update(dict(change))
        # the server changes one column after the other, so the columns in the condition come last
        compared = {element.name for element in visitors.iterate(only_if) if isinstance(element, Column)}
        names = sorted(change, key=lambda name: name in compared)
        return self._insert.on_duplicate_key_update(
            [(name, case((only_if, change[name]), else_=self._table.c[name])) for name in names]
        )
