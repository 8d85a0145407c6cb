"""The formats of access tokens, one line each."""

from __future__ import annotations

from collections.abc import Callable

from ...settings import Settings
from .base import TokenFormat
from .opaque import Opaque
from .signed import Signed

FORMATS: tuple[Callable[[Settings], TokenFormat], ...] = (
    lambda settings: Opaque(settings.token_prefixes["access_token"]),
    lambda settings: Signed(settings.secret_keys, settings.token_prefixes["signed_token"], settings.issuer),
)
