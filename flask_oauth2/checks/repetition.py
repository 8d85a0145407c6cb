"""Parameters that are sent more than once, :rfc:`6749#section-3.1`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .request import AuthorizationRequest

if TYPE_CHECKING:
    from ..server import Server


def check(draft: AuthorizationRequest, _: Server) -> AuthorizationRequest:
    """Raise :exc:`~flask_oauth2.errors.InvalidRequest` if any parameter but ``resource`` was sent more than once."""
    # "Request and response parameters MUST NOT be included more than once"
    draft.params.refuse_repeated()
    return draft
