"""Choose the store from the options of the application and the arguments of the provider."""

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
    """The storage arguments of the provider: a store, or the application's database with the tables, or neither."""

    store: Store | None
    db: SQLAlchemy | None
    tables: Tables | None

    def choose_store(self, app: flask.Flask, settings: Settings) -> Callable[[], Store]:
        """Return a function that opens the store, with Redis in front if ``OAUTH2_REDIS_URL`` is set.

        Raise :exc:`ConfigurationError` if the application uses Flask-SQLAlchemy and names no database for the tables.
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
                    "The application uses Flask-SQLAlchemy, but the provider has no db= argument. Pass db=db to "
                    "OAuth2Provider to store clients and tokens in the same database, or set OAUTH2_DATABASE_URI to "
                    "store them in another one"
                )
            os.makedirs(app.instance_path, exist_ok=True)
            uri = f"sqlite:///{Path(app.instance_path) / 'oauth2.sqlite'}"
        return partial(SQLAlchemyStore.open, uri, settings.database_engine_options)

    def create_tables(self, app: flask.Flask, settings: Settings) -> None:
        """Create the missing tables in each database of ``db``, or in the database of ``OAUTH2_DATABASE_URI``."""
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
        """Return the read replica for guards, or None. It is not connected yet, as it may be unavailable."""
        replica = settings.read_replica
        if replica is None:
            return None
        if self.store is not None:
            raise ConfigurationError(
                "OAUTH2_READ_REPLICA works only with the tables of flask_oauth2, not with store=. Remove one of the two"
            )
        from ..stores.sqlalchemy import SQLAlchemyStore

        if "://" in replica:
            return SQLAlchemyStore.attach(replica, self.tables, settings.database_engine_options)
        with app.app_context():
            engines = {} if self.db is None else self.db.engines
        if replica not in engines:
            raise ConfigurationError(
                "OAUTH2_READ_REPLICA must be a database URI or, with db=, a name in SQLALCHEMY_BINDS. Known names: "
                f"{', '.join(filter(None, engines)) or 'none'}"
            )
        return SQLAlchemyStore(engines[replica], self.tables)


def check(settings: Settings, is_own: bool = False) -> None:
    """Raise :exc:`ConfigurationError` if an option needs a library that is not installed.

    :param is_own: whether the tables are in the database of ``OAUTH2_DATABASE_URI``.
    """
    if is_own and settings.database_uri is not None:
        from ..stores.sqlalchemy import read_uri

        read_uri(settings.database_uri)
    if settings.redis_url is not None and find_spec("redis") is None:
        raise ConfigurationError("OAUTH2_REDIS_URL needs redis-py. Install it with: pip install flask_oauth2[redis]")
    if settings.client_id_metadata_documents:
        check_installed()


def watch(db: SQLAlchemy, pid: int) -> None:
    """Prevent a process from using connections of the application's engines that another process opened.

    Raise :exc:`ConfigurationError` for an unsupported engine, before any connection is used.

    :param pid: the ID of the process that may have opened connections so far.
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
