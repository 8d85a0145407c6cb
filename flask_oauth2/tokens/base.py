"""The input and the result of a grant: a token request, and the tokens that may be issued for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from .. import addresses, scopes, values
from ..checks import authorization_details as details_check
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
"""The value of ``user_id`` for a client that acts on its own behalf."""


@record(frozen=True, slots=True)
class TokenRequest:
    """A token request of an authenticated client."""

    request: Request
    form: Params
    client: Client
    server: AuthorizationServer
    now: float
    proof: Proof = NO_PROOF
    """The verified proof of possession of the request."""

    def authorization(
        self, user_id: object = ITSELF, scope: Scope | str | None = None, claims: Claims | None = None
    ) -> Authorization:
        """Return a new authorization for this client, by a user or by the client itself.

        It is for the protected resources that the request names or, without any, for those that use its scope. It has
        the ``authorization_details`` of the request if the operator has registered the client for their types.

        :param user_id: the user or the ID of the user. Omit it if the client acts on its own behalf. None raises
            :exc:`TypeError`.
        :param scope: replaces the requested scope. It may exceed the scope that the client is registered for.
        :param claims: JSON values to save with the authorization.
        """
        if scope is None:
            allowed = scope_check.read(self.form, self.client, self.server.settings)
        else:
            allowed = scopes.parse_option(scope)
        resource: tuple[str, ...] = ()
        if self.server.resources:
            resource = resource_check.read(
                self.form, allowed, addresses.find_resources(self.server, self.request.mount)
            )
        user = None if user_id is ITSELF else identify(user_id)
        details: tuple[dict[str, Any], ...] = ()
        if "authorization_details" in self.form.values:
            details = details_check.grant_without_user(self.server, self.form, self.client, user)
        context = EMPTY
        if claims or resource or details:
            context = Context(claims=claims or {}, resource=resource, authorization_details=details)
        return Authorization(
            id=values.new_authorization_id(max(self.now, self.server.last_revocation.first_moment)),
            client_id=self.client.client_id,
            user_id=user,
            scope=allowed,
            context=context,
        )


@record(frozen=True, slots=True)
class TokenGrant:
    """The result of a grant: the tokens that may be issued, and the credential that is consumed for them.

    :param authorization: the authorization by the user or by the client itself.
    :param spend: the code or refresh token that is consumed.
    :param refresh: whether a refresh token may be issued too, if the client has the grant type ``refresh_token``.
    :param scope: the scope of the access token if it is narrower than that of the authorization.
    :param lifetime: the lifetime of the access token in seconds, at most ``OAUTH2_ACCESS_TOKEN_LIFETIME``.
    :param format: the name of the token format. It replaces that of the client and of the settings.
    :param answer: additional members of the token response.
    :param confirmation: the confirmation of the credential. The request must prove possession of its key.
    """

    authorization: Authorization
    spend: Grant | Token | None = None
    refresh: bool = False
    scope: Scope | None = None
    lifetime: int | None = None
    format: str | None = None
    answer: Mapping[str, Any] = field(default_factory=dict)
    confirmation: Claims | None = None
