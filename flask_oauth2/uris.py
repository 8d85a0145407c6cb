"""Redirect URIs: which may be registered, which a request may name, and how an answer is added to one.

Matching is by exact string (:rfc:`9700#section-2.1`); only the port of a native application's loopback URI is free
(:rfc:`8252#section-7.3`). As RFC 9700 and current clients do, the name ``localhost`` counts as loopback.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import SplitResult, parse_qsl, quote, urlsplit

from .errors import InvalidGrant, InvalidRequest, update_client
from .records import Client, Grant
from .settings import LOOPBACK_HOSTS

_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()+,;=%]+\Z")
_LOOPBACK = re.compile(r"\A(http://(?:127\.0\.0\.1|\[::1\]|localhost))(?::[0-9]{1,5})?(?=[/?]|\Z)")
_WEB_ORIGIN = re.compile(r"https?://[!-~]+\Z")
_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]*\Z").match
"""Text that is its own encoding, :rfc:`3986#section-2.3`, as most is: names, codes, states."""

LONGEST_ORIGIN = len("https://") + 253 + len(":65535")
"""Characters: no host has more than 253."""

_RUN_HERE = frozenset({"javascript", "data", "vbscript", "blob", "file", "filesystem", "about", "view-source"})
"""Schemes of what is no other place."""

_ANSWER_PARAMETERS = frozenset({"code", "state", "iss", "error", "error_description", "error_uri", "access_token"})


def check_registration(uri: str, application_type: str) -> None:
    """Raise :exc:`ValueError`, with the reason, for a URI that may not be registered.

    :rfc:`6749#section-3.1.2`, :rfc:`8252#section-8.4`, :rfc:`9700#section-2.6`, :rfc:`9207#section-2`.
    """
    if "*" in uri:
        raise ValueError("has a wildcard; register each URI in full")
    if "#" in uri:
        raise ValueError("has a fragment")
    if not _CHARACTERS.match(uri):
        raise ValueError("holds a character that a URI may not hold")
    parts = _split(uri)
    if parts is None:
        raise ValueError("is no URI")
    if not parts.scheme:
        raise ValueError("is not absolute: it must begin with a scheme such as https://")
    if "@" in parts.netloc:
        raise ValueError("holds user information before the host")
    if _ANSWER_PARAMETERS & {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}:
        raise ValueError(f"has a query parameter that answers use: {', '.join(sorted(_ANSWER_PARAMETERS))}")
    if parts.scheme == "https":
        if not parts.hostname:
            raise ValueError("names no host")
    elif parts.scheme == "http":
        if parts.hostname not in LOOPBACK_HOSTS:
            raise ValueError("must begin with https://; http is for loopback addresses only")
    elif "." not in parts.scheme:
        raise ValueError(f"has the scheme {parts.scheme}; a private-use scheme is a reversed domain: com.example.app")
    elif application_type != "native":
        raise ValueError("has a private-use scheme, which is for native applications")


def is_harmless(uri: str) -> bool:
    """Whether it is an absolute URI that runs nothing in this site's name: the least that is asked of any."""
    parts = _split(uri) if _CHARACTERS.match(uri) else None
    if parts is None or not parts.scheme or parts.scheme in _RUN_HERE:
        return False
    return bool(parts.hostname) or parts.scheme not in ("http", "https")


def choose(client: Client, requested: str | None) -> str:
    """The URI that an answer goes to. Raises :exc:`InvalidRequest`, to be shown to the user and never redirected."""
    registered = client.redirect_uris
    if requested is None:
        if len(registered) == 1:
            return registered[0]
        raise InvalidRequest(
            "redirect_uri is missing",
            rule="rfc6749 3.1.2.3",
            expected=f"one of {len(registered)} registered URIs",
        )
    if requested in registered or (client.application_type == "native" and _differs_by_port(requested, registered)):
        return requested
    raise InvalidRequest(
        "redirect_uri is not registered for this client",
        rule="rfc9700 2.1",
        expected=" or ".join(registered) or "a registered URI; the client has none",
        came=requested,
        cure=_cure(client, requested),
    )


