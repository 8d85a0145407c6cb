"""Dynamic client registration, :rfc:`7591`, and client configuration, :rfc:`7592`.

Public clients that register without an initial access token share one client for the same metadata. Its client_id is
derived from the metadata, so that a million copies of a software are one row. A shared client has no registration
access token. Every other registration creates a client with a registration access token.

Each response rotates that token (:rfc:`7592#section-5`). The new token is derived from the previous one, which stays
valid until the new one has been used: a client that lost a response repeats its request and receives the same token.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from .. import addresses, signals, values
from ..clients import metadata, registration, rules
from ..clients.authentication.throttle import Attempt, Quota, network, spend_quota
from ..clients.deletion import delete_client
from ..clients.secrets import generate_secret, is_secret
from ..clients.validators import InvalidMetadata
from ..errors import InvalidClientMetadata, InvalidRedirectURI, InvalidToken, TemporarilyUnavailable
from ..http.challenges import write_challenge
from ..http.messages import NO_STORE, Request, Response
from ..records import Client, Grant
from ..server import AuthorizationServer
from .base import Call

GRANT_KIND = "registration"
"""The kind of the grants that are initial access tokens, :rfc:`7591#section-3`. The server consumes them like codes."""

_PURPOSE = "registration_access_token"

_HINT = (
    "increase OAUTH2_REGISTRATIONS_PER_HOUR; behind a proxy, use ProxyFix so that the addresses of clients are known"
)
"""The hint for a quota that is too small."""

_ATTEMPTS = 8
"""The number of attempts to save a concurrent change, and the number of deletions after which a shared client may
register again.
"""

_SET_BY_SERVER = (
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
)
"""The members that an update "MUST NOT include", :rfc:`7592#section-2.2`."""


def register(call: Call) -> Response:
    """Register a client, :rfc:`7591#section-3`. A public client may receive a shared client with the same metadata."""
    server, request, now = call.server, call.request, call.now
    if server.registration == "off":
        return Response(404)
    value = _bearer(request)
    if value is None and server.registration == "token":
        return _challenge(server)
    grant = None if value is None else _find_grant(server, request, value, now)
    lifetime = server.settings.unused_client_lifetime
    blank = Client(
        client_id="",
        registered_by="open" if grant is None else "token",
        created_at=int(now),
        expires_at=int(now) + lifetime if lifetime else None,
    )
    client = _read(server, request, request.json, blank)
    if grant is None and client.is_public:
        found = _share(server, request, client, now)
        return Response(201, _with_sent_ports(found, client), NO_STORE)
    secret, stored = generate_secret(server, now) if rules.needs_secret(client, server) else (None, None)
    token, key = values.generate(server.settings.token_prefixes[_PURPOSE], values.timestamp(now))
    client = replace(
        client,
        client_id=rules.new_client_id(),
        secret=stored,
        registration_key=key,
    )
    _check(client, server)
    _charge(server, request, grant, now)
    while not server.registrations.add_client(client):
        client = replace(client, client_id=rules.new_client_id())
    server.events.emit(signals.client_created, client_id=client.client_id, registered_by=client.registered_by)
    return Response(201, _describe(server, request, client, token, secret), NO_STORE)


def configure(call: Call) -> Response:
    """Read, change or delete one client with its registration access token, :rfc:`7592#section-2`."""
    server, request, now = call.server, call.request, call.now
    if server.registration == "off":
        return Response(404)
    value = _bearer(request)
    if value is None:
        return _challenge(server)
    if request.method == "DELETE":
        delete_client(server, _authenticate(server, request, value, now)[0])
        return Response(204, headers=NO_STORE)
    submitted = request.json if request.method == "PUT" else None
    for _ in range(_ATTEMPTS):
        before, token, key = _authenticate(server, request, value, now)
        changed, secret = (before, None) if submitted is None else _change(server, request, submitted, before, now)
        changed = replace(changed, registration_key=key)
        if changed == before or server.registrations.change_client(changed, before):
            if submitted is not None:
                server.events.emit(
                    signals.client_updated, client_id=before.client_id, registered_by=before.registered_by
                )
            return Response(200, _describe(server, request, changed, token, secret), NO_STORE)
    raise TemporarilyUnavailable("concurrent requests change this client too often", retry_after=1)


def _read(server: AuthorizationServer, request: Request, submitted: Mapping[str, Any], before: Client) -> Client:
    """Return the client that replaces ``before``. The server and the registration policy may narrow its metadata.

    Raise :exc:`InvalidClientMetadata`, :exc:`InvalidRedirectURI`, or the error of the policy.
    """
    is_new = not before.client_id
    may_have = registration.OPEN_GRANTS if before.registered_by == "open" else registration.TRUSTED_GRANTS
    denied = before.denied.get("grant_types", ())
    known = [name for name in server.capabilities.grant_types if name not in denied]
    offered = {*may_have, *before.grant_types}.intersection(known)
    scope = server.open_scopes if is_new else before.scope
    policy = server.policies.registration
    try:
        members = registration.read(submitted, server, offered, scope)
        decided = None if policy is None else policy(dict(members), request)
        if decided is not None:  # the policy may allow more than open registration does
            if not isinstance(decided, Mapping):
                raise TypeError(f"the registration policy must return a dict or None, not {type(decided).__name__}")
            members = registration.read(decided, server, known)
        client = registration.apply(members, before)
    except InvalidMetadata as error:
        raise _rejected(error) from None
    return client


def _check(client: Client, server: AuthorizationServer) -> None:
    try:
        rules.check(client, server)
    except InvalidMetadata as error:
        raise _rejected(error) from None


def _rejected(error: InvalidMetadata) -> InvalidClientMetadata | InvalidRedirectURI:
    """Return the registered error of :rfc:`7591#section-3.2.2`."""
    kind = InvalidRedirectURI if error.field == "redirect_uris" else InvalidClientMetadata
    return kind(str(error))


def _share(server: AuthorizationServer, request: Request, client: Client, now: float) -> Client:
    """Return the client that all copies of a software share. Create it for the first copy only."""
    client = registration.without_ports(client)
    store, registrations = server.store, server.registrations
    # the scope of a policy may be for this client only
    scope = client.scope if server.policies.registration is not None else ()
    for number in range(_ATTEMPTS):
        ids = [registration.shared_id(client, scope, key, number) for key in reversed(server.settings.secret_keys)]
        # the shared client may exist with an ID that is derived from an older key
        known = [client_id for client_id in ids[1:] if store.get_client(client_id) is not None]
        client = replace(client, client_id=(known or ids)[0])
        _check(client, server)
        if store.revoked(client.client_id):  # the operator has deleted it, and its tokens stay revoked
            continue
        found = store.get_client(client.client_id)
        if found is not None and _extend_lifetime(server, found, now):
            return found
        most = server.settings.registrations_per_hour
        quota = Quota(server, "registrations", most, now, address=request.address, hint=_HINT)
        if registrations.add_client(client):
            quota.confirm()
            server.events.emit(signals.client_created, client_id=client.client_id, registered_by=client.registered_by)
            return client
        quota.release()
        found = store.get_client(client.client_id)
        if found is not None:  # another copy has registered it meanwhile
            return found
    raise InvalidClientMetadata(
        "the operator has deleted this client too often", hint="register the client with an initial access token"
    )


def _extend_lifetime(server: AuthorizationServer, client: Client, now: float) -> bool:
    """Extend the lifetime of a client if half of it is over. Return whether the client still exists."""
    lifetime = server.settings.unused_client_lifetime
    if client.expires_at is None or client.expires_at - now >= lifetime / 2:
        return True
    return server.registrations.retain_client(client.client_id, int(now) + lifetime)


def _with_sent_ports(found: Client, sent: Client) -> dict[str, Any]:
    """Return the registered metadata with the ports that this copy has sent, because all ports are valid."""
    is_same = registration.without_ports(sent).redirect_uris == found.redirect_uris
    return metadata.describe(replace(found, redirect_uris=sent.redirect_uris) if is_same else found)


def _charge(server: AuthorizationServer, request: Request, grant: Grant | None, now: float) -> None:
    """Count a new client, and consume its initial access token.

    The token is consumed before the client is saved. A crash may therefore lose a token but never adds two clients.
    """
    most = server.settings.registrations_per_hour
    if grant is None:
        spend_quota(server, "registrations", most, now, address=request.address, hint=_HINT)
    elif grant.parameters.get("reusable"):
        name, kind = values.text(grant.key), "registrations with one initial access token"
        spend_quota(server, kind, most, now, name=name, hint=_HINT)
    elif not server.store.issue(grant, [], int(now)):
        raise _invalid_token(server, "the initial access token was used before")


def _find_grant(server: AuthorizationServer, request: Request, value: str, now: float) -> Grant:
    """Return the grant of an initial access token. Raise :exc:`InvalidToken` if it is not valid.

    Count failed attempts by network address.
    """
    key = values.find_key(value, server.settings.token_prefixes["initial_access_token"])
    grant = None if key is None else server.store.get_grant(key, GRANT_KIND)
    if grant is None:
        Attempt(server, "initial access token", network(request.address), now).failed()
        raise _invalid_token(server, "the initial access token is unknown")
    if grant.used_at is not None or grant.is_expired(now):
        raise _invalid_token(server, "the initial access token was used before, or has expired")
    return grant


def _authenticate(server: AuthorizationServer, request: Request, value: str, now: float) -> tuple[Client, str, bytes]:
    """Return the client in the path, its next token, and the hash of this token. Accept the previous token too.

    Raise :exc:`InvalidToken` for any other token, and if the client is unknown.
    """
    client_id = request.named["client_id"]
    client = server.store.get_client(client_id)
    held, key = (client.registration_key if client else None), values.key(value)
    if client is not None and held is not None:
        holds = hmac.compare_digest(held, key)
        for secret_key in reversed(server.settings.secret_keys):
            drawn = values.derive_key(secret_key, _PURPOSE, value)
            following, following_key = values.generate(server.settings.token_prefixes[_PURPOSE], key[:6], drawn)
            if holds or hmac.compare_digest(held, following_key):
                return client, following, following_key
    # attempts for unknown clients count by network, so that they add no row for each client ID
    Attempt(server, _PURPOSE, client_id if client is not None else network(request.address), now).failed()
    # if the client does not exist, "the server MUST respond with HTTP 401 Unauthorized", RFC 7592 2.1
    raise _invalid_token(server, "the registration access token is not that of this client")


def _change(
    server: AuthorizationServer, request: Request, submitted: Mapping[str, Any], before: Client, now: float
) -> tuple[Client, str | None]:
    """Return the updated client, and its secret if one was generated. Omitted members are removed, not merged."""
    # "MUST include its "client_id" field in the request, and it MUST be the same as its currently issued client
    # identifier", RFC 7592 2.2
    if submitted.get("client_id") != before.client_id:
        raise InvalidClientMetadata("client_id: must be that of the client", rule="rfc7592 2.2")
    for name in _SET_BY_SERVER:
        if submitted.get(name) is not None:
            raise InvalidClientMetadata(f"{name}: must be absent: the server sets it", rule="rfc7592 2.2")
    sent = submitted.get("client_secret")
    if sent is not None:
        _verify_secret(server, sent, before, now, request.address)
    client, generated = _read(server, request, submitted, before), None
    if not rules.needs_secret(client, server):
        client = replace(client, secret=None)
    elif client.secret is None:
        generated, stored = generate_secret(server, now)
        client = replace(client, secret=stored)
    _check(client, server)
    return client, generated


def _verify_secret(server: AuthorizationServer, sent: object, before: Client, now: float, address: str) -> None:
    """Raise :exc:`InvalidClientMetadata` unless the secret is that of the client. Count failed attempts."""
    attempt = Attempt(server, "client_secret", before.client_id, now, address)
    if not isinstance(sent, str) or not is_secret(sent, before.secret or ""):
        attempt.failed()
        # "the value of this field MUST match the currently issued client secret", RFC 7592 2.2
        raise InvalidClientMetadata("client_secret: is not that of the client", rule="rfc7592 2.2")
    attempt.withdraw()


def _describe(
    server: AuthorizationServer, request: Request, client: Client, token: str, secret: str | None
) -> dict[str, Any]:
    """Return the client information response, :rfc:`7592#section-3`. It contains a secret only when it is generated."""
    described = metadata.describe(client)
    if secret is not None:
        described |= {"client_secret": secret, "client_secret_expires_at": 0}
    uri = f"{addresses.url_of(server, 'registration', request.mount)}/{quote(client.client_id, safe='')}"
    return described | {"registration_client_uri": uri, "registration_access_token": token}


def _bearer(request: Request) -> str | None:
    """Return the token of a Bearer Authorization header, or None."""
    scheme, _, credentials = request.authorization.partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None


def _challenge(server: AuthorizationServer) -> Response:
    """Return a challenge without an error code: the request has no token, :rfc:`6750#section-3.1`."""
    challenge = write_challenge("Bearer", {"realm": server.settings.realm})
    return Response(401, headers={**NO_STORE, "WWW-Authenticate": challenge})


def _invalid_token(server: AuthorizationServer, description: str) -> InvalidToken:
    """Return the error with a challenge, :rfc:`6750#section-3`."""
    members = {"realm": server.settings.realm, **InvalidToken(description).parameters}
    return InvalidToken(description, headers={"WWW-Authenticate": write_challenge("Bearer", members)})
