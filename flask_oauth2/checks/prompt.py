"""The ``prompt`` parameter, OpenID Connect Core 1.0 section 3.1.2.1: whether the user must, or must not, be asked."""

from __future__ import annotations

from ..errors import InvalidRequest, LoginRequired
from ..http.messages import Params
from ..records import User
from ..server import AuthorizationServer
from .request import AuthorizationRequest

VALUES = frozenset({"none", "login", "consent", "select_account"})

_RULE = "openid-connect-core-1_0 3.1.2.1"


def check(draft: AuthorizationRequest, _: AuthorizationServer) -> AuthorizationRequest:
    """Read the values. Raise :exc:`InvalidRequest` for an unknown one, and for ``none`` together with another."""
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
            hint="let the client leave out prompt, or send one that is supported",
        )
    # "If this parameter contains none with any other value, an error is returned"
    if "none" in prompt and len(prompt) > 1:
        raise InvalidRequest("prompt is none and something else", rule=_RULE, received=" ".join(prompt))
    return draft._replace(prompt=prompt)


def is_prompt_none(params: Params) -> bool:
    """Return whether the client wants an answer at once and no page, whatever else is wrong with the request."""
    return (params.once("prompt") or "").split() == ["none"]


def asks_for_login(params: Params) -> bool:
    """Return whether the server must find out that the user was at the login page, whatever else is wrong."""
    return not {"login", "select_account"}.isdisjoint((params.once("prompt") or "").split())


def must_sign_in(prompt: frozenset[str], user: User, sent_at: int | None) -> bool:
    """Return whether the user must go to the login page (again).

    ``sent_at`` is when this request sent the user there, None if it did not. Raise :exc:`LoginRequired` if the
    application does not say when its users sign in, so that the server could not tell afterwards whether they did.
    """
    if "login" in prompt:
        # "login: The Authorization AuthorizationServer SHOULD prompt the End-User for reauthentication"
        if user.auth_time is not None:
            return sent_at is None or user.auth_time < sent_at
        if sent_at is None:
            # "If it cannot reauthenticate the End-User, it MUST return an error, typically login_required"
            raise LoginRequired(
                "the user cannot be asked to sign in again here",
                rule="openid-connect-core-1_0 3.1.2.3",
                hint="return a User with auth_time from @provider.current_user, so that prompt=login can be honoured",
            )
    return "select_account" in prompt and sent_at is None
