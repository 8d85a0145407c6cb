"""The guard of a view: ``@provider.require_oauth("profile")``, and ``current_token`` inside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeVar, cast

import flask
from flask.views import View
from werkzeug.local import LocalProxy

from . import scopes, signals, values, web
from .endpoints import resource
from .errors import OAuth2Error
from .records import AccessToken, Claims, find, is_user
from .resources import Resource
from .scopes import Scope

if TYPE_CHECKING:
    from .provider import OAuth2Provider
    from .server import Server

Guarded = TypeVar("Guarded", bound="Callable[..., Any] | flask.Blueprint")


class CurrentToken:
    """The access token of the request that is being answered."""

    def __init__(
        self, access: AccessToken, server: Server, provider: OAuth2Provider, resource: Resource | None = None
    ) -> None:
        self._access = access
        self._server = server
        self._provider = provider
        self._resource = resource
        """The protected resource that it was shown at."""

    @property
    def client_id(self) -> str:
        """The client that holds the token."""
        return self._access.client_id

    @property
    def user_id(self) -> str | None:
        """The user who allowed it; None where the client acts for itself."""
        return self._access.user_id

    @property
    def scope(self) -> Scope:
        """The scope words of the token."""
        return self._access.scope

    @property
    def expires_at(self) -> int:
        """When the token ends: seconds since the epoch, UTC."""
        return self._access.expires_at

    @property
    def claims(self) -> Claims:
        """A copy of the claims that the grant carries along."""
        return deepcopy(dict(self._access.context.claims))

    @property
    def scopes(self) -> list[str]:
        """The same as a list, as in flask-oauthlib."""
        return list(self._access.scope)

    @property
    def audience(self) -> tuple[str, ...]:
        """The protected resources that may take the token; none where it is for none in particular."""
        return self._access.audience

    def require(self, scope: str | Iterable[str]) -> None:
        """End the request here by a challenge, 403, unless the token has all words of a scope.

        For views whose demand depends on what the request says, such as which tool it calls.
        """
        demanded = demand(scope, None)

        def refuse(error: OAuth2Error, _: str) -> flask.Response:
            resource_scope = () if self._resource is None else self._resource.scopes
            return web.write(resource.refuse(self._server, error, [(resource_scope,), demanded], self._resource))

        refused = self._server.answer(resource.verify_scope, refuse, self._access, demanded)
        if refused is not None:
            flask.abort(refused)

    @property
    def access_token(self) -> Any:
        """The application's own token, by its ``tokengetter``; None without one."""
        return self._server.callbacks.find_token(self._access.key)

    @property
    def client(self) -> Any:
        """The client, looked up with each asking: what the ``clientgetter`` returns, or a :class:`.records.Client`."""
        client_id = self._access.client_id
        return self._server.callbacks.find_client(client_id) or self._server.clients.find(client_id)

    @property
    def user(self) -> Any:
        """The user, by the application's ``userloader``; None where the client acts for itself.

        Without a ``userloader`` the ``user`` of the application's own token, or else Flask-Login's.
        """
        user_id = self._access.user_id
        if user_id is None:
            return None
        user = None if self._server.callbacks.userloader else find(self.access_token, "user")
        return user if is_user(user, user_id) else self._provider.load_user(user_id)


def _current_token() -> CurrentToken | None:
    try:
        token: CurrentToken | None = web.current_request().environ[web.TOKEN][1]
    except KeyError:
        raise RuntimeError("there is no current_token: guard the view with @provider.require_oauth()") from None
    return token


class _Current(LocalProxy[Any]):
    """The access token of the request that is being answered: what is read of it often is asked of it directly."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            token = web.current_request().environ[web.TOKEN][1]
        except KeyError:
            token = _current_token()  # says what is missing
        return getattr(token, name)


current_token: CurrentToken = _Current(_current_token)  # type: ignore[assignment]
"""The token that a guard accepted; it is false where a guard is optional and none came."""


MARK = "__oauth2_guard__"
"""The attribute of a guarded view that holds its guard, for tests that ask which views have one."""


def find_guards(app: flask.Flask) -> Iterator[tuple[str, str, list[Guard]]]:
    """The path and the endpoint of each rule of an application, and the guards of its view: its own, those of the
    methods of its class, and those of its blueprint.
    """
    for rule in app.url_map.iter_rules():
        view = app.view_functions.get(rule.endpoint)
        kind = getattr(view, "view_class", None)
        marked = [view, *(getattr(kind, method.lower(), None) for method in rule.methods or ())]
        guards = [getattr(function, MARK) for function in marked if hasattr(function, MARK)]
        yield rule.rule, rule.endpoint, guards + guards_before(app, rule.endpoint)


def guards_before(app: flask.Flask, endpoint: str) -> list[Guard]:
    """The guards of a view's blueprint, and of those that it is in."""
    parts = endpoint.split(".")[:-1]
    names = [None, *(".".join(parts[: size + 1]) for size in range(len(parts)))]
    functions = (function for name in names for function in app.before_request_funcs.get(name, ()))
    owners = (getattr(function, "__self__", None) for function in functions)
    return [owner for owner in owners if isinstance(owner, Guard)]


