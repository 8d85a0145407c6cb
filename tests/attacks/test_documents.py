"""Clients that are known by the URL of a document, whose server and words are the attacker's."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from devices import Device, Person
from document_server import DocumentServer, serve_documents
from servers import PATIENCE

from flask_oauth2 import MemoryStore
from flask_oauth2.clients.document_cache import MOST_WAITING, find_lifetime
from flask_oauth2.settings import DEVICE_CODE
from oauth_site import NOW, Site, answer_of

NewSite = Callable[..., Site]


@pytest.fixture
def served() -> Iterator[DocumentServer]:
    with serve_documents() as server:
        yield server


def open_site(new_site: NewSite, *served: DocumentServer, **options: Any) -> Site:
    return new_site(
        **{
            "OAUTH2_CLIENT_ID_METADATA_DOCUMENTS": True,
            "OAUTH2_CLIENT_ID_METADATA_DOCUMENT_ALLOWED_HOSTS": [server.host for server in served],
            "OAUTH2_DEFAULT_SCOPE": "profile",
            "OAUTH2_GRANT_TYPES": ["authorization_code", "refresh_token", "device_code"],
        }
        | options
    )


def test_the_code_of_a_device_is_right_at_every_worker(new_site: NewSite, served: DocumentServer) -> None:
    """Two processes before one store: the device asks one of them, the person the other."""
    store = MemoryStore()
    one, other = open_site(new_site, served, store=store), open_site(new_site, served, store=store)
    _ = one.server, other.server
    url = served.put(grant_types=[DEVICE_CODE], response_types=[])
    device = Device(one, url)
    page = Person(other).type(device.user_code)
    assert page.status_code == 200, page.status_code


class Meanwhile(MemoryStore):
    """A store in which something else happens once, as soon as a device code has been read."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Callable[[], Any]] = []

    def get_grant(self, key: bytes, kind: str) -> Any:
        found = super().get_grant(key, kind)
        if self.events and kind == "device_code":
            self.events.pop()()
        return found


@pytest.mark.parametrize("is_named", [True, False])
def test_a_device_whose_user_allows_it_while_it_asks_gets_all_that_it_may_have(
    new_site: NewSite, served: DocumentServer, is_named: bool
) -> None:
    """Its process does not know the document yet, and takes the device at its word as long as nobody has decided."""
    store = Meanwhile()
    one, other = open_site(new_site, served, store=store), open_site(new_site, served, store=store)
    _ = one.server, other.server
    grant_types = [DEVICE_CODE, "refresh_token"] if is_named else [DEVICE_CODE]
    url = served.put(grant_types=grant_types, response_types=[])
    device, person = Device(one, url), Person(other)
    page = person.type(device.user_code)
    store.events.append(lambda: person.press(page))
    answer = device.poll()
    assert answer.status_code == 200, answer.text
    renewed = one.refresh(answer.get_json()["refresh_token"], client_id=url)
    assert renewed.status_code == (200 if is_named else 400), renewed.text


@pytest.mark.parametrize("path", ["/client.json", "/oauth_client-metadata-of-the-shop.json"])
def test_the_page_of_a_client_with_a_document_may_call(new_site: NewSite, served: DocumentServer, path: str) -> None:
    """It is a public client of a browser, whose redirect URI says so, though its URL may look like a value of ours."""
    site = open_site(new_site, served)
    url = served.put(path, redirect_uris=["https://spa.example/back"])
    site.sign_in()
    assert site.ask(client_id=url, redirect_uri="https://spa.example/back").status_code == 200
    answer = site.http.post("/oauth/token", data={"client_id": url}, headers={"Origin": "https://spa.example"})
    assert answer.headers.get("Access-Control-Allow-Origin") == "https://spa.example"


@pytest.mark.spec("oidc-core", "3.1.2.3")
def test_who_is_to_sign_in_for_a_client_that_is_not_known_yet_does_so_once(
    new_site: NewSite, served: DocumentServer
) -> None:
    site = open_site(new_site, served)
    url = served.put()
    to_login = site.ask(client_id=url, redirect_uri="http://127.0.0.1/back", prompt="login")
    assert served.count() == 0
    site.sign_in()
    page = site.browser.get(parse_qs(urlsplit(to_login.location).query)["next"][0])
    assert page.status_code == 200, page.location
    assert "code" in answer_of(site.allow(page))


@pytest.mark.spec("rfc6749", "5.2")
@pytest.mark.spec("rfc7009", "2.2")
def test_a_token_that_has_ended_is_an_invalid_grant_at_every_worker(new_site: NewSite, served: DocumentServer) -> None:
    """A worker that began since does not know the document: its client is to ask the person again, not to give up."""
    store = MemoryStore()
    one = open_site(new_site, served, store=store)
    _ = one.server
    url, back = served.put(), "http://127.0.0.1/back"
    code = one.authorize(client_id=url, redirect_uri=back)["code"]
    ended = one.redeem(code, client_id=url, redirect_uri=back).get_json()["refresh_token"]
    for worker in (one, open_site(new_site, served, store=store)):
        _ = worker.server
        assert worker.post("/revoke", client_id=url, token=ended).status_code == 200
        for answer in (worker.refresh(ended, client_id=url), worker.redeem("x", client_id=url)):
            assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_grant")
    assert served.count() == 1
    for grant_type in ("client_credentials", "password"):
        assert worker.token(grant_type, client_id=url).status_code == 400


