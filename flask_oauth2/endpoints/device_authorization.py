"""The device authorization endpoint, :rfc:`8628#section-3.1`: a device asks for two codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import addresses, signals, uris, user_codes, values
from ..checks import audience as audience_check
from ..checks import scope as scope_check
from ..clients.throttle import spend_quota
from ..errors import TemporarilyUnavailable, UnauthorizedClient, UnsupportedGrantType, update_client
from ..grants.device_code import KIND
from ..messages import NO_STORE, Response
from ..records import Grant
from ..settings import DEVICE_CODE
from .base import Call

if TYPE_CHECKING:
    from ..server import AuthorizationServer

MOST_CODES = 100_000
"""Codes that public clients may get within an hour, a tenth of them from one network; each is a row."""

_TRIES = 5
"""How often a user code is drawn that another device may have."""


def respond(call: Call) -> Response:
    """Return a device code, a user code and where the user enters it."""
    server, request, form, client, now = call.server, call.request, call.form, call.client, call.now
    if DEVICE_CODE not in server.settings.grant_types:
        raise UnsupportedGrantType(
            "the device authorization grant is not offered",
            rule="rfc8628 3.1",
            cure="name device_code in OAUTH2_GRANT_TYPES, if it is to be offered",
        )
    if DEVICE_CODE not in client.grant_types:
        options = " ".join(f"--grant-type {name}" for name in (*client.grant_types, "device_code"))
        raise UnauthorizedClient(
            "the client may not use the device authorization grant",
            rule="rfc8628 3.1",
            expected=f"one of {', '.join(client.grant_types)}",
            cure=f"name all that it may use: {update_client(client.client_id, options)}",
        )
    if not client.is_confidential:  # whom anybody can name, or pass for
        spend_quota(server, "device codes", MOST_CODES, now, address=request.address)
    scope = scope_check.read(form, client, server.settings)
    resource = (
        audience_check.read(form, scope, addresses.find_resources(server, request.mount)) if server.described else ()
    )
    asked = {"client_id": client.client_id, "scope": " ".join(scope), **({"resource": resource} if resource else {})}
    device_code, user_code = _file(server, asked, now)
    server.events.emit(signals.device_code_issued, client_id=client.client_id, scope=scope)
    verification_uri = addresses.url_of(server, "device", request.mount)
    members = {
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": verification_uri,
        "verification_uri_complete": uris.add_query(verification_uri, [("user_code", user_code)]),
        "expires_in": server.settings.device_code_lifetime,
        "interval": server.settings.device_interval,
    }
    return Response(200, members, NO_STORE)


def _file(server: AuthorizationServer, asked: dict[str, Any], now: float) -> tuple[str, str]:
    """A device code and a user code that no other device has; what is asked for waits with them."""
    settings = server.settings
    for _ in range(_TRIES):
        device_code, key = values.mint(settings.prefixes["device_code"], values.stamp(now))
        code = user_codes.new()
        user_code_key = user_codes.key(code, settings.secret_keys[-1])
        grant = Grant(
            key=key,
            kind=KIND,
            parameters=asked,
            expires_at=int(now) + settings.device_code_lifetime,
            user_code_key=user_code_key,
            interval=settings.device_interval,
        )
        try:
            server.store.issue(None, [grant], int(now))
        except Exception:
            if server.devices.find_device(user_code_key) is None:
                raise
            continue  # another device has the user code
        return device_code, user_codes.show(code)
    raise TemporarilyUnavailable("too many devices wait for their users", retry_after=settings.device_interval)
