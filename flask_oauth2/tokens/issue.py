"""From what a grant decided to tokens: the one place that generates values, consumes credentials and saves rows.

Everything that can reject the request runs first; then one call of the store consumes and saves together.
"""

from __future__ import annotations

from collections.abc import Iterable
from logging import INFO
from typing import Any

from .. import addresses, revocation, signals, values
from ..checks import resource as resource_check
from ..errors import InvalidClient, InvalidGrant, InvalidScope, UnauthorizedClient, update_client
from ..people import consents
from ..records import AccessToken, Authorization, Client, Grant, Token
from ..resources import Resource
from ..scopes import Scope
from ..server import AuthorizationServer
from .answers import AnswerMembers, Issued
from .base import TokenGrant, TokenRequest
from .bindings import verify_held


def issue(
    request: TokenRequest, grant: TokenGrant, grant_type: str, members: Iterable[AnswerMembers] = ()
) -> dict[str, Any]:
    """Carry out what a grant decided, and return the members of the token response, :rfc:`6749#section-5.1`.

    A code that was consumed before, and a refresh token that was consumed before its grace period, revoke the
    authorization (:rfc:`6749#section-4.1.2`, :rfc:`9700#section-4.14.2`). Both raise :exc:`InvalidGrant`.

    :param members: functions that complete the response.
    """
    server, client, now, authorization = request.server, request.client, request.now, grant.authorization
    settings, spend, leeway = server.settings, grant.spend, 0
    if grant.confirmation:
        verify_held(grant.confirmation, request.proof, grant_type)
    answer, access, filed = generate(request, grant)
    if members:
        answer = _complete(request, grant_type, answer, access, authorization, members)
    if isinstance(spend, Token) and server.callbacks.tokengetter is None:  # what such an application ended stays so
        leeway = (
            settings.refresh_token_grace_period if client.is_confidential else server.refresh_token_grace_period_public
        )
    owner = {
        "client_id": authorization.client_id,
        "user_id": authorization.user_id,
        "authorization_id": authorization.id,
    }
    if client.expires_at is not None:
        keep(server, client)
    if not server.store.issue(spend, filed, int(now), leeway):
        raise _reject_reuse(server, spend, owner, leeway, now)
    if signals.token_issued.has_receivers_for(server.events.sender) or signals.audit.isEnabledFor(INFO):
        token_id = values.text(access.key)
        server.events.emit(signals.token_issued, **owner, scope=access.scope, token_id=token_id, grant_type=grant_type)
    if isinstance(spend, Token):
        consents.record_use(server, authorization, spend.access.issued_at, now)
    return answer


def _reject_reuse(
    server: AuthorizationServer, spend: Grant | Token | None, owner: dict[str, Any], leeway: int, now: float
) -> InvalidGrant:
    """Return the error of a credential that was consumed before. Revoke its authorization unless the client is slow."""
    if isinstance(spend, Grant) and spend.kind == "device_code" and spend.used_at is None:
        return InvalidGrant("another poll of the device was faster", rule="rfc8628 3.4")
    if isinstance(spend, Token) and abs(now - (spend.used_at or now)) < leeway:
        # a client that repeats itself is no thief: RFC 9700 section 4.14.2 asks for revocation upon reuse after it
        return InvalidGrant(
            "the refresh token was used a moment ago",
            rule="rfc9700 4.14.2",
            expected="the newest refresh token that the client received",
            received="a repeated refresh, too often or after its result was used",
            hint="let the client refresh once at a time and store the answer; nothing was revoked",
        )
    revocation.revoke(server, owner["authorization_id"], now)
    server.events.emit(signals.refresh_reused if isinstance(spend, Token) else signals.code_replayed, **owner)
    return InvalidGrant(
        "the code or refresh token was used before, so all tokens of this authorization are revoked",
        rule="rfc9700 4.2.4, 4.14.2",
        received="a replay",
        hint="let the client use each code and refresh token once; the user must authorize it again",
    )


def _complete(
    request: TokenRequest,
    grant_type: str,
    answer: dict[str, Any],
    access: AccessToken,
    authorization: Authorization,
    functions: Iterable[AnswerMembers],
) -> dict[str, Any]:
    """Return the members of the response with those that functions add. They replace no standard member."""
    issued = Issued(
        server=request.server,
        request=request.request,
        client=request.client,
        authorization=authorization,
        grant_type=grant_type,
        access=access,
        access_token=answer["access_token"],
        refresh_token=answer.get("refresh_token"),
        now=request.now,
    )
    members: dict[str, Any] = {}
    for function in functions:
        members |= function(issued) or {}
    return members | answer


