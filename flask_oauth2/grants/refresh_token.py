"""The refresh token grant, :rfc:`6749#section-6`, with rotation, :rfc:`9700#section-4.14.2`."""

from __future__ import annotations

from .. import scopes
from ..errors import InvalidGrant, InvalidScope, update_client
from ..records import Client
from ..scopes import Scope
from ..tokens.read import find_refresh
from .base import Issue, TokenRequest


class RefreshToken:
    """A refresh token is spent for a new pair. A spent one that comes again ends the family."""

    name = "refresh_token"

    def authorize(self, request: TokenRequest) -> Issue:
        """The access token may be narrower; the new refresh token keeps the scope of the old one.

        What the operator has taken from the client meanwhile is not granted anew.
        """
        token = find_refresh(request.server, request.form.require("refresh_token"), request.now)
        if token is None or token.refresh_expires_at is None:
            raise InvalidGrant("the refresh token is unknown, revoked or too old", rule="rfc6749 6")
        authorization = token.authorization
        if authorization.client_id != request.client.client_id:
            raise InvalidGrant("the refresh token was issued to another client", rule="rfc6749 6")
        if token.used_at is None and token.refresh_expires_at <= request.now:
            raise InvalidGrant("the refresh token has expired", rule="rfc9700 4.14.2")
        scope = authorization.scope
        if request.client.withheld:
            scope = _left(scope, request.client)
        requested = request.form.get("scope")
        if requested is not None:
            scope = scopes.narrow(requested, scope)
        return Issue(authorization, spend=token, refresh=True, scope=scope)


def _left(scope: Scope, client: Client) -> Scope:
    """What was granted without what the operator has taken from the client since."""
    withheld = client.withheld.get("scope", ())
    left = tuple(word for word in scope if word not in withheld)
    if scope and not left:
        raise InvalidScope(
            "all of the scope was taken from the client",
            came=" ".join(scope),
            cure=f"give it back: {update_client(client.client_id, '--scope SCOPE')}",
        )
    return left
