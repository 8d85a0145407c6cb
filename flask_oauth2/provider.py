"""The extension: one object that makes a Flask application an OAuth 2 provider."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import flask
from flask.ctx import RequestContext
from werkzeug.exceptions import NotFound
from werkzeug.local import LocalProxy
from werkzeug.wrappers import Response

from . import cli, pages, revocation, signals, values, web
from .assembly import Servers, build, view_of_issuer
from .assembly.extensions import Extensions
from .clients import lookup
from .endpoints import REVOCATION, TOKEN, metadata
from .errors import ConfigurationError
from .http import deployment, urls
from .ownership import EXTENSION, Registered, find_caller
from .processes import Once, cached
from .records import AccessToken, Client, Issuer, User, find, identify, is_nobody, is_user, seconds
from .registry import Callback, Registry, synchronous
from .resource.current_token import Owners
from .resource.guard import Guard
from .resource.guard_order import GuardedFunctions
from .resource.protect import Protection, collect_scopes
from .resource.server_verifier import ServerVerifier
from .resources import Resource
from .server import AuthorizationServer
from .settings import Settings
from .stores.base import Store
from .web import choose_store, login, routes
from .web.prefix import Prefix

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from flask_sqlalchemy import SQLAlchemy

    from .stores.sqlalchemy import Tables

log = logging.getLogger("flask_oauth2")

_ISSUER = "flask_oauth2.issuer"
"""Where the environ of a request keeps the verifier of its issuer, and the values of the variables of its path."""

_NO_ISSUER: tuple[None, None, Mapping[str, str]] = (None, None, {})


@dataclass(slots=True)
class Installed:
    """What ``app.extensions`` holds: the provider's state for one application."""

    provider: OAuth2Provider
    app: flask.Flask
    registered: Registered
    servers: Servers | None = None
    building: Once = field(default_factory=Once)


