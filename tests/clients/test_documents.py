"""Client ID metadata documents: real servers, the whole flow, and all that a document or its server can have wrong."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from document_server import JSON, DocumentServer, client_tls, serve_documents, server_tls

from flask_oauth2 import Client, ConfigurationError, MemoryStore, User, current_token, values
from flask_oauth2.assembly import build
from flask_oauth2.clients import document_cache, documents
from flask_oauth2.clients.document_cache import (
    FAILED_FOR,
    LONGEST,
    MOST_AT_ONCE,
    MOST_OF_HOST,
    MOST_STALE,
    SHORTEST,
    Documents,
    Failure,
    find_lifetime,
)
from flask_oauth2.clients.documents import find_fault, is_url, read
from flask_oauth2.clients.rules import InvalidMetadata
from flask_oauth2.errors import FetchError, TemporarilyUnavailable
from flask_oauth2.http.fetch import Fetched, fetch
from flask_oauth2.resources import Resource
from flask_oauth2.settings import Settings
from flask_oauth2.testing.samples import new_authorization, new_grant, save_record
from oauth_site import NOW, Site, answer_of, make_site

DRAFT = "draft-ietf-oauth-client-id-metadata-document"
URL = "https://agent.example/oauth/client.json"

GOOD_IDS = [
    URL,
    "https://agent.example:8443/c",
    "https://agent.example/c/",
    "https://agent.example//c",
    "https://agent.example/a..b/.c/...",
    "https://agent.example/%41%2ec",
    "https://xn--bcher-kva.example/c",
    "https://[2606:2800:220:1::1]/c",
    "https://93.184.216.34/c",
    "https://a.example/" + "c" * 237,
]
BAD_IDS = {
    "https://agent.example": "no path",
    "https://agent.example/": "no path",
    "http://agent.example/c": "must begin with https",
    "http://localhost/c": "must begin with https",
    "https://agent.example/a/../c": "with . or ..",
    "https://agent.example/./c": "with . or ..",
    "https://agent.example/c/..": "with . or ..",
    "https://agent.example/%2e%2e/c": "with . or ..",
    "https://agent.example/.%2E/c": "with . or ..",
    "https://agent.example/a%2f..%2fc": "with . or ..",
    "https://agent.example/a%5c%2e%2e%5cc": "with . or ..",
    "https://u:p@agent.example/c": "name or a password",
    "https://agent.example@evil.example/c": "name or a password",
    "https://agent.example/c#x": "fragment",
    "https://agent.example/c#": "fragment",
    "https://agent.example/c?x=1": "query",
    "https://agent.example/c?": "query",
    "https:///c": "names no host",
    "https://.agent.example/c": "not a domain name",
    "https://agent.example./c": "not a domain name",
    "https://agent_x.example/c": "not a host name",
    "https://agent.example:0/c": "no URL",
    "https://agent.example:080/c": "a port",
    "https://agent%2eexample/c": "percent-encoding",
    "https://2130706433/c": "not an IPv4 address",
    "https://0x7f.1/c": "not an IPv4 address",
    "https://[::ffff:127.0.0.1]/c": "IPv6 address",
    "https://[0:0:0:0:0:0:0:1]/c": "IPv6 address",
    "https://xn--agent-.example/c": "Punycode",
    "HTTPS://agent.example/c": "upper case",
    "Http://agent.example/c": "must begin with https",
    "https://agent.example:99999/c": "no URL",
    "https://[::1/c": "no URL",
    "https://agent.example/c d": "a character",
    "https://agent.example/c\\d": "a character",
    "https://bücher.example/c": "a character",
    "https://agent.example/%4": "a character",
    "https://agent.example/c\n": "a character",
    "https://a.example/" + "c" * 238: "255 characters",
}


def is_document_id(client_id: str, own_hosts: Any = ()) -> bool:
    """Whether a document may be fetched by this client_id."""
    return is_url(client_id) and find_fault(client_id, own_hosts) is None


@pytest.mark.spec("client-id-metadata-document", "3")
@pytest.mark.parametrize("client_id", GOOD_IDS)
def test_a_url_that_is_a_client_id(client_id: str) -> None:
    assert find_fault(client_id) is None
    assert is_document_id(client_id)


@pytest.mark.spec("client-id-metadata-document", "3")
@pytest.mark.parametrize("client_id", BAD_IDS, ids=lambda client_id: client_id[:40])
def test_a_url_that_is_none(client_id: str) -> None:
    assert BAD_IDS[client_id] in str(find_fault(client_id))
    assert not is_document_id(client_id)


def test_other_ids_are_no_urls() -> None:
    for client_id in ("web", "urn:client", "HTTPS://agent.example/c", "ftp://agent.example/c", ""):
        assert not is_document_id(client_id)


def test_http_is_for_named_hosts_of_this_machine() -> None:
    named = ("localhost:8000", "127.0.0.1", "[::1]:8000", "intranet")
    for good in ("http://localhost:8000/c", "http://127.0.0.1/c", "http://127.0.0.1:80/c", "http://[::1]:8000/c"):
        assert is_document_id(good, named)
    for bad in ("http://localhost:8001/c", "http://localhost/c", "http://127.0.0.1:81/c", "http://intranet/c"):
        assert not is_document_id(bad, named)


def test_the_host_of_an_id() -> None:
    assert documents.host_of("https://agent.example:8443/c") == "agent.example:8443"
    for other in ("web", "urn:client", "https://["):
        assert documents.host_of(other) is None


def test_a_host_is_named_with_or_without_the_usual_port() -> None:
    for named in ("intranet", "intranet:443"):
        assert documents.is_own("https://intranet/c", (named,))
        assert documents.is_own("https://INTRANET:443/c", (named,))
        assert not documents.is_own("https://intranet:8443/c", (named,))
    assert documents.is_own("https://intranet:8443/c", ("intranet:8443",))


def test_any_port_of_a_host_can_be_named() -> None:
    for url in ("http://localhost:8123/c", "https://LOCALHOST/c", "http://localhost/c"):
        assert documents.is_own(url, ("localhost:*",))
    assert documents.is_own("http://[::1]:5/c", ("[::1]:*",))
    assert not documents.is_own("https://localhost.evil.example:8123/c", ("localhost:*",))
    assert not documents.is_own("http://127.0.0.1:8123/c", ("localhost:*",))
    assert find_fault("http://localhost:8123/c", ("localhost:*",)) is None
    assert find_fault("http://intranet:8123/c", ("intranet:*",)) == "must begin with https://"


@pytest.mark.spec("client-id-metadata-document", "4.4")
@pytest.mark.parametrize(
    ("headers", "lifetime"),
    [
        ({}, 3600),
        ({"cache-control": "max-age=7200"}, 7200),
        ({"cache-control": 'public, Max-Age="7200"'}, 7200),
        ({"cache-control": "max-age=7200", "age": "7000"}, SHORTEST),
        ({"cache-control": "max-age=7200", "age": "1000"}, 6200),
        ({"cache-control": "max-age=7200", "age": "soon"}, 7200),
        ({"cache-control": "max-age=1"}, SHORTEST),
        ({"cache-control": "max-age=31536000"}, LONGEST),
        ({"cache-control": "max-age=99999999999999999999"}, LONGEST),
        ({"cache-control": "max-age=-1"}, 3600),
        ({"cache-control": "no-store, max-age=7200"}, SHORTEST),
        ({"cache-control": "no-cache"}, SHORTEST),
        ({"cache-control": "public", "expires": "Fri, 15 Jan 2027 10:00:00 GMT"}, 7200),
        ({"expires": "Fri, 15 Jan 2021 10:00:00 GMT"}, SHORTEST),
        ({"expires": "0"}, SHORTEST),
        ({"expires": "Fri, 15 Jan 9999999 10:00:00 GMT"}, SHORTEST),
    ],
)
def test_how_long_a_document_is_kept(headers: dict[str, str], lifetime: int) -> None:
    assert find_lifetime(headers, NOW) == lifetime


@pytest.fixture
def site(new_site: Any) -> Site:
    return open_site(new_site)


def open_site(new_site: Any, **options: Any) -> Site:
    options = {"OAUTH2_DEFAULT_SCOPE": "profile mail write", **options}
    site: Site = new_site(OAUTH2_CLIENT_ID_METADATA_DOCUMENTS=True, **options)
    assert site.server.documents is not None  # built, with the clock of the test
    return site


def document(**members: Any) -> dict[str, Any]:
    good = {"client_id": URL, "client_name": "Agent", "redirect_uris": ["https://agent.example/cb"]}
    return {name: value for name, value in (good | members).items() if value is not None}


def read_document(site: Site, body: Any, content_type: str = "application/json") -> Client:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read(Fetched({"content-type": content_type}, sent), URL, site.server)


def test_what_a_client_is_of_which_little_is_said(site: Site) -> None:
    assert read_document(site, document()) == Client(
        client_id=URL,
        name="Agent",
        auth_method="none",
        application_type="web",
        redirect_uris=("https://agent.example/cb",),
        grant_types=("authorization_code",),
        response_types=("code",),
        scope=("profile", "mail", "write"),
        created_at=int(NOW),
        registered_by="document",
    )


@pytest.mark.spec("client-id-metadata-document", "4.1")
def test_grant_types_and_scope_are_wishes(site: Site, new_site: Any) -> None:
    wish = document(
        grant_types=["refresh_token", "authorization_code", "client_credentials", "password", "urn:x:y"],
        response_types=["code", "token", "id_token"],
        scope="admin root",
        software_statement="x",
        jwks={"keys": []},
        application_type="web",
        new=[{"a": None}],
    )
    client = read_document(site, wish)
    assert client.grant_types == ("authorization_code", "refresh_token")
    assert client.response_types == ("code",)
    assert client.scope == ("profile", "mail", "write")
    poorer = open_site(new_site, OAUTH2_GRANT_TYPES=["authorization_code"], OAUTH2_DEFAULT_SCOPE="mail")
    client = read_document(poorer, wish)
    assert client.grant_types == ("authorization_code",)
    assert client.scope == ("mail",)


def test_the_device_grant_where_it_is_offered(site: Site, new_site: Any) -> None:
    device = "urn:ietf:params:oauth:grant-type:device_code"
    wish = document(grant_types=[device], response_types=[])
    with pytest.raises(InvalidMetadata, match="grant_types"):
        read_document(site, wish)
    offering = open_site(new_site, OAUTH2_GRANT_TYPES=["authorization_code", "device_code"])
    client = read_document(offering, wish)
    assert client.grant_types == (device,)
    assert client.response_types == ()


def test_programs_of_a_computer_may_have_any_port(site: Site) -> None:
    for uris in (["http://localhost/cb"], ["https://agent.example/cb", "http://127.0.0.1/cb"], ["com.example.app:/cb"]):
        client = read_document(site, document(redirect_uris=uris, application_type="web"))
        assert client.application_type == "native"
        assert client.redirect_uris == tuple(uris)


@pytest.mark.spec("client-id-metadata-document", "6.5")
@pytest.mark.spec("client-id-metadata-document", "6.7")
def test_links_lead_to_the_clients_own_host_and_no_image_is_shown(site: Site) -> None:
    own = {
        "client_uri": "https://agent.example/",
        "tos_uri": "https://agent.example/terms",
        "policy_uri": "https://agent.example/privacy",
    }
    assert read_document(site, document(**own, logo_uri="https://agent.example/logo.png")).metadata == own
    others = ("https://bank.example/", "http://agent.example/", "javascript:alert(1)", "https://[", "", "x")
    for elsewhere in others:
        assert read_document(site, document(client_uri=elsewhere, logo_uri="http://10.0.0.5/x")).metadata == {}


@pytest.mark.spec("client-id-metadata-document", "4.1")
def test_a_document_for_every_server_names_several_methods(site: Site) -> None:
    """The first one that the server has is that of the client, as in the document of ChatGPT."""
    more = {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://agent.example/jwks.json"}
    assert read_document(site, document(**more)).auth_method == "private_key_jwt"
    both = document(**more, token_endpoint_auth_methods_supported=["private_key_jwt", "none"])
    assert read_document(site, both).auth_method == "private_key_jwt"
    for first, chosen in (("none", "none"), ("tls_client_auth", "private_key_jwt")):
        assert read_document(site, both | {"token_endpoint_auth_method": first}).auth_method == chosen
    with pytest.raises(InvalidMetadata, match="tls_client_auth is not offered"):
        read_document(site, document(**more | {"token_endpoint_auth_method": "tls_client_auth"}))
    with pytest.raises(InvalidMetadata, match="jwks: is missing"):
        read_document(site, document(token_endpoint_auth_method="private_key_jwt"))
    with pytest.raises(InvalidMetadata, match="token_endpoint_auth_method"):
        read_document(site, both | {"token_endpoint_auth_method": "client_secret_post"})


@pytest.mark.spec("client-id-metadata-document", "4.1")
@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/oauth-client+json",
        "application/cimd+json;v=1",
    ],
)
def test_json_and_its_kinds_will_do(site: Site, content_type: str) -> None:
    assert read_document(site, document(), content_type).name == "Agent"


@pytest.mark.spec("client-id-metadata-document", "4.1")
@pytest.mark.parametrize(
    "content_type", ["", "text/html", "text/plain", "text/json", "application/jsonp", "application/+json", "json"]
)
def test_other_kinds_will_not(site: Site, content_type: str) -> None:
    with pytest.raises(InvalidMetadata, match="Content-Type"):
        read_document(site, document(), content_type)


@pytest.mark.spec("client-id-metadata-document", "4.1")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe{}",
        json.dumps(document()).encode("utf-16"),
        b"\xef\xbb\xbf{}",
        b"[" * 5000,
        b'{"a":' * 1000,
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"client_id": "a", "client_id": "b"}',
        b'{"a": {"b": 1, "b": 2}}',
    ],
)
def test_whatever_is_no_json_object(site: Site, body: bytes) -> None:
    with pytest.raises(InvalidMetadata, match="the body"):
        read_document(site, body)


WRONG: list[tuple[str, dict[str, Any]]] = [
    *[("client_id", {"client_id": other}) for other in (None, URL + "/", URL.upper(), 7, [URL], "")],
    *[("client_id", {"client_id": URL.replace("agent", "AGENT")})],
    *[("client_name", {"client_name": name}) for name in (None, "", 7, ["Agent"], {"a": 1})],
    *[("redirect_uris", {"redirect_uris": uris}) for uris in (None, [], "https://agent.example/cb", [7], {"a": "b"})],
    *[
        ("redirect_uris", {"redirect_uris": [uri]})
        for uri in (
            "",
            "/cb",
            "http://agent.example/cb",
            "javascript:alert(1)",
            "data:text/html,x",
            "view-source:https://agent.example/cb",
            "https://agent.example%2eevil.example/cb",
            "https://agent.example/*",
            "https://agent.example/cb#x",
            "https://u:p@agent.example/cb",
            "https://[",
        )
    ],
    *[
        ("token_endpoint_auth_method", {"token_endpoint_auth_method": method})
        for method in (
            *("client_secret_basic", "client_secret_post", "client_secret_jwt", "tls_client_auth"),
            *("", 7, ["none"]),
        )
    ],
    ("client_secret", {"client_secret": "hush"}),
    ("client_secret", {"client_secret": ""}),
    ("client_secret_expires_at", {"client_secret_expires_at": 0}),
    *[("grant_types", {"grant_types": grants}) for grants in ("authorization_code", [], [7], ["refresh_token"], {})],
    *[("grant_types", {"grant_types": ["client_credentials"]}), ("grant_types", {"grant_types": ["implicit"]})],
    *[("response_types", {"response_types": types}) for types in ("code", [], ["token"], [None])],
    ("token_endpoint_auth_methods_supported", {"token_endpoint_auth_methods_supported": "none"}),
]


@pytest.mark.spec("client-id-metadata-document", "4.1")
@pytest.mark.parametrize(("field", "members"), WRONG)
def test_a_document_that_is_wrong(site: Site, field: str, members: dict[str, Any]) -> None:
    with pytest.raises(InvalidMetadata) as caught:
        read_document(site, document(**members))
    assert caught.value.field == field


@pytest.mark.spec("rfc7591", "2")
@pytest.mark.parametrize(
    "members",
    [
        {"scope": ["a"]},
        {"scope": 'a"'},
        {"client_uri": 7},
        {"client_uri": "", "logo_uri": "", "tos_uri": "", "policy_uri": ""},
        {"logo_uri": {"a": "b"}},
        {"contacts": "ada@agent.example"},
        {"contacts": [""]},
        {"contacts": [None, 7]},
        {"application_type": 7},
        {"jwks": None, "jwks_uri": None, "software_statement": None, "client_secret": None},
        {"token_endpoint_auth_method": None, "grant_types": None, "response_types": None},
        {"unknown": [{"a": None}], "another": 1.5},
    ],
)
def test_what_is_dropped_anyway_refuses_no_document(site: Site, members: dict[str, Any]) -> None:
    assert read_document(site, document(**members)) == read_document(site, document())


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a" * 101, "a" * 99 + "…"),
        (" Agent", "Agent"),
        ("A\nB", "A B"),
        ("A\u202eB", "AB"),
        ("A\u200dB", "AB"),
        ("a" + "\u0301" * 90, "á\u0301\u0301"),
        ("\ud800", ""),
    ],
)
def test_a_name_is_cleaned_for_pages(site: Site, name: str, shown: str) -> None:
    assert read_document(site, document(client_name=name)).name == shown


@pytest.mark.spec("rfc8252", "7.1")
def test_a_document_may_name_private_use_schemes(site: Site) -> None:
    redirect_uris = ["https://agent.example/cb", "cursor://anysphere.cursor-mcp/oauth/callback", "http://localhost/"]
    client = read_document(site, document(redirect_uris=redirect_uris))
    assert (client.redirect_uris, client.application_type) == (tuple(redirect_uris), "native")


@pytest.fixture
def served() -> Iterator[DocumentServer]:
    with serve_documents() as server:
        yield server


@pytest.fixture
def here(new_site: Any, served: DocumentServer) -> Site:
    """A site that takes documents from the server of this machine."""
    return open_site(new_site, OAUTH2_CLIENT_ID_METADATA_DOCUMENT_ALLOWED_HOSTS=[served.host])


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[DocumentServer]:
    with serve_documents(server_tls(tmp_path)) as server:
        yield server


@pytest.fixture
def there(new_site: Any, secure: DocumentServer) -> Site:
    """A site that takes them by https, under a name that leads to this machine."""
    site = open_site(new_site, OAUTH2_CLIENT_ID_METADATA_DOCUMENT_ALLOWED_HOSTS=[secure.host])

    def fetch_there(url: str, may_be_own: bool) -> Fetched:
        return fetch(url, may_be_own=may_be_own, deadline=5, resolve=lambda *_: ["127.0.0.1"], tls=client_tls())

    site.server.documents.fetch = fetch_there
    return site


def unopened(folder: Path, served: DocumentServer, **options: Any) -> Site:
    """Such a site to which callbacks may still be added."""
    return make_site(
        folder,
        OAUTH2_CLIENT_ID_METADATA_DOCUMENTS=True,
        OAUTH2_CLIENT_ID_METADATA_DOCUMENT_ALLOWED_HOSTS=[served.host],
        OAUTH2_DEFAULT_SCOPE="profile",
        **options,
    )


def ask(site: Site, client_id: str, redirect_uri: str, **parameters: Any) -> Any:
    return site.ask(client_id=client_id, redirect_uri=redirect_uri, **parameters)


def code_of(site: Site, client_id: str) -> str:
    """A code that the client was given when all was well."""
    code = values.new("oac", values.timestamp(site.clock.now))
    save_record(
        site.store, new_grant(new_authorization(client_id=client_id), key=values.key(code), expires_at=2 * int(NOW))
    )
    return code


def settle(site: Site) -> None:
    """Wait until nothing is fetched any more."""
    for thread in threading.enumerate():
        if thread.name == "flask_oauth2 document":
            thread.join(300)
    assert site.server.documents._under_way == {}


@pytest.mark.spec("client-id-metadata-document", "3")
@pytest.mark.spec("client-id-metadata-document", "4")
@pytest.mark.spec("client-id-metadata-document", "4.5")
def test_the_whole_flow_by_https(there: Site, secure: DocumentServer) -> None:
    url, back = secure.put(), f"https://{secure.host}/back"
    there.sign_in()
    page = ask(there, url, back)
    assert f"<dd>{secure.host}</dd>" in page.text
    assert "<h1>Allow Agent?</h1>" in page.text
    code = answer_of(there.allow(page))["code"]
    tokens = there.redeem(code, client_id=url, redirect_uri=back).get_json()
    assert there.call(tokens["access_token"]).get_json() == {"user": "ada", "client": url, "scope": ["profile"]}
    renewed = there.refresh(tokens["refresh_token"], client_id=url).get_json()
    assert there.is_alive(renewed["access_token"])
    assert there.post("/revoke", token=renewed["access_token"], client_id=url).status_code == 200
    assert not there.is_alive(renewed["access_token"])
    assert secure.count() == 1


@pytest.mark.spec("client-id-metadata-document", "5")
def test_the_metadata_of_the_server_says_whether_it_takes_them(here: Site, new_site: Any) -> None:
    path, member = "/.well-known/oauth-authorization-server", "client_id_metadata_document_supported"
    assert here.http.get(path).get_json()[member] is True
    assert member not in new_site().http.get(path).get_json()
    assert member not in new_site(OAUTH2_CLIENT_ID_METADATA_DOCUMENTS=False).http.get(path).get_json()


MCP = [Resource(path="/mcp", is_mcp=True)]


def test_a_server_may_want_them_by_itself_and_the_option_decides() -> None:
    def build_with(**options: Any) -> Any:
        return build(Settings.load({"SECRET_KEY": "x", **options}), MemoryStore, described=MCP)

    assert build_with().documents is not None
    assert build_with(OAUTH2_CLIENT_ID_METADATA_DOCUMENTS=True).documents is not None
    assert build_with(OAUTH2_CLIENT_ID_METADATA_DOCUMENTS=False).documents is None


def test_what_is_not_installed_is_missed_at_start(
    new_site: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(document_cache, "find_spec", lambda name: None)
    with pytest.raises(
        ConfigurationError, match=r"OAUTH2_CLIENT_ID_METADATA_DOCUMENTS needs .* flask_oauth2\[documents\]"
    ):
        new_site(OAUTH2_CLIENT_ID_METADATA_DOCUMENTS=True)
    assert new_site().server.documents is None
    with caplog.at_level("INFO", "flask_oauth2"):
        assert build(Settings.load({"SECRET_KEY": "x"}), MemoryStore, described=MCP).documents is None
    assert "install flask_oauth2[documents]" in caplog.text


def test_without_the_option_a_url_is_unknown_and_the_log_says_why(
    new_site: Any, served: DocumentServer, caplog: pytest.LogCaptureFixture
) -> None:
    site = new_site()
    url = served.put()
    assert "client_id is unknown" in site.ask(client_id=url).text
    assert "set OAUTH2_CLIENT_ID_METADATA_DOCUMENTS to True" in caplog.text
    assert site.redeem("x", client_id=url).status_code == 401
    assert served.requests == []


def test_a_registered_client_comes_first(here: Site, served: DocumentServer) -> None:
    """:rfc:`6749#section-2`: a URL may have been registered before, by an application of its own mind."""
    url = served.put()
    here.add_client(url, secret=None, name="Registered")
    here.sign_in()
    assert "Allow Registered?" in here.ask(client_id=url).text
    assert served.requests == []


@pytest.mark.spec("client-id-metadata-document", "4.3")
@pytest.mark.spec("client-id-metadata-document", "4")
@pytest.mark.parametrize("status", [301, 302, 204, 404, 500])
def test_a_document_that_does_not_come_is_a_page_for_the_user_and_invalid_client_for_programs(
    here: Site, served: DocumentServer, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    url = served.put()
    served.answers["/client.json"] = (status, {"Location": served.put("/other.json")}, b"")
    here.sign_in()
    page = ask(here, url, "http://127.0.0.1/back")
    assert page.status_code == 400
    assert page.location is None
    assert "the server cannot fetch the metadata document of the client" in page.text
    assert str(status) not in page.text
    assert f"({DRAFT} 4)" in caplog.text
    assert f"received 'the response has status {status}, not 200'" in caplog.text
    assert "hint: let the URL of the client_id respond with status 200 and JSON" in caplog.text
    answer = here.redeem(code_of(here, url), client_id=url)
    assert answer.status_code == 401
    assert answer.get_json()["error"] == "invalid_client"
    assert served.count("/other.json") == 0


@pytest.mark.spec("client-id-metadata-document", "6.5")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_nothing_of_this_machine_is_fetched_unless_it_is_named(
    site: Site, secure: DocumentServer, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    site.sign_in()
    page = ask(site, f"https://{host}:{secure.port}/c", "https://agent.example/cb")
    assert page.status_code == 400
    assert "cannot fetch the metadata document" in page.text
    assert "not public" not in page.text
    assert "not public" in caplog.text
    assert "hint: if you trust the host, add it to OAUTH2_CLIENT_ID_METADATA_DOCUMENT_ALLOWED_HOSTS" in caplog.text
    assert secure.requests == []


def test_an_id_that_is_no_document_is_told_what_is_wrong_with_it(here: Site, served: DocumentServer) -> None:
    here.sign_in()
    for client_id in (f"http://{served.host}/a/../c", "https://agent.example/", "http://agent.example/c"):
        page = here.ask(client_id=client_id)
        assert page.status_code == 400
        assert find_fault(client_id, [served.host]) in page.text
        assert here.redeem("x", client_id=client_id).get_json()["error"] == "invalid_client"
    assert served.requests == []


@pytest.mark.spec("client-id-metadata-document", "4.1")
def test_what_is_wrong_with_a_document_is_named_without_its_words(
    here: Site, served: DocumentServer, caplog: pytest.LogCaptureFixture
) -> None:
    here.sign_in()
    url = served.put(redirect_uris=["Call 555, your account is locked"])
    page = ask(here, url, "http://127.0.0.1/back")
    assert page.status_code == 400
    assert "the metadata document of the client is not valid: check redirect_uris" in page.text
    assert "555" not in page.text
    assert "555" in caplog.text
    assert f"({DRAFT} 4.1)" in caplog.text
    assert here.redeem(code_of(here, url), client_id=url).get_json()["error"] == "invalid_client"


@pytest.mark.spec("client-id-metadata-document", "4.1")
def test_one_slash_makes_another_client(here: Site, served: DocumentServer) -> None:
    good = served.put()
    served.answers["/client.json/"] = served.answers["/client.json"]
    here.sign_in()
    assert ask(here, good, "http://127.0.0.1/back").status_code == 200
    assert "check client_id" in ask(here, f"{good}/", "http://127.0.0.1/back").text


@pytest.mark.spec("client-id-metadata-document", "4.5")
def test_redirect_uris_match_exactly_but_for_the_port_of_a_loopback_address(
    here: Site, served: DocumentServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = served.put(redirect_uris=["http://localhost/back", "https://agent.example/cb"])
    here.sign_in()
    for good in ("http://localhost/back", "http://localhost:51234/back", "https://agent.example/cb"):
        assert ask(here, url, good).status_code == 200
    for bad in (
        "http://localhost/other",
        "https://agent.example/cb/",
        "https://agent.example:8443/cb",
        "https://x.example",
    ):
        page = ask(here, url, bad)
        assert page.status_code == 400
        assert page.location is None
    assert "hint: correct the metadata document at the client_id of the client" in caplog.text
    assert "flask oauth2 client" not in caplog.text


@pytest.mark.spec("rfc7636", "4.4.1")
def test_pkce_is_not_left_out(new_site: Any, served: DocumentServer) -> None:
    site = open_site(
        new_site, OAUTH2_CLIENT_ID_METADATA_DOCUMENT_ALLOWED_HOSTS=[served.host], OAUTH2_PKCE_REQUIRED="public"
    )
    site.sign_in()
    page = site.ask(client_id=served.put(), redirect_uri="http://127.0.0.1/back", code_challenge=None)
    assert (page.status_code, page.location) == (400, None)
    assert "error=invalid_request" in page.text


def test_a_document_client_has_no_secret(here: Site, served: DocumentServer) -> None:
    url = served.put()
    here.sign_in()
    assert ask(here, url, "http://127.0.0.1/back").status_code == 200
    answer = here.token("refresh_token", None, client_id=url, client_secret="guess", refresh_token="x")
    assert answer.status_code == 401
    assert here.token("client_credentials", client_id=url).get_json()["error"] == "unauthorized_client"


@pytest.mark.spec("client-id-metadata-document", "6.4")
def test_people_see_the_host_and_are_warned_of_other_programs(there: Site, secure: DocumentServer) -> None:
    url, own = secure.put(), f"https://{secure.host}/back"
    there.sign_in()
    shown = ask(there, url, "http://127.0.0.1:9000/back").text
    assert f"<dt>Comes from</dt>\n<dd>{secure.host}</dd>" in shown
    assert "Any program on this device could pose as Agent." in shown
    assert "http://127.0.0.1:9000" in shown
    shown = ask(there, url, own).text
    assert f"<dd>{secure.host}</dd>" in shown
    assert "could pose" not in shown
    assert "to another site" not in shown
    there.add_client()
    registered = there.ask().text
    assert "Comes from" not in registered
    assert "to another site" not in registered


@pytest.mark.spec("client-id-metadata-document", "6.1")
@pytest.mark.spec("client-id-metadata-document", "6.3")
def test_a_client_at_another_host_than_its_document_is_pointed_out_and_asked_for_each_time(
    there: Site, secure: DocumentServer
) -> None:
    own, other = f"https://{secure.host}/back", "https://partner.example/back"
    url = secure.put(redirect_uris=[own, other, "http://127.0.0.1/back"])
    there.sign_in()
    page = ask(there, url, other)
    assert f"Agent comes from {secure.host}, but sends you on to another site: https://partner.example." in page.text
    assert "code" in answer_of(there.allow(page))
    assert "code" in answer_of(ask(there, url, own))
    for elsewhere in (other, "http://127.0.0.1/back"):
        assert ask(there, url, elsewhere).status_code == 200
        assert answer_of(ask(there, url, elsewhere, prompt="none"))["error"] == "consent_required"


@pytest.mark.spec("client-id-metadata-document", "6.3")
def test_a_document_that_changes_its_redirect_uris_gets_nothing_in_silence(there: Site, secure: DocumentServer) -> None:
    own, other = f"https://{secure.host}/back", "https://thief.example/back"
    url = secure.put()
    there.authorize(client_id=url, redirect_uri=own)
    secure.put(redirect_uris=[other])
    there.clock.forward(LONGEST + MOST_STALE + 1)
    assert "thief.example" in ask(there, url, other).text
    assert ask(there, url, own).status_code == 400


@pytest.mark.spec("client-id-metadata-document", "4.4")
def test_a_stale_copy_serves_while_a_new_one_comes(here: Site, served: DocumentServer) -> None:
    url = served.put(headers={"Cache-Control": "max-age=600"})
    here.sign_in()
    back = "http://127.0.0.1/back"
    ask(here, url, back)
    here.clock.forward(599)
    ask(here, url, back)
    assert served.count() == 1
    served.put(client_name="Renamed")
    served.gate = threading.Event()
    here.clock.forward(1)
    for _ in range(3):
        assert "Allow Agent?" in ask(here, url, back).text
    served.gate.set()
    settle(here)
    assert served.count() == 2
    assert "Allow Renamed?" in ask(here, url, back).text


@pytest.mark.spec("client-id-metadata-document", "4.4")
def test_an_error_is_not_kept_in_place_of_a_document_and_a_document_not_for_ever(
    here: Site, served: DocumentServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = served.put(headers={"Cache-Control": "max-age=600"})
    here.sign_in()
    back = "http://127.0.0.1/back"
    ask(here, url, back)
    for wrong in ((500, {}, b""), (200, JSON, b"{}"), (403, {}, b"")):
        served.answers["/client.json"] = wrong
        here.clock.forward(600)
        asked = served.count()
        for _ in range(2):
            assert ask(here, url, back).status_code == 200
            settle(here)
        assert served.count() == asked + 1
    kept = f"Using the cached metadata document of client {url}: the server cannot fetch the metadata document"
    assert f"{kept} of the client; received" in caplog.text
    here.clock.forward(MOST_STALE)
    assert ask(here, url, back).status_code == 400
    assert here.redeem(code_of(here, url), client_id=url).status_code == 401
    served.put()
    assert ask(here, url, back).status_code == 400
    here.clock.forward(FAILED_FOR)
    assert ask(here, url, back).status_code == 200


@pytest.mark.spec("client-id-metadata-document", "4.4")
@pytest.mark.parametrize("status", [404, 410])
def test_a_document_that_is_gone_is_no_client(here: Site, served: DocumentServer, status: int) -> None:
    """Its copy does not serve on, so that whoever takes a stolen one down takes the client back."""
    url, back = served.put(), "http://127.0.0.1/back"
    here.sign_in()
    assert ask(here, url, back).status_code == 200
    served.answers["/client.json"] = (status, JSON, b"{}")
    here.clock.forward(2 * 3600)
    assert ask(here, url, back).status_code == 200, "nobody waits for the new one"
    settle(here)
    assert served.count() == 2
    here.clock.forward(FAILED_FOR)
    assert ask(here, url, back).status_code == 400


@pytest.mark.spec("client-id-metadata-document", "4.4")
def test_a_failure_is_remembered_for_a_moment_only(here: Site, served: DocumentServer) -> None:
    here.sign_in()
    url = served.url()
    for _ in range(5):
        assert ask(here, url, "http://127.0.0.1/back").status_code == 400
    assert served.count() == 1
    served.put()
    here.clock.forward(FAILED_FOR - 1)
    assert ask(here, url, "http://127.0.0.1/back").status_code == 400
    here.clock.forward(1)
    assert ask(here, url, "http://127.0.0.1/back").status_code == 200
    assert served.count() == 2


@pytest.mark.spec("client-id-metadata-document", "6.6")
def test_many_who_ask_at_once_cause_one_fetch(
    here: Site, served: DocumentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_cache, "MOST_WAITING", 20)
    url = served.put()
    found, served.gate = here.server.documents, threading.Event()
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(found.find, url) for _ in range(20)]
        served.await_requests(1)
        served.gate.set()
        assert {answer.result(300).name for answer in answers} == {"Agent"}
    assert served.count() == 1
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(found.find, served.url("/none")) for _ in range(20)]
        assert all(isinstance(answer.result(300), Failure) for answer in answers)
    assert served.count("/none") == 1


@pytest.mark.spec("client-id-metadata-document", "6.6")
def test_only_so_many_are_fetched_at_once(here: Site, served: DocumentServer) -> None:
    urls = [served.put(f"/{number}") for number in range(MOST_AT_ONCE + 1)]
    old = served.put("/old", headers={"Cache-Control": "max-age=300"})
    found = here.server.documents
    assert found.find(old).name == "Agent"
    here.clock.forward(300)
    served.gate = threading.Event()
    here.sign_in()
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        answers = [pool.submit(found.find, url) for url in urls[:-1]]
        served.await_requests(MOST_AT_ONCE + 1)
        assert found.find(old).name == "Agent", "a copy serves without a new one"
        page = ask(here, urls[-1], "http://127.0.0.1/back")
        assert page.status_code == 503
        assert page.headers["Retry-After"] == "5"
        served.gate.set()
        assert {answer.result(300).name for answer in answers} == {"Agent"}
    settle(here)
    assert ask(here, urls[-1], "http://127.0.0.1/back").status_code == 200


@pytest.mark.spec("client-id-metadata-document", "6.6")
def test_nobody_who_wants_an_answer_at_once_makes_anything_be_fetched(here: Site, served: DocumentServer) -> None:
    answer = here.ask(client_id=served.put(), redirect_uri="http://127.0.0.1/back", prompt="none")
    assert answer.status_code == 400
    assert "login_required" in answer.text
    assert served.requests == []


@pytest.mark.spec("client-id-metadata-document", "6.6")
def test_no_host_is_flooded_through_here(here: Site, served: DocumentServer) -> None:
    here.sign_in()
    statuses = [
        ask(here, served.url(f"/{number}"), "https://a.example").status_code for number in range(MOST_OF_HOST + 2)
    ]
    assert statuses == [400] * MOST_OF_HOST + [503] * 2
    assert len(served.requests) == MOST_OF_HOST
    here.clock.forward(60)
    assert ask(here, served.url("/again"), "https://a.example").status_code == 400


def fill(site: Site, answer: Callable[[str], Fetched]) -> Documents:
    """Documents that come from no server."""
    found: Documents = site.server.documents
    found.fetch = lambda url, may_be_own: answer(url)
    return found


def test_the_number_of_cached_entries_is_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_cache, "MOST", 3)
    monkeypatch.setattr(document_cache, "MOST_OF_HOST", 1000)
    asked = []

    def answer(url: str) -> Fetched:
        asked.append(url)
        if "/bad" in url:
            raise FetchError("no")
        return Fetched({"content-type": "application/json"}, json.dumps(document(client_id=url)).encode())

    found = Documents(site.server)
    found.fetch = lambda url, may_be_own: answer(url)
    good = [f"https://agent.example/{number}" for number in range(4)]
    for url in [*good[:3], good[0], good[3]]:
        assert isinstance(found.find(url), Client)
    assert asked == good
    assert found.find_cached(good[0])
    assert found.find_cached(good[1]) is None, "who was not asked for the longest makes room"
    for number in range(9):
        found.find(f"https://agent.example/bad{number}")
        found.find(f"https://host{number}.example/bad")
    assert len(found._failures) == len(found._copies) == len(found._rate._visits) == 3


def test_who_waits_for_a_resolver_does_not_wait_for_ever(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_cache, "DEADLINE", -0.9)
    stuck = threading.Event()

    def answer(url: str) -> Fetched:
        stuck.wait(300)
        raise FetchError("at last")

    found = fill(site, answer)
    assert isinstance(failure := found.find(URL), Failure)
    assert failure.received == "the response timed out"
    stuck.set()
    settle(site)


@pytest.mark.spec("client-id-metadata-document", "6.6")
def test_few_requests_wait_long(here: Site, served: DocumentServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_cache, "MOMENT", 0)
    monkeypatch.setattr(document_cache, "MOST_WAITING", 0)
    found, served.gate = here.server.documents, threading.Event()
    with pytest.raises(TemporarilyUnavailable):
        found.find(served.put())
    served.gate.set()
    settle(here)
    assert found.find(served.url()).name == "Agent"


def test_a_system_without_threads_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(TemporarilyUnavailable):
        site.server.documents.find(URL)
    assert site.server.documents._under_way == {}


def test_a_process_that_forks_while_something_is_fetched(here: Site, served: DocumentServer) -> None:
    url = served.put()
    found, served.gate = here.server.documents, threading.Event()
    waiting = threading.Thread(target=found.find, args=(url,))
    waiting.start()
    served.await_requests(1)
    with found._lock:
        child = os.fork()
        if child == 0:
            served.gate.set()  # the child's own
            os._exit(0 if found._under_way == {} and found.find_cached("x") is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    served.gate.set()
    waiting.join(300)
    assert found.find_cached(url).name == "Agent"


def test_connected_applications_are_shown_by_host_and_nothing_is_fetched(here: Site, served: DocumentServer) -> None:
    url = served.put()
    here.authorize(client_id=url, redirect_uri="http://127.0.0.1/back")
    asked = len(served.requests)
    here.clock.forward(LONGEST + MOST_STALE)
    shown = here.browser.get("/oauth/applications").text
    assert f">{served.host}</h2>" in shown
    ticket = shown.partition('name="ticket" value="')[2].partition('"')[0]
    here.browser.post("/oauth/applications", data={"ticket": ticket})
    assert f"{served.host} has no access any more." in here.browser.get("/oauth/applications").text
    assert len(served.requests) == asked


def test_the_login_page_knows_who_asks_and_fetches_nothing(here: Site, served: DocumentServer) -> None:
    url = served.put()
    stranger = here.app.test_client()
    login = here.ask(stranger, client_id=url, redirect_uri="http://127.0.0.1/back").location
    assert login.startswith("/login?next=")
    assert served.count() == 0
    here.sign_in()
    assert ask(here, url, "http://127.0.0.1/back").status_code == 200

    def name() -> str | None:
        with here.app.test_request_context(login):
            client = here.provider.requesting_client()
        return client and client.name

    assert name() == "Agent"
    here.clock.forward(LONGEST + MOST_STALE)
    assert name() is None
    assert served.count() == 1


def test_a_view_asks_for_the_client_of_its_token(here: Site, served: DocumentServer) -> None:
    @here.app.get("/api/client")
    @here.provider.require_oauth("profile")
    def client() -> Any:
        return {"name": current_token.client and current_token.client.name}

    url = served.put(headers={"Cache-Control": "max-age=600"})
    code = here.authorize(client_id=url, redirect_uri="http://127.0.0.1/back")["code"]
    token = here.redeem(code, client_id=url, redirect_uri="http://127.0.0.1/back").get_json()["access_token"]
    assert here.call(token, "/api/client").get_json() == {"name": "Agent"}
    del served.answers["/client.json"]
    here.server.documents = Documents(here.server)
    assert here.call(token, "/api/client").get_json() == {"name": None}


def test_an_own_consent_view_may_show_the_host(tmp_path: Path, served: DocumentServer) -> None:
    site = unopened(tmp_path, served, store=MemoryStore())

    @site.provider.authorize_handler
    def consent(client: Client, client_host: str | None, **asked: Any) -> str:
        return f"{client.name} of {client_host}"

    site.add_client()
    site.sign_in()
    assert ask(site, served.put(), "http://127.0.0.1/back").text == f"Agent of {served.host}"
    assert site.ask().text == "web of None"


def test_applications_with_clients_of_their_own_take_documents_too(tmp_path: Path, served: DocumentServer) -> None:
    site = unopened(tmp_path, served, store=MemoryStore())
    own: dict[str, Any] = {
        "client_id": "own",
        "name": "Own",
        "client_secret": None,
        "redirect_uris": ["https://own.example/"],
    }
    own["scope"] = "profile"
    site.provider.clientgetter(lambda client_id: own if client_id == "own" else None)
    site.sign_in()
    assert "Allow Agent?" in ask(site, served.put(), "http://127.0.0.1/back").text
    assert "Allow Own?" in site.ask(client_id="own", redirect_uri="https://own.example/", scope=None).text


@pytest.mark.parametrize("page", ["http://127.0.0.1:5000", "http://evil.example"])
def test_a_page_may_call_whose_document_is_known_and_named(here: Site, served: DocumentServer, page: str) -> None:
    url, back = served.put(), "http://127.0.0.1/back"

    def allowed(client_id: str) -> str | None:
        data = {"client_id": client_id, "token": "x"}
        answer = here.http.post("/oauth/revoke", data=data, headers={"Origin": page})
        return answer.headers.get("Access-Control-Allow-Origin")

    here.sign_in()
    assert ask(here, url, back).status_code == 200
    assert allowed(url) == (page if "127.0.0.1" in page else None)
    assert allowed("another") is None


def test_a_client_id_of_any_length_fits_the_database(tmp_path: Path, served: DocumentServer) -> None:
    site = unopened(tmp_path, served)
    path = "/" + "c" * (255 - len(served.url("/")))
    url, back = served.put(path), "http://127.0.0.1/back"
    assert len(url) == 255
    code = site.authorize(client_id=url, redirect_uri=back)["code"]
    token = site.redeem(code, client_id=url, redirect_uri=back).get_json()["access_token"]
    assert site.call(token).get_json()["client"] == url
    assert site.ask(client_id=url + "c").status_code == 400
    site.store.engine.dispose()


@pytest.mark.parametrize("prompt", [None, "login"])
def test_a_request_too_long_for_a_url_survives_the_login_that_comes_before_the_document(
    here: Site, served: DocumentServer, prompt: str | None
) -> None:
    url, back = served.put(), "http://127.0.0.1/back"
    signed_in_at = [0]
    here.provider._current_user = lambda: User(id="ada", auth_time=signed_in_at[0]) if signed_in_at[0] else None
    login = ask(here, url, back, state="s" * 3000, prompt=prompt)
    path = parse_qs(urlsplit(login.location).query)["next"][0]
    assert parse_qs(urlsplit(path).query)["client_id"] == [url]
    assert len(path) < 500
    assert urlsplit(here.browser.get(path).location).path == "/login", "it is sent there again"
    assert served.requests == []
    here.clock.forward(5)
    signed_in_at[0] = int(here.clock.now)
    page = here.browser.get(path)
    assert "<h1>Allow Agent?</h1>" in page.text
    assert answer_of(here.allow(page))["state"] == "s" * 3000


def test_a_client_id_that_is_too_long_is_rejected_before_the_login(here: Site, served: DocumentServer) -> None:
    page = ask(here, served.put() + "x" * 3000, "http://127.0.0.1/back")
    assert (page.status_code, page.location) == (400, None)
    assert served.requests == []
    here.add_client(registered := "https://agent.example/" + "x" * 300, secret=None)
    assert here.ask(client_id=registered).location.startswith("/login?next=")
