"""The revocation endpoint, :rfc:`7009`. An access token ends alone, a refresh token with its whole family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import values
from ..clients import authenticate
from ..errors import InvalidGrant
from ..messages import NO_STORE, Request, Response
from ..tokens.read import find_access, find_refresh

if TYPE_CHECKING:
    from ..server import Server


def respond(server: Server, request: Request) -> Response:
    """The hint is not needed (section 2.1); what is unknown or ended already is as good as revoked (section 2.2)."""
    form, now = request.form, server.clock()
    client = authenticate(server, request, form, now)
    value = form.require("token")
    prefix = server.settings.prefixes["refresh_token"]
    access = None if value.startswith(f"{prefix}_") else find_access(server, value, now)
    refresh = None if access else find_refresh(server, value, now)
    if access is not None:
        owner, mark = access.client_id, values.text(access.key)
    elif refresh is not None:
        owner, mark = refresh.authorization.client_id, refresh.authorization.id
    else:
        return Response(200, "", NO_STORE)
    if owner != client.client_id:
        raise InvalidGrant("the token was issued to another client", rule="rfc7009 2.1")
    server.end(mark, now)
    return Response(200, "", NO_STORE)
