"""Where clients are found: in the store, or behind the URL that is their client_id."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..errors import OAuth2Error
from ..records import Client
from .document_cache import Documents, can_fetch
from .documents import is_url

if TYPE_CHECKING:
    from ..server import Server

log = logging.getLogger("flask_oauth2")


class Directory:
    """The clients of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.documents = Documents(server) if _takes_documents(server) else None
        """The clients that are known by the URL of their metadata, where these are welcome."""

    def find(self, client_id: str, refusal: type[OAuth2Error] | None = None) -> Client | None:
        """The client of the store, or the one behind its URL; None where there is none.

        Where the document behind the URL will not do, ``refusal`` is raised with the reason. Raises
        :exc:`~.errors.TemporarilyUnavailable` where too many are being fetched.
        """
        return self._server.store.get_client(client_id) or self.find_document(client_id, refusal)

    def find_document(self, client_id: str, refusal: type[OAuth2Error] | None = None) -> Client | None:
        """The same where the store is known to have none of that id."""
        if self.documents is None or not is_url(client_id):
            return None
        found = self.documents.find(client_id)
        if isinstance(found, Client):
            return found
        if refusal is None:
            return None
        raise refusal(found.reason, rule=found.rule, came=found.came, cure=found.cure)

    def find_known(self, client_id: str) -> Client | None:
        """The same as :meth:`find` for a page that only shows who it is: nothing is fetched."""
        client = self._server.store.get_client(client_id)
        if client is None and self.documents is not None:
            return self.documents.find_kept(client_id)
        return client


def _takes_documents(server: Server) -> bool:
    """By ``OAUTH2_CLIENT_ID_DOCUMENTS``, or because MCP clients are expected and it can be done."""
    chosen = server.settings.client_id_documents
    if chosen is not None or not server.is_for_mcp:
        return bool(chosen)
    if not can_fetch():
        log.info(
            "MCP clients that are known by the URL of a document have to register here: install "
            "flask_oauth2[documents], or set OAUTH2_CLIENT_ID_DOCUMENTS = False to be told no more"
        )
    return can_fetch()
