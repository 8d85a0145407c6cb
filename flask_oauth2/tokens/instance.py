"""Tokens of a client instance: what one installed copy of an application received is of no use to another copy."""

from __future__ import annotations

from dataclasses import replace

from ..clients.authentication import attestation
from ..errors import InvalidGrant
from .base import TokenGrant, TokenRequest


def bind(request: TokenRequest, grant: TokenGrant) -> TokenGrant:
    """Return the grant, bound to the instance that sent the request.

    Raise :exc:`InvalidGrant` if it is bound to another one: the same key must be proved for each refresh,
    draft-ietf-oauth-attestation-based-client-auth section 9.3.
    """
    authorization = grant.authorization
    held = authorization.context.instance
    instance = attestation.find_instance(request.request) if request.client.auth_method == attestation.NAME else None
    if held is not None and instance != held:
        raise InvalidGrant(
            "the refresh token was issued to another instance of the client",
            rule="draft-ietf-oauth-attestation-based-client-auth 9.3",
            expected="an attestation of the same key",
            received="no attestation" if instance is None else "an attestation of another key",
            hint="let each instance of the client keep its key and its own tokens",
        )
    context = replace(authorization.context, instance=instance)
    return replace(grant, authorization=replace(authorization, context=context))
