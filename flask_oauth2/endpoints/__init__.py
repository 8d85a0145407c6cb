"""HTTP in, HTTP out: the endpoints, one line each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ..messages import Request, Response
from . import introspection, metadata, revocation, token

if TYPE_CHECKING:
    from ..server import Server


class Endpoint(NamedTuple):
    """A name, a path below the prefix (or below the host), the methods, what answers, and by which specification."""

    name: str
    path: str
    methods: tuple[str, ...]
    respond: Callable[[Server, Request], Response]
    specification: str


AUTHORIZATION_PATH = "/authorize"
"""The one endpoint that people see, so it answers through :mod:`flask_oauth2.pages`."""

ENDPOINTS = (
    Endpoint("token", "/token", ("POST",), token.respond, "RFC 6749 section 3.2"),
    Endpoint("revocation", "/revoke", ("POST",), revocation.respond, "RFC 7009"),
    Endpoint("introspection", "/introspect", ("POST",), introspection.respond, "RFC 7662"),
)

WELL_KNOWN = (
    Endpoint("metadata", metadata.WELL_KNOWN, ("GET",), metadata.respond, "RFC 8414"),
    Endpoint("metadata_path", f"{metadata.WELL_KNOWN}/<path:issuer_path>", ("GET",), metadata.respond, "RFC 8414"),
)
"""These are below the host's root, wherever the rest is, :rfc:`8414#section-3`."""

PATHS = {"authorization": AUTHORIZATION_PATH, **{endpoint.name: endpoint.path for endpoint in ENDPOINTS}}
