"""The token endpoint, :rfc:`6749#section-3.2`."""

from __future__ import annotations

from .. import revocation
from ..clients.authentication import attestation
from ..errors import InvalidGrant, UnauthorizedClient, UnsupportedGrantType, update_client
from ..http.messages import NO_STORE, Response
from ..people import users
from ..server import AuthorizationServer
from ..settings import GRANT_TYPES
from ..tokens import instance
from ..tokens.base import TokenGrant, TokenRequest
from ..tokens.bindings import NO_PROOF
from ..tokens.issue import issue
from .base import Call
from .proofs import prove_possession


def respond(call: Call) -> Response:
    """Return the token response, section 5.1. Verify proof of possession before the grant.

    Raise :exc:`UnsupportedGrantType`, :exc:`UnauthorizedClient`, or the error of the grant, section 5.2.
    """
    server, client, now = call.server, call.client, call.now
    capabilities, grant_type = server.capabilities, call.form.values["grant_type"]
    grant = capabilities.grants.get(grant_type)
    if grant is None:
        raise UnsupportedGrantType(
            "grant_type is not supported",
            expected=f"one of {', '.join(capabilities.grants)}",
            received=grant_type,
            hint="add it to OAUTH2_GRANT_TYPES to enable it" if grant_type in GRANT_TYPES else None,
        )
    if grant_type not in client.grant_types:
        options = " ".join(f"--grant-type {name}" for name in (*client.grant_types, grant_type))
        raise UnauthorizedClient(
            "the client may not use this grant_type",
            expected=f"one of {', '.join(client.grant_types)}",
            received=grant_type,
            hint=f"register the client for it: {update_client(client.client_id, options)}",
        )
    proof = prove_possession(call, client) if capabilities.bindings else NO_PROOF
    request = TokenRequest(call.request, call.form, client, server, now, proof)
    result = grant.authorize(request)
    if client.auth_method == attestation.NAME or result.authorization.context.instance is not None:
        result = instance.bind(request, result)
    user_id = result.authorization.user_id
    if user_id is not None and server.checks_users and not users.is_active(server, user_id):
        raise _reject_inactive(server, result, now)
    answer = issue(request, result, grant_type, capabilities.answer_members)
    # "MUST include the HTTP "Cache-Control" response header field [...] with a value of "no-store"", section 5.1
    return Response(200, answer, {**NO_STORE, **proof.headers} if proof.headers else NO_STORE)


def _reject_inactive(server: AuthorizationServer, grant: TokenGrant, now: float) -> InvalidGrant:
    """Return the error of a grant for a user who is not active, without consuming the credential.

    A credential that was used before is replayed, so its authorization is revoked nevertheless.
    """
    authorization, spend = grant.authorization, grant.spend
    if spend is not None and spend.used_at is not None:
        revocation.revoke(server, authorization.id, now)
    return InvalidGrant(
        "the user is not active",
        rule="rfc6749 5.2",
        expected="a user that user_is_active or the userloader finds",
        received=f"user {authorization.user_id}",
        hint="if the account was deleted, revoke its tokens: flask oauth2 user revoke USER_ID",
    )
