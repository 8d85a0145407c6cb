"""Additional members of a token response: functions that run after tokens are generated and before they are saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..http.messages import Request
from ..records import AccessToken, Authorization, Client
from ..server import AuthorizationServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """The tokens that a response will contain. They are not saved yet, so a function may still reject the request."""

    server: AuthorizationServer
    request: Request
    client: Client
    authorization: Authorization
    grant_type: str
    access: AccessToken
    access_token: str
    """The value of the access token. Do not log or store it."""
    refresh_token: str | None
    now: float
    """Seconds since the epoch, UTC."""


AnswerMembers: TypeAlias = Callable[[Issued], Mapping[str, Any] | None]
"""A function that returns additional members of the token response, or None. It cannot replace the members of
:rfc:`6749#section-5.1`.
"""
