"""The challenge endpoint, draft-ietf-oauth-attestation-based-client-auth section 6.1."""

from __future__ import annotations

from typing import Any

from ..clients.authentication.attestation import ClientAttestation
from ..errors import InvalidRequest
from ..http.messages import NO_STORE, Response
from ..server import AuthorizationServer
from ..settings import SIGNING_ALGORITHMS
from .base import Call


def respond(call: Call) -> Response:
    """Return a challenge for the proof of an instance. It is valid for two to four minutes."""
    for method in call.server.capabilities.auth_methods:
        if isinstance(method, ClientAttestation):
            return Response(200, {"attestation_challenge": method.challenge(call.now)}, NO_STORE)
    raise InvalidRequest("this server accepts no client attestations", status=404)


def describe(_: AuthorizationServer, url: str) -> dict[str, Any]:
    """Return the members of the server metadata."""
    return {
        "challenge_endpoint": url,
        "client_attestation_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
        "client_attestation_pop_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
    }
