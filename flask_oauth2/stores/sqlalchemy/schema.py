"""The tables of the SQLAlchemy store.

Keys begin with a time, so inserts append to the index. Every row names its issuer; the ID of the only one is empty.
``context``, ``confirmation`` and the lists of a client are JSON text; a scope is its values with spaces between.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.ext.compiler import compiles

from ...errors import ConfigurationError
from ...http import redirects
from ..base import LONGEST_ISSUER_ID

COLLATIONS = {"mariadb": "utf8mb4_nopad_bin", "mysql": "utf8mb4_0900_bin"}
"""The collation of the tables, by dialect. The other collations treat "ada", "Ada" and "ada " as equal."""

KEY = LargeBinary(64).with_variant(sa.VARBINARY(64), *COLLATIONS)
"""A key. MariaDB and MySQL have no index over a BLOB."""


def long_text(dialects: Iterable[str] = COLLATIONS) -> Text:
    """Return the type of text of any length. TEXT of MariaDB and MySQL ends at 64 KiB."""
    names = [name for name in COLLATIONS if name in dialects]
    if not names:
        return Text()
    from sqlalchemy.dialects import mysql  # loaded for these databases only: it takes 8 ms

    return Text().with_variant(mysql.MEDIUMTEXT(), *names)


JSON = {"json": True}
"""Marks a column of JSON text. The types are SQLAlchemy's own, so that migrations which Alembic generates run."""


class _False(sa.ColumnElement[bool]):
    """The default of a Boolean column, written as the database reports it, so that Alembic finds no difference."""

    inherit_cache = True


@compiles(_False)
def _compile_false(_: _False, compiler: Any, **options: Any) -> str:
    return str(compiler.process(sa.false(), **options))


@compiles(_False, *COLLATIONS)
def _compile_zero(*_: Any, **options: Any) -> str:
    return "0"


class Tables(NamedTuple):
    """The tables, by the records that they hold."""

    client: Table
    grant: Table
    token: Table
    revocation: Table
    consent: Table
    counter: Table
    origin: Table
    user_revocation: Table
    signing_key: Table
    session: Table
    session_client: Table


DEFAULT_PREFIX = "oauth2_"
"""The prefix of the names of the tables."""

_OURS = {"flask_oauth2": True}
"""Distinguishes the tables from tables of the application with the same name."""

_OPTIONS = {
    dialect: {f"{dialect}_engine": "InnoDB", f"{dialect}_charset": "utf8mb4", f"{dialect}_collate": collation}
    for dialect, collation in COLLATIONS.items()
}
"""Options of the tables by dialect."""

_ALL_DIALECTS = ("sqlite", "postgresql", *COLLATIONS)


