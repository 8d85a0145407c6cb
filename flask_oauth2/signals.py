"""What happened, as :mod:`blinker` signals, and as records of the logger ``flask_oauth2.audit``.

A signal is sent after the store has committed. The sender is the application; the rest comes by keyword, so a receiver
takes what it wants and ``**more``. Nothing that is sent is a secret: tokens and codes are named by ``authorization_id``
(the family) and ``token_id`` (the ``jti`` of introspection).

Each record of the logger has ``event`` (the name of the signal) and ``oauth2`` (a dict of what was sent) as attributes,
so that a formatter of JSON takes them as they are. A replay is a warning, all else is for INFO; what happens with
every request (:data:`SEEN`) is not audited. Where the logger is not enabled, nothing is formatted.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from blinker import NamedSignal, Namespace

audit = logging.getLogger("flask_oauth2.audit")

_namespace = Namespace()

token_issued = _namespace.signal("token_issued")
"""``client_id, user_id, scope, authorization_id, token_id, grant_type``: a client got an access token."""

token_revoked = _namespace.signal("token_revoked")
"""``client_id, user_id, authorization_id``, and ``token_id`` where one access token ended and not the family."""

code_replayed = _namespace.signal("code_replayed")
"""``client_id, user_id, authorization_id``: a code came again, so all that came of it has ended."""

refresh_reused = _namespace.signal("refresh_reused")
"""``client_id, user_id, authorization_id``: a spent refresh token came again, so its family has ended."""

device_code_issued = _namespace.signal("device_code_issued")
"""``client_id, scope``: a device shows a user code now, and waits."""

consent_given = _namespace.signal("consent_given")
"""``client_id, user_id, scope, authorization_id``: a user allowed what a client asked for."""

consent_denied = _namespace.signal("consent_denied")
"""``client_id, user_id, scope``: a user refused it."""

consent_withdrawn = _namespace.signal("consent_withdrawn")
"""``client_id, user_id``: a user ended what a client had."""

user_revoked = _namespace.signal("user_revoked")
"""``user_id``: every grant, token and consent of a user was revoked."""

client_created = _namespace.signal("client_created")
"""``client_id, registered_by``: the latter is empty for the operator, ``open`` for anybody, ``token`` for who had an
initial access token, ``developer`` for who is signed in on the pages for developers."""

client_updated = _namespace.signal("client_updated")
"""``client_id, registered_by``."""

client_deleted = _namespace.signal("client_deleted")
"""``client_id, registered_by``."""

secret_rotated = _namespace.signal("secret_rotated")
"""``client_id``: the client has a new secret."""

client_authenticated = _namespace.signal("client_authenticated")
"""``client_id, method``: a client showed who it is (or said so: ``none``)."""

token_accepted = _namespace.signal("token_accepted")
"""``client_id, user_id, scope, token_id``: a guard let a request pass."""

request_refused = _namespace.signal("request_refused")
"""``error, error_id, reason, rule, endpoint, client_id``: an error was answered; ``error`` is its code, and the log has
the id. ``endpoint`` is Flask's name of the view, ``client_id`` what the request says and nobody has verified; None
where it says nothing."""

ALL = tuple(_namespace.values())
"""All signals of the extension."""

SEEN = frozenset({client_authenticated, token_accepted})
"""What happens with every request: sent where somebody listens."""

WRONG = frozenset({code_replayed, refresh_reused})
"""What happens where somebody has a copy of what is not theirs."""


def write(signal: NamedSignal, what: Mapping[str, Any]) -> None:
    """The record of a signal, for those who audit."""
    level = logging.WARNING if signal in WRONG else logging.INFO
    if signal not in SEEN and audit.isEnabledFor(level):
        text = " ".join(f"{name}={value!r}" for name, value in what.items() if value is not None)
        audit.log(level, "%s %s", signal.name, text, extra={"event": signal.name, "oauth2": dict(what)})
