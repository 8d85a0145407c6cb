"""The implicit grant, :rfc:`6749#section-4.2`: an access token in the fragment. :rfc:`9700#section-2.1.2` advises
against it, so it is there only where ``OAUTH2_GRANT_TYPES`` names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..records import Token
from ..tokens.base import TokenGrant, TokenRequest
from ..tokens.issue import generate
from .base import Approval

if TYPE_CHECKING:
    from ..server import AuthorizationServer

DISCOURAGED = (
    "the implicit grant hands access tokens through the browser, where they leak and can be injected "
    "(RFC 9700 section 2.1.2); use authorization_code with PKCE"
)


class ImplicitToken:
    """An answer with an access token and no refresh token, section 4.2.2."""

    name = "token"
    grant_type = "implicit"
    mode = "fragment"

    def respond(
        self, server: AuthorizationServer, approval: Approval, answer: Mapping[str, str]
    ) -> tuple[Mapping[str, str], tuple[Token, ...]]:
        """The members of a token answer, as text."""
        request = TokenRequest(approval.request, approval.params, approval.client, server, approval.now)
        members, _, filed = generate(request, TokenGrant(approval.authorization))
        return {name: str(value) for name, value in members.items()}, filed
