"""Clients that register themselves, :rfc:`7591`, and see to their registration, :rfc:`7592`.

Who registers a public client without an initial access token gets what all copies of that software get: the same
metadata is the same client, of an id that is derived from it, so that a million copies are one row. Nobody gets a
token to change what is everybody's. All others get a client of their own, with a registration access token.

That token is another with each answer (:rfc:`7592#section-5`). It is derived from the one before, which therefore is
known for it until the new one has been used: who lost an answer asks again and gets the same.
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
from ..http.messages import NO_STORE, Request, Response
from ..records import Client, Grant
from ..server import AuthorizationServer
from .base import Call

GRANT_KIND = "registration"
"""Of an initial access token, :rfc:`7591#section-3`, which is spent as a code is."""

_PURPOSE = "registration_access_token"

_MORE = "raise OAUTH2_REGISTRATIONS_PER_HOUR, or behind a proxy let the application see the addresses of clients"
"""The fix for a quota that is too small."""

_TRIES = 8
"""How often a change is tried that others make too, and how often a shared client may be taken away and come again."""

_OF_THE_SERVER = (
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
)
""" "The updated client metadata fields request MUST NOT include" these, :rfc:`7592#section-2.2`."""


def register(call: Call) -> Response:
    """Register a client (POST), :rfc:`7591#section-3`, or return the one that others registered in the same words."""
    server, request, now = call.server, call.request, call.now
    if server.registration == "off":
        return Response(404)
    value = _bearer(request)
    if value is None and server.registration == "token":
        return _ask(server)
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
        return Response(201, _as_asked(found, client), NO_STORE)
    secret, stored = generate_secret(server, now) if rules.needs_secret(client, server) else (None, None)
    token, key = values.generate(server.settings.token_prefixes[_PURPOSE], values.timestamp(now))
    client = replace(
        client,
        client_id=rules.new_client_id(),
        secret=stored,
        registration_key=key,
    )
    _check(client, server)
    _pay(server, request, grant, now)
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
        return _ask(server)
    if request.method == "DELETE":
        delete_client(server, _authenticate(server, request, value, now)[0])
        return Response(204, headers=NO_STORE)
    asked = request.json if request.method == "PUT" else None
    for _ in range(_TRIES):
        before, token, key = _authenticate(server, request, value, now)
        changed, secret = (before, None) if asked is None else _change(server, request, asked, before, now)
        changed = replace(changed, registration_key=key)
        if changed == before or server.registrations.change_client(changed, before):
            if asked is not None:
                server.events.emit(
                    signals.client_updated, client_id=before.client_id, registered_by=before.registered_by
                )
            return Response(200, _describe(server, request, changed, token, secret), NO_STORE)
    raise TemporarilyUnavailable("the client changes all the time", retry_after=1)


def _read(server: AuthorizationServer, request: Request, asked: Mapping[str, Any], before: Client) -> Client:
    """The client that is asked for, in place of ``before``: first by what may be had, then by the application's policy.

    Raises :exc:`InvalidClientMetadata` or :exc:`InvalidRedirectURI`, or whatever the policy does.
    """
    is_new = not before.client_id
    may_have = registration.OPEN_GRANTS if before.registered_by == "open" else registration.TRUSTED_GRANTS
    denied = before.denied.get("grant_types", ())
    known = [name for name in server.capabilities.grant_types if name not in denied]
    offered = {*may_have, *before.grant_types}.intersection(known)
    scope = server.open_scopes if is_new else before.scope
    policy = server.policies.registration
    try:
        members = registration.read(asked, server, offered, scope)
        decided = None if policy is None else policy(dict(members), request)
        if decided is not None:  # what the application says may go beyond what is offered to all
            if not isinstance(decided, Mapping):
                raise TypeError(f"the registration policy must return a dict or None, not {type(decided).__name__}")
            members = registration.read(decided, server, known)
        client = registration.apply(members, before)
    except InvalidMetadata as error:
        raise _refused(error) from None
    return client


def _check(client: Client, server: AuthorizationServer) -> None:
    try:
        rules.check(client, server)
    except InvalidMetadata as error:
        raise _refused(error) from None


def _refused(error: InvalidMetadata) -> InvalidClientMetadata | InvalidRedirectURI:
    """As section 3.2.2 names it."""
    kind = InvalidRedirectURI if error.field == "redirect_uris" else InvalidClientMetadata
    return kind(str(error))


def _share(server: AuthorizationServer, request: Request, client: Client, now: float) -> Client:
    """The client of all copies of a software. A repetition reads, and seldom writes; it adds no row."""
    client = registration.without_ports(client)
    store, registrations = server.store, server.registrations
    # what a policy says may be for this client alone
    scope = client.scope if server.policies.registration is not None else ()
    for number in range(_TRIES):
        ids = [registration.shared_id(client, scope, key, number) for key in reversed(server.settings.secret_keys)]
        # by an older key it may be here already
        known = [client_id for client_id in ids[1:] if store.get_client(client_id) is not None]
        client = replace(client, client_id=(known or ids)[0])
        _check(client, server)
        if store.revoked(client.client_id):  # the operator has taken it away, and its tokens must stay dead
            continue
        found = store.get_client(client.client_id)
        if found is not None and _stays(server, found, now):
            return found
        most = server.settings.registrations_per_hour
        quota = Quota(server, "registrations", most, now, address=request.address, hint=_MORE)
        if registrations.add_client(client):
            quota.had()
            server.events.emit(signals.client_created, client_id=client.client_id, registered_by=client.registered_by)
            return client
        quota.give_back()
        found = store.get_client(client.client_id)
        if found is not None:  # another copy was as fast
            return found
    raise InvalidClientMetadata("this client was taken away here, again and again")


def _stays(server: AuthorizationServer, client: Client, now: float) -> bool:
    """Push its end on, where half of its time is over. Whether it is there still."""
    lifetime = server.settings.unused_client_lifetime
    if client.expires_at is None or client.expires_at - now >= lifetime / 2:
        return True
    return server.registrations.keep_client(client.client_id, int(now) + lifetime)


def _as_asked(found: Client, asked: Client) -> dict[str, Any]:
    """What is registered, with the ports that this copy named: all are free, so hers is registered too."""
    is_same = registration.without_ports(asked).redirect_uris == found.redirect_uris
    return metadata.describe(replace(found, redirect_uris=asked.redirect_uris) if is_same else found)


def _pay(server: AuthorizationServer, request: Request, grant: Grant | None, now: float) -> None:
    """What a row of one's own costs. An initial access token is spent first: a crash then costs it, and never gives two
    clients.
    """
    most = server.settings.registrations_per_hour
    if grant is None:
        spend_quota(server, "registrations", most, now, address=request.address, hint=_MORE)
    elif grant.parameters.get("reusable"):
        name, kind = values.text(grant.key), "registrations with one initial access token"
        spend_quota(server, kind, most, now, name=name, hint=_MORE)
    elif not server.store.issue(grant, [], int(now)):
        raise _invalid_token(server, "the initial access token was used before")


def _find_grant(server: AuthorizationServer, request: Request, value: str, now: float) -> Grant:
    """The initial access token. Raises :exc:`InvalidToken`; guesses are counted by the address they come from."""
    key = values.find_key(value, server.settings.token_prefixes["initial_access_token"])
    grant = None if key is None else server.store.get_grant(key, GRANT_KIND)
    if grant is None:
        Attempt(server, "initial access token", network(request.address), now).failed()
        raise _invalid_token(server, "the initial access token is unknown")
    if grant.used_at is not None or grant.is_expired(now):
        raise _invalid_token(server, "the initial access token was used before, or is too old")
    return grant


def _authenticate(server: AuthorizationServer, request: Request, value: str, now: float) -> tuple[Client, str, bytes]:
    """The client that the path names, the next token and its key; by the token that holds, or by the one before it.

    Raises :exc:`InvalidToken` for any other, also where there is no such client (:rfc:`7592#section-2.1`).
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
    # what nobody has registered is no row each
    Attempt(server, _PURPOSE, client_id if client is not None else network(request.address), now).failed()
    raise _invalid_token(server, "the registration access token is not that of this client")


