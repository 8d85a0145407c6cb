"""Tokens that are bound to the TLS client certificate of the client, :rfc:`8705#section-3`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from ... import values
from ...errors import InvalidRequest, InvalidToken
from ...http.messages import Request
from ...records import AccessToken, Claims
from ...settings import Settings
from .base import ProofContext

MEMBER = "tls_client_certificate_bound_access_tokens"
"""The member of client metadata, and of both metadata documents."""

CONFIRMATION = "x5t#S256"


class Certificate:
    """The binding to a client certificate. The TLS connection proves possession of its key.

    The tokens of clients with the metadata member ``tls_client_certificate_bound_access_tokens`` are bound. They stay
    bearer tokens, :rfc:`8705#section-3`.
    """

    name = "certificate"
    token_type = "Bearer"
    members = frozenset({CONFIRMATION})
    metadata: Mapping[str, Any] = {MEMBER: True}
    resource_metadata: Mapping[str, Any] = {MEMBER: True}

    def prove(self, request: Request, context: ProofContext) -> Claims | None:
        """See :meth:`.base.Binding.prove`."""
        if context.client is None or context.client.metadata.get(MEMBER) is not True:
            return None
        certificate = request.certificate
        if certificate is None:
            raise InvalidRequest(
                "the TLS connection has no client certificate",
                rule="rfc8705 3.4",
                hint=f"let the client connect with its certificate, which its member {MEMBER} requires",
            )
        return {CONFIRMATION: hash_certificate(certificate)}

    def verify(self, access: AccessToken, request: Request, context: ProofContext) -> None:
        """See :meth:`.base.Binding.verify`."""
        certificate = request.certificate
        bound = (access.confirmation or {}).get(CONFIRMATION)
        # "If they do not match, the resource access attempt MUST be rejected with an error", section 3
        if certificate is None or hash_certificate(certificate) != bound:
            raise InvalidToken(
                "the client certificate is not the one that the token is bound to",
                rule="rfc8705 3",
                received="no certificate" if certificate is None else "another certificate",
                hint="let the client connect with the certificate of its token request; after a change of the "
                "certificate, it needs a new token. If there is a proxy, set OAUTH2_CLIENT_CERTIFICATE_HEADER",
            )


def hash_certificate(certificate: bytes) -> str:
    """Return the confirmation of a certificate in DER: "the base64url-encoded SHA-256 hash", section 3.1."""
    return values.text(sha256(certificate).digest())


def make(settings: Settings) -> Sequence[Certificate]:
    """Return the binding, or nothing if ``OAUTH2_MUTUAL_TLS`` is not set."""
    return (Certificate(),) if settings.mutual_tls else ()
