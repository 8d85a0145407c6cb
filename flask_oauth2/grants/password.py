"""The resource owner password credentials grant, :rfc:`6749#section-4.3`. :rfc:`9700#section-2.4` forbids it to new
applications, so it is there only where ``OAUTH2_GRANT_TYPES`` names it and the application has a ``usergetter``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ..clients.authentication.throttle import Attempt
from ..errors import InvalidGrant, InvalidRequest
from ..records import is_nobody
from ..tokens.base import TokenGrant, TokenRequest

_UNICODECHARNOCRLF = re.compile("[\t\x20-\x7e\x80-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*\\Z")
""":rfc:`6749#appendix-A`."""

DISCOURAGED = (
    "the password grant teaches users to give their password to clients (RFC 9700 section 2.4: MUST NOT be used); "
    "use authorization_code with PKCE"
)


class Password:
    """Name and password, checked by the application."""

    name = "password"

    def __init__(self, usergetter: Callable[..., Any]) -> None:
        self._usergetter = usergetter

    def authorize(self, request: TokenRequest) -> TokenGrant:
        """Guesses are counted by user name and network, before the password is verified."""
        username, password = request.form.require("username"), request.form.require("password")
        for name, value in (("username", username), ("password", password)):
            if not _UNICODECHARNOCRLF.match(value):
                raise InvalidRequest(f"{name} holds a control character", rule="rfc6749 A.15, A.16")
        attempt = Attempt(request.server, "password", username, request.now, request.request.address)
        try:
            user = self._usergetter(username, password, request.client, request)
        except BaseException:
            attempt.withdraw()
            raise
        if is_nobody(user):
            attempt.failed()
            raise InvalidGrant(
                "the user name or the password is wrong",
                rule="rfc6749 4.3.2",
                hint="check the usergetter: it must return the user, and None only for a wrong name or password",
            )
        attempt.withdraw()
        return TokenGrant(request.authorization(user_id=user), refresh=True)
