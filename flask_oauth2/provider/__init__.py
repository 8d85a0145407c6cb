"""The extension: :class:`OAuth2Provider` turns a Flask application into an OAuth 2.0 provider."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import flask

from .. import cli, values, web
from ..assembly.parts import check_store
from ..errors import ConfigurationError
from ..processes import cached
from ..settings import Settings
from ..stores.base import Store
from ..web import choose_store, login, routes
from ..web.choose_store import Storage
from ..web.prefix import Prefix
from .callbacks import CallbackRegistry
from .flask_oauthlib import FlaskOAuthlibNames
from .ownership import EXTENSION
from .servers import Installed

if TYPE_CHECKING:
    from flask_sqlalchemy import SQLAlchemy

    from ..stores.sqlalchemy import Tables

__all__ = ["EXTENSION", "Installed", "OAuth2Provider", "find_installed", "find_provider"]


class OAuth2Provider(CallbackRegistry, FlaskOAuthlibNames):
    """Turns a Flask application into an OAuth 2.0 provider.

    :param app: the application. Without it, call :meth:`init_app` later, once for each application.
    :param db: the application's ``flask_sqlalchemy.SQLAlchemy``. Its database then contains the tables. Without ``db``
        and ``store``, the tables are in a separate database, ``OAUTH2_DATABASE_URI``, which by default is the file
        ``oauth2.sqlite`` in the instance folder.
    :param store: a :class:`~flask_oauth2.stores.base.Store` to use instead of a database.
    :param url_prefix: the path of the endpoints. Server metadata is always at the root of the host. With an
        ``issuergetter`` it may have variables, such as ``/<tenant>/oauth``.
    :param table_prefix: with ``db``, the prefix of the table names, if the default conflicts with other tables.

    Register callbacks and extensions before the first request.
    """

    def __init__(
        self,
        app: flask.Flask | None = None,
        *,
        db: SQLAlchemy | None = None,
        store: Store | None = None,
        url_prefix: str = "/oauth",
        table_prefix: str = "oauth2_",
    ) -> None:
        if db is not None and store is not None:
            raise ConfigurationError("OAuth2Provider takes db= or store=, not both")
        if db is not None and not hasattr(db, "metadatas"):
            raise ConfigurationError(
                f"db= must be a flask_sqlalchemy.SQLAlchemy, not {type(db).__module__}.{type(db).__name__}, which "
                "has no table metadata: remove db= and set OAUTH2_DATABASE_URI, which may name the same database"
            )
        if store is not None:
            check_store(store)
        super().__init__()
        self._shared.parts.callbacks.load_user = self.load_user
        self._prefix = Prefix(url_prefix)
        self._table_prefix = table_prefix
        tables: Tables | None = None
        if db is not None:
            from ..stores.sqlalchemy import declare

            tables = declare(db.metadata, table_prefix)  # immediately, for migrations and create_all()
        self._storage = Storage(store, db, tables)
        if app is not None:
            self.init_app(app)
            self._factories.clear()  # a function that sets up another application creates another provider

    def init_app(self, app: flask.Flask) -> None:
        """Read the options of an application and register the blueprint ``oauth2``.

        Raises :exc:`ConfigurationError` for an invalid option, and if the application already has a provider.
        """
        if EXTENSION in app.extensions:
            raise ConfigurationError("this application already has an OAuth2Provider: remove the second one")
        if app.url_map.host_matching:
            raise ConfigurationError(
                "the endpoints have no host, so an application with host_matching=True does not find them: use a "
                "separate application for the provider, or match subdomains with SERVER_NAME"
            )
        storage = self._storage
        choose_store.check(Settings.load(app.config), storage.db is None and storage.store is None)
        blueprint = flask.Blueprint(
            "oauth2",
            __package__.partition(".")[0],
            template_folder="pages/templates",
            static_folder="pages/static",
            static_url_path=self._prefix.static_path,
        )
        registered = self._begin_setup(app)
        installed = Installed(self, app, registered, storage, self._prefix, self._finish_setup)
        app.extensions[EXTENSION] = installed
        routes.add_routes(self, blueprint, self._prefix.path)
        if self._prefix.variables:
            blueprint.app_url_defaults(installed.add_arguments)
        app.register_blueprint(blueprint)
        for path in registered.resources:
            self._mount(app, path)
        for endpoint in registered.parts.endpoints.values():
            routes.add_endpoint(self, app, self._prefix.path, endpoint)
        app.before_request_funcs.setdefault(None, []).insert(0, self._check_guards)
        if storage.db is not None:
            _watch_engines(app, storage.db)
        app.cli.add_command(cli.oauth2)
        # users can sign in even if the provider cannot start
        login.record_auth_times(app, lambda: (installed.servers.first.clock if installed.servers else values.clock)())

    @cached
    def models(self) -> dict[str, Any]:
        """The mapped classes of the tables by name, for queries of your application. Requires ``db=``."""
        if self._storage.db is None:
            raise ConfigurationError("models requires the application's own database: OAuth2Provider(app, db=db)")
        from ..stores.sqlalchemy import map_tables

        return map_tables(self._storage.db.Model, self._table_prefix)

    def create_tables(self) -> None:
        """Create missing tables. Many processes may do so at once, such as the workers of a server.

        With ``db`` this creates the tables of your application too, like ``db.create_all()``. It adds no columns to
        existing tables: use Flask-Migrate for this. Call it in an application context.
        """
        app = web.current_app()
        self._storage.create_tables(app, Settings.load(app.config, warns=False))

    def metrics(self) -> flask.Response:
        """Return the response to a request of Prometheus, for ``OAUTH2_METRICS = "prometheus"``.

        It is a view without a route, because metrics are not public. Add a route that only your network can reach.
        """
        if self.server.settings.metrics != "prometheus":
            raise ConfigurationError('provider.metrics is for Prometheus: set OAUTH2_METRICS = "prometheus"')
        from ..metrics.prometheus import CONTENT_TYPE, write_text

        return flask.Response(write_text(), content_type=CONTENT_TYPE)

    def _mount(self, app: flask.Flask, path: str) -> None:
        """See :meth:`.resource.protect.Protection._mount`."""
        super()._mount(app, path)
        if "<" in path:
            routes.add_resource_document(app, path)

    def _on_registered(self, app: flask.Flask, kind: str, name: str, before: object) -> None:
        """See :meth:`.ownership.Ownership._on_registered`."""
        if kind == "resources" and before is None:
            self._mount(app, name)
        if kind == "endpoints" and before is None:
            endpoints = app.extensions[EXTENSION].registered.parts.endpoints
            try:
                routes.add_endpoint(self, app, self._prefix.path, endpoints[name])
            except ConfigurationError:
                del endpoints[name]
                raise

    def _finish_setup(self) -> None:
        """Run when the server of an application has been built."""
        self._warn_of_scope_arguments()
        self._setup = None


def find_installed(app: flask.Flask) -> Installed:
    """Return the state of the provider of an application. Raises :exc:`ConfigurationError` if it has none."""
    installed: Installed | None = app.extensions.get(EXTENSION)
    if installed is None:
        raise ConfigurationError("this application has no OAuth2Provider: call provider.init_app(app)")
    return installed


def find_provider(app: flask.Flask) -> OAuth2Provider:
    """Return the provider of an application. Raises :exc:`ConfigurationError` if it has none."""
    provider: OAuth2Provider = find_installed(app).provider
    return provider


def _watch_engines(app: flask.Flask, db: SQLAlchemy) -> None:
    """Watch the engines of ``db`` as soon as they exist, so that forked processes do not share their connections.

    ``db.init_app`` may run after ours. Each use of an engine needs an application context.
    """
    pid = os.getpid()
    if app.extensions.get("sqlalchemy") is db:
        with app.app_context():  # rejects a database that does not work
            choose_store.watch(db, pid)
        return

    def watch(_: object, **more: Any) -> None:
        if app.extensions.get("sqlalchemy") is db:
            flask.appcontext_pushed.disconnect(watch, app)
            # an error would leave the context pushed; the store raises it when it opens
            with suppress(Exception):
                choose_store.watch(db, pid)

    flask.appcontext_pushed.connect(watch, app, weak=False)
