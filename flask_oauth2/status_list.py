"""Token status lists, draft-ietf-oauth-status-list: which of many tokens are revoked, one bit each.

A number of a token names a list and an index: ``number == list * SIZE + index``.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from random import SystemRandom
from typing import Any

from .processes import OfProcess
from .stores.base import StatusStore

SIZE = 1 << 20
"""The number of tokens in a list. 1 % of revoked tokens are 14 KB, compressed."""

BLOCK = 256
"""The number of indices that a process reserves at once."""

TYPE = "statuslist+jwt"
"""The ``typ`` of the signed list, section 5.1."""

MAX_BYTES = 1 << 24
"""The size of the largest list that :func:`read` accepts, decompressed."""


class StatusNumbers:
    """Numbers for new tokens. Two tokens never have the same one, section 13.3.

    Consecutive tokens have no consecutive indices, so that an index does not say when the token was issued, section
    12.4: each process takes the numbers of a block in random order.
    """

    def __init__(self, store: StatusStore) -> None:
        self.store = store
        self._left: OfProcess[list[int]] = OfProcess(list)

    def take(self) -> int:
        """Return a number."""
        left = self._left.own
        while True:
            try:
                return left.pop()  # atomic: threads share a block
            except IndexError:
                first = self.store.reserve_statuses(BLOCK)
                block = [_scatter(number) for number in range(first, first + BLOCK)]
                SystemRandom().shuffle(block)
                left.extend(block)


def _scatter(number: int) -> int:
    """Return a number of the same list, so that the blocks of a list are spread over it."""
    first = number - number % SIZE
    return first + (number % SIZE) * 603_979 % SIZE  # an odd factor: each index occurs once


def write(revoked: Iterable[int]) -> str:
    """Return the list whose bits are set at the indices of revoked tokens, section 4.2."""
    bits = bytearray(SIZE // 8)
    for index in revoked:
        bits[index >> 3] |= 1 << (index & 7)  # "index 0 is the least significant bit of byte 0", section 4.1
    return urlsafe_b64encode(zlib.compress(bytes(bits), 9)).rstrip(b"=").decode()


class StatusList:
    """A list of another party.

    Raises :exc:`ValueError` for a list that is malformed or larger than :data:`MAX_BYTES`.
    """

    def __init__(self, members: Any) -> None:
        if not isinstance(members, Mapping):
            raise ValueError("status_list is not an object")
        bits, text = members.get("bits"), members.get("lst")
        if isinstance(bits, bool) or bits not in (1, 2, 4, 8) or not isinstance(text, str):
            raise ValueError("status_list has no bits or no lst")
        try:
            compressed = b64decode(text + "=" * (-len(text) % 4), "-_", validate=True)
            decompress = zlib.decompressobj()
            self._values = decompress.decompress(compressed, MAX_BYTES)
        except (ValueError, zlib.error) as error:
            raise ValueError("lst is not base64url of a ZLIB stream") from error
        if decompress.unconsumed_tail or not decompress.eof or decompress.unused_data:
            raise ValueError("lst is incomplete or too large")
        self._bits: int = bits

    def find(self, index: int) -> int:
        """Return the status of a token: 0 if it is valid. Raise :exc:`ValueError` for an index that is not in it."""
        position = index * self._bits
        if not 0 <= position < 8 * len(self._values):
            raise ValueError("the index is not in the list")
        return self._values[position >> 3] >> (position & 7) & ((1 << self._bits) - 1)
