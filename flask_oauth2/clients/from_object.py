"""An application's own client, such as a row, a dataclass or a dict, converted once into a :class:`.records.Client`.

The attributes have the names of :class:`~flask_oauth2.records.Client`, of :rfc:`7591#section-2`, or of flask-oauthlib
and Authlib, in this order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..errors import ConfigurationError
from ..http import redirects
from ..records import Client, find, seconds, split_values
from . import metadata
from .secrets import digest_secret
from .validators import LONGEST_NAME
from .value_types import EMPTY

DEFAULT_GRANT_TYPES = ("authorization_code", "password", "client_credentials", "refresh_token")
"""The grant types of a client that names none, as far as the provider offers them."""

_DEFAULT_PUBLIC_GRANT_TYPES = ("authorization_code", "refresh_token")


def read_client(found: Any, client_id: str) -> Client | None:
    """Return the record of the object that a ``clientgetter`` returned for ``client_id``; None for another client.

    Raises :exc:`ConfigurationError`, with the name of the attribute, for an object that lacks a necessary one.
    """
    own_id = find(found, "client_id")
    if own_id is None:
        raise _lacks(found, "client_id")
    if str(own_id) != client_id:  # such as an ID in other case, which the database considers the same
        return None
    if isinstance(found, Client):
        return _harmless(found)
    auth_method = _auth_method(found)
    grant_types = _grant_types(found, auth_method)
    client = Client(
        client_id=client_id,
        name=str(find(found, "name", "client_name") or ""),
        secret=None if auth_method == "none" else _secret(found),
        auth_method=auth_method,
        application_type=find(found, "application_type") or "web",
        redirect_uris=split_values(find(found, "redirect_uris")),
        grant_types=grant_types,
        response_types=_response_types(found, grant_types),
        scope=tuple(
            dict.fromkeys((*split_values(find(found, "scope", "scopes")), *split_values(find(found, "default_scopes"))))
        ),
        token_format=find(found, "token_format"),
        pkce_required=find(found, "pkce_required"),
        resource_server=bool(find(found, "resource_server")),
        metadata={member.name: find(found, member.name) for member in metadata.json_members()},
        created_at=_created_at(found),
    )
    return _harmless(client)


def _harmless(client: Client) -> Client:
    """Return the client without unverified values that pages would show or follow."""
    name = "".join(filter(str.isprintable, client.name))[:LONGEST_NAME].strip()
    further = dict(client.metadata)
    for member in metadata.json_members():
        if member.name in further:
            value = member.type.salvage(further.pop(member.name), is_bounded=False)
            if value not in EMPTY:
                further[member.name] = value
    redirect_uris = tuple(filter(redirects.is_harmless, client.redirect_uris))
    return replace(client, name=name, metadata=further, redirect_uris=redirect_uris)


def _grant_types(found: Any, auth_method: str) -> tuple[str, ...]:
    default = _DEFAULT_PUBLIC_GRANT_TYPES if auth_method == "none" else DEFAULT_GRANT_TYPES
    grant_types = split_values(find(found, "grant_types", "allowed_grant_types")) or default
    if "authorization_code" in grant_types and find(found, "redirect_uris") is None:
        raise _lacks(found, "redirect_uris")
    return grant_types


def _response_types(found: Any, grant_types: tuple[str, ...]) -> tuple[str, ...]:
    response_types = find(found, "response_types", "allowed_response_types")
    if response_types is None:
        by_grant = {"authorization_code": "code", "implicit": "token"}
        return tuple(name for grant_type, name in by_grant.items() if grant_type in grant_types)
    return tuple(response_types.splitlines() if isinstance(response_types, str) else response_types)


def _created_at(found: Any) -> int:
    try:
        return seconds(find(found, "created_at", "client_id_issued_at")) or 0
    except (TypeError, ValueError):
        raise ConfigurationError("the created_at of a client must be a datetime or seconds since the epoch") from None


def _auth_method(found: Any) -> str:
    named = find(found, "auth_method", "token_endpoint_auth_method")
    if named is not None:
        return str(named)
    is_confidential = find(found, "is_confidential")
    if is_confidential is None:
        kind = find(found, "client_type")
        is_confidential = find(found, "secret", "client_secret") if kind is None else kind == "confidential"
    return "client_secret_basic" if is_confidential else "none"


def _secret(found: Any) -> str | None:
    """Return the hash of the secret, created with :func:`~flask_oauth2.hash_secret` or now from plain text."""
    stored = find(found, "secret")
    if stored is not None:
        return str(stored)
    plain = find(found, "client_secret")
    return digest_secret(str(plain)) if plain else None


def _lacks(found: Any, name: str) -> ConfigurationError:
    kind = "dict" if isinstance(found, Mapping) else type(found).__name__
    return ConfigurationError(f"the clientgetter returned a {kind} without {name}: give it that attribute")
