"""Between grants and tokens: a token request, and what a grant decided about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from .. import addresses, scopes, values
from ..checks import resource as resource_check
from ..checks import scope as scope_check
from ..context import EMPTY, Context
from ..http.messages import Params, Request
from ..record import record
from ..records import Authorization, Claims, Client, Grant, Token, identify
from ..scopes import Scope
from ..server import AuthorizationServer
from .bindings import NO_PROOF, Proof

ITSELF = object()
"""In place of a user: the client acts for itself."""


@record(frozen=True, slots=True)
class TokenRequest:
    """A token request of a client that has authenticated."""

    request: Request
    form: Params
    client: Client
    server: AuthorizationServer
    now: float
    proof: Proof = NO_PROOF
    """What the request has proved about the holder of the tokens."""

    def authorization(
        self, user_id: object = ITSELF, scope: Scope | str | None = None, claims: Claims | None = None
    ) -> Authorization:
        """Return a new authorization of a user, or of the client itself, for this client.

        It is for the protected resources that the request names, or else for those of its scope.

        :param user_id: the user or the ID of the user; leave it out if the client acts for itself. None raises
            :exc:`TypeError`.
        :param scope: in place of the requested scope; it may go beyond what the client is registered for.
        :param claims: facts to save with the authorization, as JSON values.
        """
        if scope is None:
            allowed = scope_check.read(self.form, self.client, self.server.settings)
        else:
            allowed = scopes.parse_option(scope)
        resource: tuple[str, ...] = ()
        if self.server.described:
            resource = resource_check.read(
                self.form, allowed, addresses.find_resources(self.server, self.request.mount)
            )
        return Authorization(
            id=values.new_authorization_id(max(self.now, self.server.last_revocation.first_moment)),
            client_id=self.client.client_id,
            user_id=None if user_id is ITSELF else identify(user_id),
            scope=allowed,
            context=Context(claims=claims or {}, resource=resource) if claims or resource else EMPTY,
        )


@record(frozen=True, slots=True)
class TokenGrant:
    """The result of a grant: what may be issued, and what is consumed for it.

    :param authorization: what the user (or the client itself) has authorized.
    :param spend: the code or refresh token that is consumed.
    :param refresh: whether a refresh token may be issued as well, if the client has that grant type.
    :param scope: the scope of the access token, if it is narrower than that of the authorization.
    :param lifetime: the lifetime of the access token in seconds; ``OAUTH2_ACCESS_TOKEN_LIFETIME`` is the maximum.
    :param format: the name of the token format, in place of that of the client or of the settings.
    :param answer: further members of the token response.
    :param confirmation: what the credential is bound to: the request must prove possession of it.
    """

    authorization: Authorization
    spend: Grant | Token | None = None
    refresh: bool = False
    scope: Scope | None = None
    lifetime: int | None = None
    format: str | None = None
    answer: Mapping[str, Any] = field(default_factory=dict)
    confirmation: Claims | None = None
