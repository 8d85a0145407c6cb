"""The scope parameter of a request, :rfc:`6749#section-3.3`."""

from __future__ import annotations

from shlex import quote

from .. import scopes
from ..errors import InvalidScope, update_client
from ..http.messages import Params
from ..records import Client
from ..scopes import Scope
from ..server import AuthorizationServer
from ..settings import Settings
from .request import AuthorizationRequest


def check(draft: AuthorizationRequest, server: AuthorizationServer) -> AuthorizationRequest:
    """Set the scope, see :func:`read`."""
    return draft._replace(scope=read(draft.params, draft.client, server.settings))


def read(params: Params, client: Client, settings: Settings) -> Scope:
    """Return the requested scope. Raise :exc:`InvalidScope` for values that the client is not registered for.

    A request without scope receives ``OAUTH2_DEFAULT_SCOPE``, or the full scope of the client if that option is empty;
    with ``authorization_details``, it receives no scope.
    For a client that registered itself or has a metadata document, drop the other values instead, as long as one value
    remains: the operator cannot correct such a client, and the token response contains the granted scope.
    """
    allowed = client.scope
    if settings.scopes:
        allowed = tuple(filter(settings.scopes.__contains__, allowed))
    requested = params.get("scope")
    if requested is not None and requested.strip(" "):
        return scopes.narrow(
            requested,
            allowed,
            lambda beyond: _hint(beyond, client, settings),
            drops_others=client.is_self_registered,
        )
    if "authorization_details" in params.values:
        return ()  # a request with authorization_details alone is complete, RFC 9396 3
    if not settings.default_scope:
        return allowed
    default = tuple(filter(settings.default_scope.__contains__, allowed))
    if not default:
        # "the authorization server MUST either process the request using a pre-defined default value or fail the
        # request indicating an invalid scope", section 3.3
        raise InvalidScope(
            "scope is missing, and the client is not registered for any default scope",
            hint="let the client send scope, or add its scope to OAUTH2_DEFAULT_SCOPE",
        )
    return default


def _hint(beyond: list[str], client: Client, settings: Settings) -> str:
    unknown = [value for value in beyond if settings.scopes and value not in settings.scopes]
    if unknown:
        return f"add {' '.join(unknown)} to OAUTH2_SCOPES, or correct the scope in the client's request"
    scope = " ".join((*client.scope, *beyond))
    return f"register the client for this scope: {update_client(client.client_id, f'--scope {quote(scope)}')}"
