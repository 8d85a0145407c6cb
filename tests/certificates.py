"""TLS client certificates for tests, and requests over connections that have one."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from functools import cache
from ipaddress import ip_address
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import NameOID

from flask_oauth2.keys.jwk import Key, generate_key

SUBJECT = x509.Name(
    [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example, Inc"),
        x509.NameAttribute(NameOID.COMMON_NAME, "Web client"),
    ]
)

NAMES = x509.SubjectAlternativeName(
    [
        x509.DNSName("client.example"),
        x509.UniformResourceIdentifier("https://client.example/id"),
        x509.IPAddress(ip_address("2001:db8::1")),
        x509.IPAddress(ip_address("192.0.2.7")),
        x509.RFC822Name("Client@mail.example"),
    ]
)


def key_of(number: int = 1, algorithm: str = "ES256") -> Key:
    """Return a private key, always the same one for a number and an algorithm."""
    return _generate_key(number, algorithm)


@cache
def _generate_key(number: int, algorithm: str) -> Key:
    return generate_key(algorithm)


def certificate_of(number: int = 1, *, has_names: bool = True, algorithm: str = "ES256") -> bytes:
    """Return a self-signed certificate in DER for the key of a number, always the same one."""
    return _make_certificate(number, has_names, algorithm)


@cache
def _make_certificate(number: int, has_names: bool, algorithm: str) -> bytes:
    private: Any = key_of(number, algorithm).native.private_key
    builder = (
        x509.CertificateBuilder()
        .subject_name(SUBJECT)
        .issuer_name(SUBJECT)
        .public_key(private.public_key())
        .serial_number(number)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2040, 1, 1, tzinfo=UTC))
    )
    if has_names:
        builder = builder.add_extension(NAMES, critical=False)
    digest = None if isinstance(private, Ed25519PrivateKey) else SHA256()
    assert isinstance(private, EllipticCurvePrivateKey | Ed25519PrivateKey)
    return builder.sign(private, digest).public_bytes(Encoding.DER)


def environ_of(certificate: bytes | None, verification: str = "SUCCESS") -> dict[str, str]:
    """Return what a TLS server adds to the WSGI environment."""
    if certificate is None:
        return {}
    text = b64encode(certificate).decode()
    pem = f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"
    return {"SSL_CLIENT_CERT": pem, "SSL_CLIENT_VERIFY": verification}


def jwk_of(certificate: bytes, number: int = 1, algorithm: str = "ES256") -> dict[str, Any]:
    """Return the public JWK of a number with a certificate."""
    return {**key_of(number, algorithm).public_jwk, "x5c": [b64encode(certificate).decode()]}
