"""An HTTP client for the probes: its requests have a time limit, and errors become :exc:`Unreachable`.

This is the only module that imports httpx, and only when it is needed.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import httpx

MAX_BYTES = 256 * 1024
"""The maximum number of bytes that the client reads of a body."""

_SHARE = 6
"""One request may use this fraction of the time for all requests."""

_INTERVAL = 0.05
"""The interval at which the client checks the time while it waits, in seconds."""


class Unreachable(Exception):
    """The application did not respond. ``reason`` says why, and ``hint`` how to fix it."""

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Response:
    """A response. The names of ``headers`` are in lower case."""

    url: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def is_json(self) -> bool:
        """Return whether the media type is JSON."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"

    @property
    def members(self) -> dict[str, Any] | None:
        """Return the members of a JSON object, or None if the body is not one."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None


class HTTPClient:
    """A client of the running application.

    :param origin: scheme and host of the issuer, to which all URLs belong.
    :param inside: scheme, host and port at which the application listens, if requests should go there. They then carry
        the headers of a reverse proxy.
    :param timeout: the time limit for all requests, in seconds from the first one. Each may take a sixth of it.
    :param clock: returns monotonic seconds.
    """

    def __init__(self, origin: str, inside: str | None, timeout: float, clock: Callable[[], float]) -> None:
        import httpx

        self._timeout = timeout
        self._clock = clock
        self._until: float | None = None
        self._origin = origin
        self._inside = inside
        public = urlsplit(origin)
        forwarded = {
            "Host": public.netloc,
            "X-Forwarded-Host": public.netloc,
            "X-Forwarded-Proto": public.scheme,
            "X-Forwarded-For": "127.0.0.1",
        }
        # the server must present the certificate of the public host name
        self._extensions = {} if inside is None else {"sni_hostname": public.hostname}
        # an outgoing proxy cannot reach an internal address
        trusted = httpx.create_ssl_context()
        trusted.load_default_certs()  # the system may trust a private certificate authority
        self._client = httpx.Client(
            verify=trusted,
            headers={"User-Agent": "flask-oauth2-doctor", **({} if inside is None else forwarded)},
            trust_env=inside is None,
            follow_redirects=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, url: str, **headers: str) -> Response:
        """Send a GET request. Raise :exc:`Unreachable` without a response."""
        return self._ask("GET", url, None, headers)

    def post(self, url: str, body: str, kind: str) -> Response:
        """Send a POST request. Raise :exc:`Unreachable` without a response."""
        return self._ask("POST", url, body, {"Content-Type": kind})

    def _ask(self, method: str, url: str, body: str | None, headers: Mapping[str, str]) -> Response:
        # unlike a socket timeout, this also stops a server that sends single bytes
        start = self._clock()
        if self._until is None:
            self._until = start + self._timeout
        until = min(start + self._timeout / _SHARE, self._until)
        if until <= start:
            raise Unreachable(
                "the time limit of all requests has expired",
                "find out why the application responds slowly, or raise --timeout",
            )
        received: list[Response | Unreachable] = []

        def ask() -> None:
            received.append(self._respond_or_explain(method, url, body, headers))

        thread = Thread(target=ask, daemon=True)
        thread.start()
        while thread.is_alive() and self._clock() < until:
            thread.join(_INTERVAL)
        if not received:
            target = url if self._inside is None else self._inside
            raise Unreachable(f"{urlsplit(target).netloc} does not respond in time", _SLOW)
        if isinstance(received[0], Unreachable):
            raise received[0]
        return received[0]

    def _respond_or_explain(
        self, method: str, url: str, body: str | None, headers: Mapping[str, str]
    ) -> Response | Unreachable:
        target = url if self._inside is None else self._inside + url.removeprefix(self._origin)
        try:
            with self._client.stream(
                method, target, content=body, headers=dict(headers), timeout=self._timeout, extensions=self._extensions
            ) as response:
                return Response(url, response.status_code, _lower(response.headers), _read(response))
        except Exception as error:  # the thread must not raise, and may have been abandoned
            return _explain(error, target)


_SLOW = "find out why the application responds slowly: check its log, its workers and the database"


def _lower(headers: httpx.Headers) -> dict[str, str]:
    """Return the headers with names in lower case. Repeated headers are joined."""
    return {name.lower(): ", ".join(headers.get_list(name)) for name in headers}


def _read(response: httpx.Response) -> bytes:
    body = b""
    for part in response.iter_bytes():
        body += part
        if len(body) > MAX_BYTES:
            break
    return body[:MAX_BYTES]


def _explain(error: Exception, target: str) -> Unreachable:
    """Return the cause of an error of httpx as a sentence."""

    chain = list(_causes(error))
    host = urlsplit(target).netloc
    rejected = next((cause for cause in chain if isinstance(cause, ssl.SSLCertVerificationError)), None)
    if rejected is not None:
        return Unreachable(
            f"the certificate of {host} cannot be verified: {rejected.verify_message}",
            "use a certificate of an authority that clients trust, with the whole chain, for this host; for a "
            "private authority, set SSL_CERT_FILE to its certificate",
        )
    if any(isinstance(cause, ssl.SSLError) for cause in chain):
        return Unreachable(
            f"{host} does not speak TLS correctly", "check which server listens there, and with which protocol"
        )
    for kind, (reason, hint) in _CAUSES:
        if any(isinstance(cause, kind) for cause in chain):
            return Unreachable(f"{host} {reason}", hint)
    text = str(error).partition("\n")[0] or type(error).__name__
    return Unreachable(f"{host} does not send a valid HTTP response: {text[:200]}", "check which server listens there")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


_REFUSED = (
    "refuses the connection: no server listens there",
    "start the application, or correct OAUTH2_ISSUER; --url sets the internal address",
)
_UNKNOWN = (
    "is a host name that this machine cannot resolve",
    "correct OAUTH2_ISSUER or the DNS; --url sets the internal address",
)

_CAUSES: tuple[tuple[type[BaseException], tuple[str, str]], ...] = (
    (ConnectionRefusedError, _REFUSED),
    (socket.gaierror, _UNKNOWN),
)
