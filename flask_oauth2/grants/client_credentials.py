"""The client credentials grant, :rfc:`6749#section-4.4`: a client acts for itself."""

from __future__ import annotations

from ..errors import UnauthorizedClient
from ..tokens.base import TokenGrant, TokenRequest


class ClientCredentials:
    """A token for a client that authenticated, and no refresh token with it, section 4.4.3."""

    name = "client_credentials"

    def authorize(self, request: TokenRequest) -> TokenGrant:
        """ "The client credentials grant type MUST only be used by confidential clients."."""
        if not request.client.is_confidential:
            raise UnauthorizedClient(
                "only a client that can keep a secret may use this grant",
                rule="rfc6749 4.4",
                received="a public client"
                if request.client.is_public
                else "a native application, as public as its secret",
                hint="register the client with a secret, without --public, or use authorization_code",
            )
        return TokenGrant(request.authorization())
