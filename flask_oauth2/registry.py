"""What an application brings of its own: callbacks, grants, token types and formats, ways to authenticate."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial, wraps
from inspect import iscoroutinefunction, isfunction
from itertools import takewhile
from types import CodeType, FrameType, MethodType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit
from weakref import WeakSet

import flask

from . import web
from .clients.base import ClientAuthMethod
from .errors import ConfigurationError
from .grants.base import Issue, ResponseType, TokenRequest
from .grants.extension import ExtensionGrant
from .offer import Parts
from .resources import Resource
from .tokens.base import TokenFormat, TokenType

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

Callback = TypeVar("Callback", bound=Callable[..., Any])


EXTENSION = "flask_oauth2"
"""The name under ``app.extensions``."""


@dataclass(slots=True)
class Registered:
    """Callbacks, parts and protected resources: of one application, or for all applications of a provider."""

    parts: Parts = field(default_factory=Parts)
    current_user: Callable[[], Any] | None = None
    consent_view: Callable[..., Any] | None = None
    resources: dict[str, tuple[Resource, WSGIApplication | None]] = field(default_factory=dict)
    own: set[tuple[str, str]] = field(default_factory=set)
    """What was registered for this application alone, by kind and name."""

    def copy(self) -> Registered:
        """Return a copy that changes without this one."""
        parts = self.parts
        tables: dict[str, Any] = {
            name: dict(getattr(parts, name))
            for name in ("grants", "response_types", "token_types", "token_formats", "auth_methods")
        }
        copied = replace(parts, callbacks=replace(parts.callbacks), **tables)
        return Registered(copied, self.current_user, self.consent_view, dict(self.resources))

    def read(self, kind: str, name: str) -> Any:
        """Return what is registered under a name, or None."""
        holder = self._holder(kind)
        return holder.get(name) if isinstance(holder, dict) else getattr(holder, name)

    def write(self, kind: str, name: str, value: object) -> None:
        """Register ``value`` under a name."""
        holder = self._holder(kind)
        if isinstance(holder, dict) and value is None:
            holder.pop(name, None)
        elif isinstance(holder, dict):
            holder[name] = value
        else:
            setattr(holder, name, value)

    def _holder(self, kind: str) -> Any:
        holders: dict[str, Any] = {"provider": self, "part": self.parts, "callback": self.parts.callbacks}
        if kind in holders:
            return holders[kind]
        return self.resources if kind == "resources" else getattr(self.parts, kind)


class Pending(NamedTuple):
    """A registration by functions that have not called ``init_app`` yet, and the one that it replaces."""

    kind: str
    name: str
    value: object
    before: object
    frames: list[FrameType]


class Registry:
    """Takes callbacks and parts until the first request. A callback may be asynchronous.

    A registration belongs to the application that is being set up: the one that the calling functions hold in a local
    variable, or else the one that was passed to ``init_app`` last. What a function registers before it calls
    ``init_app`` belongs to its application too. What a module registers while it is imported is for all applications,
    because a module runs once.
    """

    def __init__(self) -> None:
        self._shared = Registered()
        self._apps: WeakSet[flask.Flask] = WeakSet()
        self._last: flask.Flask | None = None
        """The application that was initialized last."""
        self._factories: set[CodeType] = set()
        """The functions that have set up applications."""
        self._setup: FrameType | None = None
        """The function that has called ``init_app`` if it holds the application elsewhere, such as on ``self``."""
        self._pending: list[Pending] = []
        """What functions have registered before they call ``init_app``."""

    def _begin_setup(self, app: flask.Flask) -> Registered:
        """Return what is registered for an application from its beginning."""
        self._apps.add(app)
        self._last = app
        caller = find_caller()
        frames = [caller, *takewhile(lambda frame: _holds(frame, app), _above(caller.f_back))]
        self._setup = None if _holds(caller, app) else caller
        self._factories |= {frame.f_code for frame in frames if frame.f_code.co_name != "<module>"}
        registered = self._shared.copy()
        # what has been registered by the functions that set this application up, which may set up another one
        own = ((pending, [frame for frame in pending.frames if frame in frames]) for pending in self._pending)
        self._pending = [pending._replace(frames=kept) for pending, kept in own if kept]
        for pending in self._pending:
            registered.write(pending.kind, pending.name, pending.value)
            registered.own.add((pending.kind, pending.name))
        for pending in reversed(self._pending):  # other applications do not get it
            if self._shared.read(pending.kind, pending.name) is pending.value:
                self._shared.write(pending.kind, pending.name, pending.before)
        return registered

    @property
    def _registered(self) -> Registered:
        """What is registered for the current application, or else the last one, or else for all."""
        app = web.current_app() if flask.has_app_context() else None
        if app is None or app not in self._apps:
            app = self._last
        return self._shared if app is None else _registered_of(app)

    @property
    def _parts(self) -> Parts:
        return self._registered.parts

    @property
    def _current_user(self) -> Callable[[], Any] | None:
        return self._registered.current_user

    @_current_user.setter
    def _current_user(self, function: Callable[[], Any] | None) -> None:
        self._registered.current_user = function

    @property
    def consent_view(self) -> Callable[..., Any] | None:
        """The application's own consent page, see :meth:`~flask_oauth2.OAuth2Provider.authorize_handler`."""
        return self._registered.consent_view

    @consent_view.setter
    def consent_view(self, function: Callable[..., Any] | None) -> None:
        self._registered.consent_view = function

    @property
    def described(self) -> list[Resource]:
        """The protected resources, see :meth:`~flask_oauth2.OAuth2Provider.protect_resource`."""
        return [resource for resource, _ in self._registered.resources.values()]

    def _register(
        self, kind: str, name: str, value: object, shown: str | None = None, built_in: Iterable[str] = ()
    ) -> None:
        """Register ``value`` where it belongs. The same function again is no error, a different one is.

        Raises :exc:`ConfigurationError` for a name that is taken, and after the first request.
        """
        shown = shown or name
        if name in built_in:
            raise ConfigurationError(f"{shown} is registered already")
        app, is_set_up_again, is_unsure = self._find_setup()
        caller, last = find_caller(), self._last
        is_of_module = caller.f_code.co_name == "<module>"
        if app is None and not is_set_up_again and last is not None:
            if _is_closed(last):
                raise _too_late(shown)
            app = None if is_of_module else last
        if app is not None:
            self._write(app, kind, name, value, shown)
            return
        before, frames = self._shared.read(kind, name), list(_above(caller))
        is_twice = any(
            (kind, name) == (pending.kind, pending.name) and any(frame in frames for frame in pending.frames)
            for pending in self._pending
        )
        if before is not None and not _is_same(before, value) and (is_of_module or is_twice or last is None):
            raise _taken(shown, before)
        self._shared.write(kind, name, value)
        if not is_of_module:
            self._pending.append(Pending(kind, name, value, before, frames))
            if is_unsure and last and not _is_closed(last) and _registered_of(last).read(kind, name) is None:
                self._write(last, kind, name, value, shown)
            return
        for known in list(self._apps):
            if not _is_closed(known) and _registered_of(known).read(kind, name) is None:
                _registered_of(known).write(kind, name, value)
                self._took(known, kind, name, None)

    def _write(self, app: flask.Flask, kind: str, name: str, value: object, shown: str) -> None:
        registered = _registered_of(app)
        if _is_closed(app):
            raise _too_late(shown)
        before = registered.read(kind, name)
        if before is not None and (kind, name) in registered.own and not _is_same(before, value):
            raise _taken(shown, before)
        registered.write(kind, name, value)
        registered.own.add((kind, name))
        self._took(app, kind, name, before)

    def _took(self, app: flask.Flask, kind: str, name: str, before: object) -> None:
        """Do what else a registration needs in an application."""

    def _find_setup(self) -> tuple[flask.Flask | None, bool, bool]:
        """Return the application that the calling functions set up, and whether they set up one without a provider yet.

        The third member says whether that is not sure: the application that they hold may never get this provider.
        """
        last = self._last
        for frame in _above(find_caller()):
            if frame is self._setup:
                return last, False, False
            held = [value for value in list(frame.f_locals.values()) if isinstance(value, flask.Flask)]
            known = [app for app in held if app in self._apps]
            if known:
                return (last if last in known else known[-1]), False, False
            if held or frame.f_code in self._factories:
                return None, True, frame.f_code not in self._factories
        return None, False, False

    def clientgetter(self, function: Callback) -> Callback:
        """Register ``f(client_id)``: the application's own client of that id, None where there is none.

        It may be an object or a dict, see :mod:`flask_oauth2.clients.objects`.
        """
        return self._set_callback("clientgetter", function)

    def grantgetter(self, function: Callback) -> Callback:
        """Register ``f(client_id=, code=)``: the application's own code; None ends it. ``code`` is a key."""
        return self._set_callback("grantgetter", function)

    def grantsetter(self, function: Callback) -> Callback:
        """Register ``f(client_id, code, request)``, called with each new code; ``code["code"]`` is its key.

        ``request`` has ``user client scopes redirect_uri``, :class:`~flask_oauth2.stores.callbacks.SetterRequest`.
        """
        return self._set_callback("grantsetter", function)

    def tokengetter(self, function: Callback) -> Callback:
        """Register ``f(access_token=None, refresh_token=None)``: the application's own token; None ends it.

        It is called by the name of one of the two, with a key. What it returns may narrow the token by ``scopes`` and
        ``expires``, and has the ``user`` of ``current_token`` where there is no ``userloader``.
        """
        return self._set_callback("tokengetter", function)

    def tokensetter(self, function: Callback) -> Callback:
        """Register ``f(token, request)``, called with each new token, after it was filed.

        ``token`` is a dict with ``access_token`` and ``refresh_token`` (keys), ``token_type``, ``expires_in`` (seconds)
        and ``scope``; ``request`` as for :meth:`grantsetter`.
        """
        return self._set_callback("tokensetter", function)

    def usergetter(self, function: Callback) -> Callback:
        """Register ``f(username, password, client, request)``: the user, or None where name or password is wrong.

        The password grant asks it, :rfc:`6749#section-4.3`.
        """
        self._register("part", "usergetter", synchronous(function))
        return function

    def registration_policy(self, function: Callback) -> Callback:
        """Register ``f(metadata, request)``, asked before a client that registers itself is taken, :rfc:`7591`.

        ``metadata`` is a dict of what would be registered, by the names of section 2. It returns None to let that be,
        or a changed dict, which may go beyond what is offered to all; or it raises :exc:`InvalidClientMetadata` or
        another :exc:`OAuth2Error` to refuse. ``request`` is a :class:`~flask_oauth2.messages.Request`.
        """
        self._register("part", "registration_policy", synchronous(function))
        return function

    def developer_policy(self, function: Callback) -> Callback:
        """Register ``f(user)``: whether that :class:`~flask_oauth2.records.User` may register clients on the pages for
        developers, ``OAUTH2_DEVELOPER_PAGES``. Default: whoever is signed in may.
        """
        self._register("part", "developer_policy", synchronous(function))
        return function

    def user_is_active(self, function: Callback) -> Callback:
        """Register ``f(user_id)``: whether the user may still be acted for, such as one who is not suspended.

        If it returns false, the token endpoint answers ``invalid_grant``, no code is issued, and introspection answers
        ``{"active": false}``. Guards call it if ``OAUTH2_GUARD_CHECKS_USER`` is true. Nothing is revoked: see
        :meth:`~flask_oauth2.OAuth2Provider.revoke_user`. Default: a registered ``userloader`` must find the user.
        """
        self._register("part", "user_is_active", synchronous(function))
        return function

    def userloader(self, function: Callback) -> Callback:
        """Register ``f(user_id)``: the user of an id, for ``current_token.user``. Default: Flask-Login's."""
        return self._set_callback("userloader", function)

    def current_user(self, function: Callback) -> Callback:
        """Register ``f()``: who is signed in, None if nobody is. Default: Flask-Login's ``current_user``.

        What it returns is identified by its ``get_id()`` or ``id``, or is itself text or a number. Its ``name`` or
        ``username`` is shown, and its ``auth_time`` (seconds or a datetime, UTC) says when it signed in.
        """
        self._register("provider", "current_user", synchronous(function))
        return function

    def grant_type(self, name: str) -> Callable[[Callable[[TokenRequest], Issue]], Callable[[TokenRequest], Issue]]:
        """Register ``f(request)``, which returns an :class:`Issue`, as the extension grant ``name``: an absolute URI.

        :rfc:`6749#section-4.5`. Clients need the name among their ``grant_types``.
        """
        if not urlsplit(name).scheme:
            raise ConfigurationError(f"an extension grant is named by an absolute URI (RFC 6749 section 4.5): {name!r}")

        def decorator(function: Callable[[TokenRequest], Issue]) -> Callable[[TokenRequest], Issue]:
            self._register("grants", name, ExtensionGrant(name, synchronous(function)))
            return function

        return decorator

    def register_response_type(self, response_type: ResponseType) -> None:
        """Add a response type of the authorization endpoint, :rfc:`6749#section-8.4`. It is asked for alone."""
        if " " in response_type.name:
            raise ConfigurationError(f"a response type has one name: {response_type.name!r} is several")
        self._register("response_types", response_type.name, response_type, built_in=("code", "token"))

    def register_token_type(self, token_type: TokenType) -> None:
        """Add a token type, :rfc:`6749#section-8.1`. It is asked before Bearer whether a request is for it."""
        self._register("token_types", token_type.name.lower(), token_type, built_in=("bearer",))

    def register_token_format(self, token_format: TokenFormat) -> None:
        """Add a format, to be named by ``OAUTH2_ACCESS_TOKEN_FORMAT`` or by a client."""
        self._register("token_formats", token_format.name, token_format, built_in=("opaque", "signed"))

    def register_client_auth_method(self, method: ClientAuthMethod) -> None:
        """Add a way for clients to authenticate, :rfc:`6749#section-2.3.2`."""
        built_in = ("none", "client_secret_basic", "client_secret_post")
        self._register("auth_methods", method.name, method, built_in=built_in)

    def _set_callback(self, name: str, function: Callback) -> Callback:
        self._register("callback", name, synchronous(function))
        return function


