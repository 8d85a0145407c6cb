"""Step-up authentication, :rfc:`9470`: how and when the user of a token must have been authenticated."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple

from .. import scopes
from ..errors import InsufficientUserAuthentication
from .verify import Verified


class RequiredAuthentication(NamedTuple):
    """The authentication that a guard requires."""

    acr: tuple[str, ...] = ()
    """The accepted authentication context classes, the preferred one first. Empty: every class and none."""
    max_age: int | None = None
    """The maximum number of seconds since the user signed in. None: no limit."""


def parse_authentication(acr: str | Iterable[str] | None, max_age: int | None) -> RequiredAuthentication | None:
    """Return what a guard requires, from its arguments, or None if it requires nothing.

    Raises :exc:`TypeError` and :exc:`ValueError` for arguments that no token can satisfy or that mean nothing.
    """
    if acr is None and max_age is None:
        return None
    accepted = () if acr is None else scopes.parse_option(acr)  # names of the same characters
    if acr is not None and not accepted:
        raise ValueError("require_oauth was given an empty acr: leave it out to accept any authentication")
    if max_age is not None and (isinstance(max_age, bool) or not isinstance(max_age, int)):
        raise TypeError(f"max_age must be a number of seconds, not {max_age!r}")
    if max_age is not None and max_age < 1:
        raise ValueError(f"max_age must be at least 1 second, because signing in takes longer, not {max_age}")
    return RequiredAuthentication(accepted, max_age)


def verify_authentication(verified: Verified, required: RequiredAuthentication) -> None:
    """Raise :exc:`InsufficientUserAuthentication` unless the user of a token was authenticated as required."""
    context = verified.access.context
    if required.acr and context.acr not in required.acr:
        raise InsufficientUserAuthentication(
            "the user must sign in in another way",
            acr_values=required.acr,
            max_age=required.max_age,
            received=f"acr {context.acr}" if context.acr else "no acr",
        )
    if required.max_age is None:
        return
    now = time.time() if verified.now is None else verified.now
    if context.auth_time is None or now - context.auth_time > required.max_age:
        raise InsufficientUserAuthentication(
            "the user must sign in again",
            acr_values=required.acr,
            max_age=required.max_age,
            received="no auth_time" if context.auth_time is None else f"auth_time {context.auth_time}",
        )
