"""The ``state`` parameter, :rfc:`6749#section-4.1.1`."""

from __future__ import annotations

from ..server import AuthorizationServer
from .request import AuthorizationRequest


def check(draft: AuthorizationRequest, _: AuthorizationServer) -> AuthorizationRequest:
    """Set the ``state`` that the response contains, :rfc:`6749#section-4.1.2`. Ignore a repeated ``state``."""
    return draft._replace(state=draft.params.once("state"))
