"""The ``state`` parameter, :rfc:`6749#section-4.1.1`."""

from __future__ import annotations

from ..server import AuthorizationServer
from .request import AuthorizationRequest


def check(draft: AuthorizationRequest, _: AuthorizationServer) -> AuthorizationRequest:
    """Read the value that every answer repeats, :rfc:`6749#section-4.1.2`. One that was sent twice is not repeated."""
    return draft._replace(state=draft.params.once("state"))
