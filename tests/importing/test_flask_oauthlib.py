"""Import from flask-oauthlib's documented tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask_sqlalchemy import SQLAlchemy
from importing.tables import (
    SECRET,
    SHORT,
    Grant,
    Old,
    User,
    fill,
    in_seconds,
    old_client,
    old_token,
    read,
)
from sqlalchemy import create_engine
from werkzeug.security import generate_password_hash

from flask_oauth2 import values
from oauth_site import CALLBACK, NOW, Site, make_site

Import = Callable[..., Any]
FLASK_OAUTHLIB = "flask-oauthlib"


@pytest.fixture
def filled(old: str) -> str:
    """A client and a live token."""
    fill(old, Old, User(id=1, username="ada"), old_client(), old_token())
    return old


def test_imported_tokens_work(sql_site: Site, filled: str, run_import: Import) -> None:
    assert not sql_site.is_alive("live-access")
    report = run_import(sql_site, FLASK_OAUTHLIB)
    assert report["clients"] == {"taken": 1, "already_there": 0, "ended": 0, "left": 0}
    assert report["tokens"]["taken"] == 1
    answer = sql_site.call("live-access")
    assert answer.get_json() == {"user": "1", "client": "web", "scope": ["profile"]}
    assert not sql_site.is_alive("dead-access")
    refreshed = sql_site.refresh("live-refresh", SECRET)
    assert refreshed.status_code == 200
    assert sql_site.is_alive(refreshed.get_json()["access_token"])
    assert sql_site.refresh("live-refresh", "a wrong secret, though it is as long as the right one").status_code == 401
    assert sql_site.refresh("other-refresh", SECRET).status_code == 400


def test_tokens_end_when_they_did(sql_site: Site, filled: str, run_import: Import) -> None:
    run_import(sql_site, FLASK_OAUTHLIB)
    sql_site.clock.forward(599)
    assert sql_site.is_alive("live-access")
    sql_site.clock.forward(1)
    assert not sql_site.is_alive("live-access")
    sql_site.clock.forward(30 * 86400 - 601)
    assert sql_site.refresh("live-refresh", SECRET).status_code == 200


def test_refresh_tokens_do_not_live_for_ever(sql_site: Site, filled: str, run_import: Import) -> None:
    run_import(sql_site, FLASK_OAUTHLIB)
    sql_site.clock.forward(30 * 86400)
    assert sql_site.refresh("live-refresh", SECRET).status_code == 400


def test_a_token_without_an_end_gets_one(sql_site: Site, filled: str, run_import: Import) -> None:
    fill(filled, Old, old_token("endless-access", expires=None), old_token("long-access", expires=in_seconds(10**8)))
    assert run_import(sql_site, FLASK_OAUTHLIB)["tokens"]["shortened"] == 2
    sql_site.clock.forward(30 * 86400 - 1)
    assert sql_site.is_alive("endless-access")
    assert sql_site.is_alive("long-access")
    sql_site.clock.forward(1)
    assert not sql_site.is_alive("endless-access")
    assert not sql_site.is_alive("long-access")


def test_a_token_without_an_end_that_nothing_renews_is_counted(sql_site: Site, filled: str, run_import: Import) -> None:
    fill(
        filled,
        Old,
        old_token("endless-access", expires=None),
        old_token("last-access", expires=None, refresh_token=None),
    )
    report = run_import(sql_site, FLASK_OAUTHLIB, "--dry-run")
    assert (report["tokens"]["shortened"], report["tokens"]["final"]) == (2, 1)
    said = sql_site.app.test_cli_runner().invoke(args=["oauth2", "import", FLASK_OAUTHLIB, "--database", filled]).output
    assert "1 of them had no refresh token, so their clients must then start a new authorization." in said


def test_a_refresh_token_outlives_its_access_token(sql_site: Site, filled: str, run_import: Import) -> None:
    fill(filled, Old, old_token("ended-access", expires=in_seconds(-1)))
    fill(filled, Old, old_token("dead-access", expires=in_seconds(-1), refresh_token=None))
    tokens = run_import(sql_site, FLASK_OAUTHLIB)["tokens"]
    assert (tokens["taken"], tokens["ended"]) == (2, 1)
    assert not sql_site.is_alive("ended-access")
    assert not sql_site.is_alive("dead-access")
    assert sql_site.refresh("ended-refresh", SECRET).status_code == 200


@pytest.mark.spec("rfc6749", "4.1.2")
def test_a_reused_imported_refresh_token_revokes_its_authorization(
    sql_site: Site, filled: str, run_import: Import
) -> None:
    fill(filled, Old, old_token("other-access"))
    run_import(sql_site, FLASK_OAUTHLIB)
    fresh = sql_site.refresh("live-refresh", SECRET).get_json()
    sql_site.clock.forward(31)
    assert sql_site.refresh("live-refresh", SECRET).status_code == 400
    assert not sql_site.is_alive(fresh["access_token"])
    assert not sql_site.is_alive("live-access")
    assert sql_site.is_alive("other-access"), "each row is a family of its own"


@pytest.mark.spec("rfc7009", "2.1")
def test_an_imported_token_can_be_revoked_and_stays_revoked(sql_site: Site, filled: str, run_import: Import) -> None:
    run_import(sql_site, FLASK_OAUTHLIB)
    assert sql_site.post("/revoke", ("web", SECRET), token="live-refresh").status_code == 200
    assert not sql_site.is_alive("live-access")
    assert run_import(sql_site, FLASK_OAUTHLIB)["tokens"]["already_there"] == 1
    assert not sql_site.is_alive("live-access")
    assert sql_site.refresh("live-refresh", SECRET).status_code == 400


@pytest.mark.parametrize("secret", [SECRET, SHORT])
@pytest.mark.parametrize("is_hashed", [False, True])
def test_old_secrets_open_and_wrong_ones_do_not(
    sql_site: Site, old: str, run_import: Import, secret: str, is_hashed: bool
) -> None:
    kept = generate_password_hash(secret) if is_hashed else secret
    fill(old, Old, old_client(client_secret=kept))
    run_import(sql_site, FLASK_OAUTHLIB)
    assert sql_site.token("client_credentials", ("web", secret)).status_code == 200
    assert sql_site.token("client_credentials", client_id="web", client_secret=secret).status_code == 200
    for wrong in (secret[:-1], secret + " ", sql_site.store.get_client("web").secret, kept if is_hashed else "x"):
        assert sql_site.token("client_credentials", ("web", wrong)).status_code == 401
    assert secret not in sql_site.store.get_client("web").secret


def test_a_client_signs_users_in_as_before(sql_site: Site, old: str, run_import: Import) -> None:
    fill(old, Old, old_client(), old_client("strict"))
    run_import(sql_site, FLASK_OAUTHLIB, "--no-pkce")
    client = sql_site.store.get_client("web")
    assert client.grant_types == ("authorization_code", "client_credentials", "refresh_token")
    assert (client.response_types, client.redirect_uris, client.name) == (("code",), (CALLBACK,), "Photos")
    assert (client.scope, client.created_at, client.application_type) == (("profile", "mail"), int(NOW), "web")
    code = sql_site.authorize(code_challenge=None, code_challenge_method=None)["code"]
    answer = sql_site.redeem(code, ("web", SECRET), code_verifier=None)
    assert sql_site.is_alive(answer.get_json()["access_token"])


def test_pkce_stays_required_unless_it_is_said(sql_site: Site, filled: str, run_import: Import) -> None:
    run_import(sql_site, FLASK_OAUTHLIB)
    assert sql_site.authorize(code_challenge=None, code_challenge_method=None)["error"] == "invalid_request"
    assert "code" in sql_site.authorize()


def test_a_public_client_needs_no_secret_and_has_none(sql_site: Site, old: str, run_import: Import) -> None:
    fill(old, Old, old_client("app", is_confidential=False, _redirect_uris="com.example.app:/back"))
    fill(old, Old, old_client("unsaid", is_confidential=None), old_token(client_id="app"))
    report = run_import(sql_site, FLASK_OAUTHLIB)
    app, unsaid = sql_site.store.get_client("app"), sql_site.store.get_client("unsaid")
    assert (app.auth_method, app.secret, app.application_type) == ("none", None, "native")
    assert app.grant_types == ("authorization_code", "refresh_token")
    assert unsaid.auth_method == "client_secret_basic"
    said = {note["id"]: note["reason"] for note in report["notes"] if note["reason"].startswith("as ")}
    assert said["app"].startswith("as public")
    assert said["unsaid"].startswith("as confidential")
    assert sql_site.refresh("live-refresh", SECRET, "app").status_code == 401
    assert sql_site.refresh("live-refresh", client_id="app").status_code == 200


@pytest.mark.spec("oauth-v2-1", "8.1")
def test_a_native_application_is_as_good_as_public_though_it_has_a_secret(
    sql_site: Site, old: str, run_import: Import
) -> None:
    fill(old, Old, old_client("app", _redirect_uris="com.example.app:/back"), old_client())
    run_import(sql_site, FLASK_OAUTHLIB, "--no-pkce")
    app, web = sql_site.store.get_client("app"), sql_site.store.get_client("web")
    assert (app.auth_method, app.application_type, app.pkce_required) == ("client_secret_basic", "native", None)
    assert app.grant_types == ("authorization_code", "refresh_token")
    assert (web.pkce_required, "client_credentials" in web.grant_types) == (False, True)


def test_grants_that_are_not_offered_are_named(
    new_site: Callable[..., Site], old: str, run_import: Import, tmp_path: Any
) -> None:
    fill(old, Old, old_client(), old_client("machine", _redirect_uris=""))
    site = make_site(tmp_path, OAUTH2_GRANT_TYPES=["authorization_code", "client_credentials", "refresh_token"])
    notes = {note["id"]: note["reason"] for note in run_import(site, FLASK_OAUTHLIB)["notes"]}
    assert notes["web"] == "without password: not supported here, or not for such a client"
    assert notes["machine"].startswith("without authorization_code, password, refresh_token:")
    assert site.store.get_client("machine").grant_types == ("client_credentials",)
    site.store.engine.dispose()


def test_columns_of_other_names_and_shapes(sql_site: Site, old: str, run_import: Import) -> None:
    engine = create_engine(old)
    with engine.begin() as connection:
        for statement in (
            "CREATE TABLE apps (id INTEGER PRIMARY KEY, client_id TEXT, secret_text TEXT, client_type TEXT, "
            "redirect_uris TEXT, default_scopes TEXT, allowed_grant_types TEXT, allowed_response_types TEXT)",
            "CREATE TABLE keys (access_token TEXT PRIMARY KEY, client_id TEXT, user_id TEXT, refresh_token TEXT, "
            "expires TEXT, scopes TEXT)",
            f"INSERT INTO apps VALUES (7, 'web', '{SECRET}', 'confidential', "
            f"'[\"{CALLBACK}\", \"https://b.example\"]', 'profile\nmail', "
            "'authorization_code\nrefresh_token', '[\"code\"]')",
            f"INSERT INTO apps VALUES (8, 'open', '', 'public', '{CALLBACK}\nhttps://b.example', '[\"profile\"]', "
            "NULL, NULL)",
            f"INSERT INTO keys VALUES ('live-access', 'web', 'ada', 'live-refresh', '{NOW + 60}', '[\"profile\"]')",
            f"INSERT INTO keys VALUES ('text-access', 'web', NULL, NULL, '{in_seconds(60)}', 'profile')",
            "INSERT INTO keys VALUES ('bad-access', 'web', 'ada', NULL, 'tomorrow', 'profile')",
            "INSERT INTO keys VALUES (x'00ff', 'web', 'ada', NULL, NULL, 'profile')",
            "INSERT INTO keys VALUES ('worse-access', 'web', 'ada', NULL, NULL, '[profile')",
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()
    tables = ["--client-table", "apps", "--token-table", "keys", "--column", "client_secret=secret_text"]
    report = run_import(sql_site, FLASK_OAUTHLIB, *tables, ends=1)
    assert {finding["reason"] for finding in report["left"]} == {
        "its expires is not a time",
        "its access_token is not text",
        "its scopes starts like a JSON list but is not valid JSON",
    }
    assert {finding["id"] for finding in report["left"]} <= {f"row {number}" for number in range(1, 6)}
    web, public = sql_site.store.get_client("web"), sql_site.store.get_client("open")
    assert web.redirect_uris == public.redirect_uris == (CALLBACK, "https://b.example")
    assert (web.scope, web.grant_types) == (("profile", "mail"), ("authorization_code", "refresh_token"))
    assert public.is_public
    assert sql_site.refresh("live-refresh", SECRET).status_code == 200
    assert sql_site.call("live-access").get_json()["user"] == "ada"
    assert sql_site.call("text-access").get_json()["user"] is None
    assert "bad-access" not in str(report)


def test_codes_are_counted_and_not_imported(sql_site: Site, filled: str, run_import: Import) -> None:
    code = Grant(client_id="web", user_id=1, code="a-code", redirect_uri=CALLBACK, expires=in_seconds(60))
    fill(filled, Old, code)
    assert run_import(sql_site, FLASK_OAUTHLIB)["codes"] == {"left": 1}
    result = sql_site.app.test_cli_runner().invoke(args=["oauth2", "import", FLASK_OAUTHLIB, "--database", filled])
    assert "Skipped 1 authorization code" in result.output
    assert sql_site.redeem("a-code", ("web", SECRET)).status_code == 400


def test_the_application_s_own_database_is_the_default(tmp_path: Any, run_import: Import) -> None:
    uri = f"sqlite:///{tmp_path / 'app.sqlite'}"
    db = SQLAlchemy()
    site = make_site(tmp_path, db=db, SQLALCHEMY_DATABASE_URI=uri)
    with site.app.app_context():
        db.create_all()
    fill(uri, Old, old_client(), old_token())
    assert run_import(site, FLASK_OAUTHLIB, database=None)["tokens"]["taken"] == 1
    assert site.is_alive("live-access")
    with site.app.app_context():
        db.engine.dispose()


def test_in_place_the_table_holds_keys(sql_site: Site, filled: str, run_import: Import) -> None:
    fill(filled, Old, old_token("dead-access", expires=in_seconds(-1), refresh_token=None))
    fill(filled, Old, old_token("alone-access", refresh_token=None))
    assert run_import(sql_site, FLASK_OAUTHLIB)["tokens"]["rewritten"] == 0
    assert run_import(sql_site, FLASK_OAUTHLIB, "--in-place", "--dry-run")["tokens"]["rewritten"] == 2
    statement = "SELECT access_token, refresh_token FROM token ORDER BY id"
    assert read(filled, statement)[0] == ("live-access", "live-refresh")
    tokens = run_import(sql_site, FLASK_OAUTHLIB, "--in-place")["tokens"]
    assert (tokens["already_there"], tokens["rewritten"]) == (2, 2)
    keys = [values.text(values.key(value)) for value in ("live-access", "live-refresh", "alone-access")]
    assert read(filled, statement) == [(keys[0], keys[1]), ("dead-access", None), (keys[2], None)]
    for _ in range(2):
        tokens = run_import(sql_site, FLASK_OAUTHLIB, "--in-place")["tokens"]
        assert (tokens["taken"], tokens["already_there"], tokens["rewritten"]) == (0, 2, 0)
    assert read(filled, statement)[0] == (keys[0], keys[1])
    assert sql_site.is_alive("live-access")
    assert not sql_site.is_alive(keys[0]), "a key opens nothing"
