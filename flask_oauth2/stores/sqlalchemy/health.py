"""Check the health of a database for ``flask oauth2 doctor``. Change nothing and read no whole table."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, Index

from ... import values
from ..base import HealthIssue
from .engines import is_in_memory
from .schema import Tables

DAY = 86400

_LATE = 7
"""Days after which expired rows should be deleted."""

_LAG = 60
"""Seconds of replication lag that are tolerated."""

_MANY = 10_000
"""Rows from which a planner without statistics goes wrong."""


def check_health(engine: Engine, tables: Tables, now: int) -> Iterator[HealthIssue]:
    """Return the problems of a database whose tables and columns exist."""
    yield from _indexes(engine, tables)
    with engine.connect() as connection:
        yield from _age(connection, tables, now)
        of_dialect = _BY_DIALECT.get(engine.dialect.name)
        if of_dialect is not None:
            yield from of_dialect(connection, tables)


def _indexes(engine: Engine, tables: Tables) -> Iterator[HealthIssue]:
    """Return the missing indexes. Without one, a request reads a whole table."""
    inspector = sa.inspect(engine)
    for table in tables:
        if not table.indexes:
            continue
        there = inspector.get_indexes(table.name, schema=table.schema)
        is_unique = {found["column_names"][0]: bool(found["unique"]) for found in there if len(found["column_names"])}
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            column = next(iter(index.columns)).name
            if column not in is_unique:
                yield HealthIssue(
                    "error",
                    f"the index of {column} of the table {table.name} is missing: a request for one row "
                    "reads all of them",
                    _create(index, engine),
                )
            elif index.unique and not is_unique[column]:
                yield HealthIssue(
                    "warning",
                    f"the index of {column} of the table {table.name} is not unique",
                    f"drop it, then {_create(index, engine)}",
                )


def _create(index: Index, engine: Engine) -> str:
    statement = str(sa.schema.CreateIndex(index).compile(dialect=engine.dialect))
    if engine.dialect.name == "postgresql":
        statement = statement.replace(" INDEX ", " INDEX CONCURRENTLY ", 1)
    return " ".join(statement.split())


def _age(connection: Connection, tables: Tables, now: int) -> Iterator[HealthIssue]:
    """Return whether the oldest token should be gone. Keys begin with a time, so it is the first of the index."""
    token = tables.token
    # what was imported has no time at the front of its key
    stamped = token.c.access_key >= b"\0\0\0\0\0\1"
    oldest = sa.select(token.c.access_key, token.c.expires_at, token.c.refresh_expires_at)
    row = connection.execute(oldest.where(stamped).order_by(token.c.access_key).limit(1)).first()
    if row is None:
        return
    key, expires_at, refresh_expires_at = row
    ended = max(expires_at, refresh_expires_at or 0)
    if ended < now - _LATE * DAY:
        issued = (now - values.second(bytes(key))) // DAY
        yield HealthIssue(
            "warning",
            f"the oldest token was issued {issued} days ago and expired {(now - ended) // DAY} days ago: "
            "expired rows are not deleted",
            "run flask oauth2 purge once a day",
        )


def _sqlite(connection: Connection, tables: Tables) -> Iterator[HealthIssue]:
    if is_in_memory(connection.engine.url):
        yield HealthIssue(
            "warning",
            "the database is in the memory of one process: clients and tokens are lost with it, and no other "
            "worker sees them",
            "set OAUTH2_DATABASE_URI to a file or a server",
        )
        return
    path = str(connection.engine.url.database)
    mode = stat.S_IMODE(os.stat(path).st_mode) if os.path.exists(path) else 0
    if mode & 0o077:
        yield HealthIssue(
            "warning",
            f"other users than its owner may open the database {path} (mode {mode:04o})",
            f"chmod 600 {path}",
            "rfc6819 5.1.4.1.1",
        )
    journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    if str(journal).lower() != "wal":
        yield HealthIssue(
            "note",
            f"the database {path} is not in WAL mode, so that readers wait for writers",
            f"sqlite3 {path} 'PRAGMA journal_mode = WAL'",
        )


def _postgresql(connection: Connection, tables: Tables) -> Iterator[HealthIssue]:
    known = sa.text(
        "SELECT c.reltuples, s.n_live_tup, s.last_analyze, s.last_autoanalyze FROM pg_class c"
        " JOIN pg_stat_user_tables s ON s.relid = c.oid WHERE c.oid = to_regclass(:table)"
    )
    quote = connection.dialect.identifier_preparer.format_table
    for table in tables:
        row = connection.execute(known, {"table": quote(table)}).first()
        if row is not None and max(row[0], row[1]) > _MANY and row[2] is None and row[3] is None:
            yield HealthIssue(
                "warning",
                f"PostgreSQL has never analyzed the table {table.name}, so it guesses how to read it",
                f"ANALYZE {quote(table)}, and turn autovacuum on",
            )
    invalid = sa.text(
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE i.indrelid = to_regclass(:table) AND NOT i.indisvalid"
    )
    for table in tables:
        for name in connection.scalars(invalid, {"table": quote(table)}):
            yield HealthIssue(
                "error",
                f"the index {name} of the table {table.name} was never completed, and no statement uses it",
                f"REINDEX INDEX CONCURRENTLY {name}",
            )


def check_replica(replica: Engine, primary: Engine, tables: Tables, now: int) -> Iterator[HealthIssue]:
    """Return whether a replica lacks a token that was issued before the last minute."""
    key = tables.token.c.access_key
    newest = sa.select(key).where(key < values.timestamp(now - _LAG)).order_by(key.desc()).limit(1)
    with primary.connect() as connection:
        there = connection.scalar(newest)
    same = sa.select(key).where(key == there)
    with replica.connect() as connection:
        lacks = there is not None and connection.scalar(same) is None
    with primary.connect() as connection:
        lacks = lacks and connection.scalar(same) is not None  # a purge may have been in between
    if lacks:
        yield HealthIssue(
            "error",
            f"OAUTH2_READ_REPLICA lacks a token that is more than {_LAG} seconds old: guards accept revoked tokens",
            "check that it is a replica of the same database and why it lags behind, or leave the option out",
            "rfc7009 2.1",
        )


_BY_DIALECT: dict[str, Callable[[Connection, Tables], Iterator[HealthIssue]]] = {
    "sqlite": _sqlite,
    "postgresql": _postgresql,
}
