"""The tables of the SQLAlchemy store, and their forward steps.

Keys begin with a time, so inserts append to the index. ``context``, ``confirmation`` and the lists of a client are JSON
text; scopes are words with spaces between.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles

from ... import uris
from ...context import Context, dump_context
from ...errors import ConfigurationError
from ...records import Client

COLLATIONS = {"mariadb": "utf8mb4_nopad_bin", "mysql": "utf8mb4_0900_bin"}
"""By dialect: the collation of the tables. The other collations treat "ada", "Ada" and "ada " as equal."""

KEY = LargeBinary(64).with_variant(mysql.VARBINARY(64), *COLLATIONS)
"""A key; MariaDB and MySQL have no index over a BLOB."""

LONG_TEXT = Text().with_variant(mysql.MEDIUMTEXT(), *COLLATIONS)
"""Text of any length; the TEXT of MariaDB and MySQL ends at 64 KiB."""

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
    """The tables, by what they hold."""

    client: Table
    grant: Table
    token: Table
    revocation: Table
    consent: Table
    counter: Table
    origin: Table
    user_revocation: Table


DEFAULT_PREFIX = "oauth2_"
"""What the names of the tables begin with."""

_OURS = {"flask_oauth2": True}
"""Tells our tables from an application's own of the same name."""

_MYSQL_OPTIONS = {
    f"{dialect}_{option}": value
    for dialect, collation in COLLATIONS.items()
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"), ("collate", collation))
}
"""Options of the tables on MariaDB and MySQL."""


