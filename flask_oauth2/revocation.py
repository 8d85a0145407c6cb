"""Revocation: a record that outlives what it revokes, and that every process learns of.

An ID that can be revoked is that of an authorization (everything that was issued for it), of an access token, of a
consent, or of a client.
"""

from __future__ import annotations

from . import signals, values
from .server import AuthorizationServer


def revoke(server: AuthorizationServer, revoked_id: str, now: float) -> None:
    """Revoke everything with an ID, for longer than any token that is issued now can live."""
    server.store.revoke(revoked_id, expires_at(server, now))
    forget(server, revoked_id)


def forget(server: AuthorizationServer, revoked_id: str) -> None:
    """Let the guards of this process forget what rests on a revoked ID."""
    for listener in server.revocation_listeners:
        listener(revoked_id)


def publish(server: AuthorizationServer, revoked_id: str) -> None:
    """Let the guards of all processes forget what rests on a revoked ID, if the store did not publish it itself."""
    forget(server, revoked_id)
    if server.stores.pubsub is not None:
        server.stores.pubsub.publish(revoked_id)


def expires_at(server: AuthorizationServer, now: float) -> int:
    """Return when a revocation of now can be deleted, in seconds since the epoch, UTC."""
    return int(now) + server.longest_lifetime + 1


def begin(server: AuthorizationServer, now: float) -> float:
    """Return the time up to which a revocation covers authorizations. Those that begin from now on are later."""
    last = max(now, server.last_revocation.first_moment)
    server.last_revocation.first_moment = (int(last * 1000) + 1.5) / 1000
    return last


def revoke_user(server: AuthorizationServer, user_id: str) -> None:
    """Revoke every code, device code, token and consent of a user that exists at this moment, with one record.

    The record also covers what another worker is about to save for an authorization that has begun. Authorizations that
    begin afterwards are not affected, so a user who stays signs in again.
    """
    now = server.clock()
    last_id = values.last_authorization_id(begin(server, now))
    server.store.revoke_user(user_id, last_id, expires_at(server, now))
    forget(server, values.user_revocation_id(user_id, last_id))
    server.events.emit(signals.user_revoked, user_id=user_id)
