"""Import of clients: from rows of another library to clients of the provider."""

from __future__ import annotations

from dataclasses import replace

from ... import signals
from ...clients import rules
from ...clients.from_object import DEFAULT_GRANT_TYPES
from ...http import urls
from ...records import Client
from ...server import AuthorizationServer
from .base import ForeignClient, Row, Source, Unreadable, read_text
from .rows import Rows, SourceRow
from .run import Finding, Options, Report


class Clients:
    """The clients that one run imports."""

    def __init__(
        self, server: AuthorizationServer, source: Source, rows: Rows, options: Options, report: Report
    ) -> None:
        self.rows = rows
        self._server = server
        self._source = source
        self._options = options
        self._report = report
        self._now = int(server.clock())
        self._has: dict[str, bool] = {}

    def has(self, client_id: str) -> bool:
        """Return whether the provider has the client, or would have it after a dry run."""
        is_known = self._has.get(client_id)
        if is_known is None:
            is_known = self._has[client_id] = self._server.store.get_client(client_id) is not None
        return is_known

    def import_batch(self, batch: list[SourceRow]) -> None:
        """Save the clients that the provider does not have."""
        for read in batch:
            self._import_row(read)

    def _import_row(self, read: SourceRow) -> None:
        count, table = self._report.clients, self.rows.name
        try:
            client, notes = self._read(read.row)
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
        self._has[client.client_id] = True
        count.taken += 1
        self._report.notes.extend(Finding(table, read.identity, note) for note in notes)

    def _read(self, row: Row) -> tuple[Client | None, list[str]]:
        """Return the client of a row and notes about it, or None for a client that the provider has.

        Raise :exc:`ValueError` for a client that cannot be imported.
        """
        client_id = read_text(row, "client_id")
        rules.check_client_id(client_id)
        if self.has(client_id):
            return None, []
        if self._server.callbacks.clientgetter is not None:
            raise Unreadable(
                "the application's clientgetter does not return this client: add it to the application first"
            )
        if self._server.store.revoked(client_id):
            raise Unreadable("a client with this ID was deleted in this provider, and its tokens were revoked")
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
        """Return the client without invalid metadata that is only displayed, and a note for each removed value."""
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
    """Return the grant types and response types of the imported client, and a note that names the removed types."""
    wanted = DEFAULT_GRANT_TYPES if client.grant_types is None else client.grant_types
    grant_types = _usable_grant_types(wanted, client, is_confidential, server)
    response_types = _usable_response_types(client.response_types, grant_types, server)
    left_out = [name for name in (*wanted, *client.response_types) if name not in (*grant_types, *response_types)]
    notes = [f"without {', '.join(left_out)}: not supported here, or not for such a client"] if left_out else []
    answered = {grant_type for text in response_types for grant_type in _grant_types_of(text, server)}
    others = tuple(name for name in grant_types if name not in answered)
    return grant_types, (*response_types, *rules.default_response_types(others, server)), notes


def _usable_grant_types(
    wanted: tuple[str, ...], client: ForeignClient, is_confidential: bool, server: AuthorizationServer
) -> tuple[str, ...]:
    """Return the wanted grant types that the provider supports and that such a client can use.

    Only a confidential client can use client_credentials. A client without a redirect URI can use no grant type that
    begins at the authorization endpoint.
    """
    usable = set(server.capabilities.grant_types)
    if not is_confidential:
        usable.discard("client_credentials")
    if not client.redirect_uris:
        usable -= {kind.grant_type for kind in server.capabilities.response_types.values()}
    grant_types = tuple(name for name in wanted if name in usable)
    if rules.GIVES_NO_REFRESH_TOKEN.issuperset(grant_types):
        grant_types = tuple(name for name in grant_types if name != "refresh_token")
    return grant_types


def _usable_response_types(
    wanted: tuple[str, ...], grant_types: tuple[str, ...], server: AuthorizationServer
) -> tuple[str, ...]:
    """Return the wanted response types that the provider supports and whose grant types the client has."""
    supported = [sorted(names) for names in server.capabilities.response_type_sets]
    return tuple(
        text
        for text in wanted
        if sorted(text.split()) in supported and _grant_types_of(text, server).issubset(grant_types)
    )


def _grant_types_of(response_type: str, server: AuthorizationServer) -> set[str]:
    return {server.capabilities.response_types[name].grant_type for name in response_type.split()}