def declare(metadata: MetaData, prefix: str = DEFAULT_PREFIX) -> Tables:
    """Add the tables to ``metadata``, or find them there.

    Raises :exc:`ConfigurationError` where the application has a table of the same name.
    """
    start = f"{metadata.schema}.{prefix}" if metadata.schema else prefix
    found = [metadata.tables[start + name] for name in Tables._fields if start + name in metadata.tables]
    taken = [table.name for table in found if table.info != _OURS]
    if taken:
        raise ConfigurationError(
            f"the application has a table {taken[0]} of its own: choose other names for those of flask_oauth2, by "
            'OAuth2Provider(app, db=db, table_prefix="provider_")'
        )
    if found:
        return Tables(*found)
    client_id = String(255)
    options: dict[str, Any] = {**_MYSQL_OPTIONS, "info": _OURS}

    def indexed(table: str, name: str, *, unique: bool = False) -> Index:
        """Where there is no value there is nothing to index, so that a token without a refresh token costs less."""
        given = sa.text(f"{name} IS NOT NULL")
        return Index(f"ix_{prefix}{table}_{name}", name, unique=unique, sqlite_where=given, postgresql_where=given)

    return Tables(
        client=Table(
            f"{prefix}client",
            metadata,
            Column("client_id", client_id, primary_key=True),
            Column("name", LONG_TEXT, nullable=False),
            Column("secret", LONG_TEXT),
            Column("auth_method", String(64), nullable=False),
            Column("application_type", String(16), nullable=False),
            Column("redirect_uris", LONG_TEXT, nullable=False, info=JSON),
            Column("grant_types", LONG_TEXT, nullable=False, info=JSON),
            Column("response_types", LONG_TEXT, nullable=False, info=JSON),
            Column("scope", LONG_TEXT, nullable=False),
            Column("token_format", String(64)),
            Column("pkce_required", Boolean),
            Column("resource_server", Boolean, nullable=False),
            Column("client_metadata", LONG_TEXT, nullable=False, info=JSON),
            Column("created_at", BigInteger, nullable=False),
            Column("registered_by", String(32), nullable=False, server_default=sa.text("''")),
            Column("owner_id", String(255)),
            Column("registration_key", KEY),
            Column("expires_at", BigInteger),
            Column("withheld", LONG_TEXT, info=JSON),
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
            Column("scope", LONG_TEXT),
            Column("context", LONG_TEXT, info=JSON),
            Column("redirect_uri", LONG_TEXT),
            Column("challenge", String(128)),
            Column("parameters", LONG_TEXT, info=JSON),
            Column("expires_at", BigInteger, nullable=False),
            Column("used_at", BigInteger),
            Column("user_code_key", KEY),
            Column("is_denied", Boolean, nullable=False, server_default=_False()),
            Column("interval", Integer),
            Column("polled_at", BigInteger),
            indexed("grant", "user_code_key", unique=True),
            sqlite_with_rowid=False,
            **options,
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
            Column("scope", LONG_TEXT, nullable=False),
            Column("access_scope", LONG_TEXT),
            Column("context", LONG_TEXT, info=JSON),
            Column("type", String(64), nullable=False),
            Column("confirmation", LONG_TEXT, info=JSON),
            Column("issued_at", BigInteger, nullable=False),
            Column("expires_at", BigInteger, nullable=False),
            Column("refresh_expires_at", BigInteger),
            Column("used_at", BigInteger),
            Column("siblings", Integer, nullable=False, server_default="0"),
            Column("audience", LONG_TEXT),
            indexed("token", "refresh_key", unique=True),
            indexed("token", "parent"),
            sqlite_with_rowid=False,
            **options,
        ),
        revocation=Table(
            f"{prefix}revocation",
            metadata,
            Column("mark", String(255), primary_key=True),
            Column("expires_at", BigInteger, nullable=False),
            sqlite_with_rowid=False,
            **options,
        ),
        consent=Table(
            f"{prefix}consent",
            metadata,
            Column("user_id", String(255), primary_key=True),
            Column("client_id", client_id, primary_key=True),
            Column("id", String(32)),
            Column("scope", LONG_TEXT, nullable=False),
            Column("granted_at", BigInteger, nullable=False),
            Column("used_at", BigInteger),
            Column("by_resource", LONG_TEXT, info=JSON),
            Index(f"ix_{prefix}consent_client_id", "client_id"),
            sqlite_with_rowid=False,
            **options,
        ),
        counter=Table(
            f"{prefix}counter",
            metadata,
            Column("key", KEY, primary_key=True),
            Column("count", Integer, nullable=False),
            Column("expires_at", BigInteger, nullable=False),
            sqlite_with_rowid=False,
            **options,
        ),
        origin=Table(
            f"{prefix}origin",
            metadata,
            Column("origin", String(uris.LONGEST_ORIGIN), primary_key=True),
            Column("client_id", client_id, primary_key=True),
            Index(f"ix_{prefix}origin_client_id", "client_id"),
            sqlite_with_rowid=False,
            **options,
        ),
        user_revocation=Table(
            f"{prefix}user_revocation",
            metadata,
            Column("user_id", String(255), primary_key=True),
            Column("last_id", String(32), nullable=False),
            Column("expires_at", BigInteger, nullable=False),
            sqlite_with_rowid=False,
            **options,
        ),
    )


def _create(connection: Connection) -> None:
    tables = declare(MetaData())
    tables.client.metadata.create_all(connection)
    for table in tables:
        for index in table.indexes:  # where a server without transactions for tables stopped between the two
            index.create(connection, checkfirst=True)


_RANDOM_ID = {
    "sqlite": "lower(hex(randomblob(11)))",
    "postgresql": "left(md5(random()::text || user_id || client_id), 22)",
    **dict.fromkeys(COLLATIONS, "left(sha2(concat(rand(), uuid(), user_id, client_id), 256), 22)"),
}
"""By dialect: 22 characters that are not drawn twice."""


