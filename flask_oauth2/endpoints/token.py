"""The token endpoint, :rfc:`6749#section-3.2`."""

from __future__ import annotations

from .. import revocation
from ..errors import InvalidGrant, UnauthorizedClient, UnsupportedGrantType, update_client
from ..http.messages import NO_STORE, Response
from ..people import users
from ..server import AuthorizationServer
from ..settings import GRANT_TYPES
from ..tokens.base import TokenGrant, TokenRequest
from ..tokens.bindings import NO_PROOF, prove
from ..tokens.bindings.base import ProofContext
from ..tokens.issue import issue
from .base import Call


def respond(call: Call) -> Response:
    """Answer a token request: proof of possession, then the grant, then the tokens."""
    server, client, now = call.server, call.client, call.now
    offer, grant_type = server.capabilities, call.form.values["grant_type"]
    grant = offer.grants.get(grant_type)
    if grant is None:
        raise UnsupportedGrantType(
            "grant_type is not supported",
            expected=f"one of {', '.join(offer.grants)}",
            received=grant_type,
            hint="name it in OAUTH2_GRANT_TYPES, if it is to be offered" if grant_type in GRANT_TYPES else None,
        )
    if grant_type not in client.grant_types:
        options = " ".join(f"--grant-type {name}" for name in (*client.grant_types, grant_type))
        raise UnauthorizedClient(
            "the client may not use this grant_type",
            expected=f"one of {', '.join(client.grant_types)}",
            received=grant_type,
            hint=f"name all that it may use: {update_client(client.client_id, options)}",
        )
    proof = NO_PROOF
    if offer.bindings:
        context = ProofContext(settings=server.settings, now=now, remember=server.store.remember, client=client)
        proof = prove(offer.bindings, call.request, context)
    request = TokenRequest(call.request, call.form, client, server, now, proof)
    decided = grant.authorize(request)
    user_id = decided.authorization.user_id
    if user_id is not None and server.checks_users and not users.is_active(server, user_id):
        raise _reject_inactive(server, decided, now)
    answer = issue(request, decided, grant_type, offer.answer_members)
    return Response(200, answer, {**NO_STORE, **proof.headers} if proof.headers else NO_STORE)


def _reject_inactive(server: AuthorizationServer, grant: TokenGrant, now: float) -> InvalidGrant:
    """Return the error of a grant for a user who is not active. Nothing is consumed.

    A credential that was used before is a replay, so its family is revoked all the same.
    """
    authorization, spend = grant.authorization, grant.spend
    if spend is not None and spend.used_at is not None:
        revocation.revoke(server, authorization.id, now)
    return InvalidGrant(
        "the user is not active",
        rule="rfc6749 5.2",
        expected="a user for whom user_is_active, or else the userloader, finds something",
        received=f"user {authorization.user_id}",
        hint="if the user has left for good: flask oauth2 user revoke USER_ID",
    )
