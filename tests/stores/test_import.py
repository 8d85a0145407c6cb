"""Tokens of another library come into every database that keeps ours, and out of it."""

from __future__ import annotations

from pathlib import Path

from importing.tables import SECRET, Mixed, Old, User, fill, mixed_client, mixed_token, old_client, old_token, read
from sqlalchemy import create_engine, text

from flask_oauth2 import values
from flask_oauth2.stores.base import Store, collect
from flask_oauth2.testing.samples import FAR, new_grant, new_key, new_token, save_record
from oauth_site import make_site


def test_the_keys_of_all_tokens_are_known(store: Store) -> None:
    """Whatever became of them, so that none is save_record again."""
    importing = collect(store).imports
    assert importing is not None
    tokens = [save_record(store, new_token()) for _ in range(30)]
    alone = save_record(store, new_token(refresh_token_hash=None, refresh_expires_at=None))
    store.revoke(tokens[0].authorization.id, FAR)
    code = save_record(store, new_grant())
    keys = {key for token in tokens for key in (token.access.token_hash, token.refresh_token_hash) if key} | {
        alone.access.token_hash
    }
    assert importing.find_known([*keys, new_key(), code.key]) == keys
    assert importing.find_known([]) == set()


def test_from_a_database_into_it(url: str, tmp_path: Path) -> None:
    """Theirs and ours side by side: flask-oauthlib's names are not those of our tables."""
    fill(url, Old, User(id=1, username="ada"), old_client(), old_token(), old_token("dead-access", client_id="web"))
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE token SET expires = '2000-01-01', refresh_token = NULL WHERE id = 2"))
    engine.dispose()
    site = make_site(tmp_path, OAUTH2_DATABASE_URI=url)
    site.server  # noqa: B018  gives it the clock of the tests
    command = ["oauth2", "import", "flask-oauthlib", "--database", url, "--in-place"]
    for taken in (1, 0):
        result = site.app.test_cli_runner().invoke(args=command)
        assert result.exit_code == 0, result.output
        assert f"tokens   {taken}" in result.output
    assert site.call("live-access").get_json()["user"] == "1"
    assert not site.is_alive("dead-access")
    assert site.refresh("live-refresh", SECRET).status_code == 200
    assert site.refresh("live-refresh", "wrong").status_code == 401
    key = values.text(values.key("live-access"))
    assert read(url, "SELECT access_token FROM token ORDER BY id") == [(key,), ("dead-access",)]
    site.store.engine.dispose()


def test_from_a_schema_of_another_name(postgresql_url: str, tmp_path: Path) -> None:
    engine = create_engine(postgresql_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA auth"))
    engine.dispose()
    fill(f"{postgresql_url}?options=-csearch_path%3Dauth", Mixed, mixed_client(), mixed_token())
    site = make_site(tmp_path)
    site.server  # noqa: B018  gives it the clock of the tests
    tables = ["--client-table", "auth.oauth2_client", "--token-table", "auth.oauth2_token"]
    command = ["oauth2", "import", "authlib", "--database", postgresql_url, *tables, "--in-place"]
    result = site.app.test_cli_runner().invoke(args=command)
    assert result.exit_code == 0, result.output
    assert site.is_alive("live-access")
    key = values.text(values.key("live-access"))
    assert read(postgresql_url, "SELECT access_token FROM auth.oauth2_token") == [(key,)]
    site.store.engine.dispose()


def test_columns_that_pad_what_they_hold(postgresql_url: str, tmp_path: Path) -> None:
    fill(postgresql_url, Old, User(id=1, username="ada"), old_client(), old_token())
    engine = create_engine(postgresql_url)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE token DROP CONSTRAINT token_client_id_fkey"))
        connection.execute(text('ALTER TABLE "grant" DROP CONSTRAINT grant_client_id_fkey'))
        connection.execute(text("ALTER TABLE client ALTER client_id TYPE CHAR(40)"))
        for column in ("client_id", "access_token", "refresh_token"):
            connection.execute(text(f"ALTER TABLE token ALTER {column} TYPE CHAR(80)"))
    engine.dispose()
    site = make_site(tmp_path)
    site.server  # noqa: B018  gives it the clock of the tests
    command = ["oauth2", "import", "flask-oauthlib", "--database", postgresql_url, "--in-place"]
    for taken in (1, 0):
        result = site.app.test_cli_runner().invoke(args=command)
        assert result.exit_code == 0, result.output
        assert f"clients  {taken}" in result.output
        assert f"tokens   {taken}" in result.output
        assert f"{taken} row{'' if taken else 's'} of the library's table" in result.output
        site.change_client(name="renamed here")
    assert site.store.get_client("web").name == "renamed here"
    assert site.is_alive("live-access")
    assert not site.is_alive(values.text(values.key("live-access"))), "a key opens nothing"
    assert site.refresh("live-refresh", SECRET).status_code == 200
    site.store.engine.dispose()
