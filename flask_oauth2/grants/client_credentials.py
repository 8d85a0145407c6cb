"""The client credentials grant, :rfc:`6749#section-4.4`: a client acts on its own behalf."""

from __future__ import annotations

from ..errors import UnauthorizedClient
from ..tokens.base import TokenGrant, TokenRequest


class ClientCredentials:
    """The client credentials grant. It issues no refresh token, section 4.4.3."""

    name = "client_credentials"

    def authorize(self, request: TokenRequest) -> TokenGrant:
        """Return the grant of a confidential client. Raise :exc:`UnauthorizedClient` for other clients."""
        # "The client credentials grant type MUST only be used by confidential clients", section 4.4
        if not request.client.is_confidential:
            raise UnauthorizedClient(
                "only confidential clients may use this grant type",
                rule="rfc6749 4.4",
                received="a public client"
                if request.client.is_public
                else "a native client, whose secret is not confidential",
                hint="register the client with a secret, without --public, or use authorization_code",
            )
        return TokenGrant(request.authorization())
