"""Find guards without effect: decorators in the wrong order, such as ``@require_oauth`` above ``@app.get``.

Flask registers the function that it receives. A guard above the route wraps this function afterwards, and Flask never
calls the wrapper.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from inspect import isclass, isfunction, ismethod
from types import CellType, FrameType, ModuleType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, ref

import flask

_OWN = "oauth2."


class Applied(NamedTuple):
    """A guard that was applied to a function, with its place in the source code."""

    wrapper: Callable[[], Any]
    """A weak reference: returns the guarded function, or None if it no longer exists."""
    place: str
    is_decorator: bool
    """True if the guard is a decorator, on a line above the function."""


class GuardedFunctions:
    """The functions to which the guards of a provider were applied. Weak references keep none of them alive."""

    def __init__(self) -> None:
        self._applied: WeakKeyDictionary[Any, list[Applied]] = WeakKeyDictionary()

    def add(self, function: Any, wrapper: Any, frame: FrameType) -> None:
        """Record that the code of ``frame`` applied a guard to a function."""
        place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        # the function that Flask registered, inside decorators with and without functools.wraps
        decorated = [found for found in _reach([function]) if isfunction(found) and _is_above(found, frame)]
        for innermost in decorated[:1] or _unwrap(function)[-1:]:
            try:
                applied = self._applied.setdefault(innermost, [])
            except TypeError:  # the object does not support weak references
                return
            applied.append(Applied(ref(wrapper), place, bool(decorated)))

    def find_misplaced(self, app: flask.Flask, apps: Iterable[flask.Flask]) -> Iterator[str]:
        """Yield a sentence with the fix for each view of an application that was registered without its guard.

        An application may register a function without its guard on purpose. This is assumed if the guarded function is
        used elsewhere: as a view of any application, inside another decorator, or by other code of the application.
        """
        views = {name: view for name, view in app.view_functions.items() if not name.startswith(_OWN)}
        chains = {name: _unwrap(view) for name, view in [*views.items(), *_hooks(app)]}
        for function, applied in list(self._applied.items()):
            endpoints = sorted({name for name, chain in chains.items() if any(step is function for step in chain)})
            suspects = [one for one in applied if _is_lost(function, one)]
            if not endpoints or not suspects:
                continue
            wrappers = {id(one.wrapper()) for one in applied} - {id(None)}
            used = (view for known in {app, *apps} for _, view in [*known.view_functions.items(), *_hooks(known)])
            reached = set(map(id, _reach(used)))
            is_lost = any(one.is_decorator and id(one.wrapper()) not in reached for one in suspects)
            if is_lost or wrappers.isdisjoint(reached):
                yield _describe(app, function, endpoints, suspects[-1].place)
        yield from _find_late_classes(views)


def _hooks(app: flask.Flask) -> list[tuple[str, Any]]:
    """Return the functions that run before requests, each with a name for messages."""
    functions = (function for hooks in app.before_request_funcs.values() for function in hooks)
    return [(f"before_request: {getattr(function, '__name__', function)}", function) for function in functions]


def _find_late_classes(views: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each class-based view whose guard was applied after ``as_view()``."""
    for endpoint, view in sorted(views.items()):
        kind: Any = getattr(view, "view_class", None)
        guards = [guard for guard in getattr(kind, "decorators", ()) if hasattr(guard, "check_unless_options")]
        if guards and {id(guard) for guard in guards}.isdisjoint(map(id, _reach([view]))):
            yield (
                f"the view {kind.__name__} (endpoint {endpoint!r}) has a guard that was applied after as_view(), so it "
                f"requires no token. Apply provider.require_oauth to the class before {kind.__name__}.as_view()"
            )


def _describe(app: flask.Flask, function: Any, endpoints: list[str], place: str) -> str:
    views = [endpoint for endpoint in endpoints if endpoint in app.view_functions]
    paths = sorted({rule.rule for endpoint in views for rule in app.url_map.iter_rules(endpoint)})
    name = getattr(function, "__name__", repr(function))
    where = f"{', '.join(paths)}, endpoint {', '.join(map(repr, views))}" if views else ", ".join(endpoints)
    return (
        f"the {'view' if views else 'hook'} {name} ({where}) was registered without its guard, so it requires no "
        f"token. The guard at {place} is applied after the route. Put @app.get or @app.route above "
        "@provider.require_oauth, or register the function that the guard returns"
    )


def _is_above(function: Any, frame: FrameType) -> bool:
    """Return whether the line of a frame is a decorator of the function."""
    code = getattr(function, "__code__", None)
    if code is None or code.co_name == "<lambda>" or code.co_filename != frame.f_code.co_filename:
        return False
    last = max((line for _, _, line in code.co_lines() if line is not None), default=code.co_firstlineno)
    return bool(code.co_firstlineno <= frame.f_lineno <= last)


def _is_lost(function: Any, applied: Applied) -> bool:
    """Return whether a guarded function has no use: it no longer exists, or it only replaced the name of the view."""
    wrapper, innermost = applied.wrapper(), _unwrap(function)[-1]
    names = getattr(innermost, "__globals__", {})
    return wrapper is None or applied.is_decorator or names.get(getattr(innermost, "__name__", "")) is wrapper


def _unwrap(function: Any) -> list[Any]:
    """Return a function and the functions inside it, through ``functools.wraps`` and ``functools.partial``."""
    chain: list[Any] = []
    while function is not None and all(function is not step for step in chain):
        chain.append(function)
        following = getattr(function, "__wrapped__", None)
        function = function.func if following is None and isinstance(function, partial) else following
    return chain


def _reach(views: Iterable[Any]) -> list[Any]:
    """Return all callables that are reachable from views: wrapped functions, closures, and members of classes."""
    seen: dict[int, Any] = {}
    waiting = list(views)
    while waiting:
        found = waiting.pop()
        if id(found) in seen:
            continue
        seen[id(found)] = found
        waiting += [getattr(found, name) for name in ("__wrapped__", "view_class", "__self__") if hasattr(found, name)]
        waiting += filter(callable, _members_of(found))
    return list(seen.values())


def _members_of(found: Any) -> list[Any]:
    """Return the objects that a callable refers to: closure cells, members of a class, attributes of an object."""
    if isinstance(found, partial):
        return [found.func]
    if ismethod(found):
        return [found.__func__]
    if isfunction(found):
        held = [cell.cell_contents for cell in found.__closure__ or () if cell != CellType()]
        return held + [one for lists in held if isinstance(lists, list | tuple) for one in lists]
    if isclass(found):
        is_built_in = found.__module__ in sys.builtin_module_names
        return [] if is_built_in else [one for kind in found.__mro__ for one in vars(kind).values()]
    if isinstance(found, ModuleType | flask.Flask | flask.Blueprint):
        return []
    return list(getattr(found, "__dict__", {}).values())  # for example a decorator that is an object
