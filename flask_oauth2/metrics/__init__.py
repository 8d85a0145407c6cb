"""Metrics of requests and events. Each supported system has one line here."""

from __future__ import annotations

from importlib import import_module

from ..errors import ConfigurationError
from .base import Metrics, Recorder

SYSTEMS = {
    "prometheus": ("prometheus_client", "flask_oauth2[prometheus]"),
    "opentelemetry": ("opentelemetry.metrics", "flask_oauth2[opentelemetry]"),
}
"""The required package and the extra that installs it, by value of ``OAUTH2_METRICS``."""


def check(system: str) -> None:
    """Raise :exc:`ConfigurationError` for an unknown system or a missing package."""
    if system not in SYSTEMS:
        raise ConfigurationError(f"OAUTH2_METRICS must be one of {', '.join(SYSTEMS)}, not {system!r}")
    package, extra = SYSTEMS[system]
    try:
        import_module(package)
    except ModuleNotFoundError:
        raise ConfigurationError(f"OAUTH2_METRICS is {system!r}, which requires {package}: install {extra}") from None


def open_recorder(system: str) -> Recorder:
    """Return the recorder of a system."""
    if system == "prometheus":
        from .prometheus import PrometheusRecorder

        return PrometheusRecorder()
    from .opentelemetry import OpenTelemetryRecorder

    return OpenTelemetryRecorder()


__all__ = ["SYSTEMS", "Metrics", "Recorder", "check", "open_recorder"]
