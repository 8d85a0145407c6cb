"""How an authorization is written down, bound to its holder, and read back: types and formats, one line each."""

from __future__ import annotations

from collections.abc import Callable

from ..settings import Settings
from .base import TokenFormat, TokenType
from .bearer import Bearer
from .opaque import Opaque
from .signed import Signed

TYPES: tuple[Callable[[], TokenType], ...] = (Bearer,)

FORMATS: tuple[Callable[[Settings], TokenFormat], ...] = (
    lambda settings: Opaque(settings.prefixes["access_token"]),
    lambda settings: Signed(settings.secret_keys, settings.prefixes["signed_token"], settings.issuer),
)
