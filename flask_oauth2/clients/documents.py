"""Client ID metadata documents: the URL of a JSON document is the client_id, and the document describes the client.

draft-ietf-oauth-client-id-metadata-document. No party has registered the client. The server knows only that it speaks
for the host of the URL, and pages show that host. The rest of the document is self-asserted: the server decides what
the client may do.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ..http import redirects, urls
from ..http.json import parse_object
from ..records import Client
from ..server import AuthorizationServer
from . import metadata
from .metadata import Party
from .rules import check_all_but_id, key_methods
from .validators import LONGEST_ID, InvalidMetadata
from .value_types import TEXTS

if TYPE_CHECKING:
    from ..http.fetch import Fetched

RULE = "draft-ietf-oauth-client-id-metadata-document"

ORIGIN = "document"
"""The ``registered_by`` of a client that its document describes."""

GRANT_TYPES = ("authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code")
"""The grants of such a client, as far as the server offers them: a user decides in each."""

_SHARED_SECRET = ("client_secret", "client_secret_expires_at")
_METHODS = "token_endpoint_auth_methods_supported"

_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+\Z")
_HALF_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_MEDIA_TYPE = re.compile(r"application/(?:[a-z0-9!#$&^_.+\-]+\+)?json\Z")


def is_url(client_id: str) -> bool:
    """Return whether a client_id looks like the URL of a document."""
    return client_id[:8].lower().startswith(("https://", "http://"))


def host_of(client_id: str) -> str | None:
    """Return the host of a client_id that is a URL, or None."""
    return urls.origin(client_id).partition("://")[2] or None if is_url(client_id) else None


def find_host(client: Client) -> str | None:
    """Return the host that vouches for a client, as pages show it; None for a client that was registered."""
    return host_of(client.client_id) if client.registered_by == ORIGIN else None


def is_cross_host(client: Client, uri: str) -> bool:
    """Return whether ``uri`` leads to another host than the one that vouches for the client, if one does."""
    return client.registered_by == ORIGIN and urls.origin(uri) != urls.origin(client.client_id)


def find_fault(url: str, own_hosts: Collection[str] = ()) -> str | None:
    """Return why a URL is not a valid client_id, section 3, or None.

    It examines the text as the client sent it, because libraries normalize what must be rejected here.

    :param own_hosts: the value of ``OAUTH2_CLIENT_ID_METADATA_DOCUMENT_ALLOWED_HOSTS``.
    """
    return _find_fault_of_text(url) or _find_fault_of_parts(url, own_hosts)


def _find_fault_of_text(url: str) -> str | None:
    if len(url) > LONGEST_ID:
        return f"has more than {LONGEST_ID} characters"
    if not _CHARACTERS.match(url) or _HALF_ESCAPE.search(url):
        return "holds a character that a URL may not hold"
    if "#" in url:  # "MUST NOT contain a fragment component"
        return "has a fragment"
    if "?" in url:  # "SHOULD NOT": a page that echoes its query would vouch for any client
        return "has a query"
    return None


def _find_fault_of_parts(url: str, own_hosts: Collection[str]) -> str | None:
    parts = urls.parse(url)
    if parts is None:
        return "is no URL"
    if "@" in parts.netloc:  # "MUST NOT contain a username or password component"
        return "holds a name or a password"
    fault = urls.find_host_fault(url)
    if fault is not None:
        return fault
    if "_" in parts.netloc:
        return "has a host that is not a host name"
    if parts.path in ("", "/"):  # "MUST contain a path component"
        return "has no path"
    if {".", ".."}.intersection(re.split(r"[/\\]", unquote(parts.path))):
        # "MUST NOT contain single-dot or double-dot path segments"
        return "has a path with . or .. in it"
    if not urls.is_https(url) and not (urls.is_loopback(url) and is_own(url, own_hosts)):
        return "must begin with https://"
    if not url.startswith(parts.scheme):  # clients are compared as strings: one spelling is enough
        return "has a scheme in upper case"
    return None


def is_own(url: str, own_hosts: Collection[str]) -> bool:
    """Return whether the application names the host of a URL among its own, with its port or with any."""
    scheme, _, host = urls.origin(url).partition("://")
    name = urls.host_of(url)
    any_port = f"[{name}]:*" if ":" in name else f"{name}:*"
    return any(named in own_hosts for named in (host, f"{host}:{urls.DEFAULT_PORTS.get(scheme)}", any_port))


def read(fetched: Fetched, client_id: str, server: AuthorizationServer) -> Client:
    """Return the client that a document describes, section 4.1. Raises :exc:`.InvalidMetadata`."""
    media_type = fetched.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not _MEDIA_TYPE.match(media_type):
        raise InvalidMetadata("Content-Type", f"must be application/json or application/…+json, not {media_type!r}")
    # null is the same as a member that is left out
    document = {name: value for name, value in _parse(fetched.body).items() if value is not None}
    _check_identity(document, client_id)
    members = [member for member in metadata.settable_by(Party.DOCUMENT) if member.name in document]
    found = {member.name: member.parse(document[member.name], is_bounded=False) for member in members}
    for name in ("client_name", "redirect_uris"):
        if not document.get(name):
            raise InvalidMetadata(name, "is missing")
    found["token_endpoint_auth_method"] = _choose_auth_method(document, found, server)
    client = _build(found, client_id, server)
    check_all_but_id(client, server)
    return client


def _check_identity(document: Mapping[str, Any], client_id: str) -> None:
    """Reject a document of another client, or with a secret."""
    # "MUST match the URL of the document using simple string comparison", section 4
    if document.get("client_id") != client_id:
        raise InvalidMetadata("client_id", f"must be {client_id}, character for character")
    for name in _SHARED_SECRET:  # "MUST NOT be used", section 4.1
        if name in document:
            raise InvalidMetadata(name, "must be absent: the document is public, so it shares no secret")


def _choose_auth_method(document: Mapping[str, Any], found: Mapping[str, Any], server: AuthorizationServer) -> str:
    """Return the first method of the document that the server has for such clients. None of them is a shared secret."""
    # the default of RFC 7591 would need a secret, which no such client has
    auth_method: str = found.get("token_endpoint_auth_method", "none")
    # one document is for every server, so it may name further methods, of which a server uses what it has
    try:
        others = TEXTS.parse(document.get(_METHODS, []), is_bounded=False)
    except ValueError as error:
        raise InvalidMetadata(_METHODS, str(error)) from None
    offered = ("none", *key_methods(server))
    usable: list[str] = [name for name in (auth_method, *others) if name in offered]
    if auth_method.startswith("client_secret_") or not usable:
        raise InvalidMetadata(
            "token_endpoint_auth_method",
            f"{auth_method} is not offered to clients with a metadata document. Use {' or '.join(offered)}, or name "
            "one of them in token_endpoint_auth_methods_supported",
        )
    return usable[0]


def _build(found: dict[str, Any], client_id: str, server: AuthorizationServer) -> Client:
    """Return the client with what its document decides. Its scope is what any client may request from a user."""
    redirect_uris = found["redirect_uris"]
    wanted = found.get("grant_types", ["authorization_code"])
    grant_types = [name for name in GRANT_TYPES if name in wanted and name in server.capabilities.grant_types]
    if not set(grant_types) - {"refresh_token"}:
        raise InvalidMetadata(
            "grant_types", f"contains none that such a client may have. Supported: {', '.join(GRANT_TYPES)}"
        )
    has_code = "authorization_code" in grant_types
    if has_code and "code" not in found.get("response_types", ["code"]):
        raise InvalidMetadata("response_types", "must contain code, which authorization_code needs")
    blank = Client(
        client_id=client_id,
        # a loopback address or a private-use scheme makes a client native, so that it may use any port
        application_type="native" if any(map(redirects.is_interceptable, redirect_uris)) else "web",
        scope=server.open_scopes,
        created_at=int(server.clock()),
        registered_by=ORIGIN,
    )
    found |= {
        "grant_types": grant_types,
        "response_types": ["code"] if has_code else [],
    }
    # a link to another host would let the client pose as that host
    for name in metadata.page_names():
        if name in found and is_cross_host(blank, found[name] or ""):
            del found[name]
    return metadata.assign(blank, metadata.settable_by(Party.DOCUMENT), found)


def _parse(body: bytes) -> dict[str, Any]:
    """Return the members of the document. Raises :exc:`.InvalidMetadata`."""
    try:
        return parse_object(body)
    except ValueError:
        raise InvalidMetadata("the body", "must be a JSON object in UTF-8, with each name once") from None
