"""The refresh token grant, :rfc:`6749#section-6`, with rotation, :rfc:`9700#section-4.14.2`."""

from __future__ import annotations

from .. import scopes
from ..errors import InvalidGrant
from ..tokens.base import TokenGrant, TokenRequest
from ..tokens.read import explain_missing, find_refresh


class RefreshToken:
    """The refresh token grant: consume a refresh token and issue a new pair.

    If a consumed refresh token is used again, the server revokes the authorization with all its tokens.
    """

    name = "refresh_token"

    def authorize(self, request: TokenRequest) -> TokenGrant:
        """Return the grant of a refresh token. Raise :exc:`InvalidGrant` if it is not valid for this client.

        The request may narrow the scope of the access token. The new refresh token has the scope of the old one.
        """
        value = request.form.require("refresh_token")
        token = find_refresh(request.server, value, request.now)
        if token is None or token.refresh_expires_at is None:
            received, hint = explain_missing(request.server, value, "refresh_token")
            raise InvalidGrant(
                "the refresh token is unknown, revoked or too old", rule="rfc6749 6", received=received, hint=hint
            )
        # "The authorization server MUST verify the binding between the refresh token and client identity", 10.4
        authorization = token.authorization
        if authorization.client_id != request.client.client_id:
            raise InvalidGrant(
                "the refresh token was issued to another client",
                rule="rfc6749 6",
                received=f"a refresh token of client {authorization.client_id}",
                hint="let each client store its own tokens and send only these",
            )
        if token.used_at is None and token.refresh_expires_at <= request.now:
            raise InvalidGrant(
                "the refresh token has expired",
                rule="rfc9700 4.14.2",
                hint="let the user authorize the client again, or increase OAUTH2_REFRESH_TOKEN_LIFETIME",
            )
        requested = request.form.get("scope")
        scope = None
        if requested is not None and requested.strip(" "):
            # "MUST NOT include any scope not originally granted by the resource owner", section 6
            drops_others = request.client.is_self_registered
            scope = scopes.narrow(requested, authorization.scope, drops_others=drops_others)
        # for public clients "the refresh token MUST be bound to the respective public key", RFC 9449 5; confidential
        # clients authenticate instead
        confirmation = token.access.confirmation
        if confirmation and not request.client.is_public:
            confirmation = None
        return TokenGrant(authorization, spend=token, refresh=True, scope=scope, confirmation=confirmation)