def declare(metadata: MetaData, prefix: str = DEFAULT_PREFIX, dialect: str | None = None) -> Tables:
    """Add the tables to ``metadata``, or find them there.

    :param dialect: the only dialect that the tables are for. SQLAlchemy loads each dialect that has options of its own
        for a table or an index. None: all dialects, because migrations may run on another database than the one that
        they were generated for.
    :raises ConfigurationError: if the application has a table with the same name.
    """
    start = f"{metadata.schema}.{prefix}" if metadata.schema else prefix
    found = [metadata.tables[start + name] for name in Tables._fields if start + name in metadata.tables]
    taken = [table.name for table in found if table.info != _OURS]
    if taken:
        raise ConfigurationError(
            f"the application has a table {taken[0]} of its own: choose other names for those of flask_oauth2 with "
            'OAuth2Provider(app, db=db, table_prefix="provider_")'
        )
    if found:
        return Tables(*found)
    dialects = _ALL_DIALECTS if dialect is None else (dialect,)
    client_id, text = String(255), long_text(dialects)
    options: dict[str, Any] = {"info": _OURS}
    for name in dialects:
        options |= _OPTIONS.get(name, {})
    by_key: dict[str, Any] = {**options, "sqlite_with_rowid": False} if "sqlite" in dialects else options
    """Options of a table whose rows are in the order of the primary key."""

    def issuer(*, is_key: bool = False) -> Column[str]:
        """Return the column of the issuer, the first of a primary key whose rest two issuers may share."""
        empty = sa.text("''")
        return Column(
            "issuer_id", String(LONGEST_ISSUER_ID), primary_key=is_key, nullable=False, default="", server_default=empty
        )

    def indexed(table: str, name: str, *, unique: bool = False) -> Index:
        """Leave rows without a value out of the index, so that a token without a refresh token costs less."""
        given = sa.text(f"{name} IS NOT NULL")
        where: dict[str, Any] = {f"{one}_where": given for one in ("sqlite", "postgresql") if one in dialects}
        return Index(f"ix_{prefix}{table}_{name}", name, unique=unique, **where)

    return Tables(
        client=Table(
            f"{prefix}client",
            metadata,
            issuer(is_key=True),
            Column("client_id", client_id, primary_key=True),
            Column("name", text, nullable=False),
            Column("secret", text),
            Column("auth_method", String(64), nullable=False),
            Column("application_type", String(16), nullable=False),
            Column("redirect_uris", text, nullable=False, info=JSON),
            Column("grant_types", text, nullable=False, info=JSON),
            Column("response_types", text, nullable=False, info=JSON),
            Column("scope", text, nullable=False),
            Column("token_format", String(64)),
            Column("pkce_required", Boolean),
            Column("resource_server", Boolean, nullable=False),
            Column("client_metadata", text, nullable=False, info=JSON),
            Column("created_at", BigInteger, nullable=False),
            Column("registered_by", String(32), nullable=False, server_default=sa.text("''")),
            Column("owner_id", String(255)),
            Column("registration_key", KEY),
            Column("expires_at", BigInteger),
            Column("denied", text, info=JSON),
            indexed("client", "owner_id"),
            indexed("client", "expires_at"),
            **options,
        ),
        grant=Table(
            f"{prefix}grant",
            metadata,
            Column("key", KEY, primary_key=True),
            Column("kind", String(32), nullable=False),
            Column("authorization_id", String(32)),
            Column("consent_id", String(32)),
            Column("client_id", client_id),
            Column("user_id", String(255)),
            Column("scope", text),
            Column("context", text, info=JSON),
            Column("redirect_uri", text),
            Column("challenge", String(128)),
            Column("parameters", text, info=JSON),
            Column("expires_at", BigInteger, nullable=False),
            Column("used_at", BigInteger),
            Column("user_code_key", KEY),
            Column("is_denied", Boolean, nullable=False, server_default=_False()),
            Column("interval", Integer),
            Column("polled_at", BigInteger),
            Column("confirmation", text, info=JSON),
            issuer(),
            indexed("grant", "user_code_key", unique=True),
            **by_key,
        ),
        token=Table(
            f"{prefix}token",
            metadata,
            Column("access_key", KEY, primary_key=True),
            Column("refresh_key", KEY),
            Column("parent", KEY),
            Column("authorization_id", String(32), nullable=False),
            Column("consent_id", String(32)),
            Column("client_id", client_id, nullable=False),
            Column("user_id", String(255)),
            Column("scope", text, nullable=False),
            Column("access_scope", text),
            Column("context", text, info=JSON),
            Column("type", String(64), nullable=False),
            Column("confirmation", text, info=JSON),
            Column("issued_at", BigInteger, nullable=False),
            Column("expires_at", BigInteger, nullable=False),
            Column("refresh_expires_at", BigInteger),
            Column("used_at", BigInteger),
            Column("siblings", Integer, nullable=False, server_default="0"),
            Column("audience", text),
            issuer(),
            indexed("token", "refresh_key", unique=True),
            indexed("token", "parent"),
            **by_key,
        ),
        revocation=Table(
            f"{prefix}revocation",
            metadata,
            issuer(is_key=True),
            Column("revoked_id", String(255), primary_key=True),
            Column("expires_at", BigInteger, nullable=False),
            **by_key,
        ),
        consent=Table(
            f"{prefix}consent",
            metadata,
            issuer(is_key=True),
            Column("user_id", String(255), primary_key=True),
            Column("client_id", client_id, primary_key=True),
            Column("id", String(32)),
            Column("scope", text, nullable=False),
            Column("granted_at", BigInteger, nullable=False),
            Column("used_at", BigInteger),
            Column("by_resource", text, info=JSON),
            Column("authorization_details", text, info=JSON),
            Index(f"ix_{prefix}consent_client_id", "client_id"),
            **by_key,
        ),
        counter=Table(
            f"{prefix}counter",
            metadata,
            issuer(is_key=True),
            Column("key", KEY, primary_key=True),
            Column("count", Integer, nullable=False),
            Column("expires_at", BigInteger, nullable=False),
            **by_key,
        ),
        origin=Table(
            f"{prefix}origin",
            metadata,
            issuer(is_key=True),
            Column("origin", String(redirects.LONGEST_ORIGIN), primary_key=True),
            Column("client_id", client_id, primary_key=True),
            Index(f"ix_{prefix}origin_client_id", "client_id"),
            **by_key,
        ),
        user_revocation=Table(
            f"{prefix}user_revocation",
            metadata,
            issuer(is_key=True),
            Column("user_id", String(255), primary_key=True),
            Column("last_id", String(32), nullable=False),
            Column("expires_at", BigInteger, nullable=False),
            **by_key,
        ),
        signing_key=Table(
            f"{prefix}signing_key",
            metadata,
            issuer(is_key=True),
            Column("algorithm", String(32), primary_key=True),
            Column("number", Integer, primary_key=True, autoincrement=False),
            Column("id", String(64), nullable=False),
            Column("encrypted", LargeBinary, nullable=False),
            Column("created_at", BigInteger, nullable=False),
            Column("activates_at", BigInteger, nullable=False),
            Column("retires_at", BigInteger),
            Column("expires_at", BigInteger),
            **by_key,
        ),
        session=Table(
            f"{prefix}session",
            metadata,
            issuer(is_key=True),
            Column("id", String(64), primary_key=True),
            Column("user_id", String(255), nullable=False),
            Column("auth_time", BigInteger, nullable=False),
            Column("created_at", BigInteger, nullable=False),
            Column("expires_at", BigInteger, nullable=False),
            Column("ended_at", BigInteger),
            Index(f"ix_{prefix}session_user_id", "user_id"),
            **by_key,
        ),
        session_client=Table(
            f"{prefix}session_client",
            metadata,
            issuer(is_key=True),
            Column("session_id", String(64), primary_key=True),
            Column("client_id", client_id, primary_key=True),
            **by_key,
        ),
    )


