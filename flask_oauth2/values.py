"""New values (tokens, codes, secrets), and the keys under which they are filed.

A value is ``PREFIX_`` + base64url(48-bit milliseconds ‖ 216 random bits) + a checksum of six characters: a scanner
finds it where it leaked, a damaged one is refused without a query, and nobody guesses one (:rfc:`6749#section-10.10`).
Its key is the same milliseconds ‖ the SHA-256 digest of the value: what is stored opens nothing, and inserts append
to the index. A value that was not minted here has the key zero time ‖ digest.
"""

from __future__ import annotations

import hmac
import os
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from zlib import crc32

_SHAPE = re.compile(rb"[a-z0-9]+_[A-Za-z0-9_-]{50}\Z")
_REST = r"\.?[A-Za-z0-9_-]{20,}(?:\.[A-Za-z0-9_-]+)*"
_OURS = re.compile(rf"(o(?:at|st|rt|ac|ar|cs|dc|it|ra)_){_REST}")
"""What begins with a default prefix is masked, however damaged it is."""
_OTHERS = re.compile(rf"(?<![a-z0-9])([a-z0-9]+_)({_REST})")
"""Read from the start of a word only, so that long words are not read again and again."""
_RANDOM = re.compile(r"(?=.*[0-9])(?=.*[a-z])(?=.*[A-Z]).{32}")
_BODY, _CHECKSUM = 44, 6
NO_STAMP = bytes(6)
"""The front of the key of a value that was not minted here."""


def mint(prefix: str, stamp: bytes, drawn: bytes | None = None) -> tuple[str, bytes]:
    """A new value of the kind ``prefix`` at the time ``stamp`` (see :func:`stamp`), and its key.

    ``drawn`` is what :func:`derive` gave, in place of 27 random octets.
    """
    octets = f"{prefix}_".encode() + urlsafe_b64encode(stamp + (drawn or os.urandom(27)))
    octets += urlsafe_b64encode(crc32(octets).to_bytes(4, "big"))[:_CHECKSUM]
    return octets.decode(), stamp + sha256(octets).digest()


def derive(secret_key: bytes, purpose: str, text: str) -> bytes:
    """27 octets for :func:`mint` that only who has the secret key can find, always the same for the same text."""
    message = f"{purpose} {text}".encode("utf-8", "surrogatepass")
    return hmac.digest(secret_key, message, "sha256")[:27]


def new(prefix: str, stamp: bytes) -> str:
    """A new value, where its key is not needed yet."""
    return mint(prefix, stamp)[0]


def key(value: str) -> bytes:
    """The key under which ``value`` is filed: any text has one, and no key leads back to its value."""
    octets = value.encode("utf-8", "surrogatepass")
    stamp = NO_STAMP
    if _SHAPE.match(octets) and octets.endswith(
        urlsafe_b64encode(crc32(octets[:-_CHECKSUM]).to_bytes(4, "big"))[:_CHECKSUM]
    ):
        stamp = urlsafe_b64decode(octets[-_BODY - _CHECKSUM :][:8])
    return stamp + sha256(octets).digest()


def hash_token(value: str) -> bytes:
    """Return the digest under which a store saves a value: no digest leads back to its value."""
    return key(value)


def find_key(value: str, prefix: str) -> bytes | None:
    """The same, but None for a value that bears our ``prefix`` and was never minted here: no store need be asked."""
    found = key(value)
    return None if found.startswith(NO_STAMP) and value.startswith(f"{prefix}_") else found


def mask(text: str) -> str:
    """Return a text without the values in it, fit for a log. Words that only look similar stay readable."""
    return _OTHERS.sub(_mask_random, _OURS.sub(r"\1…", text))


def _mask_random(found: re.Match[str]) -> str:
    """Mask what was drawn at random, with a prefix that the application has chosen."""
    return f"{found[1]}…" if _RANDOM.match(found[2]) else found[0]


def new_id(now: float) -> bytes:
    """An identifier that nobody guesses or draws twice: 48-bit milliseconds ‖ 80 random bits."""
    return int(now * 1000).to_bytes(6, "big") + os.urandom(10)


def new_family(now: float) -> str:
    """The same as text: the id of an authorization. Of two ids, the one of the later millisecond sorts after the other.

    The alphabet is that of base64url in the order of ASCII, so that a database compares the times of two ids as text.
    """
    octets = int(now * 1000).to_bytes(6, "big") + os.urandom(10)
    return urlsafe_b64encode(octets)[:22].translate(_SORTED).decode()


def last_family(now: float) -> str:
    """Return text that sorts after every id of an authorization that begins up to ``now``, and before all others."""
    return urlsafe_b64encode(int(now * 1000).to_bytes(6, "big")).translate(_SORTED).decode() + "~"


_SORTED = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
    b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz",
)


_USER = "user\x1f"


def user_mark(user_id: str, last_id: str) -> str:
    """Return the text that announces the revocation of a user. No other mark has a control character."""
    return f"{_USER}{last_id}\x1f{user_id}"


def read_user_mark(mark: str) -> tuple[str, str] | None:
    """Return the user and the last id of :func:`user_mark`; None for another mark."""
    if not mark.startswith(_USER):
        return None
    last_id, _, user_id = mark.removeprefix(_USER).partition("\x1f")
    return user_id, last_id


def stamp(now: float) -> bytes:
    """Seconds since the epoch, UTC, as the six bytes of milliseconds at the front of values and keys."""
    return int(now * 1000).to_bytes(6, "big")


def second(key: bytes) -> int:
    """The second of the stamp at the front of a key: that in which its token was issued."""
    return int.from_bytes(key[:6], "big") // 1000


def text(key: bytes) -> str:
    """A key or an identifier as base64url text."""
    return urlsafe_b64encode(key).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    """The key or identifier that :func:`text` wrote. Raises :exc:`ValueError` for other text."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


clock = time.time
"""Seconds since the epoch, UTC: the one clock, replaced where time is passed in."""
