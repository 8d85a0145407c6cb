"""A local HTTP or HTTPS server of client ID metadata documents, which records its requests."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Condition, Event, Thread
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from servers import PATIENCE

HOST = "agent.example"
"""The host name of the server's certificate."""

JSON = {"Content-Type": "application/json"}


@dataclass
class DocumentServer:
    """The responses by path, each as raw bytes or as status, headers and body."""

    port: int
    scheme: str
    answers: dict[str, bytes | tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    requests: list[dict[str, str]] = field(default_factory=list)
    """The headers of each request, and its path as ``path``."""
    gate: Event | None = None
    """An event that responses wait for, or None."""
    drips: bytes = b""
    """Bytes to send after a response every tenth of a second."""
    stopped: Event = field(default_factory=Event)
    _changed: Condition = field(default_factory=Condition)

    @property
    def host(self) -> str:
        return f"{HOST if self.scheme == 'https' else '127.0.0.1'}:{self.port}"

    def url(self, path: str = "/client.json") -> str:
        return f"{self.scheme}://{self.host}{path}"

    def put(self, path: str = "/client.json", headers: dict[str, str] | None = None, **members: Any) -> str:
        """Serve a valid document with other ``members``, and return its URL. None removes a member."""
        url = self.url(path)
        document = {
            "client_id": url,
            "client_name": "Agent",
            "redirect_uris": [f"{self.scheme}://{self.host}/back", "http://127.0.0.1/back"],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        } | members
        served = {name: value for name, value in document.items() if value is not None}
        self.answers[path] = (200, JSON | (headers or {}), json.dumps(served).encode())
        return url

    def count(self, path: str = "/client.json") -> int:
        return len([request for request in self.requests if request["path"] == path])

    def record(self, request: dict[str, str]) -> None:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()

    def await_requests(self, number: int) -> None:
        """Wait until the server has received a number of requests in total."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.requests) >= number, PATIENCE), (
                f"{len(self.requests)} requests were received"
            )


@contextmanager
def serve_documents(tls: ssl.SSLContext | None = None) -> Iterator[DocumentServer]:
    """Yield a running server, which uses HTTPS if ``tls`` is given."""

    class Answer(StreamRequestHandler):
        def handle(self) -> None:
            connection = self.request
            connection.settimeout(PATIENCE)
            with suppress(OSError):
                if tls is not None:
                    connection = tls.wrap_socket(connection, server_side=True)
                self.answer(connection)
                connection.close()

        def answer(self, connection: Any) -> None:
            lines = connection.makefile("rb")
            path = lines.readline().split()[1].decode()
            request = {"path": path}
            while (line := lines.readline().strip()) != b"":
                name, _, value = line.decode().partition(": ")
                request[name.lower()] = value
            served.record(request)
            if served.gate is not None:
                served.gate.wait(PATIENCE)
            answer = served.answers.get(path, (404, {}, b""))
            if isinstance(answer, tuple):
                status, headers, body = answer
                named = {"Content-Length": str(len(body)), **headers}
                head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
                answer = f"HTTP/1.1 {status} Reason\r\n{head}\r\n".encode() + body
            connection.sendall(answer)
            while served.drips and not served.stopped.wait(0.1):
                connection.sendall(served.drips)

    class Server(ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Answer) as server:
        served = DocumentServer(server.server_address[1], "http" if tls is None else "https")
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield served
        finally:
            served.stopped.set()
            if served.gate is not None:
                served.gate.set()
            server.shutdown()
            thread.join()


@cache
def certify() -> tuple[bytes, bytes]:
    """Return a self-signed certificate for :data:`HOST` and localhost, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST), x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), secret


def server_tls(folder: Path) -> ssl.SSLContext:
    """Return the TLS context of the server."""
    certificate, key = certify()
    (folder / "cert.pem").write_bytes(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem")
    return context


def client_tls() -> ssl.SSLContext:
    """Return a TLS context that only trusts the server's certificate."""
    return ssl.create_default_context(cadata=certify()[0].decode())
