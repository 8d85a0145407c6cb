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
    """A statement of a transaction and its parameters by name.

    With a list of parameters, a statement that returns no rows runs for each. Drivers send these together.
    """

    statement: str
    parameters: dict[str, Any] | list[dict[str, Any]]
    rows: int | None = None
    """The number of rows that the statement must touch, if any."""
    returns_rows: bool = False
    """True if the result is rows. Reading this from a cursor of psycopg takes a tenth of the time of a statement."""


class _Repeats(NamedTuple):
    """The number of repetitions of a transaction, by reason."""

    is_lost: bool = False
    conflicts: int = 0


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
        is_alone = len(steps) == self.connections.steps_alone and not isinstance(steps[0].parameters, list)
        must_be_open = is_alone and self.connections.has_server
        repeats = _Repeats()
        while True:
            connection = None
            try:
                own = self._cache.processes.get(getpid()) or self.connections.enter_process()
                try:
                    connection = own.idle.pop()
                except IndexError:
                    connection = self.connections.open(own)
                if must_be_open and is_closed(connection.driver):
                    # the statement must not run twice, so a connection that was lost while idle must not get it
                    lost, connection = connection, None
                    self.connections.drop_lost(lost)
                    connection = self.connections.open(own)
                results = _run_steps(connection, steps, is_alone)
            except BaseException as error:
                again = self._repeat(connection, error, repeats)
                if again is None:
                    raise
                repeats = again
                continue
            connection.used_at = now = monotonic()
            home = connection.home
            home.append(connection)
            if now >= own.check_at or home is not own.idle or len(home) > self._cache.limit:
                self.connections.release_surplus(own, home, now)
            return results

    def _repeat(self, connection: Connection | None, error: BaseException, repeats: _Repeats) -> _Repeats | None:
        """Give up a connection after an error. Return None if the transaction must not run again.

        Raises :exc:`~flask_oauth2.errors.TemporarilyUnavailable` if this is the meaning of the error. The caller raises
        other errors: a function that raises its own argument forms a cycle, which keeps the cursor open.
        """
        has_ended = connection is not None and connection.state in (ALONE, COMMITTING)
        if self.connections.give_up(connection, error) and not (has_ended or repeats.is_lost):
            return repeats._replace(is_lost=True)
        if self.connections.may_repeat(error, repeats.conflicts):
            return repeats._replace(conflicts=repeats.conflicts + 1)
        raise_unavailable(self.connections.engine, error)
        return None


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
    for statement, parameters, rows, returns_rows in steps:
        if isinstance(parameters, list):
            cursor.executemany(statement, parameters)
            result = cursor.rowcount
        else:
            cursor.execute(statement, parameters)
            result = cursor.fetchall() if returns_rows else cursor.rowcount
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
