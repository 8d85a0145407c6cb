"""The endpoints of the authorization server, one entry each."""

from __future__ import annotations

from typing import Any

from .. import resources
from ..checks import pkce, response_mode
from ..server import AuthorizationServer
from ..settings import DEVICE_CODE
from . import (
    attestation_challenge,
    device_authorization,
    introspection,
    jwks,
    metadata,
    par,
    registration,
    revocation,
    status_list,
    token,
)
from .base import Endpoint


def _describe_authentication(server: AuthorizationServer, endpoint: str, *more: str) -> dict[str, Any]:
    """Return the client authentication methods of an endpoint and their signature algorithms, :rfc:`8414#section-2`."""
    methods = server.capabilities.auth_methods
    algorithms = [name for method in methods for name in getattr(method, "signing_algorithms", ())]
    return {
        f"{endpoint}_auth_methods_supported": [*more, *(method.name for method in methods)],
        f"{endpoint}_auth_signing_alg_values_supported": list(dict.fromkeys(algorithms)),
    }


def _describe_authorization(server: AuthorizationServer, url: str) -> dict[str, Any]:
    return {
        "authorization_endpoint": url if server.capabilities.response_types else None,
        "response_types_supported": [" ".join(names) for names in server.capabilities.response_type_sets],
        "response_modes_supported": list(response_mode.MODES),
        "code_challenge_methods_supported": list(pkce.METHODS)
        if "code" in server.capabilities.response_types
        else None,
        "authorization_response_iss_parameter_supported": True,
        "acr_values_supported": list(server.settings.acr_values),
    }


AUTHORIZATION = Endpoint(
    name="authorization",
    path="/authorize",
    specification="RFC 6749 section 3.1",
    methods=("GET", "POST"),
    describe=_describe_authorization,
)
"""Users open this endpoint in a browser, so :mod:`flask_oauth2.pages` responds."""

TOKEN = Endpoint(
    name="token",
    path="/token",
    specification="RFC 6749 section 3.2",
    respond=token.respond,
    authentication="client",
    requires=frozenset({"grant_type"}),
    cors="clients",
    describe=lambda server, url: {
        "token_endpoint": url if server.capabilities.grants else None,
        **_describe_authentication(server, "token_endpoint", "none"),
    },
)

PUSHED_AUTHORIZATION_REQUEST = Endpoint(
    name="pushed_authorization_request",
    path="/par",
    specification="RFC 9126",
    respond=par.respond,
    authentication="client",
    cors="clients",
    is_offered=lambda server: bool(server.capabilities.response_types),
    describe=lambda server, url: {
        "pushed_authorization_request_endpoint": url,
        "require_pushed_authorization_requests": server.settings.require_pushed_authorization_requests,
    },
)

REVOCATION = Endpoint(
    name="revocation",
    path="/revoke",
    specification="RFC 7009",
    respond=revocation.respond,
    authentication="client",
    cors="clients",
    describe=lambda server, url: {
        "revocation_endpoint": url,
        **_describe_authentication(server, "revocation_endpoint", "none"),
    },
)

INTROSPECTION = Endpoint(
    name="introspection",
    path="/introspect",
    specification="RFC 7662",
    respond=introspection.respond,
    authentication="confidential",
    describe=lambda server, url: {
        "introspection_endpoint": url,
        **_describe_authentication(server, "introspection_endpoint"),
        "introspection_signing_alg_values_supported": introspection.find_signing_algorithms(server),
    },
)

DEVICE_AUTHORIZATION = Endpoint(
    name="device_authorization",
    path="/device_authorization",
    specification="RFC 8628 section 3.1",
    respond=device_authorization.respond,
    authentication="client",
    cors="clients",
    is_offered=lambda server: DEVICE_CODE in server.settings.grant_types,
    describe=lambda _, url: {"device_authorization_endpoint": url},
)

DEVICE = Endpoint(name="device", path="/device", specification="RFC 8628 section 3.3", methods=("GET", "POST"))
"""The verification URI: a page with a short path where users enter user codes, section 3.2."""

REGISTRATION = Endpoint(
    name="registration",
    path="/register",
    specification="RFC 7591",
    respond=registration.register,
    cors="clients",
    is_offered=lambda server: server.registration != "off",
    describe=lambda _, url: {"registration_endpoint": url},
)

CLIENT_CONFIGURATION = Endpoint(
    name="client_configuration",
    path="/register/<path:client_id>",
    specification="RFC 7592",
    respond=registration.configure,
    methods=("GET", "PUT", "DELETE"),
    cors="clients",
)

JWKS = Endpoint(
    name="jwks",
    path="/jwks",
    specification="RFC 7517 section 5",
    respond=jwks.respond,
    methods=("GET",),
    cors="any",
    is_offered=lambda server: server.capabilities.needs_keys,
    describe=lambda _, url: {"jwks_uri": url},
)

STATUS_LIST = Endpoint(
    name="status_list",
    path="/status/<number>",
    specification="draft-ietf-oauth-status-list section 8",
    respond=status_list.respond,
    methods=("GET",),
    cors="any",
    is_offered=lambda server: server.settings.status_lists,
)

ATTESTATION_CHALLENGE = Endpoint(
    name="attestation_challenge",
    path="/attestation_challenge",
    specification="draft-ietf-oauth-attestation-based-client-auth section 6.1",
    respond=attestation_challenge.respond,
    cors="clients",
    is_offered=lambda server: bool(server.settings.client_attesters),
    describe=attestation_challenge.describe,
)

WELL_KNOWN = tuple(
    Endpoint(
        name=name,
        path=path,
        specification=specification,
        respond=metadata.respond,
        methods=("GET",),
        cors="any",
        is_well_known=True,
    )
    for name, path, specification in (
        ("metadata", metadata.WELL_KNOWN, "RFC 8414"),
        ("metadata_path", f"{metadata.WELL_KNOWN}/<path:issuer_path>", "RFC 8414"),
        ("resource_metadata", resources.WELL_KNOWN, "RFC 9728"),
        ("resource_metadata_path", f"{resources.WELL_KNOWN}/<path:resource_path>", "RFC 9728"),
    )
)
"""Metadata endpoints. Their paths begin at the host's root, not at ``url_prefix``: :rfc:`8414#section-3`,
:rfc:`9728#section-3`.
"""

ENDPOINTS = (
    AUTHORIZATION,
    TOKEN,
    PUSHED_AUTHORIZATION_REQUEST,
    REVOCATION,
    INTROSPECTION,
    DEVICE_AUTHORIZATION,
    DEVICE,
    REGISTRATION,
    CLIENT_CONFIGURATION,
    JWKS,
    STATUS_LIST,
    ATTESTATION_CHALLENGE,
    *WELL_KNOWN,
)
"""All built-in endpoints. An application adds endpoints with ``provider.register_endpoint()``."""

__all__ = ["ENDPOINTS", "Endpoint"]
