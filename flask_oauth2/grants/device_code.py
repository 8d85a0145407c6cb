"""The device authorization grant at the token endpoint, :rfc:`8628#section-3.4`, which devices poll."""

from __future__ import annotations

from .. import values
from ..errors import AccessDenied, AuthorizationPending, ExpiredToken, InvalidGrant, SlowDown
from ..records import Grant
from ..server import AuthorizationServer
from ..settings import DEVICE_CODE
from ..tokens.base import TokenGrant, TokenRequest
from ..tokens.read import explain_missing

KIND = "device_code"
"""The kind of the grants that are device codes."""

SLOWER = 5
"""Seconds by which the interval increases if a device polls too fast, section 3.5."""

_TRIES = 5
"""The number of attempts to record a poll while the same device polls concurrently."""


class DeviceCode:
    """The device code grant: a client redeems a device code once. It polls until the user has decided."""

    name = DEVICE_CODE

    def authorize(self, request: TokenRequest) -> TokenGrant:
        """Return the grant of a device code that the user has approved.

        Raise :exc:`AuthorizationPending` or :exc:`SlowDown` if the device must poll again. Any other error is final:
        the client "MUST stop polling", section 3.5.
        """
        server = request.server
        code = request.form.require("device_code")
        key = values.find_key(code, server.settings.token_prefixes["device_code"])
        grant = None if key is None else server.store.get_grant(key, KIND)
        if grant is None:
            received, hint = explain_missing(server, code, "device_code")
            raise InvalidGrant(
                "the device code is unknown or revoked", rule="rfc8628 3.4", received=received, hint=hint
            )
        # a device code is bound to its client like an authorization code, RFC 6749 4.1.3
        if grant.parameters["client_id"] != request.client.client_id:
            raise InvalidGrant(
                "the device code was issued to another client",
                rule="rfc8628 3.4",
                hint="let the device poll with the client_id that requested the code",
            )
        if grant.used_at is not None and abs(request.now - grant.used_at) < (grant.interval or 0):
            # a client that lost the response or polled twice is no attacker; a later replay revokes the authorization
            raise InvalidGrant("the device code was used a moment ago", rule="rfc8628 3.4")
        if grant.used_at is None and grant.is_expired(request.now):
            raise ExpiredToken("the device code has expired: start again")
        if grant.is_denied:
            raise AccessDenied("the user denied the request", rule="rfc8628 3.5")
        if grant.authorization is None:
            raise _record_poll(server, grant, int(request.now))
        return TokenGrant(grant.authorization, spend=grant, refresh=True)


def _record_poll(server: AuthorizationServer, grant: Grant, now: int) -> AuthorizationPending | SlowDown:
    """Save the time of a poll, and return the error for the device."""
    found: Grant | None = grant
    for _ in range(_TRIES):
        if found is None:
            break
        interval = found.interval or server.settings.device_interval
        # if the clock was set back, no poll counts as early
        is_early = found.polled_at is not None and found.polled_at <= now < found.polled_at + interval
        # "the interval MUST be increased by 5 seconds for this and all subsequent requests", section 3.5
        if server.devices.poll(found, now, interval + SLOWER if is_early else interval):
            if is_early:
                break
            return AuthorizationPending("the user has not decided yet")
        found = server.store.get_grant(grant.key, KIND)
    return SlowDown(
        "the device polls too fast: increase the interval by 5 seconds",
        hint="let the client wait for interval seconds between two polls, and 5 seconds longer after each slow_down",
    )
