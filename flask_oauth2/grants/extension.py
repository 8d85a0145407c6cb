"""A grant that an application adds, :rfc:`6749#section-4.5`: a function from token request to :class:`TokenGrant`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..tokens.base import TokenGrant, TokenRequest


@dataclass(frozen=True, slots=True)
class ExtensionGrant:
    """The function under its name, an absolute URI."""

    name: str
    function: Callable[[TokenRequest], TokenGrant]

    def authorize(self, request: TokenRequest) -> TokenGrant:
        """Return what the function decided. Raises :exc:`TypeError` if that is no :class:`TokenGrant`."""
        grant = self.function(request)
        if not isinstance(grant, TokenGrant):
            raise TypeError(f"the grant {self.name} must return a TokenGrant, not {type(grant).__name__}")
        return grant
