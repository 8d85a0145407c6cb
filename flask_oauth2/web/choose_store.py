"""Where an application keeps its clients and tokens: what its options and the arguments of the provider come to."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..clients.document_cache import check_installed
from ..errors import ConfigurationError
from ..settings import Settings
from ..stores.base import Store

if TYPE_CHECKING:
    import flask
    from flask_sqlalchemy import SQLAlchemy

    from ..stores.sqlalchemy import Tables


@dataclass(frozen=True, slots=True)
class Storage:
    """What the provider was given: a store, or the application's database and our tables in it, or nothing."""

    store: Store | None
    db: SQLAlchemy | None
    tables: Tables | None

    def choose_store(self, app: flask.Flask, settings: Settings) -> Callable[[], Store]:
        """What opens the store, with Redis before it where that is wanted.

        Raises :exc:`ConfigurationError` where the application has a database and does not say which is meant.
        """
        open_store = self._choose_lasting(app, settings)
        if settings.redis_url is None:
            return open_store
        from ..stores.redis import RedisStore

        return partial(RedisStore.open, open_store, settings.redis_url, settings.redis_prefix)

    def _choose_lasting(self, app: flask.Flask, settings: Settings) -> Callable[[], Store]:
        if self.store is not None:
            store = self.store
            return lambda: store
        from ..stores.sqlalchemy import SQLAlchemyStore

        if self.db is not None:
            return partial(_open_database, app, self.db, self.tables)
        uri = settings.database_uri
        if uri is None:
            if "sqlalchemy" in app.extensions:
                raise ConfigurationError(
                    "this application has a database: say OAuth2Provider(app, db=db) to keep clients and tokens in it, "
                    "or set OAUTH2_DATABASE_URI to keep them in one of their own"
                )
            os.makedirs(app.instance_path, exist_ok=True)
            uri = f"sqlite:///{Path(app.instance_path) / 'oauth2.sqlite'}"
        return partial(SQLAlchemyStore.open, uri, settings.database_engine_options)

    def create_tables(self, app: flask.Flask, settings: Settings) -> None:
        """Create the tables that are missing, in each database of ``db`` or in the one of our own."""
        if self.db is None:
            store = self._choose_lasting(app, settings)()
            if self.store is None:
                store.engine.dispose()  # type: ignore[attr-defined]  # a store on SQLAlchemy
            return
        from ..stores.sqlalchemy import create_tables

        with app.app_context():
            for bind, engine in self.db.engines.items():
                if bind in self.db.metadatas:
                    create_tables(engine, self.db.metadatas[bind])

    def choose_replica(self, app: flask.Flask, settings: Settings) -> Store | None:
        """What guards read, if not the store. Nothing is asked of it yet: it may be away."""
        replica = settings.read_replica
        if replica is None:
            return None
        if self.store is not None:
            raise ConfigurationError("OAUTH2_READ_REPLICA is a copy of our own tables: with store= nothing reads it")
        from ..stores.sqlalchemy import SQLAlchemyStore

        if "://" in replica:
            return SQLAlchemyStore.attach(replica, self.tables, settings.database_engine_options)
        with app.app_context():
            engines = {} if self.db is None else self.db.engines
        if replica not in engines:
            raise ConfigurationError(
                "OAUTH2_READ_REPLICA is neither a database URI nor, with db=, the name of one of SQLALCHEMY_BINDS, "
                f"which has {', '.join(filter(None, engines)) or 'none'}"
            )
        return SQLAlchemyStore(engines[replica], self.tables)


def check(settings: Settings, is_own: bool = False) -> None:
    """Raise :exc:`ConfigurationError` where what the options ask for is not installed.

    :param is_own: whether the tables are in a database of our own.
    """
    if is_own and settings.database_uri is not None:
        from ..stores.sqlalchemy import read_uri

        read_uri(settings.database_uri)
    if settings.redis_url is not None and find_spec("redis") is None:
        raise ConfigurationError("OAUTH2_REDIS_URL needs redis-py: install flask_oauth2[redis]")
    if settings.client_id_metadata_documents:
        check_installed()


def watch(db: SQLAlchemy, pid: int) -> None:
    """Let no process use connections of the application's engines that another process opened.

    Raises :exc:`ConfigurationError` for an engine that does not work, before anything is sent to it.

    :param pid: the process that may have opened some so far.
    """
    from ..stores.sqlalchemy import check_engine, watch

    check_engine(db.engines.get(None))
    for engine in db.engines.values():
        watch(engine, pid)


def _open_database(app: flask.Flask, db: SQLAlchemy, tables: Tables | None) -> Store:
    from ..stores.sqlalchemy import SQLAlchemyStore, check_engine

    with app.app_context():
        check_engine(db.engines.get(None))
        store = SQLAlchemyStore(db.engine, tables)
    store.adopt()
    return store
