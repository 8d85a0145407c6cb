"""The default store: SQLite, PostgreSQL with psycopg, and MariaDB and MySQL with PyMySQL.

Statements are built and compiled once, then handed to the driver with their parameters. Reads run in autocommit, each
write is one short transaction (SQLite: ``BEGIN IMMEDIATE``), on connections of the engine's pool that are never those
of the application's session.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine

from ... import uris, values
from ...errors import ConfigurationError
from ...records import AccessToken, Authorization, Client, Consent, Grant, Token
from ..base import GRANT_MEMORY, SIBLINGS, Fault
from . import rows, schema
from .batch_size import PAUSE, BatchSize
from .connect import connect
from .database import Step
from .engines import alone, check_dialect, create_engine, tune, tune_application, verify_exactness, verify_server
from .partitions import Partitions, find_partitions
from .statements import DECISION, FURTHER, KEYS, MARKS, ORIGINS, Statements
from .unavailable import retry_lost, translate_errors


class SQLAlchemyStore:
    """Clients, grants and tokens in the database of an engine.

    :param engine: the engine, whose pool is shared with whoever else uses it.
    :param tables: the tables, where they are part of an application's own metadata.
    """

    def __init__(self, engine: Engine, tables: schema.Tables | None = None) -> None:
        check_dialect(engine.dialect.name, engine.dialect.driver)
        self.engine = engine
        self.tables = tables or schema.declare(sa.MetaData())
        self._sql = Statements(self.tables, engine.dialect)
        self._by_time: Statements | None = None
        self._has_looked = engine.dialect.name == "sqlite"
        self._database = connect(engine)

    @classmethod
    def open(cls, uri: str, options: Mapping[str, Any] = MappingProxyType({})) -> SQLAlchemyStore:
        """A store with a database of its own, made or brought forward where that is needed.

        ``options`` are further arguments of ``sqlalchemy.create_engine``. An SQLite file is made with mode 0600, in
        WAL mode with ``synchronous=NORMAL``. Raises :exc:`ConfigurationError` for a database that a newer release has
        written.
        """
        engine = create_engine(uri, options=options)
        store = cls(engine)
        tune(engine)
        try:
            retry_lost(engine, lambda: verify_server(engine))
            with translate_errors(engine), engine.connect() as connection:
                is_current = schema.is_current(connection)
            if not is_current:
                with translate_errors(engine), alone(engine) as connection:
                    schema.advance(connection)
            retry_lost(engine, store._check_own)
            store._find_partitions()
        except BaseException:
            engine.dispose()
            raise
        return store

    @classmethod
    def attach(
        cls, uri: str, tables: schema.Tables | None = None, options: Mapping[str, Any] = MappingProxyType({})
    ) -> SQLAlchemyStore:
        """A store that reads a copy of a database, ``OAUTH2_REPLICA``, and makes nothing there."""
        return cls(create_engine(uri, "OAUTH2_REPLICA", options), tables)

    def adopt(self) -> None:
        """Prepare the database of an application. Raises :exc:`ConfigurationError` like :meth:`check`."""
        self.check()
        tune_application(self.engine)

    def check(self) -> None:
        """Raise :exc:`ConfigurationError` where tables or columns are missing."""
        retry_lost(self.engine, self._check)

    def _check(self) -> None:
        verify_server(self.engine)
        missing = schema.find_missing(self.engine, self.tables)
        if missing:
            # create_all() adds tables, and no columns to those that are there
            cure = "run your migrations (flask db migrate, flask db upgrade)"
            if all(not columns for columns in missing.values()):
                cure += " or create them with provider.create_tables() (flask oauth2 create-tables)"
            raise ConfigurationError(f"the database lacks {schema.describe_missing(missing)}: {cure}")
        if self.engine.dialect.name in schema.COLLATIONS:
            verify_exactness(self.engine, [table.name for table in self.tables])
        self._find_partitions()

    def _check_own(self) -> None:
        """Raise :exc:`ConfigurationError` if a database of our own lacks what its version says that it has."""
        missing = schema.find_missing(self.engine, self.tables)
        if missing:
            statements = "; ".join(schema.add_missing(self.tables, missing, self.engine.dialect))
            raise ConfigurationError(
                f"the database of flask_oauth2 ({self.engine.url.render_as_string()}) lacks "
                f"{schema.describe_missing(missing)}: an unreleased version made it. Back it up and run: {statements}"
            )

    def examine(self, now: int) -> Iterator[Fault]:
        """See :meth:`.base.ExaminedStore.examine`."""
        from .examination import examine  # seldom needed, so not loaded with the store

        self.check()
        with translate_errors(self.engine):
            yield from examine(self.engine, self.tables, now)

    def examine_copy(self, replica: SQLAlchemyStore, now: int) -> Iterator[Fault]:
        """What is wrong with a replica whose tables are there."""
        from .examination import examine_copy

        with translate_errors(self.engine), translate_errors(replica.engine):
            yield from examine_copy(replica.engine, self.engine, self.tables, now)

    def _find_partitions(self) -> Partitions | None:
        """Those of the token table. What names one token looks in one of them from now on."""
        partitions = find_partitions(self.engine, self.tables.token)
        if partitions is None:
            self._by_time = None
        elif self._by_time is None:
            self._by_time = Statements(self.tables, self.engine.dialect, by_time=True)
        self._has_looked = True
        return partitions

    def get_client(self, client_id: str) -> Client | None:
        """See :meth:`.base.Store.get_client`."""
        if "\0" in client_id:  # a character that PostgreSQL's text cannot hold
            return None
        found = self._database.fetch(self._sql.get_client, client_id=client_id)
        return rows.read_client(tuple(found[0])) if found else None

    def set_client(self, client: Client) -> None:
        """See :meth:`.base.Store.set_client`."""
        self._database.run(Step(self._sql.set_client, rows.write_client(client)), *self._replace_origins(client))

    def delete_client(self, client_id: str, expires_at: int) -> bool:
        """See :meth:`.base.Store.delete_client`."""
        results = self._database.run(
            Step(self._sql.set_mark, {"mark": client_id, "expires_at": expires_at}),
            Step(self._sql.delete_consents, {"client_id": client_id}),
            Step(self._sql.delete_client, {"client_id": client_id}),
            Step(self._sql.delete_left_origins, {"key": client_id}),
        )
        return bool(results and results[2])

    def list_clients(self) -> Iterator[Client]:
        """See :meth:`.base.ListingStore.list_clients`."""
        return (rows.read_client(tuple(row)) for row in self._database.fetch(self._sql.list_clients))

    def add_client(self, client: Client) -> bool:
        """See :meth:`.base.RegistrationStore.add_client`."""
        try:
            add = Step(self._sql.add_client, rows.write_client(client), 1)
            return self._database.run(add, *self._file_origins(client)) is not None
        except self.engine.dialect.loaded_dbapi.IntegrityError:  # how MariaDB and MySQL report an existing key
            return False

    def keep_client(self, client_id: str, expires_at: int | None = None) -> bool:
        """See :meth:`.base.RegistrationStore.keep_client`."""
        if expires_at is None:
            step = Step(self._sql.keep_client, {"client_id": client_id})
        else:
            step = Step(self._sql.keep_client_until, {"client_id": client_id, "expires_at": expires_at})
        return self._database.run(step) == [1]

    def change_client(self, client: Client, before: Client) -> bool:
        """See :meth:`.base.RegistrationStore.change_client`."""
        row = rows.write_client(client)
        del row["expires_at"]
        row_before = rows.write_client(before)
        row |= {
            "key_before": before.registration_key,
            "secret_before": before.secret,
            "scope_before": row_before["scope"],
            "grant_types_before": row_before["grant_types"],
        }
        return self._database.run(Step(self._sql.change_client, row, 1), *self._replace_origins(client)) is not None

    def list_owned(self, owner_id: str) -> Iterator[Client]:
        """See :meth:`.base.RegistrationStore.list_owned`."""
        found = self._database.fetch(self._sql.list_owned, owner_id=owner_id)
        return (rows.read_client(tuple(row)) for row in found)

    def _replace_origins(self, client: Client) -> Iterator[Step]:
        """After the row of the client, which others who write it wait for."""
        yield Step(self._sql.delete_origins, {"client_id": client.client_id})
        yield from self._file_origins(client)

    def _file_origins(self, client: Client) -> Iterator[Step]:
        for origin in sorted(uris.origins_of(client)):
            yield Step(self._sql.file_origin, {"origin": origin, "client_id": client.client_id})

    def has_origin(self, *origins: str) -> bool:
        """See :meth:`.base.OriginStore.has_origin`."""
        asked = [origin for origin in origins if "\0" not in origin]
        for start in range(0, len(asked), len(ORIGINS)):
            batch = asked[start : start + len(ORIGINS)]
            named = dict.fromkeys(ORIGINS) | dict(zip(ORIGINS, batch, strict=False))
            (found,) = self._database.fetch(self._sql.find_origins, **named)
            if not set(batch).isdisjoint(found):
                return True
        return False

    def get_grant(self, key: bytes, kind: str) -> Grant | None:
        """See :meth:`.base.Store.get_grant`."""
        found = self._database.fetch(self._sql.get_grant, key=key, kind=kind)
        return rows.read_grant(found[0], key, kind) if found else None

    def get_access(self, key: bytes) -> AccessToken | None:
        """See :meth:`.base.Store.get_access`."""
        if not self._has_looked:
            retry_lost(self.engine, lambda: verify_server(self.engine))
            self._find_partitions()
        if self._by_time and not key.startswith(values.NO_STAMP):
            named = {"key": key, "issued_at": values.second(key), "mark": values.text(key)}
            found = self._database.fetch(self._by_time.get_access, **named)
        else:
            found = self._database.fetch(self._sql.get_access, key=key, mark=values.text(key))
        return rows.read_access(found[0], key) if found else None

    def get_refresh(self, key: bytes) -> Token | None:
        """See :meth:`.base.Store.get_refresh`."""
        if self._by_time and not key.startswith(values.NO_STAMP):
            found = self._database.fetch(self._by_time.get_refresh, key=key, issued_at=values.second(key))
        else:
            found = self._database.fetch(self._sql.get_refresh, key=key)
        return rows.read_token(found[0], key) if found else None

    def issue(self, spend: Grant | Token | None, filed: Iterable[Grant | Token], now: int, leeway: int = 0) -> bool:
        """See :meth:`.base.Store.issue`."""
        sql, run = self._sql, self._database.run
        files = []
        for record in filed:
            if isinstance(record, Token):
                files.append(Step(sql.file_token, rows.write_token(record)))
            else:
                files.append(Step(sql.file_grant, rows.write_grant(record)))
        if spend is None:
            return run(*files) is not None
        if isinstance(spend, Grant):
            return run(Step(sql.spend_grant, {"key": spend.key, "now": now}, 1), *files) is not None
        row: dict[str, Any] = {"key": spend.access.key}
        if self._by_time:
            sql, row = self._by_time, {**row, "issued_at": spend.access.issued_at}
        if run(Step(sql.spend_token, {**row, "now": now}, 1), *files) is not None:
            return True
        if not leeway:
            return False
        sibling = {**row, "since": now - leeway, "until": now + leeway, "most": SIBLINGS}
        return run(Step(sql.add_sibling, sibling, 1), *files) is not None

    def find_device(self, user_code_key: bytes) -> Grant | None:
        """See :meth:`.base.DeviceStore.find_device`."""
        found = self._database.fetch(self._sql.find_device, key=user_code_key)
        if not found:
            return None
        key, kind, *rest = found[0]
        return rows.read_grant(rest, bytes(key), kind)

    def decide(self, grant: Grant, authorization: Authorization | None, now: int) -> bool:
        """See :meth:`.base.DeviceStore.decide`."""
        row = rows.write_grant(replace(grant, authorization=authorization, is_denied=authorization is None))
        decision = {name: row[name] for name in DECISION}
        return self._database.run(Step(self._sql.decide, {"key": grant.key, "now": now, **decision}, 1)) is not None

    def poll(self, grant: Grant, now: int, interval: int) -> bool:
        """See :meth:`.base.DeviceStore.poll`."""
        before = {"polled_before": grant.polled_at or 0, "interval_before": grant.interval or 0}
        row = {"key": grant.key, "now": now, "interval": interval, **before}
        return self._database.run(Step(self._sql.poll, row, 1)) is not None

    def find_known(self, keys: Iterable[bytes]) -> set[bytes]:
        """See :meth:`.base.ImportStore.find_known`."""
        asked = list(keys)
        known: set[bytes] = set()
        for start in range(0, len(asked), KEYS):
            batch = asked[start : start + KEYS]
            named = dict.fromkeys(self._sql.keys) | dict(zip(self._sql.keys, batch, strict=False))
            known.update(bytes(row[0]) for row in self._database.fetch(self._sql.find_known, **named))
        return known

    def revoke(self, mark: str, expires_at: int) -> None:
        """See :meth:`.base.Store.revoke`."""
        self._database.run(Step(self._sql.set_mark, {"mark": mark, "expires_at": expires_at}))

    def revoke_user(self, user_id: str, last_id: str, expires_at: int) -> None:
        """See :meth:`.base.Store.revoke_user`."""
        row = {"user_id": user_id, "last_id": last_id}
        self._database.run(
            Step(self._sql.revoke_user, {**row, "expires_at": expires_at}),
            Step(self._sql.delete_consents_of_user, row),
        )

    def revoked(self, *marks: str, user: tuple[str, str] | None = None) -> bool:
        """See :meth:`.base.Store.revoked`."""
        nothing: dict[str, str | None] = dict.fromkeys(MARKS)
        sql = self._sql.get_marks
        if user is not None:
            sql = self._sql.get_marks_of_user
            nothing |= {"user_id": user[0], "authorization_id": user[1]}
        return any(
            self._database.fetch(sql, **nothing | dict(zip(MARKS, batch, strict=False)))
            for batch in (
                marks[start : start + len(MARKS)] for start in range(0, len(marks) or (user is not None), len(MARKS))
            )
        )

    def count(self, key: bytes, expires_at: int, by: int = 1) -> int:
        """See :meth:`.base.Store.count`."""
        row = {"key": key, "expires_at": expires_at, "by": by}
        results = self._database.run(*(Step(sql, row) for sql in self._sql.count))
        return int(results[-1][0][0]) if results else 0

    def get_consent(self, user_id: str, client_id: str) -> Consent | None:
        """See :meth:`.base.ConsentStore.get_consent`."""
        found = self._database.fetch(self._sql.get_consent, user_id=user_id, client_id=client_id)
        return rows.read_consent(found[0], user_id) if found else None

    def list_consents(self, user_id: str) -> Iterator[Consent]:
        """See :meth:`.base.ConsentStore.list_consents`."""
        return (
            rows.read_consent(row, user_id) for row in self._database.fetch(self._sql.list_consents, user_id=user_id)
        )

    def set_consent(self, consent: Consent, before: Consent | None) -> bool:
        """See :meth:`.base.ConsentStore.set_consent`."""
        row = rows.write_consent(consent)
        if before is None:
            add = [Step(sql, row, must) for sql, must in self._sql.add_consent]
            if self._database.run(*add) is not None:
                return True
            of_both = {"user_id": consent.user_id, "client_id": consent.client_id}
            is_revoked = self._database.run(Step(self._sql.delete_revoked_consent, of_both, 1)) is not None
            return is_revoked and self._database.run(*add) is not None
        row |= {"before": " ".join(before.scope), "before_by_resource": rows.write_by_resource(before)}
        return self._database.run(Step(self._sql.change_consent, row, 1)) is not None

    def use_consent(self, user_id: str, client_id: str, now: int) -> None:
        """See :meth:`.base.ConsentStore.use_consent`."""
        self._database.run(Step(self._sql.use_consent, {"user_id": user_id, "client_id": client_id, "now": now}))

    def delete_consent(self, user_id: str, client_id: str, expires_at: int) -> bool:
        """See :meth:`.base.ConsentStore.delete_consent`."""
        while consent := self.get_consent(user_id, client_id):
            mark = Step(self._sql.set_mark, {"mark": consent.id, "expires_at": expires_at})
            # by its id, so that none is taken away that was not marked
            gone = Step(self._sql.delete_consent, {"user_id": user_id, "client_id": client_id, "id": consent.id}, 1)
            if self._database.run(mark, gone) is not None:
                return True
        return False

    def purge(self, now: int) -> Iterator[int]:
        """See :meth:`.base.Store.purge`. Keys are read first, so that each batch holds the lock for a moment only."""
        times = {"now": now, "before": now - GRANT_MEMORY}
        partitions = self._find_partitions()
        size = BatchSize(PAUSE if self.engine.dialect.name == "sqlite" else 0)
        if partitions:
            yield from self._purge_partitions(partitions, now, size)
        for after, (_, list_batch, *deletions) in self._sql.expired[1 if partitions else 0 :]:
            while batch := self._database.fetch(list_batch, after=after, **times):
                named = [{"key": row[0], **dict(zip(FURTHER, row[1:-1], strict=False)), **times} for row in batch]
                yield from self._delete(deletions, named, size)
                after = batch[-1][-1]

    def _delete(self, deletions: Sequence[str], named: Sequence[dict[str, Any]], size: BatchSize) -> Iterator[int]:
        """Delete each row and what goes with it. Yields how many rows there were, a few at a time."""

        def delete(few: Sequence[dict[str, Any]]) -> int:
            taken = self._database.run(*(Step(sql, list(few)) for sql in deletions)) or [0]
            return int(taken[0])

        yield from size.divide(named, delete)

    def _purge_partitions(self, partitions: Partitions, now: int, size: BatchSize) -> Iterator[int]:
        partitions.add_ahead(now)
        yield from partitions.drop_dead(now)
        _, (_, _, *deletions) = (self._by_time or self._sql).expired[0]
        for batch in partitions.list_expired(now):
            named = [{"key": key, "issued_at": issued_at, "now": now} for key, issued_at in batch]
            yield from self._delete(deletions, named, size)

    def purgeable(self, now: int) -> int:
        """See :meth:`.base.Store.purgeable`."""
        times = {"now": now, "before": now - GRANT_MEMORY}
        partitions = self._find_partitions()
        expired = self._sql.expired[1 if partitions else 0 :]
        others = sum(int(self._database.fetch(count, **times)[0][0]) for _, (count, *_) in expired)
        return others + (partitions.count_expired(now) if partitions else 0)
