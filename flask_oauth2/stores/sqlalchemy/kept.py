"""Connections that are kept open beside the engine's pool, ready for the next statement."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from os import getpid
from threading import Lock
from typing import Any

from sqlalchemy import Engine, event

from .absence import is_closed, is_loss, raise_absence
from .database import Database, Step, run_each
from .forks import INHERITED, Watch, own_pool


class _Held:
    """The connections of one process."""

    __slots__ = ("idle", "lock", "made")

    def __init__(self) -> None:
        self.idle: list[Any] = []
        """Connections of the driver that nobody uses now, the last used at the end."""
        self.made = 0
        """How many are open, used or not."""
        self.lock = Lock()


class Kept(Database):
    """Connections that are kept open in autocommit: to take one from a pool costs as much as a SELECT of SQLite.

    The engine's pool makes them and then forgets them, so its own places stay free for the application. Where ``most``
    are in use, the next one is the pool's.
    """

    _begins = "BEGIN"
    _has_server = False
    """Whether a server may close a connection."""

    def __init__(self, engine: Engine, most: int | None = None) -> None:
        super().__init__(engine)
        self._commits_alone = True
        self._most = most
        self._held = {getpid(): _Held()}
        event.listen(engine, "engine_disposed", self._close_idle)

    @property
    def held(self) -> _Held:
        """The connections of this process."""
        return self._held.get(getpid()) or self._begin_in_process()

    def _begin_in_process(self) -> _Held:
        """Hold no connection yet: this process was forked. Connections of its parent stay referenced."""
        INHERITED.extend(held.idle for held in list(self._held.values()))
        own_pool(self.engine)
        return self._held.setdefault(getpid(), _Held())  # atomic: threads agree on one

    def fetch(self, statement: str, **parameters: Any) -> Any:
        """The same as from a pool. What only reads is tried anew where the connection was lost while nobody used it."""
        held, driver = self._held.get(getpid()) or self._begin_in_process(), None
        idle = held.idle
        try:
            try:
                driver = idle.pop()
                if self._has_server and not statement.startswith("SELECT") and is_closed(driver):
                    self._close_all(held, [driver])
                    driver = None
                    self.engine.dispose()  # the others went the same way
                    return self._ask_pool(statement, parameters)
            except IndexError:
                driver = self._connect(held)
                if driver is None:
                    return self._ask_pool(statement, parameters)
            cursor = driver.execute(statement, parameters)
            if statement.startswith("SELECT") or "RETURNING" in statement:
                result = cursor.fetchall()
            else:
                result = cursor.rowcount
        except BaseException as error:
            if self._drop(held, driver, error) and statement.startswith("SELECT"):
                return super().fetch(statement, **parameters)
            raise_absence(self.engine, error)
            raise
        idle.append(driver)
        if idle is not held.idle:
            self._close_all(held, idle)
        return result

    def _run_together(self, steps: Sequence[Step]) -> list[Any] | None:
        held, driver = self._held.get(getpid()) or self._begin_in_process(), None
        idle = held.idle
        results: list[Any] = []
        well = True
        is_ending = False
        try:
            try:
                driver = idle.pop()
            except IndexError:
                driver = self._connect(held)
                if driver is None:
                    return super()._run_together(steps)
            driver.execute(self._begins)
            for step in steps:
                statement, parameters, rows = step
                if isinstance(parameters, list):
                    result = run_each(driver, step)
                else:
                    cursor = driver.execute(statement, parameters)
                    result = cursor.fetchall() if "RETURNING" in statement else cursor.rowcount
                results.append(result)
                if rows is not None and result != rows:
                    well = False
                    break
            is_ending = True
            driver.execute("COMMIT" if well else "ROLLBACK")
        except BaseException as error:
            # without a COMMIT the server has undone everything
            if self._drop(held, driver, error) and not is_ending:
                return super()._run_together(steps)
            raise_absence(self.engine, error)
            raise
        idle.append(driver)
        if idle is not held.idle:
            self._close_all(held, idle)
        return results if well else None

    def _ask_pool(self, statement: str, parameters: dict[str, Any]) -> Any:
        if statement.startswith("SELECT"):
            return super().fetch(statement, **parameters)
        (result,) = super()._run_together((Step(statement, parameters),)) or (None,)
        return result

    def _connect(self, held: _Held) -> Any:
        """A new one; None where there are as many as there may be, or the application sees to each use of one."""
        dispatch: Any = self.engine.pool.dispatch
        if dispatch.checkin or dispatch.reset or not all(isinstance(one, Watch) for one in dispatch.checkout):
            return None
        with held.lock:
            if held.made == self._most:
                return None
            held.made += 1
        try:
            pooled = self.engine.raw_connection()
            driver: Any = pooled.dbapi_connection
            pooled.detach()
            self._prepare(driver)
        except BaseException:
            self._count_closed(held)
            raise
        return driver

    def _prepare(self, driver: Any) -> None:
        """Put a new connection into autocommit."""
        raise NotImplementedError

    def _drop(self, held: _Held, driver: Any, error: BaseException) -> bool:
        """Close a connection on which something failed, which ends what was open. Whether it had been lost."""
        if driver is None:
            return False
        is_lost = is_loss(self.engine, error, driver)
        self._close_all(held, [driver])
        if is_lost:
            self.engine.dispose()  # the others went the same way
        return is_lost

    def _close_idle(self, _: Engine) -> None:
        """Close those that nobody uses now; the others are closed when they come back. Those of a parent stay open."""
        held = self._held.get(getpid())
        if held is not None:
            idle, held.idle = held.idle, []
            self._close_all(held, idle)

    def _close_all(self, held: _Held, drivers: list[Any]) -> None:
        with suppress(IndexError):  # others may close the rest
            while True:
                driver = drivers.pop()
                self._count_closed(held)
                with suppress(self.engine.dialect.loaded_dbapi.Error):  # what was done on it is done
                    driver.close()

    def _count_closed(self, held: _Held) -> None:
        with held.lock:
            held.made -= 1
