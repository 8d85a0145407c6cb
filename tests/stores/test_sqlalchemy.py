"""The default store as a database sees it: files, schema, statements, connections, and the application beside it."""

from __future__ import annotations

import multiprocessing
import os
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from stat import S_IMODE
from typing import Any

import flask
import psycopg
import pymysql
import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from pytest_postgresql.executors import PostgreSQLExecutor
from pytest_postgresql.retry import retry
from sqlalchemy.pool import StaticPool
from stores.workers import PATIENCE, in_processes
from stores.workers import open_store as opens

from flask_oauth2 import ConfigurationError, TemporarilyUnavailable, Token
from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore, Tables, declare, map_tables, schema, steps
from flask_oauth2.testing.samples import (
    FAR,
    NOW,
    new_authorization,
    new_client,
    new_consent,
    new_grant,
    new_key,
    new_spa,
    new_token,
    refreshed,
    save_record,
)

OpenStore = Callable[[str], SQLAlchemyStore]

TAKEN = sqlite3.IntegrityError, psycopg.IntegrityError, pymysql.IntegrityError
MISSING = sqlite3.OperationalError, psycopg.ProgrammingError, pymysql.ProgrammingError


@pytest.fixture
def sqlite_store(sqlite_url: str, open_store: OpenStore) -> SQLAlchemyStore:
    return open_store(sqlite_url)


@pytest.fixture
def lasting(url: str, open_store: OpenStore) -> SQLAlchemyStore:
    """A store on SQLite, on PostgreSQL, on MariaDB, on MySQL."""
    return open_store(url)


def path_of(store: SQLAlchemyStore) -> Path:
    return Path(str(store.engine.url.database))


def checked_out(store: SQLAlchemyStore) -> int:
    """Return how many connections are in use: the pool counts those in the cache as checked out."""
    pool: Any = store.engine.pool
    return int(pool.checkedout()) - len(store._database.connections.cache.own.idle)


