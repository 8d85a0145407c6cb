"""Find clients in the store, or behind the URL that is their client_id."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import cast

from .. import values
from ..errors import InvalidClient, OAuth2Error
from ..http.messages import Params
from ..records import Client
from ..server import AuthorizationServer
from .document_cache import Documents, can_fetch
from .documents import is_url

_NEEDS_DOCUMENT = frozenset({"client_assertion", "response_type"})
"""The parameters of requests that cannot be verified without the document of the client."""

log = logging.getLogger("flask_oauth2")


def find_client(server: AuthorizationServer, client_id: str, refusal: type[OAuth2Error] | None = None) -> Client | None:
    """Return the client of the store, or the one behind its URL; None if there is none.

    :param refusal: the error to raise, with the reason, if the document behind the URL is not valid.

    Raises :exc:`~.errors.TemporarilyUnavailable` if too many documents are being fetched.
    """
    return server.store.get_client(client_id) or find_document_client(server, client_id, refusal)


def find_document_client(
    server: AuthorizationServer, client_id: str, refusal: type[OAuth2Error] | None = None
) -> Client | None:
    """Return the client behind its URL, for a ``client_id`` that the store does not have."""
    if server.documents is None or not is_url(client_id):
        return None
    found = server.documents.find(client_id)
    if isinstance(found, Client):
        return found
    if refusal is None:
        return None
    raise refusal(found.reason, rule=found.rule, received=found.received, hint=found.hint)


def find_caller(server: AuthorizationServer, client_id: str, form: Params, spend: Callable[[], None]) -> Client | None:
    """Return the client whose ``client_id`` is the URL of its metadata document, for endpoints without a user.

    Fetch the document if the code or token in the request was issued to the client, because then a user has signed in.
    Otherwise, presume its metadata: such a client can only receive a device code, which a user must approve. A client
    assertion and a pushed authorization request cannot be verified without the document. Fetch it for them too.

    :param spend: raises an error if the server has fetched too many documents for such requests.
    """
    documents: Documents | None = server.documents
    if documents is None or not is_url(client_id):
        return None
    if documents.find_cached(client_id) is None and client_id not in _find_holders(server, form):
        if _NEEDS_DOCUMENT.isdisjoint(form.values):
            return documents.presume(client_id)
        spend()
    return find_document_client(server, client_id, InvalidClient)


def _find_holders(server: AuthorizationServer, form: Params) -> Iterator[str]:
    """Yield the clients that the codes and tokens of a request were issued to, even if they were consumed."""
    store = server.store
    for kind in ("code", "device_code"):  # the name of the parameter, too
        value = form.once(kind)
        grant = store.get_grant(values.key(value), kind) if value else None
        if grant is not None and grant.authorization is not None:
            yield grant.authorization.client_id
    for value in filter(None, (form.once("refresh_token"), form.once("token"))):
        key = values.key(value)
        token = store.get_refresh(key)
        access = token.access if token is not None else store.get_access(key)
        for token_format in server.capabilities.self_contained_formats.values():
            access = access or token_format.read(value)
        if access is not None:
            yield access.client_id


def find_known_client(server: AuthorizationServer, client_id: str) -> Client | None:
    """Return a client for a page that only shows which one it is: nothing is fetched."""
    return server.store.get_client(client_id) or find_cached_client(server, client_id)


def find_cached_client(server: AuthorizationServer, client_id: str) -> Client | None:
    """Return the client behind its URL if its document is in memory. The store is not read."""
    return None if server.documents is None else cast("Client | None", server.documents.find_cached(client_id))


def open_documents(server: AuthorizationServer) -> Documents | None:
    """Return the clients behind URLs if the server accepts them.

    It does if ``OAUTH2_CLIENT_ID_METADATA_DOCUMENTS`` says so, or if MCP clients are expected and documents can be
    fetched.
    """
    chosen = server.settings.client_id_metadata_documents
    if chosen is None and server.is_for_mcp:
        chosen = can_fetch()
        if not chosen:
            log.info(
                "MCP clients that are known by the URL of a document have to register here: install "
                "flask_oauth2[documents], or set OAUTH2_CLIENT_ID_METADATA_DOCUMENTS = False to be told no more"
            )
    return Documents(server) if chosen else None
