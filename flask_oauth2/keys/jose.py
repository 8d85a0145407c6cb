"""The only way to sign, verify, encrypt and decrypt a JSON Web Token, :rfc:`7519` and :rfc:`8725`.

A :class:`Policy` names what one kind of token must be. :func:`verify` checks in the order: size, parts, header, ``typ``
and ``crit``, algorithm, key, signature, claims, issuer, audience, times. The caller then checks the claims of the
purpose and remembers ``jti``. No claim is read before the signature is verified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from .algorithms import CONTENT_ENCRYPTION, KEY_MANAGEMENT, SIGNATURES
from .encoding import JOSEError, decode_base64url, decode_json, encode_base64url, encode_json
from .jwk import Key, read_key

__all__ = [
    "EncryptionPolicy",
    "JOSEError",
    "Policy",
    "Signer",
    "Verified",
    "decrypt",
    "encrypt",
    "read_issuer",
    "sign",
    "verify",
]

FindKeys = Callable[[str | None, str], Iterable[Key]]
"""Returns the keys that may have made a signature, from the ``kid`` (or None) and the ``alg`` of the header."""

MAX_SIZE = 16 * 1024
"""The maximum number of characters of a token, unless its policy sets another limit."""

MAX_HEADER_SIZE = 4096
"""The maximum number of characters of an encoded header."""

MAX_HEADER_VALUES = 50
"""The maximum number of values in a header, including those of a ``jwk``."""

MAX_CANDIDATES = 10
"""The maximum number of keys that are tried for one token."""

LARGEST_TIME = 253_402_300_799
"""The end of the year 9999."""

MAX_LEEWAY = 300
"""The maximum leeway in seconds: "usually no more than a few minutes", :rfc:`7519#section-4.1.4`."""

KNOWN_TYPES = frozenset(
    f"application/{name}"
    for name in (
        *("at+jwt", "client-authentication+jwt", "dpop+jwt", "logout+jwt", "oauth-authz-req+jwt"),
        *("oauth-client-attestation+jwt", "oauth-client-attestation-pop+jwt", "oauth-id-jag+jwt"),
        *("secevent+jwt", "statuslist+jwt", "token-introspection+jwt", "wit+jwt"),
    )
)
"""Registered values of ``typ``. A policy never accepts one of these unless it names it."""

_KEY_SOURCES = ("jku", "x5u", "x5c", "jwk")
"""Header members that name or contain a key. A token must not choose the key that verifies it."""

_TEXTS = ("iss", "sub", "jti", "client_id")
_TIMES = ("exp", "nbf", "iat", "auth_time")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The requirements for one kind of token from one party.

    ``issuers`` and ``audience`` have no default: None switches the check off and must be written.

    Raises :exc:`ValueError` for a policy that mixes symmetric and asymmetric algorithms, which would let a public key
    verify an HMAC, or that names an unknown algorithm, such as ``none``.
    """

    algorithms: tuple[str, ...]
    """The accepted signature algorithms."""
    types: tuple[str, ...]
    """The accepted values of ``typ``. The empty text stands for a token without ``typ``."""
    issuers: tuple[str, ...] | None
    """The accepted values of ``iss``."""
    audience: str | tuple[str, ...] | None
    """The value that ``aud`` must contain. Of several values it must contain one."""
    keys: FindKeys | None
    """Returns the keys of the party. None: the key is the ``jwk`` of the token's header."""
    accepts_header_key: bool = False
    """True if the ``jwk`` of the header is the key, as :rfc:`9449#section-4.2` requires. Needs ``keys=None``."""
    accepts_other_types: bool = False
    """True if a ``typ`` that is not in ``KNOWN_TYPES`` is accepted too."""
    is_only_audience: bool = False
    """True if ``aud`` must not name any other party."""
    required: tuple[str, ...] = ("exp",)
    """The claims that must be present."""
    leeway: int = 0
    """Seconds by which the clocks of both parties may differ."""
    accepts_expired: bool = False
    """True if the caller checks ``exp``."""
    max_lifetime: int | None = None
    """Seconds from now to the latest acceptable ``exp``."""
    max_age: int | None = None
    """Seconds from the earliest acceptable ``iat`` to now. Makes ``iat`` a required claim."""
    max_size: int = MAX_SIZE
    """Characters of the token."""
    max_values: int = 500
    """Values in the claims, at all levels together."""
    _types: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        unknown = set(self.algorithms) - SIGNATURES.keys()
        if unknown or not self.algorithms:
            raise ValueError(f"a policy needs algorithms of: {', '.join(SIGNATURES)}")
        if len({SIGNATURES[name].is_symmetric for name in self.algorithms}) > 1:
            raise ValueError("a policy must not mix symmetric and asymmetric algorithms (RFC 8725 section 3.1)")
        if (self.keys is None) is not self.accepts_header_key:
            raise ValueError("a policy has either keys or accepts_header_key=True")
        if self.accepts_header_key and SIGNATURES[self.algorithms[0]].is_symmetric:
            raise ValueError("the key in a header is public, so its algorithm must be asymmetric")
        if not 0 <= self.leeway <= MAX_LEEWAY:
            raise ValueError(f"the leeway must be at most {MAX_LEEWAY} seconds (RFC 7519 section 4.1.4)")
        object.__setattr__(self, "_types", frozenset(map(_full_type, self.types)))


