"""PostgreSQL with psycopg or psycopg2."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

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


class _Settings(NamedTuple):
    """Settings of a connection as the pool gave it."""

    autocommit: bool
    prepare_threshold: int | None
    """The number of executions after which psycopg prepares a statement. None: never, as with psycopg2."""
    planner: list[str] | None = None
    """The values of :data:`_PLANNER`, if the store has changed them."""


_PLANNER = "enable_seqscan", "jit"
"""Settings of the planner that are off in the cache. A plan without an index, if any, is not worth compiling."""

_READ_PLANNER = "SELECT " + ", ".join(f"current_setting('{name}')" for name in _PLANNER)
_SET_PLANNER = "SELECT " + ", ".join(f"set_config('{name}', %s, false)" for name in _PLANNER)


class PostgreSQLConnections(Connections):
    """Connections in autocommit mode: without it, each SELECT would send a BEGIN and a COMMIT too."""

    steps_alone = 1
    has_server = True

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, caches=True)
        if engine.dialect.driver == "psycopg":
            prepare_nothing_behind_pooler(engine)

    def _prepare(self, pooled: Any) -> Connection:
        driver = pooled.dbapi_connection
        driver.rollback()  # of what a listener of the application left open; sends nothing if nothing is open
        before = _Settings(driver.autocommit, getattr(driver, "prepare_threshold", None))
        driver.autocommit = True
        if before.prepare_threshold is not None:
            driver.prepare_threshold = None
        return Connection(pooled, self.transaction, before)

    def _tune(self, connection: Connection) -> None:
        """Let psycopg prepare statements whose plans stay right when a table grows.

        The server keeps the plan of a prepared statement until it analyzes the table again. For a table that was small
        then, it reads all rows. Each statement on a cached connection has an index, so the plan may use these only.
        """
        before: _Settings = connection.before
        if before.prepare_threshold is None or before.planner is not None:
            return
        ((*planner,),) = connection.driver.execute(_READ_PLANNER).fetchall()
        connection.driver.execute(_SET_PLANNER, ["off"] * len(planner))
        connection.driver.prepare_threshold = before.prepare_threshold
        connection.before = before._replace(planner=planner)

    def _restore(self, connection: Connection) -> None:
        before: _Settings = connection.before
        if before.planner is not None:
            connection.driver.execute(_SET_PLANNER, before.planner)
        if before.prepare_threshold is not None:
            connection.driver.prepare_threshold = before.prepare_threshold
        connection.driver.autocommit = before.autocommit
