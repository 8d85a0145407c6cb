"""The ``prompt`` parameter, OpenID Connect Core 1.0 section 3.1.2.1: whether the user must, or must not, be asked."""

from __future__ import annotations

from ..errors import InvalidRequest, LoginRequired
from ..messages import Params
from ..records import User

VALUES = frozenset({"none", "login", "consent", "select_account"})

_RULE = "openid-connect-core-1_0 3.1.2.1"


def read(params: Params) -> frozenset[str]:
    """The words of the parameter. Raises :exc:`InvalidRequest` for an unknown one, and for ``none`` beside another."""
    words = frozenset((params.get("prompt") or "").split())
    if not words <= VALUES:
        raise InvalidRequest(
            "prompt is not supported",
            rule=_RULE,
            expected=" ".join(sorted(VALUES)),
            came=" ".join(words),
            cure="let the client leave out prompt, or send one that is supported",
        )
    if "none" in words and len(words) > 1:
        raise InvalidRequest("prompt is none and something else", rule=_RULE, came=" ".join(words))
    return words


def is_silent(params: Params) -> bool:
    """Whether the client wants an answer at once, whoever is there."""
    return (params.once("prompt") or "").split() == ["none"]


def asks_for_login(params: Params) -> bool:
    """Whether it must be seen that the request was at the login page; whatever else it asks is looked at later."""
    return not {"login", "select_account"}.isdisjoint((params.once("prompt") or "").split())


def must_sign_in(prompt: frozenset[str], user: User, sent_at: int | None) -> bool:
    """Whether the user must (again) go to the login page first.

    ``sent_at`` is when this request sent somebody there, None where it did not. Raises :exc:`LoginRequired` where
    nobody could tell afterwards whether the user did sign in.
    """
    if "login" in prompt:
        if user.auth_time is not None:
            return sent_at is None or user.auth_time < sent_at
        if sent_at is None:
            raise LoginRequired(
                "the user cannot be asked to sign in again here",
                rule="openid-connect-core-1_0 3.1.2.3",
                cure="return a User with auth_time from @provider.current_user, so that prompt=login can be honoured",
            )
    return "select_account" in prompt and sent_at is None
