"""The only module that uses joserfc and cryptography. It is imported when the first key is needed.

It computes with keys. The other modules of this package decide which keys, algorithms and headers are accepted.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any, cast

from ..errors import ConfigurationError

try:
    from cryptography.fernet import Fernet, InvalidToken, MultiFernet
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    from joserfc import jwe
    from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
    from joserfc.jws import JWSRegistry
except ModuleNotFoundError as error:
    raise ConfigurationError(
        f"signed and encrypted tokens need joserfc and cryptography, and {error.name} is not installed: install "
        "flask_oauth2[jose]"
    ) from error

_TYPES: dict[str, Any] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey, "oct": OctKey}

_SAME = {"Ed25519": "EdDSA"}
"""Algorithms with two names, :rfc:`9864#section-2.2`."""


def import_jwk(members: Mapping[str, Any]) -> Any:
    """Return the key of a JWK whose members were checked. Raises :exc:`ValueError` for a point off its curve."""
    return _TYPES[members["kty"]].import_key(dict(members))


def import_pem(content: bytes) -> dict[str, Any]:
    """Return the JWK of a PEM file with a key or a certificate. Raises :exc:`ValueError` for other content."""
    for kind in (RSAKey, ECKey, OKPKey):
        try:
            key = kind.import_key(content)
            return cast("dict[str, Any]", dict(key.as_dict(private=key.is_private)))
        except Exception:  # noqa: S112  joserfc raises several unrelated types for the key of another type
            continue
    raise ValueError("not a PEM file with an RSA, EC or Ed25519 key, or it is encrypted")


def generate_jwk(kty: str, curve: str | None) -> dict[str, Any]:
    """Return a new private JWK. RSA keys have 2048 bits."""
    key: Any = RSAKey.generate_key(2048) if kty == "RSA" else _TYPES[kty].generate_key(curve)
    return cast("dict[str, Any]", dict(key.as_dict(private=True)))


def sign(algorithm: str, key: Any, data: bytes) -> bytes:
    """Return the signature of a private key."""
    return JWSRegistry.algorithms[_SAME.get(algorithm, algorithm)].sign(data, key)


def verify(algorithm: str, key: Any, data: bytes, signature: bytes) -> bool:
    """Return whether a signature is that of the key. HMACs are compared in constant time."""
    return JWSRegistry.algorithms[_SAME.get(algorithm, algorithm)].verify(data, signature, key)


def encrypt(header: Mapping[str, Any], content: bytes, key: Any) -> str:
    """Return a compact JWE with the algorithms that the header names."""
    return jwe.encrypt_compact(dict(header), content, key, registry=_registry(header, len(content)))


def decrypt(header: Mapping[str, Any], token: str, key: Any) -> bytes:
    """Return the content of a compact JWE whose header was checked. Raises various exceptions if that fails."""
    return jwe.decrypt_compact(token, key, registry=_registry(header, len(token))).plaintext or b""


def _registry(header: Mapping[str, Any], size: int) -> Any:
    registry = jwe.JWERegistry(algorithms=[header["alg"], header["enc"]], strict_check_header=False)
    registry.max_ciphertext_length = registry.max_protected_header_length = 2 * size + 1024
    return registry


class Cipher:
    """Encryption at rest, with a key that HKDF derives from each ``SECRET_KEY``.

    :param secret_keys: the secret keys of the application, the newest last.
    :param purpose: keeps ciphertexts of one kind from being used as another kind.
    """

    def __init__(self, secret_keys: Iterable[bytes], purpose: str) -> None:
        fernets = []
        for secret in secret_keys:
            derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"flask_oauth2 {purpose}".encode())
            fernets.append(Fernet(base64.urlsafe_b64encode(derived.derive(secret))))
        self._newest = fernets[-1]
        self._all = MultiFernet(fernets[::-1])

    def encrypt(self, content: bytes) -> bytes:
        """Encrypt with the newest key."""
        return self._newest.encrypt(content)

    def decrypt(self, encrypted: bytes) -> bytes | None:
        """Return the content, or None if no key decrypts it."""
        try:
            return self._all.decrypt(encrypted)
        except InvalidToken:
            return None

    def is_newest(self, encrypted: bytes) -> bool:
        """Return whether the newest key decrypts the content."""
        try:
            self._newest.decrypt(encrypted)
        except InvalidToken:
            return False
        return True
