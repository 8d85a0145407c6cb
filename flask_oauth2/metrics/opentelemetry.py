"""The OpenTelemetry backend. It uses the meter provider that the application has set up."""

from __future__ import annotations

from opentelemetry import metrics

from .base import BUCKETS, Labels


class OpenTelemetryRecorder:
    """A recorder for the global meter provider."""

    def __init__(self) -> None:
        meter = metrics.get_meter("flask_oauth2")
        self._requests = meter.create_counter("flask_oauth2.requests", "{request}", "Number of requests.")
        self._seconds = meter.create_histogram(
            "flask_oauth2.request.duration", "s", "Duration of requests.", explicit_bucket_boundaries_advisory=BUCKETS
        )
        self._events = meter.create_counter("flask_oauth2.events", "{event}", "Number of events by name of the signal.")

    def record_request(self, labels: Labels, seconds: float) -> None:
        """See :meth:`.base.Recorder.record_request`."""
        attributes = {name: value for name, value in labels._asdict().items() if value}
        self._requests.add(1, attributes)
        self._seconds.record(seconds, {"endpoint": labels.endpoint, "grant_type": labels.grant_type})

    def record_event(self, event: str) -> None:
        """See :meth:`.base.Recorder.record_event`."""
        self._events.add(1, {"event": event})
