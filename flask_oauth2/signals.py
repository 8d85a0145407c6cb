"""Signals for events of the provider, and the audit log.

The provider sends a :mod:`blinker` signal after the store has committed. The sender is the application. Facts are
keyword arguments, so a receiver takes the ones it needs and ``**more``. Each signal has the fact ``issuer``, the URL of
the issuer, in addition to the facts below. No fact is a secret: ``authorization_id`` identifies
an authorization with all its codes and tokens, and ``token_id`` an access token (the ``jti`` of introspection).

Each signal is also a record of the logger ``flask_oauth2.audit`` with the attributes ``event`` (the name of the
signal) and ``oauth2`` (a dict of the facts), which JSON formatters use directly. A replay is a warning, other events
have level INFO. Signals of every request (:data:`FREQUENT`) are not in the audit log. A disabled logger costs nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from blinker import NamedSignal, Namespace

audit = logging.getLogger("flask_oauth2.audit")

_namespace = Namespace()

token_issued = _namespace.signal("token_issued")
"""``client_id, user_id, scope, authorization_id, token_id, grant_type``: the provider issued an access token."""

token_revoked = _namespace.signal("token_revoked")
"""``client_id, user_id, authorization_id``, and ``token_id`` if only one access token was revoked."""

code_replayed = _namespace.signal("code_replayed")
"""``client_id, user_id, authorization_id``: a client sent a code twice, so its authorization was revoked."""

refresh_reused = _namespace.signal("refresh_reused")
"""``client_id, user_id, authorization_id``: a client reused a refresh token, so its authorization was revoked."""

device_code_issued = _namespace.signal("device_code_issued")
"""``client_id, scope``: a device displays a user code and waits."""

consent_given = _namespace.signal("consent_given")
"""``client_id, user_id, scope, authorization_id``: a user authorized a client."""

consent_denied = _namespace.signal("consent_denied")
"""``client_id, user_id, scope``: a user denied an authorization request."""

consent_withdrawn = _namespace.signal("consent_withdrawn")
"""``client_id, user_id``: a user withdrew the consent to a client."""

user_revoked = _namespace.signal("user_revoked")
"""``user_id``: every grant, token and consent of a user was revoked."""

client_created = _namespace.signal("client_created")
"""``client_id, registered_by``: a client was registered. ``registered_by`` is empty for the operator, ``open`` for open
registration, ``token`` for an initial access token, and ``developer`` for the developer pages.
"""

client_updated = _namespace.signal("client_updated")
"""``client_id, registered_by``."""

client_deleted = _namespace.signal("client_deleted")
"""``client_id, registered_by``."""

secret_rotated = _namespace.signal("secret_rotated")
"""``client_id``: the client has a new secret."""

client_authenticated = _namespace.signal("client_authenticated")
"""``client_id, method``: a client authenticated, or identified itself with the method ``none``."""

token_accepted = _namespace.signal("token_accepted")
"""``client_id, user_id, scope, token_id``: a guard accepted a request."""

request_refused = _namespace.signal("request_refused")
"""``error, error_id, reason, rule, endpoint, client_id``: the provider or a guard rejected a request.

``error`` is the error code, and ``error_id`` is also in the log. ``endpoint`` is Flask's name of the view.
``client_id`` is the unverified value of the request, or None.
"""

ALL = tuple(_namespace.values())
"""All signals of the extension."""

FREQUENT = frozenset({client_authenticated, token_accepted})
"""Signals of every request, which the provider only sends if they have receivers."""

SUSPICIOUS = frozenset({code_replayed, refresh_reused})
"""Signals of a code or token that was used twice, which may be stolen."""


def write_audit_record(signal: NamedSignal, facts: Mapping[str, Any]) -> None:
    """Write the audit record of a signal."""
    level = logging.WARNING if signal in SUSPICIOUS else logging.INFO
    if signal not in FREQUENT and audit.isEnabledFor(level):
        text = " ".join(f"{name}={value!r}" for name, value in facts.items() if value is not None)
        audit.log(level, "%s %s", signal.name, text, extra={"event": signal.name, "oauth2": dict(facts)})
