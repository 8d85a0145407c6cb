"""How MariaDB and MySQL compare, lock, lose connections and change tables, and what requests cost there."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pymysql
import pytest
import sqlalchemy as sa
from budgets import BUDGETS, prepare_operations
from flask_sqlalchemy import SQLAlchemy
from pytest_postgresql.retry import retry
from stores.mariadb_server import PATIENCE, MariaDBServer
from stores.mysql_server import MySQLServer
from stores.test_sqlalchemy import READS, WRITES, checked_out, fill_pool, reads, unavailable, ways, writes

from flask_oauth2 import ConfigurationError, TemporarilyUnavailable
from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore
from flask_oauth2.stores.sqlalchemy.schema import COLLATIONS
from flask_oauth2.testing.samples import FAR, NOW, new_client, new_grant, new_key, new_spa, new_token, save_record
from oauth_site import Site, Statements, make_site


@pytest.fixture(params=["mariadb", "mysql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(request: pytest.FixtureRequest, kind: str) -> MariaDBServer:
    found: MariaDBServer = request.getfixturevalue(f"{kind}_server")
    return found


@pytest.fixture
def url(request: pytest.FixtureRequest, kind: str) -> str:
    return str(request.getfixturevalue(f"{kind}_url"))


@pytest.fixture
def store(url: str, open_store: Callable[[str], SQLAlchemyStore]) -> SQLAlchemyStore:
    return open_store(url)


def connect(server: MariaDBServer, **options: Any) -> Any:
    return closing(pymysql.connect(host="127.0.0.1", port=server.port, user="root", database="opened", **options))


class TestText:
    """Ids are the same when they are equal, and not before."""

    @pytest.mark.parametrize("other", ["Ada", "ada ", "adá", "ada\0", " ada"])
    def test_what_other_collations_take_for_the_same(self, store: SQLAlchemyStore, other: str) -> None:
        store.revoke(other, FAR)
        store.set_client(new_client(client_id=other))
        assert not store.revoked("ada")
        assert store.get_client("ada") is None
        assert store.revoked(other)
        store.set_client(new_client(client_id="ada", name="another"))
        store.revoke("ada", FAR)
        assert len(list(store.list_clients())) == 2

    @pytest.mark.parametrize("word", ["a\0b", "☕", "🦊", "'\"\\%s`", "%(key)s"])
    def test_every_character_comes_back(self, store: SQLAlchemyStore, word: str) -> None:
        store.set_client(new_client(client_id="client", name=word))
        found = store.get_client("client")
        assert found is not None
        assert found.name == word

    def test_text_may_be_longer_than_64_kib(self, store: SQLAlchemyStore) -> None:
        grant = save_record(store, new_grant(parameters={"request": "x" * 100_000}))
        assert store.get_grant(grant.key, "code") == grant

    def test_what_is_too_long_is_never_cut_off(
        self, server: MariaDBServer, url: str, open_store: Callable[[str], SQLAlchemyStore]
    ) -> None:
        (before,) = server.run("SELECT @@GLOBAL.sql_mode")
        server.run("SET GLOBAL sql_mode = ''")
        try:
            store = open_store(url)
            with pytest.raises(pymysql.DataError, match="too long"):
                store.set_client(new_client(client_id="x" * 300))
            plain = SQLAlchemyStore(sa.create_engine(url))
            with pytest.raises(ConfigurationError, match="STRICT_TRANS_TABLES"):
                plain.check()
            plain.engine.dispose()
        finally:
            server.run(f"SET GLOBAL sql_mode = '{before[0]}'")
        store.check()

    def test_a_table_that_compares_otherwise_is_refused(self, store: SQLAlchemyStore) -> None:
        with store.engine.begin() as connection:
            connection.execute(sa.text("ALTER TABLE oauth2_consent CONVERT TO CHARACTER SET utf8mb4"))
        with pytest.raises(ConfigurationError, match=rf"oauth2_consent.*{COLLATIONS[store.engine.dialect.name]}"):
            store.check()


class TestLocks:
    """Others at the same rows."""

    def test_a_deadlock_is_tried_again(self, server: MariaDBServer, store: SQLAlchemyStore) -> None:
        first, second = new_token(), new_token()
        insert = (
            "INSERT INTO oauth2_token (access_key, authorization_id, client_id, scope, type, issued_at, expires_at)"
            " VALUES (%s, 'f', 'c', '', 'Bearer', 1, 1)"
        )
        with connect(server) as other, other.cursor() as cursor, ThreadPoolExecutor(1) as pool:
            for _ in range(50):  # the transaction that has done more is let through
                cursor.execute(insert, (new_key(),))
            cursor.execute(insert, (second.access.token_hash,))
            issued = pool.submit(store.issue, None, [first, second], NOW)
            retry(lambda: self.assert_waits(server), PATIENCE, possible_exception=AssertionError)
            cursor.execute(insert, (first.access.token_hash,))
            other.rollback()
            assert issued.result(PATIENCE) is True
        assert deadlocks(server) > 0
        assert store.get_access(first.access.token_hash) == first.access
        assert store.get_access(second.access.token_hash) == second.access

    @staticmethod
    def assert_waits(server: MariaDBServer) -> None:
        assert server.run("SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'")

    def test_a_lock_that_is_held_too_long(self, server: MariaDBServer, store: SQLAlchemyStore) -> None:
        store.engine.dispose()
        sa.event.listen(store.engine, "connect", _be_impatient)
        store.revoke("mark", NOW + 1)
        with connect(server) as other, other.cursor() as cursor:
            cursor.execute("SELECT * FROM oauth2_revocation FOR UPDATE")
            with unavailable():
                store.revoke("mark", FAR)
            assert checked_out(store) == 0
            for read in reads(store).values():
                read()
            other.rollback()
        store.revoke("mark", FAR)
        assert sum(store.purge(NOW + 1)) == 0


def _be_impatient(connection: Any, _: object) -> None:
    connection.query("SET innodb_lock_wait_timeout = 1")


def deadlocks(server: MariaDBServer) -> int:
    if isinstance(server, MySQLServer):
        counted = "SELECT count FROM information_schema.innodb_metrics WHERE name = 'lock_deadlocks'"
        return int(server.run(counted)[0][0])
    return int(server.run("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")[0][1])


class TestUnreachable:
    """503, and then it works again."""

    @pytest.mark.parametrize("name", [*READS, *WRITES])
    def test_connections_that_were_ended(self, server: MariaDBServer, store: SQLAlchemyStore, name: str) -> None:
        fill_pool(store)
        kill(server)
        ways(store)[name]()
        assert checked_out(store) == 0
        for way in ways(store).values():
            way()

    @pytest.mark.parametrize("name", WRITES)
    def test_a_server_that_is_read_only(self, server: MariaDBServer, store: SQLAlchemyStore, name: str) -> None:
        url = store.engine.url.set(username="app")
        server.run(
            "DROP USER IF EXISTS app@'127.0.0.1'",
            "CREATE USER app@'127.0.0.1'",
            "GRANT ALL ON opened.* TO app@'127.0.0.1'",
        )
        application = SQLAlchemyStore(sa.create_engine(url))
        server.run("SET GLOBAL read_only = 1")
        try:
            with unavailable():
                ways(application)[name]()
            for read in reads(application).values():
                read()
        finally:
            server.run("SET GLOBAL read_only = 0")
        ways(application)[name]()
        application.engine.dispose()

    def test_a_server_that_stops_and_starts(
        self, request: pytest.FixtureRequest, kind: str, server: MariaDBServer, store: SQLAlchemyStore
    ) -> None:
        kept = request.getfixturevalue(f"{kind}_store")
        kept.engine.dispose()  # its tests would find connections that went with the server
        token = save_record(store, new_token())
        fill_pool(store)
        with server.stopped():
            for way in ways(store).values():
                with unavailable():
                    way()
        found = retry(
            lambda: store.get_access(token.access.token_hash), PATIENCE, possible_exception=TemporarilyUnavailable
        )
        assert found == token.access
        for way in ways(store).values():
            way()

    def test_an_interrupted_reading_leaves_no_broken_connection(self, store: SQLAlchemyStore) -> None:
        token = save_record(store, new_token())

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(KeyboardInterrupt):
                store._database.fetch("SELECT SLEEP(30)")
        finally:
            signal.signal(signal.SIGALRM, before)
        assert checked_out(store) == 0
        assert store.get_access(token.access.token_hash) == token.access


def kill(server: MariaDBServer) -> None:
    connections = server.run("SELECT id FROM information_schema.processlist WHERE db = 'opened'")
    for (connection,) in connections:
        server.run(f"KILL {connection}")
    gone = "SELECT count(*) FROM information_schema.processlist WHERE db = 'opened'"
    retry(lambda: _assert_none(server.run(gone)), PATIENCE, possible_exception=AssertionError)


def _assert_none(rows: Any) -> None:
    assert rows == ((0,),)


class TestTables:
    """Each change of a table is committed at once."""

    def test_a_first_step_that_was_stopped_half_way_is_done_to_its_end(
        self, store: SQLAlchemyStore, url: str, open_store: Callable[[str], SQLAlchemyStore]
    ) -> None:
        with store.engine.begin() as connection:
            for statement in (
                "DELETE FROM oauth2_schema",
                "DROP TABLE oauth2_counter",
                "DROP INDEX ix_oauth2_token_parent ON oauth2_token",
            ):
                connection.execute(sa.text(statement))
        again = open_store(url)
        again.check()
        indexes = {index["name"] for index in sa.inspect(again.engine).get_indexes("oauth2_token")}
        assert "ix_oauth2_token_parent" in indexes

    def test_a_later_step_that_was_stopped_half_way_is_done_to_its_end(
        self, store: SQLAlchemyStore, url: str, open_store: Callable[[str], SQLAlchemyStore]
    ) -> None:
        store.set_client(new_spa("https://page.example/", "https://other.example/"))
        with store.engine.begin() as connection:
            for statement in (
                "UPDATE oauth2_schema SET version = 2",
                "ALTER TABLE oauth2_client DROP COLUMN owner_id",
                "DROP INDEX ix_oauth2_origin_client_id ON oauth2_origin",
                "DELETE FROM oauth2_origin WHERE origin = 'https://other.example'",
            ):
                connection.execute(sa.text(statement))
        again = open_store(url)
        again.check()
        assert sa.inspect(again.engine).get_indexes("oauth2_origin")
        assert again.has_origin("https://page.example")
        assert again.has_origin("https://other.example")

    def test_a_lock_that_another_worker_keeps(self, server: MariaDBServer, url: str) -> None:
        lock = "CONCAT('flask_oauth2 ', LEFT(SHA2('opened', 256), 32))"
        with connect(server) as other, other.cursor() as cursor, ThreadPoolExecutor(1) as pool:
            cursor.execute(f"SELECT GET_LOCK({lock}, 0)")
            opened = pool.submit(SQLAlchemyStore.open, url)
            waits = "SELECT id FROM information_schema.processlist WHERE state = 'User lock'"
            ((waiting,),) = retry(lambda: _found(server.run(waits)), PATIENCE, possible_exception=AssertionError)
            server.run(f"KILL QUERY {waiting}")
            with unavailable():
                opened.result(PATIENCE)
            assert not server.run("SHOW TABLES", database="opened")
            cursor.execute(f"SELECT RELEASE_LOCK({lock})")
        SQLAlchemyStore.open(url).engine.dispose()
        assert server.run(f"SELECT IS_FREE_LOCK({lock})") == ((1,),)


def _found(rows: Any) -> Any:
    assert rows
    return rows


class Log:
    """What the server was sent, by its own log."""

    def __init__(self, server: MariaDBServer) -> None:
        self._server = server

    def __call__(self, act: Callable[[], Any]) -> Statements:
        self._server.run(
            "TRUNCATE TABLE mysql.general_log", "SET GLOBAL log_output = 'TABLE'", "SET GLOBAL general_log = 1"
        )
        try:
            act()
        finally:
            self._server.run("SET GLOBAL general_log = 0")
        sent = self._server.run(
            "SELECT CONVERT(argument USING utf8mb4) FROM mysql.general_log WHERE command_type = 'Query'"
            " AND argument NOT LIKE 'SET %'"
        )
        return Statements(text for (text,) in sent)


@pytest.fixture
def log(server: MariaDBServer) -> Log:
    return Log(server)


class TestCost:
    """As few messages as correctness allows."""

    @pytest.mark.parametrize("name", READS)
    def test_a_reading_is_one_message(self, store: SQLAlchemyStore, log: Log, name: str) -> None:
        read = reads(store)[name]
        read()
        sent = log(read)
        assert all(text.startswith("SELECT") for text in sent), sent
        assert len(sent) == (9 if name.startswith("purge") else 1)

    @pytest.mark.parametrize("name", [name for name in WRITES if name != "delete_consent"])
    def test_a_writing_is_one_transaction(self, store: SQLAlchemyStore, log: Log, name: str) -> None:
        write = writes(store)[name]
        write()
        sent = log(write)
        assert sent[0] == "BEGIN"
        assert sent[-1] in ("COMMIT", "ROLLBACK")
        assert sent.count("BEGIN") == sent.count("COMMIT") + sent.count("ROLLBACK") == 1

    @pytest.mark.parametrize(("work", "most_statements", "most_commits"), BUDGETS)
    def test_a_request_costs_what_it_costs_elsewhere(
        self, site: Site, log: Log, work: str, most_statements: int, most_commits: int
    ) -> None:
        works = prepare_operations(site)
        works[work]()
        sent = log(works[work])
        assert 0 < len(sent.work()) <= most_statements, sent
        assert sent.commits() == most_commits

    @pytest.fixture
    def site(self, tmp_path: Path, url: str) -> Iterator[Site]:
        site = make_site(tmp_path, OAUTH2_DATABASE_URI=url)
        yield site
        site.store.engine.dispose()


class TestApplication:
    """The application's own database and pool."""

    def test_a_whole_flow(self, tmp_path: Path, url: str) -> None:
        db = SQLAlchemy()
        site = make_site(tmp_path, db=db, SQLALCHEMY_DATABASE_URI=url)
        with site.app.app_context():
            db.create_all()
        secret = site.add_client()
        tokens = site.tokens(secret)
        assert site.call(tokens["access_token"]).get_json()["user"] == "ada"
        assert site.refresh(tokens["refresh_token"], secret).status_code == 200
        assert site.refresh(tokens["refresh_token"], "wrong").status_code == 401
        with site.app.app_context():
            models = site.provider.models
            assert db.session.scalar(sa.select(sa.func.count()).select_from(models["OAuth2Token"])) == 2
            db.engine.dispose()

    @pytest.mark.parametrize("reset", ["rollback", None])
    def test_connections_that_come_in_a_transaction_see_what_was_written_since(
        self, store: SQLAlchemyStore, reset: str | None
    ) -> None:
        engine = sa.create_engine(store.engine.url, pool_reset_on_return=reset, pool_size=1, max_overflow=0)
        application = SQLAlchemyStore(engine)
        assert application.get_access(new_key()) is None
        token = save_record(store, new_token())
        assert application.get_access(token.access.token_hash) == token.access
        engine.dispose()

    def test_a_connection_that_was_ended_in_a_transaction(self, server: MariaDBServer, store: SQLAlchemyStore) -> None:
        engine = sa.create_engine(store.engine.url, pool_reset_on_return=None, pool_size=1, max_overflow=0)
        application = SQLAlchemyStore(engine)
        application.get_access(new_key())
        kill(server)
        assert application.get_access(new_key()) is None
        engine.dispose()
