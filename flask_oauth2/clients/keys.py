"""The public keys of a client, ``jwks`` and ``jwks_uri`` of :rfc:`7591#section-2`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..server import AuthorizationServer
from .documents import is_own

if TYPE_CHECKING:
    from ..keys.jose import FindKeys
    from ..records import Client


def find_keys(server: AuthorizationServer, client: Client, now: float) -> FindKeys:
    """Return the ``keys`` of a policy for tokens of the client. A client without keys has none that fit."""
    from ..keys.remote import read_inline

    url = client.metadata.get("jwks_uri")
    if url:
        hosts = server.settings.client_id_metadata_document_allowed_hosts
        return server.remote_keys.source(url, now, may_be_own=is_own(url, hosts))
    jwks: Mapping[str, Any] = client.metadata.get("jwks") or {"keys": []}
    return read_inline(jwks).find