@dataclass(frozen=True, slots=True)
class Verified:
    """A token that fulfils its policy, and the key that verified it."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    key: Key


@runtime_checkable
class Signer(Protocol):
    """A private key that signs. An application can implement it for a hardware security module."""

    @property
    def kid(self) -> str:
        """The ``kid`` of the tokens it signs."""
        ...

    @property
    def alg(self) -> str:
        """The signature algorithm."""
        ...

    def public_jwk(self) -> Mapping[str, Any]:
        """Return the public key as a JWK."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Return the signature as :rfc:`7518#section-3` defines it: for ECDSA ``R || S``, not DER."""
        ...


def verify(token: str, policy: Policy, now: float) -> Verified:
    """Return the header and the claims of a token. Raises :exc:`.JOSEError` for a token that breaks the policy.

    :param now: seconds since the epoch, UTC.
    """
    parts = _split(token, 3, policy.max_size)
    header = _read_header(parts[0])
    _check_header(header, policy)
    key = _verify_signature(parts, header, policy)
    claims = decode_json(decode_base64url(parts[1]), "the payload", policy.max_values)
    _check_claims(claims, policy)
    _check_audience(claims, policy)
    _check_times(claims, policy, now)
    return Verified(header, claims, key)


def read_issuer(token: str, max_size: int = MAX_SIZE) -> str:
    """Return the ``iss`` of an unverified token, to look up the keys of this party. Do not use it for anything else.

    Raises :exc:`.JOSEError` for a token without ``iss``.
    """
    payload = decode_base64url(_split(token, 3, max_size)[1])
    issuer = decode_json(payload, "the payload", max_size).get("iss")
    if not isinstance(issuer, str) or not issuer:
        raise JOSEError("the claim iss is missing")
    return issuer


def sign(claims: Mapping[str, Any], signer: Signer, typ: str | None, now: float) -> str:
    """Return a signed token. Adds ``iat`` if the claims have none.

    :param typ: the type of the header, such as ``at+jwt``; None for none.
    """
    header = {"typ": typ, "alg": signer.alg, "kid": signer.kid}
    content = {"iat": int(now), **claims}
    present = {name: value for name, value in header.items() if value is not None}
    signed = b".".join(encode_base64url(encode_json(part)) for part in (present, content))
    return b".".join((signed, encode_base64url(signer.sign(signed)))).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionPolicy:
    """The requirements for an encrypted token. Decryption proves nothing about its sender.

    Raises :exc:`ValueError` for an unknown algorithm, such as ``RSA1_5``.
    """

    algorithms: tuple[str, ...]
    """The accepted key management algorithms."""
    encodings: tuple[str, ...]
    """The accepted content encryption algorithms."""
    keys: FindKeys
    """Returns the private or symmetric keys to which the content may be encrypted."""
    max_size: int = 2 * MAX_SIZE
    """Characters of the token."""

    def __post_init__(self) -> None:
        if set(self.algorithms) - KEY_MANAGEMENT.keys() or set(self.encodings) - set(CONTENT_ENCRYPTION):
            raise ValueError(
                f"a policy names algorithms of {', '.join(KEY_MANAGEMENT)}, and of {', '.join(CONTENT_ENCRYPTION)}"
            )


