"""Bindings: a token is bound to a key of its holder, so that a stolen token cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ...http.messages import Request
from ...records import AccessToken, Claims, Client
from ...settings import Settings


@dataclass(slots=True, kw_only=True)
class ProofContext:
    """The context of a proof: settings, time, replay memory, and the client or the token."""

    settings: Settings
    now: float
    """Seconds since the epoch, UTC."""
    remember: Callable[[bytes, int], bool]
    """The replay memory: saves a key until a time, and returns False if the key was saved before."""
    client: Client | None = None
    """The authenticated client at the token endpoint, otherwise None."""
    token: str = ""
    """The value of the access token at a protected resource, otherwise empty."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers that the binding adds to the response, such as ``DPoP-Nonce``."""


class Binding(Protocol):
    """A way to bind tokens to a key of their holder."""

    name: str

    token_type: str
    """The type of the bound tokens, such as ``Bearer``."""

    members: frozenset[str]
    """The confirmation methods (members of ``cnf``, :rfc:`7800#section-3`) that this binding verifies."""

    def prove(self, request: Request, context: ProofContext) -> Claims | None:
        """Return the confirmation for new tokens, or None if the request has no proof of this kind.

        This runs before the grant. Raise an :exc:`~flask_oauth2.errors.OAuth2Error` if the proof is invalid.
        """
        ...

    def verify(self, access: AccessToken, request: Request, context: ProofContext) -> None:
        """Raise :exc:`~flask_oauth2.errors.InvalidToken` unless the request proves possession of the token's key.

        Return None. Any other value, such as False, raises :exc:`~flask_oauth2.errors.ConfigurationError`.
        """
        ...
