"""Dynamic client registration, :rfc:`7591#section-2`: read the metadata that a client sends and restrict it.

:mod:`.rules` then checks the client like any other client. Unknown members are ignored, including names in other
languages and software statements (section 3.1.1: "MAY ignore"). All values are self-asserted and not trusted
(section 5).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .. import values
from ..errors import ConfigurationError
from ..http import redirects
from ..records import Client
from ..scopes import Scope
from ..server import AuthorizationServer
from ..settings import Settings
from . import documents, metadata, rules
from .metadata import Party
from .validators import InvalidMetadata
from .value_types import EMPTY

if TYPE_CHECKING:
    from ..stores.callbacks import Callbacks

log = logging.getLogger("flask_oauth2")

OPEN_GRANTS = documents.GRANT_TYPES
"""The grant types that require the user's consent: registration alone gives a client no access."""

TRUSTED_GRANTS = (*OPEN_GRANTS, "client_credentials")
"""The grant types of confidential clients that present an initial access token."""

DEFAULT_METHOD = "client_secret_basic"
"""The default client authentication method, section 2."""

_ALWAYS = ("response_types", "scope")
"""Members that are registered even if they are empty."""


def choose(settings: Settings, callbacks: Callbacks, is_for_mcp: bool) -> str:
    """Return ``OAUTH2_DYNAMIC_REGISTRATION``, or ``open`` if MCP clients are expected and the store saves the clients.

    Raise :exc:`ConfigurationError` if the value contradicts other settings.
    """
    chosen, has_own = settings.dynamic_registration, callbacks.clientgetter is not None
    if chosen in ("token", "open") and has_own:
        raise ConfigurationError(
            f"OAUTH2_DYNAMIC_REGISTRATION is {chosen!r}, but the registration endpoint cannot add clients to the "
            "application's clientgetter. Remove the clientgetter or OAUTH2_DYNAMIC_REGISTRATION"
        )
    grants = set(TRUSTED_GRANTS if chosen == "token" else OPEN_GRANTS) - {"refresh_token"}
    has_grant = not grants.isdisjoint(settings.grant_types)
    if chosen in ("token", "open") and not has_grant:
        raise ConfigurationError(
            f"OAUTH2_DYNAMIC_REGISTRATION is {chosen!r}, but no grant type is available to clients that register "
            f"themselves. Add {' or '.join(sorted(grants))} to OAUTH2_GRANT_TYPES"
        )
    if chosen is None and is_for_mcp and has_grant and not has_own:
        log.info(
            "Dynamic client registration is open to all clients, because the application protects an MCP server. "
            "Set OAUTH2_DYNAMIC_REGISTRATION to 'token' or 'off' to restrict it"
        )
        chosen = "open"
    if chosen in ("token", "open") and not settings.secret_keys:
        raise ConfigurationError(
            f"OAUTH2_DYNAMIC_REGISTRATION is {chosen!r}, but SECRET_KEY is not set. Set it to a random value"
        )
    return chosen or "off"


def deny_removed(client: Client, before: Client) -> Client:
    """Return the client with a record of the values that the operator removed. Only the operator can restore them."""
    denied = {}
    for name in ("scope", "grant_types"):
        previous = {*before.denied.get(name, ()), *getattr(before, name)}
        removed = previous.difference(getattr(client, name))
        if removed:
            denied[name] = tuple(sorted(removed))
    return replace(client, denied=denied)


