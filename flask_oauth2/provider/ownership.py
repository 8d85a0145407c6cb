"""Registrations, and the application that each belongs to.

A provider may serve several applications, which a factory such as ``create_app()`` makes one after the other. A
registration inside the factory belongs to the application that it sets up. A registration in a module belongs to all
applications.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import isfunction
from itertools import takewhile
from types import CodeType, FrameType, MethodType
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

import flask

from .. import web
from ..assembly.extensions import Extensions
from ..errors import ConfigurationError
from ..records import Issuer
from ..resources import Resource

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

EXTENSION = "flask_oauth2"
"""The key in ``app.extensions``."""


@dataclass(slots=True)
class Registered:
    """The registrations of one application, or of all applications of a provider.

    ``parts`` are extensions of the protocol such as grants and token formats, with the callbacks that a store uses.
    """

    parts: Extensions = field(default_factory=Extensions)
    current_user: Callable[[], Any] | None = None
    consent_view: Callable[..., Any] | None = None
    issuergetter: Callable[[], Issuer | None] | None = None
    resources: dict[str, tuple[Resource, WSGIApplication | None]] = field(default_factory=dict)
    own: set[tuple[str, str]] = field(default_factory=set)
    """The kind and name of each registration that belongs to this application alone."""

    def copy(self) -> Registered:
        """Return a copy that can change independently."""
        parts = self.parts
        tables: dict[str, Any] = {
            name: dict(getattr(parts, name))
            for name in (
                "grants",
                "response_types",
                "token_types",
                "token_formats",
                "auth_methods",
                "bindings",
                "answer_members",
                "endpoints",
                "other_resources",
            )
        }
        copied = replace(parts, callbacks=replace(parts.callbacks), **tables)
        return Registered(copied, self.current_user, self.consent_view, self.issuergetter, dict(self.resources))

    def read(self, kind: str, name: str) -> Any:
        """Return the registration with a name, or None."""
        holder = self._holder(kind)
        return holder.get(name) if isinstance(holder, dict) else getattr(holder, name)

    def write(self, kind: str, name: str, value: object) -> None:
        """Save a registration under a name. None removes it."""
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
    """A registration by functions that have not called ``init_app`` yet, with the registration that it replaces."""

    kind: str
    name: str
    value: object
    before: object
    frames: list[FrameType]


class Ownership:
    """The registrations of each application of a provider. They are fixed from the application's first request.

    A registration belongs to the application that is being set up. This is the application in a local variable of the
    calling functions, or else the application that was passed to ``init_app`` last. A registration before ``init_app``
    in the same function belongs to that application too. A registration at module level belongs to all applications,
    because a module runs only once.
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
        self._outer: set[tuple[int, CodeType]] = set()
        """The callers of the function that has set up the last application, without those that hold the application."""
        self._pending: list[Pending] = []
        """Registrations by functions that have not called ``init_app`` yet."""

    def _begin_setup(self, app: flask.Flask) -> Registered:
        """Return the registrations that an application starts with."""
        self._apps.add(app)
        self._last = app
        caller = find_caller()
        frames = [caller, *takewhile(lambda frame: _holds(frame, app), _callers(caller.f_back))]
        self._setup = None if _holds(caller, app) else caller
        self._outer = {_identify(frame) for frame in _callers(caller) if not _holds(frame, app)}
        self._factories |= {frame.f_code for frame in frames if frame.f_code.co_name != "<module>"}
        registered = self._shared.copy()
        # the functions that set up this application may set up another one, so their registrations stay pending
        own = ((pending, [frame for frame in pending.frames if frame in frames]) for pending in self._pending)
        self._pending = [pending._replace(frames=kept) for pending, kept in own if kept]
        for pending in self._pending:
            registered.write(pending.kind, pending.name, pending.value)
            registered.own.add((pending.kind, pending.name))
        for pending in reversed(self._pending):  # they do not belong to other applications
            if self._shared.read(pending.kind, pending.name) is pending.value:
                self._shared.write(pending.kind, pending.name, pending.before)
        return registered

    @property
    def _registered(self) -> Registered:
        """The registrations of the current application, else of the last one, else of all applications."""
        app = web.current_app() if flask.has_app_context() else None
        if app is None or app not in self._apps:
            app = self._last
        if app is None:
            return self._shared
        registered: Registered = app.extensions[EXTENSION].registered
        return registered

    @property
    def _parts(self) -> Extensions:
        return self._registered.parts

    @property
    def _current_user(self) -> Callable[[], Any] | None:
        return self._registered.current_user

    @_current_user.setter
    def _current_user(self, function: Callable[[], Any] | None) -> None:
        self._registered.current_user = function

    @property
    def consent_view(self) -> Callable[..., Any] | None:
        """The view of a custom consent page, see :meth:`~flask_oauth2.OAuth2Provider.authorize_handler`."""
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
        """Register ``value`` for the application that it belongs to. Registering the same function again is no error.

        Raises :exc:`ConfigurationError` if another value has the name, and after the first request.
        """
        shown = shown or name
        if name in built_in:
            raise ConfigurationError(f"{shown} is registered already")
        app, is_set_up_again, is_unsure = self._find_setup()
        caller, last = find_caller(), self._last
        is_of_module = caller.f_code.co_name == "<module>"
        if app is None and not is_set_up_again and last is not None:
            if _is_closed(last):
                raise _late_error(shown)
            app = None if is_of_module else last
        if app is not None:
            self._write(app, kind, name, value, shown)
            return
        new = Pending(kind, name, value, self._shared.read(kind, name), list(_callers(caller)))
        self._share(new, shown, is_of_module)
        if is_unsure and not is_of_module:
            self._write_if_free(new, shown)

    def _write_if_free(self, new: Pending, shown: str) -> None:
        """Register for the last application too, unless it has a registration with this name."""
        last = self._last
        if last and not _is_closed(last) and _registered_of(last).read(new.kind, new.name) is None:
            self._write(last, new.kind, new.name, new.value, shown)

    def _share(self, new: Pending, shown: str, is_of_module: bool) -> None:
        """Register for all applications that are set up from now on. A module registers for existing ones too."""
        # a function that has returned no longer calls init_app
        self._pending = [pending for pending in self._pending if _share_frames(pending, new)]
        is_twice = any((new.kind, new.name) == (pending.kind, pending.name) for pending in self._pending)
        is_final = is_of_module or is_twice or self._last is None
        if is_final and new.before is not None and not _is_same(new.before, new.value):
            raise _duplicate_error(shown, new.before)
        self._shared.write(new.kind, new.name, new.value)
        if not is_of_module:
            self._pending.append(new)
            return
        for known in list(self._apps):
            if not _is_closed(known) and _registered_of(known).read(new.kind, new.name) is None:
                _registered_of(known).write(new.kind, new.name, new.value)
                self._on_registered(known, new.kind, new.name, None)

    def _write(self, app: flask.Flask, kind: str, name: str, value: object, shown: str) -> None:
        registered = _registered_of(app)
        if _is_closed(app):
            raise _late_error(shown)
        before = registered.read(kind, name)
        if before is not None and (kind, name) in registered.own and not _is_same(before, value):
            raise _duplicate_error(shown, before)
        registered.write(kind, name, value)
        registered.own.add((kind, name))
        self._on_registered(app, kind, name, before)

    def _on_registered(self, app: flask.Flask, kind: str, name: str, before: object) -> None:
        """Complete a registration in an application, such as with a route."""

    def _find_setup(self) -> tuple[flask.Flask | None, bool, bool]:
        """Return the application that the calling functions set up, if it has this provider already.

        The second member is true if they set up an application that does not have it yet. The third is true if this is
        a guess, because the application in their variables may never get this provider.
        """
        last = self._last
        for frame in _callers(find_caller()):
            if frame is self._setup:
                return last, False, False
            held = [value for value in list(frame.f_locals.values()) if isinstance(value, flask.Flask)]
            known = [app for app in held if app in self._apps]
            if last in known:
                return last, False, False
            if known and _identify(frame) not in self._outer:
                return known[-1], False, False
            if len(held) > len(known) or frame.f_code in self._factories:
                return None, True, frame.f_code not in self._factories
        return None, False, False


