"""A grant that an application adds, :rfc:`6749#section-4.5`: a function from token request to :class:`TokenGrant`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..tokens.base import TokenGrant, TokenRequest


@dataclass(frozen=True, slots=True)
class ExtensionGrant:
    """A function that implements a grant type. Its name is an absolute URI."""

    name: str
    function: Callable[[TokenRequest], TokenGrant]

    def authorize(self, request: TokenRequest) -> TokenGrant:
        """Return the result of the function. Raise :exc:`TypeError` if it is not a :class:`TokenGrant`."""
        grant = self.function(request)
        if not isinstance(grant, TokenGrant):
            raise TypeError(f"the grant {self.name} must return a TokenGrant, not {type(grant).__name__}")
        return grant