_PACKAGE = os.path.dirname(__file__) + os.sep


def find_caller() -> FrameType:
    """Return the frame of the application that calls the package."""
    frame = sys._getframe(1)
    while frame.f_code.co_filename.startswith(_PACKAGE) and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _registered_of(app: flask.Flask) -> Registered:
    registered: Registered = app.extensions[EXTENSION].registered
    return registered


def _above(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield a frame and those that called it, up to the code of a module."""
    while frame is not None:
        yield frame
        frame = None if frame.f_code.co_name == "<module>" else frame.f_back


def _holds(frame: FrameType, app: flask.Flask) -> bool:
    return any(value is app for value in list(frame.f_locals.values()))


def _is_closed(app: flask.Flask) -> bool:
    return app.extensions[EXTENSION].server is not None


def _is_same(before: Any, value: Any) -> bool:
    """Return whether two registrations are the same: equal, or made by the same code in another run of it."""
    if before is value or (isinstance(value, tuple) and before[0] == value[0]):
        return True
    before, value = (getattr(one, "function", one) for one in (before, value))  # of an extension grant
    before, value = (getattr(one, "__wrapped__", one) for one in (before, value))
    codes = [getattr(one, "__code__", None) for one in (before, value)]
    if None in codes:
        kinds = [(type(one).__module__, type(one).__qualname__) for one in (before, value)]
        return not any(codes) and kinds[0] == kinds[1] and not isinstance(value, MethodType | partial | tuple)
    first, second = ((code.co_filename, code.co_firstlineno, code.co_qualname) for code in codes if code)
    return first == second


def _too_late(name: str) -> ConfigurationError:
    return ConfigurationError(f"{name} comes too late: register it before the first request")


def _taken(name: str, before: object) -> ConfigurationError:
    by = f", by {before.__module__}.{before.__qualname__}" if isfunction(before) else ""
    return ConfigurationError(f"{name} is registered already{by}")


def synchronous(function: Callback) -> Callback:
    """A function that may be awaited, as Flask runs an asynchronous view (its extra ``async``)."""
    if not iscoroutinefunction(function) and not iscoroutinefunction(type(function).__call__):
        return function

    async def call(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        run_to_end = flask.current_app.ensure_sync(call)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return run_to_end(*args, **kwargs)
        with ThreadPoolExecutor(1) as thread:  # inside an asynchronous view, whose own loop must not be waited for
            return thread.submit(copy_context().run, run_to_end, *args, **kwargs).result()

    return cast("Callback", run)
