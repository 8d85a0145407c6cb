"""The implicit grant, :rfc:`6749#section-4.2`: an access token in the fragment.

:rfc:`9700#section-2.1.2` advises against it, so the server offers it only if ``OAUTH2_GRANT_TYPES`` names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..records import Token
from ..tokens.issue import mint
from .base import Approval, Issue

if TYPE_CHECKING:
    from ..server import Server

DISCOURAGED = (
    "the implicit grant hands access tokens through the browser, where they leak and can be injected "
    "(RFC 9700 section 2.1.2); use authorization_code with PKCE"
)


class ImplicitToken:
    """The response type ``token``: an access token and no refresh token, section 4.2.2."""

    name = "token"
    grant_type = "implicit"
    mode = "fragment"

    def respond(
        self, server: Server, approval: Approval, answer: Mapping[str, str]
    ) -> tuple[Mapping[str, str], tuple[Token, ...]]:
        """Return the members of a token response, as text."""
        request, issue = approval.request, Issue(approval.authorization)
        members, _, rows = mint(server, request.http, request.params, request.client, issue, approval.now)
        # "The authorization server MUST NOT issue a refresh token": Issue.refresh is false
        return {name: str(value) for name, value in members.items()}, rows
