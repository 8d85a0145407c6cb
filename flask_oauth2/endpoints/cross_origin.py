"""Which web pages may call the endpoints, as browsers ask by CORS: those of clients that have no secret.

A page may call where the origin of a redirect URI of a public client is its own, or ``OAUTH2_CORS_ORIGINS`` names
it. No answer allows credentials of the browser. Metadata is for any page to read and needs none of this.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from ..clients import lookup
from ..errors import TemporarilyUnavailable
from ..http import redirects
from ..http.messages import Request, Response
from ..server import AuthorizationServer

if TYPE_CHECKING:
    from .base import Endpoint

log = logging.getLogger("flask_oauth2")

_ALLOWED_HEADERS = "Authorization, Content-Type, MCP-Protocol-Version"
_EXPOSED_HEADERS = "WWW-Authenticate, Retry-After"
_MOST_AGE = 600


def answer_preflight(server: AuthorizationServer, endpoint: Endpoint, origin: str) -> Response:
    """What a browser asks before it sends a request of a page: an origin that may call is told what it may send."""
    headers = {"Vary": "Origin"} if endpoint.cors == "clients" else {}
    if endpoint.cors == "any" or _may_call(server, origin):
        headers |= {
            "Access-Control-Allow-Origin": "*" if endpoint.cors == "any" else origin,
            "Access-Control-Allow-Methods": ", ".join(endpoint.methods),
            "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
            "Access-Control-Max-Age": str(_MOST_AGE),
        }
    return Response(204, headers=headers)


def allow(server: AuthorizationServer, response: Response, request: Request) -> Response:
    """The same answer, for a page of an allowed origin to read."""
    headers = {**response.headers, "Vary": "Origin"}
    origin = request.headers.get("Origin", "")
    if _may_call(server, origin, request.claims.get("client_id", "")):
        headers |= {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": _EXPOSED_HEADERS}
    return replace(response, headers=headers)


def _may_call(server: AuthorizationServer, origin: str, named: str = "") -> bool:
    """Whether pages of an origin may; none of a client while the store is away.

    :param named: the client that the request names, where it names one.
    """
    if origin in server.settings.cors_origins:
        return True
    if not redirects.is_web_origin(origin):
        return False
    try:
        return _is_of_client(server, origin, named)
    except TemporarilyUnavailable as error:
        log.warning("whether pages of an origin may call cannot be looked up: %s", error)
        return False


def _is_of_client(server: AuthorizationServer, origin: str, named: str) -> bool:
    """Whether the page is one of any client, or of the one that is named where no store knows of others."""
    anywhere = {origin, redirects.without_port(origin)}  # a loopback URI without a port stands for those with any
    store = server.client_origins
    if store is not None and store.has_origin(*anywhere):
        return True
    if not named:
        return False
    client = lookup.find_known_client(server, named) if store is None else lookup.find_cached_client(server, named)
    return client is not None and not anywhere.isdisjoint(redirects.origins_of(client))
