"""The refresh token grant, :rfc:`6749#section-6`, with rotation, :rfc:`9700#section-4.14.2`."""

from __future__ import annotations

from .. import scopes
from ..errors import InvalidGrant
from ..tokens.base import TokenGrant, TokenRequest
from ..tokens.read import explain_missing, find_refresh


class RefreshToken:
    """A refresh token is spent for a new pair. A spent one that comes again ends the family."""

    name = "refresh_token"

    def authorize(self, request: TokenRequest) -> TokenGrant:
        """The access token may be narrower; the new refresh token keeps the scope of the old one."""
        value = request.form.require("refresh_token")
        token = find_refresh(request.server, value, request.now)
        if token is None or token.refresh_expires_at is None:
            received, hint = explain_missing(request.server, value, "refresh_token")
            raise InvalidGrant(
                "the refresh token is unknown, revoked or too old", rule="rfc6749 6", received=received, hint=hint
            )
        authorization = token.authorization
        if authorization.client_id != request.client.client_id:
            raise InvalidGrant(
                "the refresh token was issued to another client",
                rule="rfc6749 6",
                received=f"one of client {authorization.client_id}",
                hint="let each client store its own tokens",
            )
        if token.used_at is None and token.refresh_expires_at <= request.now:
            raise InvalidGrant(
                "the refresh token has expired",
                rule="rfc9700 4.14.2",
                hint="let the user authorize the client again; OAUTH2_REFRESH_TOKEN_LIFETIME sets the lifetime",
            )
        requested = request.form.get("scope")
        scope = None
        if requested is not None and requested.strip(" "):
            drops_others = request.client.is_self_registered
            scope = scopes.narrow(requested, authorization.scope, drops_others=drops_others)
        # "refresh tokens issued to public clients MUST be bound", :rfc:`9449#section-5`; others are by authentication
        confirmation = token.access.confirmation
        if confirmation and not request.client.is_public:
            confirmation = None
        return TokenGrant(authorization, spend=token, refresh=True, scope=scope, confirmation=confirmation)
