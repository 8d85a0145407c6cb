"""The ``state`` parameter, :rfc:`6749#section-4.1.1`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .request import AuthorizationRequest

if TYPE_CHECKING:
    from ..server import Server


def check(draft: AuthorizationRequest, _: Server) -> AuthorizationRequest:
    """Read the value that every answer repeats, :rfc:`6749#section-4.1.2`. One that was sent twice is not repeated."""
    return draft._replace(state=draft.params.once("state"))
