"""The extension: one object that makes a Flask application an OAuth 2 provider."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial, wraps
from importlib.util import find_spec
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

import flask
from werkzeug.exceptions import TooManyRequests
from werkzeug.local import LocalProxy
from werkzeug.wrappers import Response

from . import cli, login, pages, storage, uris, values, web
from .endpoints import AUTHORIZATION_PATH, ENDPOINTS, VERIFICATION_PATH, WELL_KNOWN, Endpoint, cross_origin, metadata
from .errors import ConfigurationError, TemporarilyUnavailable
from .guard import MARK, Guard, demand, find_guards
from .pages.base import show_error
from .records import Client, User, find, identify, is_nobody, seconds
from .registry import Callback, Registry, synchronous
from .resources import Resource
from .scopes import parse_option
from .server import Parts, Server, log
from .settings import Settings
from .stores.base import Store

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from flask_sqlalchemy import SQLAlchemy

    from .stores.sqlalchemy import Tables

AnyServer = TypeVar("AnyServer", bound=Server)

EXTENSION = "flask_oauth2"
"""The name under ``app.extensions``."""


@dataclass(slots=True)
class Installed:
    """What ``app.extensions`` holds: the provider's state for one application."""

    provider: OAuth2Provider
    app: flask.Flask
    server: Server | None = None
    lock: Lock = field(default_factory=Lock)


