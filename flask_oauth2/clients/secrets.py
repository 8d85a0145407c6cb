"""Client secrets: generated, checked when a person chooses one, and stored.

A generated secret has full entropy and is stored as its SHA-256 digest, and so is one that an application stores as
plain text. A secret that a person chose is stored with Werkzeug's password hash.
"""

from __future__ import annotations

import hmac
import re
from functools import cache
from hashlib import sha256

from werkzeug.security import check_password_hash, generate_password_hash

from .. import values
from ..server import AuthorizationServer
from .validators import InvalidMetadata, is_vschar

SHORTEST_SECRET = 16
"""The minimum length of a secret that a person chose, :rfc:`6749#section-10.10`."""

LONGEST_SECRET = 255
"""The maximum length of a secret that a person chose. A longer secret would only slow down its hash."""

LONG_SECRET = 32
"""The minimum length of a random secret. Such a secret cannot be guessed and needs no slow hash."""

_DIGEST = "sha256$"

STORED_PREFIXES = (
    *(_DIGEST, "pbkdf2:", "scrypt:", "pbkdf2_sha256$"),
    *("argon2", "$argon2", "$2a$", "$2b$", "$2y$", "bcrypt$"),
)
"""The first characters of hashes of secrets, of this library and of others."""

_WERKZEUG_HASH = re.compile(r"(?:scrypt|pbkdf2)(?::[a-z0-9]+)*\$[^$]+\$[0-9a-f]+\Z")
_OTHER_HASH = re.compile(r"\$[a-z0-9-]+\$|\{[A-Z0-9-]+\}|(?:md5|sha[0-9]+|bcrypt|argon2|pbkdf2|scrypt)[a-z0-9_:]*\$")


def generate_secret(server: AuthorizationServer, now: float) -> tuple[str, str]:
    """Return a new secret of full entropy, :rfc:`6749#section-10.10`, and its hash, which is stored."""
    secret = values.new(server.settings.token_prefixes["client_secret"], values.timestamp(now))
    return secret, hash_secret(secret)


def check_secret(secret: str) -> None:
    """Raise :exc:`.InvalidMetadata` unless a person may choose this secret.

    It must be VSCHAR, :rfc:`6749#appendix-A.2`, and hard to guess, :rfc:`6749#section-10.10`.
    """
    if not SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET:
        raise InvalidMetadata(
            "client_secret",
            f"has {len(secret)} characters. Choose {SHORTEST_SECRET} to {LONGEST_SECRET}, or let one be generated",
        )
    if not is_vschar(secret):
        raise InvalidMetadata("client_secret", "must be printable ASCII characters only")
    if "+" in secret or "%" in secret:
        # many clients omit the form encoding of section 2.3.1 and would send another secret
        raise InvalidMetadata("client_secret", "must not contain + or %, which clients encode differently with Basic")


def hash_secret(secret: str) -> str:
    """Return what is stored of a secret: the digest of a generated one, a slow hash of any other.

    Raises :exc:`ValueError` for a secret that is not printable ASCII: no client can authenticate with it.
    """
    if not is_vschar(secret):
        raise ValueError("a client secret must be printable ASCII characters only (RFC 6749 appendix A.2)")
    return digest_secret(secret) if is_generated(secret) else generate_password_hash(secret)


def is_secret(secret: str, stored: str) -> bool:
    """Return whether the hash is of this secret."""
    return bool(is_vschar(secret)) and (is_digest_of(secret, stored) or is_slow_hash_of(secret, stored))


def is_generated(secret: str) -> bool:
    """Return whether a secret has the shape of a generated one."""
    return not values.key(secret).startswith(values.NO_TIMESTAMP)


def digest_secret(secret: str) -> str:
    """Return the digest of a secret as it is stored.

    It protects a long secret as well as a slow hash does. A short one that an application stores as plain text is as
    safe as it was there.
    """
    return _DIGEST + sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def is_digest_of(secret: str, stored: str) -> bool:
    """Return whether the stored text is the digest of this secret."""
    return hmac.compare_digest(digest_secret(secret).encode(), stored.encode("utf-8", "surrogatepass"))


def is_slow_hash_of(secret: str, stored: str) -> bool:
    """Return whether the stored text is a slow hash of this secret. It takes as long if there is no such hash."""
    slow = stored if "$" in stored and not stored.startswith(_DIGEST) else _unmatched_hash()
    try:
        return check_password_hash(slow, secret) and slow is stored
    except ValueError:  # a hash of another kind
        return False


def import_hash(stored: str) -> str:
    """Return what is stored of a secret that another library stored: a hash, or plain text.

    Raises :exc:`ValueError` for a hash of another kind than Werkzeug's.
    """
    if _WERKZEUG_HASH.match(stored):
        return stored
    if _OTHER_HASH.match(stored):
        raise ValueError("is a hash of a kind that cannot be checked here: give the client a new secret")
    if not is_vschar(stored):
        raise ValueError("holds characters that are not printable ASCII: give the client a new secret")
    return digest_secret(stored) if len(stored) >= LONG_SECRET else generate_password_hash(stored)


@cache
def _unmatched_hash() -> str:
    return generate_password_hash(values.text(values.new_id(0)))
