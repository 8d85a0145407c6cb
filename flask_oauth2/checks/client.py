"""The ``client_id`` of an authorization request, :rfc:`6749#section-4.1.1`."""

from __future__ import annotations

from ..clients import lookup
from ..clients.authentication.base import is_vschar
from ..clients.documents import is_url
from ..errors import InvalidRequest
from ..server import AuthorizationServer
from .request import AuthorizationRequest


def check(draft: AuthorizationRequest, server: AuthorizationServer) -> AuthorizationRequest:
    """Find the client. Raise :exc:`InvalidRequest` if there is none.

    A metadata document that is not cached is fetched. A pushed request already has its client, which must be the one
    that it names.
    """
    client_id = draft.params.require("client_id")
    if draft.is_pushed:
        # "client_id" is a parameter of every authorization request, pushed ones too, :rfc:`9126#section-2.1`
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
        # "the authorization server SHOULD inform the resource owner of the error and MUST NOT automatically redirect"
        hint = _advise(client_id)
        raise InvalidRequest("client_id is unknown", rule="rfc6749 4.1.2.1", received=client_id, hint=hint)
    return draft._replace(client=client)


def _advise(client_id: str) -> str | None:
    return (
        "set OAUTH2_CLIENT_ID_METADATA_DOCUMENTS to True to take clients by their URLs" if is_url(client_id) else None
    )
