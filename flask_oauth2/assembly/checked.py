"""Registered parts with checks of the values that their methods return.

A wrong value raises :exc:`ConfigurationError`, which names the method and what it must return. So it never becomes a
token, a client or a confirmation. Built-in parts have no such checks.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from ..clients.authentication.base import Credentials
from ..errors import ConfigurationError, InvalidToken
from ..grants.base import Approval
from ..http.messages import Params, Request
from ..records import AccessToken, Claims, Client, Grant, Token
from ..resources import Resource
from ..server import AuthorizationServer
from ..tokens.bindings.base import ProofContext
from ..tokens.formats.base import SelfContainedFormat, TokenFormat
from ..tokens.types import is_b64token
from .parts import check_part

log = logging.getLogger("flask_oauth2")


class _Checked:
    """A part whose other attributes are those of the registered part."""

    def __init__(self, part: Any) -> None:
        self._part = part

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part, name)


def _wrong(part: object, method: str, expected: str, received: str) -> ConfigurationError:
    return ConfigurationError(f"{type(part).__name__}.{method}() must return {expected}, not {received}")


class CheckedAuthMethod(_Checked):
    """A client authentication method."""

    def present(self, request: Request, form: Params) -> Credentials | None:
        """Return the credentials of a request, or None."""
        found: object = self._part.present(request, form)
        if found is None:
            return None
        if not isinstance(found, Credentials):
            raise _wrong(self._part, "present", "Credentials or None", type(found).__name__)
        if not isinstance(found.client_id, str):
            raise _wrong(self._part, "present", "Credentials with a client_id", type(found.client_id).__name__)
        return found

    def verify(self, server: AuthorizationServer, client: Client | None, credentials: Credentials, now: float) -> None:
        """Raise :exc:`InvalidClient` for wrong credentials."""
        verified: object = self._part.verify(server, client, credentials, now)
        if verified is not None:  # False, or a coroutine: the method may mean that the client is rejected
            raise _wrong(self._part, "verify", "None", f"{type(verified).__name__}: raise InvalidClient to reject")


class CheckedBinding(_Checked):
    """A binding."""

    def prove(self, request: Request, context: ProofContext) -> Claims | None:
        """Return the confirmation for new tokens, or None."""
        proved: object = self._part.prove(request, context)
        if proved is None:
            return None
        if not isinstance(proved, Mapping):
            raise _wrong(self._part, "prove", "a mapping or None", type(proved).__name__)
        if unknown := proved.keys() - self._part.members:  # nothing would verify them
            raise _wrong(self._part, "prove", "names of its members only", ", ".join(sorted(map(str, unknown))))
        try:
            json.dumps(dict(proved), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise _wrong(self._part, "prove", "JSON values", f"others: {error}") from None
        return proved

    def verify(self, access: AccessToken, request: Request, context: ProofContext) -> None:
        """Raise :exc:`InvalidToken` for a wrong proof."""
        verified: object = self._part.verify(access, request, context)
        if verified is not None:
            raise _wrong(self._part, "verify", "None", f"{type(verified).__name__}: raise InvalidToken to reject")


class CheckedReferenceFormat(_Checked):
    """A token format whose values refer to a row."""

    name: str

    def generate(self, timestamp: bytes, client: Client, resource: Resource | None) -> str:
        """Return a new value."""
        return _check_value(self._part, "generate", self._part.generate(timestamp, client, resource))


class CheckedSelfContainedFormat(_Checked):
    """A token format whose values contain the facts of a token."""

    name: str

    def write(self, access: AccessToken, client: Client, resource: Resource | None) -> str:
        """Return the value of a token."""
        return _check_value(self._part, "write", self._part.write(access, client, resource))

    def read(self, value: str) -> AccessToken | None:
        """Return the token of a value, or None. A value that the format cannot parse is of another format."""
        try:
            access: object = self._part.read(value)
        except ValueError as error:
            log.warning(
                "%s.read() raised %s for a token, which counts as a value of another format: return None for it",
                type(self._part).__name__,
                type(error).__name__,
            )
            return None
        if access is not None and not isinstance(access, AccessToken):
            raise _wrong(self._part, "read", "an AccessToken or None", type(access).__name__)
        return access


def _check_value(part: object, method: str, value: object) -> str:
    """Return the value of an access token. The error does not contain it."""
    if not isinstance(value, str):
        raise _wrong(part, method, "text", type(value).__name__)
    if not is_b64token(value):
        received = "other characters" if value else "an empty text"
        raise _wrong(part, method, "letters, digits and - . _ ~ + / (RFC 6750 section 2.1)", received)
    return value


class CheckedTokenType(_Checked):
    """A token type."""

    name: str

    def read(self, credentials: str) -> str:
        """Return the value of the token. Credentials that the type cannot parse are malformed."""
        try:
            value: object = self._part.read(credentials)
        except ValueError as error:
            raise InvalidToken(
                "the token is malformed",
                received=f"{type(error).__name__} of {type(self._part).__name__}.read()",
                hint="let the client send the value of access_token as the token type defines it",
            ) from None
        if not isinstance(value, str):
            raise _wrong(self._part, "read", "text", type(value).__name__)
        return value


class CheckedResponseType(_Checked):
    """A response type."""

    def respond(
        self, server: AuthorizationServer, approval: Approval, answer: Mapping[str, str]
    ) -> tuple[Mapping[str, str], tuple[Grant | Token, ...]]:
        """Return the parameters of the response, and the rows to save."""
        found: object = self._part.respond(server, approval, answer)
        if not (isinstance(found, tuple) and len(found) == 2):
            raise _wrong(self._part, "respond", "two values, parameters and rows", type(found).__name__)
        parameters, rows = found
        if not (isinstance(parameters, Mapping) and all(isinstance(value, str) for value in parameters.values())):
            raise _wrong(self._part, "respond", "a mapping of text as parameters", repr(type(parameters).__name__))
        if not (isinstance(rows, tuple | list) and all(isinstance(row, Grant | Token) for row in rows)):
            raise _wrong(self._part, "respond", "a tuple of Grant and Token as rows", repr(type(rows).__name__))
        return parameters, tuple(rows)


def check_format(part: TokenFormat, issuer_id: str) -> TokenFormat:
    """Return a registered token format with checks.

    Raise :exc:`ConfigurationError` for a self-contained format that does not separate issuers. A token of one issuer
    would be valid at another.

    :param issuer_id: the ID of one of several issuers, or an empty string.
    """
    if not isinstance(part, SelfContainedFormat):
        return CheckedReferenceFormat(part)
    if not issuer_id:
        return CheckedSelfContainedFormat(part)
    for_issuer = getattr(part, "for_issuer", None)
    if not callable(for_issuer):
        raise ConfigurationError(
            f"the token format {part.name} does not separate the issuers of this application: give "
            f"{type(part).__name__} a method for_issuer(issuer_id), which returns a format whose read() accepts only "
            "tokens of this issuer"
        )
    own = for_issuer(issuer_id)
    check_part(own, SelfContainedFormat)
    return CheckedSelfContainedFormat(own)
