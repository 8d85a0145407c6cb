"""The scope parameter of a request, :rfc:`6749#section-3.3`."""

from __future__ import annotations

from .. import scopes
from ..messages import Params
from ..records import Client
from ..scopes import Scope
from ..settings import Settings


def read(params: Params, client: Client, settings: Settings) -> Scope:
    """What the request asks for, within what the client may have and the application knows.

    A request that names no scope gets ``OAUTH2_DEFAULT_SCOPE``, or all that the client may have where that is not set.
    Raises :exc:`~flask_oauth2.errors.InvalidScope` for a word beyond.
    """
    allowed = client.scope
    if settings.scopes:
        allowed = tuple(filter(settings.scopes.__contains__, allowed))
    requested = params.get("scope")
    if requested is not None:
        return scopes.narrow(requested, allowed)
    return tuple(filter(settings.default_scope.__contains__, allowed)) if settings.default_scope else allowed
