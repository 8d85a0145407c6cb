"""Import from the tables of Authlib's mixins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from importing.tables import (
    SECRET,
    SHORT,
    Mixed,
    OAuth2AuthorizationCode,
    OAuth2Client,
    fill,
    mixed_client,
    mixed_token,
    read,
)

from flask_oauth2 import values
from oauth_site import CALLBACK, NOW, Site

Import = Callable[..., Any]


@pytest.fixture
def filled(old: str) -> str:
    """A client and a live token."""
    fill(old, Mixed, mixed_client(), mixed_token())
    return old


def test_imported_tokens_work(sql_site: Site, filled: str, run_import: Import) -> None:
    assert not sql_site.is_alive("live-access")
    report = run_import(sql_site, "authlib")
    assert (report["clients"]["taken"], report["tokens"]["taken"], report["notes"]) == (1, 1, [])
    assert sql_site.call("live-access").get_json() == {"user": "1", "client": "web", "scope": ["profile"]}
    assert not sql_site.is_alive("dead-access")
    refreshed = sql_site.refresh("live-refresh", SECRET)
    assert sql_site.is_alive(refreshed.get_json()["access_token"])
    assert sql_site.refresh("live-refresh", SHORT).status_code == 401
    sql_site.clock.forward(600)
    assert not sql_site.is_alive("live-access")


def test_revoked_and_expired_tokens_are_not_imported(sql_site: Site, filled: str, run_import: Import) -> None:
    revoked = int(NOW) - 50
    fill(
        filled,
        Mixed,
        mixed_token("half-access", access_token_revoked_at=revoked),
        mixed_token("whole-access", refresh_token_revoked_at=revoked),
        mixed_token("alone-access", access_token_revoked_at=revoked, refresh_token=None),
        mixed_token("ended-access", expires_in=50),
        mixed_token("gone-access", expires_in=50, refresh_token=None),
        mixed_token("endless-access", expires_in=0),
    )
    tokens = run_import(sql_site, "authlib")["tokens"]
    assert (tokens["taken"], tokens["ended"], tokens["shortened"]) == (4, 3, 1)
    alive = {name for name in ("half", "whole", "alone", "ended", "gone") if sql_site.is_alive(f"{name}-access")}
    assert alive == set()
    assert sql_site.is_alive("endless-access")
    for name, status in (("half", 200), ("whole", 400), ("ended", 200)):
        assert sql_site.refresh(f"{name}-refresh", SECRET).status_code == status


def test_metadata_is_imported(sql_site: Site, old: str, run_import: Import) -> None:
    about = {"logo_uri": "https://client.example/logo.png", "contacts": ["ada@client.example"], "software_id": "photos"}
    fill(old, Mixed, mixed_client(**about, client_url="unknown", token_endpoint_auth_method="client_secret_post"))
    run_import(sql_site, "authlib")
    client = sql_site.store.get_client("web")
    assert client.metadata == {"client_uri": "https://client.example/", **about}
    assert (client.name, client.auth_method, client.created_at) == ("Photos", "client_secret_post", int(NOW) - 1000)
    assert (client.redirect_uris, client.scope) == ((CALLBACK,), ("profile", "mail"))
    assert "code" in sql_site.authorize()


def test_a_page_that_may_not_be_shown_is_left_out(sql_site: Site, old: str, run_import: Import) -> None:
    fill(old, Mixed, mixed_client(logo_uri="http://client.example/logo.png", contacts="ada"))
    notes = [note["reason"] for note in run_import(sql_site, "authlib")["notes"]]
    assert [note.partition(":")[0] for note in notes] == ["without logo_uri", "without contacts"]
    assert sql_site.store.get_client("web").metadata == {"client_uri": "https://client.example/"}


def test_types_that_are_not_offered_are_left_out(sql_site: Site, old: str, run_import: Import) -> None:
    grant_types = ["authorization_code", "implicit", "urn:ietf:params:oauth:grant-type:device_code"]
    types = {"grant_types": grant_types, "response_types": ["code", "token", "code id_token"]}
    fill(old, Mixed, mixed_client(**types), mixed_client("text", response_types="code\r\ntoken"))
    report = run_import(sql_site, "authlib")
    client = sql_site.store.get_client("web")
    assert (client.grant_types, client.response_types) == (("authorization_code",), ("code",))
    assert sql_site.store.get_client("text").response_types == ("code",)
    assert report["notes"][0]["reason"].startswith(f"without implicit, {grant_types[2]}, token, code id_token:")


def test_a_public_client(sql_site: Site, old: str, run_import: Import) -> None:
    fill(old, Mixed, mixed_client(secret="", token_endpoint_auth_method="none"), mixed_token())
    run_import(sql_site, "authlib")
    assert sql_site.store.get_client("web").is_public
    assert sql_site.refresh("live-refresh").status_code == 200


def test_invalid_rows_are_skipped(sql_site: Site, filled: str, run_import: Import) -> None:
    broken, listed = mixed_client("broken"), mixed_client("listed")
    broken._client_metadata, listed._client_metadata = "{no JSON", "[1]"
    expiring = mixed_client("expiring")
    expiring.client_secret_expires_at = int(NOW) + 60
    fill(
        filled,
        Mixed,
        broken,
        listed,
        expiring,
        OAuth2Client(client_id="empty", client_secret=SECRET),
        mixed_client("signing", token_endpoint_auth_method="private_key_jwt"),
        mixed_client("forgetful", secret=""),
        mixed_client("hashed", secret="$2b$12$abcdefghijklmnopqrstuv"),
        mixed_client("odd", redirect_uris=[1]),
        mixed_token("orphan-access", client_id="broken"),
    )
    report = run_import(sql_site, "authlib", ends=1)
    left = {(finding["table"], finding["id"]): finding["reason"] for finding in report["left"]}
    assert list(left) == [*(("oauth2_client", str(row)) for row in (2, 3, 5, 6, 7, 8, 9)), ("oauth2_token", "2")]
    for row, reason in (
        (2, "client_metadata is not JSON"),
        (3, "not a JSON object"),
        (5, "grant_types: is empty"),
        (6, "jwks: is missing. private_key_jwt needs jwks or jwks_uri"),
        (7, "client_secret: is missing"),
        (8, "a hash of a kind that cannot be checked here"),
        (9, "redirect_uris is a list whose values are not text"),
    ):
        assert reason in left["oauth2_client", str(row)]
    assert left["oauth2_token", "2"] == "its client 'broken' does not exist in this provider"
    assert report["notes"][0]["reason"].startswith("its secret had an expiry time")
    assert "$2b$" not in str(report)
    assert SECRET not in str(report)
    assert report["clients"]["taken"] == 2
    assert sql_site.is_alive("live-access")


def test_codes_are_counted(sql_site: Site, filled: str, run_import: Import) -> None:
    fill(filled, Mixed, OAuth2AuthorizationCode(code="a-code", client_id="web", user_id=1))
    assert run_import(sql_site, "authlib")["codes"] == {"left": 1}


def test_in_place_the_table_holds_keys(sql_site: Site, filled: str, run_import: Import) -> None:
    assert run_import(sql_site, "authlib", "--in-place")["tokens"]["rewritten"] == 1
    key = values.text(values.key("live-access"))
    assert read(filled, "SELECT access_token FROM oauth2_token") == [(key,)]
    assert run_import(sql_site, "authlib", "--in-place")["tokens"]["rewritten"] == 0


def test_the_table_of_the_provider_is_not_a_table_of_authlib(sql_site: Site, run_import: Import) -> None:
    uri = sql_site.store.engine.url.render_as_string()
    sql_site.add_client()
    result = sql_site.app.test_cli_runner().invoke(args=["oauth2", "import", "authlib", "--database", uri])
    assert result.exit_code == 1
    assert "the table oauth2_client is not a table of authlib, because it lacks client_secret" in result.output
