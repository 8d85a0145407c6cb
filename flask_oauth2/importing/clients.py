"""From a row of another library to a client of ours."""

from __future__ import annotations

from dataclasses import replace

from .. import signals, urls
from ..clients import rules
from ..clients.from_object import DEFAULT_GRANT_TYPES
from ..records import Client
from ..server import AuthorizationServer
from .base import ForeignClient, Row, Source, Unreadable, text
from .rows import Read, Rows
from .run import Finding, Options, Report


class Clients:
    """The clients that a run takes over."""

    def __init__(
        self, server: AuthorizationServer, source: Source, rows: Rows, options: Options, report: Report
    ) -> None:
        self.rows = rows
        self._server = server
        self._source = source
        self._options = options
        self._report = report
        self._now = int(server.clock())
        self._is_here: dict[str, bool] = {}

    def has(self, client_id: str) -> bool:
        """Whether the client is here, or would be."""
        is_here = self._is_here.get(client_id)
        if is_here is None:
            is_here = self._is_here[client_id] = self._server.store.get_client(client_id) is not None
        return is_here

    def take(self, batch: list[Read]) -> None:
        """File those that are not here."""
        for read in batch:
            self._take(read)

    def _take(self, read: Read) -> None:
        count, table = self._report.clients, self.rows.name
        try:
            client, notes = self._make(read.row)
        except ValueError as error:
            count.left += 1
            self._report.left.append(Finding(table, read.identity, str(error)))
            return
        if client is None:
            count.already_there += 1
            return
        if not self._options.dry_run:
            self._server.store.set_client(client)
            self._server.events.emit(
                signals.client_created, client_id=client.client_id, registered_by=client.registered_by
            )
        self._is_here[client.client_id] = True
        count.taken += 1
        self._report.notes.extend(Finding(table, read.identity, note) for note in notes)

    def _make(self, row: Row) -> tuple[Client | None, list[str]]:
        """The client of a row, None where it is here. Raises :exc:`ValueError` for one that cannot be taken."""
        client_id = text(row, "client_id")
        rules.check_client_id(client_id)
        if self.has(client_id):
            return None, []
        if self._server.callbacks.clientgetter is not None:
            raise Unreadable("the application's clientgetter, which keeps the clients, does not know it")
        if self._server.store.revoked(client_id):
            raise Unreadable("a client of that id was deleted here, and all its tokens with it")
        found = self._source.read_client(row)
        is_native = any(not urls.is_web(uri) for uri in found.redirect_uris)
        is_confidential = found.auth_method != "none" and not is_native
        grant_types, response_types, notes = _fit_types(found, is_confidential, self._server)
        client = Client(
            client_id=found.client_id,
            name=found.name,
            secret=found.secret,
            auth_method=found.auth_method,
            application_type="native" if is_native else "web",
            redirect_uris=found.redirect_uris,
            grant_types=grant_types,
            response_types=response_types,
            scope=found.scope,
            pkce_required=self._options.pkce_required if is_confidential else None,
            metadata=found.metadata,
            created_at=found.created_at or self._now,
        )
        client, dropped = self._without_bad_pages(client)
        return client, [*found.notes, *notes, *dropped]

    def _without_bad_pages(self, client: Client) -> tuple[Client, list[str]]:
        """What is only shown to people does not keep a client out."""
        dropped: list[str] = []
        while True:
            try:
                rules.check(client, self._server)
            except rules.InvalidMetadata as error:
                if error.field not in client.metadata:
                    raise
                dropped.append(f"without {error}")
                rest = {name: value for name, value in client.metadata.items() if name != error.field}
                client = replace(client, metadata=rest)
            else:
                return client, dropped


def _fit_types(
    client: ForeignClient, is_confidential: bool, server: AuthorizationServer
) -> tuple[tuple[str, ...], tuple[str, ...], list[str]]:
    """The grant types and the response types that the client has here, and what was left out, in words.

    Those are the types that are offered and that such a client can use: only a confidential client acts for itself, and
    without a redirect URI no user comes back to it.
    """
    begun = {kind.grant_type for kind in server.capabilities.response_types.values()}
    wanted = DEFAULT_GRANT_TYPES if client.grant_types is None else client.grant_types
    grant_types = tuple(
        name
        for name in wanted
        if name in server.capabilities.grant_types
        and (is_confidential or name != "client_credentials")
        and (client.redirect_uris or name not in begun)
    )
    if rules.GIVES_NO_REFRESH_TOKEN.issuperset(grant_types):
        grant_types = tuple(name for name in grant_types if name != "refresh_token")
    offered = [sorted(names) for names in server.capabilities.response_type_sets]
    response_types = tuple(
        text
        for text in client.response_types
        if sorted(text.split()) in offered
        and all(server.capabilities.response_types[word].grant_type in grant_types for word in text.split())
    )
    left_out = [name for name in (*wanted, *client.response_types) if name not in (*grant_types, *response_types)]
    notes = [f"without {', '.join(left_out)}: not offered here, or not for such a client"] if left_out else []
    answered = {server.capabilities.response_types[word].grant_type for text in response_types for word in text.split()}
    others = tuple(name for name in grant_types if name not in answered)
    return grant_types, (*response_types, *rules.default_response_types(others, server)), notes
