"""Authlib, whose SQLAlchemy mixins say what the tables hold."""

from __future__ import annotations

import json
from typing import Any

from ..clients import rules
from ..clients.metadata import json_members
from .base import (
    Columns,
    ForeignClient,
    ForeignToken,
    Row,
    Tables,
    Unreadable,
    flag,
    moment,
    require,
    secret,
    text,
    unique,
    word_list,
)


class Authlib:
    """``oauth2_client``, ``oauth2_token`` and ``oauth2_code``; times are seconds since the epoch."""

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
        """The metadata has the names of :rfc:`7591#section-2`."""
        metadata = _read_metadata(row)
        auth_method = metadata.get("token_endpoint_auth_method") or "client_secret_basic"
        response_types = metadata.get("response_types") or ()
        if isinstance(response_types, str):
            response_types = response_types.splitlines()
        notes = []
        if moment(row, "client_secret_expires_at"):
            notes.append("its secret was to expire, which none does here: rotate it when the time comes")
        return ForeignClient(
            client_id=require(row, "client_id"),
            name=text(metadata, "client_name"),
            secret=secret(row) if auth_method in rules.SENT_SECRET_METHODS else None,
            auth_method=str(auth_method),
            redirect_uris=word_list(metadata, "redirect_uris"),
            grant_types=word_list(metadata, "grant_types"),
            response_types=unique("response_types", response_types),
            scope=word_list(metadata, "scope"),
            metadata={one.name: metadata[one.name] for one in json_members() if metadata.get(one.name)},
            created_at=moment(row, "client_id_issued_at"),
            notes=tuple(notes),
        )

    def read_token(self, row: Row) -> ForeignToken:
        """An access token is revoked with its refresh token, but not the other way round; no ``expires_in``: no end."""
        is_refresh_revoked = bool(moment(row, "refresh_token_revoked_at") or flag(row, "revoked"))
        is_access_revoked = bool(is_refresh_revoked or moment(row, "access_token_revoked_at"))
        lifetime, issued_at = moment(row, "expires_in"), moment(row, "issued_at")
        ends_at = (issued_at or 0) + lifetime if lifetime else None
        return ForeignToken(
            client_id=require(row, "client_id"),
            user_id=text(row, "user_id") or None,
            scope=word_list(row, "scope"),
            type=text(row, "token_type"),
            access=require(row, "access_token"),
            access_ends_at=0 if is_access_revoked else ends_at,
            refresh=None if is_refresh_revoked else text(row, "refresh_token") or None,
        )


def _read_metadata(row: Row) -> dict[str, Any]:
    content = row.get("client_metadata") or {}
    if isinstance(content, str):
        try:
            content = json.loads(content)
        except ValueError:
            raise Unreadable("its client_metadata is no JSON") from None
    if not isinstance(content, dict):
        raise Unreadable("its client_metadata is no JSON object")
    return content
