"""Token types: how a client presents a token to a protected resource, :rfc:`6749#section-7.1`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from ..errors import InvalidRequest, InvalidToken


class TokenType(Protocol):
    """An HTTP authentication scheme for access tokens."""

    name: str
    """The ``token_type`` of the token response and, in any case, the HTTP authentication scheme."""

    def read(self, credentials: str) -> str:
        """Return the value of the token from what follows the scheme in an Authorization header."""
        ...


class Bearer:
    """The type of tokens that whoever holds them may use, :rfc:`6750`, unless they are bound to a certificate."""

    name = "Bearer"

    _is_token = re.compile(r"[A-Za-z0-9\-._~+/]+=*").fullmatch

    def read(self, credentials: str) -> str:
        """Return the ``b64token``, :rfc:`6750#section-2.1`."""
        if Bearer._is_token(credentials):
            return credentials
        if "," in credentials:  # a server joins two headers with a comma
            raise InvalidRequest(
                "the request has more than one Authorization header",
                rule="rfc6750 2",
                hint="let the client, or the proxy before the application, send one Authorization header",
            )
        raise InvalidToken(
            "the token holds a character that no token has",
            rule="rfc6750 2.1",
            hint="let the client send the value of access_token as it is, after Bearer and one space",
        )


TYPES: tuple[Callable[[], TokenType], ...] = (Bearer,)
