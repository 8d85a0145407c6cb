"""Statements on the driver's own connections, from the pool of an engine: reads in autocommit, each write one short
transaction.

Whatever happens, the connection goes back as it came. A database that is away or locked raises
:exc:`~flask_oauth2.errors.TemporarilyUnavailable`; any other error is passed on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from os import getpid
from typing import Any, NamedTuple

from sqlalchemy import Engine

from .absence import is_closed, is_loss, raise_absence
from .forks import own_pool


class Step(NamedTuple):
    """SQL of a transaction, its parameters by name, and how many rows it must touch, where all hangs on that.

    With a list of parameters a statement that returns nothing is run for each, which drivers send together.
    """

    statement: str
    parameters: dict[str, Any] | list[dict[str, Any]]
    rows: int | None = None


def run_each(driver: Any, step: Step) -> int:
    """Run a step with a list of parameters: how many rows it touched."""
    cursor = driver.cursor()
    cursor.executemany(step.statement, step.parameters)
    touched: int = cursor.rowcount
    cursor.close()
    return touched


def _returns_rows(statement: str) -> bool:
    """Whether it does: to ask the cursor for its columns costs psycopg a tenth of a SELECT."""
    return statement.startswith("SELECT") or "RETURNING" in statement


class Database:
    """What all have in common; each says how a transaction begins and ends there."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._pid = getpid()
        self._take: Callable[[], Any] = engine.raw_connection
        self._commits_alone = False
        """Whether what is run by itself is committed by itself: a transaction would cost two statements more."""

    def fetch(self, statement: str, **parameters: Any) -> Any:
        """Return the rows of a SELECT, or how many rows another statement touched.

        If the connection was lost while it was idle, the statement is sent once more on a new connection.
        """
        if self._pid != getpid():
            self._enter_process()
        is_safe = statement.startswith("SELECT") or not self._commits_alone
        is_repeated = False
        while True:
            connection = None
            try:
                connection = self._take()
                driver = connection.dbapi_connection
                if not (is_safe or is_repeated) and is_closed(driver):
                    is_repeated = True
                    self._discard(connection)
                    continue
                state = self._leave_transaction(driver)
                try:
                    cursor = driver.cursor()
                    cursor.execute(statement, parameters)
                    result = cursor.fetchall() if _returns_rows(statement) else cursor.rowcount
                    cursor.close()
                except BaseException:
                    with suppress(self.engine.dialect.loaded_dbapi.Error):  # it says less than what led to it
                        self._restore(driver, state)
                    raise
                self._restore(driver, state)
            except BaseException as error:
                if self._give_up(connection, error) and is_safe and not is_repeated:
                    is_repeated = True
                    continue
                raise_absence(self.engine, error)
                raise
            connection.close()
            return result

    def run(self, *steps: Step) -> list[Any] | None:
        """Run the steps in one transaction: for each the rows that it returns, or how many it touched.

        None, and nothing is done, where a step touches another number of rows than it must. A step that is alone must
        then have touched none.
        """
        if len(steps) == 1 and self._commits_alone and not isinstance(steps[0].parameters, list):
            result = self.fetch(steps[0].statement, **steps[0].parameters)
            return [result] if steps[0].rows in (None, result) else None
        return self._run_together(steps) if steps else []

    def _run_together(self, steps: Sequence[Step]) -> list[Any] | None:
        if self._pid != getpid():
            self._enter_process()
        is_repeated = False
        while True:
            connection = None
            results: list[Any] = []
            well = True
            is_ending = False
            try:
                connection = self._take()
                driver = connection.dbapi_connection
                state = self._begin(driver)
                try:
                    cursor = driver.cursor()
                    for step in steps:
                        statement, parameters, rows = step
                        if isinstance(parameters, list):
                            result = run_each(driver, step)
                        else:
                            cursor.execute(statement, parameters)
                            result = cursor.fetchall() if _returns_rows(statement) else cursor.rowcount
                        results.append(result)
                        if rows is not None and result != rows:
                            well = False
                            break
                    cursor.close()
                except BaseException:
                    with suppress(self.engine.dialect.loaded_dbapi.Error):
                        self._end(driver, state, False)
                    raise
                is_ending = True
                self._end(driver, state, well)
            except BaseException as error:
                # without a COMMIT the server has undone everything
                if self._give_up(connection, error) and not is_ending and not is_repeated:
                    is_repeated = True
                    continue
                raise_absence(self.engine, error)
                raise
            connection.close()
            return results if well else None

    def _enter_process(self) -> None:
        """Take connections of this process from now on: it was forked."""
        own_pool(self.engine)
        self._pid = getpid()

    def _leave_transaction(self, driver: Any) -> Any:
        """Make the connection one that commits each statement by itself. What to restore afterwards."""

    def _restore(self, driver: Any, state: Any) -> None:
        """Make it what it was."""

    def _begin(self, driver: Any) -> Any:
        """Open a transaction. What to restore after it."""
        raise NotImplementedError

    def _end(self, driver: Any, state: Any, well: bool) -> None:
        """Commit it, or undo all."""
        if well:
            driver.commit()
        else:
            driver.rollback()

    def _give_up(self, connection: Any, error: BaseException) -> bool:
        """Give the connection back if it is still good. Return whether it was lost."""
        if connection is None:
            return False
        if not is_loss(self.engine, error, connection.dbapi_connection):
            connection.close()
            return False
        self._discard(connection)
        return True

    def _discard(self, connection: Any) -> None:
        """Close a connection that was lost, and the others of the pool, which went the same way."""
        connection.invalidate()
        self.engine.dispose()
