"""Where clients are found: in the store, or behind the URL that is their client_id."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .. import values
from ..errors import InvalidClient, OAuth2Error
from ..messages import Params
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

    def find_caller(self, client_id: str, form: Params) -> Client | None:
        """The same for an endpoint of programs, where anybody may send any ``client_id``: a document is asked for only
        where the code or token that comes with it was given to that client, as somebody has signed in for it.

        Without, it is taken at its word: there is nothing that it could get, but codes for a device, whose user comes
        later.
        """
        if self.documents is None or not is_url(client_id):
            return None
        if self.documents.find_kept(client_id) is None and client_id not in self._find_holders(form):
            return self.documents.presume(client_id)
        return self.find_document(client_id, InvalidClient)

    def _find_holders(self, form: Params) -> Iterator[str]:
        """The clients that the codes and tokens of a request were given to, whatever became of them."""
        store = self._server.store
        for kind in ("code", "device_code"):  # the name of the parameter, too
            value = form.once(kind)
            grant = store.get_grant(values.key(value), kind) if value else None
            if grant is not None and grant.authorization is not None:
                yield grant.authorization.client_id
        for value in filter(None, (form.once("refresh_token"), form.once("token"))):
            key = values.key(value)
            token = store.get_refresh(key)
            access = token.access if token is not None else store.get_access(key)
            for token_format in self._server.offer.self_contained_formats.values():
                access = access or token_format.read(value)
            if access is not None:
                yield access.client_id

    def find_known(self, client_id: str) -> Client | None:
        """The same as :meth:`find` for a page that only shows who it is: nothing is fetched."""
        return self._server.store.get_client(client_id) or self.find_kept(client_id)

    def find_kept(self, client_id: str) -> Client | None:
        """The one behind its URL where its document is at hand: the store is not asked either."""
        return None if self.documents is None else self.documents.find_kept(client_id)


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
