"""Bearer: whoever holds the token may use it, :rfc:`6750`."""

from __future__ import annotations

import re

from ..errors import InvalidRequest, InvalidToken
from ..messages import Request
from ..records import AccessToken, Claims, Client

_B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*\Z")


class Bearer:
    """The type of every token that no other type takes."""

    name = "Bearer"

    def bind(self, request: Request, client: Client) -> Claims | None:
        """To nothing."""
        return {}

    def read(self, credentials: str) -> str:
        """``b64token``, :rfc:`6750#section-2.1`."""
        if _B64TOKEN.match(credentials):
            return credentials
        if "," in credentials:  # a server joins two headers with a comma
            raise InvalidRequest(
                "the request has more than one Authorization header",
                rule="rfc6750 2",
                cure="let the client, or the proxy before the application, send one Authorization header",
            )
        raise InvalidToken(
            "the token holds a character that no token has",
            rule="rfc6750 2.1",
            cure="let the client send the value of access_token as it is, after Bearer and one space",
        )

    def verify(self, access: AccessToken, request: Request) -> None:
        """Whoever shows it is its holder."""
