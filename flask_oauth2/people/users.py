"""Users: whether one is active."""

from __future__ import annotations

from .. import revocation
from ..errors import InvalidGrant
from ..records import NOBODY
from ..server import AuthorizationServer
from ..tokens.base import TokenGrant


def is_active(server: AuthorizationServer, user_id: str) -> bool:
    """Return whether a user is active.

    The application's ``user_is_active`` decides. Without it, a ``userloader`` of the provider must find the user.
    """
    policy = server.policies.user_is_active
    if policy is not None:
        return bool(policy(user_id))
    loader = server.callbacks.userloader
    return loader is None or loader(user_id) not in NOBODY


def reject_inactive(server: AuthorizationServer, grant: TokenGrant, now: float) -> InvalidGrant:
    """Return the error of a grant for a user who is not active. Nothing is consumed.

    A credential that was used before is a replay, so its family is revoked all the same.
    """
    authorization, spend = grant.authorization, grant.spend
    if spend is not None and spend.used_at is not None:
        revocation.revoke(server, authorization.id, now)
    return InvalidGrant(
        "the user is not active",
        rule="rfc6749 5.2",
        expected="a user for whom user_is_active, or else the userloader, finds something",
        came=f"user {authorization.user_id}",
        cure="if the user has left for good: flask oauth2 user revoke USER_ID",
    )
