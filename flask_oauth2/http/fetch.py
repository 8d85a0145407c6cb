"""What is fetched from addresses that strangers name: from the public network only, not much of it, and not for long.

A name is resolved once, every address of it is looked at, and the connection goes to one of these: a name that leads
elsewhere a moment later leads nowhere. TLS is checked for the name. No redirect is followed, nothing is unpacked, no
proxy of the environment is asked, and one deadline stands over all of it.
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
"""The longest body that is read, draft-ietf-oauth-client-id-metadata-document section 6.6."""

_PATIENCE = 3.0
"""Seconds to connect, and to wait for a piece."""

_IPV4_SPECIAL = [
    IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
]
""":rfc:`6890`, here in full, as what Python calls global changes with its versions."""

_IPV6_GLOBAL = IPv6Network("2000::/3")
_IPV6_SPECIAL = [IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]
"""Within the global ones: protocols (Teredo is one), examples, 6to4, examples."""

_NAT64 = IPv6Network("64:ff9b::/96")
"""An IPv4 address as networks of IPv6 alone see it, :rfc:`6052`."""

_OWN: list[IPv4Network | IPv6Network] = [
    *map(IPv4Network, ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")),
    *map(IPv6Network, ("::1/128", "fc00::/7")),
]
"""What a host that the application names may have besides: its own machine and its own network."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came with status 200: its headers, by names in lower case, and its body as it was sent."""

    headers: Mapping[str, str]
    body: bytes


def resolve(host: str, port: int) -> Iterable[str]:
    """All addresses of a name, as the system knows them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return dict.fromkeys(str(address[0]) for *_, address in found)


def fetch(
    url: str,
    *,
    deadline: float,
    may_be_own: bool = False,
    max_bytes: int = MOST_BYTES,
    resolve: Callable[[str, int], Iterable[str]] = resolve,
    network: httpcore.NetworkBackend | None = None,
    tls: ssl.SSLContext | None = None,
) -> Fetched:
    """Get ``url``. Raises :exc:`FetchError` for whatever is not a short answer with status 200 in time.

    :param deadline: seconds for all of it.
    :param may_be_own: whether the host may have an address of this machine or its network, and may be asked without TLS
        on this machine.
    :param max_bytes: octets of the longest body that is read.
    :param resolve: gives the addresses of a name.
    :param network: connects to an address.
    :param tls: what is trusted, if not the usual authorities.
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
    headers = [
        ("Host", parts.netloc),
        ("Accept", "application/json"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", "flask_oauth2"),
    ]
    patience = {"connect": _PATIENCE, "read": _PATIENCE, "write": _PATIENCE}
    try:
        with (
            httpcore.ConnectionPool(ssl_context=tls, network_backend=guarded) as pool,
            pool.stream("GET", place, headers=headers, extensions={"timeout": patience}) as response,
        ):
            return _read(response, max_bytes)
    except httpcore.TimeoutException as error:
        raise FetchError("no answer in time") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, ValueError) as error:  # the last for a name that is none
        raise FetchError(f"no answer: {error}") from error


_PORTS = {"https": 443, "http": 80}


def _read(response: httpcore.Response, max_bytes: int) -> Fetched:
    # "only 200 (OK)", and redirects "MUST NOT" be followed
    if response.status != 200:
        raise FetchError(f"the answer has status {response.status}, not 200", is_gone=response.status in (404, 410))
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise FetchError("the answer is packed, which was not asked for")
    body = b""
    for piece in response.iter_stream():
        body += piece
        if len(body) > max_bytes:
            raise FetchError(f"the answer is longer than {max_bytes} bytes")
    return Fetched(headers, body)


def check_address(text: str, *, may_be_own: bool = False, is_plain: bool = False) -> None:
    """Raise :exc:`FetchError` for an address from which nothing is fetched.

    "MUST NOT resolve to a special-use address", draft-ietf-oauth-client-id-metadata-document section 6.5.
    """
    address = _unwrap(ip_address(text.partition("%")[0]))
    if is_plain and not (may_be_own and address.is_loopback):
        raise FetchError("http is for this machine alone: use https")
    if may_be_own and any(address in network for network in _OWN):
        return
    if not address.is_global or _is_special(address):
        raise FetchError(
            "its host has an address that is not of the public network",
            hint=None
            if may_be_own
            else "if the host is yours, name it in OAUTH2_CLIENT_ID_METADATA_DOCUMENT_ALLOWED_HOSTS",
        )


def _is_special(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return any(address in network for network in _IPV4_SPECIAL)
    return address not in _IPV6_GLOBAL or any(address in network for network in _IPV6_SPECIAL)


def _unwrap(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that one of IPv6 stands for."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


class _GuardedNetwork(httpcore.NetworkBackend):
    """Connects to addresses that were looked at, until the deadline."""

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
        """To the first address that answers, if all of them may be asked."""
        try:
            addresses = list(self._resolve(host, port))
        except (OSError, UnicodeError) as error:
            raise FetchError("its host has no address") from error
        for address in addresses:
            check_address(address, may_be_own=self._may_be_own, is_plain=self._is_plain)
        failure: Exception = FetchError("its host has no address")
        for address in addresses:
            try:
                stream = self._network.connect_tcp(address, port, _left(self._ends_at), local_address, socket_options)
                return _GuardedStream(stream, self._ends_at)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class _GuardedStream(httpcore.NetworkStream):
    """A connection on which nothing takes longer than the deadline leaves, however slowly it comes."""

    def __init__(self, stream: httpcore.NetworkStream, ends_at: float) -> None:
        self._stream = stream
        self._ends_at = ends_at

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See :class:`httpcore.NetworkStream`, as for the others."""
        return self._stream.read(max_bytes, _left(self._ends_at))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write."""
        self._stream.write(buffer, _left(self._ends_at))

    def close(self) -> None:
        """Close."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The name of the URL is verified, not the address."""
        try:
            left = _left(self._ends_at)
        except httpcore.ReadTimeout:  # nobody else closes what was connected in time and no more
            self.close()
            raise
        return _GuardedStream(self._stream.start_tls(ssl_context, server_hostname, left), self._ends_at)

    def get_extra_info(self, info: str) -> Any:
        """What is known of it."""
        return self._stream.get_extra_info(info)


def _left(ends_at: float) -> float:
    """Seconds that a step may take. Raises :exc:`httpcore.TimeoutException` where none are left."""
    left = min(_PATIENCE, ends_at - time.monotonic())
    if left <= 0:
        raise httpcore.ReadTimeout("the deadline has passed")
    return left
