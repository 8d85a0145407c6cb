"""Authorization server metadata, :rfc:`8414`: computed from what is registered, so that it cannot claim more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..checks import pkce, response_mode
from ..messages import Request, Response

if TYPE_CHECKING:
    from ..server import Server

WELL_KNOWN = "/.well-known/oauth-authorization-server"


def respond(server: Server, request: Request) -> Response:
    """The document, under the host's root and with the issuer's path behind it, section 3.1."""
    issuer_path = urlsplit(server.issuer).path.rstrip("/")
    if request.path.removeprefix(WELL_KNOWN).rstrip("/") not in ("", issuer_path):
        return Response(404)
    headers = {"Cache-Control": "public, max-age=3600", "Access-Control-Allow-Origin": "*"}
    return Response(200, describe(server, request.mount), headers)


def describe(server: Server, mount: str = "") -> dict[str, Any]:
    """The members; empty ones are left out, section 3.2."""
    methods = ["none", *(method.name for method in server.auth_methods)]
    confidential = methods[1:]
    settings = server.settings
    members = {
        "issuer": server.issuer,
        "authorization_endpoint": server.response_types and server.url("authorization", mount),
        "token_endpoint": server.grants and server.url("token", mount),
        "revocation_endpoint": server.url("revocation", mount),
        "introspection_endpoint": server.url("introspection", mount),
        "scopes_supported": list(settings.scopes),
        "response_types_supported": [" ".join(names) for names in server.response_type_sets],
        "response_modes_supported": list(response_mode.MODES),
        "grant_types_supported": list(server.grant_type_names),
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": confidential,
        "code_challenge_methods_supported": list(pkce.METHODS) if "code" in server.response_types else None,
        "authorization_response_iss_parameter_supported": True,
        "service_documentation": settings.service_documentation,
    }
    # "response_types_supported" is required even where there is none to name
    return {name: value for name, value in members.items() if value or name == "response_types_supported"}