def test_nobody_who_is_not_signed_in_makes_this_server_fetch(new_site: NewSite, served: DocumentServer) -> None:
    site = open_site(new_site, served)
    url = served.put()
    site.ask(client_id=url, redirect_uri="http://127.0.0.1/back")
    assert served.count() == 0


@pytest.mark.spec("client-id-metadata-document", "6.6")
@pytest.mark.parametrize("path", ["/token", "/revoke", "/introspect", "/device_authorization"])
def test_nobody_makes_this_server_fetch_at_the_endpoints_of_programs(
    new_site: NewSite, served: DocumentServer, path: str
) -> None:
    """Any URL may come as client_id wherever a client authenticates."""
    site = open_site(new_site, served)
    _ = site.server
    site.post(path, client_id=served.put(), grant_type="authorization_code", code="x", token="x")
    assert served.count() == 0


def test_one_document_of_odd_text_is_no_traceback_in_debug_mode(new_site: NewSite, served: DocumentServer) -> None:
    site = open_site(new_site, served)
    site.app.debug = True
    url = served.put(token_endpoint_auth_method="\ud800")
    site.sign_in()
    assert site.ask(client_id=url).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"Expires": text} for text in ("", "0", "x", "Mon, 99 Foo 99999 99:99:99 GMT", "Thu, 01 Jan 0001 00:00:00 -2359", "-1",
                                       "Fri, 31 Dec 9999 23:59:59 -0000", "Thu, 01 Jan 1970 00:00:00 +9999", "1 Jan 1 1:1", "\t",
                                       "Thu, 01 Jan 0001 00:00:00", "Thu, 01 Jan 10000 00:00:00 GMT", ",,,,", "1 2 3 4 5 6 7",
                                       "Mon, 01 Jan 2024 24:60:61 +99999999999")
    ]
    + [{"Cache-Control": "max-age=" + "9" * 5000}, {"Cache-Control": "max-age=1", "Age": "9" * 5000}, {"Cache-Control": "max-age=\u0664"}],
)  # fmt: skip
def test_no_header_of_an_answer_is_a_traceback(headers: dict[str, str]) -> None:
    lowered = {name.lower(): value for name, value in headers.items()}
    assert 300 <= find_lifetime(lowered, NOW) <= 86400


VALUES: list[Any] = [
    None, True, 0, 10**300, "", "\0", "\ud800", "x" * 2000, [], [[]], [None], ["\0"], ["\ud800"], {}, {"a": 1}, ["https://[::1"],
    ["https://\uff41/b"], ["//x"], ["https://"], ["javascript:alert(1)"], [""], "https://[", "\u202egoogle", ["https://a.example:0/"],
]  # fmt: skip
NAMES = [
    "client_id", "client_name", "redirect_uris", "grant_types", "response_types", "token_endpoint_auth_method", "client_uri",
    "logo_uri", "tos_uri", "policy_uri", "scope", "contacts", "application_type", "jwks", "token_endpoint_auth_methods_supported",
]  # fmt: skip


