"""From what a grant decided to tokens: the one place where values are minted, credentials spent and rows filed.

All that can refuse comes first; then one call of the store spends and files together.
"""

from __future__ import annotations

from logging import INFO
from typing import TYPE_CHECKING, Any

from .. import signals, values
from ..checks import audience as audience_check
from ..errors import (
    ConfigurationError,
    InvalidClient,
    InvalidGrant,
    InvalidScope,
    UnauthorizedClient,
    update_client,
)
from ..messages import Params, Request
from ..records import AccessToken, Client, Grant, Token
from ..scopes import Scope

if TYPE_CHECKING:
    from ..grants.base import Issue
    from ..server import Server


def issue(
    server: Server, request: Request, params: Params, client: Client, issue: Issue, grant_type: str, now: float
) -> dict[str, Any]:
    """Carry out what a grant decided. The members of the answer, :rfc:`6749#section-5.1`.

    A code that was spent before, and a refresh token that was spent before its grace period, revoke the authorization
    (:rfc:`6749#section-4.1.2`, :rfc:`9700#section-4.14.2`). Both raise :exc:`InvalidGrant`.
    """
    answer, access, filed = mint(server, request, params, client, issue, now)
    settings, authorization = server.settings, issue.authorization
    spend, leeway = issue.spend, 0
    if isinstance(spend, Token) and server.callbacks.tokengetter is None:  # what such an application ended stays so
        leeway = settings.refresh_leeway if client.is_confidential else server.refresh_leeway_public
    owner = {
        "client_id": authorization.client_id,
        "user_id": authorization.user_id,
        "authorization_id": authorization.id,
    }
    if client.expires_at is not None:
        keep(server, client)
    if not server.store.issue(spend, filed, int(now), leeway):
        if isinstance(spend, Grant) and spend.kind == "device_code" and spend.used_at is None:
            raise InvalidGrant("another poll of the device was faster", rule="rfc8628 3.4")
        if isinstance(spend, Token) and abs(now - (spend.used_at or now)) < leeway:
            # a client that repeats itself is no thief: RFC 9700 section 4.14.2 asks for revocation upon reuse after it
            raise InvalidGrant(
                "the refresh token was used a moment ago",
                rule="rfc9700 4.14.2",
                expected="the newest refresh token that the client received",
                came="a repeated refresh, too often or after its result was used",
                cure="let the client refresh once at a time and store the answer; nothing was revoked",
            )
        server.end(authorization.id, now)
        server.tell(signals.refresh_reused if isinstance(spend, Token) else signals.code_replayed, **owner)
        raise InvalidGrant(
            "the code or refresh token was used before, so all tokens of this authorization are revoked",
            rule="rfc9700 4.2.4, 4.14.2",
            came="a replay",
            cure="let the client use each code and refresh token once; the user must authorize it again",
        )
    if signals.token_issued.has_receivers_for(server.sender) or signals.audit.isEnabledFor(INFO):
        token_id = values.text(access.key)
        server.tell(signals.token_issued, **owner, scope=access.scope, token_id=token_id, grant_type=grant_type)
    if isinstance(spend, Token):
        server.note_use(authorization, spend.access.issued_at, now)
    return answer


def _left(scope: Scope, client: Client, spend: Grant | Token) -> Scope:
    """What is given of a scope that was granted before: nothing that the operator has taken from the client since."""
    denied = client.denied.get("scope", ())
    left = tuple(word for word in scope if word not in denied)
    if scope and not left and spend.used_at is None:  # what is spent goes on, as its replay ends the family
        raise InvalidScope(
            "all of the scope was taken from the client",
            came=" ".join(scope),
            cure=f"give it back: {update_client(client.client_id, '--scope SCOPE')}",
        )
    return left


def keep(server: Server, client: Client) -> None:
    """Let a client stay that is about to get its first token. Raises :exc:`InvalidClient` where purge was as fast."""
    if not server.registrations.keep_client(client.client_id):
        raise InvalidClient(
            "the client is gone, as it was not used for long",
            rule="rfc7591 5",
            cure="let the client register again; OAUTH2_UNUSED_CLIENT_LIFETIME sets the time",
        )


def mint(
    server: Server, request: Request, params: Params, client: Client, issue: Issue, now: float
) -> tuple[dict[str, Any], AccessToken, tuple[Token, ...]]:
    """Draw the values: the members of the answer, what the token says, and the rows to file. Changes nothing yet.

    ``params`` are those of the request, which may name the resource that the token is for.
    """
    settings, authorization, issued_at = server.settings, issue.authorization, int(now)
    for token_type in server.offer.token_types.values():
        confirmation = token_type.bind(request, client)
        if confirmation is not None:
            break
    token_format = server.offer.formats.get(issue.format or client.token_format or settings.access_token_format)
    if token_format is None:
        raise UnauthorizedClient(
            "the token format of this client is not offered", expected=", ".join(server.offer.formats)
        )
    lifetime = (
        settings.access_token_lifetime
        if issue.lifetime is None
        else min(issue.lifetime, settings.access_token_lifetime)
    )
    scope = authorization.scope if issue.scope is None else issue.scope
    audience = authorization.context.resource
    if server.described:
        audience, scope = audience_check.choose(params, authorization, scope, server.resources(request.mount))
    if client.denied and issue.spend is not None:
        scope = _left(scope, client, issue.spend)
    fields: dict[str, Any] = {
        "authorization_id": authorization.id,
        "client_id": authorization.client_id,
        "user_id": authorization.user_id,
        "scope": scope,
        "type": token_type.name,
        "issued_at": issued_at,
        "expires_at": issued_at + lifetime,
        "context": authorization.context,
        "confirmation": confirmation or None,
        "consent_id": authorization.consent_id,
        "audience": audience,
    }
    fresh = values.new_id(now)
    access = AccessToken(key=fresh, **fields)
    value, key = token_format.mint(access)
    self_contained = token_format in server.offer.self_contained_formats
    if self_contained is not (key == fresh):
        raise ConfigurationError(
            f"mint() of the token format {token_format.name} returned the wrong key, see TokenFormat"
        )
    if not self_contained:
        access = AccessToken(key=key, **fields)
    answer = {**issue.answer, "access_token": value, "token_type": token_type.name, "expires_in": lifetime}
    if scope:
        answer["scope"] = " ".join(scope)
    refresh_key = refresh_expires_at = None
    if issue.refresh and "refresh_token" in client.grant_types and "refresh_token" in server.offer.grants:
        # both values share their millisecond, so a table that is partitioned by time finds the row by either
        answer["refresh_token"], refresh_key = values.mint(settings.prefixes["refresh_token"], fresh[:6])
        refresh_expires_at = issued_at + settings.refresh_token_lifetime
    if self_contained and refresh_key is None and not server.files_every_token:
        return answer, access, ()
    return (
        answer,
        access,
        (
            Token(
                access=access,
                authorization=authorization,
                refresh_key=refresh_key,
                refresh_expires_at=refresh_expires_at,
                parent=issue.spend.access.key if isinstance(issue.spend, Token) else None,
            ),
        ),
    )
