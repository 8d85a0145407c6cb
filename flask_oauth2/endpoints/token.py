"""The token endpoint, :rfc:`6749#section-3.2`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..clients import authenticate
from ..errors import UnauthorizedClient, UnsupportedGrantType, update_client
from ..grants.base import TokenRequest
from ..messages import NO_STORE, Request, Response
from ..settings import GRANT_TYPES
from ..tokens.issue import issue
from ..users import reject_inactive

if TYPE_CHECKING:
    from ..server import Server


def respond(server: Server, request: Request) -> Response:
    """Who is it, what do they show, what do they get."""
    form, now = request.form, server.clock()
    grant_type = form.require("grant_type")
    client = authenticate(server, request, form, now)
    grant = server.offer.grants.get(grant_type)
    if grant is None:
        raise UnsupportedGrantType(
            "grant_type is not supported",
            expected=f"one of {', '.join(server.offer.grants)}",
            came=grant_type,
            cure="name it in OAUTH2_GRANT_TYPES, if it is to be offered" if grant_type in GRANT_TYPES else None,
        )
    if grant_type not in client.grant_types:
        options = " ".join(f"--grant-type {name}" for name in (*client.grant_types, grant_type))
        raise UnauthorizedClient(
            "the client may not use this grant_type",
            expected=f"one of {', '.join(client.grant_types)}",
            came=grant_type,
            cure=f"name all that it may use: {update_client(client.client_id, options)}",
        )
    decided = grant.authorize(TokenRequest(request, form, client, server, now))
    user_id = decided.authorization.user_id
    if user_id is not None and server.checks_users and not server.is_active(user_id):
        raise reject_inactive(server, decided, now)
    if server.token_handler is not None:
        decided = replace(decided, answer={**decided.answer, **(server.token_handler() or {})})
    return Response(200, issue(server, request, form, client, decided, grant_type, now), NO_STORE)
