"""What a client may be: each rule with what it lets pass and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flask_oauth2 import Client, MemoryStore, values
from flask_oauth2.assembly import build
from flask_oauth2.assembly.extensions import Extensions
from flask_oauth2.clients import rules
from flask_oauth2.clients.authentication.none import NoAuthentication
from flask_oauth2.clients.metadata import page_names
from flask_oauth2.clients.rules import InvalidMetadata
from flask_oauth2.clients.secrets import check_secret, generate_secret, is_secret
from flask_oauth2.grants.implicit import ImplicitToken
from flask_oauth2.server import AuthorizationServer
from flask_oauth2.settings import Settings

CLIENT = Client(
    client_id="web",
    name="Photo Album",
    secret="a hash",
    redirect_uris=("https://client.example/back",),
    scope=("profile",),
)
SERVICE = replace(CLIENT, redirect_uris=(), response_types=(), grant_types=("client_credentials",))
PUBLIC = replace(CLIENT, auth_method="none", secret=None)
SHIPPED = replace(CLIENT, application_type="native")
"""A native application whose secret is in every copy."""
NATIVE = replace(PUBLIC, application_type="native", redirect_uris=("com.example.app:/back",))
IMPLICIT = replace(CLIENT, grant_types=("implicit",), response_types=("token",))


class MeshIdentity(NoAuthentication):
    """A method without a secret."""

    name = "mesh_identity"


class Picture(ImplicitToken):
    """A second response type of a grant."""

    name = "picture"


class Ticket(ImplicitToken):
    """A response type that needs no grant of the token endpoint."""

    name = "ticket"
    grant_type = "urn:example:ticket"


@pytest.fixture
def server() -> AuthorizationServer:
    settings = Settings(grant_types=("authorization_code", "client_credentials", "refresh_token", "implicit"))
    return build(settings, MemoryStore, Extensions(auth_methods={"mesh_identity": MeshIdentity()}))


def changed(base: Client, **fields: Any) -> Any:
    return pytest.param(replace(base, **fields), id=repr(fields))


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(client, id=name)
        for name, client in {
            "web": CLIENT,
            "service": SERVICE,
            "public": PUBLIC,
            "native": NATIVE,
            "implicit": IMPLICIT,
        }.items()
    ],
)
def test_common_clients_pass(server: AuthorizationServer, client: Client) -> None:
    rules.check(client, server)


def test_the_error_names_the_field_and_the_reason(server: AuthorizationServer) -> None:
    with pytest.raises(ValueError, match=r"\Ascope: ") as caught:
        rules.check(replace(CLIENT, scope=('a"b',)), server)
    assert isinstance(caught.value, InvalidMetadata)
    assert caught.value.field == "scope"
    assert "RFC 6749 section 3.3" in caught.value.reason


def refused(server: AuthorizationServer, client: Client) -> InvalidMetadata:
    with pytest.raises(InvalidMetadata) as caught:
        rules.check(client, server)
    return caught.value


@pytest.mark.spec("rfc6749", "A.1")
@pytest.mark.parametrize("client_id", ["a", "~ !\\\"'", "x" * 255])
def test_client_ids_of_visible_characters_pass(server: AuthorizationServer, client_id: str) -> None:
    rules.check(replace(CLIENT, client_id=client_id), server)


@pytest.mark.spec("client-id-metadata-document", "6.9")
@pytest.mark.parametrize("client_id", ["https://client.example/c", "HTTPS://client.example", "https://"])
def test_nobody_registers_an_id_that_looks_like_that_of_a_document(server: AuthorizationServer, client_id: str) -> None:
    assert refused(server, replace(PUBLIC, client_id=client_id)).field == "client_id"
    with pytest.raises(InvalidMetadata, match="https://"):
        rules.check_client_id(client_id)
    rules.check_client_id("client.example")


@pytest.mark.spec("rfc6749", "2.3.1")
@pytest.mark.parametrize("client_id", ["urn:client", "a+b", "100%"])
def test_ids_that_clients_garble_by_basic_are_for_those_without_a_secret(
    server: AuthorizationServer, client_id: str
) -> None:
    assert refused(server, replace(CLIENT, client_id=client_id)).field == "client_id"
    public = replace(CLIENT, client_id=client_id, auth_method="none", secret=None)
    if "client_credentials" in public.grant_types:
        public = replace(public, grant_types=tuple(set(public.grant_types) - {"client_credentials"}))
    rules.check(public, server)


@pytest.mark.spec("rfc6749", "A.1")
@pytest.mark.parametrize("client_id", ["", "x" * 256, "é", "a\n", "a\tb", "\x7f"])
def test_other_client_ids_are_refused(server: AuthorizationServer, client_id: str) -> None:
    assert refused(server, replace(CLIENT, client_id=client_id)).field == "client_id"


@pytest.mark.spec("rfc7591", "2")
@pytest.mark.parametrize("name", ["", "Photo Album", "Ærøskøbing 写真", "x" * 100])
def test_names_that_people_can_read_pass(server: AuthorizationServer, name: str) -> None:
    rules.check(replace(CLIENT, name=name), server)


@pytest.mark.spec("rfc7591", "5")
@pytest.mark.parametrize(
    "name",
    [
        "x" * 101,
        "a\nb",
        "a\x1b[31m",
        "Pay\u3164Pal",
        "a\u0301\u0301\u0301\u0301\u0301",
        "safe\u202eelpmaxe",
        " padded",
        "   ",
    ],
)
def test_names_that_hide_something_are_refused(server: AuthorizationServer, name: str) -> None:
    assert refused(server, replace(CLIENT, name=name)).field == "client_name"


@pytest.mark.spec("rfc8252", "8.4")
def test_an_application_is_web_or_native(server: AuthorizationServer) -> None:
    assert refused(server, replace(CLIENT, application_type="desktop")).field == "application_type"


@pytest.mark.spec("rfc7591", "2")
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "mesh_identity"])
def test_methods_that_are_offered_pass(server: AuthorizationServer, method: str) -> None:
    rules.check(replace(CLIENT, auth_method=method), server)


@pytest.mark.spec("rfc7591", "2")
def test_another_method_is_refused(server: AuthorizationServer) -> None:
    error = refused(server, replace(CLIENT, auth_method="tls_client_auth"))
    assert error.field == "token_endpoint_auth_method"
    assert "none, client_secret_basic, client_secret_post, private_key_jwt, mesh_identity" in error.reason


@pytest.mark.spec("rfc9700", "2.6")
@pytest.mark.parametrize(
    "client",
    [
        changed(CLIENT, redirect_uris=("https://client.example/back", "http://client.example/back")),
        changed(CLIENT, redirect_uris=("https://client.example/*",)),
        changed(CLIENT, redirect_uris=("https://client.example/#top",)),
        changed(CLIENT, redirect_uris=("javascript:alert(1)",)),
        changed(PUBLIC, redirect_uris=("view-source:https://client.example/",)),
    ],
)
def test_redirect_uris_that_lead_astray_are_refused(server: AuthorizationServer, client: Client) -> None:
    error = refused(server, client)
    assert error.field == "redirect_uris"
    assert repr(client.redirect_uris[-1]) in error.reason


@pytest.mark.spec("rfc7591", "5")
@pytest.mark.parametrize("client", [CLIENT, PUBLIC, IMPLICIT])
def test_whoever_has_a_response_type_needs_a_redirect_uri(server: AuthorizationServer, client: Client) -> None:
    error = refused(server, replace(client, redirect_uris=()))
    assert error.field == "redirect_uris"
    assert "at least one" in error.reason


@pytest.mark.spec("rfc7591", "2")
def test_a_grant_that_is_not_offered_is_refused(server: AuthorizationServer) -> None:
    error = refused(server, replace(CLIENT, grant_types=("authorization_code", "password")))
    assert error.field == "grant_types"
    assert "'password'" in error.reason


def test_a_client_without_a_grant_only_introspects(server: AuthorizationServer) -> None:
    idle = replace(SERVICE, grant_types=())
    rules.check(replace(idle, resource_server=True), server)
    assert refused(server, idle).field == "grant_types"


@pytest.mark.spec("rfc6749", "6")
@pytest.mark.parametrize("others", [(), ("client_credentials",), ("implicit",)])
def test_refresh_needs_a_grant_that_gives_refresh_tokens(server: AuthorizationServer, others: tuple[str, ...]) -> None:
    types = ("token",) if "implicit" in others else ()
    client = replace(CLIENT, grant_types=(*others, "refresh_token"), response_types=types)
    error = refused(server, client)
    assert error.field == "grant_types"
    assert "refresh_token" in error.reason
    code = replace(client, grant_types=(*client.grant_types, "authorization_code"), response_types=(*types, "code"))
    rules.check(code, server)


@pytest.mark.spec("rfc7591", "2")
@pytest.mark.parametrize("text", ["code token", "token code"])
def test_response_types_are_sets_of_words(server: AuthorizationServer, text: str) -> None:
    grants = ("authorization_code", "implicit")
    rules.check(replace(CLIENT, grant_types=grants, response_types=(text,)), server)


@pytest.mark.spec("rfc7591", "2")
@pytest.mark.parametrize("text", ["", "id_token", "code id_token", "code code", "code  token", "Code"])
def test_other_response_types_are_refused(server: AuthorizationServer, text: str) -> None:
    error = refused(server, replace(CLIENT, response_types=(text,)))
    assert error.field == "response_types"
    assert "code, token, code token" in error.reason


def test_where_no_response_type_is_offered_none_is_named() -> None:
    server = build(Settings(grant_types=("client_credentials",)), MemoryStore)
    rules.check(SERVICE, server)
    assert "Remove it" in refused(server, replace(SERVICE, response_types=("code",))).reason


@pytest.mark.spec("rfc7591", "2.1")
@pytest.mark.parametrize(
    ("grant_types", "response_types", "field"),
    [
        (("authorization_code",), (), "grant_types"),
        (("implicit",), (), "grant_types"),
        (("authorization_code", "implicit"), ("code",), "grant_types"),
        (("client_credentials",), ("code",), "response_types"),
        (("authorization_code",), ("code", "token"), "response_types"),
        (("authorization_code",), ("code token",), "response_types"),
    ],
)
def test_contradicting_grant_and_response_types_are_refused(
    server: AuthorizationServer, grant_types: tuple[str, ...], response_types: tuple[str, ...], field: str
) -> None:
    error = refused(server, replace(CLIENT, grant_types=grant_types, response_types=response_types))
    assert error.field == field


@pytest.mark.spec("rfc7591", "2.1")
@pytest.mark.parametrize(
    "grant_types", [("authorization_code",), ("implicit",), ("implicit", "authorization_code"), ("client_credentials",)]
)
def test_the_default_response_types_agree_with_the_grants(
    server: AuthorizationServer, grant_types: tuple[str, ...]
) -> None:
    response_types = rules.default_response_types(grant_types, server)
    rules.check(replace(CLIENT, grant_types=grant_types, response_types=response_types), server)


def test_a_grant_has_one_response_type_by_default() -> None:
    parts = Extensions(response_types={"picture": Picture(), "ticket": Ticket()})
    server = build(Settings(grant_types=("implicit", "client_credentials")), MemoryStore, parts)
    assert rules.default_response_types(("implicit",), server) == ("token",)
    rules.check(replace(IMPLICIT, response_types=("picture",)), server)


@pytest.mark.spec("rfc6749", "3.3")
@pytest.mark.parametrize("word", ["", "a b", 'a"b', "a\\b", "é"])
def test_scope_words_follow_the_grammar(server: AuthorizationServer, word: str) -> None:
    assert refused(server, replace(CLIENT, scope=(word,))).field == "scope"


@pytest.mark.spec("rfc6749", "3.3")
def test_scope_words_are_known_where_the_application_says_what_it_knows() -> None:
    server = build(Settings(scopes={"profile": "Your name", "mail": "Your mail"}), MemoryStore)
    rules.check(replace(CLIENT, scope=("mail", "profile")), server)
    error = refused(server, replace(CLIENT, scope=("mail", "everything")))
    assert error.field == "scope"
    assert "everything" in error.reason
    assert "OAUTH2_SCOPES" in error.reason


def test_a_token_format_is_one_that_is_there(server: AuthorizationServer) -> None:
    rules.check(replace(CLIENT, token_format="opaque"), server)
    error = refused(server, replace(CLIENT, token_format="jwe"))
    assert error.field == "token_format"
    assert "opaque, signed" in error.reason


@pytest.mark.spec("rfc6749", "4.4")
def test_client_credentials_is_for_confidential_clients(server: AuthorizationServer) -> None:
    rules.check(SERVICE, server)
    assert refused(server, replace(SERVICE, auth_method="none", secret=None)).field == "grant_types"
    assert "in every copy" in refused(server, replace(SERVICE, application_type="native")).reason
    rules.check(replace(SERVICE, application_type="native", registered_by="token"), server)


@pytest.mark.spec("rfc9700", "2.1.1")
@pytest.mark.spec("oauth-v2-1", "8.1")
def test_a_public_client_is_not_excused_from_pkce(server: AuthorizationServer) -> None:
    rules.check(replace(CLIENT, pkce_required=False), server)
    rules.check(replace(PUBLIC, pkce_required=True), server)
    assert refused(server, replace(PUBLIC, pkce_required=False)).field == "pkce_required"
    assert refused(server, replace(SHIPPED, pkce_required=False)).field == "pkce_required"


@pytest.mark.spec("rfc7662", "2.1")
def test_a_public_client_does_not_introspect(server: AuthorizationServer) -> None:
    rules.check(replace(CLIENT, resource_server=True), server)
    assert refused(server, replace(PUBLIC, resource_server=True)).field == "resource_server"
    assert refused(server, replace(SHIPPED, resource_server=True)).field == "resource_server"


@pytest.mark.spec("rfc6749", "2.3.1")
def test_a_secret_is_there_where_one_is_needed_and_nowhere_else(server: AuthorizationServer) -> None:
    rules.check(replace(CLIENT, auth_method="mesh_identity", secret=None), server)
    assert refused(server, replace(CLIENT, secret=None)).field == "client_secret"
    assert refused(server, replace(CLIENT, secret="")).field == "client_secret"
    assert refused(server, replace(PUBLIC, secret="a hash")).field == "client_secret"


@pytest.mark.spec("rfc7591", "2")
@pytest.mark.parametrize("name", page_names())
@pytest.mark.parametrize("page", ["https://client.example/a?b=c#d", "http://localhost:5000/", "http://[::1]/logo.png"])
def test_pages_by_https_pass(server: AuthorizationServer, name: str, page: str) -> None:
    rules.check(replace(CLIENT, metadata={name: page}), server)


@pytest.mark.spec("rfc7591", "5")
@pytest.mark.parametrize("name", page_names())
@pytest.mark.parametrize(
    "page",
    [
        "http://client.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        "//client.example/",
        "https://",
        "https://client.example:0/",
        "https://client.example:99999/",
        "https://[client.example/",
        "https://shop@client.example/",
        'https://client.example/"><script>',
        "https://client.example/\n",
        "",
        None,
        7,
    ],
)
def test_other_pages_are_refused(server: AuthorizationServer, name: str, page: Any) -> None:
    assert refused(server, replace(CLIENT, metadata={name: page})).field == name


@pytest.mark.spec("rfc7591", "2")
def test_contacts_are_lines(server: AuthorizationServer) -> None:
    rules.check(replace(CLIENT, metadata={"contacts": ["ada@client.example", "+44 20 7946 0000"]}), server)
    for contacts in ("ada@client.example", ["a\nb"], [""], [7], ["x" * 256], None):
        assert refused(server, replace(CLIENT, metadata={"contacts": contacts})).field == "contacts"


@pytest.mark.spec("rfc7591", "2")
def test_unknown_metadata_is_refused(server: AuthorizationServer) -> None:
    error = refused(server, replace(CLIENT, metadata={"client_url": "https://client.example/"}))
    assert error.field == "client_url"
    assert "client_uri" in error.reason


@pytest.mark.spec("rfc6749", "A.2")
@pytest.mark.parametrize("secret", ["correct horse battery", "x" * 16, "x" * 255])
def test_a_chosen_secret_passes(secret: str) -> None:
    check_secret(secret)


@pytest.mark.spec("rfc6749", "10.10")
@pytest.mark.parametrize(
    "secret",
    [
        "",
        "x" * 15,
        "x" * 256,
        "correct horse bättery",
        "correct horse\nbattery",
        "correct+horse battery",
        "100%correct horse",
    ],
)
def test_a_chosen_secret_that_is_weak_or_unsendable_is_refused(secret: str) -> None:
    with pytest.raises(InvalidMetadata) as caught:
        check_secret(secret)
    assert caught.value.field == "client_secret"
    assert not secret or secret not in str(caught.value)


@pytest.mark.spec("rfc6749", "2.2")
def test_new_ids_differ_and_are_no_options() -> None:
    ids = {rules.new_client_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(client_id.isalnum() for client_id in ids)
    for client_id in ids:
        rules.check_client_id(client_id)


@pytest.mark.spec("rfc6749", "10.10")
def test_new_secrets_bear_the_prefix() -> None:
    server = build(Settings.load({"OAUTH2_TOKEN_PREFIXES": {"client_secret": "shh"}}), MemoryStore)
    (first, stored), (second, _) = (generate_secret(server, 1_800_000_000.5) for _ in range(2))
    assert is_secret(first, stored)
    assert not is_secret(second, stored)
    assert first != second
    assert first.startswith("shh_")
    assert not values.key(first).startswith(values.NO_TIMESTAMP)
    check_secret(first)
