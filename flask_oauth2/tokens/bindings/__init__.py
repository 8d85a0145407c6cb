"""Proof of possession: bindings, one line each, and the two places where they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ...errors import InvalidGrant, InvalidToken
from ...http.messages import Request
from ...records import AccessToken, Claims
from .base import Binding, ProofContext

BINDINGS: tuple[Callable[[], Binding], ...] = ()


@dataclass(frozen=True, slots=True)
class Proof:
    """What a token request has proved: the confirmation of its tokens, and their type."""

    confirmation: Claims | None = None
    token_type: str = "Bearer"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of the response."""


NO_PROOF = Proof()


def prove(bindings: Sequence[Binding], request: Request, context: ProofContext) -> Proof:
    """Return what a token request proves. Raises the error of the first binding whose proof is wrong."""
    confirmation: dict[str, object] = {}
    token_type = NO_PROOF.token_type
    for binding in bindings:
        proved = binding.prove(request, context)
        if proved:
            confirmation |= proved
            token_type = binding.token_type if token_type == NO_PROOF.token_type else token_type
    return Proof(confirmation or None, token_type, context.headers)


def verify_held(required: Claims, proof: Proof, kind: str) -> None:
    """Raise :exc:`InvalidGrant` unless a token request proves possession of what a credential is bound to.

    :param kind: the name of the credential, such as ``refresh token``.
    """
    proved = proof.confirmation or {}
    if any(proved.get(name) != value for name, value in required.items()):
        raise InvalidGrant(
            f"the {kind} is bound to another key",
            expected=f"proof of possession by {', '.join(required)}",
            received="no proof" if not proved else "the proof of another key",
            hint="let the client send a proof of the key with which it began",
        )


def verify(bindings: Sequence[Binding], access: AccessToken, request: Request, context: ProofContext) -> None:
    """Raise :exc:`InvalidToken` unless every confirmation of a token is verified by a binding.

    Without this rule, a bound token would be a bearer token in an application that lacks its binding.
    """
    unverified = set(access.confirmation or ())
    for binding in bindings:
        if not unverified.isdisjoint(binding.members):
            binding.verify(access, request, context)
            unverified -= binding.members
    if unverified:
        raise InvalidToken(
            "the token is bound to a key, and nothing here can verify this",
            expected=f"a binding for {', '.join(sorted(unverified))}",
            hint="register the binding with provider.register_binding() in this application too",
        )
