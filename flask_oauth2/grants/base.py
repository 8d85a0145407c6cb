"""What a grant is: it turns a credential into an :class:`Issue`, and changes nothing.

A flow that begins in the browser has a second half, its response type, in the same file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from .. import scopes, values
from ..checks import audience as audience_check
from ..checks import scope as scope_check
from ..context import EMPTY, Context
from ..messages import Params, Request
from ..records import Authorization, Claims, Client, Grant, Token, identify
from ..scopes import Scope

if TYPE_CHECKING:
    from ..server import Server


ITSELF = object()
"""In place of a user: the client acts for itself."""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A token request whose client is known to be who it says."""

    request: Request
    form: Params
    client: Client
    server: Server
    now: float

    def authorization(
        self, user_id: object = ITSELF, scope: Scope | str | None = None, claims: Claims | None = None
    ) -> Authorization:
        """A new authorization for this client: of a user, or of the client itself.

        :param user_id: the user, or the id; left out where the client acts for itself. None raises :exc:`TypeError`.
        :param scope: in place of the scope that is asked for; it may go beyond what the client is registered for.
        :param claims: what is to be carried along, fit for JSON.

        It is for the protected resources that the request names, or those that its scope is of.
        """
        if scope is None:
            allowed = scope_check.read(self.form, self.client, self.server.settings)
        else:
            allowed = scopes.parse_option(scope)
        resource: tuple[str, ...] = ()
        if self.server.described:
            resource = audience_check.read(self.form, allowed, self.server.resources(self.request.mount))
        return Authorization(
            id=values.new_family(max(self.now, self.server.last_revocation.first_moment)),
            client_id=self.client.client_id,
            user_id=None if user_id is ITSELF else identify(user_id),
            scope=allowed,
            context=Context(claims=claims or {}, resource=resource) if claims or resource else EMPTY,
        )


@dataclass(frozen=True, slots=True)
class Issue:
    """What a grant decided; :mod:`flask_oauth2.tokens.issue` carries it out.

    :param authorization: who let the client do what.
    :param spend: what is used up for it.
    :param refresh: whether a refresh token may go with it, if the client has that grant too.
    :param scope: the scope of the access token, where it is narrower than that of the authorization.
    :param lifetime: seconds that the access token lives, where that is less than ``OAUTH2_ACCESS_TOKEN_LIFETIME``.
    :param format: the name of the token format, in place of the client's or the global one.
    :param answer: further members of the answer.
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
        self, server: Server, approval: Approval, answer: Mapping[str, str]
    ) -> tuple[Mapping[str, str], tuple[Grant | Token, ...]]:
        """Parameters to add to the answer so far, and what is to be filed with them."""
        ...
