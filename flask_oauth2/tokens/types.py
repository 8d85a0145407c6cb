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
        """Return the value of the token. ``credentials`` are the Authorization header without the scheme."""
        ...


class Bearer:
    """Bearer tokens, :rfc:`6750`: any holder may use them, unless they are bound to a key or a certificate."""

    name = "Bearer"

    _is_token = re.compile(r"[A-Za-z0-9\-._~+/]+=*").fullmatch

    def read(self, credentials: str) -> str:
        """Return the ``b64token``, :rfc:`6750#section-2.1`. Raise :exc:`InvalidToken` if it is malformed.

        Raise :exc:`InvalidRequest` if the request has several Authorization headers.
        """
        if Bearer._is_token(credentials):
            return credentials
        # WSGI servers join repeated headers with a comma
        if "," in credentials:
            raise InvalidRequest(
                "the request has more than one Authorization header",
                rule="rfc6750 2",
                hint="let the client, or the proxy before the application, send one Authorization header",
            )
        raise InvalidToken(
            "the token contains an invalid character",
            rule="rfc6750 2.1",
            hint="let the client send the value of access_token unchanged, after Bearer and one space",
        )


TYPES: tuple[Callable[[], TokenType], ...] = (Bearer,)
