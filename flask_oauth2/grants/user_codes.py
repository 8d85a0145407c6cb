"""User codes, :rfc:`8628#section-6.1`: eight letters that a user reads on one screen and types on another.

A user code has low entropy, so an attacker could find it from its digest. The store therefore saves an HMAC keyed with
``SECRET_KEY``. The server also looks up HMACs with the keys in ``SECRET_KEY_FALLBACKS``, so that codes stay valid after
a key rotation.
"""

from __future__ import annotations

import hmac
import secrets
from unicodedata import normalize

ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
"""Letters without vowels, so that codes form no words, and without digits, which look like letters."""

_LENGTH = 8
_CONFUSABLE = str.maketrans("12568IU", "LZSGBLV")
"""Characters that users confuse with exactly one letter of the alphabet."""


def new() -> str:
    """Generate a user code with about 34.5 bits of entropy, :rfc:`8628#section-5.1`."""
    return "".join(secrets.choice(ALPHABET) for _ in range(_LENGTH))


def show(code: str) -> str:
    """Return the code in two groups, which are easier to read."""
    return f"{code[: _LENGTH // 2]}-{code[_LENGTH // 2 :]}"


def read(text: str) -> str | None:
    """Return the user code in a text that a user typed, or None. Ignore case, spaces and punctuation."""
    letters = normalize("NFKC", text[:100]).upper().translate(_CONFUSABLE)
    code = "".join(letter for letter in letters if letter in ALPHABET)
    return code if len(code) == _LENGTH else None


def key(code: str, secret: bytes) -> bytes:
    """Return the HMAC of a user code, keyed with one of the application's secret keys."""
    return hmac.digest(secret, f"flask_oauth2.user_code {code}".encode(), "sha256")