def _change(
    server: AuthorizationServer, request: Request, asked: Mapping[str, Any], before: Client, now: float
) -> tuple[Client, str | None]:
    """The client as asked for, and its secret where it got one. Nothing is merged: what was left out is taken away."""
    if asked.get("client_id") != before.client_id:
        raise InvalidClientMetadata("client_id: must be that of the client", rule="rfc7592 2.2")
    for name in _OF_THE_SERVER:
        if asked.get(name) is not None:
            raise InvalidClientMetadata(f"{name}: is not the client's to say, leave it out", rule="rfc7592 2.2")
    sent = asked.get("client_secret")
    if sent is not None:
        _verify_secret(server, sent, before, now, request.address)
    client, made = _read(server, request, asked, before), None
    if not rules.needs_secret(client, server):
        client = replace(client, secret=None)
    elif client.secret is None:
        made, stored = generate_secret(server, now)
        client = replace(client, secret=stored)
    _check(client, server)
    return client, made


def _verify_secret(server: AuthorizationServer, sent: object, before: Client, now: float, address: str) -> None:
    """The secret of the client, or :exc:`InvalidClientMetadata`. Guesses are counted before they are looked at."""
    attempt = Attempt(server, "client_secret", before.client_id, now, address)
    if not isinstance(sent, str) or not is_secret(sent, before.secret or ""):
        attempt.failed()
        # "the value of this field MUST match the currently issued client secret"
        raise InvalidClientMetadata("client_secret: is not that of the client", rule="rfc7592 2.2")
    attempt.withdraw()


def _describe(
    server: AuthorizationServer, request: Request, client: Client, token: str, secret: str | None
) -> dict[str, Any]:
    """The client information response, :rfc:`7592#section-3`. A secret is told once: only a digest of it is kept."""
    described = metadata.describe(client)
    if secret is not None:
        described |= {"client_secret": secret, "client_secret_expires_at": 0}
    uri = f"{addresses.url_of(server, 'registration', request.mount)}/{quote(client.client_id, safe='')}"
    return described | {"registration_client_uri": uri, "registration_access_token": token}


def _bearer(request: Request) -> str | None:
    """The token of an Authorization header; None where another scheme or nothing came."""
    scheme, _, credentials = request.authorization.partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None


def _ask(server: AuthorizationServer) -> Response:
    """A challenge without an error, as nothing came that could be wrong, :rfc:`6750#section-3.1`."""
    return Response(401, headers={**NO_STORE, "WWW-Authenticate": f'Bearer realm="{server.settings.realm}"'})


def _invalid_token(server: AuthorizationServer, description: str) -> InvalidToken:
    """:rfc:`6750#section-3`, where no guard does it."""
    challenge = f'Bearer realm="{server.settings.realm}", error="invalid_token", error_description="{description}"'
    return InvalidToken(description, headers={"WWW-Authenticate": challenge})