def verify_redirect(grant: Grant, redirect_uri: str | None) -> None:
    """The token request names the URI of the authorization request, :rfc:`6749#section-4.1.3`.

    It may be left out where PKCE binds the code, oauth-v2-1 section 10.2.
    """
    if redirect_uri is None and grant.challenge is not None:
        return
    if redirect_uri != grant.redirect_uri:
        raise InvalidGrant(
            "redirect_uri differs from that of the authorization request",
            rule="rfc6749 4.1.3",
            expected=grant.redirect_uri or "none, as none was sent before",
            came=redirect_uri,
        )


def add_query(uri: str, parameters: Iterable[tuple[str, str]]) -> str:
    """``uri`` with parameters added to its query, which is kept as it is."""
    separator = "?" if "?" not in uri else "" if uri.endswith(("?", "&")) else "&"
    return uri + separator + encode(parameters)


def add_fragment(uri: str, parameters: Iterable[tuple[str, str]]) -> str:
    """``uri`` with parameters as its fragment."""
    return f"{uri}#{encode(parameters)}"


def encode(parameters: Iterable[tuple[str, str]]) -> str:
    """Parameters percent-encoded, spaces too, which every parser reads."""
    return "&".join([f"{_encode(name)}={_encode(value)}" for name, value in parameters])


def _encode(text: str) -> str:
    return text if _UNRESERVED(text) else quote(text, safe="")


def form_action(uri: str) -> str:
    """What a content security policy must name so that a browser follows a form to ``uri``.

    The scheme: a policy cannot name an IPv6 address, and browsers hold it against all further redirects too.
    """
    return f"{urlsplit(uri).scheme}:"


def origin(uri: str) -> str:
    """The part of a URI by which people recognize where it leads."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"


def web_origin(uri: str) -> str:
    """The origin of a web page as browsers write it, :rfc:`6454#section-6.2`; empty where it is none of a web page."""
    parts = _split(uri)
    if parts is None or not parts.hostname:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, {"http": 80, "https": 443}.get(parts.scheme)) else f":{parts.port}"
    origin = f"{parts.scheme}://{host}{port}"
    return origin if is_web_origin(origin) else ""


def is_web_origin(text: str) -> bool:
    """Whether a web page may have that origin; ``null`` is said of those that have none."""
    return len(text) <= LONGEST_ORIGIN and _WEB_ORIGIN.match(text) is not None


def origins_of(client: Client) -> set[str]:
    """The origins of the pages of a client; none of one that has a secret to keep."""
    redirect_uris = client.redirect_uris if client.is_public else ()
    return {web_origin(uri) for uri in redirect_uris} - {""}


def is_interceptable(uri: str) -> bool:
    """Whether another program on the device may receive what is sent there, :rfc:`8252#section-8.6`."""
    return not uri.startswith("https://")


def _cure(client: Client, requested: str) -> str:
    """What to do about a URI that is not registered: how it differs from the nearest that is."""
    register = update_client(client.client_id, "--redirect-uri …, which names all that are to be registered")
    for uri in client.redirect_uris:
        difference = _difference(requested, uri)
        if difference:
            return f"the URI that came differs from {uri} by {difference}; let the client send that one, or {register}"
    return f"register it: {register}"


def _difference(requested: str, registered: str) -> str | None:
    """By what alone two URIs differ, in words."""
    if requested.rstrip("/") == registered.rstrip("/"):
        return "a slash at the end"
    if requested.lower() == registered.lower():
        return "upper and lower case"
    one, other = _split(requested), _split(registered)
    if one is None or other is None:
        return None
    if one.hostname == other.hostname and one._replace(netloc="") == other._replace(netloc=""):
        return "its port; only the loopback URIs of native applications (--native) may have any"
    for part, name in (("scheme", "its scheme"), ("query", "its query"), ("netloc", "its host")):
        if one._replace(**{part: ""}) == other._replace(**{part: ""}):
            return name
    return None


def _differs_by_port(requested: str, registered: Sequence[str]) -> bool:
    if not _LOOPBACK.match(requested) or _split(requested) is None:
        return False
    return without_port(requested) in [without_port(uri) for uri in registered if _LOOPBACK.match(uri)]


def without_port(uri: str) -> str:
    """The same without its port, where it is a loopback URI."""
    return _LOOPBACK.sub(r"\1", uri)


def _split(uri: str) -> SplitResult | None:
    try:
        parts = urlsplit(uri)
        return parts if parts.port != 0 else None  # reading the port checks it
    except ValueError:
        return None
