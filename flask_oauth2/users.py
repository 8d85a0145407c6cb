"""Users who leave: the end of all that they authorized, and whether a user is still active."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import signals, values
from .errors import InvalidGrant

if TYPE_CHECKING:
    from .grants.base import TokenGrant
    from .server import Server


def revoke_user(server: Server, user_id: str) -> None:
    """Revoke every code, device code, token and consent of a user that exists at this moment, with one record.

    The record also covers what another worker is about to save for an authorization that has begun. Authorizations that
    begin afterwards are not affected, so a user who stays signs in again.
    """
    now = server.clock()
    last_id = values.last_family(server.begin_revocation(now))
    server.store.revoke_user(user_id, last_id, server.mark_until(now))
    server.forget(values.user_mark(user_id, last_id))
    server.tell(signals.user_revoked, user_id=user_id)


def reject_inactive(server: Server, decided: TokenGrant, now: float) -> InvalidGrant:
    """Return the error of a grant for a user who is not active. Nothing is consumed.

    A credential that was used before is a replay, so its family is revoked all the same.
    """
    authorization, spend = decided.authorization, decided.spend
    if spend is not None and spend.used_at is not None:
        server.end(authorization.id, now)
    return InvalidGrant(
        "the user is not active",
        rule="rfc6749 5.2",
        expected="a user for whom user_is_active, or else the userloader, finds something",
        came=f"user {authorization.user_id}",
        cure="if the user has left for good: flask oauth2 user revoke USER_ID",
    )
