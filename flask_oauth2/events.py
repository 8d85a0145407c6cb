"""Signals, the audit log, and errors with an ID that the client and the log share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from secrets import token_hex
from typing import Any

from blinker import NamedSignal

from . import signals, values
from .errors import OAuth2Error
from .http.messages import Request
from .metrics.base import Metrics

log = logging.getLogger("flask_oauth2")

_MAX_HINT = 1000
"""The maximum length, in characters, of a hint in the log. It may contain text of the request."""

_MAX_VALUE = 200


class Events:
    """Sends signals and writes logs for one issuer of an application.

    :param sender: the application, which sends the signals.
    :param issuer: the issuer's URL, or an empty string if no option names the issuer.
    """

    def __init__(self, sender: object, metrics: Metrics | None = None, issuer: str = "") -> None:
        self.sender = sender
        self.metrics = metrics
        self.issuer = issuer

    def for_issuer(self, issuer: str) -> Events:
        """Return the events of another issuer of the same application, with the same metrics."""
        return Events(self.sender, self.metrics, issuer)

    def emit(self, signal: NamedSignal, **facts: Any) -> None:
        """Send a signal to its receivers and the audit log, with the issuer. The facts contain no secrets."""
        facts["issuer"] = self.issuer or None
        if signal.has_receivers_for(self.sender):
            signal.send(self.sender, **facts)
        signals.write_audit_record(signal, facts)

    def report(self, error: OAuth2Error, request: Request, find_hints: Callable[[], Sequence[str]]) -> str:
        """Log an error and send ``request_refused``. Return the error ID."""
        error_id = token_hex(4)
        reason = values.mask(error.description)
        claims = request.claims
        if log.isEnabledFor(error.log_level):
            self._log(error, error_id, reason, claims.get("client_id"), find_hints())
        if error.log_level > logging.DEBUG:  # a request without a token receives a challenge and is not an error
            self._emit_refused(error, error_id, reason, request)
        elif self.metrics is not None:
            self.metrics.record_error(error.code)
        return error_id

    def _emit_refused(self, error: OAuth2Error, error_id: str, reason: str, request: Request) -> None:
        self.emit(
            signals.request_refused,
            error=error.code,
            error_id=error_id,
            reason=reason,
            rule=error.rule,
            endpoint=request.endpoint or None,
            client_id=values.mask(request.claims.get("client_id", "")) or None,
        )

    def _log(self, error: OAuth2Error, error_id: str, reason: str, client_id: str | None, hints: Sequence[str]) -> None:
        log.log(
            error.log_level,
            "%s [%s] %s (%s)%s%s%s%s",
            error.code,
            error_id,
            reason,
            error.rule,
            f"; client {_printable(client_id)}" if client_id else "",
            "" if error.expected is None else f"; expected {_printable(error.expected)}",
            "" if error.received is None else f"; received {_printable(error.received)}",
            "".join(f"; hint: {values.mask(hint[:_MAX_HINT])}" for hint in hints),
        )


def _printable(value: object) -> str:
    """Return a value on one line, shortened. Mask it: it may be a token in the wrong parameter."""
    return repr(values.mask(str(value)[:_MAX_VALUE]))
