"""What a token type and a token format are. A new one is a class with these methods and one ``register_*`` call."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..messages import Request
from ..records import AccessToken, Claims, Client


class TokenType(Protocol):
    """How a token is bound to its holder and shown at a resource, :rfc:`6749#section-7.1`."""

    name: str
    """The ``token_type`` of the answer and, in any case, the HTTP authentication scheme."""

    def bind(self, request: Request, client: Client) -> Claims | None:
        """What the token is bound to (its ``confirmation``); None where the request is for another type.

        Runs before anything is spent, so it may refuse by raising an :exc:`~flask_oauth2.errors.OAuth2Error`.
        """
        ...

    def read(self, credentials: str) -> str:
        """The token in what follows the scheme in an Authorization header."""
        ...

    def verify(self, access: AccessToken, request: Request) -> None:
        """Raise :exc:`~flask_oauth2.errors.InvalidToken` unless the request comes from the token's holder."""
        ...


class TokenFormat(Protocol):
    """How what an access token says becomes the value that a client holds: here, a reference to a row of the store."""

    name: str

    def mint(self, access: AccessToken) -> tuple[str, bytes]:
        """A new value and its key, :func:`flask_oauth2.values.key`."""
        ...


@runtime_checkable
class SelfContainedFormat(TokenFormat, Protocol):
    """A format whose value says it all, so that no row is needed to read it. Revocation marks hold all the same.

    The key that :meth:`TokenFormat.mint` returns is ``access.key``, which is fresh: the ``jti`` of the token.
    """

    def read(self, value: str) -> AccessToken | None:
        """What the value says, expired or not; None for what this format did not write."""
        ...
