"""HTTP in, HTTP out: the endpoints, one line each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from .. import resources
from ..messages import Request, Response
from . import device_authorization, introspection, metadata, registration, revocation, token

if TYPE_CHECKING:
    from ..server import Server


class Endpoint(NamedTuple):
    """A name, a path below the prefix (or below the host), the methods, what answers, and by which specification.

    ``pages`` says which web pages may call it, see :mod:`.cross_origin`: those of ``clients``, ``any``, or none.
    """

    name: str
    path: str
    methods: tuple[str, ...]
    respond: Callable[[Server, Request], Response]
    specification: str
    pages: str = ""


AUTHORIZATION_PATH = "/authorize"
"""People see this endpoint, so it answers through :mod:`flask_oauth2.pages`."""

VERIFICATION_PATH = "/device"
"""Where people type user codes, through the same: short, :rfc:`8628#section-3.2`."""

ENDPOINTS = (
    Endpoint("token", "/token", ("POST",), token.respond, "RFC 6749 section 3.2", "clients"),
    Endpoint("revocation", "/revoke", ("POST",), revocation.respond, "RFC 7009", "clients"),
    Endpoint("introspection", "/introspect", ("POST",), introspection.respond, "RFC 7662"),
    Endpoint(
        "device_authorization",
        "/device_authorization",
        ("POST",),
        device_authorization.respond,
        "RFC 8628 section 3.1",
        "clients",
    ),
    Endpoint("registration", "/register", ("POST",), registration.register, "RFC 7591", "clients"),
    Endpoint(
        "client_configuration",
        "/register/<path:client_id>",
        ("GET", "PUT", "DELETE"),
        registration.configure,
        "RFC 7592",
        "clients",
    ),
)

WELL_KNOWN = tuple(
    Endpoint(name, path, ("GET",), metadata.respond, specification, "any")
    for name, path, specification in (
        ("metadata", metadata.WELL_KNOWN, "RFC 8414"),
        ("metadata_path", f"{metadata.WELL_KNOWN}/<path:issuer_path>", "RFC 8414"),
        ("resource_metadata", resources.WELL_KNOWN, "RFC 9728"),
        ("resource_metadata_path", f"{resources.WELL_KNOWN}/<path:resource_path>", "RFC 9728"),
    )
)
"""These are below the host's root, wherever the rest is, :rfc:`8414#section-3`, :rfc:`9728#section-3`."""

PATHS = {
    "authorization": AUTHORIZATION_PATH,
    "device": VERIFICATION_PATH,
    **{endpoint.name: endpoint.path for endpoint in ENDPOINTS},
}
