"""Nonces that the server supplies and clients repeat in proofs, such as those of :rfc:`9449#section-8`.

A nonce is an HMAC of a time slot. Each worker computes it, so the store does not save nonces.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from . import values

SLOT = 120
"""Seconds after which the nonce changes."""


class Nonces:
    """The nonces of a server for one purpose.

    :param secret_keys: the secret keys of the application, the newest last. Nonces of older keys stay valid.
    :param purpose: nonces of one purpose are of no use for another.
    """

    def __init__(self, secret_keys: Sequence[bytes], purpose: str) -> None:
        self._secret_keys = secret_keys
        self._purpose = purpose

    def current(self, now: float) -> str:
        """Return the nonce for new proofs."""
        return self._make(self._secret_keys[-1], int(now // SLOT))

    def is_recent(self, nonce: str, now: float) -> bool:
        """Return whether a nonce is the current one, or that of the slot before or after.

        The clock of the worker that supplied it may be ahead.
        """
        slot = int(now // SLOT)
        sent = nonce.encode("utf-8", "surrogatepass")
        is_known = False
        for key in self._secret_keys:
            for one in (slot, slot - 1, slot + 1):
                is_known |= hmac.compare_digest(self._make(key, one).encode(), sent)
        return is_known

    def _make(self, secret_key: bytes, slot: int) -> str:
        return values.text(values.derive_key(secret_key, self._purpose, str(slot)))
