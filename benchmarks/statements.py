"""The SQL statements that reach a driver, counted in the same way for all libraries: in sqlite3 and psycopg.

Counting has no cost while it is off.
"""

from __future__ import annotations

import re
import sqlite3
import sqlite3.dbapi2
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

_connections: list[sqlite3.Connection] = []
_BEGINS = re.compile(r"\s*BEGIN\b", re.I)
_ENDS = re.compile(r"\s*(COMMIT|END|ROLLBACK)\b(?!\s+TO)", re.I)
_ROLLS_BACK = re.compile(r"\s*ROLLBACK\b", re.I)
_IGNORED = re.compile(r"\s*(PRAGMA|SAVEPOINT|RELEASE|ROLLBACK|SET|--)", re.I)
_WRITES = re.compile(r"\b(INSERT|UPDATE|DELETE|REPLACE)\b", re.I)


def record_connections() -> None:
    """Record every connection that sqlite3 opens. Call this before the first connection is opened."""
    connect: Any = sqlite3.connect

    def connect_and_record(*arguments: Any, **options: Any) -> Any:
        connection = connect(*arguments, **options)
        _connections.append(connection)
        return connection

    for module in (sqlite3, sqlite3.dbapi2):
        module.connect = connect_and_record  # type: ignore[attr-defined]


@contextmanager
def watch() -> Iterator[list[str]]:
    """Yield a list that receives the statements sent inside the context."""
    seen: list[str] = []
    before = list(_connections)
    for connection in before:
        _trace(connection, seen.append)
    try:
        with _watch_psycopg(seen):
            yield seen
    finally:
        for connection in before:
            _trace(connection, None)


def _trace(connection: sqlite3.Connection, see: Any) -> None:
    with suppress(sqlite3.ProgrammingError):  # the connection is closed or belongs to another thread
        connection.set_trace_callback(see)


@contextmanager
def _watch_psycopg(seen: list[str]) -> Iterator[None]:
    psycopg = sys.modules.get("psycopg")
    if psycopg is None:
        yield
        return
    execute, commit = psycopg.Cursor.execute, psycopg.Connection.commit
    idle = psycopg.pq.TransactionStatus.IDLE

    def see_execute(cursor: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        if not cursor.connection.autocommit and cursor.connection.info.transaction_status == idle:
            seen.append("BEGIN")
        seen.append(query.decode() if isinstance(query, bytes) else str(query))
        return execute(cursor, query, *arguments, **options)

    def see_commit(connection: Any) -> None:
        if connection.info.transaction_status != idle:
            seen.append("COMMIT")
        commit(connection)

    psycopg.Cursor.execute, psycopg.Connection.commit = see_execute, see_commit
    try:
        yield
    finally:
        psycopg.Cursor.execute, psycopg.Connection.commit = execute, commit


def count(seen: Iterable[str]) -> tuple[int, int]:
    """Return the number of statements and of commits. A write outside a transaction counts as a commit."""
    statements = commits = 0
    in_transaction = has_written = False
    for text in seen:
        if _BEGINS.match(text):
            in_transaction, has_written = True, False
        elif _ENDS.match(text):
            commits += has_written and not _ROLLS_BACK.match(text)
            in_transaction = has_written = False
        elif not _IGNORED.match(text):
            statements += 1
            writes = bool(_WRITES.search(text))
            commits += writes and not in_transaction
            has_written |= writes and in_transaction
    return statements, commits
