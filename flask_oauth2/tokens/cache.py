"""What guards have read of tokens in the last seconds, ``OAUTH2_TOKEN_CACHE``: bounded, and never beyond a revocation
that this process knows of.
"""

from __future__ import annotations

from hashlib import sha256
from threading import Lock

from .. import values
from ..records import AccessToken

MOST = 10_000
"""How many tokens are remembered; the one that was read first makes room."""


class TokenCache:
    """Access tokens by the digest of their values.

    :param seconds: how long one is remembered.
    """

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._tokens: dict[bytes, tuple[float, AccessToken]] = {}
        self._ended: dict[str, float] = {}
        self._lock = Lock()

    def get(self, value: str, now: float) -> AccessToken | None:
        """What was read of a value not long before ``now``; None where that is not known, or has ended since."""
        until, access = self._tokens.get(_digest(value), _NOTHING)
        if access is None or until <= now:
            return None
        return None if self._ended and self._has_ended(access) else access

    def put(self, value: str, access: AccessToken, now: float) -> None:
        """Remember what was read, and asked for at ``now``: a mark that was filed meanwhile holds against it."""
        key = _digest(value)
        with self._lock:
            if len(self._tokens) >= MOST and key not in self._tokens:
                del self._tokens[next(iter(self._tokens))]
            self._tokens[key] = now + self._seconds, access

    def end(self, mark: str, now: float) -> None:
        """What rests on the mark has ended at ``now``. It is kept as long as what was read before it."""
        ended = self._ended
        with self._lock:
            while ended and ended[first := next(iter(ended))] <= now:
                del ended[first]
            ended[mark] = now + self._seconds

    def clear(self) -> None:
        """Forget all: marks may have been filed elsewhere that nobody told of."""
        with self._lock:
            self._tokens = {}

    def _has_ended(self, access: AccessToken) -> bool:
        marks = access.authorization_id, access.client_id, access.consent_id, values.text(access.key)
        return not self._ended.keys().isdisjoint(marks)


_NOTHING: tuple[float, None] = 0.0, None


def _digest(value: str) -> bytes:
    return sha256(value.encode("utf-8", "surrogatepass")).digest()
