"""The table of client metadata: one new row is enough for a new member."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import flask
import pytest
from sqlalchemy import MetaData

from flask_oauth2 import Client, MemoryStore, OAuth2Provider
from flask_oauth2.cli import clients as commands
from flask_oauth2.clients import metadata, value_types
from flask_oauth2.clients.documents import read
from flask_oauth2.clients.from_object import read_client
from flask_oauth2.clients.metadata import Member, Party
from flask_oauth2.clients.validators import InvalidMetadata, check_redirect_uris
from flask_oauth2.clients.value_types import FLAG, LINES, NUMBER, OBJECT, TEXT, TEXTS, URL
from flask_oauth2.http.fetch import Fetched
from flask_oauth2.stores.sqlalchemy.schema import declare
from oauth_site import CALLBACK, Site

ALGORITHMS = ("RS256", "ES256")


def check_algorithm(value: str, client: Client, server: Any) -> None:
    if value not in ALGORITHMS:
        raise ValueError(f"must be one of {', '.join(ALGORITHMS)}")


def check_default_max_age(value: int, client: Client, server: Any) -> None:
    if value > 86400:
        raise InvalidMetadata("default_max_age", "must be at most a day")


NEW = (
    Member(
        name="signed_uri",
        type=URL,
        description="URL of the client's JWK set.",
        set_by=frozenset(Party),
        label="JWK set",
    ),
    Member(
        name="statement",
        type=OBJECT,
        description="JWK set of the client.",
        set_by=frozenset(Party),
        label="Keys",
    ),
    Member(
        name="post_logout_redirect_uris",
        type=TEXTS,
        description="Redirect URIs after logout; repeatable.",
        set_by=frozenset(Party),
        check=check_redirect_uris,
        option="--post-logout-redirect-uri",
        metavar="URI",
        label="Redirect URIs after logout",
    ),
    Member(
        name="id_token_signed_response_alg",
        type=TEXT,
        description="Algorithm of ID tokens.",
        set_by=frozenset(Party),
        default="RS256",
        check=check_algorithm,
        column="if set",
        label="Algorithm",
    ),
    Member(
        name="default_max_age",
        type=NUMBER,
        description="Seconds after which users sign in again.",
        set_by=frozenset(Party),
        check=check_default_max_age,
        label="Maximum age",
    ),
    Member(
        name="require_auth_time",
        type=FLAG,
        description="Require auth_time in ID tokens.",
        set_by=frozenset(Party),
        label="Require the time",
    ),
    Member(
        name="request_uris",
        type=LINES,
        description="URIs of request objects.",
        set_by=frozenset({Party.REGISTRATION, Party.OPERATOR}),
        drops_invalid=True,
    ),
)

VALUES: dict[str, Any] = {
    "signed_uri": "https://keys.example/jwks.json",
    "post_logout_redirect_uris": ["https://client.example/bye"],
    "id_token_signed_response_alg": "ES256",
    "default_max_age": 0,
    "require_auth_time": True,
    "request_uris": ["https://client.example/request"],
}
WRONG: dict[str, list[Any]] = {
    "signed_uri": ["http://keys.example/", "javascript:alert(1)", 7, [], "https://keys.example/" + "x" * 2048],
    "statement": ["{}", [], 7, {"keys": "x" * 50000}],
    "post_logout_redirect_uris": ["https://client.example/bye", [7], {}, ["javascript:alert(1)"], ["https://a/#b"]],
    "id_token_signed_response_alg": ["none", 7, ["RS256"], "x" * 2049],
    "default_max_age": [-1, "0", True, 1.5, 86401],
    "require_auth_time": ["true", 1, 0, []],
}


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The table with the new members. Commands read it when they are imported."""
    monkeypatch.setattr(metadata, "MEMBERS", (*metadata.MEMBERS, *NEW))
    importlib.reload(commands)
    yield
    monkeypatch.undo()
    importlib.reload(commands)


def open_site(new_site: Any, **options: Any) -> Site:
    site: Site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_REGISTRATION_SCOPES="profile", **options)
    return site


def register(site: Site, **members: Any) -> Any:
    return site.http.post("/oauth/register", json={"redirect_uris": [CALLBACK], **members})


