"""Sample records for the tests of stores, with the fields that a test sets."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any, get_type_hints

from .. import values
from ..context import Context
from ..records import AccessToken, Authorization, Claims, Client, Consent, Grant, Session, SigningKey, Token
from ..stores.base import Store

NOW = 1_800_000_000
"""The default time of a test."""

FAR = NOW + 10_000_000
"""The time after which a revocation may be purged."""

_numbers = count(1)


def new_key(now: int = NOW) -> bytes:
    """Return a new key."""
    return values.key(values.new("oat", values.timestamp(now)))


def new_client(**fields: Any) -> Client:
    """Return a client with a value in every field."""
    standard: dict[str, Any] = {
        "client_id": f"client-{next(_numbers)}",
        "name": "Café ☕",
        "secret": "sha256$abc",
        "auth_method": "client_secret_post",
        "application_type": "native",
        "redirect_uris": ("https://client.example/back", "http://127.0.0.1/back?a=b&c=%20"),
        "grant_types": ("authorization_code", "urn:example:grant"),
        "response_types": ("code", "token"),
        "scope": ("read", "write"),
        "token_format": "signed",
        "pkce_required": False,
        "resource_server": True,
        "metadata": {"contacts": ["a@example.com"], "logo_uri": "https://client.example/☕.png"},
        "created_at": NOW,
        "registered_by": "open",
        "owner_id": "ada",
        "registration_key": new_key(),
        "expires_at": NOW + 86400,
        "denied": {"scope": ("admin",), "grant_types": ("password",)},
    }
    return Client(**standard | fields)


def new_spa(*redirect_uris: str, **fields: Any) -> Client:
    """Return a public client with redirect URIs on pages."""
    return new_client(**{"auth_method": "none", "secret": None, "redirect_uris": redirect_uris} | fields)


def new_authorization(**fields: Any) -> Authorization:
    """Return a new authorization."""
    standard: dict[str, Any] = {
        "id": values.new_authorization_id(NOW),
        "client_id": "client",
        "user_id": "user",
        "scope": ("read", "write"),
    }
    return Authorization(**standard | fields)


def new_context(*names: str) -> Context:
    """Return a context with a sample value in each named field."""
    kinds = get_type_hints(Context)
    return Context(**{name: _sample(str(kinds[name])) for name in names})


def _sample(kind: str) -> Any:
    """Return a sample value for a type hint, which JSON must not change."""
    samples = {"tuple[": ("https://a.example/é", "b"), "Mapping[": {"é☕": [1, {"a": None}]}, "int": NOW, "bool": True}
    return next((value for part, value in samples.items() if part in kind), "text é☕")


def new_grant(authorization: Authorization | None = None, **fields: Any) -> Grant:
    """Return an authorization code."""
    standard: dict[str, Any] = {
        "key": new_key(),
        "kind": "code",
        "expires_at": NOW + 60,
        "authorization": authorization or new_authorization(),
    }
    return Grant(**standard | fields)


def new_device(**fields: Any) -> Grant:
    """Return a pending device code."""
    standard: dict[str, Any] = {
        "key": new_key(),
        "kind": "device_code",
        "expires_at": NOW + 600,
        "parameters": {"client_id": "client", "scope": "read write"},
        "user_code_key": new_key()[6:],
        "interval": 5,
    }
    return Grant(**standard | fields)


def new_token(
    authorization: Authorization | None = None,
    *,
    parent: Token | None = None,
    now: int = NOW,
    scope: tuple[str, ...] | None = None,
    confirmation: Claims | None = None,
    **fields: Any,
) -> Token:
    """Return a bearer token with a refresh token, issued for ``parent`` if it is given."""
    if parent is not None:
        authorization = parent.authorization
        fields["parent"] = parent.access.token_hash
    owner = authorization or new_authorization()
    access = AccessToken(
        token_hash=new_key(now),
        authorization_id=owner.id,
        client_id=owner.client_id,
        user_id=owner.user_id,
        scope=owner.scope if scope is None else scope,
        type="Bearer",
        issued_at=now,
        expires_at=now + 3600,
        context=owner.context,
        confirmation=confirmation,
        consent_id=owner.consent_id,
        audience=owner.context.resource,
    )
    standard: dict[str, Any] = {"refresh_token_hash": new_key(now), "refresh_expires_at": now + 86400 * 30}
    return Token(access=access, authorization=owner, **standard | fields)


def new_consent(**fields: Any) -> Consent:
    """Return the consent of a user."""
    standard: dict[str, Any] = {
        "id": values.new_authorization_id(NOW),
        "user_id": "user",
        "client_id": "client",
        "scope": ("read",),
        "granted_at": NOW,
        "used_at": NOW,
        "by_resource": {"": ("read",), "https://resource.example/mcp": ("read",)},
        "authorization_details": ({"type": "payment", "actions": ["initiate"], "amount": {"value": 1.5}},),
    }
    return Consent(**standard | fields)


def new_signing_key(**fields: Any) -> SigningKey:
    """Return the first key of an algorithm."""
    standard: dict[str, Any] = {
        "id": f"key-{next(_numbers)}",
        "algorithm": "RS256",
        "number": 1,
        "encrypted": b"\x00\xff encrypted",
        "created_at": NOW,
        "activates_at": NOW + 3600,
    }
    return SigningKey(**standard | fields)


def new_session(**fields: Any) -> Session:
    """Return a session that has not ended."""
    standard: dict[str, Any] = {
        "id": f"session-{next(_numbers)}",
        "user_id": "user",
        "auth_time": NOW - 60,
        "created_at": NOW,
        "expires_at": NOW + 86400,
    }
    return Session(**standard | fields)


def save_record(store: Store, record: Any, now: int = NOW) -> Any:
    """Save a record in a store, and return it."""
    assert store.issue(None, [record], now)
    return record


def refreshed(store: Store, parent: Token, now: int = NOW, grace_period: int = 0) -> Token | None:
    """Return the child of a refresh, or None if the refresh token was spent before."""
    child = new_token(parent=parent, now=now)
    return child if store.issue(parent, [child], now, grace_period) else None


def spent(record: Any, now: int = NOW) -> Any:
    """Return a record after it was spent."""
    return replace(record, used_at=now)
