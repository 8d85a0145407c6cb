"""Statements on connections of the driver: reads in autocommit mode, each write one short transaction.

A database that cannot be reached or is locked raises :exc:`~flask_oauth2.errors.TemporarilyUnavailable`. Any other
error is passed on.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import getpid
from time import monotonic
from typing import Any, NamedTuple

from .connections import ALONE, COMMITTING, OPEN, READY, Connection, Connections
from .unavailable import is_closed, raise_unavailable


class Step(NamedTuple):
    """A statement of a transaction, its parameters by name, and the number of rows that it must touch, if any.

    With a list of parameters, a statement that returns no rows runs for each. Drivers send these together.
    """

    statement: str
    parameters: dict[str, Any] | list[dict[str, Any]]
    rows: int | None = None


class Database:
    """Sends statements on the connections of an engine."""

    def __init__(self, connections: Connections) -> None:
        self.connections = connections
        self._cache = connections.cache

    # fetch() and run() take connections from the cache and return them without a call of their own: the two cost as
    # much as the rest of a SELECT of SQLite

    def fetch(self, statement: str, **parameters: Any) -> list[Any]:
        """Return the rows of a SELECT. If the connection was lost, send it once more on a new connection."""
        is_repeated = False
        while True:
            connection = None
            try:
                own = self._cache.processes.get(getpid()) or self.connections.enter_process()
                try:
                    connection = own.idle.pop()
                except IndexError:
                    connection = self.connections.open(own)
                cursor = connection.driver.cursor()
                cursor.execute(statement, parameters)
                rows: list[Any] = cursor.fetchall()
            except BaseException as error:
                if self.connections.give_up(connection, error) and not is_repeated:
                    is_repeated = True
                    continue
                raise_unavailable(self.connections.engine, error)
                raise
            connection.used_at = now = monotonic()
            home = connection.home
            home.append(connection)
            if now >= own.check_at or home is not own.idle or len(home) > self._cache.limit:
                self.connections.release_surplus(own, home, now)
            return rows

    def run(self, *steps: Step) -> list[Any] | None:
        """Run the steps in one transaction. Return for each step the rows that it returned or how many it touched.

        Return None, and change nothing, if a step touches another number of rows than it must. A single step must
        then have touched no row.

        If the connection was lost before the COMMIT, or the database has undone the transaction because of a deadlock,
        run the steps again.
        """
        is_alone = len(steps) == 1 and self.connections.commits_alone and not isinstance(steps[0].parameters, list)
        is_repeated, attempt = False, 0
        while True:
            connection = None
            try:
                own = self._cache.processes.get(getpid()) or self.connections.enter_process()
                try:
                    connection = own.idle.pop()
                except IndexError:
                    connection = self.connections.open(own)
                if is_alone and self.connections.has_server and is_closed(connection.driver):
                    # the statement must not run twice, so a connection that was lost while idle must not get it
                    lost, connection = connection, None
                    self.connections.drop_lost(lost)
                    connection = self.connections.open(own)
                results = _run_steps(connection, steps, is_alone)
            except BaseException as error:
                has_ended = connection is not None and connection.state in (ALONE, COMMITTING)
                if self.connections.give_up(connection, error) and not (has_ended or is_repeated):
                    is_repeated = True
                    continue
                if self.connections.may_repeat(error, attempt):
                    attempt += 1
                    continue
                raise_unavailable(self.connections.engine, error)
                raise
            connection.used_at = now = monotonic()
            home = connection.home
            home.append(connection)
            if now >= own.check_at or home is not own.idle or len(home) > self._cache.limit:
                self.connections.release_surplus(own, home, now)
            return results


def _run_steps(connection: Connection, steps: Sequence[Step], is_alone: bool) -> list[Any] | None:
    cursor = connection.driver.cursor()
    begin, commit, rollback = connection.transaction
    if is_alone:
        connection.state = ALONE
    else:
        if begin:
            cursor.execute(begin)
        connection.state = OPEN
    results: list[Any] = []
    is_done = True
    for statement, parameters, rows in steps:
        if isinstance(parameters, list):
            cursor.executemany(statement, parameters)
            result = cursor.rowcount
        else:
            cursor.execute(statement, parameters)
            # asking a cursor of psycopg whether it has rows takes a tenth of the time of a statement
            has_rows = statement.startswith("SELECT") or ("RETURNING" in statement and not statement.startswith("WITH"))
            result = cursor.fetchall() if has_rows else cursor.rowcount
        results.append(result)
        if rows is not None and result != rows:
            is_done = False
            break
    if not is_alone:
        if is_done:
            connection.state = COMMITTING
            cursor.execute(commit)
        else:
            for statement in rollback:
                cursor.execute(statement)
    connection.state = READY
    return results if is_done else None
