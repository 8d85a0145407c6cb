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

        It consists of the characters of bearer tokens, :rfc:`6750#section-2.1`. Any other value raises
        :exc:`~flask_oauth2.errors.ConfigurationError`.

        :param timestamp: the time of issue: 48 bits, in milliseconds since the epoch.
        :param client: the client that receives the token.
        :param resource: the protected resource that the token is for, or None.
        """
        ...


@runtime_checkable
class SelfContainedFormat(Protocol):
    """A format whose values contain all facts about the token. Revocations apply to its tokens too.

    A format may have ``explain(value)``, which returns why it does not accept a value, for the log, or None. In an
    application with several issuers it needs ``for_issuer(issuer_id)``, which returns a format that accepts only the
    tokens of one issuer, because it signs them with another key, for example.
    """

    name: str

    def write(self, access: AccessToken, client: Client, resource: Resource | None) -> str:
        """Return a value that contains all facts of ``access``. ``access.token_hash`` is new: use it as the ``jti``.

        The value consists of the same characters as that of a reference format.
        """
        ...

    def read(self, value: str) -> AccessToken | None:
        """Return the token that a value contains, even if it has expired. Return None for values of other formats.

        :exc:`ValueError` counts as None, and is logged. Any value that is no token raises
        :exc:`~flask_oauth2.errors.ConfigurationError`.
        """
        ...


TokenFormat: TypeAlias = ReferenceFormat | SelfContainedFormat
