"""State that belongs to one process.

A server such as uWSGI or ``gunicorn --preload`` loads the application once and then forks. A child process inherits
connections that its siblings use too, locks that a thread of the parent held, and no threads. Not every server runs
Python's fork hooks, so this module compares the process ID with each use.

No lock is held during I/O: with gevent, a lock that was created before gevent patched :mod:`threading` would block the
whole worker.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from os import getpid
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class OfProcess(Generic[T]):
    """A value that each process makes for itself, such as a lock.

    :param make: returns the value of a new process. It may be called by several threads at once; one result is used.
    """

    __slots__ = ("_make", "_values")

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._values = {getpid(): make()}

    @property
    def own(self) -> T:
        """Return the value of the current process."""
        pid = getpid()
        try:
            return self._values[pid]
        except KeyError:
            return self._values.setdefault(pid, self._make())  # atomic: threads agree on one


class Once:
    """Work that one thread of a process does while the others wait. It holds no lock that a fork could copy."""

    def __init__(self) -> None:
        self._under_way: dict[int, Future[None]] = {}

    def run(self, find: Callable[[], T | None], make: Callable[[], T]) -> T:
        """Return what ``find`` returns or, if that is None, what ``make`` returns.

        If ``make`` raises, the threads that wait call ``find`` and then ``make`` themselves.
        """
        while True:
            found = find()
            if found is not None:
                return found
            pid, mine = getpid(), Future[None]()
            awaited = self._under_way.setdefault(pid, mine)
            if awaited is not mine:
                awaited.result()
                continue
            try:
                found = find()  # another thread may have finished since the first look
                return make() if found is None else found
            finally:
                del self._under_way[pid]
                mine.set_result(None)


class cached(Generic[T]):  # noqa: N801  used like property
    """A property that is computed with the first use, like :func:`functools.cached_property` but without its lock."""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> cached[T]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> cached[T] | T:
        if instance is None:
            return self
        value = self._compute(instance)
        instance.__dict__[self._name] = value
        return value
