"""Metrics of requests (by endpoint, grant type, kind of client and error, with their duration) and of events.

The metrics come from :mod:`flask_oauth2.signals`, so endpoints do not know them.
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
"""Signals that are counted by name. Signals of every request are counted as requests."""

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""The bounds of the histogram, in seconds."""


class Labels(NamedTuple):
    """The labels of a request. Each has few values, independent of the input of clients."""

    endpoint: str
    grant_type: str
    client: str
    """``public``, ``confidential``, or empty if no client authenticated."""
    error: str
    """The error code of the response, or empty."""


class Recorder(Protocol):
    """A backend for one metrics system."""

    def record_request(self, labels: Labels, seconds: float) -> None:
        """Count a request and record its duration."""
        ...

    def record_event(self, event: str) -> None:
        """Count an event by the name of its signal."""
        ...


@dataclass(slots=True)
class _Seen:
    """The labels that signals of the current request have set."""

    client: str = ""
    error: str = ""


_seen: ContextVar[_Seen] = ContextVar("flask_oauth2_seen")


class Metrics:
    """The metrics of one application.

    :param recorder: the backend.
    :param sender: the application whose signals are counted.
    """

    def __init__(self, recorder: Recorder, sender: object) -> None:
        self.recorder = recorder
        signals.client_authenticated.connect(self._on_client_authenticated, sender)
        signals.request_refused.connect(self._on_request_rejected, sender)
        self._receivers = [self._count(signal.name) for signal in EVENTS]  # signals only keep weak references
        for signal, receiver in zip(EVENTS, self._receivers, strict=True):
            signal.connect(receiver, sender)

    def measure(self, endpoint: str, grant_type: str, respond: Callable[..., T], *arguments: Any) -> T:
        """Return the response of ``respond`` and record it. An exception of the application counts as ``server_error``.

        :param grant_type: the grant type of a token request, if the provider supports it; otherwise empty.
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
        """Record a request. An error of the backend must not replace the response."""
        try:
            self.recorder.record_request(labels, seconds)
        except Exception:
            log.exception("the metrics backend failed to record a request")

    def _on_client_authenticated(self, _: object, *, method: str, **more: Any) -> None:
        seen = _seen.get(None)
        if seen is not None:
            seen.client = "public" if method == "none" else "confidential"

    def record_error(self, error: str) -> None:
        """Set the error of the current request for which no signal is sent."""
        seen = _seen.get(None)
        if seen is not None:
            seen.error = error

    def _on_request_rejected(self, _: object, *, error: str, **more: Any) -> None:
        self.record_error(error)

    def _count(self, event: str) -> Callable[..., None]:
        def count(_: object, **what: Any) -> None:
            try:
                self.recorder.record_event(event)
            except Exception:
                log.exception("the metrics backend failed to record an event")

        return count
