"""Tell all processes about revocations with publish and subscribe.

A message that is published while a process does not listen is lost. So each subscriber learns first, and again after a
lost connection, that it may have missed some.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock, Thread
from types import MethodType
from typing import Any
from weakref import WeakMethod

from redis import exceptions

from ...processes import OfProcess

log = logging.getLogger("flask_oauth2")

OnRevoked = Callable[[str | None], None]

_SILENCE = 5.0
"""Seconds without a message after which the process pings the server. After as many again the connection is lost."""

_PAUSE = 1.0
"""Seconds between two attempts to reach the server."""

_ISSUER = "\x1e"
"""Stands around the ID of the issuer in a message. No other message has this character."""


class _Subscriptions:
    """The subscribers of one process, by issuer, and its thread."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.stopped = Event()
        self.subscribers: list[tuple[str, Callable[[], OnRevoked | None]]] = []
        """The issuer of each subscriber, and a function that returns it, or None if nothing else refers to it."""
        self.thread: Thread | None = None


class PubSub:
    """A channel and its subscribers in this process, with one thread that the first of them starts.

    A forked process has no subscribers until it calls :meth:`subscribe`.
    """

    def __init__(self, client: Any, channel: str) -> None:
        self._client = client
        self.channel = channel
        self._of_process = OfProcess(_Subscriptions)

    def subscribe(self, on_revoked: OnRevoked, issuer_id: str = "") -> None:
        """Call ``on_revoked`` with each ID that an issuer revokes from now on, and with None if some may be missing.

        A method of an object, such as a cache, is called until the object is deleted.
        """
        own = self._of_process.own
        find = WeakMethod(on_revoked) if isinstance(on_revoked, MethodType) else lambda: on_revoked
        with own.lock:
            alive = [subscriber for subscriber in own.subscribers if subscriber[1]() is not None]
            own.subscribers = [*alive, (issuer_id, find)]
            is_first = own.thread is None
            if is_first:
                own.thread = Thread(target=self._run, args=(own,), name="flask_oauth2 revocations", daemon=True)
        if is_first and own.thread is not None:
            own.thread.start()
        else:
            on_revoked(None)

    @staticmethod
    def write(issuer_id: str, revoked_id: str) -> str:
        """Return the message about a revocation."""
        return f"{_ISSUER}{issuer_id}{_ISSUER}{revoked_id}" if issuer_id else revoked_id

    def close(self) -> None:
        """Stop own."""
        own = self._of_process.own
        own.stopped.set()
        if own.thread is not None:
            with suppress(exceptions.RedisError):
                self._client.publish(self.channel, b"")  # wakes it
            own.thread.join(2 * _SILENCE)

    def _run(self, own: _Subscriptions) -> None:
        stopped = own.stopped
        while not stopped.is_set():
            try:
                self._follow(own)
            except exceptions.RedisError as error:
                log.debug("revocations of other processes are not received for now: %s", type(error).__name__)
            stopped.wait(_PAUSE)

    def _follow(self, own: _Subscriptions) -> None:
        with self._client.pubsub() as pubsub:
            pubsub.subscribe(self.channel)
            is_asked = False
            while not own.stopped.is_set():
                message = pubsub.get_message(timeout=_SILENCE)
                if message is None:
                    if is_asked:
                        raise exceptions.TimeoutError("no answer")
                    pubsub.ping()
                is_asked = message is None
                if message is not None and message["type"] == "subscribe":  # by itself after a break, too
                    _deliver(own, None)
                elif message is not None and message["type"] == "message" and message["data"]:
                    _deliver(own, _text(message["data"]))


def _deliver(own: _Subscriptions, message: str | None) -> None:
    issuer_id, revoked_id = _read(message)
    for of_issuer, find in own.subscribers:
        on_revoked = find()
        if on_revoked is None or (message is not None and of_issuer != issuer_id):
            continue
        try:
            on_revoked(revoked_id)
        except Exception:  # one subscriber must not silence the others
            log.exception("a subscriber failed to handle a revocation")


def _read(message: str | None) -> tuple[str, str | None]:
    """Return the issuer and the ID that was revoked."""
    if message is None or not message.startswith(_ISSUER):
        return "", message
    issuer_id, _, revoked_id = message[1:].partition(_ISSUER)
    return issuer_id, revoked_id


def _text(data: bytes | str) -> str:
    return data if isinstance(data, str) else data.decode("utf-8", "surrogatepass")