@dataclass(frozen=True, slots=True)
class Decrypted:
    """The header and the content of an encrypted token."""

    header: Mapping[str, Any]
    content: bytes


def is_encrypted(token: str) -> bool:
    """Return whether a compact token has the five parts of a JWE, :rfc:`7516#section-9`."""
    return token.count(".") == 4


def decrypt(token: str, policy: EncryptionPolicy) -> Decrypted:
    """Return the content of a compact JWE. Raises :exc:`.JOSEError`, with one reason for every failure of the keys.

    "MUST NOT distinguish between format, padding, and length errors", :rfc:`7516#section-11.5`.
    """
    parts = _split(token, 5, policy.max_size)
    header = _read_header(parts[0])
    _check_encryption_header(header, policy)
    for part in parts[1:]:
        decode_base64url(part)
    from . import library

    found = policy.keys(header.get("kid"), header["alg"])
    algorithm = KEY_MANAGEMENT[header["alg"]]
    for key in islice((key for key in found if key.fits(algorithm, "enc") and key.is_private), MAX_CANDIDATES):
        try:
            return Decrypted(header, library.decrypt(header, token, key.native))
        except Exception:  # noqa: S112  the library raises many types for hostile input, which callers must not distinguish
            continue
    raise JOSEError("no key decrypts the token")


def encrypt(content: bytes, key: Key, alg: str, enc: str, *, typ: str | None = None, cty: str | None = None) -> str:
    """Return a compact JWE that the holder of ``key`` can decrypt. Sign first: encryption proves no sender.

    :param cty: ``JWT`` if the content is one, :rfc:`7519#section-5.2`.
    """
    if alg not in KEY_MANAGEMENT or enc not in CONTENT_ENCRYPTION or not key.fits(KEY_MANAGEMENT[alg], "enc"):
        raise ValueError("the key does not fit the algorithm")
    from . import library

    header = {"typ": typ, "cty": cty, "alg": alg, "enc": enc, "kid": key.kid}
    return library.encrypt({name: value for name, value in header.items() if value is not None}, content, key.native)


def _split(token: str, count: int, max_size: int) -> list[bytes]:
    if len(token) > max_size:  # first, so that a huge header is in no cache
        raise JOSEError(f"the token has more than {max_size} characters")
    parts = token.split(".", count)
    if len(parts) != count or not token.isascii():
        raise JOSEError(f"the token does not have {count} parts of ASCII characters")
    return [part.encode() for part in parts]


@lru_cache(256)
def _read_header(part: bytes) -> Mapping[str, Any]:
    """Return a header. Parties send the same one with each token, so it is parsed once."""
    if len(part) > MAX_HEADER_SIZE:
        raise JOSEError(f"the header has more than {MAX_HEADER_SIZE} characters")
    header = decode_json(decode_base64url(part), "the header", MAX_HEADER_VALUES)
    if not all(isinstance(header.get(name, ""), str) for name in ("alg", "enc", "kid", "typ", "cty")):
        raise JOSEError("a member of the header is not text")
    # "If any of the listed extension Header Parameters are not understood and supported by the recipient, then the JWS
    # is invalid", RFC 7515 section 4.1.11. None is, b64 included.
    for name in ("crit", "b64", "zip"):
        if name in header:
            raise JOSEError(f"the header contains {name}, which is not supported")
    return MappingProxyType(header)


def _full_type(typ: str) -> str:
    """Return a media type in lower case. "application/" may be left out, :rfc:`7515#section-4.1.9`."""
    typ = typ.lower()
    return typ if not typ or "/" in typ else f"application/{typ}"


def _check_header(header: Mapping[str, Any], policy: Policy) -> None:
    typ = _full_type(header.get("typ", ""))
    is_other = policy.accepts_other_types and typ not in KNOWN_TYPES
    if typ not in policy._types and not is_other:
        raise JOSEError("the typ of the header is not accepted for this kind of token")
    if "enc" in header:
        raise JOSEError("the header is that of an encrypted token")
    for name in _KEY_SOURCES:
        if name in header and not (name == "jwk" and policy.accepts_header_key):
            raise JOSEError(f"the header contains {name}: a token must not choose the key that verifies it")
    if header.get("alg") not in policy.algorithms:
        raise JOSEError("the alg of the header is not accepted for this kind of token")


