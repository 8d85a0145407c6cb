"""The ``dpop_jkt`` parameter: the key that the code is bound to, :rfc:`9449#section-10`."""

from __future__ import annotations

import re

from ..errors import InvalidDPoPProof, InvalidRequest
from ..server import AuthorizationServer
from .request import AuthorizationRequest

_is_thumbprint = re.compile(r"[A-Za-z0-9_-]{43}\Z").match


def check(draft: AuthorizationRequest, _: AuthorizationServer) -> AuthorizationRequest:
    """Set the confirmation of the code. The client must prove possession of this key when it redeems the code.

    A pushed request may have a DPoP proof instead, whose key is then the confirmation. Raise :exc:`InvalidDPoPProof` if
    the parameter names another key, section 10.1. Raise :exc:`InvalidRequest` if it is malformed.
    """
    jkt = draft.params.get("dpop_jkt")
    if jkt is None:
        return draft
    if not _is_thumbprint(jkt):
        raise InvalidRequest(
            "dpop_jkt is not a SHA-256 thumbprint: 43 characters of base64url",
            rule="rfc9449 10",
            hint="let the client send the thumbprint of RFC 7638 of its public key",
        )
    confirmation = {**(draft.confirmation or {})}
    if confirmation.setdefault("jkt", jkt) != jkt:
        # "If both mechanisms are used at the same time, the authorization server MUST reject the request if the JWK
        # Thumbprint in dpop_jkt does not match", section 10.1
        raise InvalidDPoPProof(
            "dpop_jkt names another key than that of the DPoP proof",
            rule="rfc9449 10.1",
            hint="let the client send one of them, or both for the same key",
        )
    return draft._replace(confirmation=confirmation)
