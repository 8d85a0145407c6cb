"""The ``client_id`` of an authorization request, :rfc:`6749#section-4.1.1`."""

from __future__ import annotations

from ..clients import lookup
from ..clients.authentication.base import is_vschar
from ..clients.documents import is_url
from ..errors import InvalidRequest
from ..server import AuthorizationServer
from .request import AuthorizationRequest


def check(draft: AuthorizationRequest, server: AuthorizationServer) -> AuthorizationRequest:
    """Set the client. Raise :exc:`InvalidRequest` if it is unknown.

    Fetch the metadata document of the client if it is not cached. A pushed request already has an authenticated client,
    whose ID must be the ``client_id`` of the request.
    """
    client_id = draft.params.require("client_id")
    if draft.is_pushed:
        # a pushed request contains client_id like any other authorization request, RFC 9126 2.1
        if client_id != draft.client.client_id:
            raise InvalidRequest(
                "client_id is not that of the client that authenticated",
                rule="rfc9126 2.1",
                expected=draft.client.client_id,
                received=client_id,
                hint="let the client push its own client_id",
            )
        return draft
    client = server.store.get_client(client_id) if is_vschar(client_id) else None
    client = client or lookup.find_document_client(server, client_id, InvalidRequest)
    if client is None:
        # "MUST NOT automatically redirect the user-agent to the invalid redirection URI", RFC 6749 4.1.2.1
        raise InvalidRequest("client_id is unknown", rule="rfc6749 4.1.2.1", received=client_id, hint=_hint(client_id))
    return draft._replace(client=client)


def _hint(client_id: str) -> str | None:
    if not is_url(client_id):
        return None
    return "set OAUTH2_CLIENT_ID_METADATA_DOCUMENTS to True to accept clients with metadata documents"
