"""Checks of dynamic client registration, developer pages and client ID metadata documents."""

from __future__ import annotations

from collections.abc import Iterator

from .base import Examined, Finding, warning


def scopes(examined: Examined) -> Iterator[Finding]:
    """Report missing scopes of self-registered clients, :rfc:`7591#section-2`."""
    server, settings = examined.server, examined.settings
    if server.registration != "off" and not server.open_scopes:
        yield warning(
            "self-registered clients cannot request any scope",
            "rfc7591 2",
            "declare their resource with provider.protect_resource(…, scopes), or set OAUTH2_REGISTRATION_SCOPES",
        )
    if settings.developer_pages and not server.open_scopes:
        yield warning(
            "clients that developers register cannot request any scope",
            "rfc7591 2",
            "set OAUTH2_REGISTRATION_SCOPES to the scopes that developers may choose",
        )


def lifetime(examined: Examined) -> Iterator[Finding]:
    """Report open registration whose unused clients never expire, :rfc:`7591#section-5`."""
    if examined.server.registration == "open" and examined.settings.unused_client_lifetime == 0:
        yield warning(
            "registration is open, and clients that never receive a token are stored forever",
            "rfc7591 5",
            "leave OAUTH2_UNUSED_CLIENT_LIFETIME at its default of one week",
        )


def documents(examined: Examined) -> Iterator[Finding]:
    """Report problems with client ID metadata documents."""
    server, settings = examined.server, examined.settings
    if server.documents is None:
        return
    if not server.open_scopes:
        yield warning(
            "clients with a metadata document cannot request any scope",
            "draft-ietf-oauth-client-id-metadata-document 4",
            "declare their resource with provider.protect_resource(…, scopes), or set OAUTH2_REGISTRATION_SCOPES",
        )
    if settings.client_id_metadata_document_allowed_hosts and examined.is_public:
        yield warning(
            "OAUTH2_CLIENT_ID_METADATA_DOCUMENT_ALLOWED_HOSTS allows every client to make this server fetch documents "
            f"from {', '.join(settings.client_id_metadata_document_allowed_hosts)}, in its internal network",
            "draft-ietf-oauth-client-id-metadata-document 6.5",
            "remove it if other people can reach the application",
        )
