"""The protocols of grants and response types. A grant turns a credential into an :class:`Issue` and changes nothing.

A flow that begins in the browser also has a response type, in the file of its grant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from .. import scopes, values
from ..checks import resource as resource_check
from ..checks import scope as scope_check
from ..checks.request import AuthorizationRequest
from ..messages import Params, Request
from ..records import Authorization, Claims, Client, Grant, Token, identify
from ..scopes import Scope

if TYPE_CHECKING:
    from ..server import Server


ITSELF = object()
"""Instead of a user: the client acts for itself."""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A token request whose client has authenticated."""

    request: Request
    form: Params
    client: Client
    server: Server
    now: float

    def authorization(
        self, user_id: object = ITSELF, scope: Scope | str | None = None, claims: Claims | None = None
    ) -> Authorization:
        """Return a new authorization of this client, for the protected resources of the request or else of its scope.

        :param user_id: the user or their ID. Leave it out if the client acts for itself. None raises :exc:`TypeError`.
        :param scope: replaces the requested scope. It may have values that the client is not registered for.
        :param claims: facts to save with the authorization, as JSON values.
        """
        if scope is None:
            allowed = scope_check.read(self.form, self.client, self.server.settings)
        else:
            allowed = scopes.parse_option(scope)
        resource: tuple[str, ...] = ()
        if self.server.described:
            resource = resource_check.read(self.form, allowed, self.server.resources(self.request.mount))
        return Authorization(
            id=values.new_family(max(self.now, self.server.last_revocation.first_moment)),
            client_id=self.client.client_id,
            user_id=None if user_id is ITSELF else identify(user_id),
            scope=allowed,
            claims=claims or {},
            resource=resource,
        )


@dataclass(frozen=True, slots=True)
class Issue:
    """The result of a grant. :mod:`flask_oauth2.tokens.issue` issues the tokens.

    :param authorization: the user, the client and the scope.
    :param spend: the code or the refresh token that is consumed.
    :param refresh: whether a refresh token may be issued, if the client is registered for that grant type too.
    :param scope: the scope of the access token, if it is narrower than that of the authorization.
    :param lifetime: seconds until the access token expires, if less than ``OAUTH2_ACCESS_TOKEN_LIFETIME``.
    :param format: the name of the token format, instead of the client's or the global one.
    :param answer: further members of the token response.
    """

    authorization: Authorization
    spend: Grant | Token | None = None
    refresh: bool = False
    scope: Scope | None = None
    lifetime: int | None = None
    format: str | None = None
    answer: Mapping[str, Any] = field(default_factory=dict)


class GrantType(Protocol):
    """A grant of the token endpoint."""

    name: str

    def authorize(self, request: TokenRequest) -> Issue:
        """Return what to issue. Raise an :exc:`~flask_oauth2.errors.OAuth2Error` to reject the request."""
        ...


@dataclass(frozen=True, slots=True)
class Approval:
    """An authorization request that the user has allowed."""

    request: AuthorizationRequest
    authorization: Authorization
    now: float
    answer_id: str | None = None
    """The random ID of the form that the user has sent, so that a form that is sent twice gives one code."""


class ResponseType(Protocol):
    """A part of the answer of the authorization endpoint, :rfc:`6749#section-3.1.1`."""

    name: str

    grant_type: str
    """The grant type that a client must be registered for."""

    mode: str
    """The default response mode: ``query`` or ``fragment``."""

    def respond(
        self, server: Server, approval: Approval, answer: Mapping[str, str]
    ) -> tuple[Mapping[str, str], tuple[Grant | Token, ...]]:
        """Return the parameters that it adds to the ``answer`` so far, and the rows to save with them."""
        ...
