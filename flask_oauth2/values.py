"""New values (tokens, codes, secrets), and the keys under which they are filed.

A value is ``PREFIX_`` + base64url(48-bit milliseconds ‖ 216 random bits) + a checksum of six characters: a scanner
finds it where it leaked, a damaged one is refused without a query, and nobody guesses one (:rfc:`6749#section-10.10`).
Its key is the same milliseconds ‖ the SHA-256 digest of the value: what is stored opens nothing, and inserts append
to the index. A value that was not minted here has the key zero time ‖ digest.
"""

from __future__ import annotations

import os
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from zlib import crc32

_SHAPE = re.compile(r"[a-z0-9_]+_[A-Za-z0-9_-]{50}\Z")
_CHECKSUM_LENGTH = 6
_BODY_LENGTH = 44 + _CHECKSUM_LENGTH
_NO_TIME = bytes(6)


def new(prefix: str, stamp: bytes) -> str:
    """Mint a value of the kind ``prefix`` at the time ``stamp`` (see :func:`stamp`)."""
    text = f"{prefix}_{urlsafe_b64encode(stamp + os.urandom(27)).decode()}"
    return text + _checksum(text)


def new_id(now: float) -> bytes:
    """An identifier that nobody guesses or draws twice: 48-bit milliseconds ‖ 80 random bits."""
    return stamp(now) + os.urandom(10)


def stamp(now: float) -> bytes:
    """Seconds since the epoch, UTC, as the six bytes of milliseconds at the front of values and keys."""
    return int(now * 1000).to_bytes(6, "big")


def key(value: str) -> bytes:
    """The key under which ``value`` is filed: any text has one, and no key leads back to its value."""
    time_part = urlsafe_b64decode(value[-_BODY_LENGTH : 8 - _BODY_LENGTH]) if genuine(value) else _NO_TIME
    return time_part + sha256(value.encode("utf-8", "surrogatepass")).digest()


def genuine(value: str) -> bool:
    """Whether ``value`` has the shape of ours and its checksum holds."""
    return _SHAPE.match(value) is not None and _checksum(value[:-_CHECKSUM_LENGTH]) == value[-_CHECKSUM_LENGTH:]


def damaged(value: str, prefix: str) -> bool:
    """Whether ``value`` bears our ``prefix`` and yet was never minted here: no store needs to be asked."""
    return value.startswith(f"{prefix}_") and not genuine(value)


def text(key: bytes) -> str:
    """A key or an identifier as base64url text."""
    return urlsafe_b64encode(key).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    """The key or identifier that :func:`text` wrote. Raises :exc:`ValueError` for other text."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _checksum(text: str) -> str:
    return urlsafe_b64encode(crc32(text.encode()).to_bytes(4, "big"))[:_CHECKSUM_LENGTH].decode()


clock = time.time
"""Seconds since the epoch, UTC: the one clock, replaced where time is passed in."""