def _give_consents_an_id(connection: Connection) -> None:
    """What was allowed before gets an id, and so do the codes and tokens that rest on it, so that it can be ended."""

    def run(statement: str) -> None:
        connection.execute(sa.text(statement))

    _add_column(connection, "oauth2_consent", "id", "VARCHAR(32)")
    _add_column(connection, "oauth2_consent", "used_at", "BIGINT")
    random_id = _RANDOM_ID[connection.dialect.name]
    run(f"UPDATE oauth2_consent SET id = {random_id}, used_at = granted_at WHERE id IS NULL")  # noqa: S608
    for name in ("grant", "token"):
        _add_column(connection, f"oauth2_{name}", "consent_id", "VARCHAR(32)")
        run(
            f"UPDATE oauth2_{name} SET consent_id = (SELECT id FROM oauth2_consent WHERE "  # noqa: S608
            f"oauth2_consent.user_id = oauth2_{name}.user_id AND oauth2_consent.client_id = oauth2_{name}.client_id)"
        )


def _add_column(connection: Connection, table: str, name: str, kind: str) -> None:
    if name not in {column["name"] for column in sa.inspect(connection).get_columns(table)}:
        connection.execute(sa.text(f"ALTER TABLE {table} ADD COLUMN {name} {kind}"))


def _add_resources_and_registration(connection: Connection) -> None:
    """Columns of what a token is for, of device codes, and of clients that register themselves; origins of clients."""
    tables = declare(MetaData())
    for table in tables:
        table.create(connection, checkfirst=True)
        _add_columns(connection, table)
        for index in table.indexes:
            index.create(connection, checkfirst=True)
    _file_origins(connection, tables)


def _add_columns(connection: Connection, table: Table) -> None:
    """Add the columns that a table lacks."""
    there = _columns_of(connection, table)
    for column in table.columns:
        if column.name not in there:
            connection.execute(sa.text(_adding(column, connection.dialect)))


def _columns_of(connection: Connection, table: Table) -> set[str]:
    return {column["name"] for column in sa.inspect(connection).get_columns(table.name)}


def _adding(column: Column[Any], dialect: sa.Dialect) -> str:
    definition = sa.schema.CreateColumn(column).compile(dialect=dialect)
    return f"ALTER TABLE {dialect.identifier_preparer.format_table(column.table)} ADD COLUMN {definition}"


def _add_user_revocations(connection: Connection) -> None:
    """The table of users whose grants and tokens were revoked."""
    declare(MetaData()).user_revocation.create(connection, checkfirst=True)


_BATCH = 500


def _file_origins(connection: Connection, tables: Tables) -> None:
    """Those of the clients that are there."""
    client, last = tables.client.c, ""
    connection.execute(sa.delete(tables.origin))
    listed = sa.select(client.client_id, client.auth_method, client.redirect_uris).order_by(client.client_id)
    batches = listed.where(client.auth_method == "none").limit(_BATCH)
    while batch := connection.execute(batches.where(client.client_id > last)).all():
        clients = [
            Client(client_id=row[0], auth_method=row[1], redirect_uris=tuple(json.loads(row[2]))) for row in batch
        ]
        filed = [{"origin": origin, "client_id": one.client_id} for one in clients for origin in uris.origins_of(one)]
        if filed:
            connection.execute(sa.insert(tables.origin), filed)
        last = clients[-1].client_id


def _add_contexts(connection: Connection) -> None:
    """Move the claims and the resources of authorizations to one column."""
    tables = declare(MetaData())
    for table in (tables.grant, tables.token):
        _add_columns(connection, table)
        former = sorted(_columns_of(connection, table).intersection(("claims", "resource")))
        if former:
            _move_to_context(connection, table, former)
            for name in former:
                _drop_column(connection, table, name)


def _move_to_context(connection: Connection, table: Table, former: list[str]) -> None:
    """Save the values of former columns as the context of their rows, a batch at a time."""
    (key,) = table.primary_key
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in former]
    given = sa.or_(*(column.is_not(None) for column in columns))
    listed = sa.select(key, *columns).select_from(table).where(given, table.c.context.is_(None))
    batches = listed.order_by(key).limit(_BATCH)
    save = sa.update(table).where(key == sa.bindparam("of_key")).values(context=sa.bindparam("of_context"))
    last = b""
    while batch := connection.execute(batches.where(key > last)).mappings().all():
        connection.execute(save, [{"of_key": row[key.name], "of_context": _former_context(row)} for row in batch])
        last = bytes(batch[-1][key.name])


