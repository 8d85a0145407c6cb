"""The revocation endpoint, :rfc:`7009`. An access token ends alone, a refresh token with its whole family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import values
from ..clients import authenticate
from ..errors import InvalidGrant
from ..messages import NO_STORE, Request, Response
from ..records import Token
from ..tokens.read import find_token

if TYPE_CHECKING:
    from ..server import Server


def respond(server: Server, request: Request) -> Response:
    """The hint is not needed (section 2.1); what is unknown or ended already is as good as revoked (section 2.2)."""
    form, now = request.form, server.clock()
    client = authenticate(server, request, form, now)
    found = find_token(server, form.require("token"), now)
    if found is None:
        return Response(200, "", NO_STORE)
    if isinstance(found, Token):
        owner, mark = found.authorization.client_id, found.authorization.id
    else:
        owner, mark = found.client_id, values.text(found.key)
    if owner != client.client_id:
        raise InvalidGrant("the token was issued to another client", rule="rfc7009 2.1")
    server.end(mark, now)
    return Response(200, "", NO_STORE)
