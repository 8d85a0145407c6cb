"""MariaDB and MySQL with PyMySQL."""

from __future__ import annotations

import random
import time
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.pool.base import reset_rollback

from ...errors import TemporarilyUnavailable
from .absence import error_number
from .database import Database, Step

_IN_TRANSACTION, _AUTOCOMMIT = 1, 2
"""What the server said of the connection, after its last statement that was no SELECT."""

_DEADLOCK = 1213
"""Two transactions waited for each other, and all of ours was undone."""

_ATTEMPTS = 16

_LONGEST_PAUSE = 0.05
"""Seconds between two attempts at most: those that met once would meet again if all came at once."""


class MariaDB(Database):
    """Reads in autocommit where the engine has it; else what a SELECT opens is rolled back by the pool."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._take = self._take_clean
        self._is_reset = getattr(engine.pool, "_reset_on_return", None) is reset_rollback

    def run(self, *steps: Step) -> list[Any] | None:
        """Run the steps, and again where they met others in a deadlock; a lock that is held is waited for once."""
        for attempt in range(_ATTEMPTS):
            try:
                return super().run(*steps)
            except TemporarilyUnavailable as error:
                if error_number(error.__cause__) != _DEADLOCK:
                    raise
                deadlock = error
                time.sleep(min(_LONGEST_PAUSE, 0.001 * 2**attempt) * random.random())  # noqa: S311  no secret
        raise deadlock

    def _take_clean(self) -> Any:
        """A connection on which no transaction is open, whoever left one."""
        connection = self.engine.raw_connection()
        try:
            driver: Any = connection.dbapi_connection
            status = driver.server_status
            # a SELECT too opens one without autocommit, and its answer does not say so
            if status & _IN_TRANSACTION or not (status & _AUTOCOMMIT or self._is_reset):
                driver.rollback()
        except BaseException as error:
            if self._give_up(connection, error):
                return self.engine.raw_connection()  # a new one, on which nothing is open
            raise
        return connection

    def _begin(self, driver: Any) -> Any:
        """Without autocommit the first statement does it, which is the one that locks."""
        if driver.server_status & _AUTOCOMMIT:
            driver.begin()

    def _give_up(self, connection: Any, error: BaseException) -> bool:
        """An interrupted driver has closed itself, and no pool notices where it resets nothing."""
        if connection is not None and not isinstance(error, Exception):
            connection.invalidate()
            return False
        return super()._give_up(connection, error)
