"""Bindings: what binds a token to its holder, so that a stolen token is of no use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ...http.messages import Request
from ...records import AccessToken, Claims, Client
from ...settings import Settings


@dataclass(slots=True, kw_only=True)
class ProofContext:
    """What a binding may use in addition to the request."""

    settings: Settings
    now: float
    """Seconds since the epoch, UTC."""
    remember: Callable[[bytes, int], bool]
    """Replay memory: save a key until a time, and return False if it was saved before."""
    client: Client | None = None
    """At the token endpoint: the client, which has authenticated."""
    token: str = ""
    """At a protected resource: the value of the access token."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers that the binding adds to the response, such as ``DPoP-Nonce``."""


class Binding(Protocol):
    """A way to bind tokens to a key of their holder."""

    name: str

    token_type: str
    """The name of the token type that its tokens have, such as ``Bearer``."""

    members: frozenset[str]
    """The confirmation methods (members of ``cnf``, :rfc:`7800#section-3`) that this binding verifies."""

    def prove(self, request: Request, context: ProofContext) -> Claims | None:
        """Return the confirmation for new tokens, or None if the request has no proof of this kind.

        It runs before the grant. Raises an :exc:`~flask_oauth2.errors.OAuth2Error` for a wrong proof.
        """
        ...

    def verify(self, access: AccessToken, request: Request, context: ProofContext) -> None:
        """Raise :exc:`~flask_oauth2.errors.InvalidToken` unless the request proves possession of the token's key."""
        ...
