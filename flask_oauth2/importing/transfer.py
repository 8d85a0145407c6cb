"""From the rows of another library to records of our store, in batches: what was done is never lost.

A row that cannot be taken is reported, all others are. What is here already stays as it is, so that a second run
changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from .. import scopes, signals, values
from ..clients import rules
from ..errors import ConfigurationError
from ..records import AccessToken, Authorization, Client, Token, identify
from ..server import Server
from ..stores.base import find_import
from ..stores.sqlalchemy.foreign import Change, ForeignDatabase, ForeignTable
from .base import Columns, ForeignClient, Row, Source, Tables, Unreadable

DEFAULT_GRANT_TYPES = ("authorization_code", "password", "client_credentials", "refresh_token")
"""Those of a client that names none."""

_SECRET = frozenset({"access_token", "refresh_token", "client_secret"})
"""Fields that are never shown."""

_TOKENS = ("access_token", "refresh_token")

KEY_LENGTH = len(values.text(values.key("")))
"""Characters of a key as text."""

_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")


class Finding(NamedTuple):
    """What is said of a row: its table, its primary key, and a sentence that holds no secret."""

    table: str
    id: str
    reason: str


@dataclass(slots=True)
class Count:
    """How many rows of a table were taken, were here already, have ended, could not be taken."""

    taken: int = 0
    already_there: int = 0
    ended: int = 0
    left: int = 0


@dataclass(slots=True)
class Report:
    """What a run did, or would do. ``codes`` counts those that wait to be redeemed there, which are not taken.

    ``shortened`` counts access tokens that would live longer there, ``rewritten`` the rows that hold our keys now.
    """

    clients: Count = field(default_factory=Count)
    tokens: Count = field(default_factory=Count)
    codes: int = 0
    shortened: int = 0
    rewritten: int = 0
    left: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to import.

    :param tables: the names of the tables, an empty one for the documented name.
    :param columns: names of columns that are not the documented ones, by field.
    :param dry_run: write nothing.
    :param in_place: put our keys in place of the tokens in their table.
    :param pkce_required: of confidential clients; None leaves it to the settings.
    """

    tables: Tables = Tables("", "", "")
    columns: Mapping[str, str] = field(default_factory=dict)
    dry_run: bool = False
    in_place: bool = False
    pkce_required: bool | None = None


