"""Registration, read by somebody who wants more than is offered. Each fails where the hole is open."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from flask_oauth2 import MemoryStore, values
from flask_oauth2.clients.authentication.throttle import network as _network
from flask_oauth2.records import Client
from flask_oauth2.settings import DEVICE_CODE
from oauth_site import Site

NewSite = Callable[..., Site]

CODE = {
    "redirect_uris": ["https://notes.example/cb"],
    "token_endpoint_auth_method": "none",
    "client_name": "Notes",
}
OPEN: dict[str, Any] = {"OAUTH2_DYNAMIC_REGISTRATION": "open", "OAUTH2_DEFAULT_SCOPE": "profile mail"}
SERVER = {**CODE, "token_endpoint_auth_method": "client_secret_basic"}


def register(site: Site, members: Any, address: str = "198.51.100.7", **options: Any) -> Any:
    base = {"REMOTE_ADDR": address}
    return site.app.test_client().post("/oauth/register", json=members, environ_base=base, **options)


def put(site: Site, client: dict[str, Any], members: dict[str, Any]) -> Any:
    """What a client that was registered says of itself anew."""
    uri = client["registration_client_uri"].removeprefix("https://login.example")
    headers = {"Authorization": f"Bearer {client['registration_access_token']}"}
    return site.http.put(uri, json={**members, "client_id": client["client_id"]}, headers=headers)


def operate(site: Site, client_id: str, *options: str) -> None:
    """What the operator does to a client."""
    ran = site.app.test_cli_runner().invoke(args=["oauth2", "client", "update", client_id, *options])
    assert ran.exit_code == 0, ran.output


class Together(MemoryStore):
    """A store that is as slow as a database: who adds a client waits for the others who do."""

    def __init__(self, many: int) -> None:
        super().__init__()
        self.barrier = threading.Barrier(many)

    def add_client(self, client: Client) -> bool:
        self.barrier.wait(300)
        return super().add_client(client)


def test_the_cap_tells_addresses_apart_that_a_socket_of_both_families_shows() -> None:
    """A server that listens at [::] sees IPv4 as ::ffff:a.b.c.d."""
    assert _network("::ffff:198.51.100.7") != _network("::ffff:203.0.113.9")


def test_one_address_does_not_close_registration_for_all_of_ipv4(new_site: NewSite) -> None:
    site = new_site(**OPEN)
    for number in range(10):
        assert register(site, {**CODE, "client_name": f"N{number}"}, "::ffff:198.51.100.7").status_code == 201
    assert register(site, {**CODE, "client_name": "another"}, "::ffff:203.0.113.9").status_code == 201


def test_what_a_policy_gave_one_another_does_not_get_by_the_same_words(new_site: NewSite) -> None:
    site = new_site(**OPEN)

    @site.provider.registration_policy
    def policy(metadata: dict[str, Any], request: Any) -> Any:
        return {**metadata, "scope": "profile mail write"} if request.address == "10.0.0.1" else None

    first = register(site, CODE, "10.0.0.1").get_json()
    assert first["scope"] == "profile mail write"
    other = register(site, CODE, "198.51.100.7").get_json()
    assert other["scope"] == "profile mail", other


def test_a_put_does_not_bring_back_what_the_operator_has_taken(new_site: NewSite) -> None:
    """The operator narrows the client while a PUT is under way: here, when the policy is asked."""
    site = new_site(**OPEN)
    taken_from: list[str] = []

    @site.provider.registration_policy
    def policy(metadata: dict[str, Any], request: Any) -> None:
        for client_id in taken_from:
            site.store.set_client(replace(site.store.get_client(client_id), scope=("profile",)))

    client = register(site, SERVER).get_json()
    taken_from.append(client["client_id"])
    assert put(site, client, SERVER).status_code == 200
    assert site.store.get_client(client["client_id"]).scope == ("profile",)


@pytest.mark.spec("rfc7592", "2.2")
def test_a_put_does_not_bring_back_a_grant_that_the_operator_has_taken(new_site: NewSite) -> None:
    site = new_site(**OPEN, OAUTH2_GRANT_TYPES=["authorization_code", "refresh_token", "device_code"])
    asked = {**SERVER, "grant_types": ["authorization_code", DEVICE_CODE]}
    made = register(site, asked).get_json()
    operate(site, made["client_id"], "--grant-type", "authorization_code")
    answer = put(site, made, asked)
    assert answer.get_json()["grant_types"] == ["authorization_code"]
    assert site.store.get_client(made["client_id"]).grant_types == ("authorization_code",)


@pytest.mark.spec("rfc7592", "2.2")
def test_nor_does_what_the_application_says_of_all_clients(new_site: NewSite) -> None:
    """A policy gives each client what not all may have, and is asked anew with each change."""
    site = new_site(**OPEN, OAUTH2_GRANT_TYPES=["authorization_code", "refresh_token", "client_credentials"])
    given = {"scope": "profile mail write", "grant_types": ["authorization_code", "client_credentials"]}
    site.provider.registration_policy(lambda metadata, request: {**metadata, **given})
    made = register(site, SERVER).get_json()
    assert (made["scope"], made["grant_types"]) == (given["scope"], given["grant_types"])
    operate(site, made["client_id"], "--scope", "profile", "--grant-type", "authorization_code")
    changed = put(site, made, SERVER).get_json()
    assert (changed["scope"], changed["grant_types"]) == ("profile", ["authorization_code"])


def test_the_same_software_is_one_client_when_the_secret_key_was_rotated(new_site: NewSite) -> None:
    store = MemoryStore()
    one = register(new_site(store=store, SECRET_KEY="one", **OPEN), CODE).get_json()
    site = new_site(store=store, SECRET_KEY="two", SECRET_KEY_FALLBACKS=["one"], **OPEN)
    assert register(site, CODE).get_json()["client_id"] == one["client_id"]


def test_the_page_of_a_client_at_any_port_of_loopback_may_call(new_site: NewSite) -> None:
    site = new_site(**OPEN)
    found = register(site, {**CODE, "redirect_uris": ["http://localhost:6274/oauth/callback"]})
    assert found.status_code == 201
    answer = site.http.post(
        "/oauth/token", data={"client_id": found.get_json()["client_id"]}, headers={"Origin": "http://localhost:6274"}
    )
    assert answer.headers.get("Access-Control-Allow-Origin") == "http://localhost:6274"


@pytest.mark.parametrize("uri", ["https://App.Example/cb", "https://app.example:443/cb"])
def test_the_origin_of_a_redirect_uri_is_what_browsers_call_it(new_site: NewSite, uri: str) -> None:
    site = new_site(**OPEN)
    site.add_client("spa", None, redirect_uris=(uri,))
    answer = site.http.options("/oauth/token", headers={"Origin": "https://app.example"})
    assert answer.headers.get("Access-Control-Allow-Origin") == "https://app.example"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\u3164", None),
        ("\u2800", None),
        ("\u200d\u200c\u2060", None),
        ("Google\u034f", "Google"),
        ("Goo\u200dgle", "Google"),
        ("a" + "\u0301" * 90, "á\u0301\u0301"),
    ],
)
def test_a_name_that_people_cannot_see_is_none(new_site: NewSite, name: str, shown: str | None) -> None:
    site = new_site(**OPEN)
    answer = register(site, {**CODE, "client_name": name})
    assert answer.status_code == 201
    assert answer.get_json().get("client_name") == shown


def test_the_consent_page_says_that_nobody_has_looked_at_a_client(new_site: NewSite) -> None:
    """rfc7591 section 5: what it says of itself is its own word."""
    site = new_site(**OPEN)
    fields: dict[str, Any] = {"name": "Bank", "redirect_uris": ("https://a.example/cb",), "scope": ("profile",)}
    site.sign_in()
    site.add_client("web", None, **fields)
    vetted = site.ask(client_id="web", redirect_uri="https://a.example/cb").text
    site.add_client("web", None, registered_by="open", **fields)
    open_ = site.ask(client_id="web", redirect_uri="https://a.example/cb").text

    def said(page: str) -> str:
        import re

        return re.sub(r'value="[^"]*"', "", re.sub(r"href=\"[^\"]*\"", "", page))

    assert said(vetted) != said(open_)


VALUES: list[Any] = [
    None, True, 0, -1, 1e308, 10**400, "", " ", "\0", "\ud800", "x" * 3000, [], [[]], [None], [1], ["\0"], ["\ud800"],
    ["x" * 3000], {}, {"a": 1}, ["https://[::1"], ["https://\uff41/b"], ["http://localhost:99999/"], ["//x"], ["https://"],
    ["https:///x"], ["javascript:alert(1)"], ["a.b:c"], ["https://a.example:0/"], ["code code"], ["code\ttoken"], [""],
    "https://[", "https://a.example\\@b", "none\0", ["authorization_code"] * 30, "\u202egoogle",
]  # fmt: skip
NAMES = [
    "redirect_uris", "token_endpoint_auth_method", "grant_types", "response_types", "client_name", "client_uri",
    "logo_uri", "scope", "contacts", "tos_uri", "policy_uri", "jwks_uri", "jwks", "software_id", "software_version",
    "application_type", "software_statement", "client_id", "client_secret", "registration_access_token", "registered_by",
    "owner_id", "pkce_required", "resource_server", "created_at", "expires_at", "token_format", "client_name#de",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["memory", "sql"])
def test_no_value_of_any_member_is_a_traceback(new_site: NewSite, tmp_path: Any, kind: str) -> None:
    from oauth_site import make_site

    more = {"OAUTH2_REGISTRATIONS_PER_HOUR": 1_000_000}
    site = new_site(**OPEN, **more) if kind == "memory" else make_site(tmp_path, **OPEN, **more)
    made = register(site, SERVER).get_json()
    uri = made["registration_client_uri"].removeprefix("https://login.example")
    token = made["registration_access_token"]
    for name in NAMES:
        for value in VALUES:
            for base in (CODE, SERVER):
                answer = site.http.post(
                    "/oauth/register", data=json.dumps({**base, name: value}), content_type="application/json"
                )
                assert answer.status_code in (201, 400), (name, value, answer.status_code, answer.text)
                if answer.status_code == 201:
                    got = answer.get_json()
                    assert set(got["scope"].split()) <= {"profile", "mail"}
                    assert not {"password", "implicit", "client_credentials"} & set(got["grant_types"])
            body = {**SERVER, "client_id": made["client_id"], name: value}
            answer = site.http.put(
                uri,
                data=json.dumps(body),
                content_type="application/json",
                headers={"Authorization": f"Bearer {token}"},
            )
            assert answer.status_code in (200, 400, 429), (name, value, answer.status_code)
            if answer.status_code == 200:
                token = answer.get_json()["registration_access_token"]
    if kind == "sql":
        site.store.engine.dispose()


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"[" * 60000, b'{"a":' * 10000, b"\xff\xfe", b'{"a":1,"a":2}', b"NaN", b'{"a":' + b"1" * 5000 + b"}",
     b"\xef\xbb\xbf{}", b'"x"', b"{" + b'"x":1,' * 9000, b" " * 70000, b'{"redirect_uris":[1e999]}'],
)  # fmt: skip
def test_no_body_is_a_traceback(new_site: NewSite, body: bytes) -> None:
    site = new_site(**OPEN)
    for content_type in ("application/json", "application/json; charset=utf-16", "text/json", ""):
        answer = site.http.post("/oauth/register", data=body, content_type=content_type)
        assert 400 <= answer.status_code < 500, answer.status_code


@pytest.mark.parametrize(
    "client_id", ["x", "%00", "%ED%A0%80", "a" * 5000, "..%2f..", "%ff", "x%0d%0ay", "https://a.example/c"]
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "POST", "TRACE"])
def test_no_client_id_of_a_path_is_a_traceback(new_site: NewSite, client_id: str, method: str) -> None:
    site = new_site(**OPEN)
    for token in ("", "x", values.new("ora", values.timestamp(0)), "\u00e9"):
        answer = site.http.open(
            f"/oauth/register/{client_id}",
            method=method,
            json={"client_id": client_id} if method == "PUT" else None,
            headers={"Authorization": f"Bearer {token}", "Origin": "https://x.example"},
        )
        assert answer.status_code in (204, 401, 404, 405, 429, 308), answer.status_code
        if method != "OPTIONS":
            assert answer.status_code != 204


@pytest.mark.spec("rfc7592", "5")
def test_guesses_at_clients_that_are_not_there_are_no_rows_without_end(new_site: NewSite) -> None:
    site = new_site(**OPEN)
    for number in range(200):
        site.http.get(f"/oauth/register/{number}", headers={"Authorization": "Bearer x"})
    assert len(site.store._counters) < 200


@pytest.mark.spec("rfc7592", "5")
def test_nobody_learns_by_429_which_clients_there_are(new_site: NewSite) -> None:
    site = new_site(**OPEN)
    made = register(site, SERVER).get_json()

    def guess(client_id: str) -> list[int]:
        headers = {"Authorization": "Bearer x"}
        return [site.http.get(f"/oauth/register/{client_id}", headers=headers).status_code for _ in range(15)]

    assert guess(made["client_id"]) == guess("0" * 24)


def test_a_client_of_a_site_and_of_loopback_may_listen_at_any_port(new_site: NewSite) -> None:
    """As an editor registers, which takes another port where its own is taken; by a document it may, here it may not."""
    from oauth_site import CHALLENGE

    site = new_site(**OPEN)
    listed = ["https://editor.example/redirect", "http://127.0.0.1/", "http://127.0.0.1:33418/"]
    made = register(site, {**CODE, "redirect_uris": listed}).get_json()
    site.sign_in()
    page = site.ask(client_id=made["client_id"], redirect_uri="http://127.0.0.1:54321/", code_challenge=CHALLENGE)
    assert page.status_code == 200


def test_what_strangers_may_have_is_looked_at_when_the_server_starts(new_site: NewSite) -> None:
    from flask_oauth2 import ConfigurationError

    site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_REGISTRATION_SCOPES="nobody-knows-it")
    try:
        answer = register(site, CODE)
    except ConfigurationError:
        return
    assert answer.status_code == 201, answer.text


def test_a_wrong_secret_is_not_looked_at_when_too_many_were_wrong(new_site: NewSite) -> None:
    """By PUT: the slow hash is made, and the right one is told from the others, however many came before."""
    site = new_site(**OPEN)
    _ = site.server
    made = register(site, SERVER).get_json()

    def show(secret: str) -> int:
        return int(put(site, made, {**SERVER, "client_secret": secret}).status_code)

    assert [show(f"wrong secret {number}") for number in range(12)][-1] == 429
    assert show(made["client_secret"]) == 429
