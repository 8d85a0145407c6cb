"""The revocation endpoint, :rfc:`7009`. Revoking a refresh token also revokes all tokens of its authorization."""

from __future__ import annotations

from logging import INFO

from .. import revocation, signals, values
from ..errors import InvalidGrant
from ..http.messages import NO_STORE, Response
from ..records import Token
from ..tokens.read import find_token
from .base import Call


def respond(call: Call) -> Response:
    """Revoke a token. Raise :exc:`InvalidGrant` if it was issued to another client.

    Ignore ``token_type_hint``, section 2.1. An unknown token yields a successful response, section 2.2. The body is an
    empty JSON object because some clients parse it.
    """
    server, client, now = call.server, call.client, call.now
    # use the extension's own store, because a token that a tokengetter does not find may have valid sibling tokens
    found = find_token(server, call.form.require("token"), now, server.own_store)
    if found is None:
        return Response(200, {}, NO_STORE)
    is_family = isinstance(found, Token)
    access = found.access if isinstance(found, Token) else found
    # verify "whether the token was issued to the client making the revocation request", section 2.1
    if access.client_id != client.client_id:
        raise InvalidGrant(
            "the token was issued to another client", rule="rfc7009 2.1", hint="let each client revoke its own tokens"
        )
    # "If the particular token is a refresh token and the authorization server supports the revocation of access tokens,
    # then the authorization server SHOULD also invalidate all access tokens", section 2.1
    token_id = None if is_family else values.text(access.token_hash)
    revocation.revoke(server, token_id or access.authorization_id, now)
    if server.callbacks.tokengetter is not None:
        server.callbacks.delete_token(found)
    if signals.token_revoked.has_receivers_for(server.events.sender) or signals.audit.isEnabledFor(INFO):
        server.events.emit(
            signals.token_revoked,
            client_id=access.client_id,
            user_id=access.user_id,
            authorization_id=access.authorization_id,
            token_id=token_id,
        )
    return Response(200, {}, NO_STORE)
