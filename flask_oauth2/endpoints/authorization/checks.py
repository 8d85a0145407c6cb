"""The checks of an authorization request, in the order in which the server runs them.

The authorization endpoint uses these tables, as does each endpoint that accepts authorization requests or parts of
them.
"""

from __future__ import annotations

from collections.abc import Callable

from ...checks import (
    acr_values,
    authorization_details,
    client,
    max_age,
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
from ...records import Claims, Client
from ...server import AuthorizationServer

Check = Callable[[AuthorizationRequest, "AuthorizationServer"], AuthorizationRequest]

CHECKS: tuple[Check, ...] = (
    client.check,
    request_uri.check,
    redirect_uri.check,
    state.check,
    response_mode.check,
    # the client receives the errors of the following checks, see ADDRESSED
    repetition.check,
    request_uri.check_support,
    response_type.check,
    pkce.check,
    scope.check,
    resource.check,
    authorization_details.check,
    prompt.check,
    max_age.check,
    acr_values.check,
)
"""The checks of an authorization request. Bindings of tokens add further ones: ``capabilities.request_checks``."""

ADDRESSED = CHECKS.index(response_mode.check) + 1
"""The number of checks that establish the redirect URI and the response mode. The user sees the errors of these
checks. The client receives the errors of all others, :rfc:`6749#section-4.1.2.1`.
"""

GRANT_CHECKS: tuple[Check, ...] = (scope.check, resource.check, authorization_details.check)
"""The checks of a request without redirect URI from an authenticated client, such as a device authorization request."""


def run(checks: tuple[Check, ...], draft: AuthorizationRequest, server: AuthorizationServer) -> AuthorizationRequest:
    """Return the draft with the fields that the checks set. Raise the error of the first check that fails."""
    for check in checks:
        draft = check(draft, server)
    return draft


def validate(
    server: AuthorizationServer,
    params: Params,
    http: Request,
    client: Client | None = None,
    confirmation: Claims | None = None,
) -> AuthorizationRequest:
    """Return the authorization request of these parameters. Raise the error of the first check that fails.

    This requires no browser and no user. An endpoint for pushed authorization requests passes the authenticated client,
    :rfc:`9126#section-2.1`, and saves the request with :func:`~flask_oauth2.save_authorization_request`.

    :param confirmation: the key of the proof of a pushed request, :rfc:`9449#section-10.1`.
    """
    draft = AuthorizationRequest(params, http)
    if client is not None:
        draft = draft._replace(client=client, is_pushed=True, confirmation=confirmation)
    return run((*CHECKS, *server.capabilities.request_checks), draft, server)
