"""The JWK set endpoint, :rfc:`7517#section-5`: the public keys that verify what the issuer signs.

The response comes from memory. Other parties may use it for ``SET_LIFETIME`` seconds; the
life cycle of the keys relies on that.
"""

from __future__ import annotations

from functools import lru_cache

from ..http.messages import Response
from ..keys.states import SET_LIFETIME
from .base import Call


def respond(call: Call) -> Response:
    """Return the JWK set, or 304 if the caller has it. Return 404 if nothing signs with keys."""
    if not call.server.capabilities.needs_keys:
        return Response(404)
    published = call.server.keys.find_published(call.now)
    headers = dict(headers_of(published.etag))
    if has_copy(call.request.headers.get("If-None-Match", ""), published.etag):
        return Response(304, headers=headers)
    return Response(200, published.body.decode(), headers)


@lru_cache(1000)
def headers_of(etag: str) -> tuple[tuple[str, str], ...]:
    """Return the headers of a JWK set. It is a public document: the page of any origin may read it."""
    return (
        ("Content-Type", "application/json"),
        ("Cache-Control", f"public, max-age={SET_LIFETIME}"),
        ("ETag", etag),
        ("Access-Control-Allow-Origin", "*"),
    )


def has_copy(named: str, etag: str) -> bool:
    """Return whether a list of entity tags contains this one, :rfc:`9110#section-13.1.2`."""
    tags = [tag.strip().removeprefix("W/") for tag in named.split(",")]
    return etag in tags or "*" in tags
