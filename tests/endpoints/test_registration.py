"""Clients that register themselves, RFC 7591."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from werkzeug.test import TestResponse

from flask_oauth2 import (
    AccessDenied,
    ConfigurationError,
    InvalidClientMetadata,
    MemoryStore,
    TokenGrant,
    signals,
    values,
)
from flask_oauth2.assembly import build
from flask_oauth2.clients.registration import OPEN_GRANTS
from flask_oauth2.records import Grant
from flask_oauth2.resources import Resource
from flask_oauth2.settings import Settings
from flask_oauth2.stores.base import collect
from flask_oauth2.stores.callbacks import Callbacks, CallbackStore
from oauth_site import CALLBACK, NOW, Site, Statements, make_site

DEVICE = OPEN_GRANTS[-1]

MCP = [Resource(path="/mcp", is_mcp=True)]

CODE = {
    "redirect_uris": ["https://notes.example/cb"],
    "token_endpoint_auth_method": "none",
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "client_name": "Notes",
}
"""A public client of a web site."""

AGENT = {**CODE, "redirect_uris": ["http://127.0.0.1:33418/cb"], "client_name": "Agent"}
"""One on people's own devices."""

SERVER = {**CODE, "token_endpoint_auth_method": "client_secret_basic"}
"""One that keeps a secret."""


@pytest.fixture
def site(new_site: Callable[..., Site]) -> Site:
    """Open to all."""
    return new_site(OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_DEFAULT_SCOPE="profile mail")


@pytest.fixture
def received(site: Site) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """What was told of clients."""
    found: list[tuple[str, dict[str, Any]]] = []

    def listen(name: str) -> Callable[..., None]:
        return lambda _, **what: found.append((name, what))

    receivers = {name: listen(name) for name in ("client_created", "client_updated", "client_deleted")}
    for name, receiver in receivers.items():
        getattr(signals, name).connect(receiver, site.app)
    yield found
    for name, receiver in receivers.items():
        getattr(signals, name).disconnect(receiver, site.app)


def send(site: Site, metadata: Any, token: str | None = None, **options: Any) -> TestResponse:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    _ = site.server  # with the clock of the tests
    return site.http.post("/oauth/register", json=metadata, headers=headers, **options)


def register(site: Site, metadata: Any = CODE, token: str | None = None, **options: Any) -> dict[str, Any]:
    answer = send(site, metadata, token, **options)
    assert answer.status_code == 201, answer.text
    return dict(answer.get_json())


def refused(site: Site, metadata: Any, error: str = "invalid_client_metadata", **options: Any) -> str:
    """The description of the error."""
    answer = send(site, metadata, **options)
    assert (answer.status_code, answer.get_json()["error"]) == (400, error), answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert not clients(site)
    return str(answer.get_json()["error_description"])


def clients(site: Site) -> list[Any]:
    listing = collect(site.store).listing
    assert listing is not None
    return list(listing.list_clients())


def initial_token(site: Site, lifetime: int = 60, **parameters: Any) -> str:
    token, key = values.generate("oit", values.timestamp(site.clock.now))
    expires_at = int(site.clock.now) + lifetime
    site.store.issue(None, [Grant(key=key, kind="registration", expires_at=expires_at, parameters=parameters)], 0)
    return token


class TestOff:
    """Where nobody asked for it."""

    @pytest.mark.parametrize("options", [{}, {"OAUTH2_DYNAMIC_REGISTRATION": "off"}])
    def test_the_endpoint_does_not_exist(self, new_site: Callable[..., Site], options: dict[str, Any]) -> None:
        site = new_site(**options)
        for method, path in (
            ("post", "register"),
            ("get", "register/a"),
            ("put", "register/a"),
            ("delete", "register/a"),
        ):
            answer = getattr(site.http, method)(
                f"/oauth/{path}", **({"json": CODE} if method in ("post", "put") else {})
            )
            assert (answer.status_code, answer.text) == (404, "")
        assert "registration_endpoint" not in site.http.get("/.well-known/oauth-authorization-server").get_json()
        assert not clients(site)

    @pytest.mark.spec("rfc8414", "2")
    def test_the_metadata_names_the_endpoint_if_registration_is_on(self, site: Site) -> None:
        document = site.http.get("/.well-known/oauth-authorization-server").get_json()
        assert document["registration_endpoint"] == "https://login.example/oauth/register"

    def test_a_protected_resource_opens_registration_and_logs_it(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, "flask_oauth2"):
            settings = Settings.load({"SECRET_KEY": "x"})
            assert build(settings, MemoryStore, described=MCP).registration == "open"
        assert len(caplog.records) == 1
        assert "Set OAUTH2_DYNAMIC_REGISTRATION to 'token' or 'off' to restrict it" in caplog.text

    @pytest.mark.parametrize("chosen", ["off", "token"])
    def test_the_option_takes_precedence(self, chosen: str, caplog: pytest.LogCaptureFixture) -> None:
        settings = Settings.load({"SECRET_KEY": "x", "OAUTH2_DYNAMIC_REGISTRATION": chosen})
        with caplog.at_level(logging.INFO, "flask_oauth2"):
            assert build(settings, MemoryStore, described=MCP).registration == chosen
        assert not caplog.records

    def test_registration_with_a_clientgetter_is_a_configuration_error(self, new_site: Callable[..., Site]) -> None:
        site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open")
        site.provider.clientgetter(lambda client_id: None)
        with pytest.raises(ConfigurationError, match="clientgetter"):
            _ = site.server

    @pytest.mark.parametrize(("mode", "grant"), [("open", "client_credentials"), ("token", "implicit")])
    def test_registration_without_a_usable_grant_is_a_configuration_error(
        self, new_site: Callable[..., Site], mode: str, grant: str
    ) -> None:
        options = {"OAUTH2_DYNAMIC_REGISTRATION": mode, "OAUTH2_DEFAULT_SCOPE": "profile"}
        with pytest.raises(ConfigurationError, match="no grant type is available to clients that register themselves"):
            _ = new_site(OAUTH2_GRANT_TYPES=[grant], **options).server
        assert new_site(OAUTH2_GRANT_TYPES=[grant, "authorization_code"], **options).server

    def test_a_protected_resource_does_not_open_registration_with_a_clientgetter(self) -> None:
        from flask_oauth2.assembly.extensions import Extensions

        parts = Extensions()
        parts.callbacks.clientgetter = lambda client_id: None
        settings = Settings.load({"SECRET_KEY": "x"})
        assert build(settings, MemoryStore, parts, described=MCP).registration == "off"

    def test_a_clientgetter_hides_the_registration_store(self) -> None:
        for callbacks, is_found in ((Callbacks(clientgetter=lambda client_id: None), False), (Callbacks(), True)):
            store = CallbackStore(MemoryStore(), callbacks, lambda found, client_id: None, lambda mark, now: None)
            assert (collect(store).registration is not None) is is_found

    def test_protect_mcp_opens_registration(self, new_site: Callable[..., Site]) -> None:
        site = new_site()
        site.provider.protect_mcp("/mcp")
        assert site.server.registration == "open"

    def test_a_store_without_registration_is_a_configuration_error(self, new_site: Callable[..., Site]) -> None:
        class Old(MemoryStore):
            add_client = None  # type: ignore[assignment]

        site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open", store=Old())
        with pytest.raises(ConfigurationError, match="RegistrationStore"):
            _ = site.store

    def test_registration_requires_a_secret_key(self) -> None:
        with pytest.raises(ConfigurationError, match="SECRET_KEY"):
            build(Settings.load({"OAUTH2_DYNAMIC_REGISTRATION": "open"}), MemoryStore)


