"""JSON Web Keys, :rfc:`7517`, with the limits of :rfc:`7518`, and their thumbprints, :rfc:`7638`.

A key that is accepted has one representation, so its thumbprint identifies it, :rfc:`7638#section-7`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from .algorithms import CONTENT_ENCRYPTION, KEY_MANAGEMENT, SIGNATURES, Algorithm
from .encoding import JOSEError, decode_base64url, decode_json, encode_base64url, encode_json

MAX_KEYS = 100
"""Keys of a JWK set."""

MAX_SET_SIZE = 64 * 1024
"""Octets of a JWK set."""

_RSA_BITS = (2048, 8192)
"""The shortest and the longest modulus. Verification with a longer one takes too long."""

_LARGEST_EXPONENT = 2**32
"""The limit of public exponents. Verification with a larger one takes too long."""

_SECRET_OCTETS = (16, 1024)

_REQUIRED = {"RSA": ("e", "n"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "oct": ("k",)}
_PRIVATE = {"RSA": ("d", "p", "q", "dp", "dq", "qi"), "EC": ("d",), "OKP": ("d",), "oct": ("k",)}
_CURVES = {"EC": {"P-256": 32, "P-384": 48, "P-521": 66}, "OKP": {"Ed25519": 32, "X25519": 32}}
"""The octets of a coordinate, :rfc:`7518#section-6.2.1.2` and :rfc:`8037#section-2`."""

_TEXTS = ("kid", "alg", "use")
_OPERATIONS = {
    "sig": frozenset({"sign", "verify"}),
    "enc": frozenset({"encrypt", "decrypt", "wrapKey", "unwrapKey", "deriveKey", "deriveBits"}),
}


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """A key that passed all checks. Its representation does not show secret members."""

    kty: str
    members: Mapping[str, Any] = field(repr=False)
    """The members of its type, with those of the private key if there is one."""
    native: Any = field(repr=False)
    """The key of the library."""
    kid: str | None = None
    alg: str | None = None
    use: str | None = None
    operations: frozenset[str] | None = None

    @property
    def is_private(self) -> bool:
        """Return whether the key can sign or decrypt."""
        return _PRIVATE[self.kty][0] in self.members

    @property
    def thumbprint(self) -> str:
        """The SHA-256 thumbprint of the public key, :rfc:`7638#section-3`."""
        content = {name: self.members[name] for name in sorted(("kty", *_REQUIRED[self.kty]))}
        return encode_base64url(sha256(encode_json(content)).digest()).decode()

    @property
    def public_jwk(self) -> dict[str, Any]:
        """The JWK of the public key. A symmetric key has none and raises :exc:`ValueError`."""
        if self.kty == "oct":
            raise ValueError("a symmetric key has no public key")
        return {name: value for name, value in self.jwk.items() if name not in _PRIVATE[self.kty]}

    @property
    def jwk(self) -> dict[str, Any]:
        """The JWK, with the private key if there is one."""
        named = {name: getattr(self, name) for name in _TEXTS if getattr(self, name) is not None}
        return {**self.members, **named}

    def fits(self, algorithm: Algorithm, use: str) -> bool:
        """Return whether the key is meant for an algorithm and a use, ``sig`` or ``enc``, and is long enough.

        "respect" of ``use``, ``key_ops`` and ``alg``: :rfc:`7517#section-4.2`, :rfc:`8725#section-3.1`.
        """
        return (
            (self.kty == algorithm.kty or (self.kty == "OKP" and self.members["crv"] in algorithm.curves))
            and (self.alg in (None, algorithm.name) or (algorithm.name == "dir" and self.alg in CONTENT_ENCRYPTION))
            and self.use in (None, use)
            and (self.operations is None or not self.operations.isdisjoint(_OPERATIONS[use]))
            and (not algorithm.curves or self.members["crv"] in algorithm.curves)
            and (self.kty != "oct" or algorithm.octets[0] <= len(self.native.raw_value) <= algorithm.octets[1])
        )


def read_key(jwk: Mapping[str, Any], *, may_be_private: bool = False) -> Key:
    """Return the key of a JWK. Raises :exc:`.JOSEError` for one that is unknown, malformed, weak or too large.

    :param may_be_private: accept a private or symmetric key. Otherwise such a key is rejected.
    """
    kty = jwk.get("kty")
    if not isinstance(kty, str) or kty not in _REQUIRED:
        raise JOSEError("the key has an unknown kty")
    if not may_be_private and has_private_members(jwk):
        raise JOSEError("the key contains a private or symmetric key")
    if "oth" in jwk:  # RFC 7518 section 6.3.2.7
        raise JOSEError("the key has more than two primes")
    present = (*_REQUIRED[kty], *(name for name in _PRIVATE[kty] if name in jwk))
    members = {"kty": kty, **{name: _read_text(jwk, name) for name in present}}
    _CHECKS[kty](members)
    texts = {name: _read_text(jwk, name) for name in _TEXTS if jwk.get(name) is not None}
    operations = _read_operations(jwk, texts.get("use"))
    from . import library

    try:
        native = library.import_jwk(members)
    except Exception:  # joserfc and cryptography raise several types for members that do not belong together
        raise JOSEError("the members of the key are no key of its type") from None
    return Key(kty, members, native, operations=operations, **texts)


def read_secret(octets: bytes, kid: str | None = None) -> Key:
    """Return the symmetric key of some octets, such as a client secret. Raises :exc:`.JOSEError` if it is too short."""
    return read_key({"kty": "oct", "k": encode_base64url(octets).decode(), "kid": kid}, may_be_private=True)


def read_pem(content: bytes, **members: str | None) -> Key:
    """Return the key of a PEM file. Raises :exc:`.JOSEError`.

    :param members: members of the JWK that a PEM file does not have, such as ``alg``.
    """
    from . import library

    try:
        jwk = library.import_pem(content)
    except ValueError as error:
        raise JOSEError(f"the key is {error}") from None
    return read_key({**jwk, **members}, may_be_private=True)


def generate_key(algorithm: str) -> Key:
    """Return a new private key for a signature algorithm. Its ``kid`` is its thumbprint.

    A ``kid`` never begins with a hyphen, so that commands do not take it for an option.
    """
    from . import library

    known = SIGNATURES[algorithm]
    while True:
        key = read_key(library.generate_jwk(known.kty, next(iter(known.curves), None)), may_be_private=True)
        if not key.thumbprint.startswith("-"):
            return name_key(key, algorithm)


def name_key(key: Key, algorithm: str) -> Key:
    """Return a signing key for one algorithm, :rfc:`8725#section-3.1`. Without a ``kid`` it has its thumbprint."""
    return Key(key.kty, key.members, key.native, key.kid or key.thumbprint, algorithm, "sig")


class KeySet:
    """A JWK set, :rfc:`7517#section-5`."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self.keys: Sequence[Key] = tuple(keys)

    def find(self, kid: str | None, algorithm: str) -> list[Key]:
        """Return the keys that may have made a signature, or to which content may be encrypted.

        ``kid`` is "only a hint": keys without one fit too. Use this method as the ``keys`` of a policy.
        """
        if algorithm in SIGNATURES:
            known, use = SIGNATURES[algorithm], "sig"
        else:
            known, use = KEY_MANAGEMENT[algorithm], "enc"
        fitting = [key for key in self.keys if key.fits(known, use)]
        return [key for key in fitting if kid is None or key.kid is None or key.kid == kid]

    def has(self, kid: str) -> bool:
        """Return whether a key has this ``kid``."""
        return any(key.kid == kid for key in self.keys)