class OAuth2Provider(Registry):
    """Makes a Flask application an OAuth 2 provider.

    :param app: the application; without one, call :meth:`init_app` later, once for each application.
    :param db: the application's ``flask_sqlalchemy.SQLAlchemy``, whose database then holds the tables too. Without it
        (and without ``store``) they live in a database of their own, ``OAUTH2_DATABASE_URI``, by default the file
        ``oauth2.sqlite`` in the instance folder.
    :param store: any :class:`~flask_oauth2.stores.base.Store`, in place of a database.
    :param url_prefix: where the endpoints live; server metadata is always below the host's root.
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
        super().__init__()
        self._db = db
        self._store = store
        self._url_prefix = "/" + url_prefix.strip("/") if url_prefix.strip("/") else ""
        self._table_prefix = table_prefix
        self._tables: Tables | None = None
        self._parts.callbacks.load_user = self.load_user
        self.consent_view: Callable[..., Any] | None = None
        """The application's own consent page, see :meth:`authorize_handler`."""
        self._several: list[str] = []
        self._apps: list[flask.Flask] = []
        self.described: list[Resource] = []
        """The protected resources, see :meth:`protect_resource`."""
        self._mounted: dict[str, WSGIApplication] = {}
        if db is not None:
            from .stores.sqlalchemy import declare

            self._tables = declare(db.metadata, table_prefix)  # at once, so that migrations and create_all() see them
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """Read the application's options and register the blueprint.

        Raises :exc:`ConfigurationError` for a wrong option, and where the application already has a provider.
        """
        if EXTENSION in app.extensions:
            raise ConfigurationError("this application has an OAuth2Provider already: one application, one provider")
        storage.check(Settings.load(app.config))
        blueprint = flask.Blueprint(
            "oauth2",
            __name__,
            template_folder="pages/templates",
            static_folder="pages/static",
            static_url_path=f"{self._url_prefix or '/oauth2'}/static",
        )
        installed = app.extensions[EXTENSION] = Installed(self, app)
        self._add_routes(blueprint)
        app.register_blueprint(blueprint)
        self._apps.append(app)
        if self.described:
            app.before_request(self._guard_resources)
        for resource in self.described:
            self._mount(app, resource)
        app.cli.add_command(cli.oauth2)
        # whatever keeps the provider from starting must keep nobody from signing in
        login.note_auth_times(app, lambda: (installed.server.clock if installed.server else values.clock)())

    def __getattr__(self, name: str) -> Any:
        """Says what to use in place of a method of flask-oauthlib that is not here."""
        if name in _MOVED:
            raise AttributeError(f"there is no {name} in flask_oauth2: {_MOVED[name]}", name=name, obj=self)
        return self.__getattribute__(name)  # raises what it raised before, which may be an error inside a property

    @property
    def server(self) -> Server:
        """The authorization server of the current application, built with the first use."""
        installed: Installed | None = web.current_app().extensions.get(EXTENSION)
        if installed is None:
            raise ConfigurationError("this application has no OAuth2Provider: call provider.init_app(app)")
        server = installed.server
        if server is None:
            with installed.lock:
                server = installed.server = installed.server or self._build(installed.app)
        if not server.issuer and flask.has_request_context():
            app = flask.current_app
            server.issuer = web.find_issuer(flask.request.environ, app.debug or app.testing)
        return server

    @cached_property
    def models(self) -> dict[str, Any]:
        """With ``db=``: the mapped classes of the tables by name, for the application's own queries."""
        if self._db is None:
            raise ConfigurationError("models are mapped in the application's own database: OAuth2Provider(app, db=db)")
        from .stores.sqlalchemy import map_tables

        return map_tables(self._db.Model, self._table_prefix)

    @overload
    def require_oauth(self, scope: Callback, /) -> Callback: ...

    @overload
    def require_oauth(
        self,
        scope: str | Iterable[str] | None = None,
        *more: str,
        any_of: Iterable[str] | None = None,
        optional: bool = False,
    ) -> Guard: ...

    def require_oauth(
        self,
        scope: str | Iterable[str] | Callable[..., Any] | None = None,
        *more: str,
        any_of: Iterable[str] | None = None,
        optional: bool = False,
    ) -> Any:
        """Guard a view, a class of views or a blueprint: :rfc:`6750`.

        :param scope: words that the token must all have: ``"a b"``, a list, or several arguments; the log names the
            places that pass several, since in flask-oauthlib any of them was enough.
        :param any_of: in place of that, alternatives, each of one or more words.
        :param optional: let requests without a token pass; ``current_token`` is then false.
        """
        if callable(scope) or isinstance(scope, flask.Blueprint):
            return Guard(self, (), optional)(scope)
        if more:
            self._several.append(f"{(scope, *more)} in {_caller()}")
            scope = " ".join([*([scope] if isinstance(scope, str) else scope or ()), *more])
        return Guard(self, demand(scope, any_of), optional)

    def protect_resource(
        self,
        path: str,
        scopes: str | Iterable[str] = (),
        *,
        step_up: str | Iterable[str] = (),
        name: str | None = None,
        documentation: str | None = None,
        policy_uri: str | None = None,
        tos_uri: str | None = None,
        wsgi_app: WSGIApplication | None = None,
    ) -> None:
        """Describe a part of the application as a protected resource, :rfc:`9728`, and guard all that is in it.

        Every request at ``path`` or below it needs a token that was issued for this resource (:rfc:`8707`) and has all
        of ``scopes``; a view with an optional guard of its own answers without one. What is at ``/`` is described, and
        only the views that have a guard are guarded.

        :param path: where it begins, such as ``/api``.
        :param scopes: words that every request needs. What the guards of views below demand beside is added by itself.
        :param step_up: words that some requests need beside, where no guard of a view says so.
        :param name: what people call it.
        :param documentation: the URL of a page for developers of clients; ``policy_uri`` and ``tos_uri`` likewise.
        :param wsgi_app: a WSGI application that answers there, in place of views. Whose token came it sees by
            ``REMOTE_USER``, and by ``current_token``.
        """
        self._describe(
            Resource(
                path=path,
                scopes=parse_option(scopes),
                further=parse_option(step_up),
                name=name,
                documentation=documentation,
                policy_uri=policy_uri,
                tos_uri=tos_uri,
            ),
            wsgi_app,
        )

    def protect_mcp(
        self,
        path: str = "/mcp",
        scopes: str | Iterable[str] = (),
        *,
        step_up: str | Iterable[str] = (),
        name: str | None = None,
        documentation: str | None = None,
        wsgi_app: WSGIApplication | None = None,
    ) -> None:
        """Make an MCP server at ``path`` connectable by its URL alone: :meth:`protect_resource`, and what clients need.

        Clients that nobody has registered may register themselves, :rfc:`7591`, unless ``OAUTH2_REGISTRATION`` says
        otherwise, and may be known by the URL of their metadata document, unless ``OAUTH2_CLIENT_ID_DOCUMENTS`` does.
        They get the scope of resources and ``OAUTH2_DEFAULT_SCOPE``, nothing else.

        :param scopes: what each request needs; clients ask for it at first.
        :param step_up: what some tools need beside; demand it by ``current_token.require()``.
        """
        described = Resource(
            path=path,
            scopes=parse_option(scopes),
            further=parse_option(step_up),
            name=name,
            documentation=documentation,
            is_mcp=True,
        )
        self._describe(described, wsgi_app)

    def _describe(self, resource: Resource, wsgi_app: WSGIApplication | None) -> None:
        path = resource.path
        if not _PATH.match(path) or (path != "/" and path.endswith("/")):
            raise ConfigurationError(
                f"a protected resource has a path of the application, such as /api or /mcp, not {path!r}"
            )
        self._check_open(f"the resource {path}", any(other.path == path for other in self.described))
        if not self.described:
            for app in self._apps:
                app.before_request(self._guard_resources)
        self.described.append(resource)
        if wsgi_app is not None:
            self._mounted[path] = wsgi_app
        for app in self._apps:
            self._mount(app, resource)

    def _mount(self, app: flask.Flask, resource: Resource) -> None:
        wsgi_app = self._mounted.get(resource.path)
        if wsgi_app is not None:
            web.mount(app, resource.path, wsgi_app, self._guard_of(resource))

    def _guard_resources(self) -> flask.Response | None:
        """Before each request: what is in a protected resource needs a token."""
        request = web.current_request()
        path, endpoint = request.path, request.endpoint or ""
        around = [resource for resource in self.described if resource.path != "/" and resource.covers(path)]
        if not around or endpoint.startswith("oauth2."):
            return None
        described = max(around, key=lambda resource: len(resource.path))
        own = getattr(flask.current_app.view_functions.get(endpoint), MARK, None)
        is_preflight = request.method == "OPTIONS" and getattr(request.url_rule, "provide_automatic_options", False)
        if is_preflight:
            return None
        return self._guard_of(described, own is not None and own.is_optional).check()

    def _guard_of(self, resource: Resource, optional: bool = False) -> Guard:
        """What every request to the resource needs."""
        return Guard(self, (resource.scopes,) if resource.scopes else (), optional)

    def authorize_handler(self, function: Callback) -> Callable[..., Response]:
        """Register ``f(**asked)`` as the application's own consent page: it returns the page, or True or False.

        It is called with ``client_id scopes redirect_uri response_type state request ticket``, and with those of
        ``client client_host user host`` that its signature names, when the page is to be shown and when its form was
        sent: then ``flask.request.method`` is POST, and it returns what the user decided. The form goes to the
        authorization endpoint and holds ``ticket``, which is put into forms without it. The view that this returns may
        have a route of its own.
        """
        self._check_open("authorize_handler", self.consent_view)
        self.consent_view = synchronous(function)
        return wraps(function)(self._page("authorize", pages.authorize))

    def token_handler(self, function: Callable[[], Mapping[str, Any] | None]) -> Callable[..., Response]:
        """Register ``f()``, which may return further members of a token answer; the view is the token endpoint."""
        self._check_open("token_handler", self._parts.token_handler)
        self._parts.token_handler = synchronous(function)
        return wraps(function)(self._view(ENDPOINTS[0], _respond))

    def revoke_handler(self, function: Callable[..., Any]) -> Callable[..., Response]:
        """The view is the revocation endpoint; the function is not called, as in flask-oauthlib."""
        return wraps(function)(self._view(ENDPOINTS[1], _respond))

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
        user = (self._current_user or login.current_user)()
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
        if auth_time is None and (is_proxy or self._current_user is None):
            auth_time = login.auth_time()
        return User(id=user_id, name=str(name), auth_time=auth_time)

    def load_user(self, user_id: str) -> Any:
        """The application's user of an id."""
        return (self._parts.callbacks.userloader or login.userloader())(user_id)

    def asking_client(self) -> Client | None:
        """On the login page: the client for which somebody is to sign in, to be named there; None where none asks."""
        return pages.asking_client(self)

    def login_url(self, back: str) -> str:
        """The URL of the application's login page, which sends back to the path ``back`` by its parameter ``next``."""
        view = self.server.settings.login_view or login.login_view()
        if view is None:
            raise ConfigurationError(
                "there is no login page to send users to: set OAUTH2_LOGIN_VIEW, or Flask-Login's login_view, to its "
                "endpoint"
            )
        if view.startswith(("/", "https://", "http://")):
            return uris.add_query(view, [("next", back)])
        return flask.url_for(view, next=back)

    @property
    def has_users(self) -> bool:
        """Whether it is known who is signed in."""
        return self._current_user is not None or login.is_set_up()

    @property
    def has_login_view(self) -> bool:
        """Whether it is known where users sign in."""
        return bool(self.server.settings.login_view or login.login_view())

    def _add_routes(self, blueprint: flask.Blueprint) -> None:
        prefix = self._url_prefix
        for endpoint in ENDPOINTS:
            self._add_route(blueprint, f"{prefix}{endpoint.path}", endpoint, _respond)
        for endpoint in WELL_KNOWN:
            self._add_route(blueprint, endpoint.path, endpoint, _show_document)

        for name, (path, page, methods) in _PAGES.items():
            blueprint.add_url_rule(f"{prefix}{path}", name, self._page(name, page), methods=methods)

        blueprint.register_error_handler(429, self._refuse_too_many)  # of an extension that limits requests
        if find_spec("flask_wtf"):  # before every before_request function, its own among them
            blueprint.url_value_preprocessor(_ExemptFromCSRF(blueprint))

    def _add_route(
        self,
        blueprint: flask.Blueprint,
        path: str,
        endpoint: Endpoint,
        respond: Callable[[Server, Endpoint], Response],
    ) -> None:
        methods = (*endpoint.methods, "OPTIONS") if endpoint.pages else endpoint.methods
        blueprint.add_url_rule(path, endpoint.name, self._view(endpoint, respond), methods=methods)

    def _view(self, endpoint: Endpoint, respond: Callable[[Server, Endpoint], Response]) -> Callable[..., Response]:
        def view(**_: str) -> Response:
            server = self.server
            if server.metrics is None:
                return respond(server, endpoint)
            return server.metrics.measure(endpoint.name, respond, server, endpoint)

        return _named(view, endpoint.name)

    def _page(self, name: str, respond: Callable[[OAuth2Provider], Response]) -> Callable[..., Response]:
        def view(*_: Any, **__: Any) -> Response:
            metrics = self.server.metrics
            return respond(self) if metrics is None else metrics.measure(name, respond, self)

        return _named(view, name)

    def _refuse_too_many(self, error: TooManyRequests) -> Response:
        """An extension such as Flask-Limiter let nobody through to an endpoint or a page of ours."""
        if error.response is not None:  # the application has said what is to be answered
            return cast(Response, error.response)
        server, name = self.server, (web.current_request().endpoint or "").removeprefix("oauth2.")
        refusal = TemporarilyUnavailable(
            "too many requests", status=429, retry_after=web.find_wait(error), rule="rfc6585 4", came=error.description
        )

        def refuse(*_: object) -> Any:
            raise refusal

        def answer() -> Response:
            if name in _PAGES:
                shown: Response = server.answer(refuse, partial(show_error, server))
                return shown
            endpoint = next(endpoint for endpoint in (*ENDPOINTS, *WELL_KNOWN) if endpoint.name == name)
            return _respond(server, endpoint._replace(respond=refuse))

        return answer() if server.metrics is None else server.metrics.measure(name, answer)

    def _build(self, app: flask.Flask) -> Server:
        settings = Settings.load(app.config, warns=False)
        chosen = storage.Storage(self._store, self._db, self._tables)
        # the store opens with the first request that needs it: where the database is away, that one is told so
        open_store, replica = chosen.choose_store(app, settings), chosen.choose_replica(app, settings)
        server = self._assemble(Server, app, settings, open_store, self._parts, replica=replica)
        if self._parts.usergetter is not None and "password" not in settings.grant_types:
            log.warning(
                "a usergetter is registered, but nothing asks it: OAUTH2_GRANT_TYPES does not name password, a grant "
                "that RFC 9700 section 2.4 advises against"
            )
        if self._parts.developer_policy is not None and not settings.developer_pages:
            log.warning("a developer_policy is registered, but nothing asks it: OAUTH2_DEVELOPER_PAGES is not True")
        for place in self._several:
            log.warning(
                "require_oauth%s demands all of these scopes; in flask-oauthlib any was enough, which is any_of=[...] "
                "here. Write them as one text with spaces to say that you mean all",
                place,
            )
        self._is_closed = True
        return server

    def _assemble(
        self,
        kind: type[AnyServer],
        app: flask.Flask,
        settings: Settings,
        open_store: Callable[[], Store],
        parts: Parts,
        **more: Any,
    ) -> AnyServer:
        """A server of this application: what is described, guarded and registered, on a store."""
        if not settings.secret_keys:
            raise ConfigurationError("flask_oauth2 needs the application's SECRET_KEY, for its consent page: set one")
        described, elsewhere = _collect_scopes(app, self.described)
        return kind(
            settings,
            open_store,
            parts,
            described=described,
            elsewhere=elsewhere,
            url_prefix=self._url_prefix,
            sender=app,
            find_mistakes=partial(web.find_mistakes, settings.issuer),
            find_claims=web.find_claims,
            **more,
        )


