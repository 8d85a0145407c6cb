"""The pushed authorization request endpoint, :rfc:`9126#section-2`: a client sends its authorization request directly.

The client receives a ``request_uri``, which the user's browser takes to the authorization endpoint in place of the
parameters. The authorization response consumes it.
"""

from __future__ import annotations

from ..clients.authentication.throttle import spend_quota
from ..errors import InvalidRequest
from ..http import urls
from ..http.messages import Response
from ..tokens.bindings import NO_PROOF
from .authorization.checks import validate
from .authorization.saved import LONGEST_SAVED, save
from .base import Call
from .proofs import prove_possession

MOST_PUSHED = 100_000
"""The maximum number of requests that public clients push per hour; a tenth of it per network. Each is a row."""

_HEADERS = {"Cache-Control": "no-cache, no-store"}


def respond(call: Call) -> Response:
    """Save an authorization request. Return its ``request_uri``, section 2.2.

    Raise the error of the first check that fails. Raise :exc:`InvalidRequest` (413) for a request that is too long, and
    :exc:`~.errors.TemporarilyUnavailable` (429) after too many requests of public clients.
    """
    server, form, client = call.server, call.form, call.client
    if len(urls.encode(form.pairs())) > LONGEST_SAVED:
        raise InvalidRequest("the request is too long", expected=f"at most {LONGEST_SAVED} characters", status=413)
    # "Validate the pushed request as it would an authorization request sent to the authorization endpoint", section 2.1
    proof = prove_possession(call, None) if server.capabilities.bindings else NO_PROOF
    request = validate(server, form, call.request, client, proof.confirmation)
    if not client.is_confidential:  # anyone can send the client_id of a public client
        spend_quota(server, "pushed requests", MOST_PUSHED, call.now, address=call.request.address)
    lifetime = server.settings.par_lifetime
    jkt = (request.confirmation or {}).get("jkt")
    members = {"request_uri": save(server, request.params, lifetime, jkt), "expires_in": lifetime}
    return Response(201, members, {**_HEADERS, **proof.headers})
