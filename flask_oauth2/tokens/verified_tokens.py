"""Access tokens whose signatures were verified, so that a signature is verified once."""

from __future__ import annotations

from hashlib import sha256
from threading import Lock

from ..processes import OfProcess
from ..records import AccessToken

MAX_TOKENS = 10_000
"""The maximum number of tokens. The oldest entry is removed first."""


class VerifiedTokens:
    """Tokens by the SHA-256 digest of their value. They may have expired or be revoked since.

    :param most: the maximum number of tokens.
    """

    def __init__(self, most: int = MAX_TOKENS) -> None:
        self._most = most
        self._entries: tuple[object, dict[bytes, AccessToken]] = None, {}
        self._lock = OfProcess(Lock)

    def get(self, value: str, keys: object) -> AccessToken | None:
        """Return the token that a value contains, or None if it was not verified with the same keys.

        :param keys: the key set that verifies tokens. Tokens that another set has verified are forgotten.
        """
        known, tokens = self._entries
        return tokens.get(_digest(value)) if known is keys else None

    def put(self, value: str, access: AccessToken, keys: object) -> None:
        """Remember a token that a key set has verified."""
        with self._lock.own:
            if self._entries[0] is not keys:
                self._entries = keys, {}
            tokens = self._entries[1]
            if len(tokens) >= self._most:
                del tokens[next(iter(tokens))]
            tokens[_digest(value)] = access


def _digest(value: str) -> bytes:
    return sha256(value.encode("utf-8", "surrogatepass")).digest()
