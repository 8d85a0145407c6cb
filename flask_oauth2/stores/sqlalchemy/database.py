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


class Kept(Database):
    """Connections that are kept open in autocommit: to take one from a pool costs as much as a SELECT of SQLite.

    The engine's pool makes them and then forgets them, so its own places stay free for the application. Where ``most``
    are in use, the next one is the pool's.
    """

    _begins = "BEGIN"

    def __init__(self, engine: Engine, most: int | None = None) -> None:
        super().__init__(engine)
        self._commits_alone = True
        self._most = most
        self._made = 0
        self._lock = Lock()
        self.idle: list[Any] = []
        """The driver's connections that nobody uses now, the last used at the end."""
        _KEPT.add(self)
        event.listen(engine, "engine_disposed", self._close_idle)

    def fetch(self, statement: str, **parameters: Any) -> Any:
        """The same as from a pool. What only reads is tried anew where the connection was lost while nobody used it."""
        idle, driver = self.idle, None
        try:
            try:
                driver = idle.pop()
            except IndexError:
                driver = self._connect()
                if driver is None:
                    return super().fetch(statement, **parameters)
            cursor = driver.execute(statement, parameters)
            if statement.startswith("SELECT") or "RETURNING" in statement:
                result = cursor.fetchall()
            else:
                result = cursor.rowcount
        except BaseException as error:
            if self._drop(driver, error) and statement.startswith("SELECT"):
                return super().fetch(statement, **parameters)
            _raise_absence(self.engine, error)
            raise
        idle.append(driver)
        if idle is not self.idle:
            self._close_all(idle)
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
                if driver is None:
                    return super()._run_together(steps)
            driver.execute(self._begins)
            for statement, parameters, rows in steps:
                cursor = driver.execute(statement, parameters)
                result = cursor.fetchall() if "RETURNING" in statement else cursor.rowcount
                results.append(result)
                if rows is not None and result != rows:
                    well = False
                    break
            driver.execute("COMMIT" if well else "ROLLBACK")
        except BaseException as error:
            self._drop(driver, error)
            _raise_absence(self.engine, error)
            raise
        idle.append(driver)
        if idle is not self.idle:
            self._close_all(idle)
        return results if well else None

    def _connect(self) -> Any:
        """A new one; None where there are as many as there may be."""
        with self._lock:
            if self._made == self._most:
                return None
            self._made += 1
        try:
            pooled = self.engine.raw_connection()
            driver: Any = pooled.dbapi_connection
            pooled.detach()
            self._prepare(driver)
        except BaseException:
            self._count_closed()
            raise
        return driver

    def _prepare(self, driver: Any) -> None:
        """Put a new connection into autocommit."""
        raise NotImplementedError

    def _drop(self, driver: Any, error: BaseException) -> bool:
        """Close a connection on which something failed, which ends what was open. Whether it had been lost."""
        if driver is None:
            return False
        dialect = self.engine.dialect
        is_lost = isinstance(error, dialect.loaded_dbapi.Error) and dialect.is_disconnect(error, driver, None)
        self._close_all([driver])
        if is_lost:
            self.engine.dispose()  # the others went the same way
        return is_lost

    def _close_idle(self, _: Engine) -> None:
        """Close those that nobody uses now; the others are closed when they come back."""
        idle, self.idle = self.idle, []
        self._close_all(idle)

    def _close_all(self, drivers: list[Any]) -> None:
        while drivers:
            drivers.pop().close()
            self._count_closed()

    def _count_closed(self) -> None:
        with self._lock:
            self._made -= 1

    def forget(self) -> list[Any]:
        """Leave those of the parent process alone, in a child."""
        inherited, self.idle, self._made, self._lock = self.idle, [], 0, Lock()
        return inherited


class KeptSQLite(Kept):
    """SQLite in a file."""

    _begins = "BEGIN IMMEDIATE"

    def _prepare(self, driver: Any) -> None:
        if hasattr(driver, "autocommit"):
            driver.autocommit = -1  # LEGACY_TRANSACTION_CONTROL of Python 3.12, so that the next line holds
        driver.isolation_level = None


class KeptPostgreSQL(Kept, PostgreSQL):
    """PostgreSQL by psycopg."""

    def _prepare(self, driver: Any) -> None:
        driver.rollback()
        driver.autocommit = True


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
    if isinstance(engine.pool, _IN_MEMORY):
        return InMemory(engine)
    # whoever chose a pool that keeps nothing, or that asks each connection whether it is still good, meant it
    pool = engine.pool
    keeps = isinstance(pool, QueuePool) and not pool._pre_ping
    if engine.dialect.name == "postgresql":
        return KeptPostgreSQL(engine, pool.size()) if isinstance(pool, QueuePool) and keeps else PostgreSQL(engine)
    if engine.dialect.name == "mariadb":
        from .mariadb import MariaDB  # which builds on what is here

        return MariaDB(engine)
    return KeptSQLite(engine) if keeps else Database(engine)


_ENGINES: WeakSet[Engine] = WeakSet()
_KEPT: WeakSet[Kept] = WeakSet()

_INHERITED: list[Any] = []
"""What the parent process has connections in. A child keeps it, since to collect connections would be to close them."""


def _forget_in_child() -> None:
    """Let a forked process open connections of its own: one connection serves one process."""
    for kept in _KEPT:
        _INHERITED.append(kept.forget())
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
        code = getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None) or error_number(error) or ""
        raise TemporarilyUnavailable(
            "the database cannot be reached", retry_after=_RETRY_AFTER, came=f"{type(error).__name__} {code}".strip()
        ) from error


def _is_mistake(error: BaseException) -> bool:
    """Whether it means a wrong statement or a missing table, where a driver has one class for both.

    SQLite's does, and so does PyMySQL for errors of the server that it has no other class for.
    """
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
        return True
    number = error_number(error)
    return 1000 <= number < 2000 and number not in _PASSING


_PASSING = {
    *(1020, 1205, 1213),  # others have the rows
    *(1021, 1114),  # it is full
    *(1040, 1044, 1045, 1049, 1129, 1130, 1203, 1226, 1698),  # it lets nobody in
    *(1047, 1053, 1152, 1158, 1159, 1160, 1161, 1180, 1317, 1927, 1969),  # it goes down, or broke off
    *(1290, 1792, 1836),  # it is read-only, while a replica takes over
}
"""MariaDB's numbers of what may work later."""


def error_number(error: BaseException | None) -> int:
    """The number that MariaDB gives an error; 0 for other errors."""
    number = error.args[0] if error and error.args else 0
    return number if isinstance(number, int) else 0
