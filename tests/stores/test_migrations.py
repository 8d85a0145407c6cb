"""Migrations that Flask-Migrate generates for the tables of the provider, by its own command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from stores.workers import PATIENCE

from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore, declare
from flask_oauth2.testing.samples import NOW, new_client, new_token, save_record

APPLICATION = """
import os

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import MetaData

from flask_oauth2 import OAuth2Provider

CONVENTION = {
    "ix": "idx_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

app = Flask(__name__)
app.config.update(SECRET_KEY="a secret key of the tests", SQLALCHEMY_DATABASE_URI=os.environ["SITE_DATABASE"])
metadata = MetaData(
    schema=os.environ.get("SITE_SCHEMA"), naming_convention=CONVENTION if "SITE_CONVENTION" in os.environ else None
)
db = SQLAlchemy(app, metadata=metadata)
provider = OAuth2Provider(app, db=db)
Migrate(app, db, compare_type=True, compare_server_default=True, include_schemas="SITE_SCHEMA" in os.environ)


class Note(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    text = db.Column(db.String(100), index=True)
"""


class Application:
    """A fresh application in a folder, and the commands of its developer."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self._folder = folder
        self._environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | variables
        (folder / "app.py").write_text(APPLICATION)

    def run(self, *arguments: str) -> str:
        """Run ``flask db …`` and return what it prints."""
        done = subprocess.run(
            [sys.executable, "-W", "error::sqlalchemy.exc.SAWarning", "-m", "flask", "--app", "app", "db", *arguments],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stderr + done.stdout

    def versions(self) -> list[Path]:
        """The migrations that were written."""
        return sorted((self._folder / "migrations" / "versions").glob("*.py"))


@pytest.mark.slow
def test_the_second_migration_has_nothing_to_do(url: str, tmp_path: Path) -> None:
    migrate(Application(tmp_path, SITE_DATABASE=url))
    check_store(url, sa.MetaData())


@pytest.mark.slow
def test_nor_has_it_with_a_naming_convention(sqlite_url: str, tmp_path: Path) -> None:
    migrate(Application(tmp_path, SITE_DATABASE=sqlite_url, SITE_CONVENTION="1"))
    check_store(sqlite_url, sa.MetaData())


@pytest.mark.slow
def test_nor_with_tables_in_a_schema_of_postgresql(postgresql_url: str, tmp_path: Path) -> None:
    engine = sa.create_engine(postgresql_url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE SCHEMA auth"))
    engine.dispose()
    migrate(Application(tmp_path, SITE_DATABASE=postgresql_url, SITE_SCHEMA="auth", SITE_CONVENTION="1"))
    check_store(postgresql_url, sa.MetaData(schema="auth"))


def migrate(application: Application) -> None:
    application.run("init")
    application.run("migrate", "-m", "first")
    (migration,) = application.versions()
    assert "flask_oauth2." not in migration.read_text(), "it needs SQLAlchemy alone"
    application.run("upgrade")
    said = application.run("migrate", "-m", "second")
    assert "No changes in schema detected" in said, application.versions()[-1].read_text() + said
    assert application.versions() == [migration]
    application.run("check")
    application.run("downgrade")
    application.run("upgrade")


def check_store(url: str, metadata: sa.MetaData) -> None:
    engine = sa.create_engine(url)
    store = SQLAlchemyStore(engine, declare(metadata))
    store.check()
    client, token = new_client(), save_record(store, new_token(), NOW)
    store.set_client(client)
    assert store.get_client(client.client_id) == client
    assert store.get_access(token.access.token_hash) == token.access
    engine.dispose()
