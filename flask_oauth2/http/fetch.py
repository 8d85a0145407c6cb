"""Fetch URLs from untrusted sources: only public addresses, with a size limit and a deadline.

The host name is resolved once and all its addresses are checked. The connection uses one of these addresses, so a
second DNS response cannot change the target. The TLS certificate is verified for the host name. Redirects, compressed
bodies and proxies from the environment are not supported. One deadline applies to the whole request.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

import httpcore

from ..errors import FetchError

MOST_BYTES = 5 * 1024
"""The maximum length of a body, draft-ietf-oauth-client-id-metadata-document section 6.6."""

_PATIENCE = 3.0
"""Timeout in seconds of connecting and of each read or write."""

_IPV4_SPECIAL = [
    IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
]
"""Special-use addresses, :rfc:`6890`. The list is complete, because ``is_global`` differs between Python versions."""

_IPV6_GLOBAL = IPv6Network("2000::/3")
_IPV6_SPECIAL = [IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]
"""Special-use networks in the global range: protocol assignments such as Teredo, documentation, 6to4, documentation."""

_NAT64 = IPv6Network("64:ff9b::/96")
"""IPv6 addresses that represent IPv4 addresses in IPv6-only networks, :rfc:`6052`."""

_OWN: list[IPv4Network | IPv6Network] = [
    *map(IPv4Network, ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")),
    *map(IPv6Network, ("::1/128", "fc00::/7")),
]
"""Additional addresses of hosts that the application allows: the local machine and private networks."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A response with status 200: its headers, with names in lower case, and its body."""

    headers: Mapping[str, str]
    body: bytes


def resolve(host: str, port: int) -> Iterable[str]:
    """Return all addresses of a host name, from the resolver of the system."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return dict.fromkeys(str(address[0]) for *_, address in found)


def fetch(
    url: str,
    *,
    deadline: float,
    may_be_own: bool = False,
    max_bytes: int = MOST_BYTES,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    resolve: Callable[[str, int], Iterable[str]] = resolve,
    network: httpcore.NetworkBackend | None = None,
    tls: ssl.SSLContext | None = None,
) -> Fetched:
    """Send a request to ``url``. Raise :exc:`FetchError` unless the response is short, in time and has status 200.

    :param deadline: the maximum duration in seconds.
    :param may_be_own: whether the host may have a loopback or private address. Plain http is allowed for loopback only.
    :param max_bytes: the maximum length of the body in bytes.
    :param content: the body of a POST request. None sends a GET request.
    :param headers: further headers.
    :param resolve: returns the addresses of a host name.
    :param network: connects to an address.
    :param tls: replaces the default TLS settings.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    guarded = _GuardedNetwork(
        resolve,
        network or httpcore.SyncBackend(),
        may_be_own=may_be_own,
        is_plain=parts.scheme == "http",
        ends_at=time.monotonic() + deadline,
    )
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    place = httpcore.URL(scheme=parts.scheme.encode(), host=host.encode(), port=port, target=target.encode())
    fields = [
        ("Host", parts.netloc),
        ("Accept", "application/json"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", "flask_oauth2"),
        *(() if content is None else [("Content-Length", str(len(content)))]),
        *(headers or {}).items(),
    ]
    method = "GET" if content is None else "POST"
    patience = {"connect": _PATIENCE, "read": _PATIENCE, "write": _PATIENCE}
    try:
        with (
            httpcore.ConnectionPool(ssl_context=tls, network_backend=guarded) as pool,
            pool.stream(method, place, headers=fields, content=content, extensions={"timeout": patience}) as response,
        ):
            return _read(response, max_bytes)
    except httpcore.TimeoutException as error:
        raise FetchError("the response timed out") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, ValueError) as error:  # ValueError: an invalid host name
        raise FetchError(f"no response: {error}") from error


_PORTS = {"https": 443, "http": 80}