def _left(scope: Scope, client: Client, spend: Grant | Token) -> Scope:
    """What is given of a scope that was granted before: nothing that the operator has taken from the client since."""
    denied = client.denied.get("scope", ())
    left = tuple(word for word in scope if word not in denied)
    if scope and not left and spend.used_at is None:  # what is spent goes on, as its replay ends the family
        raise InvalidScope(
            "all of the scope was taken from the client",
            received=" ".join(scope),
            hint=f"give it back: {update_client(client.client_id, '--scope SCOPE')}",
        )
    return left


def keep(server: AuthorizationServer, client: Client) -> None:
    """Let a client stay that is about to get its first token. Raises :exc:`InvalidClient` where purge was as fast."""
    if not server.registrations.keep_client(client.client_id):
        raise InvalidClient(
            "the client is gone, as it was not used for long",
            rule="rfc7591 5",
            hint="let the client register again; OAUTH2_UNUSED_CLIENT_LIFETIME sets the time",
        )


def generate(request: TokenRequest, grant: TokenGrant) -> tuple[dict[str, Any], AccessToken, tuple[Token, ...]]:
    """Return new tokens: the members of the response, what the access token says, and the rows to save.

    Changes nothing yet, so everything that can reject the request runs in here or before.
    """
    server, client, authorization = request.server, request.client, grant.authorization
    settings, proof, issued_at = server.settings, request.proof, int(request.now)
    lifetime = settings.access_token_lifetime if grant.lifetime is None else grant.lifetime
    scope, audience = authorization.scope if grant.scope is None else grant.scope, authorization.context.resource
    resource = None
    if server.described or client.denied:
        scope, audience, resource = _narrow(request, grant, scope)
    name = grant.format or client.token_format or settings.access_token_format
    reference, timestamp = server.capabilities.reference_formats.get(name), int(request.now * 1000).to_bytes(6, "big")
    if reference is None:
        value, key = "", _new_token_id(request, name)
    else:
        value = reference.generate(timestamp, client, resource)
        key = values.key(value)
    access = AccessToken(
        key=key,
        authorization_id=authorization.id,
        client_id=authorization.client_id,
        user_id=authorization.user_id,
        scope=scope,
        type=proof.token_type,
        issued_at=issued_at,
        expires_at=issued_at + min(lifetime, settings.access_token_lifetime),
        context=authorization.context,
        confirmation=proof.confirmation,
        consent_id=authorization.consent_id,
        audience=audience,
    )
    if reference is None:
        value = server.capabilities.self_contained_formats[name].write(access, client, resource)
    answer = {
        **grant.answer,
        "access_token": value,
        "token_type": proof.token_type,
        "expires_in": access.expires_at - issued_at,
    }
    if scope:
        answer["scope"] = " ".join(scope)
    is_saved = reference is not None or server.saves_every_token
    return answer, access, _make_rows(request, grant, answer, access, timestamp, is_saved)


def _narrow(request: TokenRequest, grant: TokenGrant, scope: Scope) -> tuple[Scope, tuple[str, ...], Resource | None]:
    """Return the scope and the audience of an access token, and the protected resource that it is for."""
    server, authorization = request.server, grant.authorization
    audience, resource = authorization.context.resource, None
    if server.described:
        resources = addresses.find_resources(server, request.request.mount)
        audience, scope = resource_check.choose(request.form, authorization, scope, resources)
        resource = resources.named(audience[0]) if audience else None
    if grant.spend is not None:
        scope = _left(scope, request.client, grant.spend)
    return scope, audience, resource


def _new_token_id(request: TokenRequest, name: str) -> bytes:
    """Return the ID of a self-contained token. Raises :exc:`UnauthorizedClient` for a format that is not offered."""
    capabilities = request.server.capabilities
    if name not in capabilities.self_contained_formats:
        raise UnauthorizedClient(
            "the token format of this client is not offered", expected=", ".join(capabilities.formats)
        )
    return values.new_id(request.now)


def _make_rows(
    request: TokenRequest,
    grant: TokenGrant,
    answer: dict[str, Any],
    access: AccessToken,
    timestamp: bytes,
    is_saved: bool,
) -> tuple[Token, ...]:
    """Add a refresh token to the response, if the client receives one, and return the row of both tokens, if any.

    :param is_saved: whether the access token has a row without a refresh token too.
    """
    server, refresh_key, refresh_expires_at = request.server, None, None
    grant_types, offered = request.client.grant_types, server.capabilities.grants
    if grant.refresh and "refresh_token" in grant_types and "refresh_token" in offered:
        # both values share their millisecond, so a table that is partitioned by time finds the row by either
        prefix = server.settings.token_prefixes["refresh_token"]
        answer["refresh_token"], refresh_key = values.generate(prefix, timestamp)
        refresh_expires_at = access.issued_at + server.settings.refresh_token_lifetime
    elif not is_saved:
        return ()
    return (
        Token(
            access=access,
            authorization=grant.authorization,
            refresh_key=refresh_key,
            refresh_expires_at=refresh_expires_at,
            parent=grant.spend.access.key if isinstance(grant.spend, Token) else None,
        ),
    )