_PAGES: dict[str, tuple[str, Callable[[OAuth2Provider], Response], tuple[str, ...]]] = {
    "authorize": (AUTHORIZATION_PATH, pages.authorize, ("GET", "POST")),
    "consent": ("/consent", pages.decide, ("POST",)),
    "device": (VERIFICATION_PATH, pages.device, ("GET", "POST")),
    "applications": ("/applications", pages.applications, ("GET", "POST")),
    "developer": ("/developer", pages.developer, ("GET",)),
    "developer_new": ("/developer/new", pages.developer_client, ("GET", "POST")),
    "developer_client": ("/developer/<client_id>", pages.developer_client, ("GET", "POST")),
    "developer_secret": ("/developer/<client_id>/secret", pages.developer_secret, ("GET", "POST")),
    "developer_delete": ("/developer/<client_id>/delete", pages.developer_delete, ("GET", "POST")),
}
"""What people see: the path, the page and the methods of each."""


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


def _respond(server: Server, endpoint: Endpoint) -> Response:
    """What an endpoint answers to the request."""
    request = web.read()
    origin = request.headers.get("Origin", "") if endpoint.pages else ""
    if request.method == "OPTIONS":
        return web.write(cross_origin.answer_preflight(server, endpoint, origin))
    answer = server.answer(endpoint.respond, server.refuse, server, request)
    if origin and endpoint.pages == "clients":
        answer = cross_origin.allow(server, request, answer, origin)
    return web.write(answer)


