"""Statements on the driver's own connections, from the pool of an engine: reads in autocommit, each write one short
transaction.

Whatever happens, the connection goes back as it came. A database that is away or locked raises
:exc:`~flask_oauth2.errors.TemporarilyUnavailable`; any other error is passed on.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any, NamedTuple
from weakref import WeakSet

from sqlalchemy import Engine, event, exc
from sqlalchemy.pool import Pool, QueuePool, SingletonThreadPool, StaticPool

from ...errors import TemporarilyUnavailable

_RETRY_AFTER = 1
_IN_MEMORY = StaticPool, SingletonThreadPool


class Step(NamedTuple):
    """SQL of a transaction, its parameters by name, and how many rows it must touch, where all hangs on that."""

    statement: str
    parameters: dict[str, Any]
    rows: int | None = None


def _returns_rows(statement: str) -> bool:
    """Whether it does: to ask the cursor for its columns costs psycopg a tenth of a SELECT."""
    return statement.startswith("SELECT") or "RETURNING" in statement


class Database:
    """SQLite in a file. Its driver opens no transaction for a SELECT."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._take: Callable[[], Any] = engine.raw_connection
        self._commits_alone = False
        """Whether what is run by itself is committed by itself: a transaction would cost two statements more."""

    def fetch(self, statement: str, **parameters: Any) -> Any:
        """The rows of a SELECT; of a statement that returns none, how many it touched."""
        connection = None
        try:
            connection = self._take()
            driver = connection.dbapi_connection
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
            self._give_up(connection, error)
            raise
        connection.close()
        return result

    def run(self, *steps: Step) -> list[Any] | None:
        """Run the steps in one transaction: for each the rows that it returns, or how many it touched.

        None, and nothing is done, where a step touches another number of rows than it must. A step that is alone must
        then have touched none.
        """
        if len(steps) == 1 and self._commits_alone:
            result = self.fetch(steps[0].statement, **steps[0].parameters)
            return [result] if steps[0].rows in (None, result) else None
        return self._run_together(steps) if steps else []

    def _run_together(self, steps: Sequence[Step]) -> list[Any] | None:
        connection = None
        results: list[Any] = []
        well = True
        try:
            connection = self._take()
            driver = connection.dbapi_connection
            state = self._begin(driver)
            try:
                cursor = driver.cursor()
                for statement, parameters, rows in steps:
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
            self._end(driver, state, well)
        except BaseException as error:
            self._give_up(connection, error)
            raise
        connection.close()
        return results if well else None

    def _leave_transaction(self, driver: Any) -> Any:
        """Make the connection one that commits each statement by itself. What to restore afterwards."""

    def _restore(self, driver: Any, state: Any) -> None:
        """Make it what it was."""

    def _begin(self, driver: Any) -> Any:
        """Take the lock first, so that nothing read before can be stale."""
        if not driver.in_transaction:  # a driver whose own autocommit is off always is in one
            driver.execute("BEGIN IMMEDIATE")

    def _end(self, driver: Any, state: Any, well: bool) -> None:
        if well:
            driver.commit()
        else:
            driver.rollback()

    def _give_up(self, connection: Any, error: BaseException) -> None:
        """Give the connection back if it is still good, and raise what the database's absence is called here."""
        dialect = self.engine.dialect
        driver = dialect.loaded_dbapi
        if connection is not None:
            if isinstance(error, driver.Error) and dialect.is_disconnect(error, connection.dbapi_connection, None):
                connection.invalidate()
                self.engine.dispose()  # the others in the pool went the same way
            else:
                connection.close()
        _raise_absence(self.engine, error)


class Kept(Database):
    """SQLite in a file, on connections that are kept open: to take one from a pool costs as much as a SELECT.

    The engine's pool makes them and then forgets them, so its own places stay free for the application.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._commits_alone = True
        self.idle: list[Any] = []
        """The driver's connections that nobody uses now, the last used at the end."""
        _KEPT.add(self)
        event.listen(engine, "engine_disposed", self._close_idle)

    def fetch(self, statement: str, **parameters: Any) -> Any:
        """The same as from a pool, without what does not arise here."""
        idle, driver = self.idle, None
        try:
            try:
                driver = idle.pop()
            except IndexError:
                driver = self._connect()
            cursor = driver.execute(statement, parameters)
            result = cursor.fetchall() if cursor.description else cursor.rowcount
        except BaseException as error:
            self._drop(driver, error)
            raise
        idle.append(driver)
        if idle is not self.idle:
            _close_all(idle)
        return result

    def _run_together(self, steps: Sequence[Step]) -> list[Any] | None:
        idle, driver = self.idle, None
        results: list[Any] = []
        well = True
        try:
            try:
                driver = idle.pop()
            except IndexError:
                driver = self._connect()
            driver.execute("BEGIN IMMEDIATE")
            for statement, parameters, rows in steps:
                cursor = driver.execute(statement, parameters)
                result = cursor.fetchall() if cursor.description else cursor.rowcount
                results.append(result)
                if rows is not None and result != rows:
                    well = False
                    break
            driver.execute("COMMIT" if well else "ROLLBACK")
        except BaseException as error:
            self._drop(driver, error)
            raise
        idle.append(driver)
        if idle is not self.idle:
            _close_all(idle)
        return results if well else None

    def _connect(self) -> Any:
        pooled = self.engine.raw_connection()
        driver: Any = pooled.dbapi_connection
        pooled.detach()
        if hasattr(driver, "autocommit"):
            driver.autocommit = -1  # LEGACY_TRANSACTION_CONTROL of Python 3.12, so that the next line holds
        driver.isolation_level = None
        return driver

    def _drop(self, driver: Any, error: BaseException) -> None:
        """Close a connection on which something failed, which ends what was open, and say what is called absence."""
        if driver is not None:
            driver.close()
        _raise_absence(self.engine, error)

    def _close_idle(self, _: Engine) -> None:
        """Close those that nobody uses now; the others are closed when they come back."""
        idle, self.idle = self.idle, []
        _close_all(idle)


