"""Saved authorization requests: pushed requests, :rfc:`9126`, and requests that are too long for a URL.

Each is a grant of the kind ``request_uri``. :mod:`flask_oauth2.checks.request_uri` loads it, and the authorization
response consumes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ... import values
from ...checks.request_uri import INTERACTION_LIFETIME, KIND, PREFIX
from ...clients.authentication.throttle import spend_quota
from ...errors import InvalidRequest
from ...http import urls
from ...http.messages import Params
from ...records import Grant
from ...server import AuthorizationServer

MOST_SAVED = 10_000
"""The maximum number of requests and forms that the server saves for visitors per hour; a tenth of it per network."""

LONGEST_SAVED = 16 * 1024
"""The maximum length, in characters, of a request or form that the server saves for a visitor."""

_CREDENTIALS = frozenset({"client_secret", "client_assertion", "client_assertion_type"})
"""Parameters of client authentication, which are not saved with a pushed request, :rfc:`9126#section-2.1`."""


def save(server: AuthorizationServer, params: Params, lifetime: int, jkt: str | None = None) -> str:
    """Save a pushed authorization request for ``lifetime`` seconds. Return its ``request_uri``.

    :param jkt: the thumbprint of the key of the DPoP proof of a pushed request, which is saved as ``dpop_jkt``,
        :rfc:`9449#section-10.1`.
    """
    pairs = list(params.pairs())
    if jkt is not None and "dpop_jkt" not in params.values:
        pairs.append(("dpop_jkt", jkt))
    return _save_request(server, pairs, lifetime, params.require("client_id"), is_pushed=True)


def save_for_browser(server: AuthorizationServer, params: Params, address: str) -> str:
    """Save an authorization request that is too long for a URL. Return its ``request_uri``.

    Raise :exc:`InvalidRequest` (413) if it is longer than :data:`LONGEST_SAVED`. Raise
    :exc:`~.errors.TemporarilyUnavailable` (429) if the network of ``address`` sends too many requests.
    """
    if len(urls.encode(params.pairs())) > LONGEST_SAVED:
        raise InvalidRequest("the request is too long", expected=f"at most {LONGEST_SAVED} characters", status=413)
    _spend_quota(server, address)
    return _save_request(server, params.pairs(), INTERACTION_LIFETIME, params.require("client_id"))


def save_for_visitor(server: AuthorizationServer, kind: str, parameters: dict[str, Any], address: str) -> str:
    """Save a form while the user signs in. Return its name, which is valid for :data:`INTERACTION_LIFETIME` seconds.

    Raise :exc:`~.errors.TemporarilyUnavailable` (429) if the network of ``address`` sends too many forms.
    """
    _spend_quota(server, address)
    return _save(server, kind, parameters, INTERACTION_LIFETIME)


def _spend_quota(server: AuthorizationServer, address: str) -> None:
    spend_quota(server, "saved requests", MOST_SAVED, server.clock(), address=address)


def _save_request(
    server: AuthorizationServer, pairs: Iterable[tuple[str, str]], lifetime: int, client_id: str, **more: bool
) -> str:
    query = urls.encode([pair for pair in pairs if pair[0] not in _CREDENTIALS])
    parameters = {"client_id": client_id, "query": query, **more}
    return PREFIX + _save(server, KIND, parameters, lifetime)


def _save(server: AuthorizationServer, kind: str, parameters: dict[str, Any], lifetime: int) -> str:
    now = server.clock()
    name, key = values.generate(server.settings.token_prefixes["request"], values.timestamp(now))
    grant = Grant(key=key, kind=kind, parameters=parameters, expires_at=int(now) + lifetime)
    server.store.issue(None, [grant], int(now))
    return name