class TestAnswer:
    """Section 3.2.1."""

    @pytest.mark.spec("rfc7591", "3")
    @pytest.mark.spec("rfc7591", "3.2.1")
    def test_the_response_has_all_registered_metadata(self, site: Site) -> None:
        answer = send(site, CODE)
        assert answer.status_code == 201
        assert answer.mimetype == "application/json"
        assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
        content = answer.get_json()
        assert content.pop("client_id")
        assert content == {
            **CODE,
            "client_id_issued_at": int(NOW),
            "application_type": "web",
            "scope": "profile mail",
        }

    @pytest.mark.spec("rfc7591", "3.2.1")
    def test_omitted_metadata_has_defaults(self, site: Site) -> None:
        content = register(site, {"redirect_uris": ["https://notes.example/cb"]})
        assert content["token_endpoint_auth_method"] == "client_secret_basic"
        assert content["grant_types"] == ["authorization_code"]
        assert content["response_types"] == ["code"]
        assert content["application_type"] == "web"
        assert content["scope"] == "profile mail"
        assert "client_name" not in content

    def test_null_and_empty_values_are_ignored(self, site: Site) -> None:
        nothing = {"client_name": None, "contacts": [], "grant_types": [], "scope": "", "logo_uri": None}
        assert register(site, {"redirect_uris": CODE["redirect_uris"], **nothing})["grant_types"] == [
            "authorization_code"
        ]

    @pytest.mark.spec("rfc7591", "3.2.1")
    def test_a_confidential_client_receives_a_valid_secret(self, site: Site) -> None:
        first, second = register(site, SERVER), register(site, SERVER)
        assert first["client_secret"].startswith("ocs_")
        assert first["client_secret_expires_at"] == 0
        assert first["client_secret"] != second["client_secret"]
        assert first["client_id"] != second["client_id"]
        answer = site.post("/introspect", (first["client_id"], first["client_secret"]), token="x")
        assert answer.get_json() == {"active": False}
        assert site.post("/introspect", (first["client_id"], second["client_secret"]), token="x").status_code == 401

    @pytest.mark.spec("rfc7591", "5")
    def test_a_public_client_receives_no_secret(self, site: Site) -> None:
        content = register(site)
        assert not {"client_secret", "client_secret_expires_at"} & set(content)

    @pytest.mark.spec("rfc7591", "3.1")
    def test_the_client_cannot_choose_its_id_or_secret(self, site: Site) -> None:
        chosen = {"client_id": "mine", "client_secret": "mine", "registered_by": "", "owner_id": "ada"}
        content = register(site, SERVER | chosen)
        assert content["client_id"] != "mine"
        assert content["client_secret"] != "mine"
        (client,) = clients(site)
        assert (client.registered_by, client.owner_id, client.is_unverified) == ("open", None, True)
        assert not content["client_id"].startswith("https://")

    @pytest.mark.spec("rfc7591", "2")
    def test_unknown_metadata_is_ignored(self, site: Site) -> None:
        unknown = {
            "unknown_thing": {"a": [1]},
            "client_name#de": "Notizen",
            "resource_server": True,
            "token_format": "signed",
            "software_statement": "a.b.c",
        }
        content = register(site, CODE | unknown)
        assert not set(unknown) & set(content)
        (client,) = clients(site)
        assert (client.resource_server, client.token_format, dict(client.metadata)) == (False, None, {})

    @pytest.mark.spec("rfc7591", "2")
    def test_known_metadata_is_stored(self, site: Site) -> None:
        said = {
            "client_uri": "https://notes.example/",
            "logo_uri": "https://notes.example/logo.png",
            "tos_uri": "https://notes.example/tos",
            "policy_uri": "https://notes.example/policy",
            "contacts": ["ada@notes.example"],
            "software_id": "5f2c-notes",
            "software_version": "2.1",
        }
        content = register(site, CODE | said)
        assert said.items() <= content.items()
        (client,) = clients(site)
        assert client.metadata == said

    def test_a_registered_client_receives_tokens(self, site: Site) -> None:
        content = register(site, CODE | {"redirect_uris": [CALLBACK]})
        tokens = site.tokens(client_id=content["client_id"])
        assert site.call(tokens["access_token"]).get_json()["client"] == content["client_id"]
        assert site.refresh(tokens["refresh_token"], client_id=content["client_id"]).status_code == 200

    def test_the_client_created_signal_is_sent_once(
        self, site: Site, received: list[tuple[str, dict[str, Any]]]
    ) -> None:
        content = register(site)
        register(site)
        assert received == [
            (
                "client_created",
                {"client_id": content["client_id"], "registered_by": "open", "issuer": "https://login.example"},
            )
        ]

    def test_origins_of_registered_clients_and_configured_origins_may_register(
        self, new_site: Callable[..., Site]
    ) -> None:
        site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_CORS_ORIGINS=["https://agent.example"])
        register(site)
        for origin in ("https://notes.example", "https://agent.example", "https://evil.example"):
            page = {"Origin": origin}
            asked = site.http.options("/oauth/register", headers=page | {"Access-Control-Request-Method": "POST"})
            answers = [site.http.post("/oauth/register", json=metadata, headers=page) for metadata in (CODE, {})]
            allowed = None if origin == "https://evil.example" else origin
            for answer in (asked, *answers):
                assert answer.headers.get("Access-Control-Allow-Origin") == allowed


