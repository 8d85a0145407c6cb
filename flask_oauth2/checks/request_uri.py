"""The ``request_uri`` parameter, :rfc:`9126#section-4`: a reference to a saved authorization request.

The server saves pushed requests and requests that are too long for a URL, see
:mod:`flask_oauth2.endpoints.authorization.saved`. Both are grants of one kind. The authorization response consumes
them.
"""

from __future__ import annotations

from .. import values
from ..errors import InvalidRequest, InvalidRequestURI, RequestURINotSupported
from ..http.messages import Params
from ..records import Grant
from ..server import AuthorizationServer
from .request import AuthorizationRequest

KIND = "request_uri"
"""The kind of the grants that hold saved requests."""

INTERACTION_LIFETIME = 3600
"""Seconds within which the user must sign in and decide."""

PREFIX = "urn:ietf:params:oauth:request_uri:"
"""The beginning of each ``request_uri`` that the server issues, :rfc:`9126#section-2.2`."""


REQUIRED = "require_pushed_authorization_requests"
"""The metadata member of a client that pushes all its requests, :rfc:`9126#section-6`."""


def check(draft: AuthorizationRequest, server: AuthorizationServer) -> AuthorizationRequest:
    """Replace the parameters of the request with the saved ones, if it has a ``request_uri``.

    Raise :exc:`InvalidRequestURI` if the saved request is unknown, expired or of another client. Raise
    :exc:`InvalidRequest` if a pushed request has a ``request_uri``.
    """
    uri = draft.params.get("request_uri")
    if uri is None:
        return draft
    if draft.is_pushed:
        # "Reject the request if the "request_uri" authorization request parameter is provided", section 2.1
        raise InvalidRequest(
            "a pushed request must not contain request_uri",
            rule="rfc9126 2.1",
            hint="let the client push the parameters themselves",
        )
    if not uri.startswith(PREFIX):
        return draft._replace(request_uri=uri)  # check_support raises the error, which the client receives
    saved = find(server, uri, draft.client.client_id)
    if saved is None:
        raise InvalidRequestURI(
            "request_uri names no request of this client",
            hint="let the client start again with a new authorization request",
        )
    if saved.is_expired(server.clock()) and not (draft.is_resumed and _is_in_time(saved, server.clock())):
        # "An expired "request_uri" MUST be rejected as invalid", section 4
        raise InvalidRequestURI(
            "this request has expired: go back to the application and start again",
            received=f"a request that expired at {saved.expires_at}",
            hint="let the client start again with a new authorization request",
        )
    # "MUST only use the parameters in the Request Object, even if the same parameter is provided in the query",
    # RFC 9101 6.3
    return draft._replace(params=Params(saved.parameters["query"].encode()), saved=saved, request_uri=uri)


def find(server: AuthorizationServer, uri: str, client_id: str) -> Grant | None:
    """Return the saved request of a client that a ``request_uri`` names, which may have expired, or None."""
    if not uri.startswith(PREFIX):
        return None
    saved = server.store.get_grant(values.key(uri.removeprefix(PREFIX)), KIND)
    # "The request URI value MUST be bound to the client that posted the authorization request", section 2.2
    return saved if saved is not None and saved.parameters["client_id"] == client_id else None


def _is_in_time(saved: Grant, now: float) -> bool:
    """Return whether a user who opened the request before it expired may still sign in and decide."""
    return values.second(saved.key) <= now < values.second(saved.key) + INTERACTION_LIFETIME


def is_saved(params: Params) -> bool:
    """Return whether ``request_uri`` names a saved request. In this case, the server ignores all other parameters."""
    return (params.once("request_uri") or "").startswith(PREFIX)


def check_support(draft: AuthorizationRequest, server: AuthorizationServer) -> AuthorizationRequest:
    """Raise :exc:`InvalidRequest` if the server or the client requires a pushed request, and this is another one.

    Raise :exc:`RequestURINotSupported` for the URI of a request object that is not saved on this server.
    """
    is_required = server.settings.require_pushed_authorization_requests or draft.client.metadata.get(REQUIRED)
    if is_required and not draft.is_pushed and not (draft.saved and draft.saved.parameters.get("is_pushed")):
        raise InvalidRequest(
            "the authorization request must be pushed",
            rule="rfc9126 4",
            expected="a request_uri of the pushed authorization request endpoint",
            hint="let the client send its request to pushed_authorization_request_endpoint first, or correct "
            "OAUTH2_REQUIRE_PUSHED_AUTHORIZATION_REQUESTS or the metadata of the client",
        )
    if draft.request_uri is not None and draft.saved is None:
        raise RequestURINotSupported(
            "request_uri must name a request that this server has saved",
            expected=f"{PREFIX}…",
            received=draft.request_uri,
            hint="let the client send the parameters themselves",
        )
    return draft
