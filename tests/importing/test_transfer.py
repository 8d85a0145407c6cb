"""Imports from every library lose nothing, do nothing twice, and print no secrets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from importing.tables import SECRET, Old, fill, old_client, old_token, read, run
from sqlalchemy import create_engine

from flask_oauth2 import MemoryStore, values
from flask_oauth2.cli import importing
from flask_oauth2.stores.sqlalchemy.foreign_tables import BATCH, ForeignDatabase
from flask_oauth2.tools.importing import FlaskOAuthlib
from flask_oauth2.tools.importing.run import Options
from flask_oauth2.tools.importing.transfer import Transfer
from oauth_site import CALLBACK, Site

Import = Callable[..., Any]


def library(site: Site, *arguments: str) -> Any:
    """Run the command like a user."""
    site.server  # noqa: B018  gives it the clock of the tests
    return site.app.test_cli_runner().invoke(args=["oauth2", "import", "flask-oauthlib", *arguments])


def test_a_dry_run_says_the_same_and_writes_nothing(sql_site: Site, old: str, run_import: Import) -> None:
    fill(old, Old, old_client(), old_client("bad", _redirect_uris="http://client.example/"))
    fill(old, Old, old_token(), old_token("lost-access", client_id="bad"))
    before = read(old, "SELECT * FROM token")
    pretended = run_import(sql_site, "flask-oauthlib", "--dry-run", ends=1)
    assert pretended["dry_run"] is True
    assert sql_site.store.get_client("web") is None
    assert not sql_site.is_alive("live-access")
    assert read(old, "SELECT * FROM token") == before
    done = run_import(sql_site, "flask-oauthlib", ends=1)
    assert done == {**pretended, "dry_run": False}
    assert sql_site.is_alive("live-access")


def test_twice_is_once(sql_site: Site, old: str, run_import: Import) -> None:
    fill(old, Old, old_client(), old_token())
    run_import(sql_site, "flask-oauthlib")
    sql_site.change_client(name="renamed here")
    for arguments in ((), ("--dry-run",)):
        report = run_import(sql_site, "flask-oauthlib", *arguments)
        for what in ("clients", "tokens"):
            assert (report[what]["taken"], report[what]["already_there"]) == (0, 1)
    assert sql_site.store.get_client("web").name == "renamed here"


def test_a_second_run_imports_skipped_rows(sql_site: Site, old: str, run_import: Import) -> None:
    fill(old, Old, old_client(_default_scopes="profile calendar"), old_token())
    left = run_import(sql_site, "flask-oauthlib", ends=1)["left"]
    assert left[0]["reason"].startswith("scope: unknown scope 'calendar'. Known scopes: profile")
    assert left[1]["reason"] == "its client 'web' does not exist in this provider"
    engine = create_engine(old)
    run(engine, "UPDATE client SET _default_scopes = 'profile'")
    engine.dispose()
    report = run_import(sql_site, "flask-oauthlib")
    assert (report["clients"]["taken"], report["tokens"]["taken"]) == (1, 1)


def test_bad_rows_keep_no_other_out(sql_site: Site, old: str, run_import: Import) -> None:
    sql_site.add_client("deleted")
    sql_site.store.delete_client("deleted", int(sql_site.clock.now) + 100)
    fill(
        old,
        Old,
        old_client(),
        old_client("deleted"),
        old_client("a:b"),
        old_client("named", name="\u202egnp"),
        old_token(),
        old_token("mac-access", token_type="mac"),
        old_token("oat_access"),
        old_token("x-access", refresh_token="ort_refresh"),
        old_token("quoted-access", _scopes='"'),
        old_token("lost-access", client_id="nobody"),
    )
    report = run_import(sql_site, "flask-oauthlib", ends=1)
    left = {finding["id"]: finding["reason"] for finding in report["left"]}
    for row, reason in {
        "deleted": "a client with this ID was deleted in this provider",
        "a:b": "client_id: must not contain : or +",
        "named": "client_name: must be printable",
        "2": "this provider does not support its token type 'mac'",
        "3": "its access_token begins with oat_",
        "4": "its refresh_token begins with ort_",
        "5": "is not a scope value",
        "6": "its client 'nobody' does not exist in this provider",
    }.items():
        assert reason in left.pop(row)
    assert left == {}
    assert (report["clients"]["taken"], report["tokens"]["taken"]) == (1, 1)
    assert sql_site.is_alive("live-access")
    assert not sql_site.is_alive("mac-access")


def test_a_row_without_a_token(sql_site: Site, old: str, run_import: Import) -> None:
    fill(old, Old, old_client(), old_token(""))
    assert run_import(sql_site, "flask-oauthlib", ends=1)["left"][0]["reason"] == "it has no access_token"


def test_two_rows_with_one_refresh_token(sql_site: Site, old: str, run_import: Import) -> None:
    fill(old, Old, old_client())
    engine = create_engine(old)
    run(engine, "DROP TABLE token")
    run(
        engine,
        "CREATE TABLE token (id INTEGER PRIMARY KEY, client_id TEXT, user_id INTEGER, access_token TEXT, "
        "refresh_token TEXT, expires TEXT, _scopes TEXT)",
    )
    for access, ends_at in (("first", "2100-01-01"), ("second", "2100-01-01"), ("third", "2000-01-01")):
        run(engine, f"INSERT INTO token VALUES (NULL, 'web', 1, '{access}', 'both', '{ends_at}', 'profile')")
    engine.dispose()
    tokens = run_import(sql_site, "flask-oauthlib")["tokens"]
    assert (tokens["taken"], tokens["ended"]) == (2, 1)
    assert sql_site.is_alive("first")
    assert sql_site.is_alive("second")
    assert not sql_site.is_alive("third")
    assert sql_site.refresh("both", SECRET).status_code == 200


def test_many_rows_are_saved_in_batches_and_no_batch_is_lost(
    sql_site: Site, old: str, run_import: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(old, Old, old_client(), *(old_token(f"access-{number}") for number in range(2 * BATCH + 1)))
    server = sql_site.server
    database = ForeignDatabase.open(old)
    transfer = Transfer(server, FlaskOAuthlib(), database, Options())
    assert len(transfer) == 2 * BATCH + 2
    rows = transfer.run()
    assert [next(rows), next(rows)] == [1, BATCH]
    rows.close()  # as somebody who stops it
    database.engine.dispose()
    assert sql_site.is_alive(f"access-{BATCH - 1}")
    assert not sql_site.is_alive(f"access-{BATCH}")
    tokens = run_import(sql_site, "flask-oauthlib", "--in-place")["tokens"]
    assert (tokens["taken"], tokens["already_there"], tokens["rewritten"]) == (BATCH + 1, BATCH, 2 * BATCH + 1)
    assert sql_site.is_alive(f"access-{2 * BATCH}")
    assert len(list(sql_site.store.list_consents("1"))) == 1, "whichever batch a token is in"


def test_a_table_of_two_keys_is_read_to_its_end(sql_site: Site, old: str, run_import: Import) -> None:
    fill(old, Old, old_client())
    engine = create_engine(old)
    run(engine, "DROP TABLE token")
    run(
        engine,
        "CREATE TABLE token (tenant INTEGER, id INTEGER, client_id TEXT, access_token TEXT, expires TEXT, "
        "_scopes TEXT, PRIMARY KEY (tenant, id))",
    )
    with engine.begin() as connection:
        for number in range(BATCH + 2):
            connection.exec_driver_sql(
                f"INSERT INTO token VALUES ({number % 2}, {number}, 'web', 'access-{number}', '2100-01-01', 'profile')"
            )
    engine.dispose()
    report = run_import(sql_site, "flask-oauthlib")
    assert report["tokens"]["taken"] == BATCH + 2
    assert all(sql_site.is_alive(f"access-{number}") for number in range(BATCH + 2))


def test_the_report_is_printed_in_words(sql_site: Site, old: str) -> None:
    fill(old, Old, old_client(), old_token(), old_token("endless-access", expires=None))
    result = library(sql_site, "--database", old, "--dry-run")
    assert result.exit_code == 0
    assert "without a refresh token" not in result.output
    assert "Dry run: nothing was written." in result.output
    result = library(sql_site, "--database", old)
    assert result.exit_code == 0, result.output
    assert [line.split() for line in result.output.splitlines()[:3]] == [
        ["imported", "already", "present", "expired", "skipped"],
        ["clients", "1", "0", "0", "0"],
        ["tokens", "2", "0", "0", "0"],
    ]
    assert "1 access token had a longer lifetime. With the current settings it ends on 2027-02-14" in result.output
    assert "without password: not supported here" in result.output
    assert "Every row was imported." in result.output
    fill(old, Old, old_client("bad\x1b", _redirect_uris=CALLBACK))
    result = library(sql_site, "--database", old, "--in-place")
    assert result.exit_code == 1
    assert "Replaced the tokens with digests in 2 rows of the library's table." in result.output
    assert "client  bad?  client_id: must be printable ASCII characters only" in result.output
    assert "1 row skipped. Correct what is reported and run the command again." in result.output
    for secret in (SECRET, "live-access", "live-refresh", values.text(values.key("live-access"))):
        assert secret not in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "pass --database with the URI of the library's tables"),
        (["--database", "nonsense"], "this is no database URI"),
        (["--database", "mysql+mysqldb://host/name"], "the database URI needs the driver MySQLdb: install it"),
        (["--database", "sqlite:////not/there.sqlite"], "there is no file /not/there.sqlite"),
        (
            ["--client-table", "apps"],
            "the table apps does not exist: pass --client-table or --token-table with one of client, grant",
        ),
        (["--code-table", "codes"], "the table codes does not exist: correct --code-table"),
        (
            ["--client-table", "user"],
            "the table user is not a table of flask-oauthlib, because it lacks client_id, client_secret",
        ),
        (["--column", "secret"], "'secret' must have the form FIELD=NAME"),
        (["--column", "secret=text"], "flask-oauthlib has no field secret. Its fields: access_token"),
        (["--column", "client_secret=text"], "the tables have no column text: correct --column client_secret"),
        (["--client-table", "heap"], "the table heap has no primary key"),
    ],
)
def test_mistakes_are_named(sql_site: Site, old: str, arguments: list[str], message: str) -> None:
    fill(old, Old, old_client())
    engine = create_engine(old)
    run(engine, "CREATE TABLE heap (client_id TEXT)")
    engine.dispose()
    if arguments and "--database" not in arguments:
        arguments = [*arguments, "--database", old]
    result = library(sql_site, *arguments)
    assert result.exit_code in (1, 2)
    assert message in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_a_column_that_is_too_short_for_keys(sql_site: Site, old: str) -> None:
    fill(old, Old, old_client())
    engine = create_engine(old)
    run(engine, "DROP TABLE token")
    run(engine, "CREATE TABLE token (id INTEGER PRIMARY KEY, client_id TEXT, access_token VARCHAR(50))")
    engine.dispose()
    assert library(sql_site, "--database", old).exit_code == 0
    result = library(sql_site, "--database", old, "--in-place")
    assert "the column access_token of token holds 50 characters, but token digests have 51" in result.output


def test_a_database_that_refuses_says_no_value(sql_site: Site, old: str) -> None:
    fill(old, Old, old_client(), old_token())
    engine = create_engine(old)
    run(engine, "CREATE TRIGGER no BEFORE UPDATE ON token BEGIN SELECT RAISE(ABORT, 'read only'); END")
    engine.dispose()
    result = library(sql_site, "--database", old, "--in-place")
    assert "the database refused what was asked of it: read only" in result.output
    assert "live-access" not in result.output
    assert sql_site.is_alive("live-access"), "what was filed stays"


def test_a_code_table_is_counted_with_any_key(sql_site: Site, old: str, run_import: Import) -> None:
    fill(old, Old, old_client(), old_token())
    engine = create_engine(old)
    run(engine, 'DROP TABLE "grant"')
    run(engine, 'CREATE TABLE "grant" (client_id TEXT, code TEXT)')
    run(engine, "INSERT INTO \"grant\" VALUES ('web', 'a-code')")
    engine.dispose()
    report = run_import(sql_site, "flask-oauthlib")
    assert (report["codes"], report["tokens"]["taken"]) == ({"left": 1}, 1)


def test_a_store_in_memory_takes_them_too(new_site: Callable[..., Site], old: str, run_import: Import) -> None:
    fill(old, Old, old_client(), old_token())
    site = new_site()
    for taken in (1, 0):
        assert run_import(site, "flask-oauthlib")["tokens"]["taken"] == taken
    assert site.is_alive("live-access")


def test_a_store_that_cannot_look_up_tokens(new_site: Callable[..., Site], old: str) -> None:
    class Plain(MemoryStore):
        find_known = None  # type: ignore[assignment]

    fill(old, Old, old_client())
    result = library(new_site(store=Plain()), "--database", old)
    assert "the store does not implement find_known(keys)" in result.output


def test_an_application_with_getters_of_its_own(new_site: Callable[..., Site], old: str, tmp_path: Path) -> None:
    """Clients stay in the application, its setters are not called, and its tokengetter receives digests."""
    site, told = new_site(), []
    clients = {"web": {"client_id": "web", "client_secret": SECRET, "redirect_uris": [CALLBACK]}}
    site.provider.clientgetter(clients.get)
    site.provider.tokensetter(lambda token, request: told.append(token))

    @site.provider.tokengetter
    def find_token(access_token: str | None = None, refresh_token: str | None = None) -> Any:
        column = "access_token" if refresh_token is None else "refresh_token"
        found = read(old, f"SELECT _scopes FROM token WHERE {column} = '{access_token or refresh_token}'")
        return {"scopes": found[0][0]} if found else None

    fill(old, Old, old_client(), old_client("stranger"), old_token())
    result = library(site, "--database", old, "--dry-run")
    assert "add --in-place, so that it finds tokens" in result.output
    result = library(site, "--database", old, "--in-place")
    assert result.exit_code == 1
    assert "stranger  the application's clientgetter does not return this client" in result.output
    assert told == []
    assert site.is_alive("live-access")
    assert not site.is_alive("other-access")
    assert site.refresh("live-refresh", SECRET).status_code == 200
    assert len(told) == 1


def test_a_terminal_sees_how_far_it_is(
    sql_site: Site, old: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(old, Old, old_client(), old_token())
    server = sql_site.server
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    command = importing.import_from
    with sql_site.app.app_context():
        command.main(["flask-oauthlib", "--database", old], standalone_mode=False)
    shown = capsys.readouterr()
    assert "Importing" in shown.err
    assert "Every row was imported." in shown.out
    assert server.store.get_client("web") is not None
