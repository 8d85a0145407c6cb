"""URLs: parsed once, with scheme and host in lower case, :rfc:`3986#section-6.2.2.1`, and the hosts that are accepted.

URIs are compared as strings, character for character. Everything that is *concluded* from one (is it HTTPS, is it
loopback, whose host is it) comes from here, so that ``HTTPS://`` and ``https://`` never have different consequences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from unicodedata import normalize
from urllib.parse import SplitResult, quote, urlsplit

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

WEB_SCHEMES = frozenset({"http", "https"})

DEFAULT_PORTS = {"http": 80, "https": 443}

_PRINTED = re.compile(r"[!-\[\]-~]+\Z")
"""ASCII without spaces, control characters and the backslash: parsers delete these or read them as something else."""

_NETLOC = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>.*))?\Z")
_NAME = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\Z")
_PORT = re.compile(r"[1-9][0-9]{0,4}\Z")
_NUMBER = re.compile(r"(?:[0-9]+|0[Xx][0-9A-Fa-f]*)\Z")
"""A last label that makes the URL standard read the whole host as an IPv4 address."""

_IGNORED = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Invisible characters that Python considers printable. UTS 46 removes them."""

LONGEST_HOST = 253


def parse(url: str) -> SplitResult | None:
    """Return the parts of a URL, or None if it has no reading that all parsers share. The scheme is in lower case."""
    if not _PRINTED.match(url):
        return None
    try:
        parts = urlsplit(url)
        return parts if parts.port != 0 else None  # reading the port checks it
    except ValueError:
        return None


def scheme_of(url: str) -> str:
    """Return the scheme in lower case, or an empty string for a relative reference or no URL."""
    parts = parse(url)
    return parts.scheme if parts else ""


def host_of(url: str) -> str:
    """Return the host in lower case and without brackets, or an empty string."""
    parts = parse(url)
    return (parts.hostname or "") if parts else ""


def is_web(url: str) -> bool:
    """Return whether the scheme is ``http`` or ``https``."""
    return scheme_of(url) in WEB_SCHEMES


def is_https(url: str) -> bool:
    """Return whether the scheme is ``https``."""
    return scheme_of(url) == "https"


def is_loopback(url: str) -> bool:
    """Return whether the URL is ``http`` on a loopback address or ``localhost``."""
    return scheme_of(url) == "http" and host_of(url) in LOOPBACK_HOSTS


def origin(url: str) -> str:
    """Return scheme, host and port in lower case, without a default port.

    A URL without a host has its scheme alone: ``com.example.app:``. Empty if it is no URL.
    """
    parts = parse(url)
    if parts is None or not parts.scheme:
        return ""
    if not parts.netloc:
        return f"{parts.scheme}:"
    if parts.scheme not in WEB_SCHEMES:
        return f"{parts.scheme}://{parts.netloc}"
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def find_host_fault(url: str) -> str | None:
    """Return why the host of an ``http`` or ``https`` URL is rejected, or None.

    Accepted is what the URL standard leaves as it stands, apart from upper case: a host that a browser turns into
    another one shows users one name and leads to another.
    """
    parts = parse(url)
    if parts is None:
        return "is no URI"
    netloc = parts.netloc
    if "@" in netloc:
        return "holds user information before the host"
    if "%" in netloc:
        return "has a host with percent-encoding or a zone"
    found = _NETLOC.match(netloc)
    if found is None or not found["host"]:
        return "names no host"
    if found["port"] is not None and not _PORT.match(found["port"]):
        return "has a port that is not written as a number from 1 to 65535 without leading zeros"
    return _find_name_fault(found["host"].lower())


def _find_name_fault(host: str) -> str | None:
    if host.startswith("["):
        with suppress(AddressValueError):
            address = IPv6Address(host[1:-1])
            # Python versions differ in how they write an IPv4 address inside of one of IPv6
            if address.ipv4_mapped is None and "." not in host and str(address) == host[1:-1]:
                return None
        return "has an IPv6 address that is not written in its short form"
    if not _NAME.match(host) or len(host) > LONGEST_HOST:
        return "has a host that is not a domain name of letters, digits, hyphens and dots"
    labels = host.split(".")
    if _NUMBER.match(labels[-1]):
        with suppress(AddressValueError):
            IPv4Address(host)
            return None
        return "has a number as its host that is not an IPv4 address of four decimal numbers"
    if not all(map(_is_stable, labels)):
        return "has a label that begins with xn-- and is not the Punycode of a name"
    return None


def _is_stable(label: str) -> bool:
    """Return whether a label in lower case is no A-label, or one that stands for what it seems to stand for."""
    if not label.startswith("xn--"):
        return True
    try:
        text = label[4:].encode("ascii").decode("punycode")
        again = text.encode("punycode").decode("ascii")
    except (UnicodeError, ValueError, OverflowError):
        return False
    is_name = not text.isascii() and text.isprintable() and again == label[4:] and not _IGNORED.search(text)
    # UTS 46 maps what has an upper case or a compatibility form, and keeps two letters that casefold() does not
    mapped = "".join(letter if letter in "ßς" else letter.casefold() for letter in text)
    return is_name and normalize("NFKC", mapped) == text


_is_unreserved = re.compile(r"[A-Za-z0-9\-._~]*\Z").match
"""Text that needs no percent-encoding, :rfc:`3986#section-2.3`."""


def add_query(uri: str, parameters: Iterable[tuple[str, str]]) -> str:
    """Return ``uri`` with parameters added to its query, which stays as it is."""
    separator = "?" if "?" not in uri else "" if uri.endswith(("?", "&")) else "&"
    return uri + separator + encode(parameters)


def add_fragment(uri: str, parameters: Iterable[tuple[str, str]]) -> str:
    """Return ``uri`` with parameters as its fragment."""
    return f"{uri}#{encode(parameters)}"


def encode(parameters: Iterable[tuple[str, str]]) -> str:
    """Return the parameters percent-encoded, spaces too, as every parser reads them."""
    encoded = []
    for name, value in parameters:
        if not _is_unreserved(name):
            name = quote(name, safe="")
        encoded.append(f"{name}={value if _is_unreserved(value) else quote(value, safe='')}")
    return "&".join(encoded)
