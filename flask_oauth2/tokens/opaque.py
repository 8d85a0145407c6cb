"""Opaque: a random value that says nothing; what it stands for is in the store."""

from __future__ import annotations

from .. import values
from ..records import AccessToken


class Opaque:
    """The default format."""

    name = "opaque"

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def mint(self, access: AccessToken) -> tuple[str, bytes]:
        """A value of the same millisecond as the fresh key."""
        return values.mint(self._prefix, access.key[:6])
