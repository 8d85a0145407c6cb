"""The resource owner password credentials grant, :rfc:`6749#section-4.3`.

:rfc:`9700#section-2.4`: it "MUST NOT be used". It is therefore disabled unless ``OAUTH2_GRANT_TYPES`` contains it and
the application registers a ``usergetter``.
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
"""The characters of user names and passwords, :rfc:`6749#appendix-A`."""

DISCOURAGED = (
    "The password grant exposes the passwords of users to clients (RFC 9700 section 2.4: MUST NOT be used). "
    "Use authorization_code with PKCE"
)


class Password:
    """The password grant. The application's ``usergetter`` verifies the user name and the password."""

    name = "password"

    def __init__(self, usergetter: Callable[..., Any]) -> None:
        self._usergetter = usergetter

    def authorize(self, request: TokenRequest) -> TokenGrant:
        """Return the grant of a user. Raise :exc:`InvalidGrant` if the user name or the password is wrong.

        Raise :exc:`~.errors.TemporarilyUnavailable` (429) after too many failed attempts.
        """
        username, password = request.form.require("username"), request.form.require("password")
        for name, value in (("username", username), ("password", password)):
            if not _UNICODECHARNOCRLF.match(value):
                raise InvalidRequest(f"{name} contains a control character", rule="rfc6749 A.15, A.16")
        # "MUST protect the endpoint against brute force attacks", section 4.3.2
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
                hint="check that the usergetter returns the user, and None only for a wrong name or password",
            )
        attempt.withdraw()
        return TokenGrant(request.authorization(user_id=user), refresh=True)
