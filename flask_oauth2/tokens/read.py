"""From a value back to what it stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import values
from ..records import AccessToken, Token
from ..stores.base import Store
from ..stores.replica import TokenReader

if TYPE_CHECKING:
    from ..server import Server
    from .cache import TokenCache


def find_access(server: Server, value: str, now: float, store: TokenReader | None = None) -> AccessToken | None:
    """The access token of a value, expired or not; None where it is unknown, revoked, altered or too old.

    Too old is what was issued under longer lifetimes than today's: marks are kept for as long as today's need.
    """
    access = _read_access(server, value, store or server.store)
    return access if access and access.issued_at + server.longest_lifetime > now else None


def find_for_cache(server: Server, cache: TokenCache, value: str, now: float) -> AccessToken | None:
    """The same for a guard, which remembers it."""
    asked_at = cache.clock()
    access = find_access(server, value, now, server.opening.guards_read)
    if access is None or cache.has_ended(access):  # which a replica, or who read before, does not know yet
        return None
    cache.put(value, access, asked_at)
    return access


def _read_access(server: Server, value: str, store: TokenReader) -> AccessToken | None:
    prefix = server.settings.prefixes["access_token"]
    if not value.startswith(f"{prefix}_"):
        for token_format in server.offer.self_contained_formats:
            access = token_format.read(value)
            if access is not None:
                if server.files_every_token:
                    return store.get_access(access.key)
                marks = access.authorization_id, access.client_id, values.text(access.key), access.consent_id
                user = None if access.user_id is None else (access.user_id, access.authorization_id)
                return None if store.revoked(*filter(None, marks), user=user) else access
    key = values.find_key(value, prefix)
    return None if key is None else store.get_access(key)


def find_refresh(server: Server, value: str, now: float, store: Store | None = None) -> Token | None:
    """The row of a refresh token, expired and spent ones too; None as for access tokens."""
    key = values.find_key(value, server.settings.prefixes["refresh_token"])
    token = None if key is None else (store or server.store).get_refresh(key)
    return token if token and token.access.issued_at + server.longest_lifetime > now else None


def find_token(server: Server, value: str, now: float, store: Store | None = None) -> AccessToken | Token | None:
    """Whatever a value is: one with the prefix of refresh tokens is no other, any other may be either.

    ``store`` is where to look, if not in the server's.
    """
    is_refresh = value.startswith(f"{server.settings.prefixes['refresh_token']}_")
    return (None if is_refresh else find_access(server, value, now, store)) or find_refresh(server, value, now, store)