class Transfer:
    """One run. Raises :exc:`ConfigurationError` for tables or columns that are not there."""

    def __init__(self, server: Server, source: Source, database: ForeignDatabase, options: Options) -> None:
        store = find_import(server.store)
        if store is None:
            raise ConfigurationError("this store cannot tell which tokens it has: it needs find_known(keys)")
        self._store = store
        self._server = server
        self._source = source
        self._database = database
        self._options = options
        self._now = int(server.clock())
        names = options.tables
        self._clients = _Reader(database, names.client or source.tables.client, source.client_columns, source, options)
        self._tokens = _Reader(database, names.token or source.tables.token, source.token_columns, source, options)
        known = {*source.client_columns, *source.token_columns}
        for name, column in options.columns.items():
            if name not in known:
                raise ConfigurationError(f"{source.name} has no field {name}; it has {', '.join(sorted(known))}")
            if column not in self._clients.names | self._tokens.names:
                raise ConfigurationError(f"there is no column {column} in the tables, which --column {name} names")
        if options.in_place:
            self._tokens.check_lengths()
        self._codes = database.find(names.code or source.tables.code)
        if names.code and self._codes is None:
            raise ConfigurationError(f"there is no table {names.code}")
        self._is_here: dict[str, bool] = {}
        self._pretended: set[bytes] = set()
        self.report = Report()

    def __len__(self) -> int:
        """How many rows there are to read."""
        return self._database.count(self._clients.table) + self._database.count(self._tokens.table)

    def run(self) -> Iterator[int]:
        """Do it. Yields how many rows were read, after each batch that was filed."""
        for clients in self._clients.read():
            for read in clients:
                self._take_client(read.identity, read.row)
            yield len(clients)
        for tokens in self._tokens.read():
            self._take_tokens(tokens)
            yield len(tokens)
        if self._codes is not None:
            self.report.codes = self._database.count(self._codes)

    # clients

    def _take_client(self, identity: str, row: Row) -> None:
        count, table = self.report.clients, self._clients.table.name
        try:
            client, notes = self._make_client(row)
        except ValueError as error:
            count.left += 1
            self.report.left.append(Finding(table, identity, str(error)))
            return
        if client is None:
            count.already_there += 1
            return
        if not self._options.dry_run:
            self._server.store.set_client(client)
            self._server.tell(signals.client_created, client_id=client.client_id)
        self._is_here[client.client_id] = True
        count.taken += 1
        self.report.notes.extend(Finding(table, identity, note) for note in notes)

    def _make_client(self, row: Row) -> tuple[Client | None, list[str]]:
        """The client of a row, None where it is here. Raises :exc:`ValueError` for one that cannot be taken."""
        client_id = str(row.get("client_id") or "")
        rules.check_client_id(client_id)
        if self._has_client(client_id):
            return None, []
        if self._server.callbacks.clientgetter is not None:
            raise Unreadable("the application's clientgetter, which keeps the clients, does not know it")
        if self._server.store.revoked(client_id):
            raise Unreadable("a client of that id was deleted here, and all its tokens with it")
        found = self._source.read_client(row)
        grant_types, response_types, notes = _fit_types(found, self._server)
        is_native = any(not uri.startswith(("https://", "http://")) for uri in found.redirect_uris)
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
            pkce_required=None if found.auth_method == "none" else self._options.pkce_required,
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

    def _has_client(self, client_id: str) -> bool:
        """Whether the client is here, or would be."""
        is_here = self._is_here.get(client_id)
        if is_here is None:
            is_here = self._is_here[client_id] = self._server.store.get_client(client_id) is not None
        return is_here

    # tokens

    def _take_tokens(self, batch: list[Read]) -> None:
        """File a batch in one step; then put our keys in place of the tokens, where that is wanted."""
        count, filed, changes = self.report.tokens, [], []
        asked = {key for read in batch for name in _TOKENS for key in _keys(read.row.get(name))}
        known = self._pretended | self._store.find_known(asked)
        for read in batch:
            if known.isdisjoint(_keys(read.row.get("access_token"))):
                try:
                    token = self._make_token(read.row, known)
                except ValueError as error:
                    count.left += 1
                    self.report.left.append(Finding(self._tokens.table.name, read.identity, str(error)))
                    continue
                if token is None:
                    count.ended += 1
                    continue
                count.taken += 1
                filed.append(token)
                known.update(filter(None, (token.access.key, token.refresh_key)))
            else:
                count.already_there += 1
            if self._options.in_place:
                changes.extend(self._tokens.change(read, _our_keys(read.row, known)))
        if self._options.dry_run:
            self._pretended.update(*(filter(None, (token.access.key, token.refresh_key)) for token in filed))
            self.report.rewritten += len(changes)
            return
        if filed:  # not by the application's setters, which may take away what was there before
            self._store.issue(None, filed, self._now)
        if changes:
            self.report.rewritten += self._database.rewrite(self._tokens.table, changes)

    def _make_token(self, row: Row, known: set[bytes]) -> Token | None:
        """The token of a row, None where it has ended. Raises :exc:`ValueError` for one that cannot be taken."""
        found = self._source.read_token(row)
        if not found.is_live(self._now):
            return None
        server, now = self._server, self._now
        prefixes = server.settings.prefixes
        for kind, value in (("access_token", found.access), ("refresh_token", found.refresh)):
            if value is not None and values.find_key(value, prefixes[kind]) is None:
                raise Unreadable(
                    f"its {kind} begins with {prefixes[kind]}_ as those made here do: choose another by OAUTH2_PREFIXES"
                )
        if not self._has_client(found.client_id):
            raise Unreadable(f"its client {found.client_id!r} is not here")
        token_type = server.token_types.get(found.type.lower() or "bearer")
        if token_type is None:
            raise Unreadable(f"its type {found.type!r} is not offered here")
        longest = now + server.longest_lifetime
        ends_at = longest if found.access_ends_at is None else min(found.access_ends_at, longest)
        authorization = Authorization(
            id=values.new_family(server.clock()),
            client_id=found.client_id,
            user_id=None if found.user_id is None else identify(found.user_id),
            scope=scopes.parse_option(found.scope),
        )
        refresh_key = None if found.refresh is None else values.key(found.refresh)
        if refresh_key in known:  # another row has the same, and keeps it
            refresh_key = None
            if ends_at <= now:
                return None
        self.report.shortened += ends_at != found.access_ends_at
        return Token(
            access=AccessToken(
                key=values.key(found.access),
                authorization_id=authorization.id,
                client_id=authorization.client_id,
                user_id=authorization.user_id,
                scope=authorization.scope,
                type=token_type.name,
                issued_at=now,
                expires_at=ends_at,
            ),
            authorization=authorization,
            refresh_key=refresh_key,
            refresh_expires_at=None if refresh_key is None else now + server.settings.refresh_token_lifetime,
        )


