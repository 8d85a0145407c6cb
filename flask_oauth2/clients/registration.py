"""Dynamic client registration, :rfc:`7591#section-2`: read the metadata that a client sends and narrow it.

:mod:`.rules` then checks the client, like every other. Members that the table does not know are ignored: names in other
languages, software statements (section 3.1.1: "MAY ignore"). All values are self-asserted, so nothing trusts them
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
"""The grants in which a user decides: a client that has only registered has no access yet."""

TRUSTED_GRANTS = (*OPEN_GRANTS, "client_credentials")
"""The grants of confidential clients that have presented an initial access token."""

DEFAULT_METHOD = "client_secret_basic"
"""The client authentication method of a client that names none, section 2."""

_ALWAYS = ("response_types", "scope")
"""Members that are registered even if they are empty."""


def choose(settings: Settings, callbacks: Callbacks, is_for_mcp: bool) -> str:
    """Return ``OAUTH2_DYNAMIC_REGISTRATION``, or ``open`` if MCP clients are expected and the store saves the clients.

    Raises :exc:`ConfigurationError` for a value that contradicts other settings.
    """
    chosen, has_own = settings.dynamic_registration, callbacks.clientgetter is not None
    if chosen in ("token", "open") and has_own:
        raise ConfigurationError(
            f"OAUTH2_DYNAMIC_REGISTRATION is {chosen!r}, but clients come from the application's clientgetter, where "
            "none can be registered from outside: leave one of the two out"
        )
    grants = set(TRUSTED_GRANTS if chosen == "token" else OPEN_GRANTS) - {"refresh_token"}
    has_grant = not grants.isdisjoint(settings.grant_types)
    if chosen in ("token", "open") and not has_grant:
        raise ConfigurationError(
            f"OAUTH2_DYNAMIC_REGISTRATION is {chosen!r}, but there is no grant for clients that register themselves: "
            f"name {' or '.join(sorted(grants))} in OAUTH2_GRANT_TYPES"
        )
    if chosen is None and is_for_mcp and has_grant and not has_own:
        log.info(
            "anybody may register a client here, as clients of protected MCP servers do: "
            "OAUTH2_DYNAMIC_REGISTRATION = 'token' or 'off' closes that"
        )
        chosen = "open"
    if chosen in ("token", "open") and not settings.secret_keys:
        raise ConfigurationError(f"OAUTH2_DYNAMIC_REGISTRATION is {chosen!r}, which needs a SECRET_KEY: set one")
    return chosen or "off"


def deny_removed(client: Client, before: Client) -> Client:
    """Return the client with a record of the values that the operator removes. Only the operator restores them."""
    denied = {}
    for name in ("scope", "grant_types"):
        had = {*before.denied.get(name, ()), *getattr(before, name)}
        removed = had.difference(getattr(client, name))
        if removed:
            denied[name] = tuple(sorted(removed))
    return replace(client, denied=denied)


def read(
    sent: Mapping[str, Any], server: AuthorizationServer, grant_types: Collection[str], scope: Scope | None = None
) -> dict[str, Any]:
    """Return the known members that a client may set, each of its type, with the defaults of those it omits.

    :param grant_types: the grant types that it may have. Others are left out if something remains, such as ``implicit``
        next to ``authorization_code`` ("MAY replace", section 3.2.1), and so are response types.
    :param scope: replaces the scope that the client has sent.

    Raises :exc:`.InvalidMetadata`.
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
    # an editor may register a page of its own in addition to loopback and private-use URIs; its ports must be free,
    # whatever application_type it sends
    if any(map(redirects.is_on_device, redirect_uris)):
        found["application_type"] = "native"
    found["application_type"] = found["application_type"] or "web"
    found["scope"] = found["scope"] or ""
    pages = metadata.page_names()
    found |= {name: found.get(name) if _is_own_page(found.get(name), redirect_uris) else None for name in pages}
    return {name: value for name, value in found.items() if value not in EMPTY or name in _ALWAYS}


def apply(members: Mapping[str, Any], client: Client) -> Client:
    """Return the client with the members that :func:`read` returned, without the scope values that are denied to it."""
    denied = client.denied.get("scope", ())
    client = metadata.assign(client, metadata.settable_by(Party.REGISTRATION), members)
    return replace(client, scope=tuple(value for value in client.scope if value not in denied))


def without_ports(client: Client) -> Client:
    """Return the client that all copies of a software share. The ports of native clients are free."""
    if client.application_type != "native":
        return client
    return replace(client, redirect_uris=tuple(dict.fromkeys(map(redirects.without_port, client.redirect_uris))))


def shared_id(client: Client, scope: Scope, secret_key: bytes, number: int) -> str:
    """Return the ID of every client that registers this very metadata. No other party can compute it.

    ``scope`` is empty if it is the same for all. ``number`` distinguishes it from IDs of clients that were deleted.
    """
    described = metadata.describe(replace(client, client_id="", created_at=0, scope=scope))
    for name in ("redirect_uris", "grant_types", "response_types"):
        described[name] = sorted(described[name])
    return values.derive_key(secret_key, f"client_id {number}", json.dumps(described, sort_keys=True))[:16].hex()


def _narrow_grant_types(
    wanted: list[str] | None, auth_method: str, server: AuthorizationServer, grant_types: Collection[str]
) -> list[str]:
    """Return the grant types that the client wants and may have."""
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
    """Return the response types that the client wants and that belong to its grant types."""
    if not wanted:
        return list(rules.default_response_types(tuple(grant_types), server))
    had = {name for name, known in server.capabilities.response_types.items() if known.grant_type in grant_types}
    left = [text for text in wanted if had.issuperset(text.split(" "))]
    if not left:
        raise InvalidMetadata("response_types", "contains none of the grant types. code needs authorization_code")
    return left


def _is_own_page(page: str | None, redirect_uris: Iterable[str]) -> bool:
    """Return whether a page is of a host that responses are sent to. Others would let a client pose as another.

    "the authorization server SHOULD check to see if [they] have the same host and scheme", section 5.
    """
    return page is not None and any(redirects.is_of_host(page, uri) for uri in redirect_uris)
