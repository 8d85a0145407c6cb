"""``attest_jwt_client_auth``: the vendor of an application attests each installed instance, which proves its key.

draft-ietf-oauth-attestation-based-client-auth, revision 11. The *attester* signs an attestation for the public key of
an instance. With each request the instance sends the attestation, and a proof that it has signed for this server.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from ... import values
from ...errors import InvalidClient, UseAttestationChallenge, UseFreshAttestation
from ...http.messages import Params, Request
from ...nonces import Nonces
from ...records import CLOCKS_DIFFER, Client
from ...server import AuthorizationServer
from ...settings import SIGNING_ALGORITHMS, Settings
from .base import Credentials, unknown_client
from .throttle import Attempt

if TYPE_CHECKING:
    from ...keys.jose import FindKeys
    from ...keys.jwk import Key

NAME = "attest_jwt_client_auth"

HEADER, PROOF_HEADER = "OAuth-Client-Attestation", "OAuth-Client-Attestation-PoP"
CHALLENGE_HEADER = "OAuth-Client-Attestation-Challenge"

TYPE, PROOF_TYPE = "oauth-client-attestation+jwt", "oauth-client-attestation-pop+jwt"

MAX_LIFETIME = 31 * 86400
"""The longest remaining lifetime of an attestation in seconds."""

MAX_AGE = 300
"""Seconds for which a proof is accepted."""

_RULE = "draft-ietf-oauth-attestation-based-client-auth 7"


class ClientAttestation:
    """An attestation of the instance and a proof of its key.

    :param settings: of its options, this class reads ``client_attesters`` and the secret keys.
    """

    name = NAME
    scheme: str | None = None
    parameter: str | None = None
    accepts = frozenset({NAME})
    needs_secret = False
    needs_keys = False
    signing_algorithms: tuple[str, ...] = ()
    is_registrable = True
    request_headers = (HEADER, PROOF_HEADER)
    response_headers = (CHALLENGE_HEADER,)

    def __init__(self, settings: Settings) -> None:
        from ...keys import library  # noqa: F401  raises if joserfc is missing

        self._challenges = Nonces(settings.secret_keys, "attestation challenge")
        self._attesters = settings.client_attesters

    def challenge(self, now: float) -> str:
        """Return the challenge for new proofs."""
        return self._challenges.current(now)

    def present(self, request: Request, form: Params) -> Credentials | None:
        """Return the attestation and the proof of a request that has one of them."""
        from ...keys.jose import JOSEError, read_subject

        attestation, proof = (request.headers.get(name, "") for name in (HEADER, PROOF_HEADER))
        if not attestation and not proof:
            return None
        for name, value in ((HEADER, attestation), (PROOF_HEADER, proof)):
            if not value or "," in value:  # WSGI servers join repeated headers with a comma
                raise _rejected(f"no {name} header, or several: the request needs exactly one")
        try:
            return Credentials(read_subject(attestation), f"{attestation} {proof}", request.address)
        except JOSEError as error:
            raise _rejected(error.reason) from None

    def verify(self, server: AuthorizationServer, client: Client | None, credentials: Credentials, now: float) -> None:
        """Raise :exc:`InvalidClient` unless an attester vouches for the instance that has signed the proof.

        Raise :exc:`UseFreshAttestation` for an expired attestation, and :exc:`UseAttestationChallenge` for a proof
        without the challenge of this server.
        """
        from ...keys.jose import JOSEError

        attestation, _, proof = credentials.proof.partition(" ")
        try:
            if client is None:
                raise unknown_client(credentials.client_id)
            key = self._verify_attestation(server, client, attestation, now)
            claims = self._verify_proof(server, key, proof, now)
        except (InvalidClient, JOSEError) as error:
            Attempt(server, "client_attestation", credentials.client_id, now, credentials.address).failed()
            raise error if isinstance(error, InvalidClient) else _rejected(error.reason) from None
        # last, so that only the holder of the key fills the replay memory
        expires_at = int(claims["iat"]) + MAX_AGE + CLOCKS_DIFFER + 1
        digest = sha256(f"attestation {key.thumbprint} {claims['jti']}".encode("utf-8", "surrogatepass")).digest()
        if not server.store.remember(values.timestamp(expires_at) + digest, expires_at):
            raise _rejected("the proof was used before")

    def _verify_attestation(self, server: AuthorizationServer, client: Client, attestation: str, now: float) -> Key:
        """Return the key of the instance. Raises :exc:`.JOSEError` for an attestation that no attester has signed."""
        from ...keys import jose, jwk

        policy = jose.Policy(
            algorithms=SIGNING_ALGORITHMS,
            types=(TYPE,),
            issuers=None,  # the key says who the attester is
            audience=None,
            keys=self._find_keys(server, now),
            required=("sub", "exp", "cnf"),
            leeway=CLOCKS_DIFFER,
            accepts_expired=True,
            max_lifetime=MAX_LIFETIME,
        )
        claims = jose.verify(attestation, policy, now).claims
        if claims["exp"] + CLOCKS_DIFFER <= now:
            raise UseFreshAttestation(
                "the client attestation has expired", hint="let the instance request a new one from its attester"
            )
        if claims["sub"] != client.client_id:
            raise jose.JOSEError("the claim sub is not the client_id")
        confirmation: Any = claims["cnf"]
        member = confirmation.get("jwk") if isinstance(confirmation, Mapping) else None
        if not isinstance(member, Mapping):
            raise jose.JOSEError("the claim cnf has no jwk")
        return jwk.read_key(member)

    def _verify_proof(self, server: AuthorizationServer, key: Key, proof: str, now: float) -> Mapping[str, Any]:
        """Return the claims of a proof. Raises :exc:`.JOSEError` for one that the instance has not signed."""
        from ...keys import jose

        policy = jose.Policy(
            algorithms=SIGNING_ALGORITHMS,
            types=(PROOF_TYPE,),
            issuers=None,
            audience=server.issuer,
            is_only_audience=True,
            keys=lambda kid, algorithm: [key],
            required=("aud", "jti", "iat"),
            leeway=CLOCKS_DIFFER,
            max_age=MAX_AGE,
        )
        claims = jose.verify(proof, policy, now).claims
        challenge = claims.get("challenge")
        if not isinstance(challenge, str) or not self._challenges.is_recent(challenge, now):
            raise UseAttestationChallenge(
                "the proof of the client attestation needs the challenge of this server",
                received="another challenge" if challenge else "no challenge",
                hint="let the client repeat the request with the challenge of this response",
                headers={CHALLENGE_HEADER: self.challenge(now)},
            )
        return claims

    def _find_keys(self, server: AuthorizationServer, now: float) -> FindKeys:
        from ...keys.remote import KeysUnavailable, read_inline

        def find(kid: str | None, algorithm: str) -> list[Key]:
            failure: KeysUnavailable | None = None
            for attester in self._attesters:
                try:
                    if isinstance(attester, str):
                        found = server.remote_keys.find_keys(attester, now, True, kid, algorithm)
                    else:
                        found = list(read_inline(attester).find(kid, algorithm))
                except KeysUnavailable as error:
                    failure = error
                    continue
                if found:
                    return found
            if failure is not None:
                raise failure
            return []

        return find


def make(settings: Settings) -> tuple[ClientAttestation, ...]:
    """Return the method if ``OAUTH2_CLIENT_ATTESTERS`` names an attester."""
    return (ClientAttestation(settings),) if settings.client_attesters else ()


def find_instance(request: Request) -> str | None:
    """Return the thumbprint of the key of the instance that sent a request, which :meth:`verify` has verified."""
    from ...keys.jose import read_confirmation_key

    attestation = request.headers.get(HEADER, "")
    return read_confirmation_key(attestation).thumbprint if attestation else None


def _rejected(reason: str) -> InvalidClient:
    return InvalidClient(
        "client authentication failed",
        rule=_RULE,
        expected=f"{HEADER} of an attester in OAUTH2_CLIENT_ATTESTERS, and {PROOF_HEADER} with aud of the issuer",
        received=reason,
        hint="compare the attester's keys with OAUTH2_CLIENT_ATTESTERS, and the client's clock with that of the server",
    )
