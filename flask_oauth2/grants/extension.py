"""A grant that an application adds, :rfc:`6749#section-4.5`: a function from token request to :class:`Issue`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .base import Issue, TokenRequest


@dataclass(frozen=True, slots=True)
class ExtensionGrant:
    """The function under its name, an absolute URI."""

    name: str
    function: Callable[[TokenRequest], Issue]

    def authorize(self, request: TokenRequest) -> Issue:
        """What the function decided. Raises :exc:`TypeError` where that is no :class:`Issue`."""
        issue = self.function(request)
        if not isinstance(issue, Issue):
            raise TypeError(f"the grant {self.name} must return an Issue, not {type(issue).__name__}")
        return issue
