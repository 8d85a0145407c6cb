"""``flask oauth2``: what the commands print really works, and nothing prints what must stay hidden."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import flask
import pytest
from click.testing import Result
from flask.cli import ScriptInfo
from servers import PATIENCE

from flask_oauth2 import MemoryStore, OAuth2Provider
from flask_oauth2.settings import DEVICE_CODE
from oauth_site import CALLBACK, NOW, Site, StoreWithoutConsents

Run = Callable[..., Result]

SERVICE = ["--scope", "profile"]
WEB = ["--redirect-uri", CALLBACK, *SERVICE]


@pytest.fixture
def run(sql_site: Site) -> Run:
    """``flask oauth2`` with arguments; it succeeds unless a test says otherwise."""
    return runner(sql_site)


def runner(site: Site) -> Run:
    site.server  # noqa: B018  gives it the clock of the tests

    def run(*arguments: str, ends: int = 0, **options: Any) -> Result:
        result = site.app.test_cli_runner().invoke(args=["oauth2", *arguments], **options)
        assert result.exit_code == ends, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture
def create(run: Run) -> Callable[..., dict[str, Any]]:
    def create(*arguments: str) -> dict[str, Any]:
        return dict(json.loads(run("client", "create", "Photos", *arguments, "--json").stdout))

    return create


Create = Callable[..., dict[str, Any]]


def service_token(site: Site, client: dict[str, Any], secret: str | None = None) -> Any:
    return site.token("client_credentials", (client["client_id"], secret or client["client_secret"]))


# create


@pytest.mark.spec("rfc6749", "4.1")
def test_a_client_with_a_redirect_uri_signs_users_in(sql_site: Site, create: Create) -> None:
    client = create(*WEB)
    assert client["grant_types"] == ["authorization_code", "refresh_token"]
    assert client["response_types"] == ["code"]
    assert client["token_endpoint_auth_method"] == "client_secret_basic"
    token = sql_site.tokens(client["client_secret"], client["client_id"])
    assert sql_site.is_alive(token["access_token"])
    assert sql_site.refresh(token["refresh_token"], client["client_secret"], client["client_id"]).status_code == 200


@pytest.mark.spec("rfc6749", "4.4")
def test_a_client_without_one_acts_for_itself(sql_site: Site, create: Create) -> None:
    client = create(*SERVICE)
    assert client["grant_types"] == ["client_credentials"]
    assert client["response_types"] == []
    assert sql_site.is_alive(service_token(sql_site, client).get_json()["access_token"])


@pytest.mark.spec("rfc6749", "2.1")
def test_a_public_client_has_no_secret(sql_site: Site, create: Create) -> None:
    client = create(*WEB, "--public", "--native", "--redirect-uri", "com.example.photos:/back")
    assert "client_secret" not in client
    assert client["token_endpoint_auth_method"] == "none"
    assert client["application_type"] == "native"
    token = sql_site.tokens(client_id=client["client_id"])
    assert sql_site.is_alive(token["access_token"])
    assert sql_site.store.get_client(client["client_id"]).secret is None


@pytest.mark.spec("rfc8252", "7.1")
@pytest.mark.parametrize("options", [("--public",), ("--public", "--native"), ()])
def test_a_private_use_scheme_may_be_registered(create: Create, options: tuple[str, ...]) -> None:
    redirect_uris = ["https://client.example/back", "cursor://anysphere.cursor-mcp/oauth/callback"]
    client = create(*options, *(part for uri in redirect_uris for part in ("--redirect-uri", uri)))
    assert client["redirect_uris"] == redirect_uris


@pytest.mark.spec("rfc6749", "3.1.2")
@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("https://accounts.google.com%2eevil.test/cb", "has a host with percent-encoding"),
        ("https://2130706433/cb", "has a number as its host"),
        ("JavaScript:alert(1)", "has the scheme javascript"),
        ("HTTP://client.example/cb", "must begin with https://"),
    ],
)
def test_a_redirect_uri_that_leads_astray_is_rejected(run: Run, uri: str, reason: str) -> None:
    assert reason in run("client", "create", "Photos", "--public", "--redirect-uri", uri, ends=2).stderr


def test_superfluous_spaces_of_a_scope_are_ignored(create: Create) -> None:
    assert create(*WEB, "--scope", "  profile   mail ")["scope"] == "profile mail"


@pytest.mark.spec("rfc8628", "5.6")
@pytest.mark.parametrize("grant_type", ["device_code", DEVICE_CODE])
def test_a_device_needs_no_redirect_uri(new_site: Callable[..., Site], grant_type: str) -> None:
    run = runner(new_site(OAUTH2_GRANT_TYPES=["device_code", "refresh_token"]))
    named = ("--grant-type", grant_type, "--grant-type", "refresh_token")
    client = json.loads(run("client", "create", "TV", "--public", "--native", *named, "--json").stdout)
    assert client["grant_types"] == ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"]
    assert client["redirect_uris"] == client["response_types"] == []
    updated = json.loads(run("client", "update", client["client_id"], "--grant-type", grant_type, "--json").stdout)
    assert updated["grant_types"] == [DEVICE_CODE]


def test_a_grant_that_is_not_offered_is_none_for_devices_either(run: Run) -> None:
    refused = run("client", "create", "TV", "--public", "--native", "--grant-type", "device_code", ends=2)
    assert "'urn:ietf:params:oauth:grant-type:device_code' is not offered" in refused.stderr


def test_default_grants_are_those_that_are_offered(new_site: Callable[..., Site]) -> None:
    run = runner(new_site(OAUTH2_GRANT_TYPES=["authorization_code"]))
    client = json.loads(run("client", "create", "Photos", *WEB, "--json").stdout)
    assert client["grant_types"] == ["authorization_code"]
    assert "--grant-type: is empty" in run("client", "create", "Photos", ends=2).stderr


@pytest.mark.spec("rfc7662", "2.1")
def test_a_resource_server_needs_no_grant(sql_site: Site, create: Create) -> None:
    api, client = create("--resource-server"), create(*SERVICE)
    assert api["grant_types"] == []
    assert create("--resource-server", *WEB)["grant_types"] == ["authorization_code", "refresh_token"]
    token = service_token(sql_site, client).get_json()["access_token"]
    answer = sql_site.post("/introspect", (api["client_id"], api["client_secret"]), token=token)
    assert answer.get_json()["active"] is True
    other = create(*SERVICE)
    answer = sql_site.post("/introspect", (other["client_id"], other["client_secret"]), token=token)
    assert answer.get_json() == {"active": False}


def test_all_that_is_said_is_kept(sql_site: Site, create: Create) -> None:
    said = {
        "client_uri": "https://client.example/",
        "logo_uri": "https://client.example/logo.png",
        "policy_uri": "https://client.example/policy",
        "tos_uri": "https://client.example/tos",
    }
    pages = [text for name, page in said.items() for text in ("--" + name.replace("_", "-"), page)]
    client = create(
        *WEB,
        *("--client-id", "photos", "--scope", "mail profile", "--auth-method", "client_secret_post", "--web"),
        *("--grant-type", "authorization_code", "--grant-type", "client_credentials", "--response-type", "code"),
        *("--token-format", "signed", "--no-pkce"),
        *pages,
    )
    secret = client.pop("client_secret")
    assert client == {
        "client_id": "photos",
        "client_id_issued_at": int(sql_site.clock.now),
        "client_name": "Photos",
        "application_type": "web",
        "token_endpoint_auth_method": "client_secret_post",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "client_credentials"],
        "response_types": ["code"],
        "scope": "profile mail",
        "token_format": "signed",
        "pkce_required": False,
        "resource_server": False,
        "registered_by": "",
        "expires_at": None,
        "denied": None,
        **said,
    }
    answer = sql_site.token("client_credentials", client_id="photos", client_secret=secret).get_json()
    assert answer["access_token"].startswith("ost_")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--redirect-uri", "http://client.example/"], "--redirect-uri: 'http://client.example/' must begin with"),
        (["--grant-type", "password"], "--grant-type: 'password' is not offered"),
        (["--grant-type", "authorization_code"], "--redirect-uri: is empty"),
        ([*WEB, "--response-type", "token"], "--response-type: 'token' is not offered"),
        (
            ["--scope", "everything"],
            "--scope: unknown scope 'everything'. Known scopes: profile",
        ),
        (
            ["--auth-method", "magic"],
            "--auth-method: 'magic' is not a known method. Known methods: none",
        ),
        (["--token-format", "xml"], "--token-format: 'xml' is not a known format. Known formats: opaque, signed"),
        (["--client-id", "ä"], "--client-id: must be printable ASCII"),
        (["--client-id", "\udcff"], "--client-id: must be printable ASCII"),
        (["--client-uri", "javascript:alert(1)"], "--client-uri: must be the full URL"),
        (["--public"], "a public client acts for users only: give it a --redirect-uri"),
        ([*WEB, "--public", "--no-pkce"], "--no-pkce: public and native clients always use PKCE"),
        ([*WEB, "--native", "--no-pkce"], "--no-pkce: public and native clients always use PKCE"),
        (["--native"], "--grant-type: client_credentials is for confidential clients. The secret of a native"),
        (
            ["--public", "--resource-server", *WEB],
            "--resource-server: a client that introspects tokens must",
        ),
        ([*WEB, "--public", "--auth-method", "client_secret_post"], "--public means --auth-method none"),
        ([*WEB, "--public", "--secret"], "a public client has no secret"),
        (["--public", "--grant-type", "client_credentials"], "--grant-type: client_credentials is for confidential"),
    ],
)
def test_what_breaks_a_rule_is_refused_in_one_sentence(
    sql_site: Site, run: Run, arguments: list[str], reason: str
) -> None:
    result = run("client", "create", "Photos", *arguments, ends=2)
    assert reason in result.stderr.splitlines()[-1]
    assert result.stdout == ""
    assert list(sql_site.store.list_clients()) == []


def test_a_name_that_terminals_obey_is_refused(run: Run) -> None:
    assert "NAME: must be printable" in run("client", "create", "a\x1b[2J", ends=2).stderr


@pytest.mark.spec("rfc6749", "2.2")
def test_an_id_is_given_once(run: Run, create: Create) -> None:
    create("--client-id", "photos")
    assert "client 'photos' exists already" in run("client", "create", "Other", "--client-id", "photos", ends=1).stderr
    assert json.loads(run("client", "show", "photos", "--json").stdout)["client_name"] == "Photos"


def test_the_id_of_a_deleted_client_is_free_once_its_tokens_are_dead(sql_site: Site, run: Run, create: Create) -> None:
    create("--client-id", "photos")
    run("client", "delete", "photos", "--yes")
    assert "30 days after the deletion" in run("client", "create", "New", "--client-id", "photos", ends=1).stderr
    sql_site.clock.forward(30 * 86400 + 1)
    assert run("purge").stdout == "Deleted 1 expired row.\n"
    assert create("--client-id", "photos")["client_id"] == "photos"


# secrets


@pytest.mark.spec("rfc6749", "10.10")
def test_a_secret_is_shown_once_and_its_hash_never(sql_site: Site, run: Run) -> None:
    created = run("client", "create", "Photos", "--client-id", "photos", *SERVICE)
    secret = created.stdout.split("client_secret ")[-1].strip()
    assert created.stdout.count(secret) == 1
    assert secret not in created.stderr
    assert "not shown again" in created.stderr
    kept = sql_site.store.get_client("photos").secret
    shown = [
        run("client", command, *arguments, *json_option).output
        for command, arguments in (("show", ["photos"]), ("list", []), ("update", ["photos", "--scope", "mail"]))
        for json_option in ([], ["--json"])
    ]
    for output in (created.output, *shown):
        assert kept not in output
        assert kept.removeprefix("sha256$") not in output
    for output in shown:
        assert "photos" in output
        assert "secret" not in output.replace("client_secret_basic", "")


@pytest.mark.spec("rfc6749", "2.3.1")
def test_a_chosen_secret_is_asked_for_and_not_echoed(sql_site: Site, run: Run) -> None:
    chosen = "correct horse battery"
    result = run("client", "create", "Photos", "--client-id", "photos", *SERVICE, "--secret", input=f"{chosen}\n" * 2)
    assert chosen not in result.output
    assert sql_site.token("client_credentials", ("photos", chosen)).status_code == 200
    assert sql_site.token("client_credentials", ("photos", chosen.upper())).status_code == 401
    refused = run("client", "create", "Weak", "--secret", input="secret\nsecret\n", ends=2)
    assert "--secret: has 6 characters. Choose 16 to 255, or let one be generated" in refused.stderr


@pytest.mark.spec("rfc6749", "2.3.1")
def test_rotation_ends_the_old_secret_and_keeps_the_tokens(sql_site: Site, run: Run, create: Create) -> None:
    client = create(*SERVICE)
    token = service_token(sql_site, client).get_json()["access_token"]
    rotated = json.loads(run("client", "rotate-secret", client["client_id"], "--json").stdout)
    assert rotated["client_secret"] != client["client_secret"]
    assert service_token(sql_site, rotated).status_code == 200
    assert service_token(sql_site, client).status_code == 401
    assert sql_site.is_alive(token)


def test_a_script_gives_a_known_secret(sql_site: Site, run: Run, tmp_path: Path) -> None:
    chosen = "correct horse battery"
    (tmp_path / "secret").write_text(f"{chosen}\n")
    create = ["client", "create", "Photos", *SERVICE, "--client-id"]
    for client_id, options, sent in (
        ("file", ["--secret-file", str(tmp_path / "secret")], None),
        ("stdin", ["--secret-file", "-"], f"{chosen}\r\n"),
    ):
        result = run(*create, client_id, *options, input=sent)
        assert chosen not in result.output
        assert sql_site.token("client_credentials", (client_id, chosen)).status_code == 200
    run("client", "rotate-secret", "file", "--secret-file", "-", input="another horse battery\n")
    assert sql_site.token("client_credentials", ("file", chosen)).status_code == 401
    assert sql_site.token("client_credentials", ("file", "another horse battery")).status_code == 200


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (b"short\n", [], "secret"),
        (b"", [], "secret"),
        (b"correct horse \xff battery", [], "not text in UTF-8"),
        (b"correct horse battery", ["--secret"], "give one of the two"),
        (b"correct horse battery", ["--public"], "a public client has no secret"),
    ],
)
def test_a_secret_that_a_script_cannot_give(
    run: Run, tmp_path: Path, content: bytes, options: list[str], said: str
) -> None:
    (tmp_path / "secret").write_bytes(content)
    given = ["--redirect-uri", "https://photos.example/cb"] if "--public" in options else SERVICE
    result = run("client", "create", "Photos", *given, *options, "--secret-file", str(tmp_path / "secret"), ends=2)
    assert said in result.output
    assert "--secret-file" in run("client", "create", "P", *SERVICE, "--secret-file", "/nothing", ends=2).output


def test_rotation_takes_a_chosen_secret(sql_site: Site, run: Run, create: Create) -> None:
    client, chosen = create(*SERVICE), "correct horse battery"
    assert chosen not in run("client", "rotate-secret", client["client_id"], "--secret", input=f"{chosen}\n" * 2).output
    assert service_token(sql_site, client, chosen).status_code == 200
    assert service_token(sql_site, client).status_code == 401


def test_a_public_client_has_no_secret_to_rotate(run: Run, create: Create) -> None:
    client = create(*WEB, "--public")
    refused = run("client", "rotate-secret", client["client_id"], ends=1)
    assert "has no secret: it authenticates with none" in refused.stderr


# list and show


def test_clients_are_listed_in_columns(sql_site: Site, run: Run, create: Create) -> None:
    assert run("client", "list").stdout == ""
    assert json.loads(run("client", "list", "--json").stdout) == []
    create(*SERVICE, "--client-id", "b")
    sql_site.clock.forward(1)
    create(*WEB, "--client-id", "a-longer-id")
    header, first, second = run("client", "list").stdout.splitlines()
    assert header.split() == ["client_id", "client_name", "token_endpoint_auth_method", "grant_types", "scope"]
    assert first.split() == ["b", "Photos", "client_secret_basic", "client_credentials", "profile"]
    assert second.startswith("a-longer-id  Photos")
    assert header.index("grant_types") == first.index("client_cred") == second.index("authorization_code")
    assert [entry["client_id"] for entry in json.loads(run("client", "list", "--json").stdout)] == ["b", "a-longer-id"]


def test_show_names_everything_in_lines(run: Run, create: Create) -> None:
    create(*WEB, "--client-id", "photos", "--tos-uri", "https://client.example/tos", "--no-pkce")
    lines = dict(line.split(maxsplit=1) for line in run("client", "show", "photos").stdout.splitlines())
    assert lines["client_id_issued_at"] == "2027-01-15 08:00 UTC"
    assert lines["redirect_uris"] == CALLBACK
    assert lines["tos_uri"] == "https://client.example/tos"
    assert lines["pkce_required"] == "no"
    assert "token_format" not in lines


def test_a_name_from_elsewhere_does_not_reach_the_terminal(sql_site: Site, run: Run) -> None:
    sql_site.add_client("photos", name="a\x1b[2J\nb")
    for command in (["show", "photos"], ["list"]):
        assert "a?[2J?b" in run("client", *command).stdout
    assert "\x1b" not in run("client", "list", "--json").stdout


@pytest.mark.parametrize("command", ["show", "update", "rotate-secret", "delete"])
@pytest.mark.parametrize("client_id", ["nobody", "\udcff", ""])
def test_an_unknown_client_is_said_to_be_so(run: Run, command: str, client_id: str) -> None:
    result = run("client", command, client_id, ends=1)
    assert f"there is no client {client_id!r}" in result.stderr
    assert result.stdout == ""


# update


def test_only_what_is_given_changes(sql_site: Site, run: Run, create: Create) -> None:
    client = create(*WEB, "--logo-uri", "https://client.example/logo.png")
    before = sql_site.store.get_client(client["client_id"])
    arguments = ["--name", "Pictures", "--scope", "profile mail", "--tos-uri", "https://client.example/tos", "--native"]
    result = run("client", "update", client["client_id"], *arguments)
    assert "client_secret " not in result.stdout
    assert sql_site.store.get_client(client["client_id"]) == replace(
        before,
        name="Pictures",
        scope=("profile", "mail"),
        application_type="native",
        metadata={"logo_uri": "https://client.example/logo.png", "tos_uri": "https://client.example/tos"},
    )
    assert run("client", "update", client["client_id"]).exit_code == 0


def test_new_grants_bring_their_response_types(sql_site: Site, run: Run, create: Create) -> None:
    client_id = create(*SERVICE)["client_id"]
    run("client", "update", client_id, "--grant-type", "authorization_code", "--redirect-uri", CALLBACK)
    assert sql_site.store.get_client(client_id).response_types == ("code",)
    run("client", "update", client_id, "--grant-type", "client_credentials", "--clear", "redirect-uri")
    changed = sql_site.store.get_client(client_id)
    assert (changed.response_types, changed.redirect_uris) == ((), ())


def test_clear_empties(sql_site: Site, run: Run, create: Create) -> None:
    client_id = create(
        *WEB, "--pkce", "--token-format", "signed", "--logo-uri", "https://client.example/l", "--resource-server"
    )["client_id"]
    wanted = ["scope", "pkce", "token-format", "logo-uri", "tos-uri"]
    run("client", "update", client_id, *(text for name in wanted for text in ("--clear", name)), "--no-resource-server")
    client = sql_site.store.get_client(client_id)
    assert client.scope == ()
    assert client.pkce_required is None
    assert client.token_format is None
    assert client.metadata == {}
    assert client.resource_server is False


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--clear", "redirect-uri"], "--redirect-uri: is empty"),
        (["--clear", "scope", "--scope", "mail"], "--clear scope contradicts --scope"),
        (["--clear", "logo-uri", "--logo-uri", "https://a.example"], "--clear logo-uri contradicts"),
        (["--clear", "name"], "'name' is not one of"),
        (["--response-type", "token"], "--response-type: 'token' is not offered"),
    ],
)
def test_an_update_that_breaks_a_rule_changes_nothing(
    sql_site: Site, run: Run, create: Create, arguments: list[str], reason: str
) -> None:
    client_id = create(*WEB)["client_id"]
    before = sql_site.store.get_client(client_id)
    assert reason in run("client", "update", client_id, *arguments, ends=2).stderr
    assert sql_site.store.get_client(client_id) == before


@pytest.mark.spec("rfc6749", "2.1")
def test_a_client_becomes_public_and_confidential_again(sql_site: Site, run: Run, create: Create) -> None:
    client = create(*WEB)
    client_id, old_secret = client["client_id"], client["client_secret"]
    run("client", "update", client_id, "--public")
    assert sql_site.store.get_client(client_id).secret is None
    assert sql_site.tokens(client_id=client_id)
    updated = json.loads(run("client", "update", client_id, "--auth-method", "client_secret_basic", "--json").stdout)
    assert updated["client_secret"] != old_secret
    assert sql_site.tokens(updated["client_secret"], client_id)
    assert sql_site.refresh("ort_unknown", client_id=client_id).status_code == 401


# delete


@pytest.mark.spec("rfc7592", "2.3")
def test_what_a_client_has_dies_with_it(sql_site: Site, run: Run, create: Create) -> None:
    client, other = create(*WEB), create(*WEB)
    client_id, secret = client["client_id"], client["client_secret"]
    tokens = sql_site.tokens(secret, client_id)
    others = sql_site.tokens(other["client_secret"], other["client_id"])
    assert sql_site.is_alive(tokens["access_token"])
    result = run("client", "delete", client_id, input="y\n")
    assert "Delete 'Photos' and revoke all its tokens?" in result.stdout
    assert sql_site.call(tokens["access_token"]).status_code == 401
    assert sql_site.refresh(tokens["refresh_token"], secret, client_id).status_code == 401
    assert sql_site.is_alive(others["access_token"])
    assert client_id not in run("client", "list").stdout


@pytest.mark.spec("rfc7592", "2.3")
def test_a_signed_token_dies_with_its_client(sql_site: Site, run: Run, create: Create) -> None:
    client = create(*SERVICE, "--token-format", "signed")
    token = service_token(sql_site, client).get_json()["access_token"]
    assert sql_site.is_alive(token)
    run("client", "delete", client["client_id"], "--yes")
    assert sql_site.call(token).status_code == 401


def test_a_deletion_that_is_not_confirmed_does_nothing(sql_site: Site, run: Run, create: Create) -> None:
    client = create(*SERVICE)
    run("client", "delete", client["client_id"], input="n\n", ends=1)
    run("client", "delete", client["client_id"], input="", ends=1)
    assert service_token(sql_site, client).status_code == 200


# purge


def test_purge_takes_what_has_expired_and_nothing_else(sql_site: Site, run: Run, create: Create) -> None:
    client = create(*SERVICE)
    for _ in range(3):
        service_token(sql_site, client)
    sql_site.clock.forward(3600)
    token = service_token(sql_site, client).get_json()["access_token"]
    assert run("purge").output == "Deleted 3 expired rows.\n"
    assert json.loads(run("purge", "--json").output) == {"purged": 0}
    assert sql_site.is_alive(token)


def test_purge_shows_its_progress_on_a_terminal(
    sql_site: Site, create: Create, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = create(*SERVICE)
    service_token(sql_site, client)
    sql_site.clock.forward(3600)
    terminal, program = os.openpty()
    stderr = os.fdopen(program, "w")
    with os.fdopen(terminal, "rb", buffering=0) as screen:
        monkeypatch.setattr(sys, "stderr", stderr)
        info = ScriptInfo(create_app=lambda: sql_site.app)
        oauth2 = sql_site.app.cli.commands["oauth2"]
        oauth2.main(["purge"], "flask oauth2", standalone_mode=False, obj=info)
        monkeypatch.undo()
        stderr.close()  # so that reading ends with an error where nothing more comes
        seen = b""
        while b"100%" not in seen:
            seen += screen.read(4096)
    assert capsys.readouterr().out == "Deleted 1 expired row.\n"


def test_purge_tells_its_progress_to_a_log(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runner(site)
    monkeypatch.setattr(site.store, "purge", lambda now: iter([9_000, 2_000, 500, 10_000, 1]))
    for arguments, out in (
        (["purge"], "Deleted 21501 expired rows.\n"),
        (["purge", "--json"], '{\n  "purged": 21501\n}\n'),
    ):
        done = run(*arguments)
        assert done.stdout == out
        assert done.stderr.splitlines() == [
            "Deleted 11000 expired rows so far.",
            "Deleted 21500 expired rows so far.",
        ]


# initial access tokens


@pytest.mark.spec("rfc7591", "3")
@pytest.mark.parametrize("options", [[], ["--reusable"], ["--lifetime", "60"]])
def test_an_initial_access_token_is_made_and_ended(new_site: Callable[..., Site], options: list[str]) -> None:
    site = new_site(OAUTH2_DYNAMIC_REGISTRATION="token")
    run = runner(site)
    token = run("registration-token", "create", *options).stdout.strip()
    assert token.startswith("oit_")

    def register() -> int:
        headers = {"Authorization": f"Bearer {token}"}
        content = {"redirect_uris": ["https://a.example/"]}
        return site.http.post("/oauth/register", json=content, headers=headers).status_code

    assert register() == 201
    assert register() == (201 if "--reusable" in options else 401)
    done = run("registration-token", "revoke", input=f"{token}\n", ends=0 if "--reusable" in options else 1)
    assert token not in done.output
    assert register() == 401
    run("registration-token", "revoke", input=f"{token}\n", ends=1)


def test_an_initial_access_token_lives_as_long_as_it_was_said_to(new_site: Callable[..., Site]) -> None:
    site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open")
    run = runner(site)
    made = [
        json.loads(run("registration-token", "create", "--json", *options).stdout)
        for options in ([], ["--lifetime", "60", "--reusable"])
    ]
    assert [(one["expires_at"], one["reusable"]) for one in made] == [(NOW + 86400, False), (NOW + 60, True)]
    site.clock.forward(60)
    assert (
        "revoked or expired already"
        in run("registration-token", "revoke", input=f"{made[1]['initial_access_token']}\n", ends=1).output
    )
    assert "is deleted" not in run("registration-token", "create", "--lifetime", "0", ends=2).output


def test_where_nobody_registers_from_outside_there_is_none(run: Run) -> None:
    for command in ("create", "revoke"):
        assert "OAUTH2_DYNAMIC_REGISTRATION" in run("registration-token", command, ends=1).output


def test_who_registered_a_client_is_shown(new_site: Callable[..., Site]) -> None:
    site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open")
    run = runner(site)
    content = site.http.post("/oauth/register", json={"redirect_uris": ["https://a.example/"]}).get_json()
    lines = dict(line.split(maxsplit=1) for line in run("client", "show", content["client_id"]).stdout.splitlines())
    assert lines["registered_by"] == "open"
    assert lines["expires_at"] == "2027-01-22 08:00 UTC"
    header, row = run("client", "list").stdout.splitlines()
    assert header.split()[-2:] == ["registered_by", "expires_at"]
    assert row.endswith("open           2027-01-22 08:00 UTC")
    (listed,) = json.loads(run("client", "list", "--json").stdout)
    assert (listed["registered_by"], listed["expires_at"]) == ("open", NOW + 7 * 86400)
    changed = json.loads(run("client", "update", content["client_id"], "--name", "Known", "--json").stdout)
    assert (changed["registered_by"], changed["expires_at"]) == ("open", None), "the operator wants it to stay"


# routes


def test_routes_name_the_specification_of_each_endpoint(run: Run) -> None:
    text = run("routes").stdout
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in text.splitlines() if line.startswith("oauth2.")}
    assert lines["oauth2.authorize"].split(maxsplit=3) == [
        "GET",
        "POST",
        "/oauth/authorize",
        "RFC 6749 section 3.1",
    ]
    assert lines["oauth2.token"].split(maxsplit=2) == ["POST", "/oauth/token", "RFC 6749 section 3.2"]
    assert lines["oauth2.metadata"].endswith("RFC 8414")
    assert text.endswith("Issuer: https://login.example\n")


def test_every_route_has_a_specification_and_is_where_it_is_said_to_be(sql_site: Site, run: Run) -> None:
    listed = json.loads(run("routes", "--json").stdout)
    assert listed["issuer"] == "https://login.example"
    assert len(listed["routes"]) >= 6
    urls = sql_site.app.url_map.bind("login.example")
    for route in listed["routes"]:
        assert route["specification"], route
        for method in route["methods"]:
            endpoint, _ = urls.match(route["path"].replace("<path:issuer_path>", "tenant"), method)
            assert endpoint == route["endpoint"]


def test_routes_need_no_store_and_say_where_the_issuer_is_missing() -> None:
    app = flask.Flask("bare")
    OAuth2Provider(app, url_prefix="/sso")
    output = app.test_cli_runner().invoke(args=["oauth2", "routes"]).stdout
    assert "/sso/token" in output
    assert "Issuer: not set. Set OAUTH2_ISSUER" in output


# mistakes


@pytest.mark.parametrize("command", [["client", "list"], ["client", "create", "Photos"], ["purge"]])
def test_a_wrong_configuration_is_one_sentence(command: list[str]) -> None:
    app = flask.Flask("keyless")
    OAuth2Provider(app, store=MemoryStore())
    result = app.test_cli_runner().invoke(args=["oauth2", *command])
    assert result.exit_code == 1
    assert result.output.startswith("Error: The provider cannot start: flask_oauth2 needs the application's SECRET_KEY")
    assert result.output.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"OAUTH2_DATABASE_URI": "sqlite:///{folder}/nowhere/oauth2.sqlite"},
        {"OAUTH2_DATABASE_URI": "sqlite:///{folder}/file"},
    ],
)
def test_a_store_that_cannot_be_opened_is_one_sentence(tmp_path: Path, options: dict[str, str]) -> None:
    (tmp_path / "file").write_text("a line that is no database\n" * 99)
    app = flask.Flask("homeless", instance_path=str(tmp_path / "file" / "instance"))
    app.config["SECRET_KEY"] = "a secret key of the tests"
    app.config.update({name: value.format(folder=tmp_path) for name, value in options.items()})
    OAuth2Provider(app)
    result = app.test_cli_runner().invoke(args=["oauth2", "client", "list"])
    assert result.exit_code == 1
    assert result.output.startswith("Error: The provider cannot start: ")
    assert result.output.count("\n") == 1


def test_a_database_that_is_away_is_one_sentence(sql_site: Site, run: Run) -> None:
    sql_site.store.engine.dispose()
    shutil.rmtree(sql_site.app.instance_path)
    assert run("client", "list", ends=1).output == "Error: the database cannot be reached\n"


def test_a_store_that_cannot_list_says_so(tmp_path: Path) -> None:
    class Plain(MemoryStore):
        list_clients = None  # type: ignore[assignment]

    app = flask.Flask("plain")
    app.config["SECRET_KEY"] = "a secret key of the tests"
    OAuth2Provider(app, store=Plain())
    result = app.test_cli_runner().invoke(args=["oauth2", "client", "list"])
    assert result.exit_code == 1
    assert "this store cannot list its clients" in result.output


# as a user does it


APPLICATION = """
from flask import Flask
from flask_oauth2 import OAuth2Provider, current_token

