"""What clients may be that nobody has registered by hand."""

from __future__ import annotations

from collections.abc import Iterator

from .base import Examined, Finding, warning


def documents(examined: Examined) -> Iterator[Finding]:
    """Clients by the URL of their metadata document."""
    server, settings = examined.server, examined.settings
    if server.client_documents is None:
        return
    if not server.open_scopes:
        yield warning(
            "clients with a metadata document may ask for no scope at all",
            "draft-ietf-oauth-client-id-metadata-document 4",
            "describe what they are for by provider.protect_resource(…, scopes), or set OAUTH2_DEFAULT_SCOPE",
        )
    if settings.client_id_document_hosts and examined.is_public:
        yield warning(
            "OAUTH2_CLIENT_ID_DOCUMENT_HOSTS lets anybody have documents fetched from "
            f"{', '.join(settings.client_id_document_hosts)}, in the network of this machine",
            "draft-ietf-oauth-client-id-metadata-document 6.5",
            "leave it out where strangers reach the application",
        )
