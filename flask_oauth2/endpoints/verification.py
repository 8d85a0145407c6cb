"""The verification URI, :rfc:`8628#section-3.3`: find the device of a user code, and save what its user decides.

No HTML is written here; :mod:`flask_oauth2.pages.device` shows the pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import scopes, signals, values
from ..clients import lookup
from ..clients.authentication.throttle import Attempt, network
from ..errors import InvalidRequest
from ..grants import user_codes
from ..grants.device_code import KIND
from ..people import consents
from ..people.consents import Permission
from ..records import Authorization, Client, Grant, User
from ..scopes import Scope
from ..server import AuthorizationServer
from ..settings import DEVICE_CODE

MOST_WRONG = 5
"""Wrong codes of one user or one browser, and wrong uses of one code, in a window: :rfc:`8628#section-5.1`."""

_MOST = {"address": 10, "site": 100}
"""How many times ``OAUTH2_MAX_FAILED_ATTEMPTS`` may come from one address, which many users may share, and in total."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A device that waits for its user: its client, and what it asks for."""

    grant: Grant
    client: Client
    scope: Scope
    resource: tuple[str, ...]


def find(server: AuthorizationServer, text: str, guesser: Mapping[str, str], now: float) -> Waiting | None:
    """Return the device whose code the user typed; None for a code that is wrong, expired or already decided about.

    ``guesser`` says who typed it, as wrong codes count by ``person``, ``browser`` and ``address``. Raise
    :exc:`~flask_oauth2.errors.TemporarilyUnavailable` (429) after too many.
    """
    code = user_codes.read(text)
    if code is None:
        return None  # not a guess: no device has such a code
    keys = [user_codes.key(code, secret) for secret in reversed(server.settings.secret_keys)]
    attempts = _count(server, {**guesser, "code": values.text(keys[0]), "site": ""}, now)
    try:
        found = _find(server, keys, now)
    except BaseException:
        for attempt in attempts:
            attempt.withdraw()
        raise
    for attempt in attempts:
        if found is None:
            attempt.failed()
        else:
            attempt.withdraw()
    return found


def decide(server: AuthorizationServer, key: bytes, user: User, allowed: bool, now: float) -> Client:
    """Save the decision of the user about the device of a page that was shown, and return its client.

    A decision that is sent again, as a button is pressed twice, changes nothing and has the same answer. Raise
    :exc:`InvalidRequest` if the code has expired or another decision was faster.
    """
    waiting = _read(server, server.store.get_grant(key, KIND), now)
    if waiting is not None and _decide(server, waiting, user, allowed, now):
        return waiting.client
    grant = server.store.get_grant(key, KIND)
    client = lookup.find_client(server, grant.parameters["client_id"]) if grant else None
    if grant is None or client is None or not _has_decision(grant, user, allowed):
        raise InvalidRequest(
            "this device no longer waits for an answer: begin again on the device", rule="rfc8628 3.3", status=410
        )
    return client


def _has_decision(grant: Grant, user: User, allowed: bool) -> bool:
    """Return whether this user has decided about a device code in this way."""
    if not allowed:
        return grant.is_denied
    return grant.authorization is not None and grant.authorization.user_id == user.id


def _decide(server: AuthorizationServer, waiting: Waiting, user: User, allowed: bool, now: float) -> bool:
    """Save a decision. Return False if another decision was faster, or the code has expired."""
    permission = Permission(user.id, waiting.client.client_id, waiting.scope, waiting.resource)
    said: dict[str, Any] = {"client_id": permission.client_id, "user_id": user.id, "scope": waiting.scope}
    if not allowed:
        if not server.devices.decide(waiting.grant, None, int(now)):
            return False
        server.events.emit(signals.consent_denied, **said)
        return True
    consent = server.consents.get_consent(user.id, permission.client_id) if server.consents else None
    authorization = consents.authorize(server, permission, consent, _return, now)
    if not server.devices.decide(waiting.grant, authorization, int(now)):
        return False
    server.events.emit(signals.consent_given, **said, authorization_id=authorization.id)
    return True


def _return(authorization: Authorization) -> Authorization:
    return authorization


def _count(server: AuthorizationServer, names: Mapping[str, str], now: float) -> list[Attempt]:
    failures = server.settings.max_failed_attempts
    attempts: list[Attempt] = []
    try:
        for kind, name in names.items():
            most = failures * _MOST[kind] if kind in _MOST else min(failures, MOST_WRONG)
            name = network(name) if kind == "address" else name
            attempts.append(Attempt(server, f"user_code {kind}", name, now, most=most, is_guess=True))
    except BaseException:
        for attempt in attempts:
            attempt.withdraw()
        raise
    return attempts


def _find(server: AuthorizationServer, keys: list[bytes], now: float) -> Waiting | None:
    for key in keys:
        found = _read(server, server.devices.find_device(key), now)
        if found is not None:
            return found
    return None


def _read(server: AuthorizationServer, grant: Grant | None, now: float) -> Waiting | None:
    """Return what a device asks for, if it waits for a decision and its client may still have some of it."""
    if grant is None or grant.is_expired(now) or grant.authorization is not None or grant.is_denied:
        return None
    asked = grant.parameters
    client = lookup.find_client(server, asked["client_id"])
    if client is None or DEVICE_CODE not in client.grant_types:
        return None
    scope = tuple(value for value in scopes.parse(asked["scope"]) if value in client.scope)
    return Waiting(grant, client, scope, tuple(asked.get("resource", ()))) if scope else None
