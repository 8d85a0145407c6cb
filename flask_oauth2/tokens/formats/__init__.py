"""The formats of access tokens, one line each."""

from __future__ import annotations

from collections.abc import Callable

from ...server import AuthorizationServer
from .base import TokenFormat
from .jwt import JSONWebToken
from .opaque import Opaque
from .signed import Signed

FORMATS: tuple[Callable[[AuthorizationServer], TokenFormat], ...] = (
    lambda server: Opaque(server.settings.token_prefixes["access_token"]),
    lambda server: Signed(
        server.settings.secret_keys, server.settings.token_prefixes["signed_token"], server.settings.issuer
    ),
    JSONWebToken,
)

BUILT_IN = ("opaque", "signed", "jwt")
"""The names of these formats."""
