"""What a token format is: a class with two or three members and one ``register_token_format()`` call.

A reference format writes a random value, which refers to a row of the store. A self-contained format writes everything
that the token says into the value, so that no row is needed to read it.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias, runtime_checkable

from ...records import AccessToken, Client
from ...resources import Resource


class ReferenceFormat(Protocol):
    """A format whose values refer to a row of the store."""

    name: str

    def generate(self, timestamp: bytes, client: Client, resource: Resource | None) -> str:
        """Return a new value, which nobody can guess. The store sees its digest only, :func:`flask_oauth2.hash_token`.

        :param timestamp: the time of issue: 48 bits of milliseconds.
        :param client: the client that receives the token.
        :param resource: the protected resource that the token is for; None if it is for none in particular.
        """
        ...


@runtime_checkable
class SelfContainedFormat(Protocol):
    """A format whose values say everything. Revocations apply to them as well."""

    name: str

    def write(self, access: AccessToken, client: Client, resource: Resource | None) -> str:
        """Return a value that says everything that ``access`` says. ``access.key`` is new: the ``jti`` of the token."""
        ...

    def read(self, value: str) -> AccessToken | None:
        """Return what a value says, whether or not it has expired; None if this format did not write it."""
        ...


TokenFormat: TypeAlias = ReferenceFormat | SelfContainedFormat
