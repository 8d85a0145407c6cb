"""Proof of possession: the bindings, one line each. They run at the token endpoint and in guards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ...errors import ConfigurationError, InvalidGrant, InvalidToken
from ...http.messages import Request
from ...records import AccessToken, Claims
from .base import Binding, ProofContext

BINDINGS: tuple[Callable[[], Binding], ...] = ()


@dataclass(frozen=True, slots=True)
class Proof:
    """The verified proof of a token request: the confirmation and the type of its tokens."""

    confirmation: Claims | None = None
    token_type: str = "Bearer"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers to add to the response."""


NO_PROOF = Proof()


def prove(bindings: Sequence[Binding], request: Request, context: ProofContext) -> Proof:
    """Return the proof of a token request. Raise the error of the first binding whose proof is invalid."""
    confirmation: dict[str, object] = {}
    token_type = NO_PROOF.token_type
    for binding in bindings:
        proved = binding.prove(request, context)
        if proved:
            confirmation |= proved
            token_type = binding.token_type if token_type == NO_PROOF.token_type else token_type
    return Proof(confirmation or None, token_type, context.headers)


def verify_held(required: Claims, proof: Proof, kind: str) -> None:
    """Raise :exc:`InvalidGrant` unless a token request proves possession of the key that a credential is bound to.

    :param kind: the name of the credential, such as ``refresh token``.
    """
    proved = proof.confirmation or {}
    # "the refresh token MUST be bound to the respective public key", RFC 9449 5
    if any(proved.get(name) != value for name, value in required.items()):
        raise InvalidGrant(
            f"the {kind} is bound to another key",
            expected=f"proof of possession for {', '.join(required)}",
            received="no proof" if not proved else "a proof for another key",
            hint="let the client send a proof for the key of its authorization request",
        )


def verify(bindings: Sequence[Binding], access: AccessToken, request: Request, context: ProofContext) -> None:
    """Raise :exc:`InvalidToken` unless a binding verifies each confirmation of the token.

    Without this rule, an application without the binding would accept a bound token as a bearer token.
    """
    # the resource server grants access only if every check succeeds, RFC 9449 7.1
    unverified = set(access.confirmation or ())
    for binding in bindings:
        if not unverified.isdisjoint(binding.members):
            verified: object = binding.verify(access, request, context)  # type: ignore[func-returns-value]
            if verified is not None:  # False, or a coroutine: the binding may mean that the token is rejected
                raise ConfigurationError(
                    f"{type(binding).__name__}.verify() must return None, not {type(verified).__name__}: "
                    "raise InvalidToken to reject a token"
                )
            unverified -= binding.members
    if unverified:
        raise InvalidToken(
            "the token is bound to a key, and the resource server has no binding to verify it",
            expected=f"a binding for {', '.join(sorted(unverified))}",
            hint="register the binding with provider.register_binding() in this application too",
        )
