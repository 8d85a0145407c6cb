"""Tables that many workers create at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask
import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from stores.workers import in_processes

from flask_oauth2 import MemoryStore, OAuth2Provider
from oauth_site import make_site

WORKERS = 8


def make_app(url: str, folder: str, *, own: bool) -> tuple[flask.Flask, OAuth2Provider]:
    app = flask.Flask(__name__, instance_path=folder)
    app.config.update(SECRET_KEY="a secret key of the tests")
    if not own:
        app.config["OAUTH2_DATABASE_URI"] = url
        return app, OAuth2Provider(app)
    app.config.update(
        SQLALCHEMY_DATABASE_URI=url,
        SQLALCHEMY_BINDS={"other": f"sqlite:///{folder}/other.sqlite", "memory": "sqlite://"},
    )
    db = SQLAlchemy(app)
    for bind in (None, "other"):
        metadata = db.metadatas[bind] if bind is None else db._make_metadata(bind)
        sa.Table("note", metadata, sa.Column("id", sa.Integer, primary_key=True))
    return app, OAuth2Provider(app, db=db)


def prepare(url: str, folder: str, own: bool) -> Callable[[], Any]:
    """Create the tables as a worker does that starts, and use them."""
    app, provider = make_app(url, folder, own=own)

    def create() -> Any:
        with app.app_context():
            provider.create_tables()
            provider.create_tables()
            store: Any = provider.server.store
            store.revoke("mark", 10**10)
            found = store.revoked("mark")
            store.engine.dispose()
            return found

    return create


@pytest.mark.parametrize("own", [True, False], ids=["db", "own"])
def test_workers_that_start_at_once(url: str, tmp_path: Path, own: bool) -> None:
    competitors = [(prepare, url, str(tmp_path), own)] * WORKERS
    assert in_processes(competitors) == [True] * WORKERS
    engine = sa.create_engine(url)
    assert sa.inspect(engine).has_table("note") is own
    engine.dispose()
    assert (tmp_path / "other.sqlite").exists() is own


def test_the_command(sqlite_url: str, tmp_path: Path) -> None:
    app, provider = make_app(sqlite_url, str(tmp_path), own=True)
    run = app.test_cli_runner().invoke
    result = run(args=["oauth2", "create-tables"])
    assert (result.exit_code, result.output) == (0, "All tables exist.\n")
    assert run(args=["oauth2", "client", "list"]).exit_code == 0
    bare = flask.Flask("bare").test_cli_runner()
    from flask_oauth2.cli import oauth2

    assert "no OAuth2Provider" in bare.invoke(oauth2, ["create-tables"]).output
    with app.app_context():
        for engine in provider._storage.db.engines.values():  # type: ignore[union-attr]
            engine.dispose()


def test_a_database_in_memory_and_a_store_that_needs_none(tmp_path: Path) -> None:
    db = SQLAlchemy()
    site = make_site(tmp_path, db=db, SQLALCHEMY_DATABASE_URI="sqlite://")
    with site.app.app_context():
        db.session.execute(sa.text("SELECT 1"))
        site.provider.create_tables()
        assert site.provider.server.store.get_client("web") is None
    site = make_site(tmp_path, store=MemoryStore())
    with site.app.app_context():
        site.provider.create_tables()
