"""What is different on MySQL: no RETURNING, another collation, versions that are too old, and how clients log in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from pymysql import _auth
from stores.mariadb_server import MariaDBServer, find_mariadbd
from stores.mysql_server import MySQLServer

from flask_oauth2 import ConfigurationError, OAuth2Provider
from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore, Tables, declare
from flask_oauth2.stores.sqlalchemy.statements import Statements
from flask_oauth2.testing.samples import FAR, NOW, new_client, new_token, save_record
from oauth_site import Site, make_site


def texts(found: Any) -> Iterator[str]:
    if isinstance(found, str):
        yield found
    elif isinstance(found, tuple | list):
        for one in found:
            yield from texts(one)


class TestStatements:
    """The SQL for the dialect, without a server."""

    @pytest.fixture(params=["mysql", "mariadb"])
    def dialect(self, request: pytest.FixtureRequest) -> sa.Dialect:
        return sa.create_engine(f"{request.param}+pymysql://host/name").dialect

    def test_only_mariadb_has_returning(self, dialect: sa.Dialect) -> None:
        statements = Statements(declare(sa.MetaData()), dialect)
        found = list(texts(list(vars(statements).values())))
        assert len(found) > 40
        assert any("RETURNING" in text for text in found) is (dialect.name == "mariadb")

    def test_no_update_reads_its_own_table_directly(self) -> None:
        """MySQL raises error 1093 for it."""
        dialect = sa.create_engine("mysql+pymysql://host/name").dialect
        sibling = Statements(declare(sa.MetaData()), dialect).add_sibling
        assert "FROM (SELECT count(*) AS number" in sibling
        assert "EXISTS" not in sibling

    def test_the_statements_are_the_same_after_a_connection(self, mysql_url: str) -> None:
        engine, tables = sa.create_engine(mysql_url), declare(sa.MetaData())
        before = texts_of(Statements(tables, engine.dialect))
        with engine.connect():
            pass
        assert texts_of(Statements(tables, engine.dialect)) == before
        engine.dispose()

    def test_tables_name_the_collation_of_the_server(self, dialect: sa.Dialect) -> None:
        collation = {"mysql": "utf8mb4_0900_bin", "mariadb": "utf8mb4_nopad_bin"}[dialect.name]
        for table in declare(sa.MetaData()):
            assert f"COLLATE {collation}" in str(sa.schema.CreateTable(table).compile(dialect=dialect))

    def test_a_database_of_our_own_loads_no_other_dialect(self, tmp_path: Path) -> None:
        code = (
            "import sys; from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore;"
            f"SQLAlchemyStore.open('sqlite:///{tmp_path}/oauth2.sqlite');"
            "dialects = {name.split('.')[2] for name in sys.modules if name.startswith('sqlalchemy.dialects.')};"
            "print(sorted(dialects), 'pymysql' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "['_typing', 'sqlite'] False"

    @pytest.mark.parametrize("name", ["sqlite", "postgresql", "mariadb", "mysql"])
    def test_tables_for_one_dialect_are_those_for_all(self, name: str) -> None:
        driver = {"postgresql": "postgresql+psycopg", "sqlite": "sqlite"}.get(name, f"{name}+pymysql")
        dialect = sa.create_mock_engine(f"{driver}://", lambda *_: None).dialect

        def write(tables: Tables) -> list[str]:
            statements: list[sa.schema.DDLElement] = []
            for table in tables:
                indexes = sorted(table.indexes, key=lambda index: str(index.name))
                statements += [sa.schema.CreateTable(table), *map(sa.schema.CreateIndex, indexes)]
            return [str(statement.compile(dialect=dialect)) for statement in statements]

        assert write(declare(sa.MetaData(), dialect=name)) == write(declare(sa.MetaData()))


def texts_of(statements: Statements) -> dict[str, str]:
    """Return the SQL of each statement."""
    return {name: text for name, text in vars(statements).items() if isinstance(text, str)}


def providers(folder: Path, url: str, *, own: bool) -> OAuth2Provider:
    app = flask.Flask(__name__, instance_path=str(folder))
    app.config.update(SECRET_KEY="a secret key of the tests", SQLALCHEMY_DATABASE_URI=url)
    if own:
        app.config["OAUTH2_DATABASE_URI"] = url
        provider = OAuth2Provider(app)
    else:
        provider = OAuth2Provider(app, db=SQLAlchemy(app))
    with app.app_context():
        provider.server.store.get_client("client")
    return provider


class TestServer:
    """The server is of the kind that the URI names, and new enough."""

    @pytest.mark.parametrize("own", [True, False])
    def test_mariadb_behind_a_mysql_uri_is_refused(self, mariadb_url: str, tmp_path: Path, own: bool) -> None:
        with pytest.raises(ConfigurationError, match=r"server is MariaDB: begin the URI with mariadb\+pymysql://"):
            providers(tmp_path, mariadb_url.replace("mariadb+", "mysql+"), own=own)

    @pytest.mark.parametrize("own", [True, False])
    def test_mysql_behind_a_mariadb_uri_is_refused(self, mysql_url: str, tmp_path: Path, own: bool) -> None:
        with pytest.raises(ConfigurationError, match=r"server is MySQL: begin the URI with mysql\+pymysql://"):
            providers(tmp_path, mysql_url.replace("mysql+", "mariadb+"), own=own)

    def test_a_replica_of_the_other_kind_is_refused(self, mariadb_url: str, mysql_url: str) -> None:
        wrong = mariadb_url.replace("mariadb+", "mysql+"), mysql_url.replace("mysql+", "mariadb+")
        for url, kind in zip(wrong, ("MariaDB", "MySQL"), strict=True):
            replica = SQLAlchemyStore.attach(url)
            with pytest.raises(ConfigurationError, match=f"server is {kind}"):
                replica.get_access(new_token().access.token_hash)
            replica.engine.dispose()

    def test_an_old_version_is_refused(self) -> None:
        """MariaDB can report the version of another server. This one has no InnoDB, whose settings it rejects."""
        program = find_mariadbd()
        if program is None:
            pytest.skip("no MariaDB server")
        with OldServer(program) as server:
            server.run("CREATE DATABASE opened")
            with pytest.raises(
                ConfigurationError, match=r"needs MySQL 8\.0\.17 or newer, .* is MySQL 5\.7\.19: upgrade"
            ):
                SQLAlchemyStore.open(server.url("opened"))

    def test_a_server_that_wants_primary_keys(self, mysql_server: MySQLServer, mysql_url: str) -> None:
        """As hosted servers do."""
        mysql_server.run("SET GLOBAL sql_require_primary_key = 1")
        try:
            SQLAlchemyStore.open(mysql_url).engine.dispose()
        finally:
            mysql_server.run("SET GLOBAL sql_require_primary_key = 0")
        assert mysql_server.run("SELECT max(version) FROM oauth2_schema", database="opened")


class OldServer(MariaDBServer):
    driver = "mysql+pymysql"
    _options = ("--version=5.7.19", "--skip-innodb", "--default-storage-engine=Aria")


class TestPasswords:
    """``caching_sha2_password``, the default of MySQL 8, needs cryptography."""

    @pytest.fixture
    def url(self, mysql_server: MySQLServer, mysql_url: str) -> str:
        mysql_server.run(
            "DROP USER IF EXISTS app@'127.0.0.1'",
            "CREATE USER app@'127.0.0.1' IDENTIFIED WITH caching_sha2_password BY 'guess me'",
            "GRANT ALL ON opened.* TO app@'127.0.0.1'",
        )
        # without TLS
        return mysql_url.replace("root@", "app:guess%20me@") + "?ssl_disabled=true"

    def test_a_user_with_a_password(self, url: str, tmp_path: Path) -> None:
        site = make_site(tmp_path, OAUTH2_DATABASE_URI=url)
        assert site.call(site.tokens(site.add_client())["access_token"]).status_code == 200
        site.store.engine.dispose()

    @pytest.mark.parametrize("own", [True, False])
    def test_the_missing_package_is_named(
        self, url: str, tmp_path: Path, own: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_auth, "_have_cryptography", False)
        with pytest.raises(ConfigurationError, match=r"install cryptography, which is in flask_oauth2\[mysql\]"):
            providers(tmp_path, url, own=own)


class TestCounter:
    """Counters without RETURNING."""

    @pytest.fixture
    def store(self, mysql_url: str, open_store: Callable[[str], SQLAlchemyStore]) -> SQLAlchemyStore:
        return open_store(mysql_url)

    def test_an_unchanged_row_is_counted_too(self, store: SQLAlchemyStore) -> None:
        assert [store.count(b"key", FAR, by) for by in (0, 0, 5, 0, -7, 0)] == [0, 0, 5, 5, -2, -2]

    @pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
    def test_at_each_isolation_level_of_an_application(self, store: SQLAlchemyStore, level: Any) -> None:
        engine = sa.create_engine(store.engine.url, isolation_level=level)
        application = SQLAlchemyStore(engine)
        for number in (1, 3, 5):
            assert application.count(b"key", FAR) == number
            assert store.count(b"key", FAR) == number + 1
        engine.dispose()


class TestApplication:
    """The engine of an application, which asks the server for the rows that are found, changed or not."""

    def test_rows_that_stay_as_they_are_are_found(self, mysql_url: str, tmp_path: Path) -> None:
        db = SQLAlchemy()
        site: Site = make_site(tmp_path, db=db, SQLALCHEMY_DATABASE_URI=mysql_url)
        with site.app.app_context():
            db.create_all()
            store: Any = site.provider.server.store
            store.set_client(new_client(client_id="client"))
            assert store.retain_client("client")
            assert store.retain_client("client"), "which is kept already"
            token = save_record(store, new_token())
            assert store.issue(token, [], NOW)
            assert not store.issue(token, [], NOW)
            db.engine.dispose()