app = Flask(__name__)
app.config["SECRET_KEY"] = "a secret key of the tests"
provider = OAuth2Provider(app)


@app.get("/api")
@provider.require_oauth("read")
def api():
    return {"client": current_token.client_id}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "cli_application.py").write_text(APPLICATION)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("cli_application", None)


def shell(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flask", "--app", "cli_application", "oauth2", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE)


@pytest.mark.spec("rfc6749", "2.3.1")
def test_in_a_fresh_folder_what_is_printed_obtains_a_token(folder: Path) -> None:
    created = shell(folder, "client", "create", "Robot", "--scope", "read")
    assert created.returncode == 0, created.stderr
    printed = dict(line.split(maxsplit=1) for line in created.stdout.splitlines())
    database = folder / "instance" / "oauth2.sqlite"
    assert database.stat().st_mode & 0o777 == 0o600
    assert printed["client_secret"].encode() not in database.read_bytes()
    application = importlib.import_module("cli_application")
    http = application.app.test_client()
    auth = (printed["client_id"], printed["client_secret"])
    answer = http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=auth)
    assert answer.status_code == 200, answer.text
    headers = {"Authorization": f"Bearer {answer.get_json()['access_token']}"}
    assert http.get("/api", headers=headers).get_json() == {"client": printed["client_id"]}
    deleted = shell(folder, "client", "delete", printed["client_id"], "--yes")
    assert deleted.returncode == 0, deleted.stderr
    assert http.get("/api", headers=headers).status_code == 401
    with application.app.app_context():
        application.provider.server.store.engine.dispose()


