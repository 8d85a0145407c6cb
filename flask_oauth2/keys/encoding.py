"""Strict base64url and JSON of JOSE objects, :rfc:`7515#section-2` and :rfc:`8725`.

One octet sequence has one text, and one text has one meaning: a lenient decoder would accept several spellings of one
token.
"""

from __future__ import annotations

import json
from binascii import Error, a2b_base64, b2a_base64
from typing import Any

from ..http.json import check_limits, check_unicode, parse_object

MAX_DEPTH = 16
"""Levels of nested objects and arrays."""

_STANDARD, _URL_SAFE = bytes.maketrans(b"-_", b"+/"), bytes.maketrans(b"+/", b"-_")


class JOSEError(Exception):
    """A JWT, JWS, JWE or JWK that was rejected.

    :param reason: one sentence for the log. It contains no value of the rejected object.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def encode_base64url(octets: bytes) -> bytes:
    """Return the base64url encoding without padding."""
    return b2a_base64(octets, newline=False).rstrip(b"=").translate(_URL_SAFE)


def decode_base64url(text: bytes) -> bytes:
    """Return the octets that have exactly this encoding.

    "without any ... additional characters", :rfc:`7515#section-5.2`. Padding, characters outside the alphabet and
    trailing bits that are not zero raise :exc:`.JOSEError`.
    """
    try:
        octets = a2b_base64(text.translate(_STANDARD) + b"=" * (-len(text) % 4))
    except Error:
        octets = b""
    if encode_base64url(octets) != text:
        raise JOSEError("a part is not base64url in its one spelling (RFC 7515 section 2)")
    return octets


def encode_json(members: Any) -> bytes:
    """Return compact JSON in UTF-8. Raises :exc:`ValueError` for values without a JSON form, such as NaN."""
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def decode_json(content: bytes, what: str, most: int) -> dict[str, Any]:
    """Return the members of a JSON object in UTF-8.

    Rejects duplicate members at any level, numbers that are not finite, lone surrogates, more than :data:`MAX_DEPTH`
    levels, and more than ``most`` values in total.

    :param what: the name of the object, for the reason.
    """
    try:
        members = parse_object(content)
    except ValueError:
        raise JOSEError(f"{what} is not a JSON object in UTF-8 that has each member once") from None
    try:
        check_limits(members, MAX_DEPTH, most)
        check_unicode(members, content)
    except ValueError as error:
        raise JOSEError(f"{what} {error}") from None
    return members
