"""The ``prompt`` parameter, OpenID Connect Core 1.0 section 3.1.2.1: force or forbid a login or consent page."""

from __future__ import annotations

from ..errors import InvalidRequest, LoginRequired
from ..http.messages import Params
from ..records import User
from ..server import AuthorizationServer
from .request import AuthorizationRequest

VALUES = frozenset({"none", "login", "consent", "select_account"})

_RULE = "openid-connect-core-1_0 3.1.2.1"


def check(draft: AuthorizationRequest, _: AuthorizationServer) -> AuthorizationRequest:
    """Set the prompt values. Raise :exc:`InvalidRequest` for an unknown value, and for ``none`` with another value."""
    text = draft.params.get("prompt")
    if text is None:
        return draft
    prompt = frozenset(text.split())
    if not prompt <= VALUES:
        raise InvalidRequest(
            "prompt is not supported",
            rule=_RULE,
            expected=" ".join(sorted(VALUES)),
            received=" ".join(prompt),
            hint="let the client omit prompt or send a supported value",
        )
    # "If this parameter contains none with any other value, an error is returned", section 3.1.2.1
    if "none" in prompt and len(prompt) > 1:
        raise InvalidRequest("prompt combines none with another value", rule=_RULE, received=" ".join(prompt))
    return draft._replace(prompt=prompt)


def is_prompt_none(params: Params) -> bool:
    """Return whether the request forbids pages. The other parameters need not be valid."""
    return (params.once("prompt") or "").split() == ["none"]


def asks_for_login(params: Params) -> bool:
    """Return whether the request requires the login page. The other parameters need not be valid."""
    return not {"login", "select_account"}.isdisjoint((params.once("prompt") or "").split())


def must_sign_in(prompt: frozenset[str], user: User, sent_at: int | None) -> bool:
    """Return whether the user must sign in (again) for these prompt values.

    Raise :exc:`LoginRequired` if the application does not provide ``auth_time``, because the server could not verify
    that the user signed in again.

    :param sent_at: the time when this request sent the user to the login page, or None if it did not.
    """
    if "login" in prompt:
        # "login: The Authorization Server SHOULD prompt the End-User for reauthentication", section 3.1.2.1
        if user.auth_time is not None:
            return sent_at is None or user.auth_time < sent_at
        if sent_at is None:
            # "If it cannot reauthenticate the End-User, it MUST return an error, typically login_required", 3.1.2.1
            raise LoginRequired(
                "the server cannot verify that the user signs in again",
                rule="openid-connect-core-1_0 3.1.2.3",
                hint="return a User with auth_time from @provider.current_user to support prompt=login",
            )
    return "select_account" in prompt and sent_at is None
