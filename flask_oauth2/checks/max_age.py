"""The ``max_age`` parameter, OpenID Connect Core 1.0 section 3.1.2.1: the longest time since the user signed in."""

from __future__ import annotations

import re

from ..errors import InvalidRequest, LoginRequired
from ..records import User
from ..server import AuthorizationServer
from .request import AuthorizationRequest

_SECONDS = re.compile(r"[0-9]{1,10}\Z")

_RULE = "openid-connect-core-1_0 3.1.2.1"


def check(draft: AuthorizationRequest, _: AuthorizationServer) -> AuthorizationRequest:
    """Set the maximum age, in seconds. Raise :exc:`InvalidRequest` for anything but a whole number."""
    text = draft.params.get("max_age")
    if text is None:
        return draft
    if not _SECONDS.match(text):
        raise InvalidRequest(
            "max_age must be a whole number of seconds",
            rule=_RULE,
            received=text,
            hint="let the client send the max_age of the challenge that it received",
        )
    return draft._replace(max_age=int(text))


def is_exceeded(max_age: int, user: User, sent_at: int | None, now: float) -> bool:
    """Return whether the user must sign in again. 0 requires it for every request.

    Raise :exc:`LoginRequired` if the application does not provide ``auth_time``.

    :param sent_at: the time when this request sent the user to the login page, or None if it did not.
    """
    if user.auth_time is None:
        # "If it cannot reauthenticate the End-User, it MUST return an error, typically login_required", 3.1.2.1
        raise LoginRequired(
            "the server does not know when the user signed in",
            rule=_RULE,
            hint="return a User with auth_time from @provider.current_user to support max_age",
        )
    if sent_at is not None and user.auth_time >= sent_at:
        return False
    return max_age == 0 or now - user.auth_time > max_age