class Difference(NamedTuple):
    """A table of the database that is not as declared, and the statements that mend it.

    ``columns`` are those that it lacks; ``key`` is its primary key if that is a wrong one, else None. A table that is
    missing has neither.
    """

    table: Table
    columns: tuple[str, ...]
    key: tuple[str, ...] | None
    statements: tuple[str, ...]


FORMER_NAMES = {"revoked_id": "mark", "denied": "withheld"}
"""Names that columns had before version 0.1.0."""


def compare(bind: Engine | Connection, tables: Tables) -> list[Difference]:
    """Return the tables that differ from the declared ones by more than an index, :mod:`.health`."""
    inspector, found = sa.inspect(bind), []
    for table in tables:
        if not inspector.has_table(table.name, schema=table.schema):
            found.append(Difference(table, (), None, tuple(_creating(table, bind.dialect))))
            continue
        there = {column["name"] for column in inspector.get_columns(table.name, schema=table.schema)}
        lacking = [column for column in table.columns if column.name not in there]
        held = inspector.get_pk_constraint(table.name, schema=table.schema)
        key = tuple(held["constrained_columns"])
        is_right = set(key) == set(table.primary_key.columns.keys())
        if lacking or not is_right:
            statements = [change_column(column, there, bind.dialect) for column in lacking]
            if not is_right:
                indexes = [str(index["name"]) for index in inspector.get_indexes(table.name, schema=table.schema)]
                statements += _changing_key(table, held, indexes, bind.dialect)
            names = tuple(column.name for column in lacking)
            found.append(Difference(table, names, None if is_right else key, tuple(statements)))
    return found


