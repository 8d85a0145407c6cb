"""The process of HTTP clients: ``python -m benchmarks.client ABOUT``. It reads commands as JSON.

Each thread sends its next request as soon as it has received a response. Connections are kept alive.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from threading import Thread
from time import perf_counter
from typing import Any

from .operations import OPERATIONS, Steps
from .site import Answer, Environ, Site


@dataclass
class RemoteSite(Site):
    """A site that is reached over HTTP."""

    port: int = 0
    _socket: socket.socket | None = None

    def send(self, environ: Environ) -> Answer:
        """Send a request. Repeat it once if the server has closed a connection that was kept alive."""
        was_alive = self._socket is not None
        try:
            return self._exchange(_write(environ))
        except ConnectionError:
            self._socket = None
            if not was_alive:
                raise
            return self._exchange(_write(environ))

    def _exchange(self, octets: bytes) -> Answer:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self.port), timeout=30)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(octets)
        answer, is_alive = _read(self._socket)
        if not is_alive:
            self._socket.close()
            self._socket = None
        return answer


def _write(environ: Environ) -> bytes:
    names = {"HTTP_AUTHORIZATION": "Authorization", "HTTP_COOKIE": "Cookie", "HTTP_ACCEPT": "Accept"}
    body: bytes = environ["wsgi.input"].getvalue()
    target = environ["PATH_INFO"] + ("?" + environ["QUERY_STRING"] if environ["QUERY_STRING"] else "")
    lines = [f"{environ['REQUEST_METHOD']} {target} HTTP/1.1", "Host: login.example", "X-Forwarded-Proto: https"]
    lines += [f"{name}: {environ[key]}" for key, name in names.items() if key in environ]
    if body:
        lines += [f"Content-Type: {environ['CONTENT_TYPE']}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _read(connection: socket.socket) -> tuple[Answer, bool]:
    received = b""
    while b"\r\n\r\n" not in received:
        more = connection.recv(65536)
        if not more:
            raise ConnectionResetError
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    answer = Answer(int(first.split(" ")[1]), headers, b"")
    length, is_alive = answer.header("Content-Length"), answer.header("Connection").lower() != "close"
    if answer.status == 204:
        length = "0"
    while not length or len(body) < int(length):
        more = connection.recv(65536)
        if not more:
            break
        body += more
    return answer._replace(body=body), is_alive and bool(length)


def operation(sites: list[RemoteSite], name: str, times: int) -> dict[str, Any]:
    """Run an operation many times. Return the total seconds, and the microseconds of each."""
    make = OPERATIONS[name][1]
    ready = [[(steps, next(steps)) for steps in [make(site) for _ in range(times // len(sites))]] for site in sites]
    latencies: list[float] = []
    failures: list[BaseException] = []
    threads = [
        Thread(target=_walk, args=(site, operations, latencies, failures))
        for site, operations in zip(sites, ready, strict=True)
    ]
    begin = perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return {"seconds": perf_counter() - begin, "latencies": latencies}


def _walk(
    site: RemoteSite, ready: Iterable[tuple[Steps, Environ]], latencies: list[float], failures: list[BaseException]
) -> None:
    try:
        for steps, first in ready:
            environ: Environ | None = first
            total = 0.0
            while environ is not None:
                begin = perf_counter()
                answer = site.send(environ)
                total += perf_counter() - begin
                try:
                    environ = steps.send(answer)
                except StopIteration:
                    environ = None
            latencies.append(total * 1e6)
    except Exception as error:
        failures.append(error)


def main() -> None:
    """Sign in, then run commands until the pipe is closed."""
    about = json.loads(sys.argv[1])
    site = RemoteSite(_refuse, nullcontext, paths=about["paths"], machine_id=about["machine_id"], port=about["port"])
    site.sign_in()
    sites = [replace(site, _socket=None) for _ in range(about["connections"])]
    for line in sys.stdin:
        command = json.loads(line)
        print(json.dumps(operation(sites, command["operation"], command["times"])), flush=True)


def _refuse(*arguments: Any) -> Any:
    """Take the place of the WSGI application: a remote site sends requests over HTTP."""
    raise TypeError("a remote site calls no WSGI application")


if __name__ == "__main__":
    main()
