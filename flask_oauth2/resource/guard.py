"""The guard of a view: ``@provider.require_oauth("profile")``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar, cast, overload

import flask
from flask.views import View

from .. import signals, values, web
from ..errors import OAuth2Error
from ..http.messages import Request
from .authentication import RequiredAuthentication, parse_authentication, verify_authentication
from .current_token import CurrentToken, Owners, parse_requirement
from .verify import Alternatives, NoToken, TokenVerifier, verify_scope

Callback = TypeVar("Callback", bound=Callable[..., Any])
Guarded = TypeVar("Guarded", bound="Callable[..., Any] | flask.Blueprint")

MARK = "__oauth2_guard__"
"""The attribute of a guarded view that holds its guard, for tests that ask which views have one."""

_NOTHING: tuple[None, None] = (None, None)


class Guards(ABC):
    """Makes guards that use one verifier."""

    _owners = Owners()
    _request_attribute: str | None = None
    """A further name of ``current_token``, as an attribute of ``flask.request``."""

    @property
    @abstractmethod
    def verifier(self) -> TokenVerifier:
        """Verifies the tokens of requests to the current application."""

    @overload
    def require_oauth(self, scope: Callback, /) -> Callback: ...

    @overload
    def require_oauth(
        self,
        scope: str | Iterable[str] | None = None,
        *more: str,
        any_of: Iterable[str] | None = None,
        acr: str | Iterable[str] | None = None,
        max_age: int | None = None,
        optional: bool = False,
    ) -> Guard: ...

    def require_oauth(
        self,
        scope: str | Iterable[str] | Callable[..., Any] | None = None,
        *more: str,
        any_of: Iterable[str] | None = None,
        acr: str | Iterable[str] | None = None,
        max_age: int | None = None,
        optional: bool = False,
    ) -> Any:
        """Guard a view, a class of views or a blueprint, :rfc:`6750`.

        :param scope: scope values that the token must all have: ``"a b"``, a list, or several arguments.
            The log lists the guards with several arguments.
        :param any_of: in place of that, alternatives, each of one or more scope values.
        :param acr: the authentication context classes of which the user must have been authenticated with one,
            :rfc:`9470`.
        :param max_age: the maximum number of seconds since the user signed in.
        :param optional: accept requests without a token; ``current_token`` is then false.
        """
        if callable(scope) or isinstance(scope, flask.Blueprint):
            return Guard(self, (), optional)(scope)
        if more:
            scope = (*([scope] if isinstance(scope, str) else scope or ()), *more)
            self._record_scope_arguments(scope)
        return Guard(self, parse_requirement(scope, any_of), optional, parse_authentication(acr, max_age))

    def _check_guard(self, guard: Guard) -> flask.Response | None:
        """Run a guard for the current request. Return the answer if it rejects the request."""
        return guard.run(self.verifier)

    def _record_guarded(self, function: Any, wrapper: Any) -> None:  # noqa: B027  optional
        """Record a function and its guarded wrapper."""

    def _emit_accepted(self, **facts: Any) -> None:
        """Send the signal of an accepted token."""
        signals.token_accepted.send(web.current_app(), **facts, issuer=None)

    def _record_scope_arguments(self, scope: tuple[str, ...]) -> None:  # noqa: B027  optional
        """Record a guard with several scope arguments."""


class Guard:
    """Decorates views, classes of views and blueprints, as ``require_oauth`` returns it."""

    def __init__(
        self,
        guards: Guards,
        required: Alternatives,
        optional: bool,
        authentication: RequiredAuthentication | None = None,
    ) -> None:
        self._guards = guards
        self.required = required
        self.is_optional = optional
        self.authentication = authentication

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
        self._guards._record_guarded(view, wrapper)
        return cast("Guarded", wrapper)

    def check(self) -> flask.Response | None:
        """Set ``current_token``. Return the answer if the request is rejected."""
        return self._guards._check_guard(self)

    def check_unless_options(self) -> flask.Response | None:
        """Check the request unless Flask itself answers it: browsers send OPTIONS without a token."""
        rule = flask.request.url_rule
        is_automatic = flask.request.method == "OPTIONS" and getattr(rule, "provide_automatic_options", False)
        return None if is_automatic or web.is_preflight() else self.check()

    def run(
        self, verifier: TokenVerifier, reads_body: bool = False, certificate_header: str = ""
    ) -> flask.Response | None:
        """Check the request with a verifier.

        :param reads_body: whether the token may be in a form body.
        :param certificate_header: the header in which the proxy sends the client certificate.
        """
        request = web.current_request()
        reader, token = request.environ.get(web.TOKEN, _NOTHING)
        sent = None
        try:
            if token is None or reader is not verifier:  # no guard of this verifier has run yet
                sent = web.read_for_guard(request, reads_body, not self.is_optional, certificate_header)
                token = self._verify(request, sent, verifier)
                if token is None:
                    return None
            access = token._access
            if self.authentication is not None:
                verify_authentication(token._verified, self.authentication)
            verify_scope(access, self.required)
        except OAuth2Error as error:
            return self._refuse(error, sent or web.read_for_guard(request, False), verifier)
        if signals.token_accepted.has_receivers_for(web.current_app()):
            self._guards._emit_accepted(
                client_id=access.client_id,
                user_id=access.user_id,
                scope=access.scope,
                token_id=values.text(access.token_hash),
            )
        return None

    def _verify(self, request: flask.Request, sent: Request, verifier: TokenVerifier) -> CurrentToken | None:
        """Return the token of a request; None if there is none and none is needed."""
        try:
            verified = verifier.verify(sent)
        except NoToken:
            if not self.is_optional:
                raise
            request.environ[web.TOKEN] = verifier, None
            return None
        token = CurrentToken(verified, verifier, sent, self._guards._owners)
        request.environ[web.TOKEN] = verifier, token
        if verified.headers:
            flask.after_this_request(partial(_add_headers, verified.headers))
        if self._guards._request_attribute is not None:
            setattr(request, self._guards._request_attribute, token)
        return token

    def _refuse(self, error: OAuth2Error, sent: Request, verifier: TokenVerifier) -> flask.Response:
        # the challenge names what the guard of the view needs too, if that of the resource rejects first
        view = flask.current_app.view_functions.get(web.current_request().endpoint or "")
        guard = getattr(view, MARK, None)
        required = [self.required, *([guard.required] if guard is not None else ())]
        return web.write(verifier.refuse(error, sent, required))


def _add_headers(headers: Mapping[str, str], response: flask.Response) -> flask.Response:
    response.headers.update(headers)
    return response


def find_guards(app: flask.Flask) -> Iterator[tuple[str, str, list[Guard]]]:
    """Yield the path and the endpoint of each rule of an application, and the guards of its view.

    These are its own, those of the methods of its class, and those of its blueprint.
    """
    for rule in app.url_map.iter_rules():
        view = app.view_functions.get(rule.endpoint)
        kind = getattr(view, "view_class", None)
        marked = [view, *(getattr(kind, method.lower(), None) for method in rule.methods or ())]
        guards = [getattr(function, MARK) for function in marked if hasattr(function, MARK)]
        yield rule.rule, rule.endpoint, guards + guards_before(app, rule.endpoint)


def guards_before(app: flask.Flask, endpoint: str) -> list[Guard]:
    """Return the guards of a view's blueprint, and of those that it is in."""
    parts = endpoint.split(".")[:-1]
    names = [None, *(".".join(parts[: size + 1]) for size in range(len(parts)))]
    functions = (function for name in names for function in app.before_request_funcs.get(name, ()))
    owners = (getattr(function, "__self__", None) for function in functions)
    return [owner for owner in owners if isinstance(owner, Guard)]
