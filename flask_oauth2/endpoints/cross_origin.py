"""CORS: the web pages that may call the endpoints.

A page may call an endpoint if a public client has a redirect URI of the page's origin, or if ``OAUTH2_CORS_ORIGINS``
lists this origin. No response allows browser credentials. Any page may read metadata documents.
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

_ALLOWED_HEADERS = ("Authorization", "Content-Type", "MCP-Protocol-Version")
_EXPOSED_HEADERS = ("WWW-Authenticate", "Retry-After")
_MAX_AGE = 600
"""Seconds for which browsers may cache the response to a preflight request."""


def answer_preflight(server: AuthorizationServer, endpoint: Endpoint, origin: str) -> Response:
    """Return the response to a CORS preflight request. An allowed origin receives the allowed methods and headers."""
    headers = {"Vary": "Origin"} if endpoint.cors == "clients" else {}
    if endpoint.cors == "any" or _may_call(server, origin):
        headers |= {
            "Access-Control-Allow-Origin": "*" if endpoint.cors == "any" else origin,
            "Access-Control-Allow-Methods": ", ".join(endpoint.methods),
            "Access-Control-Allow-Headers": ", ".join((*_ALLOWED_HEADERS, *server.capabilities.request_headers)),
            "Access-Control-Max-Age": str(_MAX_AGE),
        }
    return Response(204, headers=headers)


def allow(server: AuthorizationServer, response: Response, request: Request) -> Response:
    """Return the response with headers that let a page of an allowed origin read it."""
    headers = {**response.headers, "Vary": "Origin"}
    origin = request.headers.get("Origin", "")
    if _may_call(server, origin, request.claims.get("client_id", "")):
        exposed = ", ".join((*_EXPOSED_HEADERS, *server.capabilities.response_headers))
        headers |= {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": exposed}
    return replace(response, headers=headers)


def _may_call(server: AuthorizationServer, origin: str, named: str = "") -> bool:
    """Return whether pages of an origin may call an endpoint. If the store is unavailable, pages of clients may not.

    :param named: the client ID in the request, or an empty string.
    """
    if origin in server.settings.cors_origins:
        return True
    if not redirects.is_web_origin(origin):
        return False
    try:
        return _is_of_client(server, origin, named)
    except TemporarilyUnavailable as error:
        log.warning("Rejected a cross-origin request: the store cannot look up the origin: %s", error)
        return False


def _is_of_client(server: AuthorizationServer, origin: str, named: str) -> bool:
    """Return whether an origin belongs to a public client. Without a look-up in the store, check only ``named``."""
    anywhere = {origin, redirects.without_port(origin)}  # a loopback URI without a port matches any port
    store = server.client_origins
    if store is not None and store.has_origin(*anywhere):
        return True
    if not named:
        return False
    client = lookup.find_known_client(server, named) if store is None else lookup.find_cached_client(server, named)
    return client is not None and not anywhere.isdisjoint(redirects.origins_of(client))
