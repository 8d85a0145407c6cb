"""Users: whether one is active."""

from __future__ import annotations

from inspect import isawaitable

from ..records import NOBODY, decide
from ..server import AuthorizationServer


def is_active(server: AuthorizationServer, user_id: str) -> bool:
    """Return whether a user is active.

    The application's ``user_is_active`` decides. Without it, a ``userloader`` of the provider must find the user.
    """
    policy = server.policies.user_is_active
    if policy is not None:
        return decide(policy(user_id), "user_is_active")
    loader = server.callbacks.userloader
    if loader is None:
        return True
    found = loader(user_id)
    return decide(found, "userloader") if isawaitable(found) else found not in NOBODY
