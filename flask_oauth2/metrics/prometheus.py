"""Prometheus, by ``prometheus_client``: in its default registry, so that an application's own exporter shows it too."""

from __future__ import annotations

import os
from functools import cache

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest, multiprocess

from .base import BUCKETS, Labels

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@cache
def _declare() -> tuple[Counter, Histogram, Counter]:
    """The metrics: once in a process, whatever applications it has."""
    return (
        Counter("flask_oauth2_requests", "Requests that were answered.", Labels._fields),
        Histogram("flask_oauth2_request_seconds", "How long that took.", Labels._fields[:2], buckets=BUCKETS),
        Counter("flask_oauth2_events", "What happened, by the name of the signal.", ["event"]),
    )


class PrometheusRecorder:
    """Writes for Prometheus."""

    def __init__(self) -> None:
        self._requests, self._seconds, self._events = _declare()

    def record_request(self, labels: Labels, seconds: float) -> None:
        """See :meth:`.base.Recorder.record_request`."""
        self._requests.labels(*labels).inc()
        self._seconds.labels(*labels[:2]).observe(seconds)

    def record_event(self, event: str) -> None:
        """See :meth:`.base.Recorder.record_event`."""
        self._events.labels(event).inc()


def write_text() -> bytes:
    """All that the default registry has; that of all workers, where ``PROMETHEUS_MULTIPROC_DIR`` names a folder."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
