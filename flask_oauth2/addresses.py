"""The public URLs of a server: its origin, its endpoints and its protected resources."""

from __future__ import annotations

from urllib.parse import urlsplit

from .errors import ConfigurationError
from .resources import Resources
from .server import AuthorizationServer
from .settings import NO_ISSUER

_MAX_MOUNTS = 16
"""An application is mounted at one place or a few."""


def find_origin(server: AuthorizationServer) -> str:
    """Return scheme and host of the issuer.

    Raises :exc:`ConfigurationError` if neither an option nor the request names the issuer.
    """
    if not server.issuer:
        raise ConfigurationError(NO_ISSUER)
    issuer = urlsplit(server.issuer)
    return f"{issuer.scheme}://{issuer.netloc}"


def url_of(server: AuthorizationServer, endpoint: str, mount: str) -> str:
    """Return the public URL of an endpoint.

    :param endpoint: its name.
    :param mount: the path of the host below which the application is mounted.
    """
    return f"{find_origin(server)}{mount}{server.url_prefix}{server.capabilities.endpoints[endpoint].path}"


def find_resources(server: AuthorizationServer, mount: str = "") -> Resources:
    """Return the protected resources, with the URLs that those of the application have below a mount."""
    found = server.resources_by_mount.get(mount)
    if found is None:
        found = Resources(server.resources, find_origin(server), mount, server.outside_scopes, server.is_open_outside)
        if len(server.resources_by_mount) < _MAX_MOUNTS:
            server.resources_by_mount[mount] = found
    return found
