"""Tables of another library, read by field names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ...errors import ConfigurationError
from ...stores.sqlalchemy.foreign_tables import Change, ForeignDatabase, ForeignTable
from .base import Columns, Row, Source
from .run import Options

_SECRET = frozenset({"access_token", "refresh_token", "client_secret"})
"""Fields whose values never appear in a report."""


class SourceRow(NamedTuple):
    """A row: its identity in a report, its primary key, and its values by field."""

    identity: str
    key: tuple[Any, ...]
    row: Row


class Rows:
    """The rows of a table.

    Raise :exc:`ConfigurationError` if the table does not exist or does not belong to the library.
    """

    def __init__(
        self, database: ForeignDatabase, name: str, columns: Columns, source: Source, options: Options
    ) -> None:
        table = database.find(name)
        if table is None:
            raise ConfigurationError(
                f"the table {name} does not exist: pass --client-table or --token-table with one of "
                + ", ".join(database.list_names())
            )
        if not table.key:
            raise ConfigurationError(
                f"the table {name} has no primary key, which the import needs to read rows in order: add a primary key"
            )
        self.name = name
        self._table = table
        self._database = database
        self._columns = {
            name: found
            for name, names in columns.items()
            if (found := _first(table, (options.columns.get(name), *names))) is not None
        }
        self.columns = frozenset(self._columns.values())
        missing = (source.required & set(columns)) - set(self._columns)
        if missing:
            raise ConfigurationError(
                f"the table {name} is not a table of {source.name}, because it lacks "
                f"{', '.join(sorted(missing))}: pass --client-table or --token-table with the right table, or "
                "--column with the right columns"
            )
        self._is_shown = not set(table.key) & {self._columns.get(name) for name in _SECRET}

    def __len__(self) -> int:
        return self._database.count(self._table)

    def read(self) -> Iterator[list[SourceRow]]:
        """Yield the rows in batches."""
        number = 0
        for batch in self._database.read(self._table):
            reads = []
            for found in batch:
                number += 1
                key = tuple(found[name] for name in self._table.key)
                identity = ", ".join(map(str, key)) if self._is_shown else f"row {number}"
                reads.append(SourceRow(identity, key, {field: found[name] for field, name in self._columns.items()}))
            yield reads

    def change(self, read: SourceRow, new: Mapping[str, str]) -> list[Change]:
        """Return the change of a row to new values by field, or an empty list if there are none."""
        columns = {self._columns[field]: (read.row[field], value) for field, value in new.items()}
        old, then = ({name: pair[side] for name, pair in columns.items()} for side in (0, 1))
        return [Change(read.key, old, then)] if new else []

    def rewrite(self, changes: Iterable[Change]) -> int:
        """Write the changes to the table and return the number of changed rows."""
        return self._database.rewrite(self._table, changes)

    def check_length(self, field: str, length: int) -> None:
        """Raise :exc:`ConfigurationError` if the column of a field is too short for digests of that length."""
        name = self._columns.get(field)
        longest = None if name is None else self._table.columns[name]
        if longest is not None and longest < length:
            raise ConfigurationError(
                f"the column {name} of {self.name} holds {longest} characters, but token digests have {length}: "
                "make the column longer"
            )


def _first(table: ForeignTable, names: Iterable[str | None]) -> str | None:
    return next((name for name in names if name in table.columns), None)
