"""User codes, :rfc:`8628#section-6.1`: eight letters that a person reads from one screen and types on another.

There are few enough of them to be guessed, so a digest would hide nothing from whoever has the database: their keys are
HMACs under ``SECRET_KEY``. A key that is older than the newest one is still looked for, so that live codes survive a
rotation.
"""

from __future__ import annotations

import hmac
import secrets
from unicodedata import normalize

ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
"""No vowels, so that no words come of it; no digits, which look like letters."""

_LENGTH = 8
_CONFUSABLE = str.maketrans("12568IU", "LZSGBLV")
"""What people may take a letter of the alphabet for, where that is one letter only."""


def new() -> str:
    """A new code: about 34.5 bits, :rfc:`8628#section-5.1`."""
    return "".join(secrets.choice(ALPHABET) for _ in range(_LENGTH))


def show(code: str) -> str:
    """The code in two groups, which are easier to read."""
    return f"{code[: _LENGTH // 2]}-{code[_LENGTH // 2 :]}"


def read(text: str) -> str | None:
    """The code that a person typed, whatever is between its letters; None where it is none."""
    letters = normalize("NFKC", text[:100]).upper().translate(_CONFUSABLE)
    code = "".join(letter for letter in letters if letter in ALPHABET)
    return code if len(code) == _LENGTH else None


def key(code: str, secret: bytes) -> bytes:
    """The key of a code under one of the application's secret keys."""
    return hmac.digest(secret, f"flask_oauth2.user_code {code}".encode(), "sha256")
