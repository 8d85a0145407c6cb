"""What a grant is: it turns a credential into a :class:`~.tokens.base.TokenGrant`, and changes nothing.

A flow that begins in the browser has a second half, its response type, in the same file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..messages import Params, Request
from ..records import Authorization, Client, Grant, Token
from ..tokens.base import ITSELF, TokenGrant, TokenRequest

if TYPE_CHECKING:
    from ..server import AuthorizationServer

__all__ = ["ITSELF", "Approval", "GrantType", "ResponseType", "TokenGrant", "TokenRequest"]


class GrantType(Protocol):
    """A grant of the token endpoint."""

    name: str

    def authorize(self, request: TokenRequest) -> TokenGrant:
        """What may be issued for the request. Raises an :exc:`~flask_oauth2.errors.OAuth2Error` to refuse."""
        ...


@dataclass(frozen=True, slots=True)
class Approval:
    """An authorization request that the user allowed."""

    request: Request
    params: Params
    client: Client
    redirect_uri: str
    challenge: str | None
    authorization: Authorization
    now: float
    answer_id: str | None = None
    """Names the answer of the user, so that a form that is sent twice gets one code; None without a form."""


class ResponseType(Protocol):
    """What the authorization endpoint answers with, :rfc:`6749#section-3.1.1`."""

    name: str

    grant_type: str
    """The grant that a client must have to ask for it."""

    mode: str
    """The default response mode: ``query`` or ``fragment``."""

    def respond(
        self, server: AuthorizationServer, approval: Approval, answer: Mapping[str, str]
    ) -> tuple[Mapping[str, str], tuple[Grant | Token, ...]]:
        """Parameters to add to the answer so far, and what is to be filed with them."""
        ...
