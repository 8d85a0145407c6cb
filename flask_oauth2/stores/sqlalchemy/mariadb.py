"""MariaDB and MySQL with PyMySQL."""

from __future__ import annotations

import random
import time
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.pool.base import reset_rollback

from .connections import Connection, Connections, Transaction
from .unavailable import error_number

_IN_TRANSACTION, _AUTOCOMMIT = 1, 2
"""Bits of the status that the server sent after the last statement that was not a SELECT."""

_IMPLICIT = Transaction(begin=None)
"""Without autocommit, the first statement begins the transaction."""

_DEADLOCK = 1213
"""The error number for two transactions that waited for each other. The server has undone this one."""

_ATTEMPTS = 16

_LONGEST_PAUSE = 0.05
"""The longest pause between two attempts in seconds. Pauses are random, so that transactions do not meet again."""


class MariaDBConnections(Connections):
    """Connections as the engine opens them: changing their autocommit mode would cost a round trip.

    Without autocommit, the pool rolls back the transaction that a SELECT begins.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._is_reset = getattr(engine.pool, "_reset_on_return", None) is reset_rollback

    def _prepare(self, pooled: Any) -> Connection:
        driver = pooled.dbapi_connection
        is_autocommit = driver.server_status & _AUTOCOMMIT
        # without autocommit, a SELECT begins a transaction, and the status does not say so
        if driver.server_status & _IN_TRANSACTION or not (is_autocommit or self._is_reset):
            driver.rollback()
        return Connection(pooled, self.transaction if is_autocommit else _IMPLICIT)

    def may_repeat(self, error: BaseException, attempt: int) -> bool:
        """Return, after a pause, whether the transaction met another one in a deadlock."""
        if error_number(error) != _DEADLOCK or attempt + 1 >= _ATTEMPTS:
            return False
        time.sleep(min(_LONGEST_PAUSE, 0.001 * 2**attempt) * random.random())  # noqa: S311  no secret
        return True
