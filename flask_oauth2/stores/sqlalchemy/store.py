"""The default store, on any database that SQLAlchemy's SQLite and PostgreSQL dialects reach.

Statements are built and compiled once, then handed to the driver with their parameters. Reads run in autocommit, each
write is one short transaction (SQLite: ``BEGIN IMMEDIATE``), on connections of the engine's pool that are never those
of the application's session.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine, event

from ... import values
from ...errors import ConfigurationError
from ...records import AccessToken, Authorization, Client, Consent, Grant, Token
from ..base import GRANT_MEMORY, SIBLINGS
from . import schema
from .database import Step, absence, connect
from .statements import DIALECTS, Statements


class SQLAlchemyStore:
    """Clients, grants and tokens in the database of an engine.

    :param engine: the engine, whose pool is shared with whoever else uses it.
    :param tables: the tables, where they are part of an application's own metadata.
    """

    def __init__(self, engine: Engine, tables: schema.Tables | None = None) -> None:
        if engine.dialect.name not in DIALECTS:
            raise ConfigurationError(
                f"flask_oauth2 keeps its tables in SQLite or PostgreSQL, not in {engine.dialect.name}; set "
                "OAUTH2_DATABASE_URI or pass a store= of your own"
            )
        self.engine = engine
        self.tables = tables or schema.declare(sa.MetaData())
        self._sql = Statements(self.tables, engine.dialect)
        self._database = connect(engine)

    @classmethod
    def open(cls, uri: str) -> SQLAlchemyStore:
        """A store with a database of its own, made or brought forward where that is needed.

        An SQLite file is made with mode 0600, in WAL mode with ``synchronous=NORMAL``. Raises
        :exc:`ConfigurationError` for a database that a newer release has written.
        """
        engine, in_memory = _create_engine(uri)
        store = cls(engine)
        if engine.dialect.name == "sqlite":
            if not in_memory and "uri" not in engine.url.query:
                os.close(os.open(str(engine.url.database), os.O_CREAT, 0o600))
            event.listen(engine, "connect", _tune_sqlite)
        try:
            with absence(engine), engine.connect() as connection:
                is_current = schema.is_current(connection)
            if not is_current:
                with absence(engine), engine.begin() as connection:
                    connection.execute(sa.text(_LOCKS[engine.dialect.name]))
                    schema.advance(connection)
        except BaseException:
            engine.dispose()
            raise
        return store

    def check(self) -> None:
        """Raise :exc:`ConfigurationError` where tables or columns are missing."""
        with absence(self.engine):
            self._check()

    def _check(self) -> None:
        inspector = sa.inspect(self.engine)
        for table in self.tables:
            is_there = inspector.has_table(table.name, schema=table.schema)
            described = inspector.get_columns(table.name, schema=table.schema) if is_there else []
            columns = {column["name"] for column in described}
            missing = {column.name for column in table.columns} - columns
            if missing:
                what = f"column {', '.join(sorted(missing))} of {table.name}" if columns else f"table {table.name}"
                raise ConfigurationError(
                    f"the database lacks the {what}: run your migrations (flask db migrate, flask db upgrade) "
                    "or db.create_all()"
                )

    def get_client(self, client_id: str) -> Client | None:
        """See :meth:`.base.Store.get_client`."""
        if "\0" in client_id:  # a character that PostgreSQL's text cannot hold
            return None
        rows = self._database.fetch(self._sql.get_client, client_id=client_id)
        return _client(tuple(rows[0])) if rows else None

    def set_client(self, client: Client) -> None:
        """See :meth:`.base.Store.set_client`."""
        row = {
            "client_id": client.client_id,
            "name": client.name,
            "secret": client.secret,
            "auth_method": client.auth_method,
            "application_type": client.application_type,
            "redirect_uris": json.dumps(client.redirect_uris),
            "grant_types": json.dumps(client.grant_types),
            "response_types": json.dumps(client.response_types),
            "scope": " ".join(client.scope),
            "token_format": client.token_format,
            "pkce_required": client.pkce_required,
            "resource_server": client.resource_server,
            "client_metadata": json.dumps(dict(client.metadata)),
            "created_at": client.created_at,
        }
        self._database.run(Step(self._sql.set_client, row))

    def delete_client(self, client_id: str, expires_at: int) -> bool:
        """See :meth:`.base.Store.delete_client`."""
        results = self._database.run(
            Step(self._sql.set_mark, {"mark": client_id, "expires_at": expires_at}),
            Step(self._sql.delete_consents, {"client_id": client_id}),
            Step(self._sql.delete_client, {"client_id": client_id}),
        )
        return bool(results and results[-1])

    def list_clients(self) -> Iterator[Client]:
        """See :meth:`.base.ListingStore.list_clients`."""
        return (_client(tuple(row)) for row in self._database.fetch(self._sql.list_clients))

    def get_grant(self, key: bytes, kind: str) -> Grant | None:
        """See :meth:`.base.Store.get_grant`."""
        rows = self._database.fetch(self._sql.get_grant, key=key, kind=kind)
        if not rows:
            return None
        (family, client_id, user_id, scope, claims, redirect_uri, challenge, parameters, *times) = rows[0]
        authorization = None
        if family is not None:
            authorization = Authorization(
                id=family,
                client_id=client_id,
                user_id=user_id,
                scope=tuple(scope.split()),
                claims=json.loads(claims) if claims else {},
            )
        return Grant(
            key=key,
            kind=kind,
            authorization=authorization,
            redirect_uri=redirect_uri,
            challenge=challenge,
            parameters=json.loads(parameters) if parameters else {},
            expires_at=times[0],
            used_at=times[1],
        )

    def get_access(self, key: bytes) -> AccessToken | None:
        """See :meth:`.base.Store.get_access`."""
        rows = self._database.fetch(self._sql.get_access, key=key, mark=values.text(key))
        if not rows:
            return None
        family, client_id, user_id, scope, claims, type_, confirmation, issued_at, expires_at = rows[0]
        return AccessToken(
            key=key,
            authorization_id=family,
            client_id=client_id,
            user_id=user_id,
            scope=tuple(scope.split()),
            claims=json.loads(claims) if claims else {},
            type=type_,
            confirmation=json.loads(confirmation) if confirmation else None,
            issued_at=issued_at,
            expires_at=expires_at,
        )

    def get_refresh(self, key: bytes) -> Token | None:
        """See :meth:`.base.Store.get_refresh`."""
        rows = self._database.fetch(self._sql.get_refresh, key=key)
        return _token(rows[0], key) if rows else None

    def issue(self, spend: Grant | Token | None, filed: Iterable[Grant | Token], now: int, leeway: int = 0) -> bool:
        """See :meth:`.base.Store.issue`."""
        sql, run = self._sql, self._database.run
        files = []
        for record in filed:
            if isinstance(record, Token):
                files.append(Step(sql.file_token, _token_row(record)))
            else:
                files.append(Step(sql.file_grant, _grant_row(record)))
        if spend is None:
            return run(*files) is not None
        if isinstance(spend, Grant):
            return run(Step(sql.spend_grant, {"key": spend.key, "now": now}, 1), *files) is not None
        key = spend.access.key
        if run(Step(sql.spend_token, {"key": key, "now": now}, 1), *files) is not None:
            return True
        sibling = {"key": key, "since": now - leeway, "most": SIBLINGS}
        return run(Step(sql.add_sibling, sibling, 1), *files) is not None

    def revoke(self, mark: str, expires_at: int) -> None:
        """See :meth:`.base.Store.revoke`."""
        self._database.run(Step(self._sql.set_mark, {"mark": mark, "expires_at": expires_at}))

    def revoked(self, *marks: str) -> bool:
        """See :meth:`.base.Store.revoked`."""
        for start in range(0, len(marks), 3):
            first, second, third = (*marks[start : start + 3], None, None)[:3]
            if self._database.fetch(self._sql.get_marks, first=first, second=second, third=third):
                return True
        return False

    def count(self, key: bytes, expires_at: int, by: int = 1) -> int:
        """See :meth:`.base.Store.count`."""
        results = self._database.run(Step(self._sql.count, {"key": key, "expires_at": expires_at, "by": by}))
        return int(results[0][0][0]) if results else 0

    def get_consent(self, user_id: str, client_id: str) -> Consent | None:
        """See :meth:`.base.ConsentStore.get_consent`."""
        rows = self._database.fetch(self._sql.get_consent, user_id=user_id, client_id=client_id)
        if not rows:
            return None
        scope, granted_at = rows[0]
        return Consent(user_id=user_id, client_id=client_id, scope=tuple(scope.split()), granted_at=granted_at)

    def set_consent(self, consent: Consent) -> None:
        """See :meth:`.base.ConsentStore.set_consent`."""
        row = {
            "user_id": consent.user_id,
            "client_id": consent.client_id,
            "scope": " ".join(consent.scope),
            "granted_at": consent.granted_at,
        }
        self._database.run(Step(self._sql.set_consent, row))

    def purge(self, now: int) -> Iterator[int]:
        """See :meth:`.base.Store.purge`. Keys are read first, so that each batch holds the lock for a moment only."""
        times = {"now": now, "before": now - GRANT_MEMORY}
        for after, (_, list_batch, delete_one) in self._sql.expired:
            while rows := self._database.fetch(list_batch, after=after, **times):
                keys = [row[0] for row in rows]
                yield sum(self._database.run(*(Step(delete_one, {"key": key, **times}) for key in keys)) or ())
                after = keys[-1]

    def purgeable(self, now: int) -> int:
        """See :meth:`.base.Store.purgeable`."""
        times = {"now": now, "before": now - GRANT_MEMORY}
        return sum(self._database.fetch(count, **times)[0][0] for _, (count, _, _) in self._sql.expired)


_ONE_CONNECTION: dict[str, Any] = {"poolclass": sa.StaticPool, "connect_args": {"check_same_thread": False}}
"""For SQLite in memory, where each connection has a database of its own."""


def _create_engine(uri: str) -> tuple[Engine, bool]:
    """The engine of a URI, and whether it is SQLite in memory."""
    try:
        url = sa.make_url(uri)
        in_memory = url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")
        return sa.create_engine(url, **_ONE_CONNECTION if in_memory else {}), in_memory
    except sa.exc.ArgumentError as error:
        raise ConfigurationError(f"OAUTH2_DATABASE_URI is no database URI that SQLAlchemy knows: {error}") from error
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"OAUTH2_DATABASE_URI needs {error.name}: install flask_oauth2[postgresql], or the driver that it names"
        ) from error


_LOCKS = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT pg_advisory_xact_lock(674974)"}
"""By dialect: what lets one of several workers that start at once make the tables."""


@lru_cache(maxsize=1024)
def _client(row: tuple[Any, ...]) -> Client:
    """The client of a row; the same row is the same client, so its JSON is read once."""
    (
        client_id,
        name,
        secret,
        auth_method,
        application_type,
        redirect_uris,
        grant_types,
        response_types,
        scope,
    ) = row[:9]
    (token_format, pkce_required, resource_server, metadata, created_at) = row[9:]
    return Client(
        client_id=client_id,
        name=name,
        secret=secret,
        auth_method=auth_method,
        application_type=application_type,
        redirect_uris=tuple(json.loads(redirect_uris)),
        grant_types=tuple(json.loads(grant_types)),
        response_types=tuple(json.loads(response_types)),
        scope=tuple(scope.split()),
        token_format=token_format,
        pkce_required=None if pkce_required is None else bool(pkce_required),
        resource_server=bool(resource_server),
        metadata=json.loads(metadata) if metadata else {},
        created_at=created_at,
    )


def _token(row: Any, refresh_key: bytes) -> Token:
    (access_key, parent, family, client_id, user_id, scope, access_scope, claims, type_, confirmation) = row[:10]
    (issued_at, expires_at, refresh_expires_at, used_at) = row[10:]
    authorization = Authorization(
        id=family,
        client_id=client_id,
        user_id=user_id,
        scope=tuple(scope.split()),
        claims=json.loads(claims) if claims else {},
    )
    return Token(
        access=AccessToken(
            key=bytes(access_key),
            authorization_id=family,
            client_id=client_id,
            user_id=user_id,
            scope=authorization.scope if access_scope is None else tuple(access_scope.split()),
            claims=authorization.claims,
            type=type_,
            confirmation=json.loads(confirmation) if confirmation else None,
            issued_at=issued_at,
            expires_at=expires_at,
        ),
        authorization=authorization,
        refresh_key=refresh_key,
        refresh_expires_at=refresh_expires_at,
        parent=parent and bytes(parent),
        used_at=used_at,
    )


def _token_row(token: Token) -> dict[str, Any]:
    access, authorization = token.access, token.authorization
    return {
        "access_key": access.key,
        "refresh_key": token.refresh_key,
        "parent": token.parent,
        "authorization_id": authorization.id,
        "client_id": authorization.client_id,
        "user_id": authorization.user_id,
        "scope": " ".join(authorization.scope),
        "access_scope": None if access.scope == authorization.scope else " ".join(access.scope),
        "claims": json.dumps(dict(authorization.claims)) if authorization.claims else None,
        "type": access.type,
        "confirmation": json.dumps(dict(access.confirmation)) if access.confirmation else None,
        "issued_at": access.issued_at,
        "expires_at": access.expires_at,
        "refresh_expires_at": token.refresh_expires_at,
        "used_at": token.used_at,
    }


def _grant_row(grant: Grant) -> dict[str, Any]:
    authorization = grant.authorization
    return {
        "key": grant.key,
        "kind": grant.kind,
        "authorization_id": authorization and authorization.id,
        "client_id": authorization and authorization.client_id,
        "user_id": authorization and authorization.user_id,
        "scope": authorization and " ".join(authorization.scope),
        "claims": json.dumps(dict(authorization.claims)) if authorization and authorization.claims else None,
        "redirect_uri": grant.redirect_uri,
        "challenge": grant.challenge,
        "parameters": json.dumps(dict(grant.parameters)) if grant.parameters else None,
        "expires_at": grant.expires_at,
        "used_at": grant.used_at,
    }


def _tune_sqlite(connection: sqlite3.Connection, _: object) -> None:
    # WAL is kept in the file; the others hold for a connection. Nothing acknowledged is lost when a process dies.
    connection.execute("PRAGMA busy_timeout = 10000")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
