"""Opaque access tokens: random values that refer to a row in the store."""

from __future__ import annotations

from ... import values
from ...records import Client
from ...resources import Resource


class Opaque:
    """The default format."""

    name = "opaque"

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def generate(self, timestamp: bytes, client: Client, resource: Resource | None) -> str:
        """Return a value that begins with the time of issue, so that rows append to the index."""
        return values.generate(self._prefix, timestamp)[0]
