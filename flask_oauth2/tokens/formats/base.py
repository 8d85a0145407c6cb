"""Token formats: classes with two or three members that ``register_token_format()`` registers.

A reference format generates a random value that refers to a row in the store. A self-contained format encodes all facts
about the token in its value, so that reading it requires no row.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias, runtime_checkable

from ...records import AccessToken, Client
from ...resources import Resource


class ReferenceFormat(Protocol):
    """A format whose values refer to a row in the store."""

    name: str

    def generate(self, timestamp: bytes, client: Client, resource: Resource | None) -> str:
        """Generate a random value. The store saves only its digest, :func:`flask_oauth2.hash_token`.

        :param timestamp: the time of issue: 48 bits, in milliseconds since the epoch.
        :param client: the client that receives the token.
        :param resource: the protected resource that the token is for, or None.
        """
        ...


@runtime_checkable
class SelfContainedFormat(Protocol):
    """A format whose values contain all facts about the token. Revocations apply to its tokens too.

    A format may have ``explain(value)``, which returns why it does not accept a value, for the log, or None.
    """

    name: str

    def write(self, access: AccessToken, client: Client, resource: Resource | None) -> str:
        """Return a value that contains all facts of ``access``. ``access.token_hash`` is new: use it as the ``jti``."""
        ...

    def read(self, value: str) -> AccessToken | None:
        """Return the token that a value contains, even if it has expired. Return None for values of other formats."""
        ...


TokenFormat: TypeAlias = ReferenceFormat | SelfContainedFormat
