"""Authorization server metadata, :rfc:`8414`, and protected resource metadata, :rfc:`9728`.

The documents are built from the registered parts, so they list only features that exist. Each is built once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from .. import addresses, resources
from ..errors import ConfigurationError
from ..http.messages import Response
from ..resources import Resource
from ..server import AuthorizationServer
from .base import Call, Endpoint, is_offered

WELL_KNOWN = "/.well-known/oauth-authorization-server"

HEADERS = {
    "Content-Type": "application/json",
    "Cache-Control": "public, max-age=3600",
    "Access-Control-Allow-Origin": "*",
}
"""The headers of a public document, which pages of any origin may read."""

MOST = 1000
"""The maximum number of cached documents, one for each request path."""

_encode = json.JSONEncoder(separators=(",", ":")).encode


def find(server: AuthorizationServer, path: str, mount: str) -> str | None:
    """Return the text of the metadata document at a path, or None."""
    if path.startswith(WELL_KNOWN):
        # the issuer's path follows the well-known path, RFC 8414 3.1
        issuer_path = urlsplit(server.issuer).path.rstrip("/")
        is_ours = path.removeprefix(WELL_KNOWN).rstrip("/") in ("", issuer_path)
        return _encode(describe(server, mount)) if is_ours else None
    described = addresses.find_resources(server, mount)
    rest = path.removeprefix(resources.WELL_KNOWN).rstrip("/")
    below = rest.removeprefix(mount) if mount and f"{rest}/".startswith(f"{mount}/") else rest
    by_path = {resource.path.rstrip("/"): resource for resource in described}
    found = by_path.get(rest) or by_path.get(below)
    if found is None and rest == "":
        found = described.of_root
    return None if found is None else _encode(describe_resource(server, found))


def respond(call: Call) -> Response:
    """Respond with a metadata document, and cache it."""
    server, request = call.server, call.request
    text = find(server, request.path, request.mount)
    if text is None:
        return Response(404)
    if len(server.built_metadata) < MOST and "//" not in request.path:  # paths with // are variants of one path
        server.built_metadata[request.path, request.mount] = text.encode()
    return Response(200, text, HEADERS)


def describe(server: AuthorizationServer, mount: str = "") -> dict[str, Any]:
    """Return the non-empty members of authorization server metadata, :rfc:`8414#section-3.2`.

    Each enabled endpoint contributes its members.
    """
    members: dict[str, Any] = {"issuer": server.issuer}
    general: dict[str, Any] = {}
    for binding in server.capabilities.bindings:
        general |= getattr(binding, "metadata", {})
    general |= {
        "scopes_supported": _scopes(server),
        "grant_types_supported": list(server.capabilities.grant_types),
        "protected_resources": [resource.identifier for resource in addresses.find_resources(server, mount).all],
        "authorization_details_types_supported": list(server.capabilities.details_types),
        "client_id_metadata_document_supported": server.documents is not None,
        "service_documentation": server.settings.service_documentation,
    }
    aliases: dict[str, str] = {}
    for endpoint in server.capabilities.endpoints.values():
        if is_offered(server, endpoint):
            described = _describe_endpoint(server, endpoint, mount, {**members, **general})
            members |= described
            aliases |= _find_aliases(server, endpoint, mount, described)
    # "An OPTIONAL JSON object containing alternative authorization server endpoints", RFC 8705 5
    members |= {**general, "mtls_endpoint_aliases": aliases}
    # response_types_supported is "REQUIRED", even if it is empty, RFC 8414 2
    return {name: value for name, value in members.items() if value or name == "response_types_supported"}


def _find_aliases(
    server: AuthorizationServer, endpoint: Endpoint, mount: str, described: Mapping[str, Any]
) -> dict[str, str]:
    """Return the URL of an endpoint at the origin that accepts client certificates, by the names of its members."""
    origin = server.settings.mutual_tls_origin
    if origin is None or endpoint.respond is None:
        return {}
    alias = addresses.url_of(server, endpoint.name, mount).replace(addresses.find_origin(server), origin, 1)
    return {name: alias for name, value in described.items() if name.endswith("_endpoint") and value}


def _describe_endpoint(
    server: AuthorizationServer, endpoint: Endpoint, mount: str, known: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return the members of an endpoint.

    Raise :exc:`ConfigurationError` if they are no mapping, or replace known members, such as the issuer.
    """
    members: object = endpoint.describe(server, addresses.url_of(server, endpoint.name, mount))
    if not isinstance(members, Mapping):
        raise ConfigurationError(
            f"describe of the endpoint {endpoint.name} must return a mapping, not {type(members).__name__}"
        )
    if taken := known.keys() & members.keys():
        raise ConfigurationError(
            f"describe of the endpoint {endpoint.name} must not replace {', '.join(sorted(taken))}"
        )
    return members


def _scopes(server: AuthorizationServer) -> list[str]:
    """Return the scope values to advertise. MCP clients request all of them, so list only those that they may have."""
    return [value for value in server.settings.scopes if not server.is_for_mcp or value in server.open_scopes]


def write_resource(issuer: str, resource: Resource, bindings: Sequence[Any] = ()) -> str:
    """Return the protected resource metadata of a server that accepts tokens in the header only, as JSON."""
    return _encode(_describe_resource(issuer, resource, ["header"], bindings))


def describe_resource(server: AuthorizationServer, resource: Resource) -> dict[str, Any]:
    """Return the non-empty members of protected resource metadata, :rfc:`9728#section-2`."""
    methods = ["header", *(["body"] if server.settings.token_in_body else [])]
    return _describe_resource(server.issuer, resource, methods, server.capabilities.bindings)


def _describe_resource(issuer: str, resource: Resource, methods: list[str], bindings: Sequence[Any]) -> dict[str, Any]:
    """Return the non-empty members of the document.

    MCP clients request all advertised scope values, so an MCP server lists only those that every request needs.
    """
    members = {
        "resource": resource.identifier,
        "authorization_servers": [issuer],
        "scopes_supported": list(resource.scopes if resource.is_mcp else resource.all_scopes),
        "bearer_methods_supported": methods,
        "resource_name": resource.name,
        "resource_documentation": resource.documentation,
        "resource_policy_uri": resource.policy_uri,
        "resource_tos_uri": resource.tos_uri,
    }
    for binding in bindings:
        members |= getattr(binding, "resource_metadata", {})
    return {name: value for name, value in members.items() if value}
