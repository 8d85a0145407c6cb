"""What clients may be that nobody has registered by hand."""

from __future__ import annotations

from collections.abc import Iterator

from .base import Examined, Finding, warning


def scopes(examined: Examined) -> Iterator[Finding]:
    """What clients that register themselves may ask for, :rfc:`7591#section-2`."""
    server, settings = examined.server, examined.settings
    if server.registration != "off" and not server.open_scopes:
        yield warning(
            "clients that register themselves may ask for no scope at all",
            "rfc7591 2",
            "describe what they are for by provider.protect_resource(…, scopes), or set OAUTH2_REGISTRATION_SCOPES",
        )
    if settings.developer_pages and not server.open_scopes:
        yield warning(
            "the clients of developers may ask for no scope at all",
            "rfc7591 2",
            "set OAUTH2_REGISTRATION_SCOPES to what developers may choose",
        )


def lifetime(examined: Examined) -> Iterator[Finding]:
    """Most of those that register themselves never come back, :rfc:`7591#section-5`."""
    if examined.server.registration == "open" and examined.settings.unused_client_lifetime == 0:
        yield warning(
            "anybody may register clients, and those that never get a token stay forever",
            "rfc7591 5",
            "leave OAUTH2_UNUSED_CLIENT_LIFETIME at a week",
        )


def documents(examined: Examined) -> Iterator[Finding]:
    """Clients by the URL of their metadata document."""
    server, settings = examined.server, examined.settings
    if server.documents is None:
        return
    if not server.open_scopes:
        yield warning(
            "clients with a metadata document may ask for no scope at all",
            "draft-ietf-oauth-client-id-metadata-document 4",
            "describe what they are for by provider.protect_resource(…, scopes), or set OAUTH2_REGISTRATION_SCOPES",
        )
    if settings.client_id_document_hosts and examined.is_public:
        yield warning(
            "OAUTH2_CLIENT_ID_DOCUMENT_HOSTS lets anybody have documents fetched from "
            f"{', '.join(settings.client_id_document_hosts)}, in the network of this machine",
            "draft-ietf-oauth-client-id-metadata-document 6.5",
            "leave it out where strangers reach the application",
        )
