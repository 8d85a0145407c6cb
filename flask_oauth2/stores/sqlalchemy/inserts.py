"""INSERT statements, assembled from the columns of a row and built once for each combination of columns."""

from __future__ import annotations

from sqlalchemy import Dialect, Table, bindparam


class Inserts(dict[tuple[str, ...], str]):
    """The INSERT statements of a table by the names of their columns."""

    def __init__(self, table: Table, dialect: Dialect) -> None:
        super().__init__()
        quote = dialect.identifier_preparer
        self._table = quote.format_table(table)
        self._columns = {column.name: quote.quote(column.name) for column in table.columns}
        self._values = {
            column.name: str(bindparam(column.name, type_=column.type).compile(dialect=dialect))
            for column in table.columns
        }

    def __missing__(self, names: tuple[str, ...]) -> str:
        columns = ", ".join(self._columns[name] for name in names)
        values = ", ".join(self._values[name] for name in names)
        self[names] = statement = f"INSERT INTO {self._table} ({columns}) VALUES ({values})"  # noqa: S608
        return statement


class SpendingInserts(dict[tuple[str, str], str]):
    """The statements that add a row if an UPDATE touches one, by the UPDATE and the INSERT. PostgreSQL only.

    One statement in autocommit mode is one round trip, and a transaction of two statements is four.
    """

    def __missing__(self, pair: tuple[str, str]) -> str:
        spend, insert = pair
        into, _, values = insert.partition(" VALUES (")
        self[pair] = statement = f"WITH spent AS ({spend} RETURNING 1) {into} SELECT {values[:-1]} FROM spent"  # noqa: S608
        return statement
