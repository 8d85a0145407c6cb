"""From an engine to the database that is asked, in each process anew."""

from __future__ import annotations

import os
from typing import Any
from weakref import WeakSet

from sqlalchemy import Engine
from sqlalchemy.pool import QueuePool, SingletonThreadPool, StaticPool

from .database import Database
from .kept import KEPT
from .mariadb import MariaDB
from .postgresql import KeptPostgreSQL, PostgreSQL
from .sqlite import InMemory, KeptSQLite, SQLite

_IN_MEMORY = StaticPool, SingletonThreadPool


def connect(engine: Engine) -> Database:
    """The database of an engine."""
    _ENGINES.add(engine)
    if isinstance(engine.pool, _IN_MEMORY):
        return InMemory(engine)
    # whoever chose a pool that keeps nothing, or that lets no connection grow old or asks whether it is good, meant it
    pool = engine.pool
    keeps = isinstance(pool, QueuePool) and not pool._pre_ping and pool._recycle == -1
    if engine.dialect.name == "postgresql":
        if isinstance(pool, QueuePool) and keeps and engine.dialect.driver == "psycopg":
            return KeptPostgreSQL(engine, pool.size())
        return PostgreSQL(engine)
    if engine.dialect.name == "mariadb":
        return MariaDB(engine)
    return KeptSQLite(engine) if keeps else SQLite(engine)


_ENGINES: WeakSet[Engine] = WeakSet()

_INHERITED: list[Any] = []
"""What the parent process has connections in. A child keeps it, since to collect connections would be to close them."""


def _forget_in_child() -> None:
    """Let a forked process open connections of its own: one connection serves one process."""
    for kept in KEPT:
        _INHERITED.append(kept.forget())
    for engine in _ENGINES:
        if not isinstance(engine.pool, _IN_MEMORY):
            _INHERITED.append(engine.pool)
            engine.dispose(close=False)


if hasattr(os, "register_at_fork"):  # where processes fork
    os.register_at_fork(after_in_child=_forget_in_child)
