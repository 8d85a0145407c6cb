"""The ``acr_values`` parameter, OpenID Connect Core 1.0 section 3.1.2.1: how the user must be authenticated.

The classes are names that the server and its clients agree on, such as ``urn:example:two-factor``. None is higher than
another.
"""

from __future__ import annotations

from ..errors import UnmetAuthenticationRequirements
from ..records import User
from ..server import AuthorizationServer
from .request import AuthorizationRequest


def check(draft: AuthorizationRequest, server: AuthorizationServer) -> AuthorizationRequest:
    """Set the authentication context classes, of which the user needs one.

    Raise :exc:`UnmetAuthenticationRequirements` if the server supports none of them. A server without
    ``OAUTH2_ACR_VALUES`` ignores the parameter.
    """
    supported = server.settings.acr_values
    if not supported:
        return draft
    requested = tuple(dict.fromkeys((draft.params.get("acr_values") or "").split()))
    if not requested:
        return draft
    if set(supported).isdisjoint(requested):
        raise UnmetAuthenticationRequirements(
            "the server supports none of the requested acr_values",
            expected=f"one of {' '.join(supported)}",
            received=" ".join(requested),
            hint="add the value to OAUTH2_ACR_VALUES, or let the client request a supported one",
        )
    return draft._replace(acr_values=requested)


def is_missing(requested: tuple[str, ...], user: User, has_returned: bool) -> bool:
    """Return whether the user must sign in with one of the requested classes.

    :param has_returned: whether the user has returned from the login page. Raise
        :exc:`UnmetAuthenticationRequirements` in this case, so that no browser is sent there twice.
    """
    if user.acr in requested:
        return False
    if has_returned:
        raise UnmetAuthenticationRequirements(
            "the user could not sign in as the client requires",
            expected=f"acr {' or '.join(requested)}",
            received=f"acr {user.acr}" if user.acr else "no acr",
            hint="let the login page use provider.requested_acr_values(), and return acr from @provider.current_user",
        )
    return True