def _fit_types(client: ForeignClient, server: Server) -> tuple[tuple[str, ...], tuple[str, ...], list[str]]:
    """The grant types and the response types that the client has here, and what was left out, in words.

    Those are the types that are offered and that such a client can use: a public client does not act for itself, and
    without a redirect URI no user comes back to it.
    """
    begun = {kind.grant_type for kind in server.response_types.values()}
    wanted = DEFAULT_GRANT_TYPES if client.grant_types is None else client.grant_types
    grant_types = tuple(
        name
        for name in wanted
        if name in server.grant_type_names
        and not (client.auth_method == "none" and name == "client_credentials")
        and (client.redirect_uris or name not in begun)
    )
    if rules.GIVES_NO_REFRESH_TOKEN.issuperset(grant_types):
        grant_types = tuple(name for name in grant_types if name != "refresh_token")
    offered = [sorted(names) for names in server.response_type_sets]
    response_types = tuple(
        text
        for text in client.response_types
        if sorted(text.split()) in offered
        and all(server.response_types[word].grant_type in grant_types for word in text.split())
    )
    left_out = [name for name in (*wanted, *client.response_types) if name not in (*grant_types, *response_types)]
    notes = [f"without {', '.join(left_out)}: not offered here, or not for such a client"] if left_out else []
    answered = {server.response_types[word].grant_type for text in response_types for word in text.split()}
    others = tuple(name for name in grant_types if name not in answered)
    return grant_types, (*response_types, *rules.default_response_types(others, server)), notes


def _keys(value: object) -> Iterator[bytes]:
    """The key of a value, and the one that it is the text of, if it is one."""
    if value:
        yield values.key(str(value).strip())
        if (key := _read_key(str(value))) is not None:
            yield key


def _read_key(text: str) -> bytes | None:
    """The key that :func:`.values.text` wrote."""
    if len(text) != KEY_LENGTH or not _KEY.match(text):
        return None
    key = values.from_text(text)
    return key if values.text(key) == text else None


def _our_keys(row: Row, known: Container[bytes]) -> dict[str, str]:
    """What is to be put in place of the tokens of a row; a key of ours stays."""
    found = {name: str(row[name]) for name in _TOKENS if row.get(name)}
    return {
        name: values.text(values.key(value.strip())) for name, value in found.items() if _read_key(value) not in known
    }


class Read(NamedTuple):
    """A row that was read: what names it in a report, its primary key, and its values by our names."""

    identity: str
    key: tuple[Any, ...]
    row: Row


class _Reader:
    """A table of theirs, by our names."""

    def __init__(
        self, database: ForeignDatabase, name: str, columns: Columns, source: Source, options: Options
    ) -> None:
        table = database.find(name)
        if table is None:
            raise ConfigurationError(
                f"there is no table {name}: name the right one by --client-table or --token-table, of: "
                + ", ".join(database.list_names())
            )
        self.table: ForeignTable = table
        self._database = database
        self._columns = {
            name: found
            for name, names in columns.items()
            if (found := _first(table, (options.columns.get(name), *names))) is not None
        }
        self.names = set(self._columns.values())
        missing = (source.required & set(columns)) - set(self._columns)
        if missing:
            raise ConfigurationError(
                f"the table {name} is none of {source.name}'s, as it lacks {', '.join(sorted(missing))}: name the "
                "right one by --client-table or --token-table, or the right columns by --column"
            )
        self._is_shown = not set(table.key) & {self._columns.get(name) for name in _SECRET}

    def read(self) -> Iterator[list[Read]]:
        """The rows, in batches."""
        number = 0
        for batch in self._database.read(self.table):
            reads = []
            for found in batch:
                number += 1
                key = tuple(found[name] for name in self.table.key)
                identity = ", ".join(map(str, key)) if self._is_shown else f"row {number}"
                reads.append(Read(identity, key, {field: found[name] for field, name in self._columns.items()}))
            yield reads

    def change(self, read: Read, new: Mapping[str, str]) -> list[Change]:
        """The change of a row to new values, by our names; none for none."""
        columns = {self._columns[field]: (read.row[field], value) for field, value in new.items()}
        old, then = ({name: pair[side] for name, pair in columns.items()} for side in (0, 1))
        return [Change(read.key, old, then)] if new else []

    def check_lengths(self) -> None:
        """Raise :exc:`ConfigurationError` where a column of tokens is too short for our keys."""
        for token in _TOKENS:
            name = self._columns.get(token)
            length = None if name is None else self.table.columns[name]
            if length is not None and length < KEY_LENGTH:
                raise ConfigurationError(
                    f"the column {name} of {self.table.name} holds {length} characters, our keys have {KEY_LENGTH}: "
                    "make it longer first"
                )


def _first(table: ForeignTable, names: Iterable[str | None]) -> str | None:
    return next((name for name in names if name in table.columns), None)