class TestBody:
    """Section 3.1."""

    @pytest.mark.spec("rfc7591", "3")
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"[]",
            b'"text"',
            b"null",
            b"{",
            b'{"a": NaN}',
            b'{"a": -Infinity}',
            b'{"client_name": "a", "client_name": "b"}',
            b'{"unknown": {"a": 1, "a": 2}}',
            b'{"client_name": "\xff"}',
            b"[" * 60_000,
            b'{"a":' * 12_000,
            b'{"a": ' + b"9" * 5000 + b"}",
            "{}".encode("utf-16"),
        ],
    )
    def test_a_body_that_is_not_a_json_object_is_rejected(self, site: Site, body: bytes) -> None:
        answer = site.http.post("/oauth/register", data=body, content_type="application/json")
        assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_request")
        assert not clients(site)

    @pytest.mark.spec("rfc7591", "3")
    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jwt"])
    def test_other_content_types_are_rejected(self, site: Site, kind: str) -> None:
        answer = site.http.post("/oauth/register", data=json.dumps(CODE), content_type=kind)
        assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_request")
        assert "application/json" in answer.get_json()["error_description"]

    def test_a_charset_parameter_is_accepted(self, site: Site) -> None:
        content_type = "application/json; charset=utf-8"
        assert site.http.post("/oauth/register", data=json.dumps(CODE), content_type=content_type).status_code == 201

    def test_a_body_that_is_too_long_is_rejected(self, site: Site) -> None:
        answer = site.http.post(
            "/oauth/register", data=json.dumps(CODE | {"x": "y" * 70_000}), content_type="application/json"
        )
        assert (answer.status_code, answer.get_json()["error"]) == (413, "invalid_request")

    @pytest.mark.spec("rfc7592", "2")
    @pytest.mark.parametrize(("method", "path"), [("get", ""), ("put", ""), ("patch", "/a"), ("post", "/a")])
    def test_other_methods_are_not_allowed(self, site: Site, method: str, path: str) -> None:
        assert getattr(site.http, method)(f"/oauth/register{path}").status_code == 405


BAD: list[tuple[dict[str, Any], str]] = [
    ({"redirect_uris": "https://a.example"}, "redirect_uris"),
    ({"redirect_uris": [7]}, "redirect_uris"),
    ({"redirect_uris": ["https://a.example/" + "x" * 2050]}, "redirect_uris"),
    ({"redirect_uris": [f"https://a.example/{n}" for n in range(21)]}, "redirect_uris"),
    ({"redirect_uris": {"a": 1}}, "redirect_uris"),
    ({"redirect_uris": []}, "redirect_uris"),
    ({"redirect_uris": ["http://a.example/cb"]}, "redirect_uris"),
    ({"redirect_uris": ["javascript:alert(1)"]}, "redirect_uris"),
    ({"redirect_uris": ["https://a.example/#f"]}, "redirect_uris"),
    ({"redirect_uris": ["https://*.example/"]}, "redirect_uris"),
    ({"redirect_uris": ["https://[a/"]}, "redirect_uris"),
    ({"redirect_uris": ["https://a.example/\ud800"]}, "redirect_uris"),
    ({"redirect_uris": ["https://a.example/\0"]}, "redirect_uris"),
    ({"redirect_uris": ["https://a.example/", "mailto:a@a.example"]}, "redirect_uris"),
    ({"redirect_uris": ["https://a%2eexample/"]}, "redirect_uris"),
    ({"redirect_uris": ["https://a.example/", ""]}, "redirect_uris"),
    ({"redirect_uris": ["https://a.example/", None]}, "redirect_uris"),
    ({"token_endpoint_auth_method": 7}, "token_endpoint_auth_method"),
    ({"token_endpoint_auth_method": "private_key_jwt"}, "jwks"),
    ({"token_endpoint_auth_method": "unknown_method"}, "token_endpoint_auth_method"),
    ({"token_endpoint_auth_method": "NONE"}, "token_endpoint_auth_method"),
    ({"grant_types": "authorization_code"}, "grant_types"),
    ({"grant_types": ["implicit"]}, "grant_types"),
    ({"grant_types": ["password"]}, "grant_types"),
    ({"grant_types": ["client_credentials"]}, "grant_types"),
    ({"grant_types": ["refresh_token"], "response_types": []}, "grant_types"),
    ({"grant_types": [DEVICE]}, "grant_types"),
    ({"grant_types": [None]}, "grant_types"),
    ({"response_types": ["token"]}, "response_types"),
    ({"response_types": ["code token"]}, "response_types"),
    ({"response_types": ["none of it"]}, "response_types"),
    ({"response_types": 1}, "response_types"),
    ({"client_name": 7}, "client_name"),
    ({"application_type": "desktop"}, "application_type"),
    ({"application_type": True}, "application_type"),
    ({"jwks": {"keys": []}, "jwks_uri": "https://notes.example/jwks"}, "jwks"),
]