def describe(differences: list[Difference]) -> str:
    """Name the tables, the columns and the primary keys that :func:`compare` has found."""
    tables = [table.name for table, columns, key, _ in differences if not columns and key is None]
    named = [f"the table{'s' if len(tables) > 1 else ''} {', '.join(tables)}"] if tables else []
    for table, columns, key, _ in differences:
        if columns:
            named.append(f"the column{'s' if len(columns) > 1 else ''} {', '.join(sorted(columns))} of {table.name}")
        if key is not None:
            right = ", ".join(table.primary_key.columns.keys())
            named.append(f"the primary key ({right}) of {table.name}, which has ({', '.join(key) or 'none'})")
    return " and ".join(named)


def change_column(column: Column[Any], there: set[str], dialect: sa.Dialect) -> str:
    """Return the statement that adds a column, or renames the one that had another name in a database without it."""
    name = dialect.identifier_preparer.format_table(column.table)
    definition = sa.schema.CreateColumn(column).compile(dialect=dialect)
    former = FORMER_NAMES.get(column.name)
    if former not in there:
        return f"ALTER TABLE {name} ADD COLUMN {definition}"
    if dialect.name in COLLATIONS:  # MariaDB knows RENAME COLUMN since 10.5 only
        return f"ALTER TABLE {name} CHANGE COLUMN {former} {definition}"
    return f"ALTER TABLE {name} RENAME COLUMN {former} TO {column.name}"


def _creating(table: Table, dialect: sa.Dialect) -> list[str]:
    statements: list[sa.schema.DDLElement] = [
        sa.schema.CreateTable(table),
        *(sa.schema.CreateIndex(index) for index in _sorted_indexes(table)),
    ]
    return [" ".join(str(statement.compile(dialect=dialect)).split()) for statement in statements]


def _sorted_indexes(table: Table) -> list[Index]:
    return sorted(table.indexes, key=lambda index: str(index.name))


def _changing_key(table: Table, held: Any, indexes: list[str], dialect: sa.Dialect) -> list[str]:
    """Return the statements that give a table its primary key. SQLite needs a new table for that."""
    quote = dialect.identifier_preparer
    name = quote.format_table(table)
    columns = ", ".join(quote.quote(column.name) for column in table.primary_key)
    if dialect.name == "sqlite":
        former, all_columns = (
            quote.quote(f"{table.name}_former"),
            ", ".join(quote.quote(column.name) for column in table.columns),
        )
        create, *create_indexes = _creating(table, dialect)
        return [
            *(f"DROP INDEX {quote.quote(index)}" for index in indexes),
            f"ALTER TABLE {name} RENAME TO {former}",
            create,
            f"INSERT INTO {name} ({all_columns}) SELECT {all_columns} FROM {former}",  # noqa: S608
            f"DROP TABLE {former}",
            *create_indexes,
        ]
    drop = ""
    if held["constrained_columns"]:
        constraint = "PRIMARY KEY" if dialect.name in COLLATIONS else f"CONSTRAINT {quote.quote(held['name'])}"
        drop = f"DROP {constraint}, "
    return [f"ALTER TABLE {name} {drop}ADD PRIMARY KEY ({columns})"]