@pytest.mark.spec("rfc7591", "3.2.1")
def test_a_new_member_is_registered_told_back_and_saved(new_site: Any) -> None:
    site = open_site(new_site)
    answer = register(site, **VALUES)
    assert answer.status_code == 201
    made = answer.get_json()
    assert {name: made[name] for name in VALUES} == VALUES
    assert site.store.get_client(made["client_id"]).metadata == VALUES
    headers = {"Authorization": f"Bearer {made['registration_access_token']}"}
    told = site.http.get(f"/oauth/register/{made['client_id']}", headers=headers).get_json()
    assert {name: told[name] for name in VALUES} == VALUES


@pytest.mark.spec("rfc7591", "3.2.1")
def test_the_default_is_told_and_other_members_stay_away(new_site: Any) -> None:
    made = register(open_site(new_site)).get_json()
    assert made["id_token_signed_response_alg"] == "RS256"
    assert not set(made) & (set(VALUES) - {"id_token_signed_response_alg"})


@pytest.mark.spec("rfc7592", "2.2")
def test_an_update_replaces_and_removes_new_members(new_site: Any) -> None:
    site = open_site(new_site)
    made = register(site, **VALUES).get_json()
    headers = {"Authorization": f"Bearer {made['registration_access_token']}"}
    asked = {"client_id": made["client_id"], "redirect_uris": [CALLBACK], "statement": {"keys": []}}
    told = site.http.put(f"/oauth/register/{made['client_id']}", json=asked, headers=headers).get_json()
    assert told["statement"] == {"keys": []}
    saved = {"statement": {"keys": []}, "id_token_signed_response_alg": "RS256"}
    assert site.store.get_client(made["client_id"]).metadata == saved


@pytest.mark.spec("rfc7591", "3.2.2")
@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_value_of_a_new_member_is_invalid_client_metadata(new_site: Any, name: str, value: Any) -> None:
    answer = register(open_site(new_site), **{name: value})
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_client_metadata")
    assert name in answer.get_json()["error_description"]


def test_a_member_that_drops_invalid_values_rejects_none(new_site: Any) -> None:
    site = open_site(new_site)
    assert register(site, request_uris=["https://a.example/", "a\nb", 7]).get_json()["request_uris"] == [
        "https://a.example/"
    ]
    assert "request_uris" not in register(site, request_uris={"a": 1}).get_json()


@pytest.mark.spec("client-id-metadata-document", "4.1")
def test_a_metadata_document_sets_new_members(new_site: Any) -> None:
    site = open_site(new_site)
    url = "https://agent.example/client"
    document = {"client_id": url, "client_name": "Agent", "redirect_uris": ["https://agent.example/cb"]}
    values = {name: value for name, value in VALUES.items() if name != "request_uris"}

    def read_document(**members: Any) -> Client:
        fetched = Fetched({"content-type": "application/json"}, json.dumps(document | members).encode())
        return read(fetched, url, site.server)

    assert read_document(**values, request_uris=["ignored"]).metadata == values
    assert read_document().metadata == {}
    for name, wrong in (("require_auth_time", "true"), ("id_token_signed_response_alg", "none")):
        with pytest.raises(InvalidMetadata, match=name):
            read_document(**{name: wrong})


def test_the_command_line_sets_shows_and_clears_new_members(sql_site: Site) -> None:
    runner = sql_site.app.test_cli_runner()

    def run(*arguments: str, ends: int = 0) -> str:
        result = runner.invoke(args=["oauth2", "client", *arguments])
        assert result.exit_code == ends, result.output
        return result.output

    options = [
        "--signed-uri",
        VALUES["signed_uri"],
        "--post-logout-redirect-uri",
        VALUES["post_logout_redirect_uris"][0],
    ]
    options += ["--id-token-signed-response-alg", "ES256", "--default-max-age", "0", "--require-auth-time"]
    options += ["--request-uris", VALUES["request_uris"][0], "--redirect-uri", CALLBACK, "--client-id", "photos"]
    run("create", "Photos", *options)
    assert sql_site.store.get_client("photos").metadata == VALUES
    shown = json.loads(run("show", "photos", "--json"))
    assert {name: shown[name] for name in VALUES} == VALUES
    assert re.search(r"require_auth_time +yes", run("show", "photos"))
    assert "id_token_signed_response_alg" in run("list")
    run("update", "photos", "--clear", "signed-uri", "--statement", '{"keys": []}', "--no-require-auth-time")
    changed = sql_site.store.get_client("photos").metadata
    assert (changed["statement"], changed["require_auth_time"]) == ({"keys": []}, False)
    assert "signed_uri" not in changed
    for option, value in (
        ("--statement", "{no JSON"),
        ("--default-max-age", "-1"),
        ("--signed-uri", "http://a.example/"),
    ):
        assert f"Invalid value for {option}" in run("update", "photos", option, value, ends=2)
    for text in ("--post-logout-redirect-uri URI", "Redirect URIs after logout", "--require-auth-time / --no-require"):
        assert text in re.sub(r"\s+", " ", run("create", "--help"))


