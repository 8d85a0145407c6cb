"""The protocols of grants and response types.

A grant returns a :class:`~.tokens.base.TokenGrant` for a credential, without changes to the store. A flow that begins
in the browser also has a response type, in the module of its grant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ..checks.request import AuthorizationRequest
from ..record import record
from ..records import Authorization, Grant, Token
from ..server import AuthorizationServer
from ..tokens.base import TokenGrant, TokenRequest


class GrantType(Protocol):
    """A grant of the token endpoint."""

    name: str

    def authorize(self, request: TokenRequest) -> TokenGrant:
        """Return the tokens to issue. Raise an :exc:`~flask_oauth2.errors.OAuth2Error` to reject the request."""
        ...


@record(frozen=True, slots=True)
class Approval:
    """An authorization request that the user has allowed."""

    request: AuthorizationRequest
    authorization: Authorization
    now: float
    answer_id: str | None = None
    """The random ID of the form that the user submitted. A form that is submitted twice yields one code."""


class ResponseType(Protocol):
    """A response type of the authorization endpoint, :rfc:`6749#section-3.1.1`."""

    name: str

    grant_type: str
    """The grant type that a client must be registered for."""

    mode: str
    """The default response mode: ``query`` or ``fragment``."""

    def respond(
        self, server: AuthorizationServer, approval: Approval, answer: Mapping[str, str]
    ) -> tuple[Mapping[str, str], tuple[Grant | Token, ...]]:
        """Return the parameters to add to the response, and the rows to save.

        :param answer: the parameters that earlier response types have added.
        """
        ...