_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep


def find_caller() -> FrameType:
    """Return the frame of the application's code that called the package."""
    frame = sys._getframe(1)
    while frame.f_code.co_filename.startswith(_PACKAGE) and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _registered_of(app: flask.Flask) -> Registered:
    registered: Registered = app.extensions[EXTENSION].registered
    return registered


def _callers(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield a frame and its callers, up to the code of a module."""
    while frame is not None:
        yield frame
        frame = None if frame.f_code.co_name == "<module>" else frame.f_back


def _share_frames(one: Pending, other: Pending) -> bool:
    return any(frame in other.frames for frame in one.frames)


def _holds(frame: FrameType, app: flask.Flask) -> bool:
    return any(value is app for value in list(frame.f_locals.values()))


def _identify(frame: FrameType) -> tuple[int, CodeType]:
    """Return a value that identifies a running call and does not keep its local variables alive."""
    return id(frame), frame.f_code


def _is_closed(app: flask.Flask) -> bool:
    return app.extensions[EXTENSION].servers is not None


def _is_same(before: Any, value: Any) -> bool:
    """Return whether two registrations are equal, or come from the same code that ran twice."""
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


def _late_error(name: str) -> ConfigurationError:
    return ConfigurationError(f"{name} must be registered before the first request of the application")


def _duplicate_error(name: str, before: object) -> ConfigurationError:
    by = f", by {before.__module__}.{before.__qualname__}" if isfunction(before) else ""
    return ConfigurationError(f"{name} is registered already{by}")
