"""What clients read to find their way: authorization server metadata, :rfc:`8414`, and protected resource metadata,
:rfc:`9728`. Computed from what is registered, so that they cannot claim more; once, as nothing of it changes.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from .. import addresses, resources
from ..http.messages import Response
from ..resources import Resource
from ..server import AuthorizationServer
from .base import Call

WELL_KNOWN = "/.well-known/oauth-authorization-server"

HEADERS = {
    "Content-Type": "application/json",
    "Cache-Control": "public, max-age=3600",
    "Access-Control-Allow-Origin": "*",
}
"""A public document: the page of any origin may read it."""

MOST = 1000
"""How many documents are kept: one for each path that names one."""

_encode = json.JSONEncoder(separators=(",", ":")).encode


def find(server: AuthorizationServer, path: str, mount: str) -> str | None:
    """The text of the document at a path; None where there is none."""
    if path.startswith(WELL_KNOWN):
        # under the host's root and with the issuer's path behind it, :rfc:`8414#section-3.1`
        issuer_path = urlsplit(server.issuer).path.rstrip("/")
        is_ours = path.removeprefix(WELL_KNOWN).rstrip("/") in ("", issuer_path)
        return _encode(describe(server, mount)) if is_ours else None
    described = addresses.find_resources(server, mount)
    rest = path.removeprefix(resources.WELL_KNOWN).rstrip("/")
    below = rest.removeprefix(mount) if mount and f"{rest}/".startswith(f"{mount}/") else rest  # as its URL has it
    by_path = {resource.path.rstrip("/"): resource for resource in described}
    found = by_path.get(rest) or by_path.get(below)
    if found is None and rest == "":
        found = described.of_root
    return None if found is None else _encode(describe_resource(server, found))


def respond(call: Call) -> Response:
    """Return a metadata document. The server saves it, to send it again as it is."""
    server, request = call.server, call.request
    text = find(server, request.path, request.mount)
    if text is None:
        return Response(404)
    if len(server.built_metadata) < MOST and "//" not in request.path:  # which is one of many names of the same
        server.built_metadata[request.path, request.mount] = text.encode()
    return Response(200, text, HEADERS)


def describe(server: AuthorizationServer, mount: str = "") -> dict[str, Any]:
    """Return the members of authorization server metadata, without the empty ones, :rfc:`8414#section-3.2`.

    Each endpoint that is offered contributes its own.
    """
    members: dict[str, Any] = {"issuer": server.issuer}
    for endpoint in server.capabilities.endpoints.values():
        if endpoint.is_offered(server):
            members |= endpoint.describe(server, addresses.url_of(server, endpoint.name, mount))
    members |= {
        "scopes_supported": _scopes(server),
        "grant_types_supported": list(server.capabilities.grant_types),
        "protected_resources": [resource.identifier for resource in addresses.find_resources(server, mount)],
        "client_id_metadata_document_supported": server.documents is not None,
        "service_documentation": server.settings.service_documentation,
    }
    # "response_types_supported" is required even if there is none to name
    return {name: value for name, value in members.items() if value or name == "response_types_supported"}


def _scopes(server: AuthorizationServer) -> list[str]:
    """Those that a client may ask for; where MCP clients are expected, which ask for all of them, what these may."""
    return [word for word in server.settings.scopes if not server.is_for_mcp or word in server.open_scopes]


def describe_resource(server: AuthorizationServer, resource: Resource) -> dict[str, Any]:
    """The members of protected resource metadata, :rfc:`9728#section-2`; empty ones are left out.

    For MCP clients, which ask for all that is named, the scopes are those that each request needs.
    """
    members = {
        "resource": resource.identifier,
        "authorization_servers": [server.issuer],
        "scopes_supported": list(resource.scopes if resource.is_mcp else resource.words),
        "bearer_methods_supported": ["header", *(["body"] if server.settings.token_in_body else [])],
        "resource_name": resource.name,
        "resource_documentation": resource.documentation,
        "resource_policy_uri": resource.policy_uri,
        "resource_tos_uri": resource.tos_uri,
    }
    return {name: value for name, value in members.items() if value}
