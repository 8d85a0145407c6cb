"""A URL as client_id: the client is what the JSON document there says, draft-ietf-oauth-client-id-metadata-document.

Nobody has registered it. That it speaks for the host of the URL is all that is known, so that is what people are shown;
the rest is a wish: what the client may do is decided here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from .. import uris, urls
from ..http.json import parse_object
from ..records import Client
from ..server import AuthorizationServer
from .rules import check_all_but_id
from .validators import LONGEST_ID, InvalidMetadata, clean_name, is_page

if TYPE_CHECKING:
    from ..fetch import Fetched

RULE = "draft-ietf-oauth-client-id-metadata-document"

ORIGIN = "document"
"""How a client came here that its document describes, as :attr:`.records.Client.registered_by` says it."""

GRANT_TYPES = ("authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code")
"""What a client may have that nobody has registered, as far as it is offered: what a person allows."""

_SHARED_SECRET = ("client_secret", "client_secret_expires_at")
_TEXTS = ("client_name", "token_endpoint_auth_method")
_LISTS = ("redirect_uris", "grant_types", "response_types", "token_endpoint_auth_methods_supported")
"""The members that are read. Others are ignored whatever they hold, :rfc:`7591#section-2`."""

_SHOWN = ("client_uri", "policy_uri", "tos_uri")

_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+\Z")
_HALF_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_MEDIA_TYPE = re.compile(r"application/(?:[a-z0-9!#$&^_.+\-]+\+)?json\Z")


def is_url(client_id: str) -> bool:
    """Whether a client_id looks as if a document were meant by it."""
    return client_id[:8].lower().startswith(("https://", "http://"))


def host_of(client_id: str) -> str | None:
    """The host of a client_id that is a URL; None where it is none."""
    return urls.origin(client_id).partition("://")[2] or None if is_url(client_id) else None


def find_host(client: Client) -> str | None:
    """The host that vouches for a client, as people are shown it; None where somebody has registered it."""
    return host_of(client.client_id) if client.registered_by == ORIGIN else None


def is_cross_host(client: Client, uri: str) -> bool:
    """Return whether ``uri`` leads to another host than the one that vouches for the client, if one does."""
    return client.registered_by == ORIGIN and uris.origin(uri) != uris.origin(client.client_id)


def find_fault(url: str, own_hosts: Collection[str] = ()) -> str | None:
    """Why a URL is no client_id, section 3. It is looked at as it came: libraries tidy up what is to be refused here.

    ``own_hosts`` are those of ``OAUTH2_CLIENT_ID_DOCUMENT_HOSTS``.
    """
    if len(url) > LONGEST_ID:
        return f"has more than {LONGEST_ID} characters"
    if not _CHARACTERS.match(url) or _HALF_ESCAPE.search(url):
        return "holds a character that a URL may not hold"
    if "#" in url:
        return "has a fragment"
    if "?" in url:  # "SHOULD NOT": whoever answers with what was asked would vouch for anybody
        return "has a query"
    parts = urls.parse(url)
    if parts is None:
        return "is no URL"
    if "@" in parts.netloc:
        return "holds a name or a password"
    fault = urls.find_host_fault(url)
    if fault is not None:
        return fault
    if "_" in parts.netloc:
        return "has a host that is not a host name"
    if parts.path in ("", "/"):
        return "has no path"
    if {".", ".."}.intersection(re.split(r"[/\\]", unquote(parts.path))):
        return "has a path with . or .. in it"
    if not urls.is_https(url) and not (urls.is_loopback(url) and is_own(url, own_hosts)):
        return "must begin with https://"
    if not url.startswith(parts.scheme):  # identifiers are compared as strings: one way to write it is enough
        return "has a scheme in upper case"
    return None


def is_own(url: str, own_hosts: Collection[str]) -> bool:
    """Return whether the application names the host of a URL among its own, with its port or with any."""
    scheme, _, host = urls.origin(url).partition("://")
    name = urls.host_of(url)
    any_port = f"[{name}]:*" if ":" in name else f"{name}:*"
    return any(named in own_hosts for named in (host, f"{host}:{urls.DEFAULT_PORTS.get(scheme)}", any_port))


def read(fetched: Fetched, client_id: str, server: AuthorizationServer) -> Client:
    """The client that a document describes, section 4.1. Raises :exc:`InvalidMetadata`."""
    media_type = fetched.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not _MEDIA_TYPE.match(media_type):
        raise InvalidMetadata("Content-Type", f"must be application/json or application/…+json, not {media_type!r}")
    # null says the same as a member that is left out
    document = {name: value for name, value in _parse(fetched.body).items() if value is not None}
    if document.get("client_id") != client_id:
        raise InvalidMetadata("client_id", f"must be {client_id}, character for character")
    for name in _SHARED_SECRET:
        if name in document:
            raise InvalidMetadata(name, "anybody can read the document, so it shares no secret")
    for name in _TEXTS:
        if not isinstance(document.get(name, ""), str):
            raise InvalidMetadata(name, "must be text")
    for name in _LISTS:
        found = document.get(name, [])
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise InvalidMetadata(name, "must be a list of texts")
    for name in ("client_name", "redirect_uris"):
        if not document.get(name):
            raise InvalidMetadata(name, "is missing")
    # where none is named, that of RFC 7591 would need a secret, which nobody has
    auth_method = document.get("token_endpoint_auth_method", "none")
    # one document is for every server, so it may name further methods, of which a server takes what it has
    others = document.get("token_endpoint_auth_methods_supported", [])
    if auth_method.startswith("client_secret_") or "none" not in (auth_method, *others):
        raise InvalidMetadata(
            "token_endpoint_auth_method",
            f"{auth_method} is not offered to clients that nobody has registered: take none, or name it among the "
            "token_endpoint_auth_methods_supported",
        )
    client = _build(document, client_id, server)
    check_all_but_id(client, server)
    return client


def _build(document: Mapping[str, Any], client_id: str, server: AuthorizationServer) -> Client:
    """What the document may decide; the scope is what anybody may ask a person for."""
    redirect_uris = tuple(dict.fromkeys(document["redirect_uris"]))
    wanted = document.get("grant_types", ["authorization_code"])
    grant_types = tuple(name for name in GRANT_TYPES if name in wanted and name in server.capabilities.grant_types)
    if not set(grant_types) - {"refresh_token"}:
        raise InvalidMetadata(
            "grant_types", f"names none that such a client may have here, of {', '.join(GRANT_TYPES)}"
        )
    has_code = "authorization_code" in grant_types
    if has_code and "code" not in document.get("response_types", ["code"]):
        raise InvalidMetadata("response_types", "must hold code, which authorization_code needs")
    client = Client(
        client_id=client_id,
        name=clean_name(document["client_name"]),
        auth_method="none",
        # any port will do where programs of this computer are sent back to, whatever else the document names
        application_type="native" if any(map(uris.is_interceptable, redirect_uris)) else "web",
        redirect_uris=redirect_uris,
        grant_types=grant_types,
        response_types=("code",) if has_code else (),
        scope=server.open_scopes,
        created_at=int(server.clock()),
        registered_by=ORIGIN,
    )
    # a link from here would vouch for where it leads, so it leads to the host that people are shown
    pages = {name: document[name] for name in _SHOWN if is_page(document.get(name))}
    return replace(client, metadata={name: page for name, page in pages.items() if not is_cross_host(client, page)})


def _parse(body: bytes) -> dict[str, Any]:
    """Return the members of the document. Raises :exc:`InvalidMetadata`."""
    try:
        return parse_object(body)
    except ValueError:
        raise InvalidMetadata("the body", "must be a JSON object in UTF-8, with each name once") from None
