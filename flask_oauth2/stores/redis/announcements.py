"""What has ended, told to all processes at once by publish and subscribe.

Nothing here is lasting: what was announced while somebody was not listening is lost. So whoever begins to listen, and
begins anew after a break, is told first that something may have been missed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Any
from weakref import WeakSet

from redis import exceptions

log = logging.getLogger("flask_oauth2")

Hear = Callable[[str | None], None]

_SILENCE = 5.0
"""Seconds without a word after which the server is asked whether it is still there; after as many again it is not."""

_PAUSE = 1.0
"""Seconds between two attempts to reach it."""


class Announcements:
    """A channel and who listens to it in this process, by one thread that begins with the first of them."""

    def __init__(self, client: Any, channel: str) -> None:
        self._client = client
        self._channel = channel
        self._hearers: list[Hear] = []
        self._begin()
        _ALL.add(self)

    def _begin(self) -> None:
        self._lock = Lock()
        self._ended = Event()
        self._thread: Thread | None = None

    def listen(self, hear: Hear) -> None:
        """Call ``hear`` with each mark that is announced from now on, and with None where some may be missing."""
        with self._lock:
            self._hearers = [*self._hearers, hear]
            if self._thread is None:
                self._start()
                return
        hear(None)

    def _start(self) -> None:
        self._thread = Thread(target=self._run, args=(self._ended,), name="flask_oauth2 announcements", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._ended.set()
        if self._thread is not None:
            with suppress(exceptions.RedisError):
                self._client.publish(self._channel, b"")  # wakes it
            self._thread.join(2 * _SILENCE)

    def start_in_child(self) -> None:
        """Threads do not come along when a process forks: start another."""
        self._begin()
        if self._hearers:
            self._start()

    def _run(self, ended: Event) -> None:
        while not ended.is_set():
            try:
                self._follow(ended)
            except exceptions.RedisError as error:
                log.debug("announcements are not heard for now: %s", type(error).__name__)
            ended.wait(_PAUSE)

    def _follow(self, ended: Event) -> None:
        with self._client.pubsub() as pubsub:
            pubsub.subscribe(self._channel)
            is_asked = False
            while not ended.is_set():
                message = pubsub.get_message(timeout=_SILENCE)
                if message is None:
                    if is_asked:
                        raise exceptions.TimeoutError("no answer")
                    pubsub.ping()
                is_asked = message is None
                if message is not None and message["type"] == "subscribe":  # by itself after a break, too
                    self._tell(None)
                elif message is not None and message["type"] == "message" and message["data"]:
                    self._tell(_text(message["data"]))

    def _tell(self, mark: str | None) -> None:
        for hear in self._hearers:
            try:
                hear(mark)
            except Exception:  # of one, who is not to silence the others
                log.exception("what was announced could not be taken in")


def _text(data: bytes | str) -> str:
    return data if isinstance(data, str) else data.decode("utf-8", "surrogatepass")


_ALL: WeakSet[Announcements] = WeakSet()


def _start_in_child() -> None:
    for announcements in _ALL:
        announcements.start_in_child()


if hasattr(os, "register_at_fork"):  # where processes fork
    os.register_at_fork(after_in_child=_start_in_child)