def test_a_mistake_ends_with_an_error_code_and_no_traceback(folder: Path) -> None:
    refused = shell(folder, "client", "create", "Robot", "--redirect-uri", "https://client.example/#x")
    assert refused.returncode == 2
    assert refused.stderr == "Error: Invalid value for --redirect-uri: 'https://client.example/#x' has a fragment\n"
    assert refused.stdout == ""


@pytest.mark.spec("oauth-v2-1", "7.9")
def test_consents_are_listed_and_revoked(sql_site: Site, run: Run) -> None:
    shop, mail = sql_site.add_client("shop", name="Shop"), sql_site.add_client("mail")
    tokens = sql_site.tokens(shop, "shop", scope="profile mail")
    others = sql_site.tokens(mail, "mail")
    listed = json.loads(run("consent", "list", "ada", "--json").stdout)
    assert {entry["client_id"] for entry in listed} == {"shop", "mail"}
    assert {"client_name": "Shop", "scope": "profile mail", "granted_at": int(NOW)}.items() <= {
        name: value for entry in listed if entry["client_id"] == "shop" for name, value in entry.items()
    }.items()
    assert "2027-01-15" in run("consent", "list", "ada").stdout
    assert run("consent", "list", "eve").stderr == "User 'eve' has not authorized any clients.\n"

    run("consent", "revoke", "ada", "shop", input="n\n", ends=1)
    assert sql_site.is_alive(tokens["access_token"])
    assert run("consent", "revoke", "ada", "shop", input="y\n").stdout.endswith(
        "Revoked 1 consent and the tokens issued under it.\n"
    )
    assert not sql_site.is_alive(tokens["access_token"])
    assert sql_site.refresh(tokens["refresh_token"], shop, "shop").status_code == 400
    assert sql_site.is_alive(others["access_token"])
    assert "has no such consent" in run("consent", "revoke", "ada", "shop", "--yes", ends=1).stderr
    assert "has no such consent" in run("consent", "revoke", "eve", "--yes", ends=1).stderr

    run("consent", "end", "ada", "--yes")  # the earlier name of the command
    assert "  end " not in run("consent", "--help").stdout
    assert not sql_site.is_alive(others["access_token"])
    assert sql_site.ask(client_id="mail").status_code == 200, "it is asked for again"


def test_a_store_without_consents_is_an_error(new_site: Callable[..., Site]) -> None:
    run = runner(new_site(store=StoreWithoutConsents()))
    for command in (["list", "ada"], ["revoke", "ada"]):
        assert "does not save consents" in run("consent", *command, ends=1).stderr


def test_no_line_of_a_list_of_commands_is_cut(run: Run) -> None:
    for group in ([], ["client"], ["consent"], ["registration-token"]):
        assert "..." not in run(*group, "--help").stdout.partition("Commands:")[2]


def test_every_command_and_option_says_what_it_is_for(sql_site: Site) -> None:
    def walk(command: click.Command) -> Iterator[click.Command]:
        yield command
        for inner in getattr(command, "commands", {}).values():
            yield from walk(inner)

    for command in walk(sql_site.app.cli.commands["oauth2"]):
        assert command.help, command.name
        for parameter in command.params:
            assert not isinstance(parameter, click.Option) or parameter.help, (command.name, parameter.name)
