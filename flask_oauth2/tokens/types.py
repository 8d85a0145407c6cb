"""Token types: how a client presents a token to a protected resource, :rfc:`6749#section-7.1`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from ..errors import InvalidRequest, InvalidToken
from ..settings import SIGNING_ALGORITHMS, Settings

is_b64token = re.compile(r"[A-Za-z0-9\-._~+/]+=*").fullmatch
"""Match the value of an access token, :rfc:`6750#section-2.1`."""


class TokenType(Protocol):
    """An HTTP authentication scheme for access tokens."""

    name: str
    """The ``token_type`` of the token response and, in any case, the HTTP authentication scheme.

    It is a ``token``, :rfc:`9110#section-5.6.2`. The optional attribute ``parameters`` contains further parameters of a
    challenge with this scheme.
    """

    def read(self, credentials: str) -> str:
        """Return the value of the token. ``credentials`` are the Authorization header without the scheme.

        Raise :exc:`~flask_oauth2.errors.InvalidToken` or :exc:`ValueError` if they are malformed.
        """
        ...


class Bearer:
    """Bearer tokens, :rfc:`6750`: any holder may use them, unless they are bound to a key or a certificate."""

    name = "Bearer"

    def read(self, credentials: str) -> str:
        """Return the ``b64token``, :rfc:`6750#section-2.1`. Raise :exc:`InvalidToken` if it is malformed.

        Raise :exc:`InvalidRequest` if the request has several Authorization headers.
        """
        if is_b64token(credentials):
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
            hint=f"let the client send the value of access_token unchanged, after {self.name} and one space",
        )


class DPoP(Bearer):
    """Tokens that are bound to the key of a DPoP proof, :rfc:`9449#section-7.1`."""

    name = "DPoP"
    # "the list of algorithms" that the resource server supports, separated by spaces
    parameters: Mapping[str, str] = {"algs": " ".join(SIGNING_ALGORITHMS)}


def make_types(settings: Settings) -> tuple[TokenType, ...]:
    """Return the token types that the settings enable."""
    return (Bearer(),) if settings.dpop == "off" else (Bearer(), DPoP())