def read_set(content: bytes | Mapping[str, Any]) -> KeySet:
    """Return the public keys of a JWK set, as its owner sent it or as parsed JSON.

    "Implementations SHOULD ignore JWKs within a JWK Set that use kty values that are not understood by them, that are
    missing required members, or for which values are out of the supported ranges", :rfc:`7517#section-5`. A set with a
    private or symmetric key is rejected: its owner has disclosed the key. Raises :exc:`.JOSEError`.
    """
    if isinstance(content, bytes):
        if len(content) > MAX_SET_SIZE:
            raise JOSEError(f"the JWK set has more than {MAX_SET_SIZE} octets")
        content = decode_json(content, "the JWK set", 40 * MAX_KEYS)
    jwks = content.get("keys")
    if not isinstance(jwks, list) or len(jwks) > MAX_KEYS:
        raise JOSEError(f"the JWK set needs a list of at most {MAX_KEYS} keys")
    keys = []
    for jwk in jwks:
        if not isinstance(jwk, Mapping):
            continue
        if has_private_members(jwk):
            raise JOSEError("the JWK set contains a private or symmetric key")
        try:
            keys.append(read_key(jwk))
        except JOSEError:
            continue
    return KeySet(keys)


def has_private_members(jwk: Mapping[str, Any]) -> bool:
    """Return whether a JWK discloses a private or symmetric key."""
    return any(name in jwk for names in _PRIVATE.values() for name in names)


