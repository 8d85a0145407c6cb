"""Parameters that are sent more than once, :rfc:`6749#section-3.1`."""

from __future__ import annotations

from ..server import AuthorizationServer
from .request import AuthorizationRequest


def check(draft: AuthorizationRequest, _: AuthorizationServer) -> AuthorizationRequest:
    """Raise :exc:`~flask_oauth2.errors.InvalidRequest` if a parameter other than ``resource`` is repeated."""
    # "Request and response parameters MUST NOT be included more than once", section 3.1
    draft.params.refuse_repeated()
    return draft