_DOCUMENT_HEADERS = tuple(metadata.HEADERS.items())


def _show_document(server: Server, endpoint: Endpoint) -> Response:
    """Metadata, from memory where it was asked for before: such a request costs no more than a view that is static."""
    request = web.current_request()
    environ = request.environ
    text = server.documents.get((environ["PATH_INFO"], environ.get("SCRIPT_NAME", "")))
    if text is None or request.method == "OPTIONS":
        return _respond(server, endpoint)
    return flask.Response(text, 200, _DOCUMENT_HEADERS)


def _collect_scopes(app: flask.Flask, described: Iterable[Resource]) -> tuple[list[Resource], set[str]]:
    """The resources with the scopes that the guards of their views demand, and those of guards that are in none."""
    innermost_first = sorted(described, key=lambda resource: -len(resource.path))
    found: dict[str, list[str]] = {resource.path: [] for resource in innermost_first}
    elsewhere: list[str] = []
    for path, _, guards in find_guards(app):
        owner = next((resource for resource in innermost_first if resource.covers(path)), None)
        words = elsewhere if owner is None else found[owner.path]
        words += [word for guard in guards for way in guard.demanded for word in way]
    collected = [replace(resource, further=(*resource.further, *found[resource.path])) for resource in described]
    return collected, set(elsewhere)


_PATH = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@/]*\Z")
"""A path that is its own encoding, so that its URL is written in one way."""


def _named(view: Callable[..., Response], name: str) -> Callable[..., Response]:
    """The view under a name of its own: extensions that limit or exempt views tell them apart by it."""
    view.__name__, view.__qualname__ = name, f"OAuth2Provider.{name}"
    return view


def _caller() -> str:
    """The file and line of the application that called a method of the provider."""
    frame = sys._getframe(2)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class _ExemptFromCSRF:
    """Flask-WTF: clients send no form of ours, and the consent page has a protection of its own. Said once."""

    def __init__(self, blueprint: flask.Blueprint) -> None:
        self._blueprint = blueprint
        self._apps: set[flask.Flask] = set()

    def __call__(self, *_: object) -> None:
        app = web.current_app()
        if app not in self._apps:
            csrf = app.extensions.get("csrf")
            if csrf is not None:
                csrf.exempt(self._blueprint)
            self._apps.add(app)
