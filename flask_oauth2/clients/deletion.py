"""The deletion of a client, for all parties that may delete one."""

from __future__ import annotations

from .. import revocation, signals
from ..records import Client
from ..server import AuthorizationServer


def delete_client(server: AuthorizationServer, client: Client) -> bool:
    """Delete a client and revoke everything issued to it. Return whether the client existed."""
    client_id = client.client_id
    existed = server.store.delete_client(client_id, revocation.expires_at(server, server.clock()))
    if existed:
        server.events.emit(signals.client_deleted, client_id=client_id, registered_by=client.registered_by)
    revocation.forget(server, client_id)
    return existed
