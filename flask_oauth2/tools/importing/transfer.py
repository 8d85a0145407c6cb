"""The import of the rows of another library, batch by batch.

Each batch is committed, so an interrupted run loses nothing. A row that cannot be imported is reported, and the run
continues. The run does not change clients and tokens that the provider already has, so you can repeat it.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import ConfigurationError
from ...server import AuthorizationServer
from ...stores.sqlalchemy.foreign_tables import ForeignDatabase
from .base import Source
from .clients import Clients
from .rows import Rows
from .run import Options, Report
from .tokens import Tokens


class Transfer:
    """One run. Raise :exc:`ConfigurationError` for tables or columns that do not exist."""

    def __init__(
        self, server: AuthorizationServer, source: Source, database: ForeignDatabase, options: Options
    ) -> None:
        names = options.tables
        clients = Rows(database, names.client or source.tables.client, source.client_columns, source, options)
        tokens = Rows(database, names.token or source.tables.token, source.token_columns, source, options)
        known = {*source.client_columns, *source.token_columns}
        for name, column in options.columns.items():
            if name not in known:
                raise ConfigurationError(f"{source.name} has no field {name}. Its fields: {', '.join(sorted(known))}")
            if column not in clients.columns | tokens.columns:
                raise ConfigurationError(f"the tables have no column {column}: correct --column {name}")
        self._codes = database.find(names.code or source.tables.code)
        if names.code and self._codes is None:
            raise ConfigurationError(f"the table {names.code} does not exist: correct --code-table")
        self._database = database
        self.report = Report()
        self._clients = Clients(server, source, clients, options, self.report)
        self._tokens = Tokens(server, source, tokens, options, self.report, self._clients)

    def __len__(self) -> int:
        """Return the number of rows to read."""
        return len(self._clients.rows) + len(self._tokens.rows)

    def run(self) -> Iterator[int]:
        """Import all rows. Yield the number of rows of each committed batch."""
        for part in (self._clients, self._tokens):
            for batch in part.rows.read():
                part.import_batch(batch)
                yield len(batch)
        if self._codes is not None:
            self.report.codes = self._database.count(self._codes)
