"""The device authorization endpoint, :rfc:`8628#section-3.1`: a device requests a device code and a user code."""

from __future__ import annotations

from typing import Any

from .. import addresses, signals, values
from ..checks.request import AuthorizationRequest
from ..clients.authentication.throttle import spend_quota
from ..errors import TemporarilyUnavailable, UnauthorizedClient, UnsupportedGrantType, update_client
from ..grants import user_codes
from ..grants.device_code import KIND
from ..http import urls
from ..http.messages import NO_STORE, Response
from ..records import Client, Grant
from ..server import AuthorizationServer
from ..settings import DEVICE_CODE
from .authorization.checks import GRANT_CHECKS, run
from .base import Call

MOST_CODES = 100_000
"""The maximum number of device codes for public clients per hour; a tenth of it per network. Each code is a row."""

_TRIES = 5
"""The number of attempts to generate a user code that no other device has."""


def respond(call: Call) -> Response:
    """Check the device authorization request. Return the codes and the verification URI, section 3.2.

    Raise :exc:`UnauthorizedClient` if the client is not registered for this grant type. Raise
    :exc:`TemporarilyUnavailable` if too many codes were issued.
    """
    server, request, form, client, now = call.server, call.request, call.form, call.client, call.now
    if DEVICE_CODE not in server.settings.grant_types:
        raise UnsupportedGrantType(
            "the device authorization grant is not enabled",
            rule="rfc8628 3.1",
            hint="add device_code to OAUTH2_GRANT_TYPES to enable it",
        )
    _check_grant_type(client)
    if not client.is_confidential:  # anyone can send the client_id of a public client
        spend_quota(server, "device codes", MOST_CODES, now, address=request.address)
    checked = run(GRANT_CHECKS, AuthorizationRequest(form, request, client=client), server)
    device_code, user_code = _issue_codes(server, checked, now)
    server.events.emit(signals.device_code_issued, client_id=client.client_id, scope=checked.scope)
    verification_uri = addresses.url_of(server, "device", request.mount)
    # all members but verification_uri_complete and interval are "REQUIRED", section 3.2
    members = {
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": verification_uri,
        "verification_uri_complete": urls.add_query(verification_uri, [("user_code", user_code)]),
        "expires_in": server.settings.device_code_lifetime,
        "interval": server.settings.device_interval,
    }
    return Response(200, members, NO_STORE)


def _check_grant_type(client: Client) -> None:
    if DEVICE_CODE in client.grant_types:
        return
    options = " ".join(f"--grant-type {name}" for name in (*client.grant_types, "device_code"))
    raise UnauthorizedClient(
        "the client may not use the device authorization grant",
        rule="rfc8628 3.1",
        expected=f"one of {', '.join(client.grant_types)}",
        hint=f"register the client for it: {update_client(client.client_id, options)}",
    )


def _issue_codes(server: AuthorizationServer, request: AuthorizationRequest, now: float) -> tuple[str, str]:
    """Generate a device code and a user code that no other device has, and save them with the request."""
    settings = server.settings
    parameters: dict[str, Any] = {"client_id": request.client.client_id, "scope": " ".join(request.scope)}
    if request.resource:
        parameters["resource"] = request.resource
    if request.authorization_details:
        parameters["authorization_details"] = request.authorization_details
    for _ in range(_TRIES):
        device_code, key = values.generate(settings.token_prefixes["device_code"], values.timestamp(now))
        code = user_codes.new()
        user_code_key = user_codes.key(code, settings.secret_keys[-1])
        grant = Grant(
            key=key,
            kind=KIND,
            parameters=parameters,
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