class Guard:
    """What ``require_oauth`` returns: a decorator of views, classes of views and blueprints."""

    def __init__(self, provider: OAuth2Provider, demanded: resource.Alternatives, optional: bool) -> None:
        self._provider = provider
        self.demanded = demanded
        self.is_optional = optional

    def __call__(self, guarded: Guarded) -> Guarded:
        """Guard a view (sync or async), a class of views, or every view of a blueprint."""
        if isinstance(guarded, flask.Blueprint):
            guarded.before_request(self.check_unless_options)
            return guarded
        if isinstance(guarded, type) and issubclass(guarded, View):
            guarded.decorators = [*guarded.decorators, self]
            return guarded
        view = cast("Callable[..., Any]", guarded)
        check = self.check

        if iscoroutinefunction(view):

            @wraps(view)
            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                refused = check()
                return await view(*args, **kwargs) if refused is None else refused

        else:

            @wraps(view)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                refused = check()
                return view(*args, **kwargs) if refused is None else refused

        setattr(wrapper, MARK, self)
        self._provider._note_guarded(view, wrapper)
        return cast("Guarded", wrapper)

    def check(self) -> flask.Response | None:
        """Set ``current_token``, or say why not."""
        server = self._provider.server
        refused: flask.Response | None
        if server.metrics is None:
            refused = server.answer(self._accept, self._refuse, server)
        else:
            refused = server.metrics.measure("resource", server.answer, self._accept, self._refuse, server)
        return refused

    def _refuse(self, error: OAuth2Error, _: str) -> flask.Response:
        server = self._provider.server
        if server.metrics is not None:
            server.metrics.note(error.code)
        request = web.current_request()
        described = server.resources(request.script_root).at(request.path) if server.described else None
        # of the guard that belongs to the view too, where that of the resource refuses first
        view = flask.current_app.view_functions.get(request.endpoint or "")
        guards = [self, *([view_guard] if (view_guard := getattr(view, MARK, None)) else ())]
        demanded = [((described.scopes,) if described and described.scopes else ())]
        demanded += [guard.demanded for guard in guards]
        return web.write(resource.refuse(server, error, demanded, described))

    def check_unless_options(self) -> flask.Response | None:
        """Flask itself answers OPTIONS, which browsers send without a token; a view that answers it is guarded."""
        rule = flask.request.url_rule
        is_automatic = flask.request.method == "OPTIONS" and getattr(rule, "provide_automatic_options", False)
        return None if is_automatic or web.is_preflight() else self.check()

    def _accept(self, server: Server) -> None:
        request = web.current_request()
        environ = request.environ
        reader, token = environ.get(web.TOKEN, (None, None))
        if token is None or reader is not server:  # no guard of this server has run yet
            try:
                access = resource.read_token(
                    server, web.read_for_guard(request, server.settings.token_in_body, not self.is_optional)
                )
            except resource.NoToken:
                if not self.is_optional:
                    raise
                environ[web.TOKEN] = server, None
                return
            described = server.resources(request.script_root).at(request.path) if server.described else None
            if access.audience or described is not None:
                resource.verify_audience(access, described)
            token = CurrentToken(access, server, self._provider, described)
            environ[web.TOKEN] = server, token
            request.oauth = token  # type: ignore[attr-defined]  # as in flask-oauthlib
        access = token._access
        resource.verify_scope(access, self.demanded)
        if signals.token_accepted.has_receivers_for(server.sender):
            server.tell(
                signals.token_accepted,
                client_id=access.client_id,
                user_id=access.user_id,
                scope=access.scope,
                token_id=values.text(access.key),
            )


def demand(scope: str | Iterable[str] | None, any_of: Iterable[str] | None) -> resource.Alternatives:
    """What a guard demands, from how a programmer says it.

    Raises :exc:`TypeError` for both ways at once, :exc:`ValueError` for an empty one, which would let every token in.
    """
    if isinstance(any_of, str):
        raise TypeError(f"any_of takes a list of alternatives, such as {any_of.split()}")
    if any_of is None:
        if scope is None:
            return ()
        alternatives = [scopes.parse_option(scope)]
    elif scope is None:
        alternatives = [scopes.parse_option(words) for words in any_of]
    else:
        raise TypeError("require_oauth takes scopes that are all demanded, or any_of=, not both")
    if not alternatives or not all(alternatives):
        raise ValueError("require_oauth was given an empty scope: leave it out to accept any token")
    return tuple(alternatives)