class OAuth2Provider(Registry, Protection):
    """Makes a Flask application an OAuth 2 provider.

    :param app: the application; without one, call :meth:`init_app` later, once for each application.
    :param db: the application's ``flask_sqlalchemy.SQLAlchemy``, whose database then holds the tables too. Without it
        (and without ``store``) they live in a database of their own, ``OAUTH2_DATABASE_URI``, by default the file
        ``oauth2.sqlite`` in the instance folder.
    :param store: any :class:`~flask_oauth2.stores.base.Store`, in place of a database.
    :param url_prefix: the path of the endpoints; server metadata is always below the host's root. With an
        ``issuergetter`` it may have variables, such as ``/<tenant>/oauth``.
    :param table_prefix: with ``db``: what the names of our tables begin with, where the default is taken.

    Callbacks and ``register_*`` calls are taken until the first request.
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
                "knows no tables: leave db= out and set OAUTH2_DATABASE_URI, which may name the same database"
            )
        super().__init__()
        self._guarded = GuardedFunctions()
        self._owners = Owners(
            find_user=self._find_user, find_client=self._find_client, find_own_token=self._find_own_token
        )
        self._db = db
        self._store = store
        self._prefix = Prefix(url_prefix)
        self._table_prefix = table_prefix
        self._tables: Tables | None = None
        self._shared.parts.callbacks.load_user = self.load_user
        self._several: dict[str, None] = {}
        if db is not None:
            from .stores.sqlalchemy import declare

            self._tables = declare(db.metadata, table_prefix)  # at once, so that migrations and create_all() see them
        if app is not None:
            self.init_app(app)
            self._factories.clear()  # a function that sets up another application makes another provider

    def init_app(self, app: flask.Flask) -> None:
        """Read the application's options and register the blueprint.

        Raises :exc:`ConfigurationError` for a wrong option, and where the application already has a provider.
        """
        if EXTENSION in app.extensions:
            raise ConfigurationError("this application has an OAuth2Provider already: one application, one provider")
        if app.url_map.host_matching:
            raise ConfigurationError(
                "this application has host_matching=True, where no route without a host is found, such as those of the "
                "endpoints: give the provider an application of its own, or match subdomains by SERVER_NAME"
            )
        choose_store.check(Settings.load(app.config), self._db is None and self._store is None)
        blueprint = flask.Blueprint(
            "oauth2",
            __name__,
            template_folder="pages/templates",
            static_folder="pages/static",
            static_url_path=self._prefix.static_path,
        )
        installed = app.extensions[EXTENSION] = Installed(self, app, self._begin_setup(app))
        routes.add_routes(self, blueprint, self._prefix.path)
        if self._prefix.variables:
            blueprint.app_url_defaults(self._add_arguments)
        app.register_blueprint(blueprint)
        for path in installed.registered.resources:
            self._mount(app, path)
        for endpoint in installed.registered.parts.endpoints.values():
            routes.add_endpoint(self, app, self._prefix.path, endpoint)
        app.before_request_funcs.setdefault(None, []).insert(0, self._check_guards)
        if self._db is not None:
            self._watch_engines(app, self._db)
        app.cli.add_command(cli.oauth2)
        # whatever keeps the provider from starting must keep nobody from signing in
        login.record_auth_times(app, lambda: (installed.servers.first.clock if installed.servers else values.clock)())

    def _watch_engines(self, app: flask.Flask, db: SQLAlchemy) -> None:
        """Watch the engines of ``db`` as soon as they exist, so that a forked process shares none of its connections.

        ``db.init_app`` may run after ours. Each use of an engine needs an application context.
        """
        pid = os.getpid()
        if app.extensions.get("sqlalchemy") is db:
            with app.app_context():  # a database that does not work is refused at once
                choose_store.watch(db, pid)
            return

        def watch(_: object, **more: Any) -> None:
            if app.extensions.get("sqlalchemy") is db:
                flask.appcontext_pushed.disconnect(watch, app)
                # an error in here would leave the context pushed; the store raises it when it opens
                with suppress(Exception):
                    choose_store.watch(db, pid)

        flask.appcontext_pushed.connect(watch, app, weak=False)

    def _took(self, app: flask.Flask, kind: str, name: str, before: object) -> None:
        if kind == "resources" and before is None:
            self._mount(app, name)
        if kind == "endpoints" and before is None:
            endpoint = app.extensions[EXTENSION].registered.parts.endpoints[name]
            routes.add_endpoint(self, app, self._prefix.path, endpoint)

    def __getattr__(self, name: str) -> Any:
        """Says what to use in place of a method of flask-oauthlib that is not here."""
        if name in _MOVED:
            raise AttributeError(f"there is no {name} in flask_oauth2: {_MOVED[name]}", name=name, obj=self)
        return self.__getattribute__(name)  # raises what it raised before, which may be an error inside a property

    @property
    def server(self) -> AuthorizationServer:
        """The authorization server of the current application, built with the first use."""
        return self.verifier.server

    @property
    def verifier(self) -> ServerVerifier:
        """The token verifier of the current application."""
        installed: Installed | None = web.current_app().extensions.get(EXTENSION)
        if installed is None:
            raise ConfigurationError("this application has no OAuth2Provider: call provider.init_app(app)")
        servers = installed.servers or self._start(installed)
        if installed.registered.issuergetter is not None:
            return self._verifier_of_issuer(installed.registered.issuergetter, servers)
        if servers.has_issuer or not flask.has_request_context():
            return servers.verifier
        app = flask.current_app
        return servers.at(web.find_issuer(flask.request.environ, app.debug or app.testing))

    def _start(self, installed: Installed) -> Servers:
        return installed.building.run(lambda: installed.servers, partial(self._install, installed))

    def _server_of_all_issuers(self) -> AuthorizationServer:
        """Return a server for work on the rows of all issuers, such as purge. It answers no request."""
        installed: Installed = web.current_app().extensions[EXTENSION]
        return (installed.servers or self._start(installed)).first

    def issuer_context(self, url: str) -> RequestContext:
        """Return a request context of an issuer, for work outside of requests.

        Raises :exc:`ConfigurationError` if the ``issuergetter`` does not find the issuer.
        """
        parts = urlsplit(url)
        app = web.current_app()
        context = app.test_request_context(
            metadata.WELL_KNOWN + parts.path, base_url=f"{parts.scheme}://{parts.netloc}"
        )
        with context:
            try:
                found = self.server.issuer
            except NotFound:
                found = ""
        if found != url:
            raise ConfigurationError(f"there is no issuer {url}: name the URL of one as the issuergetter returns it")
        return app.test_request_context(metadata.WELL_KNOWN + parts.path, base_url=f"{parts.scheme}://{parts.netloc}")

    def _verifier_of_issuer(self, find: Callable[[], Issuer | None], servers: Servers) -> ServerVerifier:
        """Return the token verifier of the issuer of the current request, which ends with 404 if there is none."""
        if not flask.has_request_context():
            raise ConfigurationError(
                "this application has several issuers: push a request context of one of them, or name it in the "
                "command, flask oauth2 --issuer URL"
            )
        request = web.current_request()
        reader, known, _ = request.environ.get(_ISSUER, _NO_ISSUER)
        if reader is request:
            return cast(ServerVerifier, known)
        issuer = find()
        if issuer is None:
            flask.abort(404)
        verifier = servers.of(issuer)
        request.environ[_ISSUER] = request, verifier, self._prefix.arguments_of(issuer)
        return verifier

    def _build_issuer(self, app: flask.Flask, first: AuthorizationServer, issuer: Issuer) -> AuthorizationServer:
        """Build the server of one of several issuers, on the rows of the issuer in the store of the application."""
        own = {**app.config, **issuer.settings, "OAUTH2_ISSUER": issuer.url}

        def open_store() -> Store:
            store: Store = view_of_issuer(first.own_store, issuer.id)
            return store

        replica = first.opening.replica
        return self._assemble(
            app,
            Settings.load(own, warns=False),
            open_store,
            app.extensions[EXTENSION].registered.parts,
            replica=None if replica is None else view_of_issuer(replica, issuer.id),
            url_prefix=self._prefix.path_of(issuer),
            issuer_id=issuer.id,
            events=first.events,
        )

    def _add_arguments(self, endpoint: str, values: dict[str, Any]) -> None:
        """Add the values of the variables in ``url_prefix`` to the URLs of endpoints and pages."""
        if not endpoint.startswith("oauth2.") or not flask.has_request_context():
            return
        _ = self.verifier  # finds the issuer of the request
        arguments = web.current_request().environ.get(_ISSUER, _NO_ISSUER)[2]
        for name in self._prefix.variables:
            if name in arguments and web.current_app().url_map.is_endpoint_expecting(endpoint, name):
                values.setdefault(name, arguments[name])

    @cached
    def models(self) -> dict[str, Any]:
        """With ``db=``: the mapped classes of the tables by name, for the application's own queries."""
        if self._db is None:
            raise ConfigurationError("models are mapped in the application's own database: OAuth2Provider(app, db=db)")
        from .stores.sqlalchemy import map_tables

        return map_tables(self._db.Model, self._table_prefix)

    def create_tables(self) -> None:
        """Create the tables that are missing, safely in many processes at once, such as the workers of a server.

        With ``db`` it creates those of your application too, as ``db.create_all()`` does, and needs no other call. It
        adds no columns to tables that exist: use Flask-Migrate for this. Call it in an application context.
        """
        app = web.current_app()
        choose_store.Storage(self._store, self._db, self._tables).create_tables(
            app, Settings.load(app.config, warns=False)
        )

    def authorize_handler(self, function: Callback) -> Callable[..., Response]:
        """Register ``f(**asked)`` as the application's own consent page: it returns the page, or True or False.

        It is called with ``client_id scopes redirect_uri response_type state request ticket``, and with those of
        ``client client_host user host`` that its signature names, when the page is to be shown and when its form was
        sent: then ``flask.request.method`` is POST, and it returns what the user decided. The form goes to the
        authorization endpoint and holds ``ticket``, which is put into forms without it. The view that this returns may
        have a route of its own.
        """
        self._register("provider", "consent_view", synchronous(function), "authorize_handler")
        return wraps(function)(routes.page(self, "authorize", pages.authorize))

    def token_handler(self, function: Callable[[], Mapping[str, Any] | None]) -> Callable[..., Response]:
        """Register ``f()``, which may return further members of a token answer; the view is the token endpoint."""
        self._register("part", "token_handler", synchronous(function))
        return wraps(function)(routes.view(self, TOKEN))

    def revoke_handler(self, function: Callable[..., Any]) -> Callable[..., Response]:
        """The view is the revocation endpoint; the function is not called, as in flask-oauthlib."""
        return wraps(function)(routes.view(self, REVOCATION))

    def metrics(self) -> flask.Response:
        """A view that answers with what Prometheus scrapes, for ``OAUTH2_METRICS = "prometheus"``.

        It has no route of its own, as it is not for everybody: give it one that only your network reaches.
        """
        if self.server.settings.metrics != "prometheus":
            raise ConfigurationError(
                'provider.metrics shows what Prometheus scrapes: set OAUTH2_METRICS = "prometheus"'
            )
        from .metrics.prometheus import CONTENT_TYPE, write_text

        return flask.Response(write_text(), content_type=CONTENT_TYPE)

    def get_current_user(self) -> User | None:
        """Who is signed in."""
        find_user = self._current_user
        user = (find_user or login.current_user)()
        is_proxy = isinstance(user, LocalProxy)  # such as Flask-Login's current_user
        if is_proxy:
            user = user._get_current_object()
        if is_nobody(user) or getattr(user, "is_authenticated", True) is False:
            return None
        if isinstance(user, User):
            return user
        user_id = identify(user)
        name = user_id if isinstance(user, str | int) else find(user, "name", "username") or user_id
        auth_time = None if isinstance(user, str | int) else seconds(find(user, "auth_time"))
        if auth_time is None and (is_proxy or find_user is None):
            auth_time = login.auth_time()
        return User(id=user_id, name=str(name), auth_time=auth_time)

    def load_user(self, user_id: str) -> Any:
        """Return the application's user with an ID, or what the loader returns if there is none.

        Raises :exc:`ConfigurationError` if Flask-Login's ``user_loader`` finds another user: it expects ``get_id()``.
        """
        own = self._parts.callbacks.userloader
        if own is not None:
            return own(user_id)
        user = login.userloader()(user_id)
        if not is_nobody(user) and identify(user) != user_id:
            raise ConfigurationError(
                "Flask-Login's user_loader found another user, because get_id() of your users differs from their id: "
                "register a function that finds users by their id with @provider.userloader"
            )
        return user

    def revoke_user(self, user: object) -> None:
        """Revoke every code, device code, token and consent of a user, such as one who leaves or was taken over.

        ``user`` is the user, or the user's id. What is issued for an authorization that has begun is covered too, in
        every worker. The user can authorize clients again afterwards; end the user's sessions in your application.
        """
        revocation.revoke_user(self.server, identify(user))

    def asking_client(self) -> Client | None:
        """On the login page: the client for which somebody is to sign in, to be named there; None where none asks."""
        return pages.asking_client(self)

    def login_url(self, back: str) -> str:
        """The URL of the application's login page, which sends back to the path ``back`` by its parameter ``next``."""
        view = self.server.settings.login_view or login.login_view()
        if view is None:
            raise ConfigurationError(
                "there is no login page to send users to: set OAUTH2_LOGIN_VIEW, or Flask-Login's login_view or "
                'blueprint_login_views["oauth2"], to its endpoint'
            )
        login.remember_next(back)
        if view.startswith("/") or urls.is_web(view):
            return urls.add_query(view, [("next", back)])
        return flask.url_for(view, next=back)

    @property
    def has_users(self) -> bool:
        """Whether it is known who is signed in."""
        return self._current_user is not None or login.is_set_up()

    @property
    def has_login_view(self) -> bool:
        """Whether it is known where users sign in."""
        return bool(self.server.settings.login_view or login.login_view())

    def _register_resource(self, resource: Resource, wsgi_app: WSGIApplication | None) -> None:
        """See :meth:`.resource.protect.Protection._register_resource`."""
        self._register("resources", resource.path, (resource, wsgi_app), f"the resource {resource.path}")

    def _resources_of(self, app: flask.Flask) -> Mapping[str, tuple[Resource, WSGIApplication | None]]:
        """See :meth:`.resource.protect.Protection._resources_of`."""
        registered: Registered = app.extensions[EXTENSION].registered
        return registered.resources

    def _check_guard(self, guard: Guard) -> flask.Response | None:
        """See :meth:`.resource.guard.Guards._check_guard`."""
        verifier = self.verifier
        server = verifier.server
        settings, metrics = server.settings, server.events.metrics
        how = verifier, settings.token_in_body, settings.client_certificate_header
        if metrics is None:
            return guard.run(*how)
        answer: flask.Response | None = metrics.measure("resource", "", guard.run, *how)
        return answer

    def _note_guarded(self, function: Any, wrapper: Any) -> None:
        """See :meth:`.resource.guard.Guards._note_guarded`, and :mod:`.resource.guard_order`."""
        self._guarded.add(function, wrapper, find_caller())

    def _note_several(self, scope: tuple[str, ...]) -> None:
        frame = find_caller()
        self._several[f"{scope} in {frame.f_code.co_filename}:{frame.f_lineno}"] = None

    def _emit_accepted(self, **facts: Any) -> None:
        self.server.events.emit(signals.token_accepted, **facts)

    def _find_misplaced_guards(self, app: flask.Flask) -> list[str]:
        """Return a sentence for each view of an application that was registered without its guard."""
        return list(self._guarded.find_misplaced(app, self._apps))

    def _check_guards(self) -> None:
        """Before the first request: raise :exc:`ConfigurationError` if a guard stands above its route."""
        app = web.current_app()
        misplaced = self._find_misplaced_guards(app)
        if misplaced:
            raise ConfigurationError("; ".join(misplaced))
        # another list, as other threads may be going through this one
        hooks = app.before_request_funcs
        hooks[None] = [hook for hook in hooks[None] if hook != self._check_guards]

    def _find_user(self, access: AccessToken) -> Any:
        user_id = str(access.user_id)
        user = None if self.server.callbacks.userloader else find(self._find_own_token(access), "user")
        return user if is_user(user, user_id) else self.load_user(user_id)

    def _find_client(self, access: AccessToken) -> Any:
        server = self.server
        return server.callbacks.find_client(access.client_id) or lookup.find_client(server, access.client_id)

    def _find_own_token(self, access: AccessToken) -> Any:
        return self.server.callbacks.find_token(access.key)

    def _install(self, installed: Installed) -> Servers:
        first = self._build(installed.app)
        servers = installed.servers = Servers(first, partial(self._build_issuer, installed.app, first))
        return servers

    def _build(self, app: flask.Flask) -> AuthorizationServer:
        settings = Settings.load(app.config, warns=False)
        unseen = flask.has_request_context() and deployment.find_unseen_mount(
            settings.issuer, flask.request.script_root
        )
        if unseen:
            log.warning("%s", unseen)
        parts = app.extensions[EXTENSION].registered.parts
        chosen = choose_store.Storage(self._store, self._db, self._tables)
        # the store opens with the first request that needs it: where the database is away, that one is told so
        open_store, replica = chosen.choose_store(app, settings), chosen.choose_replica(app, settings)
        server = self._assemble(app, settings, open_store, parts, replica=replica)
        if parts.usergetter is not None and "password" not in settings.grant_types:
            log.warning(
                "a usergetter is registered, but nothing asks it: OAUTH2_GRANT_TYPES does not name password, a grant "
                "that RFC 9700 section 2.4 advises against"
            )
        if parts.developer_policy is not None and not settings.developer_pages:
            log.warning("a developer_policy is registered, but nothing asks it: OAUTH2_DEVELOPER_PAGES is not True")
        for place in self._several:
            log.warning(
                "require_oauth%s demands all of these scopes; in flask-oauthlib any was enough, which is any_of=[...] "
                "here. Write them as one text with spaces to say that you mean all",
                place,
            )
        self._setup = None
        return server

    def _assemble(
        self,
        app: flask.Flask,
        settings: Settings,
        open_store: Callable[[], Store],
        extensions: Extensions,
        **more: Any,
    ) -> AuthorizationServer:
        """Build a server of an application, with its protected resources and guards, on a store."""
        if not settings.secret_keys:
            raise ConfigurationError("flask_oauth2 needs the application's SECRET_KEY, for its consent page: set one")
        resources = self._resources_of(app).values()
        described, elsewhere, is_open_elsewhere = collect_scopes(app, [resource for resource, _ in resources])
        return build(
            settings,
            open_store,
            extensions,
            described=described,
            elsewhere=elsewhere,
            is_open_elsewhere=is_open_elsewhere,
            sender=app,
            **{"url_prefix": self._prefix.path, **more},
        )


_MOVED = {
    "before_request": "Flask's own app.before_request comes before every view",
    "after_request": "connect to signals.token_accepted and signals.request_refused of flask_oauth2",
    "invalid_response": "connect to signals.request_refused; the answer is that of RFC 6750",
    "exception_handler": "connect to signals.request_refused; errors leave as RFC 6749 section 5.2 says",
    "verify_request": "guard the view with require_oauth(..., optional=True) and look at current_token",
    "confirm_authorization_request": "return True from the authorize_handler",
    "error_uri": "errors have a page of ours, templates/oauth2/error.html",
}
"""Names of flask-oauthlib's provider, and what to use in their place."""