def _verify_signature(parts: list[bytes], header: Mapping[str, Any], policy: Policy) -> Key:
    from . import library

    name = header["alg"]
    algorithm = SIGNATURES[name]
    signature = decode_base64url(parts[2])
    data = b".".join(parts[:2])
    found = _read_header_key(header) if policy.keys is None else policy.keys(header.get("kid"), name)
    is_found = False
    for key in islice((key for key in found if key.fits(algorithm, "sig")), MAX_CANDIDATES):
        is_found = True
        if library.verify(name, key.native, data, signature):
            return key
    raise JOSEError("the signature is wrong" if is_found else "no key of the party fits the kid and alg of the header")


def _read_header_key(header: Mapping[str, Any]) -> tuple[Key]:
    jwk = header.get("jwk")
    if not isinstance(jwk, dict):
        raise JOSEError("the header has no jwk")
    return (read_key(jwk),)


def _check_claims(claims: Mapping[str, Any], policy: Policy) -> None:
    for name in policy.required:
        if name not in claims:
            raise JOSEError(f"the claim {name} is missing")
    for name in _TEXTS:
        value = claims.get(name, name)
        if not isinstance(value, str) or not value:
            raise JOSEError(f"the claim {name} is empty or not text")
    if policy.issuers is not None and claims.get("iss") not in policy.issuers:
        raise JOSEError("the claim iss is not that of the party")


def _check_audience(claims: Mapping[str, Any], policy: Policy) -> None:
    audience = claims.get("aud", [])
    named = [audience] if isinstance(audience, str) else audience
    if not isinstance(named, list) or not all(isinstance(one, str) and one for one in named):
        raise JOSEError("the claim aud is neither text nor a list of texts")
    if policy.audience is None:
        return
    accepted = {policy.audience} if isinstance(policy.audience, str) else set(policy.audience)
    # "MUST be rejected" unless "the principal processing the claim" is in it, RFC 7519 section 4.1.3
    if accepted.isdisjoint(named):
        raise JOSEError("the claim aud does not name this server")
    if policy.is_only_audience and len(named) > 1:
        raise JOSEError("the claim aud also names other parties")


def _check_times(claims: Mapping[str, Any], policy: Policy, now: float) -> None:
    for name in _TIMES:
        value = claims.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LARGEST_TIME:
            raise JOSEError(f"the claim {name} is not a time")
    _check_expiry(claims.get("exp"), policy, now)
    issued_at = claims.get("iat", 0)
    if max(claims.get("nbf", 0), issued_at) > now + policy.leeway:
        raise JOSEError("the token is not valid yet, or its clock is wrong")
    if policy.max_age is not None and issued_at + policy.max_age + policy.leeway < now:
        raise JOSEError(f"the token was not issued within {policy.max_age} seconds")


def _check_expiry(expires_at: float | None, policy: Policy, now: float) -> None:
    # "on or after which the JWT MUST NOT be accepted", RFC 7519 section 4.1.4
    if expires_at is not None and expires_at + policy.leeway <= now and not policy.accepts_expired:
        raise JOSEError("the token has expired")
    longest = policy.max_lifetime
    if longest is not None and (expires_at is None or expires_at > now + longest + policy.leeway):
        raise JOSEError(f"the token does not expire within {longest} seconds")


def _check_encryption_header(header: Mapping[str, Any], policy: EncryptionPolicy) -> None:
    for name in _KEY_SOURCES:
        if name in header:
            raise JOSEError(f"the header contains {name}: a token must not choose the key that decrypts it")
    alg = header.get("alg", "")
    if alg not in policy.algorithms or header.get("enc") not in policy.encodings:
        raise JOSEError("the alg or enc of the header is not accepted")
    if alg.startswith("ECDH-ES"):
        epk = header.get("epk")
        if not isinstance(epk, dict):
            raise JOSEError("the header has no epk")
        read_key(epk)  # public, on its curve (RFC 8725 section 3.4)
    for name in ("apu", "apv"):
        value = header.get(name, "")
        if not isinstance(value, str):
            raise JOSEError(f"the {name} of the header is not text")
        decode_base64url(value.encode("utf-8", "surrogatepass"))
