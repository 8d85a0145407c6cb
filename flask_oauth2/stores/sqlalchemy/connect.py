"""Choose how to send statements to the database of an engine."""

from __future__ import annotations

from sqlalchemy import Engine
from sqlalchemy.pool import SingletonThreadPool, StaticPool

from .connections import Connections
from .database import Database
from .forks import watch
from .mariadb import MariaDBConnections
from .postgresql import PostgreSQLConnections
from .schema import COLLATIONS
from .sqlite import MemoryConnections, SQLiteConnections

_IN_MEMORY = StaticPool, SingletonThreadPool


def connect(engine: Engine) -> Database:
    """Return the database of an engine."""
    watch(engine)
    return Database(_choose_connections(engine))


def _choose_connections(engine: Engine) -> Connections:
    if engine.dialect.name == "postgresql":
        return PostgreSQLConnections(engine)
    if engine.dialect.name in COLLATIONS:
        return MariaDBConnections(engine)
    if isinstance(engine.pool, _IN_MEMORY):
        return MemoryConnections(engine)
    return SQLiteConnections(engine, caches=True)