def _read(response: httpcore.Response, max_bytes: int) -> Fetched:
    # redirects "MUST NOT" be followed, draft-ietf-oauth-client-id-metadata-document section 4; only 200 is a success
    if response.status != 200:
        raise FetchError(f"the response has status {response.status}, not 200", is_gone=response.status in (404, 410))
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise FetchError("the response has a Content-Encoding, but the request allows none")
    body = b""
    for piece in response.iter_stream():
        body += piece
        if len(body) > max_bytes:
            raise FetchError(f"the response is longer than {max_bytes} bytes")
    return Fetched(headers, body)


def check_address(text: str, *, may_be_own: bool = False, is_plain: bool = False) -> None:
    """Raise :exc:`FetchError` unless documents may be fetched from this address.

    Special-use addresses are not allowed, draft-ietf-oauth-client-id-metadata-document section 6.5.
    """
    address = _unwrap(ip_address(text.partition("%")[0]))
    if is_plain and not (may_be_own and address.is_loopback):
        raise FetchError("http is allowed for loopback hosts only: use https")
    if may_be_own and any(address in network for network in _OWN):
        return
    if not address.is_global or _is_special(address):
        raise FetchError(
            "the host has an address that is not public",
            hint=None
            if may_be_own
            else "if you trust the host, add it to OAUTH2_CLIENT_ID_METADATA_DOCUMENT_ALLOWED_HOSTS",
        )


def _is_special(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return any(address in network for network in _IPV4_SPECIAL)
    return address not in _IPV6_GLOBAL or any(address in network for network in _IPV6_SPECIAL)


def _unwrap(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 address represents, or the address itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


class _GuardedNetwork(httpcore.NetworkBackend):
    """A network backend that connects only to allowed addresses, until the deadline."""

    def __init__(
        self,
        resolve: Callable[[str, int], Iterable[str]],
        network: httpcore.NetworkBackend,
        *,
        may_be_own: bool,
        is_plain: bool,
        ends_at: float,
    ) -> None:
        self._resolve = resolve
        self._network = network
        self._may_be_own = may_be_own
        self._is_plain = is_plain
        self._ends_at = ends_at

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first reachable address of the host. Raise :exc:`FetchError` if any address is not allowed."""
        try:
            addresses = list(self._resolve(host, port))
        except (OSError, UnicodeError) as error:
            raise FetchError("the host has no address") from error
        for address in addresses:
            check_address(address, may_be_own=self._may_be_own, is_plain=self._is_plain)
        failure: Exception = FetchError("the host has no address")
        for address in addresses:
            try:
                stream = self._network.connect_tcp(address, port, _left(self._ends_at), local_address, socket_options)
                return _GuardedStream(stream, self._ends_at)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class _GuardedStream(httpcore.NetworkStream):
    """A connection whose operations fail after the deadline, even if the server keeps sending slowly."""

    def __init__(self, stream: httpcore.NetworkStream, ends_at: float) -> None:
        self._stream = stream
        self._ends_at = ends_at

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read, see :class:`httpcore.NetworkStream`."""
        return self._stream.read(max_bytes, _left(self._ends_at))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of ``buffer``."""
        self._stream.write(buffer, _left(self._ends_at))

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Start TLS, and verify the certificate for the host name of the URL, not for the address."""
        try:
            left = _left(self._ends_at)
        except httpcore.ReadTimeout:  # httpcore does not close a connection whose TLS never started
            self.close()
            raise
        return _GuardedStream(self._stream.start_tls(ssl_context, server_hostname, left), self._ends_at)

    def get_extra_info(self, info: str) -> Any:
        """Return information about the connection, see :class:`httpcore.NetworkStream`."""
        return self._stream.get_extra_info(info)


def _left(ends_at: float) -> float:
    """Return the timeout of the next operation in seconds. Raise :exc:`httpcore.ReadTimeout` after the deadline."""
    left = min(_PATIENCE, ends_at - time.monotonic())
    if left <= 0:
        raise httpcore.ReadTimeout("the deadline has passed")
    return left
