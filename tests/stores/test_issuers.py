"""The rows of several issuers: the step that adds them, and what only one kind of store has."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

import pytest
import sqlalchemy as sa

from flask_oauth2 import ConfigurationError, MemoryStore
from flask_oauth2.clients.from_object import read_client
from flask_oauth2.context import Context
from flask_oauth2.stores.base import collect
from flask_oauth2.stores.callbacks import Callbacks, CallbackStore
from flask_oauth2.stores.redis import RedisStore
from flask_oauth2.stores.replica import ReplicatedReader
from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore, declare, schema, steps
from flask_oauth2.stores.sqlalchemy.engines import alone
from flask_oauth2.testing.samples import (
    FAR,
    NOW,
    new_authorization,
    new_client,
    new_consent,
    new_grant,
    new_spa,
    new_token,
    save_record,
)

OpenStore = Callable[[str], Any]

NEW_TABLES = ("signing_key", "session", "session_client", "token_status")
NEW_COLUMNS = ("issuer_id", "context", "confirmation")
FORMER = {"revoked_id": "mark", "denied": "withheld"}


def create_version_4(engine: sa.Engine) -> sa.MetaData:
    """Create the tables as they were before each row had an issuer."""
    former = sa.MetaData()
    for name, table in declare(sa.MetaData())._asdict().items():
        if name in NEW_TABLES:
            continue
        columns = [
            sa.Column(
                FORMER.get(column.name, column.name),
                column.type,
                primary_key=column.primary_key,
                nullable=column.nullable,
                server_default=column.server_default,  # type: ignore[arg-type]
            )
            for column in table.columns
            if column.name != "issuer_id"
            and column.name != "context"
            and not (name == "grant" and column.name == "confirmation")
        ]
        if name in ("grant", "token"):
            columns += [sa.Column("claims", schema.long_text()), sa.Column("resource", schema.long_text())]
        indexes = [
            sa.Index(
                index.name,
                *(column.name for column in index.columns),
                unique=index.unique,
                sqlite_where=index.dialect_options["sqlite"]["where"],
                postgresql_where=index.dialect_options["postgresql"]["where"],
            )
            for index in table.indexes
        ]
        sa.Table(table.name, former, *columns, *indexes, **(schema._OPTIONS["mariadb"] | schema._OPTIONS["mysql"]))
    former.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE oauth2_schema (version INTEGER NOT NULL PRIMARY KEY)"))
        connection.execute(sa.text("INSERT INTO oauth2_schema (version) VALUES (4)"))
    return former


CONSENT = new_consent()
CLIENT, SPA = new_client(client_id="kept"), new_spa("https://page.example/", client_id="spa")
GRANT = new_grant(new_authorization(context=Context(claims={"a": ["é"]}, resource=("https://a.example", "b"))))
TOKENS = [
    new_token(new_authorization(context=Context(claims={"n": number}) if number % 2 else Context(resource=("r",))))
    for number in range(1200)
]
REVOKED = new_token()


def fill_version_4(engine: sa.Engine, former: sa.MetaData) -> None:
    """Copy rows of the newest version to former tables."""
    source = SQLAlchemyStore.open("sqlite://")
    for client in (CLIENT, SPA):
        source.set_client(client)
    assert source.issue(None, [GRANT, REVOKED, *TOKENS], NOW)
    assert source.set_consent(CONSENT, None)
    source.revoke(REVOKED.authorization.id, FAR)
    source.revoke_user("grace", "last", FAR)
    source.count(b"counter", FAR, by=7)
    with source.engine.connect() as reading, engine.begin() as connection:
        for table in source.tables:
            if table.name not in former.tables:
                continue
            rows = [former_row(dict(row)) for row in reading.execute(sa.select(table)).mappings()]
            if rows:
                connection.execute(sa.insert(former.tables[table.name]), rows)
    source.engine.dispose()


def former_row(row: dict[str, Any]) -> dict[str, Any]:
    row.pop("issuer_id")
    for new, old in FORMER.items():
        if new in row:
            row[old] = row.pop(new)
    if "context" in row:
        context = former_context(row.pop("context"))
        row["claims"], row["resource"] = context
        if "used_at" in row and "kind" in row:
            row.pop("confirmation")
    return row


def former_context(text: str | None) -> tuple[str | None, str | None]:
    members = json.loads(text or "{}")
    claims, resource = members.get("claims"), members.get("resource")
    return (None if claims is None else json.dumps(claims)), (None if resource is None else " ".join(resource))


def check_all(store: SQLAlchemyStore) -> None:
    store.check()
    assert store.get_client("kept") == CLIENT
    assert store.has_origin("https://page.example")
    assert store.get_grant(GRANT.key, "code") == GRANT
    for token in TOKENS:
        assert store.get_refresh(token.refresh_token_hash or b"") == token
    assert store.get_access(REVOKED.access.token_hash) is None
    assert store.revoked(user=("grace", "last"))
    assert store.get_consent("user", "client") == CONSENT
    assert store.count(b"counter", FAR) == 8
    other: Any = store.for_issuer("other")
    assert other.get_client("kept") is None
    other.set_client(replace(CLIENT, name="namesake"))
    assert other.set_consent(CONSENT, None)
    assert other.count(b"counter", FAR) == 1
    assert store.get_client("kept") == CLIENT


class TestStep:
    """A database that was written before each row had an issuer."""

    @pytest.fixture
    def former(self, url: str) -> str:
        engine = sa.create_engine(url)
        fill_version_4(engine, create_version_4(engine))
        engine.dispose()
        return url

    def test_everything_is_kept_for_the_only_issuer(self, former: str, open_store: OpenStore) -> None:
        store = open_store(former)
        check_all(store)
        for table in (store.tables.grant, store.tables.token):
            names = {column["name"] for column in sa.inspect(store.engine).get_columns(table.name)}
            assert names == set(table.columns.keys()), "claims and resource are gone"
        with store.engine.connect() as connection:
            assert connection.scalar(sa.text("SELECT max(version) FROM oauth2_schema")) == len(steps.STEPS)
        assert [one for one in store.check_health(NOW) if "index" in one.what] == []

    @pytest.mark.parametrize("stopped_at", range(1, 12, 2))
    def test_an_interrupted_step_is_finished(self, former: str, open_store: OpenStore, stopped_at: int) -> None:
        """MariaDB and MySQL commit each change of a table at once; the others undo all of it."""
        engine = sa.create_engine(former)
        seen = []

        def stop(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            if statement.startswith(("ALTER", "CREATE", "DROP", "UPDATE")) and "oauth2_schema" not in statement:
                seen.append(statement)
                if len(seen) == stopped_at:
                    raise InterruptedError

        sa.event.listen(engine, "before_cursor_execute", stop)
        with pytest.raises(InterruptedError), alone(engine) as connection:
            steps.advance(connection)
        engine.dispose()
        check_all(open_store(former))


def test_an_old_sqlite_keeps_columns_that_nothing_reads(
    sqlite_url: str, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = sa.create_engine(sqlite_url)
    fill_version_4(engine, create_version_4(engine))
    engine.dispose()
    monkeypatch.setattr(steps.sqlite3, "sqlite_version_info", (3, 34, 0))
    store = open_store(sqlite_url)
    assert "claims" in {column["name"] for column in sa.inspect(store.engine).get_columns("oauth2_token")}
    check_all(store)


def test_tables_of_an_application_are_mended_by_the_statements_that_check_names(url: str) -> None:
    engine = sa.create_engine(url)
    fill_version_4(engine, create_version_4(engine))
    store = SQLAlchemyStore(engine)
    wrong = (
        r"lacks the tables oauth2_signing_key, oauth2_session, oauth2_session_client, oauth2_token_status and the "
        r"columns denied, issuer_id "
        r"of oauth2_client and the primary key \(issuer_id, client_id\) of oauth2_client, which has \(client_id\) and "
        r".*: back it up and let a migration run: (?P<statements>.*)"
    )
    with pytest.raises(ConfigurationError, match=wrong) as caught:
        store.check()
    with engine.begin() as connection:
        for statement in str(caught.value).partition(" run: ")[2].split("; "):
            connection.execute(sa.text(statement))
    store.check()
    assert store.get_client("kept") == CLIENT
    engine.dispose()


def test_a_missing_primary_key_is_named_in_a_database_of_our_own(sqlite_url: str, open_store: OpenStore) -> None:
    store = open_store(sqlite_url)
    with store.engine.begin() as connection:
        for statement in (
            "DROP TABLE oauth2_counter",
            "CREATE TABLE oauth2_counter (issuer_id VARCHAR(64) DEFAULT '' NOT NULL, key BLOB NOT NULL PRIMARY KEY, "
            "count INTEGER NOT NULL, expires_at BIGINT NOT NULL)",
        ):
            connection.execute(sa.text(statement))
    lacks = r"lacks the primary key \(issuer_id, key\) of oauth2_counter, which has \(key\): .*Back it up and run: "
    with pytest.raises(ConfigurationError, match=lacks) as caught:
        open_store(sqlite_url)
    with store.engine.begin() as connection:
        for statement in str(caught.value).partition(" run: ")[2].split("; "):
            connection.execute(sa.text(statement))
    assert open_store(sqlite_url).count(b"a", FAR) == 1


def test_a_table_without_a_primary_key_gets_one(url: str) -> None:
    engine = sa.create_engine(url)
    metadata = sa.MetaData()
    tables = declare(metadata)
    metadata.create_all(engine)
    plain = sa.Table("oauth2_revocation", sa.MetaData(), **(schema._OPTIONS["mariadb"] | schema._OPTIONS["mysql"]))
    for column in tables.revocation.columns:
        plain.append_column(sa.Column(column.name, column.type, nullable=False, server_default=column.server_default))  # type: ignore[arg-type]
    store = SQLAlchemyStore(engine, tables)
    with engine.begin() as connection:
        tables.revocation.drop(connection)
        plain.create(connection)
    lacks = r"lacks the primary key \(issuer_id, revoked_id\) of oauth2_revocation, which has \(none\): "
    with pytest.raises(ConfigurationError, match=lacks) as caught:
        store.check()
    with engine.begin() as connection:
        for statement in str(caught.value).partition(" run: ")[2].split("; "):
            connection.execute(sa.text(statement))
    store.check()
    store.revoke("id", FAR)
    assert store.revoked("id")
    engine.dispose()


class OfOneIssuer:
    """A store without views."""

    def __init__(self) -> None:
        self._store = MemoryStore()

    def __getattr__(self, name: str) -> Any:
        if name in ("for_issuer", "behind"):
            raise AttributeError(name)
        return getattr(self._store, name)


def test_a_chain_has_views_if_each_of_its_stores_has(redis_url: str) -> None:
    plain: Any = OfOneIssuer()
    before = RedisStore(plain, redis_url)
    wrapped = CallbackStore(plain, Callbacks(), read_client, lambda *_: None)
    assert collect(before).issuers is None
    assert collect(wrapped).issuers is None
    assert collect(plain).issuers is None
    for store in (before, wrapped, ReplicatedReader(plain, plain)):
        with pytest.raises(TypeError, match="of one issuer"):
            store.for_issuer("other")
    memory = MemoryStore()
    assert collect(RedisStore(memory, redis_url)).issuers is not None
    assert collect(memory).issuers is memory
    before.close()


def test_a_replica_is_read_for_the_issuer_of_the_view() -> None:
    primary, replica = MemoryStore(), MemoryStore()
    reader = ReplicatedReader(primary, replica)
    view = reader.for_issuer("other")
    token, late = (
        save_record(replica.for_issuer("other"), new_token()),
        save_record(primary.for_issuer("other"), new_token()),
    )
    for found in (token, late):
        assert view.get_access(found.access.token_hash) == found.access
        assert reader.get_access(found.access.token_hash) is None
    replica.for_issuer("other").revoke("family", FAR)
    assert view.revoked("family")
    assert not reader.revoked("family")


def test_a_setter_that_raises_revokes_at_the_issuer_of_the_view() -> None:
    memory = MemoryStore()

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    store = CallbackStore(
        memory,
        Callbacks(tokensetter=fail),
        read_client,
        lambda behind, family, now: behind.revoke(family, FAR),
    )
    token = new_token()
    with pytest.raises(ZeroDivisionError):
        store.for_issuer("other").issue(None, [token], NOW)
    assert memory.for_issuer("other").revoked(token.authorization.id)
    assert not memory.revoked(token.authorization.id)


def test_a_revocation_is_published_to_the_subscribers_of_its_issuer(redis_url: str) -> None:
    store = RedisStore(MemoryStore(), redis_url)
    notifications: SimpleQueue[tuple[str, str | None]] = SimpleQueue()
    for issuer_id in ("", "one", "other"):
        store.for_issuer(issuer_id).subscribe(lambda revoked_id, name=issuer_id: notifications.put((name, revoked_id)))  # type: ignore[misc]
    while notifications.get(timeout=60) != ("", None):
        pass  # the thread is subscribed once it has told the first
    store.for_issuer("one").revoke("a", FAR)
    store.for_issuer("other").delete_client("b", FAR)
    store.revoke("c", FAR)
    received = []
    while ("", "c") not in received:
        received.append(notifications.get(timeout=60))
    assert [one for one in received if one[1] is not None] == [("one", "a"), ("other", "b"), ("", "c")]
    store.close()