def read(
    sent: Mapping[str, Any], server: AuthorizationServer, grant_types: Collection[str], scope: Scope | None = None
) -> dict[str, Any]:
    """Return the members that a client may set, converted to their types, with defaults for omitted members.

    Raise :exc:`.InvalidMetadata` if a value is not valid, or if no grant type or response type remains.

    :param grant_types: the allowed grant types. Others and their response types are removed, such as ``implicit`` next
        to ``authorization_code`` ("MAY [...] replace", section 3.2.1).
    :param scope: replaces the scope of the request.
    """
    # "The 'jwks_uri' and 'jwks' parameters MUST NOT both be present in the same request or response.", section 2
    if sent.get("jwks") and sent.get("jwks_uri"):
        raise InvalidMetadata("jwks", "excludes jwks_uri. Send one of the two")
    if scope is not None:
        sent = {**sent, "scope": " ".join(scope)}
    found = {member.name: member.parse(sent.get(member.name)) for member in metadata.settable_by(Party.REGISTRATION)}
    auth_method = found["token_endpoint_auth_method"] = found["token_endpoint_auth_method"] or DEFAULT_METHOD
    methods = rules.registrable_methods(server)
    if auth_method not in methods:
        raise InvalidMetadata("token_endpoint_auth_method", f"must be one of {', '.join(methods)}")
    granted = found["grant_types"] = _narrow_grant_types(found["grant_types"], auth_method, server, grant_types)
    found["response_types"] = _narrow_response_types(found["response_types"], server, granted)
    redirect_uris = found["redirect_uris"] or []
    # a client on the user's device may use any port, regardless of its application_type; it may register an https
    # URI in addition to loopback and private-use URIs
    if any(map(redirects.is_on_device, redirect_uris)):
        found["application_type"] = "native"
    found["application_type"] = found["application_type"] or "web"
    found["scope"] = found["scope"] or ""
    pages = metadata.page_names()
    found |= {name: found.get(name) if _is_own_page(found.get(name), redirect_uris) else None for name in pages}
    return {name: value for name, value in found.items() if value not in EMPTY or name in _ALWAYS}


def apply(members: Mapping[str, Any], client: Client) -> Client:
    """Return the client with the members that :func:`read` returned, without the denied scope values."""
    denied = client.denied.get("scope", ())
    client = metadata.assign(client, metadata.settable_by(Party.REGISTRATION), members)
    return replace(client, scope=tuple(value for value in client.scope if value not in denied))


def without_ports(client: Client) -> Client:
    """Return the client without the ports of its redirect URIs if it is native: each instance uses another port."""
    if client.application_type != "native":
        return client
    return replace(client, redirect_uris=tuple(dict.fromkeys(map(redirects.without_port, client.redirect_uris))))


def shared_id(client: Client, scope: Scope, secret_key: bytes, number: int) -> str:
    """Return the client ID for all registrations with this metadata. It is derived from ``secret_key``.

    :param scope: empty if all clients have the same scope.
    :param number: distinguishes the ID from those of deleted clients with the same metadata.
    """
    described = metadata.describe(replace(client, client_id="", created_at=0, scope=scope))
    for name in ("redirect_uris", "grant_types", "response_types"):
        described[name] = sorted(described[name])
    return values.derive_key(secret_key, f"client_id {number}", json.dumps(described, sort_keys=True))[:16].hex()


def _narrow_grant_types(
    wanted: list[str] | None, auth_method: str, server: AuthorizationServer, grant_types: Collection[str]
) -> list[str]:
    """Return the requested grant types that the client may have."""
    offered = [name for name in server.capabilities.grant_types if name in grant_types]
    if auth_method == "none":
        # "MUST only be used by confidential clients", :rfc:`6749#section-4.4`
        offered = [name for name in offered if name != "client_credentials"]
    granted = [name for name in wanted or ["authorization_code"] if name in offered]
    if not granted:
        raise InvalidMetadata("grant_types", f"contains none that can be registered. Offered: {', '.join(offered)}")
    return granted


def _narrow_response_types(
    wanted: list[str] | None, server: AuthorizationServer, grant_types: Iterable[str]
) -> list[str]:
    """Return the requested response types that belong to the client's grant types."""
    if not wanted:
        return list(rules.default_response_types(tuple(grant_types), server))
    allowed = {name for name, known in server.capabilities.response_types.items() if known.grant_type in grant_types}
    remaining = [text for text in wanted if allowed.issuperset(text.split(" "))]
    if not remaining:
        raise InvalidMetadata("response_types", "contains none of the grant types. code needs authorization_code")
    return remaining


def _is_own_page(page: str | None, redirect_uris: Iterable[str]) -> bool:
    """Return whether a page is on the host of a redirect URI. A page on another host could be that of another client.

    "the authorization server SHOULD check to see if [they] have the same host and scheme", section 5.
    """
    return page is not None and any(redirects.is_of_host(page, uri) for uri in redirect_uris)
