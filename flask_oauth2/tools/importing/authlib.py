"""Authlib. Its SQLAlchemy mixins define the columns of the tables."""

from __future__ import annotations

import json
from typing import Any

from ...clients import rules
from ...clients.metadata import json_members
from .base import (
    Columns,
    ForeignClient,
    ForeignToken,
    Row,
    Tables,
    Unreadable,
    read_flag,
    read_list,
    read_secret,
    read_text,
    read_time,
    require_text,
    unique,
)


class Authlib:
    """The tables ``oauth2_client``, ``oauth2_token`` and ``oauth2_code``. Times are seconds since the epoch."""

    name = "authlib"
    tables = Tables("oauth2_client", "oauth2_token", "oauth2_code")
    required = frozenset({"client_id", "client_secret", "client_metadata", "access_token", "expires_in"})
    client_columns: Columns = {
        "client_id": ("client_id",),
        "client_secret": ("client_secret",),
        "client_id_issued_at": ("client_id_issued_at",),
        "client_secret_expires_at": ("client_secret_expires_at",),
        "client_metadata": ("client_metadata", "_client_metadata"),
    }
    token_columns: Columns = {
        "client_id": ("client_id",),
        "user_id": ("user_id",),
        "token_type": ("token_type",),
        "access_token": ("access_token",),
        "refresh_token": ("refresh_token",),
        "scope": ("scope",),
        "issued_at": ("issued_at",),
        "expires_in": ("expires_in",),
        "access_token_revoked_at": ("access_token_revoked_at",),
        "refresh_token_revoked_at": ("refresh_token_revoked_at",),
        "revoked": ("revoked",),
    }

    def read_client(self, row: Row) -> ForeignClient:
        """Read the client of a row. The metadata has the names of :rfc:`7591#section-2`."""
        metadata = _read_metadata(row)
        auth_method = metadata.get("token_endpoint_auth_method") or "client_secret_basic"
        response_types = metadata.get("response_types") or ()
        if isinstance(response_types, str):
            response_types = response_types.splitlines()
        notes = []
        if read_time(row, "client_secret_expires_at"):
            notes.append(
                "its secret had an expiry time, which this provider does not support: rotate the secret before "
                "that time"
            )
        return ForeignClient(
            client_id=require_text(row, "client_id"),
            name=read_text(metadata, "client_name"),
            secret=read_secret(row) if auth_method in rules.SENT_SECRET_METHODS else None,
            auth_method=str(auth_method),
            redirect_uris=read_list(metadata, "redirect_uris"),
            grant_types=read_list(metadata, "grant_types"),
            response_types=unique("response_types", response_types),
            scope=read_list(metadata, "scope"),
            metadata={one.name: metadata[one.name] for one in json_members() if metadata.get(one.name)},
            created_at=read_time(row, "client_id_issued_at"),
            notes=tuple(notes),
        )

    def read_token(self, row: Row) -> ForeignToken:
        """Read the token of a row.

        A revoked refresh token revokes its access token, but not the reverse. A token without ``expires_in`` does not
        expire.
        """
        is_refresh_revoked = bool(read_time(row, "refresh_token_revoked_at") or read_flag(row, "revoked"))
        is_access_revoked = bool(is_refresh_revoked or read_time(row, "access_token_revoked_at"))
        lifetime, issued_at = read_time(row, "expires_in"), read_time(row, "issued_at")
        ends_at = (issued_at or 0) + lifetime if lifetime else None
        return ForeignToken(
            client_id=require_text(row, "client_id"),
            user_id=read_text(row, "user_id") or None,
            scope=read_list(row, "scope"),
            type=read_text(row, "token_type"),
            access=require_text(row, "access_token"),
            access_ends_at=0 if is_access_revoked else ends_at,
            refresh=None if is_refresh_revoked else read_text(row, "refresh_token") or None,
        )


def _read_metadata(row: Row) -> dict[str, Any]:
    content = row.get("client_metadata") or {}
    if isinstance(content, str):
        try:
            content = json.loads(content)
        except ValueError:
            raise Unreadable("its client_metadata is not JSON") from None
    if not isinstance(content, dict):
        raise Unreadable("its client_metadata is not a JSON object")
    return content
