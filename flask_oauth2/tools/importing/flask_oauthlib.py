"""flask-oauthlib, whose tables are the application's own and look as its documentation suggests."""

from __future__ import annotations

from .base import Columns, ForeignClient, ForeignToken, Row, Tables, flag, moment, require, secret, text, word_list


class FlaskOAuthlib:
    """``client``, ``token`` and ``grant``; times are naive and mean UTC."""

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
        """A client that is said to be public has no secret here, whatever is in the column."""
        kept, notes = secret(row), []
        is_confidential = flag(row, "is_confidential")
        if is_confidential is None and text(row, "client_type"):
            is_confidential = text(row, "client_type").lower() == "confidential"
        if is_confidential is None:
            is_confidential = kept is not None
            if is_confidential and "is_confidential" in row:
                notes.append("as confidential, since it has a secret and nothing says that it is public")
        elif not is_confidential and kept is not None:
            notes.append(
                "as public, as the row says: a secret that it sends was not looked at there and is refused here"
            )
        return ForeignClient(
            client_id=require(row, "client_id"),
            name=text(row, "name"),
            secret=kept if is_confidential else None,
            auth_method="client_secret_basic" if is_confidential else "none",
            redirect_uris=word_list(row, "redirect_uris"),
            grant_types=word_list(row, "allowed_grant_types") or None,
            response_types=word_list(row, "allowed_response_types"),
            scope=word_list(row, "default_scopes"),
            notes=tuple(notes),
        )

    def read_token(self, row: Row) -> ForeignToken:
        """A refresh token has no end there."""
        return ForeignToken(
            client_id=require(row, "client_id"),
            user_id=text(row, "user_id") or None,
            scope=word_list(row, "scopes"),
            type=text(row, "token_type"),
            access=require(row, "access_token"),
            access_ends_at=moment(row, "expires"),
            refresh=text(row, "refresh_token") or None,
        )