def test_no_document_is_a_traceback(
    new_site: NewSite, served: DocumentServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = open_site(new_site, served)
    server = site.server
    raised: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    caplog.set_level(logging.DEBUG)
    number = 0
    site.sign_in()
    for name in NAMES:
        for value in VALUES:
            number += 1
            site.clock.forward(61)
            url = served.put(f"/{number}", **{name: value})
            answer = site.ask(client_id=url, redirect_uri="http://127.0.0.1/back")
            assert answer.status_code in (200, 303, 400), (name, value, answer.status_code)
    for body in (
        b"",
        b"[]",
        b"[" * 4000,
        b"\xff",
        b'{"client_id":1,"client_id":2}',
        b"NaN",
        b"1" * 4999,
        b"\xef\xbb\xbf{}",
    ):
        number += 1
        site.clock.forward(61)
        served.answers[f"/{number}"] = (200, {"Content-Type": "application/json"}, body)
        assert site.ask(client_id=served.url(f"/{number}")).status_code == 400
    for raw in (b"", b"\x00" * 100, b"HTTP/1.1 200\r\n\r\n", b"HTTP/9.9 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
                b"HTTP/1.1 200 OK\r\nX: \xff\xfe\r\nContent-Type: \xff\r\nContent-Length: 2\r\n\r\n{}", b"HTTP/1.1 200 OK\r\nA: " + b"x" * 200000,
                b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n{}", b"HTTP/1.1 204 No\r\n\r\n"):  # fmt: skip
        number += 1
        site.clock.forward(61)
        served.answers[f"/{number}"] = raw
        assert site.ask(client_id=served.url(f"/{number}")).status_code == 400, raw[:40]
    assert raised == []
    assert server.documents is not None
    json.dumps([record.getMessage() for record in caplog.records])


def test_a_stranger_cannot_use_up_the_visits_of_a_host(new_site: NewSite, served: DocumentServer) -> None:
    """Thirty wrong paths of somebody's host in a minute, by nobody in particular, and its clients are gone."""
    site = open_site(new_site, served)
    _ = site.server
    good = served.put()
    for number in range(30):
        site.ask(
            browser=site.app.test_client(), client_id=served.url(f"/no/{number}"), redirect_uri="http://127.0.0.1/back"
        )
    site.sign_in()
    assert site.ask(client_id=good, redirect_uri="http://127.0.0.1/back").status_code == 200


@pytest.mark.spec("client-id-metadata-document", "6.6")
def test_a_stranger_cannot_use_up_the_visits_of_a_host_at_the_token_endpoint(
    new_site: NewSite, served: DocumentServer
) -> None:
    site = open_site(new_site, served)
    _ = site.server
    good = served.put()
    for number in range(30):
        site.post("/token", client_id=served.url(f"/no/{number}"), grant_type="authorization_code", code="x")
    site.sign_in()
    assert site.ask(client_id=good, redirect_uri="http://127.0.0.1/back").status_code == 200


@pytest.mark.parametrize("is_signed_in", [False, True])
def test_waiting_for_strangers_servers_leaves_threads_for_everybody_else(
    new_site: NewSite, monkeypatch: pytest.MonkeyPatch, is_signed_in: bool
) -> None:
    """A site of four threads, and twelve requests whose metadata documents do not arrive before the test is over."""
    monkeypatch.setattr("flask_oauth2.clients.document_cache.DEADLINE", 2 * PATIENCE)
    with serve_documents() as slow:
        slow.gate = threading.Event()
        site = open_site(new_site, slow)
        _ = site.server
        browsers = [site.app.test_client() for _ in range(12)]
        for browser in browsers if is_signed_in else ():
            browser.post("/login", data={"user": "ada"})
        with ThreadPoolExecutor(4) as workers:
            waiting = [
                workers.submit(site.ask, browser=browser, client_id=slow.url(f"/{number}.json"))
                for number, browser in enumerate(browsers)
            ]
            try:
                other = workers.submit(lambda: site.app.test_client().get("/login").status_code)
                assert other.result(PATIENCE) == 200
                if is_signed_in:
                    assert sum(not request.done() for request in waiting) >= MOST_WAITING
            finally:
                slow.gate.set()


@pytest.mark.parametrize("host", ["login.example", "Login.example", "login.example:443", "LOGIN.EXAMPLE:443"])
def test_a_document_of_this_very_site_vouches_for_nobody(host: str) -> None:
    """What people have uploaded here would be shown as this site's own client, however the host is spelt."""
    from flask_oauth2 import MemoryStore
    from flask_oauth2.assembly import build
    from flask_oauth2.clients.document_cache import Failure
    from flask_oauth2.http.fetch import Fetched
    from flask_oauth2.settings import Settings

    settings = Settings(issuer="https://login.example", client_id_metadata_documents=True, default_scope=("profile",))
    server = build(settings, MemoryStore)
    url = f"https://{host}/uploads/7.json"
    body = json.dumps({"client_id": url, "client_name": "Support", "redirect_uris": ["https://evil.example/cb"]})
    assert server.documents is not None
    server.documents.fetch = lambda *_: Fetched({"content-type": "application/json"}, body.encode())
    assert isinstance(server.documents.find(url), Failure)


def test_nor_does_one_of_the_address_that_the_issuer_follows() -> None:
    """Without ``OAUTH2_ISSUER`` each loopback name has an issuer of its own."""
    from flask_oauth2 import MemoryStore
    from flask_oauth2.assembly import Servers, build
    from flask_oauth2.clients.document_cache import Failure
    from flask_oauth2.http.fetch import Fetched
    from flask_oauth2.settings import Settings

    hosts = ("localhost:5000", "localhost:8000")
    settings = Settings(
        client_id_metadata_documents=True, client_id_metadata_document_allowed_hosts=hosts, default_scope=("profile",)
    )
    documents = Servers(build(settings, MemoryStore)).at("http://localhost:5000").server.documents
    assert documents is not None
    found = []
    for host in hosts:
        url = f"http://{host}/uploads/7.json"
        body = json.dumps({"client_id": url, "client_name": "Support", "redirect_uris": ["https://evil.example/cb"]})
        documents.fetch = lambda *_, body=body: Fetched({"content-type": "application/json"}, body.encode())
        found.append(documents.find(url))
    own, other = found
    assert isinstance(own, Failure)
    assert not isinstance(other, Failure)
