"""HTTP requests and responses, independent of the framework.

Parameters follow :rfc:`6749#section-3.1`: empty parameters count as omitted, unknown ones are ignored, and none may be
repeated except ``resource``, :rfc:`8707#section-2`.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping, Set
from dataclasses import field
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, quote, unquote, unquote_plus

from ..errors import InvalidRequest
from ..record import record
from . import json

MOST_PARAMETERS = 200
"""The maximum number of parameters of a request."""


REPEATABLE = frozenset({"resource"})
"""Parameters that may be repeated."""


class Params:
    """The parameters of a query or a form body.

    The constructor raises :exc:`InvalidRequest` if there are too many parameters, or if one is not UTF-8
    (:rfc:`6749#appendix-B`) or contains a NUL character. The methods raise it for a repeated parameter.
    """

    __slots__ = ("_repeated", "values")

    def __init__(self, raw: bytes = b"", *, once: bool = False) -> None:
        """Decode ``raw``. With ``once``, raise :exc:`InvalidRequest` if any parameter is repeated."""
        values: dict[str, str] = {}
        repeated: list[tuple[str, str]] = []
        try:
            pairs = raw.decode("utf-8").split("&")
            if len(pairs) > MOST_PARAMETERS:
                raise InvalidRequest("too many parameters", expected=f"at most {MOST_PARAMETERS}", received=len(pairs))
            for pair in pairs:
                name, _, value = pair.partition("=")
                if "%" in value or "+" in value:
                    value = unquote_plus(value, errors="strict")
                if "%" in name or "+" in name:
                    name = unquote_plus(name, errors="strict")
                if not value:  # "Parameters sent without a value MUST be treated as if they were omitted", 3.1
                    continue
                if "\0" in value:
                    raise InvalidRequest("a parameter contains a NUL character", rule="rfc6749 A", received=name)
                if name in values:
                    repeated.append((name, value))
                else:
                    values[name] = value
        except UnicodeDecodeError:
            raise InvalidRequest("the parameters are not UTF-8", rule="rfc6749 B") from None
        self.values = values
        """The first value of each non-empty parameter by name."""
        self._repeated = repeated
        if once and repeated:
            self.refuse_repeated()

    def get(self, name: str) -> str | None:
        """Return the value of a parameter, or None if it is omitted or empty."""
        if self._repeated:
            self._refuse({name})
        return self.values.get(name)

    def require(self, name: str) -> str:
        """Return the value of a required parameter. Raise :exc:`InvalidRequest` if it is omitted or empty."""
        if self._repeated:
            self._refuse({name})
        value = self.values.get(name)
        if value is None:
            raise InvalidRequest(f"{name} is missing", expected=f"the parameter {name}", received=list(self.values))
        return value

    def once(self, name: str) -> str | None:
        """Return the value of a parameter, or None if it is omitted or repeated."""
        return None if name in dict(self._repeated) else self.values.get(name)

    def every(self, name: str) -> list[str]:
        """Return all values of a parameter that may be repeated."""
        first = self.values.get(name)
        if first is None:
            return []
        return [first, *(value for repeated, value in self._repeated if repeated == name)]

    def refuse_repeated(self) -> None:
        """Raise :exc:`InvalidRequest` if a parameter is repeated that is not in :data:`REPEATABLE`."""
        if self._repeated:
            self._refuse(self.values.keys() - REPEATABLE)

    def pairs(self) -> list[tuple[str, str]]:
        """Return all names and values, including repeated ones."""
        return [*self.values.items(), *self._repeated]

    def _refuse(self, names: Set[str]) -> None:
        # "Request and response parameters MUST NOT be included more than once", RFC 6749 3.1
        for name, _ in self._repeated:
            if name in names:
                raise InvalidRequest(
                    f"{_shorten(name)} is repeated",
                    rule="rfc6749 3.1",
                    expected="each parameter once",
                    page_description="a parameter is repeated",
                )


def _shorten(name: str) -> str:
    return name if len(name) <= 64 else "a parameter"


class Headers(Protocol):
    """The headers of a request. Names are case-insensitive."""

    def get(self, key: str, default: str, /) -> str:
        """Return the value of a header. Repeated headers are joined with commas."""
        ...


class Request(NamedTuple):
    """An HTTP request.

    ``body`` is an ``application/x-www-form-urlencoded`` form, None if the body has another type, or the error of a body
    that cannot be read.
    """

    method: str
    path: str
    headers: Headers
    query_string: bytes
    body: bytes | InvalidRequest | None
    mount: str = ""
    """The path at which the application is mounted (``SCRIPT_NAME``)."""
    document: bytes | InvalidRequest | None = None
    """The body if it is ``application/json``, otherwise None, or the error of a body that cannot be read."""
    named: Mapping[str, str] = MappingProxyType({})
    """The variables of the route in the path."""
    address: str = ""
    """The IP address of the client, as the WSGI server reports it."""
    authorization: str = ""
    """The Authorization header."""
    endpoint: str = ""
    """The Flask endpoint of the request."""
    scheme: str = "http"
    host: str = ""
    """The Host header."""
    certificate_text: str = ""
    """The client certificate of the TLS connection, as the WSGI server or the proxy encodes it."""
    certificate_format: str = "pem"
    """The format of this text: ``pem``, ``der`` or ``envoy``."""
    certificate_verification: str = ""
    """The result of the verification of the certificate chain, ``SUCCESS`` or another text."""

    @property
    def url(self) -> str:
        """The URL of the request without its query, as the client sent it."""
        return self.url_at(f"{self.scheme}://{self.host}")

    def url_at(self, origin: str) -> str:
        """Return the URL of the request without its query, with a configured origin instead of the Host header."""
        return f"{origin}{self.mount}{quote(self.path, safe=_PATH_SAFE)}"

    @property
    def certificate(self) -> bytes | None:
        """The client certificate of the TLS connection in DER, or None, :rfc:`8705`.

        Reading it raises :exc:`InvalidRequest` if the text is not a certificate.
        """
        return read_certificate(self.certificate_text, self.certificate_format) if self.certificate_text else None

    @property
    def claims(self) -> dict[str, str]:
        """The unverified ``client_id`` and ``grant_type`` of the request."""
        sent = _parse_claims(self.query_string)
        if isinstance(self.body, bytes):
            sent = _parse_claims(self.body) | sent
        try:
            basic = read_basic(self.authorization)
        except ValueError:
            basic = None
        client_id = sent.get("client_id") or (basic[0] if basic else "")
        found = {"client_id": client_id[:_MAX_CLIENT_ID]} if client_id else {}
        return found | ({"grant_type": sent["grant_type"]} if "grant_type" in sent else {})

    @property
    def form(self) -> Params:
        """The parameters of the body. Reading it raises :exc:`InvalidRequest` for other bodies and repetition."""
        if not isinstance(self.body, bytes):
            raise self.body or _no_form()
        return Params(self.body, once=True)

    @property
    def parameters(self) -> Params:
        """The parameters of the query and, for a POST request, of the body."""
        if self.method != "POST":
            return Params(self.query_string)
        if not isinstance(self.body, bytes):
            raise self.body or _no_form()
        return Params(self.body + b"&" + self.query_string)

    @property
    def json(self) -> dict[str, Any]:
        """The members of the JSON object in the body. Reading it raises :exc:`InvalidRequest` for other bodies.

        The body must follow :rfc:`8259` and :rfc:`7493`: UTF-8, no duplicate members, no NaN and no Infinity.
        """
        if not isinstance(self.document, bytes):
            raise self.document or InvalidRequest(
                "the body must be application/json",
                rule="rfc7591 3.1",
                hint="let the client send its metadata as JSON, with Content-Type: application/json",
            )
        try:
            return json.parse_object(self.document)
        except json.DuplicateMember as error:
            raise InvalidRequest(str(error), rule="rfc7493 2.3") from None
        except json.NotAnObject:
            raise InvalidRequest("the body must be a JSON object", rule="rfc7591 3.1") from None
        except ValueError as error:
            raise InvalidRequest("the body is not valid JSON", rule="rfc8259 2", received=str(error)[:100]) from None


_PATH_SAFE = "/-._~!$&'()*+,;=:@"
"""Characters that a path contains without percent-encoding, :rfc:`3986#section-3.3`."""

_MAX_CLIENT_ID = 255

_MAX_CLAIMED = 64 * 1024
"""The maximum length, in bytes, of parameters that are parsed for the log."""

_is_pem = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL).search


def _parse_claims(raw: bytes) -> dict[str, str]:
    """Return the first value of each parameter. Never raise an error."""
    text = raw[:_MAX_CLAIMED].decode("utf-8", "replace")
    return dict(reversed(parse_qsl(text, errors="replace")))


def read_certificate(text: str, certificate_format: str = "pem") -> bytes:
    """Return a certificate in DER. Raise :exc:`InvalidRequest` for text of another format.

    :param certificate_format: ``pem``: PEM, which may be percent-encoded, or the header format of :rfc:`9440`. ``der``:
        base64 of DER. ``envoy``: the header ``x-forwarded-client-cert``.
    """
    if certificate_format == "envoy":
        text = _find_envoy_certificate(text)
    text = unquote(text) if "%" in text else text
    pem = _is_pem(text)
    if certificate_format == "der":
        encoded: str | None = text
    else:
        encoded = pem[1] if pem else text[1:-1] if text.startswith(":") and text.endswith(":") else None
    try:
        if encoded is None or "," in text:  # two headers: the client may have sent the first one
            raise ValueError
        return b64decode("".join(encoded.split()), validate=True)
    except ValueError:
        raise InvalidRequest(
            "the client certificate is malformed",
            expected=f"a certificate in the format {certificate_format}",
            hint="set OAUTH2_CLIENT_CERTIFICATE_FORMAT to the format in which the proxy sends the certificate",
        ) from None


_ENVOY_PAIR = re.compile(r'([A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^",;]*)([;,]|\Z)')
"""A key and a value of ``x-forwarded-client-cert``. Semicolons separate pairs, commas the certificates of proxies."""


def _find_envoy_certificate(text: str) -> str:
    """Return the ``Cert`` of ``x-forwarded-client-cert``, or an empty text.

    A header with the certificates of several proxies has none: the client may have sent the first ones.
    """
    found, position = "", 0
    while pair := _ENVOY_PAIR.match(text, position):
        name, value, end = pair.groups()
        if name == "Cert":
            found = value.strip('"')
        if end != ";":
            return "" if end else found
        position = pair.end()
    return ""


def read_basic(authorization: str) -> tuple[str, str] | None:
    """Return the user ID and the password of a Basic Authorization header, :rfc:`7617`; None for another scheme.

    Both are form-urlencoded, :rfc:`6749#section-2.3.1`. Raise :exc:`ValueError` for a malformed header. No other
    function of the package decodes this header.
    """
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    name, colon, password = b64decode(encoded.strip(" ").encode("ascii"), validate=True).decode("utf-8").partition(":")
    if not colon:
        raise ValueError("the credentials contain no colon")
    return unquote_plus(name, errors="strict"), unquote_plus(password, errors="strict")


def _no_form() -> InvalidRequest:
    return InvalidRequest(
        "the body must be application/x-www-form-urlencoded",
        rule="rfc6749 3.2",
        hint="let the client send the parameters as a form with this Content-Type, not as JSON or multipart",
    )


@record(frozen=True, slots=True)
class Response:
    """An HTTP response. A mapping as ``body`` is sent as JSON."""

    status: int
    body: str | Mapping[str, Any] = ""
    headers: Mapping[str, str] = field(default_factory=dict)


NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
"""Headers of every response that contains tokens or other credentials, :rfc:`6749#section-5.1`."""