DROPPED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"client_name": "x" * 101}, {"client_name": "x" * 99 + "…"}),
    ({"client_name": "x" * 5000}, {"client_name": "x" * 99 + "…"}),
    ({"client_name": " two\nlines "}, {"client_name": "two lines"}),
    ({"client_name": "Bank\u202e"}, {"client_name": "Bank"}),
    (
        {"client_name": "\u0645\u200c\u062e \U0001f468\u200d\U0001f469"},
        {"client_name": "\u0645\u062e \U0001f468\U0001f469"},
    ),
    ({"client_name": "\ud800"}, {"client_name": None}),
    ({"client_name": ""}, {"client_name": None}),
    ({"client_name": None}, {"client_name": None}),
    ({"client_uri": ["https://a.example"]}, {"client_uri": None}),
    ({"client_uri": ""}, {"client_uri": None}),
    ({"client_uri": "javascript:alert(1)"}, {"client_uri": None}),
    ({"logo_uri": "data:image/png;base64,AA"}, {"logo_uri": None}),
    ({"logo_uri": "/logo.png"}, {"logo_uri": None}),
    ({"logo_uri": "https://notes.example/" + "x" * 3000}, {"logo_uri": None}),
    ({"tos_uri": "http://notes.example/tos"}, {"tos_uri": None}),
    ({"policy_uri": "https://user@notes.example/"}, {"policy_uri": None}),
    ({"scope": None}, {"scope": "profile mail"}),
    ({"scope": ["profile"]}, {"scope": "profile mail"}),
    ({"scope": 'pro"file'}, {"scope": "profile mail"}),
    ({"scope": "x " * 3000}, {"scope": "profile mail"}),
    ({"scope": " claudeai  openid "}, {"scope": "profile mail"}),
    ({"contacts": "ada@notes.example"}, {"contacts": None}),
    ({"contacts": [""]}, {"contacts": None}),
    ({"contacts": ["two\nlines", "", 7, None, "ada@notes.example"]}, {"contacts": ["ada@notes.example"]}),
    ({"contacts": [f"{n}@a.example" for n in range(30)]}, {"contacts": [f"{n}@a.example" for n in range(20)]}),
    ({"contacts": {"a": 1}}, {"contacts": None}),
    ({"software_id": "two\nlines"}, {"software_id": None}),
    ({"software_version": 2}, {"software_version": None}),
    ({"software_version": ""}, {"software_version": None}),
    ({"jwks": None, "jwks_uri": ""}, {"jwks": None}),
    ({"unknown": {"a": [None, 1.5, True]}, "another": None}, {"unknown": None, "another": None}),
    ({"application_type": None, "response_types": None}, {"application_type": "web", "response_types": ["code"]}),
]
"""Metadata that no security rests on: what is registered in its place."""

NATIVE = [
    ["cursor://anysphere.cursor-mcp/oauth/callback"],
    ["https://www.cursor.com/agents/mcp/oauth/callback", "cursor://anysphere.cursor-retrieval/oauth/user-mcp/callback"],
    [
        "https://vscode.dev/redirect",
        "http://127.0.0.1:33418/",
        "vscode://vscode.github-authentication/did-authenticate",
    ],
    ["raycast://oauth?package_name=Extension", "https://raycast.com/redirect?packageName=Extension"],
    ["windsurf://codeium.windsurf/oauth", "http://localhost:1/cb"],
    ["vscode-insiders://saoudrizwan.claude-dev/mcp-auth/callback", "com.example.app:/cb"],
    ["MyApp://callback"],
]


class TestMetadata:
    """Section 2."""

    @pytest.mark.spec("rfc7591", "2")
    @pytest.mark.parametrize(("change", "registered"), DROPPED)
    def test_invalid_optional_metadata_is_replaced_not_rejected(
        self, site: Site, change: dict[str, Any], registered: dict[str, Any]
    ) -> None:
        for metadata in (CODE, SERVER):
            content = register(site, metadata | change)
            assert {name: content.get(name) for name in registered} == registered

    @pytest.mark.spec("rfc8252", "7.1")
    @pytest.mark.parametrize("application_type", ["native", "web", None])
    @pytest.mark.parametrize("redirect_uris", NATIVE)
    def test_private_use_schemes_make_a_client_native(
        self, site: Site, redirect_uris: list[str], application_type: str | None
    ) -> None:
        content = register(site, CODE | {"redirect_uris": redirect_uris, "application_type": application_type})
        assert content["redirect_uris"] == redirect_uris
        assert content["application_type"] == "native"

    @pytest.mark.spec("rfc7591", "3.2.2")
    @pytest.mark.parametrize(("change", "field"), BAD, ids=[f"{field}-{n}" for n, (_, field) in enumerate(BAD)])
    def test_invalid_metadata_is_rejected_with_the_name_of_the_field(
        self, site: Site, change: dict[str, Any], field: str
    ) -> None:
        error = "invalid_redirect_uri" if field == "redirect_uris" else "invalid_client_metadata"
        assert refused(site, CODE | change, error).startswith(f"{field}: ")

    @pytest.mark.spec("rfc7591", "2.1")
    @pytest.mark.parametrize(
        "change",
        [
            {"grant_types": ["implicit"], "response_types": ["code"]},
            {"grant_types": ["authorization_code"], "response_types": ["token"]},
        ],
    )
    def test_contradictory_grant_and_response_types_are_rejected(self, site: Site, change: dict[str, Any]) -> None:
        refused(site, CODE | change)

    @pytest.mark.spec("rfc7591", "3.2.1")
    def test_unavailable_grant_and_response_types_are_dropped(self, site: Site) -> None:
        content = register(
            site,
            CODE
            | {
                "grant_types": ["implicit", "authorization_code", "password", "urn:x:y", "refresh_token"],
                "response_types": ["token", "code", "code token"],
            },
        )
        assert content["grant_types"] == ["authorization_code", "refresh_token"]
        assert content["response_types"] == ["code"]

    def test_grants_for_trusted_clients_are_dropped(self, new_site: Callable[..., Site]) -> None:
        offered = ["authorization_code", "implicit", "client_credentials"]
        site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_GRANT_TYPES=offered)
        content = register(site, SERVER | {"grant_types": offered})
        assert content["grant_types"] == ["authorization_code"]

    def test_a_client_without_an_available_grant_is_rejected(self, new_site: Callable[..., Site]) -> None:
        site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_GRANT_TYPES=["device_code"])
        assert refused(site, CODE).startswith("grant_types: ")

    def test_a_device_client_needs_no_redirect_uri(self, new_site: Callable[..., Site]) -> None:
        site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open")
        site.provider.grant_type(DEVICE)(lambda request: TokenGrant(request.authorization()))
        content = register(site, {"grant_types": [DEVICE], "token_endpoint_auth_method": "none"})
        assert (content["grant_types"], content["response_types"]) == ([DEVICE], [])

    @pytest.mark.spec("rfc7591", "2")
    @pytest.mark.parametrize("asked", [None, "profile", "write", "unknown", "profile mail write admin"])
    def test_the_scope_is_the_default_scope(self, site: Site, asked: str | None) -> None:
        assert register(site, CODE | {"scope": asked})["scope"] == "profile mail"

    def test_registration_scopes_replace_the_default_scope(self, new_site: Callable[..., Site]) -> None:
        site = new_site(
            OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_DEFAULT_SCOPE="profile", OAUTH2_REGISTRATION_SCOPES="mail write"
        )
        assert register(site)["scope"] == "mail write"

    @pytest.mark.spec("rfc8252", "8.4")
    @pytest.mark.parametrize(
        ("redirect_uris", "kind"),
        [
            (["http://127.0.0.1/cb"], "native"),
            (["http://localhost:8080/cb", "http://[::1]:1/"], "native"),
            (["com.example.app:/cb", "http://127.0.0.1/"], "native"),
            (["https://notes.example/cb"], "web"),
            (["https://notes.example/cb", "http://localhost/"], "native"),
        ],
    )
    def test_the_redirect_uris_determine_the_application_type(
        self, site: Site, redirect_uris: list[str], kind: str
    ) -> None:
        assert register(site, CODE | {"redirect_uris": redirect_uris})["application_type"] == kind

    def test_loopback_redirect_uris_override_the_application_type(self, site: Site) -> None:
        """The ports of its loopback URIs must be free, and clients send ``web`` with them."""
        content = register(site, AGENT | {"application_type": "web"})
        assert content["application_type"] == "native"
        assert content["redirect_uris"] == AGENT["redirect_uris"]
        content = register(site, CODE | {"application_type": "native"})
        assert content["application_type"] == "native"

    @pytest.mark.spec("rfc7591", "5")
    @pytest.mark.parametrize(
        ("redirect_uris", "page", "is_kept"),
        [
            (["https://notes.example/cb"], "https://notes.example/about", True),
            (["https://other.example/", "https://notes.example:8443/cb"], "https://notes.example/about", True),
            (["https://notes.example/cb"], "https://bank.example/", False),
            (["https://notes.example/cb"], "https://www.notes.example/", False),
            (["http://127.0.0.1/cb"], "https://notes.example/about", False),
            (["http://localhost/cb"], "http://localhost/about", False),
        ],
    )
    def test_informational_uris_must_be_on_a_redirect_host(
        self, site: Site, redirect_uris: list[str], page: str, is_kept: bool
    ) -> None:
        content = register(site, CODE | {"redirect_uris": redirect_uris, "client_uri": page, "logo_uri": page})
        assert (content.get("client_uri") == page) is is_kept
        assert ("logo_uri" in content) is is_kept

    def test_duplicate_values_are_removed(self, site: Site) -> None:
        content = register(site, CODE | {"redirect_uris": CODE["redirect_uris"] * 3, "contacts": ["a@b"] * 2})
        assert content["redirect_uris"] == CODE["redirect_uris"]
        assert content["contacts"] == ["a@b"]


