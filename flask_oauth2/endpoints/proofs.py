"""Proof of possession at endpoints: the key or certificate that a request proves to have."""

from __future__ import annotations

from .. import addresses
from ..records import Client
from ..tokens.bindings import Proof, prove
from ..tokens.bindings.base import ProofContext
from .base import Call


def prove_possession(call: Call, client: Client | None) -> Proof:
    """Return the verified proof of a request. Raise the error of an invalid one.

    :param client: the client whose tokens are to be bound, which may require a proof. None: a proof is optional, and
        only DPoP proofs count. An endpoint for pushed authorization requests passes None, validates the request with
        the confirmation, and saves it with the thumbprint, :rfc:`9449#section-10.1`.
    """
    server = call.server
    context = ProofContext(
        settings=server.settings,
        now=call.now,
        remember=server.store.remember,
        client=client,
        url=addresses.find_public_url(server, call.request),
    )
    return prove(server.capabilities.bindings, call.request, context)
