"""TLS client certificates of clients, :rfc:`8705#section-2`: their subjects and their keys.

The TLS server verifies the certificate chain and the possession of the key. This module only compares.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address

from .algorithms import SIGNATURES
from .encoding import JOSEError
from .jwk import Key, read_pem

SUBJECT_MEMBERS = (
    "tls_client_auth_subject_dn",
    "tls_client_auth_san_dns",
    "tls_client_auth_san_uri",
    "tls_client_auth_san_ip",
    "tls_client_auth_san_email",
)
"""The members of client metadata that name a subject, :rfc:`8705#section-2.1.2`."""


def check_distinguished_name(value: str) -> None:
    """Raise :exc:`ValueError` for text that is no distinguished name, :rfc:`4514`."""
    _read_name(value)


def has_subject(certificate: bytes, member: str, value: str) -> bool:
    """Return whether the subject of a certificate is the registered one. Raises :exc:`.JOSEError` for no certificate.

    :param member: one of :data:`SUBJECT_MEMBERS`. Alternative names of other types do not count.
    """
    from . import library

    try:
        subject, names = library.read_names(certificate)
    except ValueError:
        raise JOSEError("the client certificate is not a certificate in DER") from None
    if member.endswith("_dn"):
        return _normalize_name(subject) == _read_name(value)
    kind = member.rpartition("_")[2]
    normalize = _NORMALIZE[kind]
    return normalize(value) in map(normalize, names[kind])


def has_certificate(certificate: bytes, find_keys: Callable[[str | None, str], Iterable[Key]]) -> bool:
    """Return whether a party has registered a certificate as the first ``x5c`` of one of its keys.

    Raises :exc:`.JOSEError` for no certificate.

    :param find_keys: returns the keys of the party for a ``kid`` or None, and an algorithm.
    """
    text = b64encode(certificate).decode()
    own = read_pem(f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n".encode())
    for name, algorithm in SIGNATURES.items():
        if own.fits(algorithm, "sig"):
            for key in find_keys(None, name):
                # "the certificate chain ... MUST match the public key", RFC 7517 section 4.7
                if key.certificate == certificate and key.thumbprint == own.thumbprint:
                    return True
    return False


_SPACES = re.compile(r"(?<!\\)([,+])\s+")


def _read_name(text: str) -> list[set[tuple[str, str]]]:
    from . import library

    return _normalize_name(library.read_distinguished_name(_SPACES.sub(r"\1", text)))


def _normalize_name(name: Iterable[Iterable[tuple[str, str]]]) -> list[set[tuple[str, str]]]:
    """Return a name in the form in which values are compared, without case and spaces, :rfc:`4517#section-4.2.15`."""
    return [{(oid, " ".join(value.casefold().split())) for oid, value in part} for part in name]


def _normalize_email(address: str) -> str:
    """Return an address with its host in lower case, :rfc:`5280#section-7.5`."""
    local, at, host = address.rpartition("@")
    return f"{local}{at}{host.lower()}"


_NORMALIZE: Mapping[str, Callable[[str], object]] = {
    "dns": str.lower,
    "uri": str,
    "ip": ip_address,
    "email": _normalize_email,
}
