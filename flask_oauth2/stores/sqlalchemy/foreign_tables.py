"""Tables of another library: found by name, and read in batches in the order of their primary key.

Columns have no types: values are those of the driver, so that one odd value spoils no batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Engine, exc

from ...errors import ConfigurationError
from .unavailable import translate_errors

BATCH = 500
"""The number of rows of a batch."""


class Change(NamedTuple):
    """New values of columns in the row with a key, if it still has the old ones."""

    key: tuple[Any, ...]
    old: Mapping[str, Any]
    new: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ForeignTable:
    """A table: its name, its columns with their lengths (None: no limit), and the columns of its primary key."""

    name: str
    columns: Mapping[str, int | None]
    key: tuple[str, ...]


class ForeignDatabase:
    """The database of an engine of any dialect of SQLAlchemy."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, uri: str) -> ForeignDatabase:
        """Open the database of a URI. Raises :exc:`ConfigurationError` if it does not exist."""
        try:
            url = sa.make_url(uri)
            engine = sa.create_engine(url)
        except (exc.ArgumentError, ValueError):
            raise ConfigurationError(
                "this is no database URI that SQLAlchemy knows; one is sqlite:////full/path.sqlite"
            ) from None
        except ModuleNotFoundError as error:
            raise ConfigurationError(f"the database URI needs the driver {error.name}: install it") from error
        is_file = engine.dialect.name == "sqlite" and url.database not in (None, "", ":memory:")
        if is_file and "uri" not in url.query and not os.path.exists(str(url.database)):
            raise ConfigurationError(f"there is no file {url.database}")
        return cls(engine)

    def find(self, name: str) -> ForeignTable | None:
        """Return the table with this name, which may begin with a schema and a dot, or None."""
        schema, table = _split(name)
        with _plain_errors(self.engine):
            inspector = sa.inspect(self.engine)
            if not inspector.has_table(table, schema=schema):
                return None
            columns = {
                column["name"]: getattr(column["type"], "length", None)
                for column in inspector.get_columns(table, schema=schema)
            }
            key = inspector.get_pk_constraint(table, schema=schema)["constrained_columns"]
        return ForeignTable(name, columns, tuple(key))

    def list_names(self) -> list[str]:
        """Return the names of the tables."""
        with _plain_errors(self.engine):
            return sorted(sa.inspect(self.engine).get_table_names())

    def count(self, table: ForeignTable) -> int:
        """Return the number of rows of a table."""
        with _plain_errors(self.engine), self.engine.connect() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(_clause(table))) or 0)

    def read(self, table: ForeignTable) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows of a table with a primary key, in batches. Hold no connection between two of them."""
        clause = _clause(table)
        key = [clause.c[name] for name in table.key]
        first = sa.select(*clause.c).order_by(*key).limit(BATCH)
        statement = first
        while True:
            with _plain_errors(self.engine), self.engine.connect() as connection:
                rows = [dict(row) for row in connection.execute(statement).mappings()]
            if not rows:
                return
            yield rows
            last = [rows[-1][name] for name in table.key]
            statement = first.where(sa.tuple_(*key) > sa.tuple_(*last) if key[1:] else key[0] > last[0])

    def rewrite(self, table: ForeignTable, changes: Iterable[Change]) -> int:
        """Make changes in one transaction. Return the number of rows that still had the old values."""
        clause, rewritten = _clause(table), 0
        with _plain_errors(self.engine), self.engine.begin() as connection:
            for key, old, new in changes:
                held = {**dict(zip(table.key, key, strict=True)), **old}
                statement = sa.update(clause).where(*(clause.c[name] == value for name, value in held.items()))
                rewritten += connection.execute(statement.values(dict(new))).rowcount
        return rewritten


def _clause(table: ForeignTable) -> sa.TableClause:
    schema, name = _split(table.name)
    return sa.table(name, *(sa.column(column) for column in table.columns), schema=schema)


def _split(name: str) -> tuple[str | None, str]:
    schema, _, table = name.rpartition(".")
    return schema or None, table


@contextmanager
def _plain_errors(engine: Engine) -> Iterator[None]:
    """Raise errors with one line of the driver: those of SQLAlchemy show the values of the rows."""
    try:
        with translate_errors(engine):
            yield
    except exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or type(error).__name__).partition("\n")[0]
        raise ConfigurationError(f"the database refused what was asked of it: {reason}") from None