def _former_context(row: Mapping[Any, Any]) -> str | None:
    claims, resource = row.get("claims"), row.get("resource")
    return dump_context(
        Context(claims=json.loads(claims) if claims else {}, resource=tuple(resource.split()) if resource else ())
    )


def _drop_column(connection: Connection, table: Table, name: str) -> None:
    """Drop a column that nothing reads. SQLite can since 3.35; before, it stays."""
    if connection.dialect.name != "sqlite" or sqlite3.sqlite_version_info >= (3, 35):
        quoted = connection.dialect.identifier_preparer.format_table(table)
        connection.execute(sa.text(f"ALTER TABLE {quoted} DROP COLUMN {name}"))


STEPS: tuple[Callable[[Connection], None], ...] = (
    _create,
    _give_consents_an_id,
    _add_resources_and_registration,
    _add_user_revocations,
    _add_contexts,
)
"""One step per version of the schema: the first makes the newest, each further one brings an older one forward.

MariaDB and MySQL commit each change of a table at once, so a step must do what is left where it was stopped half-way
before.
"""


def find_missing(engine: sa.Engine, tables: Tables) -> dict[str, list[str]]:
    """Return the columns that the database lacks, by table name; none are listed for a table that is missing."""
    inspector = sa.inspect(engine)
    missing: dict[str, list[str]] = {}
    for table in tables:
        if not inspector.has_table(table.name, schema=table.schema):
            missing[table.name] = []
            continue
        there = {column["name"] for column in inspector.get_columns(table.name, schema=table.schema)}
        lacking = [column.name for column in table.columns if column.name not in there]
        if lacking:
            missing[table.name] = lacking
    return missing


def describe_missing(missing: dict[str, list[str]]) -> str:
    """Name the tables and columns that :func:`find_missing` has found."""
    tables = [table for table, columns in missing.items() if not columns]
    named = [f"the table{'s' if len(tables) > 1 else ''} {', '.join(tables)}"] if tables else []
    for table, columns in missing.items():
        if columns:
            named.append(f"the column{'s' if len(columns) > 1 else ''} {', '.join(sorted(columns))} of {table}")
    return " and ".join(named)


def add_missing(tables: Tables, missing: dict[str, list[str]], dialect: sa.Dialect) -> Iterator[str]:
    """Return the statements that add the tables and columns that :func:`find_missing` has found."""
    for table in tables:
        if table.name not in missing:
            continue
        if not missing[table.name]:
            yield " ".join(str(sa.schema.CreateTable(table).compile(dialect=dialect)).split())
            yield from (str(sa.schema.CreateIndex(index).compile(dialect=dialect)) for index in table.indexes)
        yield from (_adding(table.columns[name], dialect) for name in missing[table.name])


def is_current(connection: Connection) -> bool:
    """Whether a database of our own needs no step: looked at without a lock."""
    return sa.inspect(connection).has_table("oauth2_schema") and _version(connection) == len(STEPS)


def advance(connection: Connection) -> None:
    """Bring a database of our own to the newest version, inside the transaction of ``connection``.

    Raises :exc:`ConfigurationError` where the database is newer than this release.
    """
    connection.execute(sa.text("CREATE TABLE IF NOT EXISTS oauth2_schema (version INTEGER NOT NULL PRIMARY KEY)"))
    version = _version(connection)
    if version > len(STEPS):
        raise ConfigurationError(
            f"the database of flask_oauth2 has schema {version}, this release knows {len(STEPS)}: upgrade flask_oauth2"
        )
    for step in STEPS[version:] if version else STEPS[:1]:
        step(connection)
    if version < len(STEPS):
        insert = sa.text("INSERT INTO oauth2_schema (version) VALUES (:version)")
        connection.execute(insert, {"version": len(STEPS)})


def _version(connection: Connection) -> int:
    return connection.scalar(sa.text("SELECT max(version) FROM oauth2_schema")) or 0