class TestSharing:
    """A million copies of a software are one client."""

    def test_identical_metadata_returns_the_same_client(self, site: Site) -> None:
        first = register(site)
        site.clock.forward(60)
        assert register(site) == first
        assert register(site, dict(reversed(CODE.items()))) == first
        assert len(clients(site)) == 1

    def test_the_order_of_metadata_does_not_matter(self, site: Site) -> None:
        first = register(site, CODE | {"redirect_uris": ["https://a.example/", "https://b.example/"]})
        second = register(
            site,
            CODE
            | {
                "redirect_uris": ["https://b.example/", "https://a.example/"],
                "grant_types": ["refresh_token", "authorization_code"],
                "scope": "mail",
            },
        )
        assert first["client_id"] == second["client_id"]

    @pytest.mark.parametrize(
        "change",
        [
            {"client_name": "notes"},
            {"redirect_uris": ["https://notes.example/CB"]},
            {"grant_types": ["authorization_code"]},
            {"software_version": "2"},
            {"client_uri": "https://notes.example/"},
            {"application_type": "native"},
        ],
    )
    def test_different_metadata_is_another_client(self, site: Site, change: dict[str, Any]) -> None:
        assert register(site)["client_id"] != register(site, CODE | change)["client_id"]

    @pytest.mark.spec("rfc8252", "7.3")
    def test_the_port_of_a_loopback_redirect_uri_is_ignored(self, site: Site) -> None:
        first = register(site, AGENT)
        second = register(site, AGENT | {"redirect_uris": ["http://127.0.0.1:50001/cb"]})
        assert first["client_id"] == second["client_id"]
        assert first["redirect_uris"] == ["http://127.0.0.1:33418/cb"], "each may use what it has named"
        assert second["redirect_uris"] == ["http://127.0.0.1:50001/cb"]
        assert clients(site)[0].redirect_uris == ("http://127.0.0.1/cb",)
        for answer in (first, second):
            code = site.authorize(client_id=answer["client_id"], redirect_uri=answer["redirect_uris"][0])["code"]
            form = {"client_id": answer["client_id"], "redirect_uri": answer["redirect_uris"][0]}
            assert site.redeem(code, **form).status_code == 200

    def test_a_shared_client_has_no_registration_access_token(self, site: Site) -> None:
        assert not {"registration_access_token", "registration_client_uri"} & set(register(site))
        assert clients(site)[0].registration_key is None

    def test_the_client_id_depends_on_the_secret_key(self, site: Site, tmp_path: Any) -> None:
        other = make_site(
            tmp_path,
            store=MemoryStore(),
            OAUTH2_DYNAMIC_REGISTRATION="open",
            OAUTH2_DEFAULT_SCOPE="profile mail",
            SECRET_KEY="another key",
        )
        assert register(site)["client_id"] != register(other)["client_id"]

    def test_changes_of_the_operator_are_returned(self, site: Site) -> None:
        client_id = register(site, AGENT)["client_id"]
        site.change_client(client_id, scope=("write",), redirect_uris=("http://127.0.0.1/other",))
        again = register(site, AGENT)
        assert (again["client_id"], again["scope"]) == (client_id, "write")
        assert again["redirect_uris"] == ["http://127.0.0.1/other"]

    def test_a_deleted_client_is_registered_under_another_id(self, site: Site) -> None:
        first = register(site)["client_id"]
        site.store.delete_client(first, int(NOW) + 10**7)
        second = register(site)["client_id"]
        assert second != first
        assert register(site)["client_id"] == second
        assert [client.client_id for client in clients(site)] == [second]

    def test_a_client_deleted_too_often_is_rejected(self, site: Site) -> None:
        for _ in range(8):
            site.store.delete_client(register(site)["client_id"], int(NOW) + 10**7)
        assert "deleted this client too often" in refused(site, CODE)

    def test_concurrent_registrations_return_the_same_client(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        store, add = site.store, site.store.add_client

        def add_twice(client: Any) -> bool:
            add(client)
            return bool(add(client))

        monkeypatch.setattr(store, "add_client", add_twice)
        first = register(site)
        assert first["client_id"] == clients(site)[0].client_id

    def test_a_concurrently_deleted_client_is_registered_again(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add, answers = site.store.add_client, [False]
        monkeypatch.setattr(site.store, "add_client", lambda client: answers.pop() if answers else add(client))
        content = register(site)
        assert content["client_id"] == clients(site)[0].client_id

    @pytest.mark.spec("rfc7591", "3")
    @pytest.mark.slow
    def test_ten_thousand_registrations_share_one_row(self, tmp_path: Any) -> None:
        from sqlalchemy import event

        site = make_site(tmp_path, OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_DEFAULT_SCOPE="profile")
        engine, seen = site.store.engine, Statements()
        register(site, AGENT)
        engine.dispose()
        event.listen(engine, "connect", lambda connection, _: connection.set_trace_callback(seen.append))
        ids = {
            register(site, AGENT | {"redirect_uris": [f"http://127.0.0.1:{port}/cb"]})["client_id"]
            for port in range(20_000, 30_000)
        }
        assert len(ids) == 1
        assert len(clients(site)) == 1
        engine.dispose()
        work = [text for text in seen.work() if "SELECT" not in text]
        assert not work, "a repetition writes nothing"
        assert len(seen.work()) <= 2 * 10_000 + 10


class TestHygiene:
    """What is not used goes, and nobody fills the store."""

    @pytest.mark.spec("rfc7591", "5")
    @pytest.mark.parametrize("metadata", [CODE, SERVER])
    def test_an_unused_client_is_purged(self, site: Site, metadata: dict[str, Any]) -> None:
        content = register(site, metadata)
        assert sum(site.store.purge(int(NOW) + 7 * 86400 - 1)) == 2, "the counters"
        assert clients(site)
        assert sum(site.store.purge(int(NOW) + 7 * 86400)) == 1
        assert not clients(site)
        if metadata is CODE:
            assert register(site, metadata)["client_id"] == content["client_id"], "it may come again"

    @pytest.mark.spec("rfc7591", "5")
    def test_the_first_token_retains_the_client(self, site: Site) -> None:
        content = register(site, CODE | {"redirect_uris": [CALLBACK]})
        assert clients(site)[0].expires_at == NOW + 7 * 86400
        site.authorize(client_id=content["client_id"])
        assert clients(site)[0].expires_at == NOW + 7 * 86400, "a code is no token"
        site.tokens(client_id=content["client_id"])
        assert clients(site)[0].expires_at is None
        assert sum(site.store.purge(int(NOW) + 10**8)) > 0
        assert clients(site)

    def test_an_implicit_token_retains_the_client(self, new_site: Callable[..., Site]) -> None:
        site = new_site(OAUTH2_GRANT_TYPES=["implicit"])
        site.add_client(grant_types=("implicit",), response_types=("token",), secret=None, expires_at=int(NOW) + 9)
        site.authorize(response_type="token", code_challenge=None, code_challenge_method=None)
        assert clients(site)[0].expires_at is None

    def test_a_client_purged_during_the_request_receives_no_token(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        content = register(site, CODE | {"redirect_uris": [CALLBACK]})
        code = site.authorize(client_id=content["client_id"])["code"]
        keep = site.store.retain_client

        def keep_late(client_id: str) -> Any:
            list(site.store.purge(int(NOW) + 7 * 86400))
            return keep(client_id)

        monkeypatch.setattr(site.store, "retain_client", keep_late)
        answer = site.redeem(code, client_id=content["client_id"])
        assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_client")

    @pytest.mark.parametrize(("days", "until"), [(1, 7), (3, 7), (4, 11), (6, 13), (8, 15)])
    def test_a_repetition_extends_the_expiry_after_half_the_lifetime(self, site: Site, days: int, until: int) -> None:
        register(site)
        site.clock.forward(days * 86400)
        register(site)
        assert clients(site)[0].expires_at == NOW + until * 86400

    def test_a_client_purged_during_a_repetition_is_registered_again(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = register(site)
        site.clock.forward(6 * 86400)
        keep = site.store.retain_client

        def keep_late(client_id: str, until: int) -> Any:
            list(site.store.purge(int(NOW) + 7 * 86400))
            return keep(client_id, until)

        monkeypatch.setattr(site.store, "retain_client", keep_late)
        assert register(site)["client_id"] == first["client_id"]
        assert clients(site)[0].expires_at == NOW + 13 * 86400

    def test_unused_clients_may_be_retained(self, new_site: Callable[..., Site]) -> None:
        site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_UNUSED_CLIENT_LIFETIME=0)
        register(site)
        assert clients(site)[0].expires_at is None

    @pytest.mark.spec("rfc7591", "3")
    @pytest.mark.parametrize("kind", [CODE, SERVER])
    def test_registrations_per_hour_are_limited(self, new_site: Callable[..., Site], kind: dict[str, Any]) -> None:
        site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_REGISTRATIONS_PER_HOUR=20)
        for number in range(20):
            register(site, kind | {"client_name": f"{number}"}, environ_base={"REMOTE_ADDR": f"192.0.2.{number}"})
        answer = send(site, kind | {"client_name": "more"}, environ_base={"REMOTE_ADDR": "192.0.2.99"})
        assert (answer.status_code, answer.get_json()["error"]) == (429, "temporarily_unavailable")
        assert 0 < int(answer.headers["Retry-After"]) <= 3600
        assert len(clients(site)) == 20
        if kind is CODE:
            register(site, kind | {"client_name": "7"})  # a repetition costs nothing
        site.clock.forward(3600)
        register(site, kind | {"client_name": "more"})

    @pytest.mark.spec("rfc7591", "3")
    def test_one_network_may_register_a_tenth_of_the_limit(self, new_site: Callable[..., Site]) -> None:
        site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_REGISTRATIONS_PER_HOUR=30)
        for number, address in enumerate(["2001:db8::1", "2001:db8::2", "2001:db8::a:0:0:3"]):
            register(site, CODE | {"client_name": f"{number}"}, environ_base={"REMOTE_ADDR": address})
        for number in range(30):
            answer = send(site, CODE | {"client_name": "more"}, environ_base={"REMOTE_ADDR": f"2001:db8::{number:x}"})
            assert answer.status_code == 429
        for number, address in enumerate(["2001:db8:0:1::1", "192.0.2.1", "192.0.2.2", ""] + ["192.0.2.3"] * 3):
            register(site, CODE | {"client_name": f"of another {number}"}, environ_base={"REMOTE_ADDR": address})

    @pytest.mark.spec("rfc7591", "3")
    def test_a_few_networks_do_not_exhaust_the_limit(self, new_site: Callable[..., Site]) -> None:
        site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_REGISTRATIONS_PER_HOUR=100)

        def ask(address: str, number: int) -> int:
            metadata = SERVER | {"client_name": f"{address} {number}"}
            return send(site, metadata, environ_base={"REMOTE_ADDR": address}).status_code

        answers = [ask(f"192.0.2.{network}", number) for network in range(20) for number in range(12)]
        assert answers.count(201) < 70
        assert ask("198.51.100.7", 0) == 201

    @pytest.mark.spec("rfc7591", "3")
    def test_one_address_may_register_many_clients(self, new_site: Callable[..., Site]) -> None:
        site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open")
        for number in range(200):
            register(site, SERVER | {"client_name": f"{number}"}, environ_base={"REMOTE_ADDR": "192.0.2.1"})

    @pytest.mark.spec("rfc7591", "3")
    def test_the_log_names_the_limit_option(
        self, new_site: Callable[..., Site], caplog: pytest.LogCaptureFixture
    ) -> None:
        site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_REGISTRATIONS_PER_HOUR=1)
        register(site, SERVER)
        assert send(site, SERVER).status_code == 429
        assert "increase OAUTH2_REGISTRATIONS_PER_HOUR" in caplog.text

    def test_rejected_registrations_do_not_count(self, new_site: Callable[..., Site]) -> None:
        site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_REGISTRATIONS_PER_HOUR=1)
        for _ in range(5):
            refused(site, SERVER | {"client_name": 7})
        register(site, SERVER)
        assert send(site, SERVER).status_code == 429

    @pytest.mark.spec("rfc7591", "3.2.1")
    def test_an_id_in_use_is_generated_again(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        drawn = iter(["a", "a", "b"])
        monkeypatch.setattr("flask_oauth2.clients.rules.new_client_id", lambda: next(drawn))
        assert [register(site, SERVER)["client_id"] for _ in range(2)] == ["a", "b"]


class TestConsent:
    @pytest.mark.spec("rfc7591", "5")
    def test_consent_is_required_each_time_for_an_unverified_client(self, site: Site) -> None:
        content = register(site, CODE | {"redirect_uris": [CALLBACK]})
        site.sign_in()
        for _ in range(2):
            page = site.ask(client_id=content["client_id"])
            assert page.status_code == 200
            assert site.allow(page).status_code == 303
        site.change_client(content["client_id"], registered_by="")
        assert site.ask(client_id=content["client_id"]).status_code == 303


class TestInitialAccessTokens:
    """Section 3: a resource, protected by Bearer tokens."""

    @pytest.fixture
    def site(self, new_site: Callable[..., Site]) -> Site:
        return new_site(OAUTH2_DYNAMIC_REGISTRATION="token", OAUTH2_DEFAULT_SCOPE="profile")

    @pytest.mark.spec("rfc7591", "3")
    def test_registration_without_a_token_is_challenged(self, site: Site) -> None:
        for headers in ({}, {"Authorization": "Basic YTpi"}):
            answer = site.http.post("/oauth/register", json=CODE, headers=headers)
            assert (answer.status_code, answer.text) == (401, "")
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="oauth2"'
        assert not clients(site)

    @pytest.mark.spec("rfc7591", "3")
    def test_an_initial_access_token_registers_one_client(
        self, site: Site, received: list[tuple[str, dict[str, Any]]]
    ) -> None:
        token = initial_token(site)
        content = register(site, CODE, token)
        assert content["registration_access_token"].startswith("ora_")
        (client,) = clients(site)
        assert (client.registered_by, client.is_unverified, client.expires_at) == ("token", True, NOW + 7 * 86400)
        assert received == [
            (
                "client_created",
                {"client_id": client.client_id, "registered_by": "token", "issuer": "https://login.example"},
            )
        ]
        answer = send(site, CODE, token)
        assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_token")
        assert len(clients(site)) == 1

    @pytest.mark.spec("rfc7591", "3.2.2")
    @pytest.mark.parametrize(
        "token", ["", "wrong", "oit_wrong", "oit_" + "x" * 50, "a,b", "ä".encode().decode("latin1")]
    )
    @pytest.mark.parametrize("mode", ["open", "token"])
    def test_an_invalid_initial_access_token_is_challenged(
        self, new_site: Callable[..., Site], token: str, mode: str
    ) -> None:
        site = new_site(OAUTH2_DYNAMIC_REGISTRATION=mode)
        answer = send(site, CODE, token)
        assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_token")
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="oauth2", error="invalid_token"')
        assert not clients(site)

    def test_an_authorization_code_is_not_an_initial_access_token(self, site: Site) -> None:
        site.add_client()
        code = site.authorize()["code"]
        assert send(site, CODE, code).status_code == 401

    def test_an_expired_initial_access_token_is_rejected(self, site: Site) -> None:
        token = initial_token(site, 60)
        site.clock.forward(60)
        assert send(site, CODE, token).status_code == 401

    @pytest.mark.spec("rfc7591", "3")
    def test_a_rejected_registration_does_not_consume_the_token(self, site: Site) -> None:
        token = initial_token(site)
        assert send(site, CODE | {"redirect_uris": ["http://a.example"]}, token).status_code == 400
        assert site.http.post("/oauth/register", headers={"Authorization": f"Bearer {token}"}).status_code == 400
        register(site, CODE, token)

    def test_concurrent_registrations_consume_the_token_once(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        token, get = initial_token(site), site.store.get_grant
        grant = get(values.key(token), "registration")
        register(site, CODE, token)
        monkeypatch.setattr(site.store, "get_grant", lambda key, kind: grant)  # read before the other spent it
        answer = send(site, CODE, token)
        assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_token")
        assert len(clients(site)) == 1

    def test_a_reusable_token_registers_several_clients(self, new_site: Callable[..., Site]) -> None:
        site = new_site(OAUTH2_DYNAMIC_REGISTRATION="token", OAUTH2_REGISTRATIONS_PER_HOUR=3)
        token, other = initial_token(site, 7200, reusable=True), initial_token(site, 7200, reusable=True)
        ids = {register(site, CODE, token)["client_id"] for _ in range(3)}
        assert len(ids) == 3, "each has its own"
        assert send(site, CODE, token).status_code == 429
        register(site, CODE, other)
        register(site, CODE, initial_token(site))
        site.clock.forward(3600)
        register(site, CODE, token)

    def test_an_initial_access_token_allows_client_credentials(self, site: Site) -> None:
        service = {"grant_types": ["client_credentials"]}
        content = register(site, service, initial_token(site))
        assert content["response_types"] == []
        auth = content["client_id"], content["client_secret"]
        assert site.token("client_credentials", auth).status_code == 200
        assert clients(site)[0].expires_at is None
        answer = send(site, service | {"token_endpoint_auth_method": "none"}, initial_token(site))
        assert answer.get_json()["error"] == "invalid_client_metadata"

    @pytest.mark.spec("rfc7592", "5")
    def test_failed_attempts_are_counted_per_address(self, site: Site) -> None:
        for _ in range(10):
            assert send(site, CODE, "guess").status_code == 401
        answer = send(site, CODE, "guess")
        assert (answer.status_code, answer.get_json()["error"]) == (429, "temporarily_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert send(site, CODE, "guess", environ_base={"REMOTE_ADDR": "192.0.2.1"}).status_code == 401
        register(site, CODE, initial_token(site))  # who has one is in nobody's way


class TestPolicy:
    """The application has a word in it."""

    def test_the_policy_receives_the_validated_metadata(self, site: Site) -> None:
        seen: list[Any] = []

        @site.provider.registration_policy
        def policy(metadata: Any, request: Any) -> None:
            seen.append((metadata, request.method, request.address))
            metadata["client_name"] = "changed in vain"

        content = register(site, CODE | {"unknown": 1, "grant_types": ["implicit", "authorization_code"]})
        metadata, *rest = seen[0]
        assert rest == ["POST", "127.0.0.1"]
        assert metadata["grant_types"] == ["authorization_code"]
        assert metadata["scope"] == "profile mail"
        assert "unknown" not in metadata
        assert content["client_name"] == "Notes"

    def test_the_policy_may_change_the_metadata(self, site: Site) -> None:
        @site.provider.registration_policy
        def policy(metadata: Any, request: Any) -> Any:
            return {**metadata, "client_name": f"{metadata['client_name']} (unverified)", "scope": "profile write"}

        content = register(site, CODE)
        assert (content["client_name"], content["scope"]) == ("Notes (unverified)", "profile write")
        assert register(site, CODE)["client_id"] == content["client_id"]

    def test_the_policy_may_grant_more_than_the_default(self, new_site: Callable[..., Site]) -> None:
        site = new_site(
            OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_GRANT_TYPES=["authorization_code", "client_credentials"]
        )
        asked = SERVER | {"grant_types": ["authorization_code", "client_credentials"]}

        @site.provider.registration_policy
        def policy(metadata: Any, request: Any) -> Any:
            more = ["client_credentials"] if request.json["client_name"] == "Partner" else []
            return {**metadata, "grant_types": [*metadata["grant_types"], *more]}

        assert register(site, asked | {"client_name": "Partner"})["grant_types"] == asked["grant_types"]
        assert register(site, asked)["grant_types"] == ["authorization_code"]

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"scope": "unknown"}, "invalid_client_metadata"),
            ({"scope": 'pro"file'}, "invalid_client_metadata"),
            ({"scope": ["profile"]}, "invalid_client_metadata"),
            ({"redirect_uris": ["http://a.example"]}, "invalid_redirect_uri"),
            ({"grant_types": ["password"]}, "invalid_client_metadata"),
            ({"client_name": 7}, "invalid_client_metadata"),
        ],
    )
    def test_the_result_of_the_policy_is_validated(self, site: Site, change: dict[str, Any], error: str) -> None:
        site.provider.registration_policy(lambda metadata, request: {**metadata, **change})
        refused(site, CODE, error)

    def test_the_policy_may_reject_a_registration(self, site: Site) -> None:
        @site.provider.registration_policy
        def policy(metadata: Any, request: Any) -> None:
            if metadata["client_name"] == "Bank":
                raise InvalidClientMetadata("client_name: is taken")
            raise AccessDenied("not from here", status=403)

        assert refused(site, CODE | {"client_name": "Bank"}) == "client_name: is taken"
        answer = send(site, CODE)
        assert (answer.status_code, answer.get_json()["error"]) == (403, "access_denied")

    def test_an_invalid_policy_result_is_a_type_error(self, site: Site) -> None:
        site.provider.registration_policy(lambda metadata, request: True)
        with pytest.raises(TypeError, match="registration policy"):
            send(site, CODE)

    def test_a_second_policy_is_a_configuration_error(self, site: Site) -> None:
        site.provider.registration_policy(lambda metadata, request: None)
        with pytest.raises(ConfigurationError, match="registered already"):
            site.provider.registration_policy(lambda metadata, request: None)
