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
    """Read the scope, see :func:`read`."""
    return draft._replace(scope=read(draft.params, draft.client, server.settings))


def read(params: Params, client: Client, settings: Settings) -> Scope:
    """Return the scope values that the request asks for, if the client is registered for them.

    A request without scope gets ``OAUTH2_DEFAULT_SCOPE``, or the client's whole scope if that option is empty. Raise
    :exc:`~flask_oauth2.errors.InvalidScope` for a value beyond. For a client that registered itself or is known by a
    metadata document, drop the values beyond as long as one remains: the operator cannot correct what such a client
    sends, and the ``scope`` of the token response says what was granted.
    """
    allowed = client.scope
    if settings.scopes:
        allowed = tuple(filter(settings.scopes.__contains__, allowed))
    requested = params.get("scope")
    if requested is not None and requested.strip(" "):
        return scopes.narrow(
            requested,
            allowed,
            lambda beyond: _advise(beyond, client, settings),
            drops_others=client.is_self_registered,
        )
    if not settings.default_scope:
        return allowed
    default = tuple(filter(settings.default_scope.__contains__, allowed))
    if not default:
        # "the authorization server MUST either process the request using a pre-defined default value or fail the
        # request indicating an invalid scope"
        raise InvalidScope(
            "scope is missing, and the client may have nothing of the default",
            hint="let the client send scope, or name its scope in OAUTH2_DEFAULT_SCOPE",
        )
    return default


def _advise(beyond: list[str], client: Client, settings: Settings) -> str:
    unknown = [value for value in beyond if settings.scopes and value not in settings.scopes]
    if unknown:
        return f"add {' '.join(unknown)} to OAUTH2_SCOPES, or correct what the client asks for"
    scope = " ".join((*client.scope, *beyond))
    return f"register the client for it: {update_client(client.client_id, f'--scope {quote(scope)}')}"
