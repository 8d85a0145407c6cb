"""The implicit grant, :rfc:`6749#section-4.2`: an access token in the fragment.

:rfc:`9700#section-2.1.2` discourages it, so it is disabled unless ``OAUTH2_GRANT_TYPES`` contains it.
"""

from __future__ import annotations

from collections.abc import Mapping
from json import dumps

from ..records import Token
from ..server import AuthorizationServer
from ..tokens.base import TokenGrant, TokenRequest
from ..tokens.issue import generate
from .base import Approval

DISCOURAGED = (
    "The implicit grant sends access tokens through the browser, where they can leak and be injected "
    "(RFC 9700 section 2.1.2). Use authorization_code with PKCE"
)


class ImplicitToken:
    """The response type ``token``: an access token and no refresh token, section 4.2.2."""

    name = "token"
    grant_type = "implicit"
    mode = "fragment"

    def respond(
        self, server: AuthorizationServer, approval: Approval, answer: Mapping[str, str]
    ) -> tuple[Mapping[str, str], tuple[Token, ...]]:
        """Return the members of a token response as strings, and the rows to save."""
        authorized = approval.request
        request = TokenRequest(authorized.http, authorized.params, authorized.client, server, approval.now)
        # "The authorization server MUST NOT issue a refresh token", section 4.2.2: TokenGrant.refresh is false
        members, _, rows = generate(request, TokenGrant(approval.authorization))
        return {name: value if isinstance(value, str) else dumps(value) for name, value in members.items()}, rows