def test_developers_fill_in_new_members(tmp_path: Path) -> None:
    app = flask.Flask(__name__)
    app.config.update(
        SECRET_KEY="a key of this test",
        OAUTH2_ISSUER="http://localhost",
        OAUTH2_DEVELOPER_PAGES=True,
        OAUTH2_SCOPES={"profile": "Your name"},
        OAUTH2_REGISTRATION_SCOPES="profile",
    )
    store = MemoryStore()
    OAuth2Provider(app, store=store).current_user(lambda: "ada")
    http = app.test_client()

    def save(**fields: str) -> str:
        page = http.get("/oauth/developer/new").text
        ticket = re.search(r'name="ticket" value="([^"]+)"', page)
        assert ticket
        form = {"ticket": ticket[1], "name": "Photos", "kind": "browser", "redirect_uris": CALLBACK, **fields}
        return http.post("/oauth/developer/new", data=form, follow_redirects=True).text

    page = http.get("/oauth/developer/new").text
    for label in ("JWK set", "Keys", "Redirect URIs after logout", "Require the time"):
        assert label in page
    typed = {
        "signed_uri": VALUES["signed_uri"],
        "post_logout_redirect_uris": f"{VALUES['post_logout_redirect_uris'][0]}\r\n",
        "default_max_age": "0",
        "require_auth_time": "on",
    }
    filled = save(**typed, id_token_signed_response_alg="ES256")
    (client,) = store.list_clients()
    assert client.metadata == {name: value for name, value in VALUES.items() if name != "request_uris"}
    assert re.search(r'name="require_auth_time"[^>]*checked', filled)
    assert 'value="https://keys.example/jwks.json"' in filled
    wrong = {
        "signed_uri": "http://a.example/",
        "statement": "{",
        "id_token_signed_response_alg": "none",
        "default_max_age": "a",
    }
    for name, value in wrong.items():
        assert f'id="wrong-{name}"' in save(**{name: value})
    assert len(list(store.list_clients())) == 1
    assert 'id="wrong-' not in save(statement='{"keys": []}')


def test_an_application_s_own_client_has_new_members() -> None:
    own = {"client_id": "own", "redirect_uris": [CALLBACK], "require_auth_time": False, "signed_uri": "javascript:x"}
    client = read_client(own, "own")
    assert client is not None
    assert client.metadata == {"require_auth_time": False}


def test_the_reference_lists_new_members() -> None:
    rows = {row[0]: row for row in metadata.reference_rows()}
    for member in NEW:
        assert member.description in rows[f"``{member.name}``"]
    assert rows["``post_logout_redirect_uris``"][-1] == "``--post-logout-redirect-uri``"
    assert rows["``request_uris``"][-2] == "dynamic registration, command line"
    assert rows["``registered_by``"][-2:] == ("the server", "")


def test_a_member_with_an_attribute_is_a_field_and_a_column() -> None:
    attributes = {member.attribute for member in metadata.MEMBERS if member.attribute}
    assert attributes < {field.name for field in fields(Client)}
    assert attributes < {column.name for column in declare(MetaData()).client.columns}


@pytest.mark.parametrize(
    ("kind", "empty"),
    [(TEXT, ""), (TEXTS, ()), (value_types.SCOPE, ()), (value_types.CHOICE, None), (FLAG, None), (NUMBER, None)],
)
def test_an_attribute_without_a_value_is_empty(kind: Any, empty: Any) -> None:
    assert kind.to_attribute(None) == empty
    assert type(kind.to_attribute(None)) is type(empty)
