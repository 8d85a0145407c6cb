"""The forward steps of a database of our own, from each older version of the schema to the newest."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, MetaData, Table

from ...context import Context, dump_context
from ...errors import ConfigurationError
from ...http import redirects
from ...records import Client
from .schema import COLLATIONS, FORMER_NAMES, Tables, change_column, compare, declare


def _create(connection: Connection) -> None:
    tables = declare(MetaData(), dialect=connection.dialect.name)
    tables.client.metadata.create_all(connection)
    for table in tables:
        for index in table.indexes:  # a server without transactions for tables may have stopped between the two
            index.create(connection, checkfirst=True)


_RANDOM_ID = {
    "sqlite": "lower(hex(randomblob(11)))",
    "postgresql": "left(md5(random()::text || user_id || client_id), 22)",
    **dict.fromkeys(COLLATIONS, "left(sha2(concat(rand(), uuid(), user_id, client_id), 256), 22)"),
}
"""An expression for 22 random characters, by dialect."""


def _give_consents_an_id(connection: Connection) -> None:
    """Give an ID to each consent, and to the codes and tokens issued for it, so that it can be revoked."""

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
    """Add audiences, device codes, registered clients and the origins of clients."""
    tables = declare(MetaData(), dialect=connection.dialect.name)
    for table in tables:
        table.create(connection, checkfirst=True)
        there = _columns_of(connection, table)
        for column in table.columns:
            if column.name not in there and FORMER_NAMES.get(column.name) not in there:
                connection.execute(sa.text(change_column(column, there, connection.dialect)))
        for index in table.indexes:
            index.create(connection, checkfirst=True)
    _save_origins(connection, tables)


def _columns_of(connection: Connection, table: Table) -> set[str]:
    return {column["name"] for column in sa.inspect(connection).get_columns(table.name)}


def _add_user_revocations(connection: Connection) -> None:
    """Add the table of the revocations of users."""
    declare(MetaData(), dialect=connection.dialect.name).user_revocation.create(connection, checkfirst=True)


_BATCH = 500


def _save_origins(connection: Connection, tables: Tables) -> None:
    """Save the origins of the clients that exist."""
    client, last = tables.client.c, ""
    connection.execute(sa.delete(tables.origin))
    listed = sa.select(client.client_id, client.auth_method, client.redirect_uris).order_by(client.client_id)
    batches = listed.where(client.auth_method == "none").limit(_BATCH)
    while batch := connection.execute(batches.where(client.client_id > last)).all():
        clients = [
            Client(client_id=row[0], auth_method=row[1], redirect_uris=tuple(json.loads(row[2]))) for row in batch
        ]
        rows = [
            {"origin": origin, "client_id": one.client_id} for one in clients for origin in redirects.origins_of(one)
        ]
        if rows:
            connection.execute(sa.insert(tables.origin), rows)
        last = clients[-1].client_id


def _add_issuers_and_contexts(connection: Connection) -> None:
    """Add the issuer to each row and its key, keys and sessions, and gather the facts about authorizations."""
    tables = declare(MetaData(), dialect=connection.dialect.name)
    for table, _, _, statements in compare(connection, tables):
        for statement in statements:
            connection.execute(sa.text(statement))
        for index in table.indexes:
            index.create(connection, checkfirst=True)
    for table in (tables.grant, tables.token):
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
    _add_issuers_and_contexts,
)
"""One step per version of the schema. The first creates the newest version, each further one advances an older one.

MariaDB and MySQL commit each change of a table at once, so a step that was interrupted must do what is left.
"""


def is_current(connection: Connection) -> bool:
    """Return whether a database of our own needs no step. Takes no lock."""
    return sa.inspect(connection).has_table("oauth2_schema") and _version(connection) == len(STEPS)


def advance(connection: Connection) -> None:
    """Advance a database of our own to the newest version, inside the transaction of ``connection``.

    Raises :exc:`ConfigurationError` if the database is newer than this release.
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
