"""What happens, counted and timed: the systems that it is written for, one line each."""

from __future__ import annotations

from importlib import import_module

from ..errors import ConfigurationError
from .base import Metrics, Recorder

SYSTEMS = {
    "prometheus": ("prometheus_client", "flask_oauth2[prometheus]"),
    "opentelemetry": ("opentelemetry.metrics", "flask_oauth2[opentelemetry]"),
}
"""By the value of ``OAUTH2_METRICS``: the package that is needed, and what to install for it."""


def check(system: str) -> None:
    """Raise :exc:`ConfigurationError` for a system that is not known here, or whose package is missing."""
    if system not in SYSTEMS:
        raise ConfigurationError(f"OAUTH2_METRICS must be one of {', '.join(SYSTEMS)}, not {system!r}")
    package, extra = SYSTEMS[system]
    try:
        import_module(package)
    except ModuleNotFoundError:
        raise ConfigurationError(f"OAUTH2_METRICS is {system!r}, which needs {package}: install {extra}") from None


def open_recorder(system: str) -> Recorder:
    """What writes for a system."""
    if system == "prometheus":
        from .prometheus import PrometheusRecorder

        return PrometheusRecorder()
    from .opentelemetry import OpenTelemetryRecorder

    return OpenTelemetryRecorder()


__all__ = ["SYSTEMS", "Metrics", "Recorder", "check", "open_recorder"]
