"""Which web pages may call the endpoints, as browsers ask by CORS: those of clients that have no secret.

A page may call where the origin of a redirect URI of a public client is its own, or ``OAUTH2_BROWSER_ORIGINS`` names
it. No answer allows credentials of the browser. Metadata is for any page to read and needs none of this.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Set
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from .. import uris
from ..errors import TemporarilyUnavailable
from ..messages import Request, Response
from ..records import Client

if TYPE_CHECKING:
    from ..server import Server
    from . import Endpoint

log = logging.getLogger("flask_oauth2")

FRESH = 60
"""Seconds for which the origins of clients are remembered."""

PAUSE = 5
"""Seconds within which unknown origins do not make the clients be read again."""

_ALLOWED_HEADERS = "Authorization, Content-Type, MCP-Protocol-Version"
_EXPOSED_HEADERS = "WWW-Authenticate, Retry-After"
_MOST_AGE = 600


class BrowserOrigins:
    """The origins of public clients, read from the store now and then.

    :param list_clients: all clients; none where they cannot be listed.
    :param named: origins that are allowed whatever clients there are.
    :param clock: seconds that only count up.
    """

    def __init__(
        self,
        list_clients: Callable[[], Iterable[Client]],
        named: Iterable[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._list_clients = list_clients
        self._named = frozenset(named)
        self._clock = clock
        self._lock = Lock()
        self._found: frozenset[str] = frozenset()
        self._read_at = float("-inf")

    def __contains__(self, origin: str) -> bool:
        if origin in self._named:
            return True
        age = self._clock() - self._read_at
        if age > FRESH or (age > PAUSE and not _holds(self._found, origin)):
            self._read()
        return _holds(self._found, origin)

    def _read(self) -> None:
        is_first = self._read_at == float("-inf")
        if self._lock.acquire(blocking=is_first):  # whoever comes meanwhile is answered by what was known
            try:
                self._found = frozenset(origin for client in self._list_clients() for origin in origins_of(client))
                self._read_at = self._clock()
            except TemporarilyUnavailable:  # then those that were known stay
                log.warning("the origins of clients could not be read")
            finally:
                self._lock.release()


def origins_of(client: Client) -> set[str]:
    """The origins of the pages of a client; none of one that has a secret to keep."""
    redirect_uris = client.redirect_uris if client.is_public else ()
    return {uris.web_origin(uri) for uri in redirect_uris if uri.startswith(("https://", "http://"))}


def answer_preflight(server: Server, endpoint: Endpoint, origin: str) -> Response:
    """What a browser asks before it sends a request of a page: an origin that may call is told what it may send."""
    headers = {"Vary": "Origin"} if endpoint.pages == "clients" else {}
    if endpoint.pages == "any" or origin in server.browser_origins:
        headers |= {
            "Access-Control-Allow-Origin": "*" if endpoint.pages == "any" else origin,
            "Access-Control-Allow-Methods": ", ".join(endpoint.methods),
            "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
            "Access-Control-Max-Age": str(_MOST_AGE),
        }
    return Response(204, headers=headers)


def allow(server: Server, request: Request, response: Response, origin: str) -> Response:
    """The same answer, for a page of an allowed origin to read."""
    headers = {**response.headers, "Vary": "Origin"}
    if origin in server.browser_origins or _is_of_client(server, request, origin):
        headers |= {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": _EXPOSED_HEADERS}
    return replace(response, headers=headers)


def _is_of_client(server: Server, request: Request, origin: str) -> bool:
    """Whether the page is one of the client that the request names, where clients cannot be listed."""
    client_id = server.find_claims().get("client_id")
    try:
        client = server.clients.find_known(client_id) if client_id else None
    except TemporarilyUnavailable:
        return False
    return client is not None and _holds(origins_of(client), origin)


def _holds(origins: Set[str], origin: str) -> bool:
    """Whether an origin is among those of redirect URIs, of which those of loopback without a port may have any."""
    return origin in origins or uris.without_port(origin) in origins
