"""The verification URI, :rfc:`8628#section-3.3`: what a user code stands for, and what its user decides.

Nothing here speaks HTML, :mod:`flask_oauth2.pages.device` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import scopes, signals, user_codes, values
from ..clients.throttle import Attempt, network
from ..consents import keep_consent
from ..context import Context
from ..errors import InvalidRequest
from ..grants.device_code import KIND
from ..records import Authorization, Client, Consent, Grant, User
from ..scopes import Scope
from ..settings import DEVICE_CODE
from ..stores.base import widened

if TYPE_CHECKING:
    from ..server import Server

MOST_WRONG = 5
"""Wrong codes of one person, of one browser, and times that one code is tried, in a window: :rfc:`8628#section-5.1`."""

_MOST = {"address": 10, "site": 100}
"""How many times ``OAUTH2_THROTTLE_FAILURES`` may come from one address, which many may share, and from everywhere."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A device that waits for its user: which client it is, what it asks for."""

    grant: Grant
    client: Client
    scope: Scope
    resource: tuple[str, ...]


def find(server: Server, text: str, guesser: Mapping[str, str], now: float) -> Waiting | None:
    """The device whose code somebody typed. None for a code that is wrong, expired, decided about: all look the same.

    ``guesser`` says who typed it, and is what wrong codes are counted by: a ``person``, a ``browser``, an ``address``.
    Raises :exc:`~flask_oauth2.errors.TemporarilyUnavailable` (429) after too many.
    """
    code = user_codes.read(text)
    if code is None:
        return None  # no guess: no device has such a code
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


def decide(server: Server, key: bytes, user: User, allowed: bool, now: float) -> Client:
    """Store the decision of the user about the device of a page that was shown, and return its client.

    A decision that comes again, as a button is pressed twice, changes nothing and has the same answer. Raises
    :exc:`InvalidRequest` if the code has expired or another decision was faster.
    """
    waiting = _read(server, server.store.get_grant(key, KIND), now)
    if waiting is not None and _decide(server, waiting, user, allowed, now):
        return waiting.client
    grant = server.store.get_grant(key, KIND)
    client = server.clients.find(grant.parameters["client_id"]) if grant else None
    if grant is None or client is None or not _says(grant, user, allowed):
        raise InvalidRequest(
            "this device no longer waits for an answer: begin again on the device", rule="rfc8628 3.3", status=410
        )
    return client


def _says(grant: Grant, user: User, allowed: bool) -> bool:
    """Return whether a device code is decided about in the same way."""
    if not allowed:
        return grant.is_denied
    return grant.authorization is not None and grant.authorization.user_id == user.id


def _decide(server: Server, waiting: Waiting, user: User, allowed: bool, now: float) -> bool:
    """Store a decision. Return False if another decision was faster, or the code has expired."""
    client_id = waiting.client.client_id
    told = {"client_id": client_id, "user_id": user.id, "scope": waiting.scope}
    if not allowed:
        if not server.devices.decide(waiting.grant, None, int(now)):
            return False
        server.tell(signals.consent_denied, **told)
        return True
    consents, moment = server.consents, max(now, server.last_revocation.first_moment)

    def make(before: Consent | None) -> tuple[Authorization, Consent | None]:
        rests_on = widened(before, user.id, client_id, waiting.scope, moment, waiting.resource) if consents else None
        return _authorize(waiting, user, rests_on, moment), rests_on

    before = consents.get_consent(user.id, client_id) if consents else None
    authorization = keep_consent(consents, before, make)
    if not server.devices.decide(waiting.grant, authorization, int(now)):
        return False
    server.tell(signals.consent_given, **told, authorization_id=authorization.id)
    return True


def _authorize(waiting: Waiting, user: User, rests_on: Consent | None, now: float) -> Authorization:
    """What the user lets the device do: the one place where it is said."""
    return Authorization(
        id=values.new_family(now),
        client_id=waiting.client.client_id,
        user_id=user.id,
        scope=waiting.scope,
        consent_id=rests_on.id if rests_on else None,
        context=Context(resource=waiting.resource),
    )


def _count(server: Server, names: Mapping[str, str], now: float) -> list[Attempt]:
    failures = server.settings.throttle_failures
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


def _find(server: Server, keys: list[bytes], now: float) -> Waiting | None:
    for key in keys:
        found = _read(server, server.devices.find_device(key), now)
        if found is not None:
            return found
    return None


def _read(server: Server, grant: Grant | None, now: float) -> Waiting | None:
    """What a grant asks for, while it waits and its client may have it still."""
    if grant is None or grant.is_expired(now) or grant.authorization is not None or grant.is_denied:
        return None
    asked = grant.parameters
    client = server.clients.find(asked["client_id"])
    if client is None or DEVICE_CODE not in client.grant_types:
        return None
    scope = tuple(word for word in scopes.parse(asked["scope"]) if word in client.scope)  # what it may have by now
    return Waiting(grant, client, scope, tuple(asked.get("resource", ()))) if scope else None
