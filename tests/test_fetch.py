"""What is fetched from addresses that strangers name: real servers, by http and https, and every way to lead astray."""

from __future__ import annotations

import gzip
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpcore
import pytest
from document_server import HOST, JSON, DocumentServer, client_tls, serve_documents, server_tls
from servers import PATIENCE

from flask_oauth2.errors import FetchError
from flask_oauth2.http.fetch import MOST_BYTES, Fetched, _GuardedStream, check_address, fetch, resolve

SPECIAL = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.5", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.9.9.9"),
    *("169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.170", "192.0.2.1", "192.88.99.1"),
    *("192.168.1.1", "198.18.0.1", "198.51.100.7", "203.0.113.7", "224.0.0.1", "239.1.1.1", "240.0.0.1"),
    "255.255.255.255",
    *("::", "::1", "::10.0.0.5", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::93.184.216.34"),
    *("64:ff9b::10.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "64:ff9b:1::5db8:d822"),
    *("100::1", "2001::1", "2001:0:5db8:d822::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1"),
    *("2002:a00:1::1", "2002:5db8:d822::1", "3fff::1", "5f00::1", "fc00::1", "fd12:3456::1", "fe80::1"),
    *("fe80::1%eth0", "fec0::1", "ff02::1", "4000::1"),
]
PUBLIC = [
    *("93.184.216.34", "1.1.1.1", "100.63.0.1", "172.32.0.1", "192.0.1.1", "::ffff:93.184.216.34"),
    *("64:ff9b::93.184.216.34", "2606:2800:220:1::1", "2a00:1450::1"),
]
OWN = ["127.0.0.1", "10.0.0.5", "192.168.1.1", "172.16.0.1", "100.64.0.1", "::1", "fd12:3456::1", "::ffff:10.0.0.1"]
NOBODYS = ["169.254.169.254", "0.0.0.0", "224.0.0.1", "fe80::1", "::", "2002:a00:1::1", "255.255.255.255"]


@pytest.mark.spec("client-id-metadata-document", "6.5")
@pytest.mark.parametrize("address", SPECIAL)
def test_an_address_of_no_public_network_is_refused(address: str) -> None:
    with pytest.raises(FetchError, match="not public") as caught:
        check_address(address)
    assert "OAUTH2_CLIENT_ID_METADATA_DOCUMENT_ALLOWED_HOSTS" in str(caught.value.hint)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_will_do(address: str) -> None:
    check_address(address)
    check_address(address, may_be_own=True)


@pytest.mark.spec("client-id-metadata-document", "6.5")
def test_a_host_of_the_applications_own_may_be_on_its_network_and_nowhere_else() -> None:
    for address in OWN:
        check_address(address, may_be_own=True)
    for address in NOBODYS:
        with pytest.raises(FetchError):
            check_address(address, may_be_own=True)


def test_http_is_for_this_machine() -> None:
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        check_address(address, may_be_own=True, is_plain=True)
        with pytest.raises(FetchError):
            check_address(address, is_plain=True)
    for address in ("10.0.0.5", "93.184.216.34", "fd12::1"):
        with pytest.raises(FetchError, match="use https"):
            check_address(address, may_be_own=True, is_plain=True)


class Network(httpcore.NetworkBackend):
    """Leads every address to one port of this machine, and notes which was wanted."""

    def __init__(self, port: int, *closed: str) -> None:
        self.wanted: list[tuple[str, int]] = []
        self._port = port
        self._closed = closed

    def connect_tcp(self, host: str, port: int, *rest: Any, **more: Any) -> httpcore.NetworkStream:
        self.wanted.append((host, port))
        if host in self._closed:
            raise httpcore.ConnectError("refused")
        return httpcore.SyncBackend().connect_tcp("127.0.0.1", self._port, *rest, **more)


@pytest.fixture
def served() -> Iterator[DocumentServer]:
    with serve_documents() as server:
        yield server


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[DocumentServer]:
    with serve_documents(server_tls(tmp_path)) as server:
        yield server


def get(url: str, **options: Any) -> Fetched:
    return fetch(url, **{"may_be_own": True, "deadline": 5.0, **options})


def refused(url: str, **options: Any) -> str:
    with pytest.raises(FetchError) as caught:
        get(url, **options)
    return caught.value.reason


def test_a_document_of_this_machine(served: DocumentServer) -> None:
    served.answers["/a%20b"] = (200, JSON | {"ETag": "x"}, b"{}")
    fetched = get(served.url("/a%20b"))
    assert fetched.body == b"{}"
    assert fetched.headers["content-type"] == "application/json"
    assert served.requests == [
        {
            "path": "/a%20b",
            "host": served.host,
            "accept": "application/json",
            "accept-encoding": "identity",
            "user-agent": "flask_oauth2",
        }
    ]


@pytest.mark.spec("client-id-metadata-document", "6.5")
def test_without_leave_it_is_not_even_connected_to(served: DocumentServer) -> None:
    network = Network(served.port)
    assert "http is allowed for loopback hosts only" in refused(served.url(), may_be_own=False, network=network)
    for host in (
        "10.0.0.5",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "localhost",
    ):
        assert "not public" in refused(f"https://{host}/c", may_be_own=False, network=network), host
    assert network.wanted == []
    assert served.requests == []


def test_the_certificate_is_that_of_the_name(secure: DocumentServer) -> None:
    secure.answers["/c"] = (200, JSON, b"{}")

    def resolve_here(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    assert get(secure.url("/c"), resolve=resolve_here, tls=client_tls()).body == b"{}"
    assert secure.requests[0]["host"] == f"{HOST}:{secure.port}"
    other = f"https://other.example:{secure.port}/c"
    assert "certificate verify failed" in refused(other, resolve=resolve_here, tls=client_tls())
    assert "certificate verify failed" in refused(secure.url("/c"), resolve=resolve_here)
    assert len(secure.requests) == 1


@pytest.mark.spec("client-id-metadata-document", "6.5")
def test_a_name_is_resolved_once_and_the_connection_goes_where_that_led(secure: DocumentServer) -> None:
    secure.answers["/c"] = (200, JSON, b"{}")
    network = Network(secure.port)
    answers = [["93.184.216.34"], ["127.0.0.1"]]
    url = f"https://{HOST}/c"
    fetched = get(url, may_be_own=False, network=network, resolve=lambda *_: answers.pop(0), tls=client_tls())
    assert fetched.body == b"{}"
    assert network.wanted == [("93.184.216.34", 443)]
    assert secure.requests[0]["host"] == HOST
    assert "not public" in refused(
        url, may_be_own=False, network=network, resolve=lambda *_: answers.pop(0), tls=client_tls()
    )
    assert len(network.wanted) == 1
    assert answers == []


@pytest.mark.spec("client-id-metadata-document", "6.5")
@pytest.mark.parametrize("hidden", ["169.254.169.254", "::1", "64:ff9b::10.0.0.1"])
def test_one_wrong_address_among_good_ones_is_enough(served: DocumentServer, hidden: str) -> None:
    network = Network(served.port)
    for addresses in (["93.184.216.34", hidden], [hidden, "93.184.216.34"]):
        reason = refused(
            f"https://{HOST}/c", may_be_own=False, network=network, resolve=lambda *_, found=addresses: found
        )
        assert "not public" in reason
    assert network.wanted == []


def test_the_next_address_is_tried_where_one_is_away(secure: DocumentServer) -> None:
    secure.answers["/c"] = (200, JSON, b"{}")
    network = Network(secure.port, "2606:2800:220:1::1")
    addresses = ["2606:2800:220:1::1", "93.184.216.34"]
    fetched = get(f"https://{HOST}/c", network=network, resolve=lambda *_: addresses, tls=client_tls())
    assert fetched.body == b"{}"
    assert [address for address, _ in network.wanted] == addresses
    assert "no response" in refused(f"https://{HOST}/c", network=network, resolve=lambda *_: addresses[:1])


@pytest.mark.parametrize(
    "failing", [socket.gaierror("no such name"), UnicodeError("label too long"), OSError("no network")]
)
def test_a_name_without_address(failing: Exception) -> None:
    def resolve_nothing(host: str, port: int) -> list[str]:
        raise failing

    assert refused("https://agent.example/c", resolve=resolve_nothing) == "the host has no address"
    assert refused("https://agent.example/c", resolve=lambda *_: []) == "the host has no address"
    assert refused(f"https://{'a' * 70}.example/c") == "the host has no address"


def test_the_system_knows_its_own_name() -> None:
    assert "127.0.0.1" in resolve("localhost", 80)


@pytest.mark.spec("client-id-metadata-document", "4")
@pytest.mark.parametrize("status", [201, 203, 204, 206, 301, 302, 303, 307, 308, 400, 404, 500, 503])
def test_only_200_will_do_and_no_redirect_is_followed(served: DocumentServer, status: int) -> None:
    served.answers["/c"] = (status, JSON | {"Location": "/there"}, b"" if status == 204 else b"{}")
    served.answers["/there"] = (200, JSON, b"{}")
    assert refused(served.url("/c")) == f"the response has status {status}, not 200"
    assert served.count("/there") == 0


@pytest.mark.spec("client-id-metadata-document", "6.6")
def test_a_long_body_is_not_read_to_its_end(served: DocumentServer) -> None:
    served.answers["/c"] = (200, JSON, b" " * MOST_BYTES)
    assert len(get(served.url("/c")).body) == MOST_BYTES == 5120
    served.answers["/c"] = (200, JSON, b" " * (MOST_BYTES + 1))
    assert refused(served.url("/c")) == "the response is longer than 5120 bytes"
    served.answers["/c"] = (200, JSON | {"Content-Length": str(10**12)}, b" " * 200 * 1024)
    assert "longer" in refused(served.url("/c"))
    chunk = b"400\r\n" + b" " * 1024 + b"\r\n"
    served.answers["/c"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 200
    assert "longer" in refused(served.url("/c"))


@pytest.mark.spec("client-id-metadata-document", "6.6")
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP, gzip"])
def test_nothing_is_unpacked(served: DocumentServer, encoding: str) -> None:
    bomb = gzip.compress(b" " * 1024 * 1024)
    assert len(bomb) < MOST_BYTES
    served.answers["/c"] = (200, JSON | {"Content-Encoding": encoding}, bomb)
    assert "Content-Encoding" in refused(served.url("/c"))
    served.answers["/c"] = (200, JSON | {"Content-Encoding": "identity"}, b"{}")
    assert get(served.url("/c")).body == b"{}"


@pytest.mark.parametrize(
    ("head", "drips"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", b" "),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["nothing", "headers", "body", "informational answers"],
)
def test_whatever_comes_slowly_ends_at_the_deadline(served: DocumentServer, head: bytes, drips: bytes) -> None:
    served.answers["/c"] = head
    served.drips = drips
    if not drips:
        served.gate = served.stopped
    began = time.monotonic()
    assert refused(served.url("/c"), deadline=0.35) == "the response timed out"
    assert time.monotonic() - began > 0.3


def test_a_connection_that_came_too_late_for_tls_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        late = _GuardedStream(httpcore.SyncBackend().connect_tcp(*server.getsockname()), ends_at=0.0)
        with pytest.raises(httpcore.TimeoutException):
            late.start_tls(ssl.create_default_context(), "localhost")
        taken, _ = server.accept()
        with taken:
            taken.settimeout(PATIENCE)
            assert taken.recv(1) == b""


def test_a_handshake_that_never_ends_ends_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "timed out" in refused(f"https://127.0.0.1:{silent.getsockname()[1]}/c", deadline=0.35)


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", b"\0" * 200_000]
)
def test_whatever_else_comes_is_no_answer(served: DocumentServer, answer: bytes) -> None:
    served.answers["/c"] = answer
    assert refused(served.url("/c")).startswith("no response")


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert refused(f"http://127.0.0.1:{port}/c").startswith("no response")


def test_no_proxy_of_the_environment_is_asked(served: DocumentServer, monkeypatch: pytest.MonkeyPatch) -> None:
    served.answers["/c"] = (200, JSON, b"{}")
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:1")
    assert get(served.url("/c")).body == b"{}"


def test_what_fetches_is_loaded_when_it_is_needed() -> None:
    script = "import sys, flask_oauth2; assert not {'httpcore', 'ssl_'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
