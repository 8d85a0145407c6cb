"""What is counted: each request by endpoint, grant, kind of client and error, how long it took, and what happened.

All is learnt from :mod:`flask_oauth2.signals`, so an endpoint knows nothing of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple, Protocol, TypeVar

from .. import signals

log = logging.getLogger("flask_oauth2")

T = TypeVar("T")

EVENTS = (
    signals.token_issued,
    signals.token_revoked,
    signals.code_replayed,
    signals.refresh_reused,
    signals.device_code_issued,
    signals.consent_given,
    signals.consent_denied,
    signals.consent_withdrawn,
)
"""Those that are counted by name. What is sent with every request is counted as a request."""

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Bounds of the histogram, in seconds."""


class Labels(NamedTuple):
    """What a request is counted under; each has few values, whatever strangers send."""

    endpoint: str
    grant_type: str
    client: str
    """``public``, ``confidential``, or empty where no client showed who it is."""
    error: str
    """The code of the error that was answered; empty for none."""


class Recorder(Protocol):
    """What writes for one system."""

    def record_request(self, labels: Labels, seconds: float) -> None:
        """A request was answered."""
        ...

    def record_event(self, event: str) -> None:
        """Something happened: the name of a signal."""
        ...


@dataclass(slots=True)
class _Seen:
    """What the signals of a request have told."""

    client: str = ""
    error: str = ""


_seen: ContextVar[_Seen] = ContextVar("flask_oauth2_seen")


class Metrics:
    """The requests of one application.

    :param recorder: what writes them down.
    :param sender: the application, whose signals are listened to.
    """

    def __init__(self, recorder: Recorder, sender: object) -> None:
        self.recorder = recorder
        signals.client_authenticated.connect(self._note_client, sender)
        signals.request_refused.connect(self._note_error, sender)
        self._receivers = [self._count(signal.name) for signal in EVENTS]  # signals keep none alive
        for signal, receiver in zip(EVENTS, self._receivers, strict=True):
            signal.connect(receiver, sender)

    def measure(self, endpoint: str, grant_type: str, respond: Callable[..., T], *arguments: Any) -> T:
        """Return what ``respond`` answers, counted and timed. An exception of the application is ``server_error``.

        :param grant_type: the grant of a token request, if it is one that is offered; otherwise empty.
        """
        seen = _Seen()
        token = _seen.set(seen)
        start = perf_counter()
        try:
            answer = respond(*arguments)
        except BaseException:
            seen.error = "server_error"
            raise
        finally:
            seconds = perf_counter() - start
            _seen.reset(token)
            self._record(Labels(endpoint, grant_type, seen.client, seen.error), seconds)
        return answer

    def _record(self, labels: Labels, seconds: float) -> None:
        """Record a request. An error here must not replace the answer."""
        try:
            self.recorder.record_request(labels, seconds)
        except Exception:
            log.exception("a request was not counted")

    def _note_client(self, _: object, *, method: str, **more: Any) -> None:
        seen = _seen.get(None)
        if seen is not None:
            seen.client = "public" if method == "none" else "confidential"

    def note(self, error: str) -> None:
        """The request is answered with an error that no signal tells of."""
        self._note_error(None, error=error)

    def _note_error(self, _: object, *, error: str, **more: Any) -> None:
        seen = _seen.get(None)
        if seen is not None:
            seen.error = error

    def _count(self, event: str) -> Callable[..., None]:
        def count(_: object, **what: Any) -> None:
            try:
                self.recorder.record_event(event)
            except Exception:
                log.exception("an event was not counted")

        return count
