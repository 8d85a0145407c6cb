"""The verification URI, :rfc:`8628#section-3.3`: find the device of a user code, and save the decision of the user.

This module writes no HTML: :mod:`flask_oauth2.pages.device` shows the pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import scopes, signals, values
from ..checks import authorization_details
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
"""The maximum number of wrong codes per window for one user, one browser or one code, :rfc:`8628#section-5.1`."""

_MOST = {"address": 10, "site": 100}
"""The limits for one address, which many users may share, and in total: multiples of ``OAUTH2_MAX_FAILED_ATTEMPTS``."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A device that waits for its user: the client, and the requested scope and protected resources."""

    grant: Grant
    client: Client
    scope: Scope
    resource: tuple[str, ...]
    details: tuple[dict[str, Any], ...]
    """The authorization details, :rfc:`9396`."""


def find(server: AuthorizationServer, text: str, guesser: Mapping[str, str], now: float) -> Waiting | None:
    """Return the device with a user code, or None if the code is wrong, has expired, or has a decision.

    Raise :exc:`~flask_oauth2.errors.TemporarilyUnavailable` (429) after too many wrong codes.

    :param text: the text that the user typed.
    :param guesser: the ``person``, the ``browser`` and the ``address`` for which wrong codes are counted.
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
    """Save the decision of the user about a device, and return its client.

    If a user double-clicks a button, the second request changes nothing and receives the same response. Raise
    :exc:`InvalidRequest` if the code has expired or has another decision.
    """
    waiting = _read(server, server.store.get_grant(key, KIND), now)
    if waiting is not None and _decide(server, waiting, user, allowed, now):
        return waiting.client
    grant = server.store.get_grant(key, KIND)
    client = lookup.find_client(server, grant.parameters["client_id"]) if grant else None
    if grant is None or client is None or not _has_decision(grant, user, allowed):
        raise InvalidRequest(
            "this device no longer waits for a decision: start again on the device", rule="rfc8628 3.3", status=410
        )
    return client


def _has_decision(grant: Grant, user: User, allowed: bool) -> bool:
    """Return whether this user has decided about a device code in this way."""
    if not allowed:
        return grant.is_denied
    return grant.authorization is not None and grant.authorization.user_id == user.id


def _decide(server: AuthorizationServer, waiting: Waiting, user: User, allowed: bool, now: float) -> bool:
    """Save a decision. Return False if the code has another decision or has expired."""
    client_id = waiting.client.client_id
    permission = Permission(
        user.id,
        client_id,
        waiting.scope,
        waiting.resource,
        user.auth_time,
        user.acr,
        authorization_details.grant(server, waiting.client, waiting.details, user.id) if allowed else (),
        authorization_details.to_remember(server, waiting.details),
    )
    fields: dict[str, Any] = {"client_id": client_id, "user_id": user.id, "scope": waiting.scope}
    if not allowed:
        if not server.devices.decide(waiting.grant, None, int(now)):
            return False
        server.events.emit(signals.consent_denied, **fields)
        return True
    consent = server.consents.get_consent(user.id, permission.client_id) if server.consents else None
    authorization = consents.authorize(server, permission, consent, _return, now)
    if not server.devices.decide(waiting.grant, authorization, int(now)):
        return False
    server.events.emit(signals.consent_given, **fields, authorization_id=authorization.id)
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
    """Return the request of a device, or None if it has a decision or its client may no longer make this request."""
    if grant is None or grant.is_expired(now) or grant.authorization is not None or grant.is_denied:
        return None
    parameters = grant.parameters
    client = lookup.find_client(server, parameters["client_id"])
    if client is None or DEVICE_CODE not in client.grant_types:
        return None
    scope = tuple(value for value in scopes.parse(parameters["scope"]) if value in client.scope)
    details = tuple(
        detail
        for detail in parameters.get("authorization_details", ())
        if detail["type"] in server.capabilities.details_types
    )
    is_empty = not scope and not details
    return None if is_empty else Waiting(grant, client, scope, tuple(parameters.get("resource", ())), details)
