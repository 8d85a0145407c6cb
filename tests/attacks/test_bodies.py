"""Bodies over the limit, sent to real servers over a raw socket: rejected however they are sent."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from threading import Thread

import pytest
from servers import PATIENCE, Gunicorn
from werkzeug.serving import make_server

from flask_oauth2.web.requests import MOST_BYTES
from oauth_site import Site, make_site

APPLICATION = """
    from pathlib import Path

    from flask_oauth2 import MemoryStore
    from oauth_site import make_site

    site = make_site(Path.cwd(), MemoryStore(), OAUTH2_TOKEN_IN_BODY=True, OAUTH2_DYNAMIC_REGISTRATION="open",
        OAUTH2_DEFAULT_SCOPE="profile")
    site.add_client("web", "a chosen secret")
    app = site.app


    @app.post("/api/form")
    @site.provider.require_oauth("profile")
    def form():
        import flask
        return {"length": len(flask.request.form.get("more", ""))}


    @app.post("/api/optional")
    @site.provider.require_oauth("profile", optional=True)
    def optional():
        import flask
        return {"length": len(flask.request.get_data())}
"""

FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    (folder / "chunked_site.py").write_text(dedent(APPLICATION))
    return folder


@pytest.fixture(scope="module", params=["gunicorn", "gunicorn threads", "werkzeug"])
def port(request: pytest.FixtureRequest, application: Path) -> Iterator[int]:
    if request.param == "werkzeug":
        exec(dedent(APPLICATION).replace("Path.cwd()", "folder"), namespace := {"folder": application})
        server = make_server("127.0.0.1", 0, namespace["app"], threaded=True)
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()
        return
    gunicorn = Gunicorn("chunked_site:app", application, 1, 4 if "threads" in request.param else 1)
    yield gunicorn.port
    gunicorn.stop()


def chunked(body: bytes, size: int = 8000) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def send(port: int, path: str, body: bytes, kind: str = FORM, how: str = "chunked", *headers: str) -> tuple[int, bytes]:
    """The status and the body of the answer."""
    framing = "Transfer-Encoding: chunked" if how == "chunked" else f"Content-Length: {len(body)}"
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        f"Content-Type: {kind}",
        framing,
        "Connection: close",
        *headers,
    ]
    sent = "\r\n".join([*lines, "", ""]).encode() + (chunked(body) if how == "chunked" else body)
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        try:
            connection.sendall(sent)
            while more := connection.recv(65536):
                received += more
        except (ConnectionResetError, BrokenPipeError):  # of a server that answers before it has read all
            while not received and (more := connection.recv(65536)):
                received += more
    head, _, content = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), content


CREDENTIALS = b"grant_type=client_credentials&client_id=web&client_secret=a+chosen+secret&pad="


@pytest.mark.parametrize("how", ["chunked", "length"])
@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke", "/oauth/introspect", "/oauth/register"])
@pytest.mark.spec("rfc6749", "3.2")
def test_a_body_over_the_limit_is_413(port: int, path: str, how: str) -> None:
    pad = b"x" * (MOST_BYTES + 1)
    if path.endswith("register"):
        body, kind = (
            json.dumps({"redirect_uris": ["https://a.example/"], "pad": pad.decode()}).encode(),
            "application/json",
        )
    else:
        body, kind = CREDENTIALS + pad + b"&token=x&grant_type=password", FORM
    status, content = send(port, path, body, kind, how)
    assert (status, json.loads(content)["error"]) == (413, "invalid_request")


@pytest.mark.parametrize("how", ["chunked", "length"])
@pytest.mark.spec("rfc6749", "3.2")
def test_one_of_exactly_the_limit_is_read_to_its_end(port: int, how: str) -> None:
    pad = b"x" * (MOST_BYTES - len(CREDENTIALS))
    status, content = send(port, "/oauth/token", CREDENTIALS + pad, how=how)
    assert status == 200, content
    status, content = send(port, "/oauth/token", CREDENTIALS + pad + b"x", how=how)
    assert status == 413, content


@pytest.mark.spec("rfc6749", "3.1")
def test_a_repeated_parameter_at_the_end_is_seen(port: int) -> None:
    repeated = b"&grant_type=client_credentials"
    pad = b"x" * (MOST_BYTES - len(CREDENTIALS) - len(repeated))
    status, content = send(port, "/oauth/token", CREDENTIALS + pad + repeated)
    assert (status, json.loads(content)["error"]) == (400, "invalid_request")


@pytest.fixture
def token(port: int) -> bytes:
    status, content = send(port, "/oauth/token", CREDENTIALS + b"&scope=profile")
    assert status == 200
    return str(json.loads(content)["access_token"]).encode()


@pytest.mark.parametrize("how", ["chunked", "length"])
@pytest.mark.spec("rfc6750", "2.2")
def test_a_guard_reads_a_token_of_a_form_within_the_limit(port: int, token: bytes, how: str) -> None:
    assert send(port, "/api/form", b"more=abc&access_token=" + token, how=how) == (200, b'{"length":3}\n')


@pytest.mark.parametrize("how", ["chunked", "length"])
@pytest.mark.spec("rfc6750", "2.2")
def test_and_rejects_a_longer_one(port: int, token: bytes, how: str) -> None:
    body = b"access_token=" + token + b"&more=" + b"x" * MOST_BYTES + b"&access_token=other"
    assert send(port, "/api/form", body, how=how)[0] == 413


@pytest.mark.parametrize("how", ["chunked", "length"])
@pytest.mark.spec("rfc6750", "2.1")
def test_an_upload_with_a_header_is_the_view_s_to_read(port: int, token: bytes, how: str) -> None:
    body = b"more=" + b"x" * 100_000
    answer = send(port, "/api/form", body, FORM, how, f"Authorization: Bearer {token.decode()}")
    assert answer == (200, b'{"length":100000}\n')


@pytest.mark.parametrize("how", ["chunked", "length"])
def test_so_is_one_that_needs_no_token(port: int, how: str) -> None:
    body = b"more=" + b"x" * 100_000
    assert send(port, "/api/optional", body, how=how) == (200, b'{"length":100005}\n')


@pytest.mark.parametrize("size", ["zz", "-1", "ffffffffffffffffff"])
def test_a_malformed_chunk_is_no_error_of_the_server(port: int, size: str) -> None:
    head = "POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
    sent = f"{head}Content-Type: {FORM}\r\n\r\n{size}\r\ngrant_type=x\r\n0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(sent.encode())
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.split(b" ", 2)[1:2] != [b"500"]


@pytest.mark.spec("rfc6749", "5.2")
def test_a_body_that_is_shorter_than_it_says_is_an_invalid_request(port: int) -> None:
    head = f"POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\nContent-Length: 5000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(head.encode() + CREDENTIALS)
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.split(b" ", 2)[1] == b"400"
    assert b"invalid_request" in received


def test_a_body_that_a_hook_has_cut_is_413(tmp_path: Path) -> None:
    """``MAX_CONTENT_LENGTH`` of the application is below the limit, and its hook reads the form first."""
    site: Site = make_site(tmp_path)
    site.app.config["MAX_CONTENT_LENGTH"] = 300
    site.add_client("web", "a chosen secret")
    read: list[int] = []

    def hook() -> None:
        import flask

        read.append(len(flask.request.form))

    site.app.before_request_funcs.setdefault(None, []).append(hook)
    server = make_server("127.0.0.1", 0, site.app, threaded=True)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert send(server.server_port, "/oauth/token", CREDENTIALS)[0] == 200
        assert send(server.server_port, "/oauth/token", CREDENTIALS + b"x" * 300 + b"&grant_type=x")[0] == 413
    finally:
        server.shutdown()
    assert read
