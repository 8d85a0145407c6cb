"""Generate tokens, codes and secrets, and compute the keys under which stores save them.

A value is ``PREFIX_`` + base64url(48-bit milliseconds ‖ 216 random bits) + a checksum of six characters. Secret
scanners recognize a leaked value, the checksum rejects a damaged value without a query, and the random bits prevent
guessing (:rfc:`6749#section-10.10`). The key of a value is the same milliseconds ‖ the SHA-256 digest of the value:
a stolen database grants no access, and inserts append to the index. A value that this module did not generate has the
key zero time ‖ digest.
"""

from __future__ import annotations

import hmac
import os
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import a2b_base64, b2a_base64
from hashlib import sha256
from zlib import crc32

_SHAPE = re.compile(rb"[a-z0-9]+_[A-Za-z0-9_-]{50}\Z")
_REST = r"\.?[A-Za-z0-9_-]{20,}(?:\.[A-Za-z0-9_-]+)*"
_DEFAULT = re.compile(rf"(o(?:at|st|rt|ac|ar|cs|dc|it|ra)_){_REST}")
"""Text with a default prefix, which is masked even if the value is damaged."""
_OTHER = re.compile(rf"(?<![a-z0-9])([a-z0-9]+_)({_REST})")
"""Text with any other prefix. Matches start at the beginning of a word to keep the search linear."""
_JWT = re.compile(r"(?<![A-Za-z0-9_.-])eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_.-]+")
"""A JSON Web Token, encrypted or not."""
_RANDOM = re.compile(r"(?=.*[0-9])(?=.*[a-z])(?=.*[A-Z]).{32}")
_CHECKSUM = 6
_START, _END = -44 - _CHECKSUM, -44 - _CHECKSUM + 8
"""The place of the timestamp in a value."""
NO_TIMESTAMP = bytes(6)
"""The first six bytes of the key of a value that this module did not generate."""


def generate(prefix: str, timestamp: bytes, octets: bytes | None = None) -> tuple[str, bytes]:
    """Generate a value with ``prefix`` at ``timestamp`` (see :func:`timestamp`). Return the value and its key.

    Pass 27 ``octets`` from :func:`derive_key` to generate the same value again; by default they are random.
    """
    value = f"{prefix}_".encode() + b2a_base64(timestamp + (octets or os.urandom(27)), newline=False).translate(
        _URL_SAFE
    )
    value += b2a_base64(crc32(value).to_bytes(4, "big"))[:_CHECKSUM].translate(_URL_SAFE)
    return value.decode(), timestamp + sha256(value).digest()


_URL_SAFE, _NOT_URL_SAFE = bytes.maketrans(b"+/", b"-_"), bytes.maketrans(b"-_", b"+/")
"""From base64 to base64url, :rfc:`4648#section-5`, and back. The functions of ``base64`` take twice as long."""


def derive_key(secret_key: bytes, purpose: str, text: str) -> bytes:
    """Derive 27 octets for :func:`generate` from the secret key. The same purpose and text give the same octets."""
    message = f"{purpose} {text}".encode("utf-8", "surrogatepass")
    return hmac.digest(secret_key, message, "sha256")[:27]


def new(prefix: str, timestamp: bytes) -> str:
    """Generate a value like :func:`generate` and return it without its key."""
    return generate(prefix, timestamp)[0]


def key(value: str) -> bytes:
    """Return the key under which stores save ``value``. Any text has a key, and a key does not reveal its value."""
    octets = value.encode("utf-8", "surrogatepass")
    timestamp = NO_TIMESTAMP
    if _SHAPE.match(octets) and octets[-_CHECKSUM:] == b2a_base64(crc32(octets[:-_CHECKSUM]).to_bytes(4, "big"))[
        :_CHECKSUM
    ].translate(_URL_SAFE):
        timestamp = a2b_base64(octets[_START:_END].translate(_NOT_URL_SAFE))
    return timestamp + sha256(octets).digest()


def hash_token(value: str) -> bytes:
    """Return the digest under which stores save ``value``. The digest does not reveal the value."""
    return key(value)


def find_key(value: str, prefix: str) -> bytes | None:
    """Return the key of ``value``, or None if it has ``prefix`` and a wrong checksum: no store can contain it."""
    found = key(value)
    return None if found.startswith(NO_TIMESTAMP) and value.startswith(f"{prefix}_") else found


def mask(text: str) -> str:
    """Return ``text`` with every value masked, safe to log. Words that only look similar stay readable."""
    return _OTHER.sub(_mask_random, _DEFAULT.sub(r"\1…", _JWT.sub("eyJ…", text)))


def _mask_random(found: re.Match[str]) -> str:
    """Mask a random value with a prefix that the application has chosen."""
    return f"{found[1]}…" if _RANDOM.match(found[2]) else found[0]


def new_id(now: float) -> bytes:
    """Generate a unique identifier that cannot be guessed: 48-bit milliseconds ‖ 80 random bits."""
    return int(now * 1000).to_bytes(6, "big") + os.urandom(10)


def new_authorization_id(now: float) -> str:
    """Generate the ID of an authorization. An ID from a later millisecond sorts after an earlier ID.

    The alphabet is that of base64url in ASCII order, so that a database can compare the times of two IDs as text.
    """
    octets = int(now * 1000).to_bytes(6, "big") + os.urandom(10)
    return b2a_base64(octets)[:22].translate(_SORTED).decode()


def last_authorization_id(now: float) -> str:
    """Return text that sorts after the ID of every authorization that begins up to ``now``, and before all others."""
    return b2a_base64(int(now * 1000).to_bytes(6, "big"), newline=False).translate(_SORTED).decode() + "~"


_SORTED = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz",
)


_USER = "user\x1f"


def user_revocation_id(user_id: str, last_id: str) -> str:
    """Return the revocation ID that publishes the revocation of a user. No other ID has a control character."""
    return f"{_USER}{last_id}\x1f{user_id}"


def read_user_revocation_id(revocation_id: str) -> tuple[str, str] | None:
    """Return the user ID and the last authorization ID of :func:`user_revocation_id`, or None for another ID."""
    if not revocation_id.startswith(_USER):
        return None
    last_id, _, user_id = revocation_id.removeprefix(_USER).partition("\x1f")
    return user_id, last_id


def timestamp(now: float) -> bytes:
    """Return ``now`` (seconds since the epoch, UTC) as the six bytes of milliseconds that begin values and keys."""
    return int(now * 1000).to_bytes(6, "big")


def second(key: bytes) -> int:
    """Return the second in which the token with this key was issued, in seconds since the epoch."""
    return int.from_bytes(key[:6], "big") // 1000


def text(key: bytes) -> str:
    """Return a key or an identifier as base64url text."""
    return urlsafe_b64encode(key).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    """Decode the key or identifier that :func:`text` encoded. Raise :exc:`ValueError` for other text."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


clock = time.time
"""The clock of the package: seconds since the epoch, UTC. Servers accept another clock for tests."""
