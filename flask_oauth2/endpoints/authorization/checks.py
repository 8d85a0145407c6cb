"""Which checks an authorization request passes, in the order of its specifications.

The tables are read by the authorization endpoint and by each endpoint that takes (parts of) authorization requests.
"""

from __future__ import annotations

from collections.abc import Callable

from ...checks import (
    client,
    pkce,
    prompt,
    redirect_uri,
    repetition,
    request_uri,
    resource,
    response_mode,
    response_type,
    scope,
    state,
)
from ...checks.request import AuthorizationRequest
from ...http.messages import Params, Request
from ...records import Client
from ...server import AuthorizationServer

Check = Callable[[AuthorizationRequest, "AuthorizationServer"], AuthorizationRequest]

CHECKS: tuple[Check, ...] = (
    client.check,
    request_uri.check,
    redirect_uri.check,
    state.check,
    response_mode.check,
    # from here on the client receives the errors, see ADDRESSED
    repetition.check,
    request_uri.check_support,
    response_type.check,
    pkce.check,
    scope.check,
    resource.check,
    prompt.check,
)
"""The checks of an authorization request."""

ADDRESSED = CHECKS.index(response_mode.check) + 1
"""How many of them must pass until it is known where an answer goes, and how. The user sees the errors of these checks;
the client receives those of all others, :rfc:`6749#section-4.1.2.1`."""

GRANT_CHECKS: tuple[Check, ...] = (scope.check, resource.check)
"""The checks of a request without redirect URI whose client has authenticated, such as that of a device."""


def run(checks: tuple[Check, ...], draft: AuthorizationRequest, server: AuthorizationServer) -> AuthorizationRequest:
    """Return the draft with the fields that the checks set. Raise the first error."""
    for check in checks:
        draft = check(draft, server)
    return draft


def validate(
    server: AuthorizationServer, params: Params, http: Request, client: Client | None = None
) -> AuthorizationRequest:
    """Return the authorization request of these parameters if it passes all checks. Raise the first error if not.

    No browser and no user are needed. An endpoint for pushed authorization requests passes the client that has
    authenticated, :rfc:`9126#section-2.1`, and saves the request with :func:`~.saved.save`.
    """
    draft = AuthorizationRequest(params, http)
    if client is not None:
        draft = draft._replace(client=client, is_pushed=True)
    return run(CHECKS, draft, server)