def _read_text(jwk: Mapping[str, Any], name: str) -> str:
    value = jwk.get(name)
    if not isinstance(value, str) or not value:
        raise JOSEError(f"the member {name} of the key is not text")
    return value


def _read_operations(jwk: Mapping[str, Any], use: str | None) -> frozenset[str] | None:
    operations = jwk.get("key_ops")
    if operations is None:
        return None
    if not isinstance(operations, list) or not all(isinstance(one, str) for one in operations):
        raise JOSEError("key_ops is not a list of texts")
    # "the information they convey MUST be consistent", RFC 7517 section 4.3
    if use is not None and not _OPERATIONS.get(use, frozenset()).issuperset(operations):
        raise JOSEError("use and key_ops contradict each other")
    return frozenset(operations)


def _octets(members: Mapping[str, Any], name: str) -> bytes:
    return decode_base64url(members[name].encode("utf-8", "surrogatepass"))


def _check_rsa(members: Mapping[str, Any]) -> None:
    for name in members.keys() - {"kty"}:
        # "the minimum number of octets", RFC 7518 section 6.3.1.1
        if _octets(members, name)[:1] in (b"", b"\0"):
            raise JOSEError(f"the member {name} of the key begins with a zero octet")
    bits = int.from_bytes(_octets(members, "n"), "big").bit_length()
    if not _RSA_BITS[0] <= bits <= _RSA_BITS[1]:
        raise JOSEError(f"the RSA key has {bits} bits, not {_RSA_BITS[0]} to {_RSA_BITS[1]} (RFC 7518 section 3.3)")
    exponent = int.from_bytes(_octets(members, "e"), "big")
    if not 3 <= exponent < _LARGEST_EXPONENT or exponent % 2 == 0:
        raise JOSEError("the RSA key has a public exponent that is even, too small or too large")


def _check_curve(members: Mapping[str, Any]) -> None:
    size = _CURVES[members["kty"]].get(members["crv"])
    if size is None:
        raise JOSEError("the key has an unknown crv")
    for name in members.keys() - {"kty", "crv"}:
        # "The length of this octet string MUST be the full size of a coordinate", RFC 7518 section 6.2.1.2
        if len(_octets(members, name)) != size:
            raise JOSEError(f"the member {name} of the key does not have {size} octets")


def _check_secret(members: Mapping[str, Any]) -> None:
    shortest, longest = _SECRET_OCTETS
    if not shortest <= len(_octets(members, "k")) <= longest:
        raise JOSEError(f"the symmetric key does not have {shortest} to {longest} octets")


_CHECKS = {"RSA": _check_rsa, "EC": _check_curve, "OKP": _check_curve, "oct": _check_secret}
