"""The refresh token grant, :rfc:`6749#section-6`, with rotation, :rfc:`9700#section-4.14.2`."""

from __future__ import annotations

from .. import scopes
from ..errors import InvalidGrant
from ..tokens.read import find_refresh
from .base import Issue, TokenRequest


class RefreshToken:
    """A refresh token is spent for a new pair. A spent one that comes again ends the family."""

    name = "refresh_token"

    def authorize(self, request: TokenRequest) -> Issue:
        """The access token may be narrower; the new refresh token keeps the scope of the old one."""
        token = find_refresh(request.server, request.form.require("refresh_token"), request.now)
        if token is None or token.refresh_expires_at is None:
            raise InvalidGrant("the refresh token is unknown, revoked or too old", rule="rfc6749 6")
        authorization = token.authorization
        if authorization.client_id != request.client.client_id:
            raise InvalidGrant("the refresh token was issued to another client", rule="rfc6749 6")
        if token.used_at is None and token.refresh_expires_at <= request.now:
            raise InvalidGrant("the refresh token has expired", rule="rfc9700 4.14.2")
        requested = request.form.get("scope")
        scope = None
        if requested is not None and requested.strip(" "):
            drops_others = request.client.is_self_registered
            scope = scopes.narrow(requested, authorization.scope, drops_others=drops_others)
        return Issue(authorization, spend=token, refresh=True, scope=scope)
