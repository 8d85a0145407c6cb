"""Choose how to send statements to the database of an engine."""

from __future__ import annotations

from sqlalchemy import Engine
from sqlalchemy.pool import QueuePool, SingletonThreadPool, StaticPool

from .database import Database
from .forks import watch
from .mariadb import MariaDB
from .postgresql import KeptPostgreSQL, PostgreSQL
from .schema import COLLATIONS
from .sqlite import InMemory, KeptSQLite, SQLite

_IN_MEMORY = StaticPool, SingletonThreadPool


def connect(engine: Engine) -> Database:
    """Return the database of an engine."""
    watch(engine)
    if engine.dialect.name == "sqlite" and isinstance(engine.pool, _IN_MEMORY):
        return InMemory(engine)
    # whoever chose a pool that keeps nothing, or that lets no connection grow old or asks whether it is good, meant it
    pool = engine.pool
    keeps = isinstance(pool, QueuePool) and not pool._pre_ping and pool._recycle == -1
    if engine.dialect.name == "postgresql":
        if isinstance(pool, QueuePool) and keeps and engine.dialect.driver == "psycopg":
            return KeptPostgreSQL(engine, pool.size())
        return PostgreSQL(engine)
    if engine.dialect.name in COLLATIONS:
        return MariaDB(engine)
    return KeptSQLite(engine) if keeps else SQLite(engine)
