"""Issue tokens for the result of a grant: generate values, consume the credential and save rows.

All checks that can reject the request run first. Then a single call of the store consumes the credential and saves the
rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from logging import INFO
from typing import Any

from .. import addresses, revocation, signals, values
from ..checks import authorization_details as details_check
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
    """Issue the tokens of a grant, and return the members of the token response, :rfc:`6749#section-5.1`.

    Raise :exc:`InvalidGrant` and revoke the authorization if the code was used before, or if the refresh token was used
    before and its grace period is over (:rfc:`6749#section-4.1.2`, :rfc:`9700#section-4.14.2`).

    :param members: functions that return additional members of the response.
    """
    server, client, now, authorization = request.server, request.client, request.now, grant.authorization
    settings, spend, grace_period = server.settings, grant.spend, 0
    if grant.confirmation:
        verify_held(grant.confirmation, request.proof, grant_type)
    answer, access, rows = generate(request, grant)
    if members:
        answer = _complete(request, grant_type, answer, access, authorization, members)
    # an application with a tokengetter revokes tokens itself, so a used refresh token gets no grace period
    if isinstance(spend, Token) and server.callbacks.tokengetter is None:
        grace_period = (
            settings.refresh_token_grace_period if client.is_confidential else server.refresh_token_grace_period_public
        )
    owner = {
        "client_id": authorization.client_id,
        "user_id": authorization.user_id,
        "authorization_id": authorization.id,
    }
    if client.expires_at is not None:
        retain_client(server, client)
    # "If an authorization code is used more than once, the authorization server MUST deny the request", RFC 6749 4.1.2
    if not server.store.issue(spend, rows, int(now), grace_period):
        raise _reject_reuse(server, spend, owner, grace_period, now)
    if signals.token_issued.has_receivers_for(server.events.sender) or signals.audit.isEnabledFor(INFO):
        token_id = values.text(access.token_hash)
        server.events.emit(signals.token_issued, **owner, scope=access.scope, token_id=token_id, grant_type=grant_type)
    if isinstance(spend, Token):
        consents.record_use(server, authorization, spend.access.issued_at, now)
    return answer


def _reject_reuse(
    server: AuthorizationServer, spend: Grant | Token | None, owner: dict[str, Any], grace_period: int, now: float
) -> InvalidGrant:
    """Return the error of a credential that was used before. Revoke its authorization after the grace period."""
    if isinstance(spend, Grant) and spend.kind == "device_code" and spend.used_at is None:
        return InvalidGrant("another poll of the device was faster", rule="rfc8628 3.4")
    if isinstance(spend, Token) and abs(now - (spend.used_at or now)) < grace_period:
        # within the grace period, a repeated request comes from the client and not from an attacker
        return InvalidGrant(
            "the refresh token was used a moment ago",
            rule="rfc9700 4.14.2",
            expected="the newest refresh token that the client received",
            received="a refresh token that was used too often, or whose new tokens were used",
            hint="let the client send one refresh request at a time and store its result; nothing was revoked",
        )
    # "SHOULD revoke (when possible) all tokens previously issued based on that authorization code", RFC 6749 4.1.2
    revocation.revoke(server, owner["authorization_id"], now)
    server.events.emit(signals.refresh_reused if isinstance(spend, Token) else signals.code_replayed, **owner)
    return InvalidGrant(
        "the code or refresh token was used before, so all tokens of this authorization are revoked",
        rule="rfc9700 4.2.4, 4.14.2",
        received="a replay",
        hint="let the client use each code and refresh token once; the user must authorize the client again",
    )


def _complete(
    request: TokenRequest,
    grant_type: str,
    answer: dict[str, Any],
    access: AccessToken,
    authorization: Authorization,
    functions: Iterable[AnswerMembers],
) -> dict[str, Any]:
    """Return the members of the response with those that functions add. Functions cannot replace standard members."""
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


def _without_denied_scopes(scope: Scope, client: Client, spend: Grant | Token) -> Scope:
    """Return the granted scope without the values that the operator has denied to the client since."""
    denied = client.denied.get("scope", ())
    allowed = tuple(value for value in scope if value not in denied)
    # a used credential continues, because issue() revokes its authorization
    if scope and not allowed and spend.used_at is None:
        raise InvalidScope(
            "the client is no longer registered for any value of the granted scope",
            received=" ".join(scope),
            hint=f"register the client for the scope again: {update_client(client.client_id, '--scope SCOPE')}",
        )
    return allowed


def retain_client(server: AuthorizationServer, client: Client) -> None:
    """Remove the expiry of an unused client before its first token is issued.

    Raise :exc:`InvalidClient` if purge has deleted the client.
    """
    if not server.registrations.retain_client(client.client_id):
        raise InvalidClient(
            "the client was deleted because it was unused for too long",
            rule="rfc7591 5",
            hint="let the client register again, or increase OAUTH2_UNUSED_CLIENT_LIFETIME",
        )


def generate(request: TokenRequest, grant: TokenGrant) -> tuple[dict[str, Any], AccessToken, tuple[Token, ...]]:
    """Generate tokens. Return the members of the response, the access token, and the rows to save.

    The store does not change yet, so that a check may still reject the request.
    """
    server, client, authorization = request.server, request.client, grant.authorization
    settings, proof, issued_at = server.settings, request.proof, int(request.now)
    lifetime = settings.access_token_lifetime if grant.lifetime is None else grant.lifetime
    scope, audience = authorization.scope if grant.scope is None else grant.scope, authorization.context.resource
    resource = None
    if server.resources or client.denied:
        scope, audience, resource = _narrow(request, grant, scope)
    if authorization.context.authorization_details or "authorization_details" in request.form.values:
        authorization = _choose_details(request, authorization, audience)
    name = grant.format or client.token_format or settings.access_token_format
    if resource is not None and resource.format is not None:
        name = resource.format  # the resource server may read no other format
    reference = server.capabilities.reference_formats.get(name)
    if reference is None:
        value, key = "", _new_token_id(request, name)
    else:
        value = reference.generate(int(request.now * 1000).to_bytes(6, "big"), client, resource)
        key = values.key(value)
    access = AccessToken(
        token_hash=key,
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
    # "access_token" and "token_type" are "REQUIRED", section 5.1
    answer = {
        **grant.answer,
        "access_token": value,
        "token_type": proof.token_type,
        "expires_in": access.expires_at - issued_at,
    }
    return answer, access, _make_rows(request, grant, answer, access, authorization, reference is not None)


def _choose_details(request: TokenRequest, authorization: Authorization, audience: tuple[str, ...]) -> Authorization:
    """Return the authorization with the authorization details of this access token."""
    granted = authorization.context.authorization_details
    chosen = details_check.choose(request.server, request.form, request.client, granted, audience)
    context = replace(authorization.context, token_details=None if chosen == granted else chosen)
    return replace(authorization, context=context)


def _narrow(request: TokenRequest, grant: TokenGrant, scope: Scope) -> tuple[Scope, tuple[str, ...], Resource | None]:
    """Return the scope and the audience of an access token, and the protected resource that it is for."""
    server, authorization = request.server, grant.authorization
    audience, resource = authorization.context.resource, None
    if server.resources:
        resources = addresses.find_resources(server, request.request.mount)
        audience, scope = resource_check.choose(request.form, authorization, scope, resources)
        resource = resources.named(audience[0]) if audience else None
    if grant.spend is not None:
        scope = _without_denied_scopes(scope, request.client, grant.spend)
    return scope, audience, resource


def _new_token_id(request: TokenRequest, name: str) -> bytes:
    """Return the ID of a self-contained token. Raise :exc:`UnauthorizedClient` for a format that is not registered."""
    capabilities = request.server.capabilities
    if name not in capabilities.self_contained_formats:
        raise UnauthorizedClient(
            f"the token format {name} of this client is not registered",
            expected=", ".join(capabilities.formats),
            hint="set OAUTH2_SIGNING_ALGORITHMS, because jwt needs signing keys" if name == "jwt" else None,
        )
    return values.new_id(request.now)


def _make_rows(
    request: TokenRequest,
    grant: TokenGrant,
    answer: dict[str, Any],
    access: AccessToken,
    authorization: Authorization,
    is_reference: bool,
) -> tuple[Token, ...]:
    """Complete the response, and return the row of both tokens, if any.

    The client receives a refresh token if the grant and its registration allow it. A self-contained token without a
    refresh token needs no row.
    """
    server, refresh_key, refresh_expires_at = request.server, None, None
    if access.scope:
        # "the authorization server MUST include the "scope" response parameter" if it differs, section 3.3
        answer["scope"] = " ".join(access.scope)
    if authorization.context.authorization_details:
        # "MUST also return the authorization_details as granted by the resource owner and assigned to the respective
        # access token", RFC 9396 7
        answer["authorization_details"] = list(authorization.context.details)
    grant_types, offered = request.client.grant_types, server.capabilities.grants
    if grant.refresh and "refresh_token" in grant_types and "refresh_token" in offered:
        # both values have the same timestamp, so that a table that is partitioned by time finds the row by either
        prefix = server.settings.token_prefixes["refresh_token"]
        answer["refresh_token"], refresh_key = values.generate(prefix, int(request.now * 1000).to_bytes(6, "big"))
        refresh_expires_at = access.issued_at + server.settings.refresh_token_lifetime
    elif not is_reference and not server.saves_every_token:
        return ()
    return (
        Token(
            access=access,
            authorization=authorization,
            refresh_token_hash=refresh_key,
            refresh_expires_at=refresh_expires_at,
            parent=grant.spend.access.token_hash if isinstance(grant.spend, Token) else None,
        ),
    )
