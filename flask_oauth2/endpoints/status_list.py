"""Status lists of issued tokens, draft-ietf-oauth-status-list section 8, from which others learn of revocations.

A list is signed at most once in ``OAUTH2_STATUS_LIST_TTL`` seconds, and otherwise comes from memory.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256

from .. import addresses, status_list
from ..http.messages import Response
from ..server import AuthorizationServer
from .base import Call
from .jwks import has_copy

MEDIA_TYPE = f"application/{status_list.TYPE}"

LIFETIME = 86400
"""Seconds for which a list may be used if no newer one can be fetched."""

_NUMBER = re.compile(r"(?:0|[1-9][0-9]{0,8})\Z")

MOST = 100
"""The maximum number of lists in memory."""


@dataclass(frozen=True, slots=True)
class Published:
    """A signed list."""

    text: str
    etag: str
    issued_at: float


def respond(call: Call) -> Response:
    """Return a list, or 304 if the caller has it. Return 404 if the list has no tokens."""
    server, name = call.server, call.request.named["number"]
    if not server.settings.status_lists or not _NUMBER.match(name):
        return Response(404)
    if "time" in call.request.parameters.values:
        return Response(501)  # "the server SHOULD return 501" without a history of lists, section 8.4
    published = _find(server, int(name), call.request.mount, call.now)
    if published is None:
        return Response(404)
    age = int(call.now - published.issued_at)
    headers = {
        "Content-Type": MEDIA_TYPE,
        "Cache-Control": f"public, max-age={max(0, server.settings.status_list_ttl - age)}",
        "ETag": published.etag,
        "Access-Control-Allow-Origin": "*",
    }
    if has_copy(call.request.headers.get("If-None-Match", ""), published.etag):
        return Response(304, headers=headers)
    return Response(200, published.text, headers)


def _find(server: AuthorizationServer, number: int, mount: str, now: float) -> Published | None:
    """Return the list, which is at most ``OAUTH2_STATUS_LIST_TTL`` seconds old."""
    lists: dict[tuple[int, str], Published] = server.built_status_lists

    def find() -> Published | None:
        found = lists.get((number, mount))
        is_fresh = found is not None and 0 <= now - found.issued_at < server.settings.status_list_ttl
        return found if is_fresh else None

    def build() -> Published | None:
        built = _build(server, number, mount, now)
        if built is not None and (len(lists) < MOST or (number, mount) in lists):
            lists[number, mount] = built
        return built

    return server.status_list_work.run(find, build)


def _build(server: AuthorizationServer, number: int, mount: str, now: float) -> Published | None:
    from ..keys.jose import sign  # few servers need keys, and it takes long to load

    first = number * status_list.SIZE
    revoked = server.status_numbers.store.find_revoked_statuses(first, first + status_list.SIZE - 1)
    if revoked is None:
        return None
    claims = {
        "sub": addresses.status_list_uri(server, number, mount),
        "iat": int(now),
        "exp": int(now) + LIFETIME,
        "ttl": server.settings.status_list_ttl,
        "status_list": {"bits": 1, "lst": status_list.write(one - first for one in revoked)},
    }
    text = sign(claims, server.keys.find_signer(now), status_list.TYPE, now)
    return Published(text, f'"{sha256(text.encode()).hexdigest()[:32]}"', now)
