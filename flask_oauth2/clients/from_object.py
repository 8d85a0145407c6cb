"""An application's own client, whatever it is (a row, a dataclass, a dict), turned once into our record.

It is read by the names of :class:`~flask_oauth2.records.Client`, of :rfc:`7591#section-2`, and of flask-oauthlib and
Authlib, in this order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .. import uris
from ..errors import ConfigurationError
from ..records import Client, find, seconds, words
from .rules import PAGES
from .secrets import digest_secret
from .validators import LONGEST_NAME, is_page

DEFAULT_GRANT_TYPES = ("authorization_code", "password", "client_credentials", "refresh_token")
"""Those of a client that names none, as far as the provider offers them."""

_DEFAULT_PUBLIC_GRANT_TYPES = ("authorization_code", "refresh_token")


def read_client(found: Any, client_id: str) -> Client | None:
    """The record of what a ``clientgetter`` returned for ``client_id``; None where it returned another client.

    Raises :exc:`ConfigurationError`, with the name of the attribute, for an object that lacks one that is needed.
    """
    own_id = find(found, "client_id")
    if own_id is None:
        raise _lacks(found, "client_id")
    if str(own_id) != client_id:  # such as one in other case, where the database takes the two for the same
        return None
    if isinstance(found, Client):
        return _harmless(found)
    auth_method = _auth_method(found)
    secret = None if auth_method == "none" else _secret(found)
    grant_types = words(find(found, "grant_types", "allowed_grant_types")) or (
        _DEFAULT_PUBLIC_GRANT_TYPES if auth_method == "none" else DEFAULT_GRANT_TYPES
    )
    if "authorization_code" in grant_types and find(found, "redirect_uris") is None:
        raise _lacks(found, "redirect_uris")
    response_types = find(found, "response_types", "allowed_response_types")
    if response_types is None:
        response_types = [
            name
            for name, grant_type in (("code", "authorization_code"), ("token", "implicit"))
            if grant_type in grant_types
        ]
    client = Client(
        client_id=client_id,
        name=str(find(found, "name", "client_name") or ""),
        secret=secret,
        auth_method=auth_method,
        application_type=find(found, "application_type") or "web",
        redirect_uris=words(find(found, "redirect_uris")),
        grant_types=grant_types,
        response_types=tuple(response_types.splitlines() if isinstance(response_types, str) else response_types),
        scope=tuple(dict.fromkeys((*words(find(found, "scope", "scopes")), *words(find(found, "default_scopes"))))),
        token_format=find(found, "token_format"),
        pkce_required=find(found, "pkce_required"),
        resource_server=bool(find(found, "resource_server")),
        metadata={page: find(found, page) for page in PAGES},
        created_at=_created_at(found),
    )
    return _harmless(client)


def _harmless(client: Client) -> Client:
    """The client without what nobody has checked and people would see or follow."""
    name = "".join(filter(str.isprintable, client.name))[:LONGEST_NAME].strip()
    metadata = {name: value for name, value in client.metadata.items() if name not in PAGES or is_page(value)}
    redirect_uris = tuple(filter(uris.is_harmless, client.redirect_uris))
    return replace(client, name=name, metadata=metadata, redirect_uris=redirect_uris)


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
    """What is kept of the secret, as :func:`~flask_oauth2.hash_secret` made it, or made now of one in plain text."""
    kept = find(found, "secret")
    if kept is not None:
        return str(kept)
    plain = find(found, "client_secret")
    return digest_secret(str(plain)) if plain else None


def _lacks(found: Any, name: str) -> ConfigurationError:
    kind = "dict" if isinstance(found, Mapping) else type(found).__name__
    return ConfigurationError(f"the clientgetter returned a {kind} without {name}: give it that attribute")