def _close_all(drivers: list[Any]) -> None:
    while drivers:
        drivers.pop().close()


class PostgreSQL(Database):
    """PostgreSQL: autocommit for what stands alone, or each would cost a BEGIN and a COMMIT on the wire."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._commits_alone = True

    def _leave_transaction(self, driver: Any) -> Any:
        """Even where the application's engine is in autocommit, or left a transaction open."""
        driver.rollback()  # nothing goes over the wire where none is open
        before = driver.autocommit
        driver.autocommit = True
        return before

    def _restore(self, driver: Any, state: Any) -> None:
        driver.autocommit = state

    def _begin(self, driver: Any) -> Any:
        before = self._leave_transaction(driver)
        driver.autocommit = False
        return before

    def _end(self, driver: Any, state: Any, well: bool) -> None:
        try:
            super()._end(driver, state, well)
        finally:
            driver.autocommit = state


class InMemory(Database):
    """SQLite in memory: one connection, on which the application's own transaction may be open.

    It is never given back to the pool, which would roll that back; our threads take turns.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._take = _Turns(engine).take

    def _begin(self, driver: Any) -> Any:
        """A savepoint, where a transaction is open."""
        is_inner: bool = driver.in_transaction
        driver.execute("SAVEPOINT oauth2" if is_inner else "BEGIN IMMEDIATE")
        return is_inner

    def _end(self, driver: Any, state: Any, well: bool) -> None:
        if not state:
            super()._end(driver, state, well)
            return
        if not well:
            driver.execute("ROLLBACK TO oauth2")
        driver.execute("RELEASE oauth2")


class _Turns:
    """The one connection of a database in memory, as a pool would hand it out: ``close`` ends a thread's turn."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = Lock()
        self._pool: Pool | None = None
        self._connection: Any = None
        self.close = self._lock.release

    def take(self) -> Any:
        """The connection, once our other threads are done with it."""
        self._lock.acquire()
        try:
            if self._pool is not self._engine.pool:  # the first time, or the engine was disposed of
                self._connection = self._engine.raw_connection()
                self._pool = self._engine.pool
        except BaseException:
            self._lock.release()
            raise
        return self

    @property
    def dbapi_connection(self) -> Any:
        """The driver's connection."""
        return self._connection.dbapi_connection

    def invalidate(self) -> None:
        """Whoever closed it took the database with it, and may make another."""
        self._pool = None
        self._lock.release()


def connect(engine: Engine) -> Database:
    """The database of an engine."""
    _ENGINES.add(engine)
    if engine.dialect.name == "postgresql":
        return PostgreSQL(engine)
    if isinstance(engine.pool, _IN_MEMORY):
        return InMemory(engine)
    # whoever chose another pool, such as one that keeps nothing, meant it
    return Kept(engine) if isinstance(engine.pool, QueuePool) else Database(engine)


_ENGINES: WeakSet[Engine] = WeakSet()
_KEPT: WeakSet[Kept] = WeakSet()

_INHERITED: list[Any] = []
"""What the parent process has connections in. A child keeps it, since to collect connections would be to close them."""


def _forget_in_child() -> None:
    """Let a forked process open connections of its own: one connection serves one process."""
    for kept in _KEPT:
        _INHERITED.append(kept.idle)
        kept.idle = []
    for engine in _ENGINES:
        if not isinstance(engine.pool, _IN_MEMORY):
            _INHERITED.append(engine.pool)
            engine.dispose(close=False)


if hasattr(os, "register_at_fork"):  # where processes fork
    os.register_at_fork(after_in_child=_forget_in_child)


@contextmanager
def absence(engine: Engine) -> Iterator[None]:
    """What SQLAlchemy itself does in here fails like what we do."""
    try:
        yield
    except exc.SQLAlchemyError as error:
        _raise_absence(engine, getattr(error, "orig", None) or error)
        raise


def _raise_absence(engine: Engine, error: BaseException) -> None:
    driver = engine.dialect.loaded_dbapi
    is_away = isinstance(error, driver.OperationalError | driver.InterfaceError | exc.TimeoutError)
    is_read_only = getattr(error, "sqlstate", None) == "25006"  # PostgreSQL, while a standby takes over
    if (is_away and not _is_mistake(error)) or is_read_only:
        code = getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None) or ""
        raise TemporarilyUnavailable(
            "the database cannot be reached", retry_after=_RETRY_AFTER, came=f"{type(error).__name__} {code}".strip()
        ) from error


def _is_mistake(error: BaseException) -> bool:
    """Whether SQLite's driver, which has one class for both, means a wrong statement or a missing table."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
