"""The device authorization grant, :rfc:`8628`: the half that a device polls, section 3.4."""

from __future__ import annotations

from .. import values
from ..errors import AccessDenied, AuthorizationPending, ExpiredToken, InvalidGrant, SlowDown
from ..records import Grant
from ..server import AuthorizationServer
from ..settings import DEVICE_CODE
from ..tokens.base import TokenGrant, TokenRequest
from ..tokens.read import explain_missing

KIND = "device_code"
"""The kind of its rows."""

SLOWER = 5
"""Seconds by which a poll that came too soon lengthens the interval, section 3.5."""

_TRIES = 5
"""How often a poll is noted beside others of the same device."""


class DeviceCode:
    """A device code is turned into what its user allowed, once. Until then its client is told how things stand."""

    name = DEVICE_CODE

    def authorize(self, request: TokenRequest) -> TokenGrant:
        """Binding first. A client stops at any answer but two, so ``invalid_grant`` is for what will never do."""
        server = request.server
        code = request.form.require("device_code")
        key = values.find_key(code, server.settings.token_prefixes["device_code"])
        grant = None if key is None else server.store.get_grant(key, KIND)
        if grant is None:
            received, hint = explain_missing(server, code, "device_code")
            raise InvalidGrant(
                "the device code is unknown or revoked", rule="rfc8628 3.4", received=received, hint=hint
            )
        if grant.parameters["client_id"] != request.client.client_id:
            raise InvalidGrant(
                "the device code was issued to another client",
                rule="rfc8628 3.4",
                hint="let the device poll with the client_id that requested the code",
            )
        if grant.used_at is not None and abs(request.now - grant.used_at) < (grant.interval or 0):
            # whoever lost the answer, or asked twice at once, is no thief; a later replay goes on, and ends the family
            raise InvalidGrant("the device code was used a moment ago", rule="rfc8628 3.4")
        if grant.used_at is None and grant.is_expired(request.now):
            raise ExpiredToken("the device code has expired: begin again")
        if grant.is_denied:
            raise AccessDenied("the user said no", rule="rfc8628 3.5")
        if grant.authorization is None:
            raise _note_poll(server, grant, int(request.now))
        return TokenGrant(grant.authorization, spend=grant, refresh=True)


def _note_poll(server: AuthorizationServer, grant: Grant, now: int) -> AuthorizationPending | SlowDown:
    """Remember that the client asked. "the interval MUST be increased by 5 seconds for this and all subsequent"."""
    found: Grant | None = grant
    for _ in range(_TRIES):
        if found is None:
            break
        interval = found.interval or server.settings.device_interval
        # a clock that was set back makes no poll early
        is_early = found.polled_at is not None and found.polled_at <= now < found.polled_at + interval
        if server.devices.poll(found, now, interval + SLOWER if is_early else interval):
            if is_early:
                break
            return AuthorizationPending("the user has not decided yet")
        found = server.store.get_grant(grant.key, KIND)
    return SlowDown(
        "the device asks too often: wait 5 seconds longer from now on",
        hint="let the client wait for interval seconds between two polls, and 5 more after each slow_down",
    )
