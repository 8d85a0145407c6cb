"""Connections that the server closes while nobody uses them: the next request is answered all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import flask
import psycopg
import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from stores.mariadb_server import MariaDBServer

from flask_oauth2 import OAuth2Provider, TemporarilyUnavailable
from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore
from flask_oauth2.testing.samples import FAR, NOW, new_client, new_grant, new_token, save_record

Close = Callable[[], None]


@pytest.fixture(params=["postgresql", "psycopg2", "pooled", "mariadb", "mariadb-plain", "mysql", "mysql-plain"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine_url(request: pytest.FixtureRequest, kind: str) -> str:
    if kind.startswith(("mariadb", "mysql")):
        return str(request.getfixturevalue(f"{kind.removesuffix('-plain')}_url"))
    url: str = request.getfixturevalue("postgresql_url")
    return url.replace("+psycopg", "+psycopg2") if kind == "psycopg2" else url


@pytest.fixture
def close(engine_url: str, kind: str, request: pytest.FixtureRequest) -> Close:
    """Close all connections to the database, as the server does after its time for idle ones."""

    def close_of_postgresql() -> None:
        with psycopg.connect(
            engine_url.replace("+psycopg2", "").replace("+psycopg", ""), autocommit=True
        ) as connection:
            closed = connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert closed.fetchall()

    def close_of_mariadb() -> None:
        server: MariaDBServer = request.getfixturevalue(f"{kind.removesuffix('-plain')}_server")
        listed = "SELECT id FROM information_schema.processlist WHERE db = 'opened'"
        connections = server.run(listed)
        assert connections
        for (connection,) in connections:
            server.run(f"KILL {connection}")
        while server.run(listed):
            pass

    return close_of_mariadb if kind.startswith(("mariadb", "mysql")) else close_of_postgresql


@pytest.fixture
def store(engine_url: str, kind: str) -> Iterator[SQLAlchemyStore]:
    """A store that kept connections, one of the pool, and one on an engine of the application's."""
    store = SQLAlchemyStore.open(engine_url)
    if kind in ("pooled", "mariadb-plain", "mysql-plain"):
        store.engine.dispose()
        engine = sa.create_engine(engine_url)
        if kind == "pooled":
            sa.event.listen(engine, "checkin", lambda *_: None)
        store = SQLAlchemyStore(engine)
    yield store
    store.engine.dispose()


def test_each_work_is_done_on_a_new_connection(store: SQLAlchemyStore, close: Close) -> None:
    token, grant, client = save_record(store, new_token()), save_record(store, new_grant()), new_client()
    child = new_token(parent=token)
    works: list[tuple[Callable[[], Any], Any]] = [
        (lambda: store.get_access(token.access.token_hash), token.access),
        (lambda: store.revoked("mark"), False),
        (lambda: store.revoke("mark", FAR), None),
        (lambda: store.revoked("mark"), True),
        (lambda: store.set_client(client), None),
        (lambda: store.get_client(client.client_id), client),
        (lambda: store.issue(grant, [new_token()], NOW), True),
        (lambda: store.issue(grant, [new_token()], NOW), False),
        (lambda: store.issue(token, [child], NOW), True),
        (lambda: store.count(b"key", FAR), 1),
        (lambda: store.count(b"key", FAR), 2),
        (lambda: list(store.list_clients()), [client]),
        (lambda: store.purgeable(NOW), 0),
        (store.check, None),
    ]
    for work, expected in works:
        assert store.revoked("other") is False, "a connection is idle"
        close()
        assert work() == expected


def test_a_store_that_opens_on_idle_connections_of_the_application(
    engine_url: str, close: Close, tmp_path: Any
) -> None:
    app = flask.Flask(__name__, instance_path=str(tmp_path))
    app.config.update(SECRET_KEY="a secret key of the tests", SQLALCHEMY_DATABASE_URI=engine_url)
    db = SQLAlchemy(app)
    provider = OAuth2Provider(app, db=db)
    with app.app_context():
        db.create_all()
        db.session.execute(sa.text("SELECT 1"))
        db.session.remove()
        close()
        assert provider.server.store.get_client("web") is None
        db.engine.dispose()


@pytest.mark.parametrize("kind", ["postgresql", "psycopg2", "pooled"], indirect=True)
def test_a_connection_that_is_lost_at_work_is_no_idle_one(store: SQLAlchemyStore, kind: str) -> None:
    """The server may have carried out a statement whose answer was lost."""
    with store.engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE tried (one INTEGER)"))
        connection.execute(
            sa.text(
                "CREATE FUNCTION die() RETURNS trigger AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid());"
                " PERFORM pg_sleep(60); RETURN NEW; END $$ LANGUAGE plpgsql"
            )
        )
        connection.execute(
            sa.text("CREATE TRIGGER die BEFORE INSERT ON oauth2_revocation FOR EACH ROW EXECUTE FUNCTION die()")
        )
    assert store.revoked("mark") is False
    with pytest.raises(TemporarilyUnavailable):
        store.revoke("mark", FAR)
    with pytest.raises(TemporarilyUnavailable):
        store.delete_client("client", FAR)
    assert store.revoked("mark") is False
    assert save_record(store, new_token())


def test_a_connection_that_the_driver_knows_to_be_closed(store: SQLAlchemyStore) -> None:
    store.revoke("mark", FAR)
    connection = store.engine.raw_connection()
    driver: Any = connection.dbapi_connection
    driver.close()
    connection.close()
    for kept in store._database.connections.cache.own.idle:
        kept.driver.close()
    store.revoke("other", FAR)
    assert store.revoked("other")
