"""Requests to the running application, as its clients send them: in limited time, and never with a traceback.

The one file that imports httpx, when it is first needed.
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

MOST_BYTES = 256 * 1024
"""The longest body that is read."""

_SHARE = 6
"""Of the time for all requests, one request may use this part."""

_LOOK = 0.05
"""Seconds between two looks at the clock while an answer is awaited."""


class Unreachable(Exception):
    """There was no answer: why, and what can be done about it."""

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cure = cure


@dataclass(frozen=True, slots=True)
class Response:
    """What came: ``headers`` by names in lower case."""

    url: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def is_json(self) -> bool:
        """Whether it says that it is JSON."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"

    @property
    def members(self) -> dict[str, Any] | None:
        """Those of a JSON object; None where it is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None


class HTTPClient:
    """Whoever asks.

    :param origin: scheme and host of the issuer, under which everything is asked for.
    :param inside: where the application listens itself, if it is to be asked there: scheme, host and port. It is told
        the rest by the headers of a proxy.
    :param patience: seconds for all requests, counted from the first; each may take a sixth of them.
    :param clock: returns seconds that only count up.
    """

    def __init__(self, origin: str, inside: str | None, patience: float, clock: Callable[[], float]) -> None:
        import httpx

        self._patience = patience
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
        # the certificate is that of the public name, wherever it is shown
        self._extensions = {} if inside is None else {"sni_hostname": public.hostname}
        # a proxy of the environment would not find what listens inside
        trusted = httpx.create_ssl_context()
        trusted.load_default_certs()  # those of the system too, where an authority may be of one's own
        self._client = httpx.Client(
            verify=trusted,
            headers={"User-Agent": "flask-oauth2-doctor", **({} if inside is None else forwarded)},
            trust_env=inside is None,
            follow_redirects=False,
        )

    def close(self) -> None:
        """Leave."""
        self._client.close()

    def get(self, url: str, **headers: str) -> Response:
        """Raises :exc:`Unreachable`."""
        return self._ask("GET", url, None, headers)

    def post(self, url: str, body: str, kind: str) -> Response:
        """Raises :exc:`Unreachable`."""
        return self._ask("POST", url, body, {"Content-Type": kind})

    def _ask(self, method: str, url: str, body: str | None, headers: Mapping[str, str]) -> Response:
        # a server that sends a byte now and then outlasts each timeout of a socket, but not this
        begun = self._clock()
        if self._until is None:
            self._until = begun + self._patience
        until = min(begun + self._patience / _SHARE, self._until)
        if until <= begun:
            raise Unreachable("the time for all of it is over", "see why the application answers so late")
        heard: list[Response | Unreachable] = []

        def ask() -> None:
            heard.append(self._answer_or_why(method, url, body, headers))

        thread = Thread(target=ask, daemon=True)
        thread.start()
        while thread.is_alive() and self._clock() < until:
            thread.join(_LOOK)
        if not heard:
            asked = url if self._inside is None else self._inside
            raise Unreachable(f"{urlsplit(asked).netloc} does not answer in time", _SLOW)
        if isinstance(heard[0], Unreachable):
            raise heard[0]
        return heard[0]

    def _answer_or_why(
        self, method: str, url: str, body: str | None, headers: Mapping[str, str]
    ) -> Response | Unreachable:
        asked = url if self._inside is None else self._inside + url.removeprefix(self._origin)
        try:
            with self._client.stream(
                method, asked, content=body, headers=dict(headers), timeout=self._patience, extensions=self._extensions
            ) as response:
                return Response(url, response.status_code, _lower(response.headers), _read(response))
        except Exception as error:  # whatever it is, in a thread that may be given up meanwhile
            return _explain(error, asked)


_SLOW = "see why the application answers so late: its log, its workers, the database"


def _lower(headers: httpx.Headers) -> dict[str, str]:
    """By names in lower case; one that came twice has both values."""
    return {name.lower(): ", ".join(headers.get_list(name)) for name in headers}


def _read(response: httpx.Response) -> bytes:
    body = b""
    for part in response.iter_bytes():
        body += part
        if len(body) > MOST_BYTES:
            break
    return body[:MOST_BYTES]


def _explain(error: Exception, asked: str) -> Unreachable:
    """The cause behind an error of httpx, in words."""

    chain = list(_causes(error))
    host = urlsplit(asked).netloc
    refused = next((cause for cause in chain if isinstance(cause, ssl.SSLCertVerificationError)), None)
    if refused is not None:
        return Unreachable(
            f"the certificate of {host} is not to be trusted: {refused.verify_message}",
            "give the server a certificate of an authority that clients know, with the whole chain, for this host; "
            "where the authority is your own, SSL_CERT_FILE names its certificate",
        )
    if any(isinstance(cause, ssl.SSLError) for cause in chain):
        return Unreachable(f"{host} does not speak TLS as it should", "see what listens there, and with what protocol")
    for kind, (reason, cure) in _CAUSES:
        if any(isinstance(cause, kind) for cause in chain):
            return Unreachable(f"{host} {reason}", cure)
    text = str(error).partition("\n")[0] or type(error).__name__
    return Unreachable(f"{host} gives no answer that HTTP knows: {text[:200]}", "see what listens there")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


_REFUSED = (
    "lets nobody connect: nothing listens there",
    "start the application, or correct OAUTH2_ISSUER; --url says where it listens inside",
)
_UNKNOWN = (
    "is a host that this machine does not find",
    "correct OAUTH2_ISSUER or the DNS; --url says where the application listens inside",
)

_CAUSES: tuple[tuple[type[BaseException], tuple[str, str]], ...] = (
    (ConnectionRefusedError, _REFUSED),
    (socket.gaierror, _UNKNOWN),
)
