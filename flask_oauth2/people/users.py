"""Users: whether one is active."""

from __future__ import annotations

from ..records import NOBODY
from ..server import AuthorizationServer


def is_active(server: AuthorizationServer, user_id: str) -> bool:
    """Return whether a user is active.

    The application's ``user_is_active`` decides. Without it, a ``userloader`` of the provider must find the user.
    """
    policy = server.policies.user_is_active
    if policy is not None:
        return bool(policy(user_id))
    loader = server.callbacks.userloader
    return loader is None or loader(user_id) not in NOBODY
