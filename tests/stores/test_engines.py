"""Databases and drivers of applications: each works, or is refused at start with the fix."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask
import flask_sqlalchemy_lite
import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from stores.workers import in_processes, in_threads

from flask_oauth2 import ConfigurationError, OAuth2Provider
from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore, read_uri
from flask_oauth2.testing.samples import FAR, NOW, new_token, save_record

WRITERS = 4


def new_app(folder: Path, **options: Any) -> flask.Flask:
    app = flask.Flask(__name__, instance_path=str(folder))
    app.config.update(SECRET_KEY="a secret key of the tests", **options)
    return app


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("postgres://u:p@host:5/name?sslmode=require", "postgresql+psycopg://u:p@host:5/name?sslmode=require"),
        ("postgresql://host/name", "postgresql+psycopg://host/name"),
        ("postgresql+psycopg2://host/name", "postgresql+psycopg2://host/name"),
        ("mariadb://host/name", "mariadb+pymysql://host/name"),
        ("mysql://u:p@host/name?charset=utf8mb4", "mysql+pymysql://u:p@host/name?charset=utf8mb4"),
        ("sqlite:///file", "sqlite:///file"),
    ],
)
def test_uris_that_name_no_driver(uri: str, expected: str) -> None:
    assert read_uri(uri).render_as_string(hide_password=False) == expected


def test_another_driver_of_postgresql_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python says that a module is not there where ``sys.modules`` has None."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert read_uri("postgres://host/name").drivername == "postgresql+psycopg2"


def test_a_store_opens_by_a_uri_as_platforms_write_it(postgresql_url: str) -> None:
    store = SQLAlchemyStore.open(postgresql_url.replace("postgresql+psycopg:", "postgres:"))
    token = save_record(store, new_token())
    assert store.get_access(token.access.token_hash) == token.access
    store.engine.dispose()


REFUSED = [
    ("mysql+mysqldb://host/name", r"to MySQL with PyMySQL, not with mysqldb: .* mysql\+pymysql://.*\[mysql\]"),
    ("mysql+aiomysql://host/name", r"to MySQL with PyMySQL, not with aiomysql: .* mysql\+pymysql://"),
    ("mysql+mysqlconnector://host/name", r"mysql\+pymysql://"),
    ("mariadb+mariadbconnector://host/name", r"mariadb\+pymysql://.*flask_oauth2\[mariadb\]"),
    ("postgresql+pg8000://host/name", r"driver pg8000.*postgresql\+psycopg://.*flask_oauth2\[postgresql\]"),
    ("postgresql+asyncpg://host/name", r"driver asyncpg.*postgresql\+psycopg://"),
    ("sqlite+aiosqlite:///file", r"driver aiosqlite.*sqlite://"),
    ("mssql+pyodbc://host/name", "not in mssql"),
]


@pytest.mark.parametrize(("uri", "said"), [*REFUSED, ("nonsense", "OAUTH2_DATABASE_URI is no database URI")])
def test_a_uri_is_refused_when_the_application_starts(uri: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=said):
        OAuth2Provider(new_app(tmp_path, OAUTH2_DATABASE_URI=uri))


@pytest.mark.parametrize(
    ("uri", "said"), [case for case in REFUSED if case[0].startswith(("postgresql+pg", "sqlite+"))]
)
@pytest.mark.parametrize("provider_first", [True, False])
def test_the_engine_of_an_application_is_refused_before_it_is_used(
    uri: str, said: str, provider_first: bool, tmp_path: Path
) -> None:
    app, db = new_app(tmp_path, SQLALCHEMY_DATABASE_URI=uri), SQLAlchemy()
    provider = OAuth2Provider(db=db)
    if provider_first:
        provider.init_app(app)
        db.init_app(app)
        with app.app_context():
            assert db.engine
        app.config["PROPAGATE_EXCEPTIONS"] = True
        assert not flask.has_app_context(), "an error in a signal would leave the context pushed"
        with pytest.raises(ConfigurationError, match=said):
            app.test_client().post("/oauth/token", data={"grant_type": "client_credentials", "client_id": "x"})
    else:
        db.init_app(app)
        with pytest.raises(ConfigurationError, match=said):
            provider.init_app(app)


def test_a_schema_translate_map_is_refused(tmp_path: Path) -> None:
    options = {"execution_options": {"schema_translate_map": {None: "tenant"}}}
    app = new_app(tmp_path, SQLALCHEMY_DATABASE_URI="sqlite:///app.sqlite", SQLALCHEMY_ENGINE_OPTIONS=options)
    with pytest.raises(ConfigurationError, match=r"schema_translate_map.*MetaData\(schema="):
        OAuth2Provider(app, db=SQLAlchemy(app))


def test_binds_without_a_default_are_refused(tmp_path: Path) -> None:
    app = new_app(tmp_path, SQLALCHEMY_BINDS={"auth": "sqlite:///auth.sqlite"})
    with pytest.raises(ConfigurationError, match="SQLALCHEMY_DATABASE_URI"):
        OAuth2Provider(app, db=SQLAlchemy(app))


def test_flask_sqlalchemy_lite_is_refused(tmp_path: Path) -> None:
    app = new_app(tmp_path, SQLALCHEMY_ENGINES={"default": "sqlite://"})
    with pytest.raises(ConfigurationError, match=r"not flask_sqlalchemy_lite.*OAUTH2_DATABASE_URI"):
        OAuth2Provider(app, db=flask_sqlalchemy_lite.SQLAlchemy(app))  # type: ignore[arg-type]


def test_engine_options_reach_the_engine(postgresql_url: str, tmp_path: Path) -> None:
    options = {"connect_args": {"prepare_threshold": None}, "pool_size": 3}
    app = new_app(tmp_path, OAUTH2_DATABASE_URI=postgresql_url, OAUTH2_DATABASE_ENGINE_OPTIONS=options)
    provider = OAuth2Provider(app)
    with app.app_context():
        store: Any = provider.server.store
    assert store.engine.pool.size() == 3
    with store.engine.connect() as connection:
        assert connection.connection.dbapi_connection.prepare_threshold is None
    store.engine.dispose()


def test_engine_options_that_do_not_exist_are_named(tmp_path: Path) -> None:
    app = new_app(tmp_path, OAUTH2_DATABASE_ENGINE_OPTIONS={"pool_sise": 3})
    provider = OAuth2Provider(app)
    with app.app_context(), pytest.raises(ConfigurationError, match=r"OAUTH2_DATABASE_ENGINE_OPTIONS.*pool_sise"):
        _ = provider.server.store


def write(folder: str) -> Callable[[], Any]:
    """Write with the store and with the session of the application, in several threads."""
    app = new_app(Path(folder), SQLALCHEMY_DATABASE_URI=f"sqlite:///{folder}/app.sqlite")
    db = SQLAlchemy(app)
    provider = OAuth2Provider(app, db=db)
    with app.app_context():
        store: Any = provider.server.store

    def prepare(is_session: bool) -> Callable[[], Any]:
        def go_on() -> int:
            with app.app_context():
                for number in range(50):
                    if is_session:
                        db.session.execute(sa.text("INSERT INTO note (text) VALUES ('x')"))
                        db.session.commit()
                        db.session.execute(sa.text("SELECT count(*) FROM note")).all()
                    else:
                        token = save_record(store, new_token(), NOW)
                        assert store.get_access(token.access.token_hash) == token.access
                        store.revoke(f"mark {number}", FAR)
                return 1

        return go_on

    return lambda: sum(in_threads([(prepare, is_session) for is_session in (True, False, False)]))


def test_a_sqlite_file_of_the_application_under_load(tmp_path: Path) -> None:
    """Nothing waits so long that it is refused, in several threads of several processes."""
    app = new_app(tmp_path, SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/app.sqlite")
    db = SQLAlchemy(app)
    OAuth2Provider(app, db=db)
    with app.app_context():
        db.create_all()
        db.session.execute(sa.text("CREATE TABLE note (text TEXT)"))
        db.session.commit()
        db.engine.dispose()
    assert in_processes([(write, str(tmp_path))] * WRITERS) == [3] * WRITERS
