"""What has ended, told to all processes at once by publish and subscribe.

Nothing here is lasting: what was announced while somebody was not listening is lost. So whoever begins to listen, and
begins anew after a break, is told first that something may have been missed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Any

from redis import exceptions

from ...processes import OfProcess

log = logging.getLogger("flask_oauth2")

Hear = Callable[[str | None], None]

_SILENCE = 5.0
"""Seconds without a word after which the server is asked whether it is still there; after as many again it is not."""

_PAUSE = 1.0
"""Seconds between two attempts to reach it."""


class _Listening:
    """Those who listen in one process, and its thread."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.ended = Event()
        self.hearers: list[Hear] = []
        self.thread: Thread | None = None


class Announcements:
    """A channel and who listens to it in this process, by one thread that begins with the first of them.

    In a forked process nobody listens until :meth:`listen` is called there.
    """

    def __init__(self, client: Any, channel: str) -> None:
        self._client = client
        self._channel = channel
        self._listening = OfProcess(_Listening)

    def listen(self, hear: Hear) -> None:
        """Call ``hear`` with each mark that is announced from now on, and with None where some may be missing."""
        listening = self._listening.own
        with listening.lock:
            listening.hearers = [*listening.hearers, hear]
            is_first = listening.thread is None
            if is_first:
                listening.thread = Thread(
                    target=self._run, args=(listening,), name="flask_oauth2 announcements", daemon=True
                )
        if is_first and listening.thread is not None:
            listening.thread.start()
        else:
            hear(None)

    def close(self) -> None:
        """Stop listening."""
        listening = self._listening.own
        listening.ended.set()
        if listening.thread is not None:
            with suppress(exceptions.RedisError):
                self._client.publish(self._channel, b"")  # wakes it
            listening.thread.join(2 * _SILENCE)

    def _run(self, listening: _Listening) -> None:
        ended = listening.ended
        while not ended.is_set():
            try:
                self._follow(listening)
            except exceptions.RedisError as error:
                log.debug("announcements are not heard for now: %s", type(error).__name__)
            ended.wait(_PAUSE)

    def _follow(self, listening: _Listening) -> None:
        with self._client.pubsub() as pubsub:
            pubsub.subscribe(self._channel)
            is_asked = False
            while not listening.ended.is_set():
                message = pubsub.get_message(timeout=_SILENCE)
                if message is None:
                    if is_asked:
                        raise exceptions.TimeoutError("no answer")
                    pubsub.ping()
                is_asked = message is None
                if message is not None and message["type"] == "subscribe":  # by itself after a break, too
                    _tell(listening, None)
                elif message is not None and message["type"] == "message" and message["data"]:
                    _tell(listening, _text(message["data"]))


def _tell(listening: _Listening, mark: str | None) -> None:
    for hear in listening.hearers:
        try:
            hear(mark)
        except Exception:  # of one, who is not to silence the others
            log.exception("what was announced could not be taken in")


def _text(data: bytes | str) -> str:
    return data if isinstance(data, str) else data.decode("utf-8", "surrogatepass")
