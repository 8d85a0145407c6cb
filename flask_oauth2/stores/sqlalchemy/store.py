"""The default store: SQLite, PostgreSQL with psycopg, and MariaDB and MySQL with PyMySQL.

Statements are built and compiled once, then sent to the driver with their parameters. Reads run in autocommit, each
write is one short transaction (SQLite: ``BEGIN IMMEDIATE``), on connections of the engine's pool. The store never uses
those of the application's session.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import starmap
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine

from ... import values
from ...errors import ConfigurationError
from ...http import redirects
from ...records import AccessToken, Authorization, Client, Consent, Grant, Token
from ..base import GRANT_MEMORY, SIBLINGS, HealthIssue, verify_issuer_id
from . import rows, schema, steps
from .batch_size import PAUSE, BatchSize
from .connect import connect
from .database import Step
from .engines import alone, check_dialect, create_engine, tune, tune_application, verify_exactness, verify_server
from .keys import KeyTable
from .sessions import SessionTables
from .statements import DECISION, KEYS, ORIGINS, REVOKED_IDS, Statements
from .unavailable import retry_lost, translate_errors


@dataclass(slots=True)
class _Server:
    """The state of the database server, which the views of all issuers share."""

    is_verified: bool


class SQLAlchemyStore(KeyTable, SessionTables):
    """Clients, grants and tokens in the database of an engine.

    :param engine: the engine, whose pool the store shares with the application.
    :param tables: the tables, if they are part of the metadata of an application.
    """

    def __init__(self, engine: Engine, tables: schema.Tables | None = None) -> None:
        check_dialect(engine.dialect.name, engine.dialect.driver)
        self.engine = engine
        self.tables = tables or schema.declare(sa.MetaData(), dialect=engine.dialect.name)
        self._sql = Statements(self.tables, engine.dialect)
        self._server = _Server(is_verified=engine.dialect.name != "mysql")
        self._database = connect(engine)
        self._issuer_id = ""

    @classmethod
    def open(cls, uri: str, options: Mapping[str, Any] = MappingProxyType({})) -> SQLAlchemyStore:
        """Open a database of our own. Create or advance its tables if needed.

        ``options`` are further arguments of ``sqlalchemy.create_engine``. An SQLite file is created with mode 0600, in
        WAL mode with ``synchronous=NORMAL``. Raises :exc:`ConfigurationError` for a database that a newer release has
        written.
        """
        engine = create_engine(uri, options=options)
        store = cls(engine)
        tune(engine)
        try:
            store._verify_server()
            with translate_errors(engine), engine.connect() as connection:
                is_current = steps.is_current(connection)
            if not is_current:
                with translate_errors(engine), alone(engine) as connection:
                    steps.advance(connection)
            retry_lost(engine, store._check_own)
        except BaseException:
            engine.dispose()
            raise
        return store

    @classmethod
    def attach(
        cls, uri: str, tables: schema.Tables | None = None, options: Mapping[str, Any] = MappingProxyType({})
    ) -> SQLAlchemyStore:
        """Open a store that reads a replica, ``OAUTH2_READ_REPLICA``, and creates nothing there."""
        return cls(create_engine(uri, "OAUTH2_READ_REPLICA", options), tables)

    def adopt(self) -> None:
        """Prepare the database of an application. Raises :exc:`ConfigurationError` like :meth:`check`."""
        self.check()
        tune_application(self.engine)

    def check(self) -> None:
        """Raise :exc:`ConfigurationError` if tables, columns or primary keys are missing."""
        self._verify_server()
        retry_lost(self.engine, self._check)

    def _check(self) -> None:
        differences = schema.compare(self.engine, self.tables)
        if differences:
            hint = "run your migrations (flask db migrate, flask db upgrade)"
            if any(one.key is not None for one in differences):  # no migration finds it by itself
                statements = "; ".join(statement for one in differences for statement in one.statements)
                hint = f"back it up and let a migration run: {statements}"
            elif not any(one.columns for one in differences):  # create_all() adds no columns to an existing table
                hint += " or create them with provider.create_tables() (flask oauth2 create-tables)"
            raise ConfigurationError(f"the database lacks {schema.describe(differences)}: {hint}")
        if self.engine.dialect.name in schema.COLLATIONS:
            verify_exactness(self.engine, [table.name for table in self.tables])

    def _verify_server(self) -> None:
        retry_lost(self.engine, lambda: verify_server(self.engine))
        self._server.is_verified = True

    def _check_own(self) -> None:
        """Raise :exc:`ConfigurationError` if a database of our own lacks a part of its version."""
        differences = schema.compare(self.engine, self.tables)
        if differences:
            statements = "; ".join(statement for one in differences for statement in one.statements)
            raise ConfigurationError(
                f"the database of flask_oauth2 ({self.engine.url.render_as_string()}) lacks "
                f"{schema.describe(differences)}: an unreleased version made it. Back it up and run: {statements}"
            )

    def for_issuer(self, issuer_id: str) -> SQLAlchemyStore:
        """See :meth:`.base.IssuerStore.for_issuer`."""
        verify_issuer_id(issuer_id)
        view = copy(self)
        view._issuer_id = issuer_id
        return view

    def check_health(self, now: int) -> Iterator[HealthIssue]:
        """See :meth:`.base.HealthCheckStore.check_health`."""
        from .health import check_health  # seldom needed, so not loaded with the store

        self.check()
        with translate_errors(self.engine):
            yield from check_health(self.engine, self.tables, now)

    def check_replica(self, replica: SQLAlchemyStore, now: int) -> Iterator[HealthIssue]:
        """Return the problems of a replica whose tables exist."""
        from .health import check_replica

        with translate_errors(self.engine), translate_errors(replica.engine):
            yield from check_replica(replica.engine, self.engine, self.tables, now)

    def get_client(self, client_id: str) -> Client | None:
        """See :meth:`.base.Store.get_client`."""
        if "\0" in client_id:  # a character that PostgreSQL's text cannot hold
            return None
        found = self._database.fetch(self._sql.get_client, client_id=client_id, issuer_id=self._issuer_id)
        return rows.read_client(tuple(found[0])) if found else None

    def set_client(self, client: Client) -> None:
        """See :meth:`.base.Store.set_client`."""
        self._database.run(
            Step(self._sql.set_client, rows.write_client(client, self._issuer_id)), *self._replace_origins(client)
        )

    def delete_client(self, client_id: str, expires_at: int) -> bool:
        """See :meth:`.base.Store.delete_client`."""
        row = {"client_id": client_id, "key": client_id, "issuer_id": self._issuer_id}
        results = self._database.run(
            self._revoking(client_id, expires_at),
            Step(self._sql.delete_consents, row),
            Step(self._sql.delete_client, row),
            Step(self._sql.delete_orphaned_origins, row),
        )
        return bool(results and results[2])

    def list_clients(self) -> Iterator[Client]:
        """See :meth:`.base.ListingStore.list_clients`."""
        return (
            rows.read_client(tuple(row))
            for row in self._database.fetch(self._sql.list_clients, issuer_id=self._issuer_id)
        )

    def add_client(self, client: Client) -> bool:
        """See :meth:`.base.RegistrationStore.add_client`."""
        try:
            add = Step(self._sql.add_client, rows.write_client(client, self._issuer_id), 1)
            return self._database.run(add, *self._add_origins(client)) is not None
        except self.engine.dialect.loaded_dbapi.IntegrityError:  # MariaDB and MySQL report an existing key with it
            return False

    def retain_client(self, client_id: str, expires_at: int | None = None) -> bool:
        """See :meth:`.base.RegistrationStore.retain_client`."""
        row = {"client_id": client_id, "expires_at": expires_at, "issuer_id": self._issuer_id}
        sql = self._sql.retain_client if expires_at is None else self._sql.retain_client_until
        return self._database.run(Step(sql, row)) == [1]

    def change_client(self, client: Client, before: Client) -> bool:
        """See :meth:`.base.RegistrationStore.change_client`."""
        row = rows.write_client(client, self._issuer_id)
        del row["expires_at"]
        row_before = rows.write_client(before, self._issuer_id)
        row |= {
            "key_before": before.registration_key,
            "secret_before": before.secret,
            "scope_before": row_before["scope"],
            "grant_types_before": row_before["grant_types"],
        }
        return self._database.run(Step(self._sql.change_client, row, 1), *self._replace_origins(client)) is not None

    def list_owned(self, owner_id: str) -> Iterator[Client]:
        """See :meth:`.base.RegistrationStore.list_owned`."""
        found = self._database.fetch(self._sql.list_owned, owner_id=owner_id, issuer_id=self._issuer_id)
        return (rows.read_client(tuple(row)) for row in found)

    def _replace_origins(self, client: Client) -> Iterator[Step]:
        """Follow the change of the client's row, for which others who change it wait."""
        yield Step(self._sql.delete_origins, {"client_id": client.client_id, "issuer_id": self._issuer_id})
        yield from self._add_origins(client)

    def _add_origins(self, client: Client) -> Iterator[Step]:
        for origin in sorted(redirects.origins_of(client)):
            row = {"origin": origin, "client_id": client.client_id, "issuer_id": self._issuer_id}
            yield Step(self._sql.add_origin, row)

    def has_origin(self, *origins: str) -> bool:
        """See :meth:`.base.OriginStore.has_origin`."""
        valid = [origin for origin in origins if "\0" not in origin]
        for start in range(0, len(valid), len(ORIGINS)):
            batch = valid[start : start + len(ORIGINS)]
            named = dict.fromkeys(ORIGINS) | dict(zip(ORIGINS, batch, strict=False))
            (found,) = self._database.fetch(self._sql.find_origins, **named, issuer_id=self._issuer_id)
            if not set(batch).isdisjoint(found):
                return True
        return False

    def get_grant(self, key: bytes, kind: str) -> Grant | None:
        """See :meth:`.base.Store.get_grant`."""
        found = self._database.fetch(self._sql.get_grant, key=key, kind=kind, issuer_id=self._issuer_id)
        return rows.read_grant(found[0], key, kind) if found else None

    def get_access(self, key: bytes) -> AccessToken | None:
        """See :meth:`.base.Store.get_access`."""
        if not self._server.is_verified:
            self._verify_server()
        found = self._database.fetch(
            self._sql.get_access, key=key, token_id=values.text(key), issuer_id=self._issuer_id
        )
        return rows.read_access(found[0], key) if found else None

    def get_refresh(self, key: bytes) -> Token | None:
        """See :meth:`.base.Store.get_refresh`."""
        found = self._database.fetch(self._sql.get_refresh, key=key, issuer_id=self._issuer_id)
        return rows.read_token(found[0], key) if found else None

    def issue(
        self, spend: Grant | Token | None, records: Iterable[Grant | Token], now: int, grace_period: int = 0
    ) -> bool:
        """See :meth:`.base.Store.issue`."""
        sql, issuer_id = self._sql, self._issuer_id
        saves: list[tuple[str, dict[str, Any]]] = []
        for record in records:
            if isinstance(record, Token):
                row = rows.write_token(record, issuer_id)
                saves.append((sql.add_token[tuple(row)], row))
            else:
                row = rows.write_grant(record, issuer_id)
                saves.append((sql.add_grant[tuple(row)], row))
        if spend is None:
            return self._database.run(*starmap(Step, saves)) is not None
        if isinstance(spend, Grant):
            changes = [(sql.spend_grant, {"spent_key": spend.key, "now": now, "issuer_id": issuer_id})]
        else:
            row = {"spent_key": spend.access.token_hash, "issuer_id": issuer_id}
            changes = [(sql.spend_token, {**row, "now": now})]
            if grace_period:
                sibling = {**row, "since": now - grace_period, "until": now + grace_period, "most": SIBLINGS}
                changes.append((sql.add_sibling, sibling))
        for change, row in changes:
            if len(saves) == 1 and sql.spend_and_add is not None:
                ((insert, saved),) = saves
                steps = [Step(sql.spend_and_add[change, insert], {**saved, **row}, 1)]
            else:
                steps = [Step(change, row, 1), *starmap(Step, saves)]
            if self._database.run(*steps) is not None:
                return True
        return False

    def find_device(self, user_code_key: bytes) -> Grant | None:
        """See :meth:`.base.DeviceStore.find_device`."""
        found = self._database.fetch(self._sql.find_device, key=user_code_key, issuer_id=self._issuer_id)
        if not found:
            return None
        key, kind, *rest = found[0]
        return rows.read_grant(rest, bytes(key), kind)

    def decide(self, grant: Grant, authorization: Authorization | None, now: int) -> bool:
        """See :meth:`.base.DeviceStore.decide`."""
        decided = replace(grant, authorization=authorization, is_denied=authorization is None)
        row = rows.write_grant(decided, self._issuer_id)
        decision = {name: row.get(name) for name in (*DECISION, "key", "issuer_id")}
        return self._database.run(Step(self._sql.decide, {"now": now, **decision}, 1)) is not None

    def poll(self, grant: Grant, now: int, interval: int) -> bool:
        """See :meth:`.base.DeviceStore.poll`."""
        before = {"polled_before": grant.polled_at or 0, "interval_before": grant.interval or 0}
        row = {"key": grant.key, "now": now, "interval": interval, "issuer_id": self._issuer_id, **before}
        return self._database.run(Step(self._sql.poll, row, 1)) is not None

    def find_known(self, keys: Iterable[bytes]) -> set[bytes]:
        """See :meth:`.base.ImportStore.find_known`."""
        wanted = list(keys)
        known: set[bytes] = set()
        for start in range(0, len(wanted), KEYS):
            batch = wanted[start : start + KEYS]
            named: dict[str, Any] = dict.fromkeys(self._sql.keys) | dict(zip(self._sql.keys, batch, strict=False))
            found = self._database.fetch(self._sql.find_known, **named, issuer_id=self._issuer_id)
            known.update(bytes(row[0]) for row in found)
        return known

    def revoke(self, revoked_id: str, expires_at: int) -> None:
        """See :meth:`.base.Store.revoke`."""
        self._database.run(self._revoking(revoked_id, expires_at))

    def _revoking(self, revoked_id: str, expires_at: int) -> Step:
        row = {"revoked_id": revoked_id, "expires_at": expires_at, "issuer_id": self._issuer_id}
        return Step(self._sql.revoke, row)

    def revoke_user(self, user_id: str, last_id: str, expires_at: int) -> None:
        """See :meth:`.base.Store.revoke_user`."""
        row = {"user_id": user_id, "last_id": last_id, "expires_at": expires_at, "issuer_id": self._issuer_id}
        self._database.run(Step(self._sql.revoke_user, row), Step(self._sql.delete_consents_of_user, row))

    def revoked(self, *ids: str, user: tuple[str, str] | None = None) -> bool:
        """See :meth:`.base.Store.revoked`."""
        named: dict[str, str | None] = {**dict.fromkeys(REVOKED_IDS), "issuer_id": self._issuer_id}
        sql, size = self._sql.find_revoked, len(REVOKED_IDS)
        if user is not None:
            sql = self._sql.find_revoked_of_user
            named |= {"user_id": user[0], "authorization_id": user[1]}
        return any(
            self._database.fetch(sql, **named | dict(zip(REVOKED_IDS, ids[start : start + size], strict=False)))
            for start in range(0, len(ids) or (user is not None), size)
        )

    def count(self, key: bytes, expires_at: int, by: int = 1) -> int:
        """See :meth:`.base.Store.count`."""
        row = {"key": key, "expires_at": expires_at, "by": by, "issuer_id": self._issuer_id}
        steps = (Step(sql, row, returns_rows=returns_rows) for sql, returns_rows in self._sql.count)
        results = self._database.run(*steps)
        return int(results[-1][0][0]) if results else 0

    def remember(self, key: bytes, expires_at: int) -> bool:
        """See :meth:`.base.Store.remember`."""
        row = {"key": key, "expires_at": expires_at, "by": 1, "issuer_id": self._issuer_id}
        try:
            return self._database.run(Step(self._sql.remember, row, 1)) is not None
        except self.engine.dialect.loaded_dbapi.IntegrityError:  # MariaDB and MySQL report an existing key with it
            return False

    def get_consent(self, user_id: str, client_id: str) -> Consent | None:
        """See :meth:`.base.ConsentStore.get_consent`."""
        found = self._database.fetch(
            self._sql.get_consent, user_id=user_id, client_id=client_id, issuer_id=self._issuer_id
        )
        return rows.read_consent(found[0], user_id) if found else None

    def list_consents(self, user_id: str) -> Iterator[Consent]:
        """See :meth:`.base.ConsentStore.list_consents`."""
        found = self._database.fetch(self._sql.list_consents, user_id=user_id, issuer_id=self._issuer_id)
        return (rows.read_consent(row, user_id) for row in found)

    def set_consent(self, consent: Consent, before: Consent | None) -> bool:
        """See :meth:`.base.ConsentStore.set_consent`."""
        row = rows.write_consent(consent, self._issuer_id)
        if before is None:
            add = [Step(sql, row, must) for sql, must in self._sql.add_consent]
            if self._database.run(*add) is not None:
                return True
            is_revoked = self._database.run(Step(self._sql.delete_revoked_consent, row, 1)) is not None
            return is_revoked and self._database.run(*add) is not None
        row["before"] = " ".join(before.scope)
        row |= {f"before_{name}": text for name, text in rows.write_further(before).items()}
        return self._database.run(Step(self._sql.change_consent, row, 1)) is not None

    def use_consent(self, user_id: str, client_id: str, now: int) -> None:
        """See :meth:`.base.ConsentStore.use_consent`."""
        row = {"user_id": user_id, "client_id": client_id, "now": now, "issuer_id": self._issuer_id}
        self._database.run(Step(self._sql.use_consent, row))

    def delete_consent(self, user_id: str, client_id: str, expires_at: int) -> bool:
        """See :meth:`.base.ConsentStore.delete_consent`."""
        while consent := self.get_consent(user_id, client_id):
            row = rows.write_consent(consent, self._issuer_id)
            # it names the ID, so that no consent is deleted that was not revoked
            delete = Step(self._sql.delete_consent, row, 1)
            if self._database.run(self._revoking(consent.id, expires_at), delete) is not None:
                return True
        return False

    def purge(self, now: int) -> Iterator[int]:
        """See :meth:`.base.Store.purge`. Read keys first, so that each batch holds the lock for a moment only."""
        times = {"now": now, "before": now - GRANT_MEMORY}
        size = BatchSize(PAUSE if self.engine.dialect.name == "sqlite" else 0)
        for expired in self._sql.expired:
            position = expired.start
            while batch := self._database.fetch(expired.batch, **position, **times):
                named = [{**dict(zip(expired.columns, row, strict=True)), **times} for row in batch]
                yield from self._delete(expired.deletions, named, size)
                position = {name: named[-1][column] for name, column in expired.position.items()}

    def _delete(self, deletions: Sequence[str], named: Sequence[dict[str, Any]], size: BatchSize) -> Iterator[int]:
        """Delete rows and what belongs to each. Yield the number of rows, a few at a time."""

        def delete(few: Sequence[dict[str, Any]]) -> int:
            taken = self._database.run(*(Step(sql, list(few)) for sql in deletions)) or [0]
            return int(taken[0])

        yield from size.divide(named, delete)

    def purgeable(self, now: int) -> int:
        """See :meth:`.base.Store.purgeable`."""
        times = {"now": now, "before": now - GRANT_MEMORY}
        return sum(int(self._database.fetch(expired.total, **times)[0][0]) for expired in self._sql.expired)
