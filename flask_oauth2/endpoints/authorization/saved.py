"""Saved authorization requests: those that clients push, :rfc:`9126`, and those that are too long for a URL.

Each is a grant of the kind ``request_uri``, which the answer consumes. :mod:`flask_oauth2.checks.request_uri` takes it
up.
"""

from __future__ import annotations

from typing import Any

from ... import values
from ...checks.request_uri import KIND, PATIENCE, PREFIX
from ...clients.authentication.throttle import spend_quota
from ...errors import InvalidRequest
from ...http import urls
from ...http.messages import Params
from ...records import Grant
from ...server import AuthorizationServer

MOST_SAVED = 10_000
"""Requests and forms of visitors that the server saves within an hour, at most a tenth of them for one network."""

LONGEST_SAVED = 16 * 1024
"""Characters of a request or a form that the server saves for a visitor."""

_CREDENTIALS = frozenset({"client_secret", "client_assertion", "client_assertion_type"})
"""Parameters of client authentication, which are no part of a pushed request, :rfc:`9126#section-2.1`."""


def save(server: AuthorizationServer, params: Params, lifetime: int) -> str:
    """Save an authorization request for ``lifetime`` seconds. Return its ``request_uri``."""
    query = urls.encode([pair for pair in params.pairs() if pair[0] not in _CREDENTIALS])
    parameters = {"client_id": params.require("client_id"), "query": query}
    return PREFIX + _save(server, KIND, parameters, lifetime)


def save_for_browser(server: AuthorizationServer, params: Params, address: str) -> str:
    """Save an authorization request that is too long for a URL. Return its ``request_uri``.

    Raise :exc:`InvalidRequest` (413) if it is too long to be saved, and :exc:`~.errors.TemporarilyUnavailable` (429) if
    too many requests come from ``address``.
    """
    if len(urls.encode(params.pairs())) > LONGEST_SAVED:
        raise InvalidRequest("the request is too long", expected=f"at most {LONGEST_SAVED} characters", status=413)
    _spend_quota(server, address)
    return save(server, params, PATIENCE)


def save_for_visitor(server: AuthorizationServer, kind: str, parameters: dict[str, Any], address: str) -> str:
    """Save a form while the user signs in. Return its name, which is valid for :data:`PATIENCE`.

    Raise :exc:`~.errors.TemporarilyUnavailable` (429) if too many come from ``address``.
    """
    _spend_quota(server, address)
    return _save(server, kind, parameters, PATIENCE)


def _spend_quota(server: AuthorizationServer, address: str) -> None:
    spend_quota(server, "saved requests", MOST_SAVED, server.clock(), address=address)


def _save(server: AuthorizationServer, kind: str, parameters: dict[str, Any], lifetime: int) -> str:
    now = server.clock()
    name, key = values.generate(server.settings.token_prefixes["request"], values.timestamp(now))
    grant = Grant(key=key, kind=kind, parameters=parameters, expires_at=int(now) + lifetime)
    server.store.issue(None, [grant], int(now))
    return name
