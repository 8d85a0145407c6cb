"""PostgreSQL by psycopg."""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy import Engine, event

from .database import Database
from .kept import Kept

log = logging.getLogger("flask_oauth2")


def prepare_nothing_behind_pooler(engine: Engine) -> None:
    """Let psycopg prepare no statement on the new connections of an engine that lead to a transaction pooler.

    Behind one, the next transaction may reach another server process, which does not know the statement, or knows
    another one by the same name. A pooler tells its clients of a process ID that is not that of the server process.
    """

    def look(driver: Any, _: object) -> None:
        if driver.prepare_threshold is None:
            return
        is_idle = driver.info.transaction_status == 0  # else another listener has left a transaction open
        before = driver.autocommit
        if is_idle:
            driver.autocommit = True
        ((pid,),) = driver.execute("SELECT pg_backend_pid()").fetchall()
        if is_idle:
            driver.autocommit = before
        if pid != driver.info.backend_pid:
            driver.prepare_threshold = None
            log.info("a pooler stands before PostgreSQL: psycopg prepares no statements there")

    event.listen(engine, "connect", look)


class PostgreSQL(Database):
    """Autocommit for what stands alone, or each would cost a BEGIN and a COMMIT on the wire."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._commits_alone = True
        if engine.dialect.driver == "psycopg":
            prepare_nothing_behind_pooler(engine)

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