class TestOpen:
    """A database of our own."""

    def test_the_file_is_for_its_owner_only(self, sqlite_store: SQLAlchemyStore) -> None:
        save_record(sqlite_store, new_token())
        path = path_of(sqlite_store)
        files = {file.name: S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert files == {path.name: 0o600, f"{path.name}-wal": 0o600, f"{path.name}-shm": 0o600}

    def test_the_mode_of_a_file_that_was_there_is_its_owners_choice(
        self, sqlite_url: str, tmp_path: Path, open_store: OpenStore
    ) -> None:
        path = tmp_path / "oauth2.sqlite"
        path.touch(0o640)
        path.chmod(0o640)
        open_store(sqlite_url)
        assert S_IMODE(path.stat().st_mode) == 0o640

    def test_it_writes_ahead_and_waits(self, sqlite_store: SQLAlchemyStore) -> None:
        with sqlite_store.engine.connect() as connection:
            assert connection.scalar(sa.text("PRAGMA journal_mode")) == "wal"
            assert connection.scalar(sa.text("PRAGMA synchronous")) == 1
            assert connection.scalar(sa.text("PRAGMA busy_timeout")) == 10_000

    def test_a_database_in_memory_is_one_for_all_threads(self, open_store: OpenStore) -> None:
        store = open_store("sqlite://")
        token = save_record(store, new_token())
        found = []
        thread = threading.Thread(target=lambda: found.append(store.get_access(token.access.token_hash)))
        thread.start()
        thread.join()
        assert found == [token.access]

    def test_a_file_may_be_named_by_a_uri(self, tmp_path: Path, open_store: OpenStore) -> None:
        store = open_store(f"sqlite:///file:{tmp_path}/oauth2.sqlite?uri=true")
        token = save_record(store, new_token())
        assert store.get_access(token.access.token_hash) == token.access
        assert (tmp_path / "oauth2.sqlite").exists()

    def test_another_dialect_is_refused(self) -> None:
        engine = sa.create_mock_engine("oracle://", executor=print)
        with pytest.raises(ConfigurationError, match=r"MariaDB or MySQL, not in oracle.*OAUTH2_DATABASE_URI"):
            SQLAlchemyStore(engine)  # type: ignore[arg-type]


class TestSchema:
    """Its version, and the steps that bring it forward."""

    @staticmethod
    def versions(store: SQLAlchemyStore) -> list[int]:
        with store.engine.connect() as connection:
            return list(connection.scalars(sa.text("SELECT version FROM oauth2_schema")))

    def test_an_empty_database_gets_the_newest(self, lasting: SQLAlchemyStore) -> None:
        assert self.versions(lasting) == [len(steps.STEPS)]
        lasting.check()

    def test_to_open_it_again_changes_nothing(self, url: str, open_store: OpenStore) -> None:
        token = save_record(open_store(url), new_token())
        again = open_store(url)
        assert self.versions(again) == [len(steps.STEPS)]
        assert again.get_access(token.access.token_hash) == token.access

    def test_many_processes_that_open_it_at_once_make_it_once(self, url: str, open_store: OpenStore) -> None:
        in_processes([(opens, url)] * 8)
        store = open_store(url)
        assert self.versions(store) == [len(steps.STEPS)]
        store.check()

    def test_a_newer_one_is_refused(self, url: str, open_store: OpenStore) -> None:
        store = open_store(url)
        with store.engine.begin() as connection:
            connection.execute(sa.text("INSERT INTO oauth2_schema (version) VALUES (99)"))
        with pytest.raises(ConfigurationError, match=r"schema 99, this release knows \d+: upgrade flask_oauth2"):
            open_store(url)

    def test_one_that_lacks_columns_of_its_version_is_refused_with_the_fix(
        self, url: str, open_store: OpenStore
    ) -> None:
        """As unreleased versions made it."""
        store = open_store(url)
        with store.engine.begin() as connection:
            for statement in (
                "ALTER TABLE oauth2_token DROP COLUMN siblings",
                "ALTER TABLE oauth2_token DROP COLUMN audience",
                "ALTER TABLE oauth2_client DROP COLUMN denied",
                "DROP TABLE oauth2_origin",
            ):
                connection.execute(sa.text(statement))
        store.engine.dispose()
        lacks = (
            r"lacks the table oauth2_origin and the column denied of oauth2_client and "
            r"the columns audience, siblings of oauth2_token: .*Back it up and run: (.*)"
        )
        with pytest.raises(ConfigurationError, match=lacks) as caught:
            open_store(url)
        told = re.search(lacks, str(caught.value))
        assert told
        with store.engine.begin() as connection:
            for statement in told[1].split("; "):
                connection.execute(sa.text(statement))
        assert open_store(url).get_access(save_record(open_store(url), new_token()).access.token_hash)

    def test_an_older_one_is_brought_forward_by_its_missing_steps_only(
        self, url: str, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = save_record(open_store(url), new_token())

        def add_note(connection: sa.Connection) -> None:
            connection.execute(sa.text("ALTER TABLE oauth2_client ADD COLUMN note VARCHAR(9)"))

        monkeypatch.setattr(steps, "STEPS", (*steps.STEPS, add_note))
        for _ in range(2):
            store = open_store(url)
            assert max(self.versions(store)) == len(steps.STEPS)
            columns = {column["name"] for column in sa.inspect(store.engine).get_columns("oauth2_client")}
            assert "note" in columns
            assert store.get_access(before.access.token_hash) == before.access

    def test_a_step_that_fails_leaves_all_as_it_was(
        self, url: str, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = open_store(url)

        def fail(connection: sa.Connection) -> None:
            connection.execute(sa.text("ALTER TABLE oauth2_client ADD COLUMN note VARCHAR(9)"))
            raise ZeroDivisionError

        known = len(steps.STEPS)
        monkeypatch.setattr(steps, "STEPS", (*steps.STEPS, fail))
        with pytest.raises(ZeroDivisionError):
            open_store(url)
        assert max(self.versions(store)) == known
        columns = {column["name"] for column in sa.inspect(store.engine).get_columns("oauth2_client")}
        assert ("note" in columns) is (store.engine.dialect.name in schema.COLLATIONS), "no transaction for tables"


class TestCheck:
    """What an application with migrations of its own has forgotten."""

    def test_all_is_there(self, lasting: SQLAlchemyStore) -> None:
        lasting.check()
        assert checked_out(lasting) == 0

    def test_a_missing_table_is_named(self, lasting: SQLAlchemyStore) -> None:
        with lasting.engine.begin() as connection:
            lasting.tables.consent.drop(connection)
        with pytest.raises(ConfigurationError, match=r"lacks the table oauth2_consent: .*flask db upgrade"):
            lasting.check()

    def test_a_missing_column_is_named(self, lasting: SQLAlchemyStore) -> None:
        with lasting.engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE oauth2_token DROP COLUMN confirmation"))
        with pytest.raises(ConfigurationError, match=r"lacks the column confirmation of oauth2_token: .*flask db"):
            lasting.check()

    def test_tables_in_a_schema_of_their_own(self, postgresql_url: str) -> None:
        engine, metadata = sa.create_engine(postgresql_url), sa.MetaData(schema="auth")
        tables = declare(metadata)
        assert declare(metadata) == tables
        store = SQLAlchemyStore(engine, tables)
        with pytest.raises(ConfigurationError, match="tables oauth2_client"):
            store.check()
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE SCHEMA auth"))
            metadata.create_all(connection)
        store.check()
        token = save_record(store, new_token())
        assert store.get_access(token.access.token_hash) == token.access
        engine.dispose()


KEY = new_key()


class TestFirstSchema:
    """A database that the first release has written."""

    @pytest.fixture
    def old(self, url: str, open_store: OpenStore) -> str:
        store = open_store(url)
        store.set_client(new_client(client_id="kept"))
        for number in range(501):
            store.set_client(new_spa(f"https://page-{number}.example/", f"http://localhost:{number + 1}/"))
        save_record(store, new_token(new_authorization(client_id="kept"), refresh_token_hash=KEY))
        with store.engine.begin() as connection:
            for statement in (
                "ALTER TABLE oauth2_consent DROP COLUMN id",
                "ALTER TABLE oauth2_consent DROP COLUMN used_at",
                "INSERT INTO oauth2_consent (user_id, client_id, scope, granted_at) VALUES ('user', 'kept', 'read', 1)",
                "ALTER TABLE oauth2_grant DROP COLUMN consent_id",
                "ALTER TABLE oauth2_token DROP COLUMN consent_id",
                "DROP TABLE oauth2_origin",
                "DELETE FROM oauth2_schema",
                "INSERT INTO oauth2_schema (version) VALUES (1)",
            ):
                connection.execute(sa.text(statement))
        store.engine.dispose()
        return url

    def test_is_brought_forward_with_what_is_in_it(self, old: str, open_store: OpenStore) -> None:
        store = open_store(old)
        store.check()
        assert store.get_client("kept") is not None
        with store.engine.connect() as connection:
            assert connection.scalar(sa.text("SELECT count(*) FROM oauth2_token")) == 1
            assert connection.scalar(sa.text("SELECT max(version) FROM oauth2_schema")) == len(steps.STEPS)

    def test_the_origins_of_its_clients_are_known_now(self, old: str, open_store: OpenStore) -> None:
        store = open_store(old)
        for number in (0, 250, 500):
            assert store.has_origin(f"https://page-{number}.example")
            assert store.has_origin(f"http://localhost:{number + 1}")
        assert not store.has_origin("https://client.example"), "which has a secret"
        with store.engine.connect() as connection:
            assert connection.scalar(sa.text("SELECT count(*) FROM oauth2_origin")) == 2 * 501

    def test_what_was_allowed_can_be_ended_now(self, old: str, open_store: OpenStore) -> None:
        store = open_store(old)
        consent = store.get_consent("user", "kept")
        assert consent is not None
        assert (consent.scope, consent.granted_at, consent.used_at) == (("read",), 1, 1)
        token = store.get_refresh(KEY)
        assert token is not None
        assert token.authorization.consent_id == consent.id
        assert store.delete_consent("user", "kept", FAR)
        assert store.get_refresh(KEY) is None

    def test_a_migration_of_the_applications_own_may_leave_it_without_an_id(
        self, sqlite_url: str, open_store: OpenStore
    ) -> None:
        store = open_store(sqlite_url)
        with store.engine.begin() as connection:
            connection.execute(
                sa.insert(store.tables.consent).values(user_id="user", client_id="kept", scope="read", granted_at=1)
            )
        assert store.get_consent("user", "kept") is None
        assert list(store.list_consents("user")) == []
        consent = new_consent(client_id="kept")
        assert store.set_consent(consent, None)
        assert store.get_consent("user", "kept") == consent


class TestPrefix:
    """Tables of other names, where an application has its own of ours."""

    def test_they_do_not_meet(self, sqlite_url: str) -> None:
        metadata = sa.MetaData()
        own = sa.Table("oauth2_client", metadata, sa.Column("id", sa.Integer, primary_key=True))
        with pytest.raises(ConfigurationError, match=r'oauth2_client of its own: .*table_prefix="provider_"'):
            declare(metadata)
        tables = declare(metadata, "provider_")
        assert tables.client.name == "provider_client"
        assert declare(metadata, "provider_") == tables
        engine = sa.create_engine(sqlite_url)
        metadata.create_all(engine)
        store = SQLAlchemyStore(engine, tables)
        store.check()
        store.set_client(new_client(client_id="kept"))
        assert store.get_client("kept") is not None
        with engine.connect() as connection:
            assert connection.scalar(sa.select(sa.func.count()).select_from(own)) == 0
        engine.dispose()


def reads(store: SQLAlchemyStore) -> dict[str, Callable[[], Any]]:
    """Each way to read."""
    return {
        "get_client": lambda: store.get_client("client"),
        "has_origin": lambda: store.has_origin("http://localhost:5000", "http://localhost"),
        "list_clients": lambda: list(store.list_clients()),
        "list_owned": lambda: list(store.list_owned("ada")),
        "get_grant": lambda: store.get_grant(new_key(), "code"),
        "get_access": lambda: store.get_access(new_key()),
        "get_refresh": lambda: store.get_refresh(new_key()),
        "revoked": lambda: store.revoked("mark"),
        "revoked of a user": lambda: store.revoked("mark", user=("ada", "family")),
        "get_consent": lambda: store.get_consent("user", "client"),
        "list_consents": lambda: list(store.list_consents("user")),
        "purgeable": lambda: store.purgeable(NOW),
        "purge": lambda: list(store.purge(NOW)),
    }


def writes(store: SQLAlchemyStore) -> dict[str, Callable[[], Any]]:
    """Each way to write."""
    consent = new_consent(scope=())
    return {
        "set_client": lambda: store.set_client(new_client()),
        "delete_client": lambda: store.delete_client("client", FAR),
        "add_client": lambda: store.add_client(new_client()),
        "retain_client": lambda: store.retain_client("client", FAR),
        "change_client": lambda: store.change_client(new_client(), new_client()),
        "issue": lambda: store.issue(None, [new_token(), new_grant()], NOW),
        "spend": lambda: store.issue(new_token(), [], NOW),
        "revoke": lambda: store.revoke("mark", FAR),
        "revoke_user": lambda: store.revoke_user("ada", "family", FAR),
        "count": lambda: store.count(b"counter", FAR),
        "set_consent": lambda: store.set_consent(consent, None),
        "use_consent": lambda: store.use_consent("user", "client", NOW),
        "delete_consent": lambda: (store.set_consent(consent, None), store.delete_consent("user", "client", FAR)),
    }


READS, WRITES = (sorted(ways(SQLAlchemyStore.__new__(SQLAlchemyStore))) for ways in (reads, writes))


def ways(store: SQLAlchemyStore) -> dict[str, Callable[[], Any]]:
    return {**reads(store), **writes(store)}


@contextmanager
def unavailable() -> Iterator[None]:
    """What a store raises that cannot be reached: 503, and when to come back."""
    with pytest.raises(TemporarilyUnavailable) as caught:
        yield
    assert caught.value.status == 503
    assert int(caught.value.headers["Retry-After"]) > 0


class TestUnreachable:
    """:rfc:`6749#section-4.1.2.1`: temporarily unavailable, and then it works again."""

    @pytest.mark.parametrize("name", [*READS, *WRITES])
    def test_sqlite_without_its_folder(self, sqlite_store: SQLAlchemyStore, name: str) -> None:
        folder = path_of(sqlite_store).parent
        away = folder.with_name(f"{folder.name}-away")
        sqlite_store.engine.dispose()
        folder.rename(away)
        with unavailable():
            ways(sqlite_store)[name]()
        assert checked_out(sqlite_store) == 0
        away.rename(folder)
        ways(sqlite_store)[name]()

    def test_sqlite_that_another_holds_locked(self, sqlite_store: SQLAlchemyStore) -> None:
        """All writes wait for the lock at the same time, because each waits for ten seconds."""

        def write(name: str) -> None:
            with unavailable():
                ways(sqlite_store)[name]()

        with closing(sqlite3.connect(path_of(sqlite_store))) as other, ThreadPoolExecutor(len(WRITES)) as threads:
            other.execute("BEGIN IMMEDIATE")
            for written in [threads.submit(write, name) for name in WRITES]:
                written.result()
            assert checked_out(sqlite_store) == 0
            for read in reads(sqlite_store).values():
                read()
            other.rollback()
        for way in ways(sqlite_store).values():
            way()

    @pytest.mark.parametrize("name", [*READS, *WRITES])
    def test_postgresql_that_ended_its_connections(self, postgresql_url: str, open_store: OpenStore, name: str) -> None:
        """No request is hit; the connections beside it are not tried first."""
        store = open_store(postgresql_url)
        fill_pool(store)
        terminate(postgresql_url)
        ways(store)[name]()
        assert checked_out(store) == 0
        for way in ways(store).values():
            way()

    @pytest.mark.parametrize("name", ["get_access", "issue"])
    def test_postgresql_that_cannot_be_connected_to(
        self, postgresql_url: str, open_store: OpenStore, name: str
    ) -> None:
        store = open_store(postgresql_url)
        store.engine.dispose()
        admin = re.sub(r"\+psycopg|[^/]+$", "", postgresql_url) + "postgres"
        database = sa.make_url(postgresql_url).database
        with closing(psycopg.connect(admin, autocommit=True)) as connection:
            connection.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
            with unavailable():
                ways(store)[name]()
            connection.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")
        ways(store)[name]()

    def test_a_pool_whose_connections_are_all_taken(self, url: str) -> None:
        engine = sa.create_engine(url, pool_size=1, max_overflow=0, pool_timeout=0.01)
        store = SQLAlchemyStore(engine)
        store.tables.client.metadata.create_all(engine)
        with engine.connect(), unavailable():
            store.get_access(new_key())
        assert store.get_access(new_key()) is None
        engine.dispose()


def fill_pool(store: SQLAlchemyStore) -> set[int]:
    """Leave three connections in the pool, besides the one in the cache. Return their IDs."""
    assert not store.revoked("nothing")
    connections = [store.engine.connect() for _ in range(3)]
    drivers = {id(connection.connection.dbapi_connection) for connection in connections}
    for connection in connections:
        connection.close()
    return drivers


def terminate(url: str) -> None:
    """End all the connections of a database but one's own."""
    with closing(psycopg.connect(url.replace("+psycopg", ""), autocommit=True)) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


class TestConnections:
    """Each goes back to the pool as it came, whatever happens."""

    @pytest.mark.parametrize("name", ["get_access", "get_consent", "issue", "set_consent"])
    def test_a_missing_table_is_no_passing_trouble(self, lasting: SQLAlchemyStore, name: str) -> None:
        with lasting.engine.begin() as connection:
            for table in (lasting.tables.consent, lasting.tables.token):
                table.drop(connection)
        for _ in range(20):
            with pytest.raises(MISSING, match="oauth2_"):
                ways(lasting)[name]()
        assert checked_out(lasting) == 0
        lasting.revoke("mark", FAR)
        assert lasting.revoked("mark")

    def test_what_was_written_before_an_error_is_rolled_back(self, lasting: SQLAlchemyStore) -> None:
        token = save_record(lasting, new_token())
        for _ in range(20):
            with pytest.raises(TAKEN):
                lasting.issue(None, [new_token(), token], NOW)
        assert checked_out(lasting) == 0
        with lasting.engine.connect() as connection:
            assert connection.scalar(sa.select(sa.func.count()).select_from(lasting.tables.token)) == 1

    @pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
    def test_an_interruption_is_rolled_back(self, lasting: SQLAlchemyStore, error: type[BaseException]) -> None:
        token = new_token()

        def records() -> Iterator[Token]:
            yield token
            raise error

        for _ in range(20):
            with pytest.raises(error):
                lasting.issue(None, records(), NOW)
        assert checked_out(lasting) == 0
        assert lasting.get_access(token.access.token_hash) is None
        assert lasting.issue(None, [token], NOW)

    def test_a_spent_grant_leaves_no_transaction_open(self, lasting: SQLAlchemyStore) -> None:
        grant = save_record(lasting, new_grant())
        assert lasting.issue(grant, [], NOW)
        for _ in range(20):
            assert lasting.issue(grant, [], NOW) is False
        assert checked_out(lasting) == 0

    @pytest.mark.parametrize("isolation_level", [None, "AUTOCOMMIT", "SERIALIZABLE"])
    def test_an_applications_isolation_level_is_left_alone(self, url: str, isolation_level: str | None) -> None:
        options = {"isolation_level": isolation_level} if isolation_level else {}
        engine = sa.create_engine(url, pool_size=1, max_overflow=0, **options)
        before = _session_state(engine)
        store = SQLAlchemyStore(engine)
        store.tables.client.metadata.create_all(engine)
        token = save_record(store, new_token())
        assert store.get_access(token.access.token_hash) == token.access
        with pytest.raises(TAKEN):
            store.issue(None, [new_token(), token], NOW)
        assert _session_state(engine) == before
        with engine.connect() as connection:
            count = connection.scalar(sa.select(sa.func.count()).select_from(store.tables.token))
        assert count == 1, "all or nothing, in autocommit too"
        engine.dispose()

    @pytest.mark.parametrize("isolation_level", ["READ COMMITTED", "AUTOCOMMIT"])
    def test_a_commit_that_is_refused(self, postgresql_url: str, isolation_level: str) -> None:
        engine = sa.create_engine(postgresql_url, isolation_level=isolation_level, pool_size=1, max_overflow=0)
        before = _session_state(engine)
        store = SQLAlchemyStore(engine)
        store.tables.client.metadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(
                sa.text("ALTER TABLE oauth2_revocation ADD UNIQUE (expires_at) DEFERRABLE INITIALLY DEFERRED")
            )
        store.revoke("first", FAR)
        with pytest.raises(psycopg.IntegrityError):
            store.revoke("second", FAR)
        assert checked_out(store) == 0
        assert _session_state(engine) == before
        assert store.revoked("first")
        assert not store.revoked("second")
        engine.dispose()

    def test_a_driver_that_is_always_in_a_transaction(self, sqlite_url: str) -> None:
        """As that of SQLite is with ``autocommit=False``, from Python 3.12 on."""
        engine = sa.create_engine(sqlite_url)
        store = SQLAlchemyStore(engine)
        store.tables.client.metadata.create_all(engine)
        sa.event.listen(engine, "checkout", lambda connection, *_: connection.execute("BEGIN"))
        token = save_record(store, new_token())
        assert store.get_access(token.access.token_hash) == token.access
        engine.dispose()

    def test_a_child_process_has_connections_of_its_own(self, lasting: SQLAlchemyStore) -> None:
        parent_token, child_token = save_record(lasting, new_token()), new_token()
        of_parent = fill_pool(lasting)
        receiver, sender = multiprocessing.Pipe(duplex=False)
        with lasting.engine.connect() as open_before:
            open_before.exec_driver_sql("SELECT 1")
            child = os.fork()
            if child == 0:
                try:
                    lasting.issue(None, [child_token], NOW)
                    sender.send((lasting.get_access(parent_token.access.token_hash), fill_pool(lasting)))
                finally:
                    os._exit(0)
            assert receiver.poll(PATIENCE)
            found, of_child = receiver.recv()
            os.waitpid(child, 0)
            assert open_before.exec_driver_sql("SELECT 1").scalar() == 1
        assert found == parent_token.access
        assert of_child.isdisjoint(of_parent)
        assert fill_pool(lasting) == of_parent
        assert lasting.get_access(child_token.access.token_hash) == child_token.access
        for write in writes(lasting).values():
            write()


def _session_state(engine: sa.Engine) -> Any:
    with engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        level = connection.get_isolation_level()
        of_pymysql = getattr(driver, "get_autocommit", None)
        autocommit = of_pymysql() if of_pymysql else getattr(driver, "autocommit", None)
        return level, getattr(driver, "isolation_level", None), autocommit


@pytest.fixture(params=["file", "memory", "postgresql", "mariadb", "mysql"])
def application(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[SQLAlchemy, SQLAlchemyStore]]:
    """Inside an application with Flask-SQLAlchemy, which has a table of its own."""
    if request.param in ("postgresql", "mariadb", "mysql"):
        uri = request.getfixturevalue(f"{request.param}_url")
    else:
        uri = f"sqlite:///{tmp_path / 'app.sqlite'}" if request.param == "file" else "sqlite:///:memory:"
    app, db = flask.Flask(__name__), SQLAlchemy()
    app.config["SQLALCHEMY_DATABASE_URI"] = uri
    db.init_app(app)
    db.Table("note", sa.Column("text", sa.String(50), primary_key=True))
    tables = declare(db.metadata)
    with app.app_context():
        db.create_all()
        yield db, SQLAlchemyStore(db.engine, tables)
        db.session.remove()
        db.engine.dispose()


Application = tuple[SQLAlchemy, SQLAlchemyStore]


class TestApplication:
    """The application's own database, whose session is never ours."""

    @staticmethod
    def note(db: SQLAlchemy, text: str = "note") -> None:
        db.session.execute(db.metadata.tables["note"].insert().values(text=text))

    @staticmethod
    def notes(db: SQLAlchemy) -> list[str]:
        return list(db.session.scalars(sa.select(db.metadata.tables["note"].c.text)))

    def test_the_tables_are_among_those_of_the_application(self, application: Application) -> None:
        db, store = application
        assert set(store.tables) < set(db.metadata.tables.values())
        store.check()

    def test_a_rolled_back_session_loses_no_token(self, application: Application) -> None:
        db, store = application
        db.session.execute(sa.select(db.metadata.tables["note"]))
        token = save_record(store, new_token())
        self.note(db)
        db.session.rollback()
        assert self.notes(db) == []
        assert store.get_access(token.access.token_hash) == token.access

    def test_a_session_with_unwritten_changes_loses_none_of_them(self, application: Application) -> None:
        db, store = application
        self.note(db)
        for read in reads(store).values():
            read()
        db.session.commit()
        assert self.notes(db) == ["note"]

    @pytest.mark.parametrize("server", ["postgresql", "mariadb", "mysql"])
    def test_reading_and_writing_beside_an_open_session(self, request: pytest.FixtureRequest, server: str) -> None:
        url = request.getfixturevalue(f"{server}_url")
        store = request.getfixturevalue("open_store")(url)
        with store.engine.connect().execution_options(isolation_level="REPEATABLE READ") as session:
            session.execute(
                sa.insert(store.tables.consent).values(
                    user_id="u", client_id="c", id="1", scope="", granted_at=1, used_at=1
                )
            )
            token = save_record(store, new_token())
            session.rollback()
        assert store.get_access(token.access.token_hash) == token.access
        assert store.get_consent("u", "c") is None

    @pytest.mark.parametrize("reset", ["rollback", None])
    def test_connections_that_come_in_a_transaction(self, postgresql_url: str, reset: str | None) -> None:
        SQLAlchemyStore.open(postgresql_url).engine.dispose()
        engine = sa.create_engine(postgresql_url, pool_reset_on_return=reset)
        sa.event.listen(engine, "connect", lambda driver, _: driver.execute("SET timezone TO 'UTC'"))
        store = SQLAlchemyStore(engine)
        token = save_record(store, new_token())
        for _ in range(2):
            assert store.get_access(token.access.token_hash) == token.access
            store.revoke("another", NOW)
        engine.dispose()

    def test_an_open_session_on_sqlite_in_memory(self) -> None:
        """There the one connection is shared: what we write is the session's to commit, what fails is ours alone."""
        engine = sa.create_engine("sqlite://", poolclass=StaticPool)
        store = SQLAlchemyStore(engine)
        store.tables.client.metadata.create_all(engine)
        grant, token = save_record(store, new_grant()), save_record(store, new_token())
        consent = sa.insert(store.tables.consent).values(
            user_id="u", client_id="c", id="1", scope="", granted_at=1, used_at=1
        )
        with engine.connect() as session:
            session.execute(consent)
            assert store.issue(grant, [], NOW)
            assert store.issue(grant, [], NOW) is False
            with pytest.raises(sqlite3.IntegrityError):
                store.issue(None, [new_token(), token], NOW)
            with pytest.raises(sqlite3.IntegrityError):
                store.issue(token, [token], NOW)
            assert refreshed(store, token)
            session.commit()
            session.execute(consent.values(user_id="v"))
            assert store.issue(None, [lost := new_token()], NOW)
            session.rollback()
        assert store.get_consent("u", "c") is not None
        assert store.get_consent("v", "c") is None
        assert store.get_access(lost.access.token_hash) is None
        assert store.get_grant(grant.key, "code") is not None
        assert store.issue(grant, [], NOW) is False
        assert store.purgeable(10**12) == 3
        engine.dispose()

    def test_a_database_in_memory_that_the_application_makes_anew(self) -> None:
        engine = sa.create_engine("sqlite://", poolclass=StaticPool)
        store = SQLAlchemyStore(engine)
        metadata = store.tables.client.metadata
        for _ in range(2):
            metadata.create_all(engine)
            token = save_record(store, new_token())
            assert store.get_access(token.access.token_hash) == token.access
            engine.dispose()
        metadata.create_all(engine)
        assert store.get_access(token.access.token_hash) is None
        engine.dispose()

    def test_a_database_in_memory_that_cannot_be_made_at_first(self) -> None:
        attempts = iter([sqlite3.OperationalError("unable to open database file"), None])

        def connect() -> sqlite3.Connection:
            error = next(attempts)
            if error is not None:
                raise error
            return sqlite3.connect(":memory:")

        store = SQLAlchemyStore(sa.create_engine("sqlite://", poolclass=StaticPool, creator=connect))
        with unavailable():
            store.get_access(new_key())
        store.tables.client.metadata.create_all(store.engine)
        assert store.get_access(new_key()) is None
        store.engine.dispose()

    def test_a_database_in_memory_whose_connection_somebody_closed(self, open_store: OpenStore) -> None:
        store = open_store("sqlite://")
        driver: Any = store.engine.raw_connection().dbapi_connection
        driver.close()
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            store.get_access(new_key())
        store.tables.client.metadata.create_all(store.engine)
        assert store.get_access(new_key()) is None

    def test_a_missing_table_does_not_empty_a_database_in_memory(self, open_store: OpenStore) -> None:
        store = open_store("sqlite://")
        token = save_record(store, new_token())
        with store.engine.begin() as connection:
            store.tables.consent.drop(connection)
        with pytest.raises(sqlite3.OperationalError, match="oauth2_consent"):
            store.get_consent("user", "client")
        assert store.get_access(token.access.token_hash) == token.access


class TestModels:
    """Mapped classes for queries and admin pages."""

    def test_each_table_has_one(self, application: Application) -> None:
        db, store = application
        models = map_tables(db.Model)
        assert set(models) == {f"OAuth2{name.title().replace('_', '')}" for name in Tables._fields}
        assert [model.__table__ for model in models.values()] == list(store.tables)

    def test_to_declare_and_map_them_twice_finds_them(self, application: Application) -> None:
        db, store = application
        models = map_tables(db.Model)
        assert declare(db.metadata) == store.tables
        assert map_tables(db.Model) == models

    def test_the_applications_session_queries_them(self, application: Application) -> None:
        db, store = application
        models = map_tables(db.Model)
        client, token = new_client(metadata={"contacts": ["ada@example.com"]}), save_record(store, new_token())
        store.set_client(client)
        found = db.session.scalars(sa.select(models["OAuth2Client"])).one()
        assert found.redirect_uris == list(client.redirect_uris)
        assert found.grant_types == list(client.grant_types)
        assert found.client_metadata == {"contacts": ["ada@example.com"]}
        assert (found.name, found.pkce_required, found.resource_server) == ("Café ☕", False, True)
        row = db.session.scalars(sa.select(models["OAuth2Token"])).one()
        assert (row.access_key, row.user_id, row.scope) == (token.access.token_hash, "user", "read write")
        assert row.confirmation is None

    def test_what_the_session_writes_is_what_the_store_reads(self, application: Application) -> None:
        db, store = application
        models = map_tables(db.Model)
        store.set_client(new_client(client_id="client"))
        assert store.get_client("client") is not None
        found: Any = db.session.get(models["OAuth2Client"], ("", "client"))
        found.redirect_uris = ["https://new.example/back"]
        found.client_metadata = {"logo_uri": "https://new.example/☕"}
        db.session.commit()
        client = store.get_client("client")
        assert client is not None
        assert client.redirect_uris == ("https://new.example/back",)
        assert client.metadata == {"logo_uri": "https://new.example/☕"}

    def test_a_query_finds_the_text_of_a_list(self, application: Application) -> None:
        db, store = application
        client = map_tables(db.Model)["OAuth2Client"]
        store.set_client(new_client(client_id="client", redirect_uris=("https://new.example/back",)))
        asked = sa.select(client.client_id).where(client.redirect_uris.contains("https://new.example/"))
        assert db.session.scalar(asked) == "client"


class TestStatements:
    """The least SQL that correctness allows."""

    @pytest.fixture
    def plans(self, sqlite_store: SQLAlchemyStore) -> Callable[[], list[str]]:
        """How SQLite carries out what was sent since, but for the opening and closing of transactions."""
        sent: list[str] = []
        engine = sqlite_store.engine
        engine.dispose()
        sa.event.listen(engine, "connect", lambda connection, _: connection.set_trace_callback(sent.append))

        def plans() -> list[str]:
            statements = [text for text in sent if text.split()[0] in ("SELECT", "UPDATE", "INSERT", "DELETE")]
            assert statements
            with closing(sqlite3.connect(path_of(sqlite_store))) as connection:
                return [
                    row[3] for text in statements for row in connection.execute(f"EXPLAIN QUERY PLAN {text}").fetchall()
                ]

        return plans

    @pytest.mark.parametrize(
        "hot_path",
        [
            lambda store: store.get_client("client"),
            lambda store: store.has_origin("http://localhost:5000", "http://localhost"),
            lambda store: store.get_grant(new_key(), "code"),
            lambda store: store.get_access(new_key()),
            lambda store: store.get_refresh(new_key()),
            lambda store: store.revoked("a", "b", "c"),
            lambda store: store.revoked("a", "b", "c", user=("ada", "family")),
            lambda store: store.revoke_user("ada", "family", FAR),
            lambda store: store.get_consent("user", "client"),
            lambda store: store.issue(new_grant(), [], NOW),
            lambda store: store.issue(new_token(), [], NOW, 30),
            lambda store: store.revoke("mark", FAR),
            lambda store: store.count(b"counter", FAR),
        ],
    )
    def test_no_hot_path_scans_a_table(
        self, sqlite_store: SQLAlchemyStore, plans: Callable[[], list[str]], hot_path: Callable[[Any], Any]
    ) -> None:
        hot_path(sqlite_store)
        steps = plans()
        assert not [step for step in steps if re.match(r"SCAN oauth2_", step)]

    def test_a_repeated_refresh_finds_its_children_by_index(
        self, sqlite_store: SQLAlchemyStore, plans: Callable[[], list[str]]
    ) -> None:
        token = save_record(sqlite_store, new_token())
        assert refreshed(sqlite_store, token, NOW, 30)
        assert refreshed(sqlite_store, token, NOW, 30)
        steps = plans()
        assert [step for step in steps if "ix_oauth2_token_parent (parent=?)" in step]
        assert not [step for step in steps if step.startswith("SCAN")]

    def test_a_purge_finds_what_a_client_was_let_have_by_index(
        self, sqlite_store: SQLAlchemyStore, plans: Callable[[], list[str]]
    ) -> None:
        sqlite_store.set_client(new_client(expires_at=NOW))
        assert sum(sqlite_store.purge(NOW)) == 1
        steps = plans()
        assert [step for step in steps if "ix_oauth2_client_expires_at (expires_at>? AND expires_at<?)" in step]
        assert not [step for step in steps if re.match(r"SCAN oauth2_(client|consent|origin)", step)]

    def test_postgresql_reads_in_one_message_and_no_transaction(
        self, postgresql_url: str, open_store: OpenStore
    ) -> None:
        store = open_store(postgresql_url)
        with store.engine.connect() as connection:
            before = connection.scalar(sa.text("SELECT pg_current_xact_id()::text"))
        for read in reads(store).values():
            read()
        with store.engine.connect() as connection:
            after = connection.scalar(sa.text("SELECT pg_current_xact_id()::text"))
        assert int(after) == int(before) + 1


def test_a_server_that_stops_and_starts(
    postgresql_server: PostgreSQLExecutor,
    postgresql_url: str,
    postgresql_store: SQLAlchemyStore,
    open_store: OpenStore,
) -> None:
    postgresql_store.engine.dispose()
    store = open_store(postgresql_url)
    token = save_record(store, new_token())
    fill_pool(store)
    with postgresql_server.stopped():
        for way in ways(store).values():
            with unavailable():
                way()
    found = retry(
        lambda: store.get_access(token.access.token_hash), PATIENCE, possible_exception=TemporarilyUnavailable
    )
    assert found == token.access
    for way in ways(store).values():
        way()
