"""From the rows of another library to records of our store, in batches: what was done is never lost.

A row that cannot be taken is reported, all others are. What is here already stays as it is, so that a second run
changes nothing.
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
    """One run. Raises :exc:`ConfigurationError` for tables or columns that are not there."""

    def __init__(
        self, server: AuthorizationServer, source: Source, database: ForeignDatabase, options: Options
    ) -> None:
        names = options.tables
        clients = Rows(database, names.client or source.tables.client, source.client_columns, source, options)
        tokens = Rows(database, names.token or source.tables.token, source.token_columns, source, options)
        known = {*source.client_columns, *source.token_columns}
        for name, column in options.columns.items():
            if name not in known:
                raise ConfigurationError(f"{source.name} has no field {name}; it has {', '.join(sorted(known))}")
            if column not in clients.columns | tokens.columns:
                raise ConfigurationError(f"there is no column {column} in the tables, which --column {name} names")
        self._codes = database.find(names.code or source.tables.code)
        if names.code and self._codes is None:
            raise ConfigurationError(f"there is no table {names.code}")
        self._database = database
        self.report = Report()
        self._clients = Clients(server, source, clients, options, self.report)
        self._tokens = Tokens(server, source, tokens, options, self.report, self._clients)

    def __len__(self) -> int:
        """How many rows there are to read."""
        return len(self._clients.rows) + len(self._tokens.rows)

    def run(self) -> Iterator[int]:
        """Do it. Yields how many rows were read, after each batch that was filed."""
        for part in (self._clients, self._tokens):
            for batch in part.rows.read():
                part.take(batch)
                yield len(batch)
        if self._codes is not None:
            self.report.codes = self._database.count(self._codes)
