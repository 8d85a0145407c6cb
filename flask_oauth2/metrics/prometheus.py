"""The Prometheus backend. It uses the default registry, so that an exporter of the application includes the metrics."""

from __future__ import annotations

import os
from functools import cache

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest, multiprocess

from .base import BUCKETS, Labels

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@cache
def _declare() -> tuple[Counter, Histogram, Counter]:
    """Declare the metrics once for all applications of a process."""
    return (
        Counter("flask_oauth2_requests", "Number of requests.", Labels._fields),
        Histogram("flask_oauth2_request_seconds", "Duration of requests.", Labels._fields[:2], buckets=BUCKETS),
        Counter("flask_oauth2_events", "Number of events by name of the signal.", ["event"]),
    )


class PrometheusRecorder:
    """A recorder for Prometheus."""

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
    """Return the metrics of the default registry.

    If ``PROMETHEUS_MULTIPROC_DIR`` names a directory, return those of all workers.
    """
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
