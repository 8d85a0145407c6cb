"""The algorithms of JOSE that this package knows, :rfc:`7518`, :rfc:`8037` and :rfc:`9864`.

``none``, PBES2, RSA1_5 and compression are absent, so that no policy can allow them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A signature or key management algorithm, and the keys that fit it."""

    name: str
    kty: str
    """The key type, :rfc:`7518#section-6.1`."""
    curves: tuple[str, ...] = ()
    """The curves of fitting EC and OKP keys."""
    octets: tuple[int, int] = (0, 1024)
    """The shortest and the longest symmetric key."""

    @property
    def is_symmetric(self) -> bool:
        """Return whether both parties have the same key."""
        return self.kty == "oct"


# "A key of the same size as the hash output ... or larger MUST be used", RFC 7518 section 3.2
_HMAC = [Algorithm(f"HS{bits}", "oct", octets=(bits // 8, 1024)) for bits in (256, 384, 512)]
_RSA = [Algorithm(f"{kind}{bits}", "RSA") for kind in ("RS", "PS") for bits in (256, 384, 512)]
_EC = [Algorithm(name, "EC", (curve,)) for name, curve in (("ES256", "P-256"), ("ES384", "P-384"), ("ES512", "P-521"))]
_EDWARDS = [Algorithm(name, "OKP", ("Ed25519",)) for name in ("EdDSA", "Ed25519")]

SIGNATURES = {algorithm.name: algorithm for algorithm in (*_HMAC, *_RSA, *_EC, *_EDWARDS)}
"""Values of ``alg`` in a JWS."""

_AGREEMENT_CURVES = ("P-256", "P-384", "P-521", "X25519")

KEY_MANAGEMENT = {
    algorithm.name: algorithm
    for algorithm in (
        *(Algorithm(name, "RSA") for name in ("RSA-OAEP", "RSA-OAEP-256")),
        *(Algorithm(f"ECDH-ES{wrap}", "EC", _AGREEMENT_CURVES) for wrap in ("", "+A128KW", "+A192KW", "+A256KW")),
        *(Algorithm(f"A{bits}KW", "oct", octets=(bits // 8, bits // 8)) for bits in (128, 192, 256)),
        Algorithm("dir", "oct", octets=(16, 64)),
    )
}
"""Values of ``alg`` in a JWE."""

CONTENT_ENCRYPTION = ("A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512", "A128GCM", "A192GCM", "A256GCM")
"""Values of ``enc`` in a JWE."""
