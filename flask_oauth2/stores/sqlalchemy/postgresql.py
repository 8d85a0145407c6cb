"""PostgreSQL with psycopg or psycopg2."""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy import Engine, event

from .connections import Connection, Connections

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


class PostgreSQLConnections(Connections):
    """Connections in autocommit mode: without it, each SELECT would send a BEGIN and a COMMIT too."""

    commits_alone = True
    has_server = True

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, caches=True)
        if engine.dialect.driver == "psycopg":
            prepare_nothing_behind_pooler(engine)

    def _prepare(self, pooled: Any) -> Connection:
        driver = pooled.dbapi_connection
        driver.rollback()  # of what a listener of the application left open; sends nothing if nothing is open
        before = driver.autocommit
        driver.autocommit = True
        return Connection(pooled, self.transaction, before)

    def _restore(self, connection: Connection) -> None:
        connection.driver.autocommit = connection.before
