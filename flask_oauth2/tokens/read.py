"""From a value back to what it stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import values
from ..records import AccessToken, Token

if TYPE_CHECKING:
    from ..server import Server


def find_access(server: Server, value: str) -> AccessToken | None:
    """The access token of a value, expired or not; None where it is unknown, revoked or altered."""
    prefix = server.settings.prefixes["access_token"]
    if not value.startswith(f"{prefix}_"):
        for token_format in server.self_contained_formats:
            access = token_format.read(value)
            if access is not None:
                marks = access.authorization_id, access.client_id, values.text(access.key)
                return None if server.store.revoked(*marks) else access
    key = values.find_key(value, prefix)
    return None if key is None else server.store.get_access(key)


def find_refresh(server: Server, value: str) -> Token | None:
    """The row of a refresh token, expired and spent ones too; None where it is unknown, revoked or damaged."""
    key = values.find_key(value, server.settings.prefixes["refresh_token"])
    return None if key is None else server.store.get_refresh(key)
