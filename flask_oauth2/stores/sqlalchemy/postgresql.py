"""PostgreSQL by psycopg."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from .database import Database
from .kept import Kept


class PostgreSQL(Database):
    """Autocommit for what stands alone, or each would cost a BEGIN and a COMMIT on the wire."""

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


class KeptPostgreSQL(Kept, PostgreSQL):
    """The same on connections that are kept."""

    _has_server = True

    def _prepare(self, driver: Any) -> None:
        driver.rollback()
        driver.autocommit = True
