"""Secrets that a process has verified lately: the slow hash of a chosen secret runs once in some seconds."""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable

from ...processes import OfProcess

LIFETIME = 30
"""Seconds for which a verified secret is remembered."""

MAX_ENTRIES = 1024
"""Verified secrets that a process remembers."""


class VerifiedSecrets:
    """Remembers which secrets matched which hashes.

    An entry is a keyed digest of the secret and of the stored hash. Its key exists only in the memory of the process.
    With another hash, after a change of the secret, the entry no longer matches. A wrong secret is never remembered.

    :param lifetime: seconds for which an entry is valid.
    :param max_entries: the number of entries that a process holds.
    """

    def __init__(self, lifetime: float = LIFETIME, max_entries: int = MAX_ENTRIES) -> None:
        self._lifetime = lifetime
        self._max_entries = max_entries
        self._entries: OfProcess[tuple[bytes, dict[bytes, float]]] = OfProcess(lambda: (os.urandom(32), {}))

    def verify(self, secret: str, stored: str, now: float, is_hash_of: Callable[[str, str], bool]) -> bool:
        """Return whether the stored hash is of this secret. ``is_hash_of`` decides if no entry is valid."""
        key, verified_at = self._entries.own
        # the digest of a fixed length separates the hash from the secret
        message = hmac.digest(key, stored.encode("utf-8", "surrogatepass"), "sha256") + secret.encode()
        entry = hmac.digest(key, message, "sha256")
        found = verified_at.get(entry)
        if found is not None and 0 <= now - found < self._lifetime:
            return True
        if not is_hash_of(secret, stored):
            return False
        # the oldest entries come first; list() is atomic, so that other threads may add entries meanwhile
        for oldest in list(verified_at)[: max(0, len(verified_at) - self._max_entries + 1)]:
            verified_at.pop(oldest, None)
        verified_at.pop(entry, None)  # so that the new entry comes last
        verified_at[entry] = now
        return True
