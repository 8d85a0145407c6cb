"""flask-oauthlib. The application defines its tables, usually as the library's documentation suggests."""

from __future__ import annotations

from .base import (
    Columns,
    ForeignClient,
    ForeignToken,
    Row,
    Tables,
    read_flag,
    read_list,
    read_secret,
    read_text,
    read_time,
    require_text,
)


class FlaskOAuthlib:
    """The tables ``client``, ``token`` and ``grant``. Times are naive and mean UTC."""

    name = "flask-oauthlib"
    tables = Tables("client", "token", "grant")
    required = frozenset({"client_id", "client_secret", "access_token"})
    client_columns: Columns = {
        "client_id": ("client_id",),
        "client_secret": ("client_secret", "_client_secret"),
        "name": ("name", "client_name"),
        "is_confidential": ("is_confidential", "_is_confidential"),
        "client_type": ("client_type", "_client_type"),
        "redirect_uris": ("_redirect_uris", "redirect_uris"),
        "default_scopes": ("_default_scopes", "default_scopes", "_scopes", "scopes"),
        "allowed_grant_types": ("allowed_grant_types", "_allowed_grant_types", "grant_types", "_grant_types"),
        "allowed_response_types": ("allowed_response_types", "_allowed_response_types", "response_types"),
    }
    token_columns: Columns = {
        "client_id": ("client_id",),
        "user_id": ("user_id",),
        "token_type": ("token_type",),
        "access_token": ("access_token", "_access_token"),
        "refresh_token": ("refresh_token", "_refresh_token"),
        "expires": ("expires", "_expires", "expires_at"),
        "scopes": ("_scopes", "scopes", "scope"),
    }

    def read_client(self, row: Row) -> ForeignClient:
        """Read the client of a row. A public client gets no secret, even if the column has one."""
        stored_secret, notes = read_secret(row), []
        is_confidential = read_flag(row, "is_confidential")
        if is_confidential is None and read_text(row, "client_type"):
            is_confidential = read_text(row, "client_type").lower() == "confidential"
        if is_confidential is None:
            is_confidential = stored_secret is not None
            if is_confidential and "is_confidential" in row:
                notes.append("as confidential, because it has a secret and the row does not mark it as public")
        elif not is_confidential and stored_secret is not None:
            notes.append(
                "as public, because the row says so: flask-oauthlib ignored the client's secret, and this "
                "provider rejects it"
            )
        return ForeignClient(
            client_id=require_text(row, "client_id"),
            name=read_text(row, "name"),
            secret=stored_secret if is_confidential else None,
            auth_method="client_secret_basic" if is_confidential else "none",
            redirect_uris=read_list(row, "redirect_uris"),
            grant_types=read_list(row, "allowed_grant_types") or None,
            response_types=read_list(row, "allowed_response_types"),
            scope=read_list(row, "default_scopes"),
            notes=tuple(notes),
        )

    def read_token(self, row: Row) -> ForeignToken:
        """Read the token of a row. Refresh tokens of flask-oauthlib do not expire."""
        return ForeignToken(
            client_id=require_text(row, "client_id"),
            user_id=read_text(row, "user_id") or None,
            scope=read_list(row, "scopes"),
            type=read_text(row, "token_type"),
            access=require_text(row, "access_token"),
            access_ends_at=read_time(row, "expires"),
            refresh=read_text(row, "refresh_token") or None,
        )
