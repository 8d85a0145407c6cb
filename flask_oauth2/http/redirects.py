"""Redirect URIs: rules for their registration, and properties of a redirect URI, such as its web origin.

As in RFC 9700 and in current clients, ``localhost`` is a loopback host.
:mod:`flask_oauth2.checks.redirect_uri` matches the URI of a request.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import SplitResult, parse_qsl

from ..records import Client
from . import urls

_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()+,;=%]+\Z")
_LOOPBACK = re.compile(r"\A(http://(?:127\.0\.0\.1|\[::1\]|localhost))(?::[0-9]{1,5})?(?=[/?]|\Z)", re.IGNORECASE)
_HOST_AND_PORT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[0-9]+(?:[/?]|\Z)")
"""A URL without a scheme, whose host name looks like one."""
_WEB_ORIGIN = re.compile(r"https?://[!-~]+\Z")

LONGEST_ORIGIN = len("https://") + 253 + len(":65535")
"""The maximum length of an origin, in characters. A host name has at most 253."""

_BROWSER_SCHEMES = frozenset(
    {
        *("javascript", "livescript", "mocha", "jscript", "vbscript", "data", "blob", "file", "filesystem", "about"),
        *("view-source", "feed", "jar", "mhtml", "mk", "res", "resource", "cid", "mid", "wyciwyg", "srcdoc"),
        *("chrome", "chrome-search", "chrome-untrusted", "chrome-extension", "moz-extension", "moz-icon"),
        *("ms-browser-extension", "safari-extension", "safari-web-extension", "extension", "devtools", "isolated-app"),
        *("edge", "brave", "opera", "vivaldi", "intent", "android-app"),
        *(
            "search",
            "search-ms",
            "shell",
            "hcp",
            "its",
            "ms-its",
            "ms-help",
            "ms-msdt",
            "ms-officecmd",
            "ms-appinstaller",
        ),
        *("ms-cxh", "ms-cxh-full", "ie.http", "disk", "disks", "afp", "unknown"),
    }
)
"""Schemes that a browser executes, reads, resolves to one of its own pages or blocks as part of the system."""

_OTHER_PROTOCOLS = frozenset(
    {
        *("ws", "wss", "ftp", "ftps", "sftp", "ssh", "telnet", "gopher", "nntp", "news", "ldap", "ldaps", "smb", "nfs"),
        *("mailto", "tel", "sms", "urn", "tag", "cap", "ipfs", "magnet"),
    }
)
"""Schemes of registered protocols. They belong to no application and accept no authorization response."""

_LOOK_ALIKES = ("http+", "http-", "http.", "https+", "https-", "https.")
"""Prefixes of schemes that look like web addresses but are not."""

_ANSWER_PARAMETERS = frozenset({"code", "state", "iss", "error", "error_description", "error_uri", "access_token"})


def check_registration(uri: str) -> None:
    """Raise :exc:`ValueError` with the reason if a URI may not be registered as a redirect URI.

    Accept private-use schemes with or without a period, for all application types, because current native clients
    register them in addition to ``https`` and loopback URIs. See :rfc:`6749#section-3.1.2`,
    :rfc:`8252#section-7.1`, :rfc:`9700#section-2.6` and :rfc:`9207#section-2`.
    """
    # it "MUST be an absolute URI" and "MUST NOT include a fragment component", :rfc:`6749#section-3.1.2`
    if "*" in uri:
        raise ValueError("has a wildcard; register each URI in full")
    if "#" in uri:
        raise ValueError("has a fragment")
    if not _CHARACTERS.match(uri):
        raise ValueError("holds a character that a URI may not hold")
    parts = urls.parse(uri)
    if parts is None:
        raise ValueError("is no URI")
    if not parts.scheme or _HOST_AND_PORT.match(uri):
        raise ValueError("is not absolute: it must begin with a scheme such as https://")
    if _ANSWER_PARAMETERS & {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}:
        raise ValueError(f"has a query parameter that answers use: {', '.join(sorted(_ANSWER_PARAMETERS))}")
    if parts.scheme in urls.WEB_SCHEMES:
        _check_web(uri)
    else:
        _check_private_use(parts)


def _check_web(uri: str) -> None:
    fault = urls.find_host_fault(uri)
    if fault is not None:
        raise ValueError(fault)
    if not urls.is_https(uri) and not urls.is_loopback(uri):
        raise ValueError("must begin with https://; http is for loopback addresses only")


def _check_private_use(parts: SplitResult) -> None:
    if "@" in parts.netloc:
        raise ValueError("holds user information before the host")
    if "%" in parts.netloc:
        raise ValueError("has a host with percent-encoding")
    if parts.scheme in _BROWSER_SCHEMES or parts.scheme in _OTHER_PROTOCOLS or parts.scheme.startswith(_LOOK_ALIKES):
        raise ValueError(f"has the scheme {parts.scheme}, which belongs to no application: use https or your own")


def is_harmless(uri: str) -> bool:
    """Return whether an absolute URI executes nothing on behalf of this site and leads to the host that it shows.

    Every redirect URI must fulfill this, also one that the application stores itself.
    """
    scheme = urls.scheme_of(uri) if _CHARACTERS.match(uri) else ""
    if not scheme or scheme in _BROWSER_SCHEMES:
        return False
    return scheme not in urls.WEB_SCHEMES or urls.find_host_fault(uri) is None


def is_on_device(uri: str) -> bool:
    """Return whether an application on the device of the user receives the answer, :rfc:`8252#section-7`."""
    return urls.is_loopback(uri) or opens_application(uri)


def is_of_host(page: str, uri: str) -> bool:
    """Return whether ``page`` is an HTTPS page on the host of ``uri``, which is HTTPS too, :rfc:`7591#section-5`."""
    return urls.is_https(page) and urls.is_https(uri) and urls.host_of(page) == urls.host_of(uri) != ""


def opens_application(uri: str) -> bool:
    """Return whether a browser hands the URI to an application on the device, by its private-use scheme."""
    return bool(urls.scheme_of(uri)) and not urls.is_web(uri)


def host_and_port(uri: str) -> str:
    """Return the host of an HTTPS URI, with its port unless it is the default; empty for any other URI."""
    return urls.origin(uri).removeprefix("https://") if urls.is_https(uri) else ""


def web_origin(uri: str) -> str:
    """Return the origin of a web page as browsers write it, :rfc:`6454#section-6.2`, or an empty string for none."""
    found = urls.origin(uri) if urls.host_of(uri) else ""
    return found if is_web_origin(found) else ""


def is_web_origin(text: str) -> bool:
    """Return whether a web page may have that origin. ``null`` stands for pages that have none."""
    return len(text) <= LONGEST_ORIGIN and _WEB_ORIGIN.match(text) is not None


def origins_of(client: Client) -> set[str]:
    """Return the origins of the pages of a client. One that has credentials has none, as pages cannot hold them."""
    redirect_uris = client.redirect_uris if client.is_public else ()
    return {web_origin(uri) for uri in redirect_uris} - {""}


def is_interceptable(uri: str) -> bool:
    """Return whether another program on the device may receive the answer, :rfc:`8252#section-8.6`."""
    return not urls.is_https(uri)


def differs_by_port(requested: str, registered: Sequence[str]) -> bool:
    """Return whether a loopback URI differs from one of the registered URIs in its port at most."""
    if not _LOOPBACK.match(requested) or urls.parse(requested) is None:
        return False
    return without_port(requested) in [without_port(uri) for uri in registered if _LOOPBACK.match(uri)]


def without_port(uri: str) -> str:
    """Return a loopback URI without its port, and any other URI as it is."""
    return _LOOPBACK.sub(r"\1", uri)
