"""Between rows and records: what the columns of :mod:`.schema` hold."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from ...context import EMPTY, dump_context, load_context
from ...records import AccessToken, Authorization, Client, Consent, Grant, Token


@lru_cache(maxsize=1024)
def read_client(row: tuple[Any, ...]) -> Client:
    """The client of a row; the same row is the same client, so its JSON is read once."""
    (
        client_id,
        name,
        secret,
        auth_method,
        application_type,
        redirect_uris,
        grant_types,
        response_types,
        scope,
    ) = row[:9]
    (token_format, pkce_required, resource_server, metadata, created_at) = row[9:14]
    (registered_by, owner_id, registration_key, expires_at, withheld) = row[14:]
    return Client(
        client_id=client_id,
        name=name,
        secret=secret,
        auth_method=auth_method,
        application_type=application_type,
        redirect_uris=tuple(json.loads(redirect_uris)),
        grant_types=tuple(json.loads(grant_types)),
        response_types=tuple(json.loads(response_types)),
        scope=tuple(scope.split()),
        token_format=token_format,
        pkce_required=None if pkce_required is None else bool(pkce_required),
        resource_server=bool(resource_server),
        metadata=json.loads(metadata) if metadata else {},
        created_at=created_at,
        registered_by=registered_by,
        owner_id=owner_id,
        registration_key=registration_key and bytes(registration_key),
        expires_at=expires_at,
        withheld={name: tuple(words) for name, words in json.loads(withheld).items()} if withheld else {},
    )


def write_client(client: Client) -> dict[str, Any]:
    """The row of a client."""
    return {
        "client_id": client.client_id,
        "name": client.name,
        "secret": client.secret,
        "auth_method": client.auth_method,
        "application_type": client.application_type,
        "redirect_uris": json.dumps(client.redirect_uris),
        "grant_types": json.dumps(client.grant_types),
        "response_types": json.dumps(client.response_types),
        "scope": " ".join(client.scope),
        "token_format": client.token_format,
        "pkce_required": client.pkce_required,
        "resource_server": client.resource_server,
        "client_metadata": json.dumps(dict(client.metadata)),
        "created_at": client.created_at,
        "registered_by": client.registered_by,
        "owner_id": client.owner_id,
        "registration_key": client.registration_key,
        "expires_at": client.expires_at,
        "withheld": json.dumps(dict(client.withheld)) if client.withheld else None,
    }


def read_grant(row: Any, key: bytes, kind: str) -> Grant:
    """The grant of a row."""
    (family, consent_id, client_id, user_id, scope, context, redirect_uri, challenge, parameters) = row[:9]
    (expires_at, used_at, user_code_key, is_denied, interval, polled_at) = row[9:]
    authorization = None
    if family is not None:
        authorization = Authorization(
            id=family,
            client_id=client_id,
            user_id=user_id,
            scope=tuple(scope.split()),
            consent_id=consent_id,
            context=EMPTY if context is None else load_context(context),
        )
    return Grant(
        key=key,
        kind=kind,
        authorization=authorization,
        redirect_uri=redirect_uri,
        challenge=challenge,
        parameters=json.loads(parameters) if parameters else {},
        expires_at=expires_at,
        used_at=used_at,
        user_code_key=user_code_key and bytes(user_code_key),
        is_denied=bool(is_denied),
        interval=interval,
        polled_at=polled_at,
    )


def read_access(row: Any, key: bytes) -> AccessToken:
    """The slim view of a row of tokens."""
    family, consent_id, client_id, user_id, scope, context, type_, confirmation, issued_at, expires_at, audience = row
    about = EMPTY if context is None else load_context(context)
    return AccessToken(
        key=key,
        authorization_id=family,
        client_id=client_id,
        user_id=user_id,
        scope=tuple(scope.split()),
        type=type_,
        confirmation=json.loads(confirmation) if confirmation else None,
        issued_at=issued_at,
        expires_at=expires_at,
        consent_id=consent_id,
        audience=about.resource if audience is None else tuple(audience.split()),
        context=about,
    )


def read_token(row: Any, refresh_key: bytes) -> Token:
    """The token of a row."""
    (access_key, parent, family, consent_id, client_id, user_id, scope, access_scope, context, type_, confirmation) = (
        row[:11]
    )
    (issued_at, expires_at, refresh_expires_at, used_at, audience) = row[11:]
    authorization = Authorization(
        id=family,
        client_id=client_id,
        user_id=user_id,
        scope=tuple(scope.split()),
        consent_id=consent_id,
        context=EMPTY if context is None else load_context(context),
    )
    return Token(
        access=AccessToken(
            key=bytes(access_key),
            authorization_id=family,
            client_id=client_id,
            user_id=user_id,
            scope=authorization.scope if access_scope is None else tuple(access_scope.split()),
            type=type_,
            confirmation=json.loads(confirmation) if confirmation else None,
            issued_at=issued_at,
            expires_at=expires_at,
            consent_id=consent_id,
            audience=authorization.context.resource if audience is None else tuple(audience.split()),
            context=authorization.context,
        ),
        authorization=authorization,
        refresh_key=refresh_key,
        refresh_expires_at=refresh_expires_at,
        parent=parent and bytes(parent),
        used_at=used_at,
    )


def write_token(token: Token) -> dict[str, Any]:
    """The row of a token."""
    access, authorization = token.access, token.authorization
    return {
        "access_key": access.key,
        "refresh_key": token.refresh_key,
        "parent": token.parent,
        "authorization_id": authorization.id,
        "consent_id": authorization.consent_id,
        "client_id": authorization.client_id,
        "user_id": authorization.user_id,
        "scope": " ".join(authorization.scope),
        "access_scope": None if access.scope == authorization.scope else " ".join(access.scope),
        "context": None if authorization.context is EMPTY else dump_context(authorization.context),
        "type": access.type,
        "confirmation": json.dumps(dict(access.confirmation)) if access.confirmation else None,
        "issued_at": access.issued_at,
        "expires_at": access.expires_at,
        "refresh_expires_at": token.refresh_expires_at,
        "used_at": token.used_at,
        "audience": None if access.audience == authorization.context.resource else " ".join(access.audience),
    }


def write_grant(grant: Grant) -> dict[str, Any]:
    """The row of a grant."""
    authorization = grant.authorization
    return {
        "key": grant.key,
        "kind": grant.kind,
        "authorization_id": authorization and authorization.id,
        "consent_id": authorization and authorization.consent_id,
        "client_id": authorization and authorization.client_id,
        "user_id": authorization and authorization.user_id,
        "scope": authorization and " ".join(authorization.scope),
        "context": dump_context(authorization.context) if authorization else None,
        "redirect_uri": grant.redirect_uri,
        "challenge": grant.challenge,
        "parameters": json.dumps(dict(grant.parameters)) if grant.parameters else None,
        "expires_at": grant.expires_at,
        "used_at": grant.used_at,
        "user_code_key": grant.user_code_key,
        "is_denied": grant.is_denied,
        "interval": grant.interval,
        "polled_at": grant.polled_at,
    }


def read_consent(row: Any, user_id: str) -> Consent:
    """The consent of a row."""
    client_id, consent_id, scope, granted_at, used_at, by_resource = row
    return Consent(
        id=consent_id,
        user_id=user_id,
        client_id=client_id,
        scope=tuple(scope.split()),
        granted_at=granted_at,
        used_at=used_at,
        by_resource={name: tuple(held) for name, held in json.loads(by_resource or "{}").items()},
    )


def write_consent(consent: Consent) -> dict[str, Any]:
    """The row of a consent."""
    return {
        "user_id": consent.user_id,
        "client_id": consent.client_id,
        "id": consent.id,
        "scope": " ".join(consent.scope),
        "granted_at": consent.granted_at,
        "used_at": consent.used_at,
        "by_resource": write_by_resource(consent),
    }


def write_by_resource(consent: Consent) -> str:
    """What was allowed at which resource, always in the same order; empty where all is for none of them."""
    return json.dumps(dict(consent.by_resource), sort_keys=True) if consent.by_resource else ""
