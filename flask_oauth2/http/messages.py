"""HTTP without a framework: what came, and what goes out.

Parameters follow :rfc:`6749#section-3.1`: empty is absent, unknown is ignored, none may come twice but ``resource``,
:rfc:`8707#section-2`.
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
"""No request has so many with good reason."""


REPEATABLE = frozenset({"resource"})
"""What may come several times."""


class Params:
    """The parameters of a query or a form body.

    Raises :exc:`InvalidRequest` for one that is not UTF-8 (:rfc:`6749#appendix-B`), holds a NUL or is overlong; its
    reading methods raise it for a parameter that came twice.
    """

    __slots__ = ("_repeated", "values")

    def __init__(self, raw: bytes = b"", *, once: bool = False) -> None:
        """Decode ``raw``. With ``once`` any parameter that came twice is refused at once."""
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
                if not value:
                    continue
                if "\0" in value:
                    raise InvalidRequest("a parameter holds a NUL", rule="rfc6749 A", received=name)
                if name in values:
                    repeated.append((name, value))
                else:
                    values[name] = value
        except UnicodeDecodeError:
            raise InvalidRequest("the parameters are not UTF-8", rule="rfc6749 B") from None
        self.values = values
        """The first value of each parameter that is not empty."""
        self._repeated = repeated
        if once and repeated:
            self.refuse_repeated()

    def get(self, name: str) -> str | None:
        """The value of a parameter, None where it is absent or empty."""
        if self._repeated:
            self._refuse({name})
        return self.values.get(name)

    def require(self, name: str) -> str:
        """The value of a parameter that must be there. Raises :exc:`InvalidRequest` where it is not."""
        if self._repeated:
            self._refuse({name})
        value = self.values.get(name)
        if value is None:
            raise InvalidRequest(f"{name} is missing", expected=f"a parameter {name}", received=list(self.values))
        return value

    def once(self, name: str) -> str | None:
        """The value of a parameter that came once; None where it is absent or came more often."""
        return None if name in dict(self._repeated) else self.values.get(name)

    def every(self, name: str) -> list[str]:
        """All values of a parameter that may come several times."""
        first = self.values.get(name)
        if first is None:
            return []
        return [first, *(value for repeated, value in self._repeated if repeated == name)]

    def refuse_repeated(self) -> None:
        """Raise :exc:`InvalidRequest` if any parameter came more than once that may not."""
        if self._repeated:
            self._refuse(self.values.keys() - REPEATABLE)

    def pairs(self) -> list[tuple[str, str]]:
        """All that came, to be sent again."""
        return [*self.values.items(), *self._repeated]

    def _refuse(self, names: Set[str]) -> None:
        for name, _ in self._repeated:
            if name in names:
                raise InvalidRequest(
                    f"{_shown(name)} came more than once",
                    rule="rfc6749 3.1",
                    expected="each parameter once",
                    shown="a parameter came more than once",
                )


def _shown(name: str) -> str:
    return name if len(name) <= 64 else "a parameter"


class Headers(Protocol):
    """The headers of a request, by name in any case."""

    def get(self, key: str, default: str, /) -> str:
        """The value of a header, several joined by a comma."""
        ...


class Request(NamedTuple):
    """What came: ``body`` is an ``application/x-www-form-urlencoded`` form, or None, or says why it was not read."""

    method: str
    path: str
    headers: Headers
    query_string: bytes
    body: bytes | InvalidRequest | None
    mount: str = ""
    """Where the application is mounted below its host."""
    document: bytes | InvalidRequest | None = None
    """The body where it is ``application/json``, or why it was not read."""
    named: Mapping[str, str] = MappingProxyType({})
    """What the path names, by the route of the endpoint."""
    address: str = ""
    """Where it came from, as far as the server knows."""
    authorization: str = ""
    """The header of that name."""
    endpoint: str = ""
    """The name of the view that answers."""
    scheme: str = "http"
    host: str = ""
    """The host and port that the client sent the request to, as it says."""
    certificate_text: str = ""
    """The client certificate of the TLS connection, as the WSGI server or the proxy has it."""

    @property
    def url(self) -> str:
        """The URL of the request without its query, as the client sent it."""
        return f"{self.scheme}://{self.host}{self.mount}{quote(self.path, safe=_PATH_SAFE)}"

    @property
    def certificate(self) -> bytes | None:
        """The client certificate of the TLS connection in DER, :rfc:`8705`; None if there is none.

        Raises :exc:`InvalidRequest` for text that is no certificate.
        """
        return read_certificate(self.certificate_text) if self.certificate_text else None

    @property
    def claims(self) -> dict[str, str]:
        """What the request says about itself, which nobody has verified: ``client_id`` and ``grant_type``."""
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
        """The parameters of the body, each once. Raises :exc:`InvalidRequest` where the body is no form."""
        if not isinstance(self.body, bytes):
            raise self.body or _no_form()
        return Params(self.body, once=True)

    @property
    def parameters(self) -> Params:
        """Those of the query, and of the body where the request is a POST."""
        if self.method != "POST":
            return Params(self.query_string)
        if not isinstance(self.body, bytes):
            raise self.body or _no_form()
        return Params(self.body + b"&" + self.query_string)

    @property
    def json(self) -> dict[str, Any]:
        """The members of the JSON object in the body. Raises :exc:`InvalidRequest` where there is none.

        :rfc:`8259`, and as :rfc:`7493` has it: UTF-8, no member twice, no number that JSON does not know.
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
            raise InvalidRequest("the body is no JSON", rule="rfc8259 2", received=str(error)[:100]) from None


_PATH_SAFE = "/-._~!$&'()*+,;=:@"
"""Characters of a path that are their own encoding, :rfc:`3986#section-3.3`."""

_MAX_CLIENT_ID = 255

_MAX_CLAIMED = 64 * 1024
"""Bytes of parameters that are read for the log."""

_is_pem = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL).search


def _parse_claims(raw: bytes) -> dict[str, str]:
    """Return the first value of each parameter, whatever is wrong with them."""
    text = raw[:_MAX_CLAIMED].decode("utf-8", "replace")
    return dict(reversed(parse_qsl(text, errors="replace")))


def read_certificate(text: str) -> bytes:
    """Return a certificate in DER from PEM, percent-encoded or not, or from the header of :rfc:`9440`.

    Raises :exc:`InvalidRequest` for other text.
    """
    text = unquote(text) if "%" in text else text
    pem = _is_pem(text)
    encoded = pem[1] if pem else text[1:-1] if text.startswith(":") and text.endswith(":") else None
    try:
        if encoded is None:
            raise ValueError
        return b64decode("".join(encoded.split()), validate=True)
    except ValueError:
        raise InvalidRequest(
            "the client certificate cannot be read",
            expected="PEM, or base64 of DER between colons (RFC 9440)",
            hint="let the proxy send the certificate in one of these forms; nginx has it in $ssl_client_escaped_cert",
        ) from None


def read_basic(authorization: str) -> tuple[str, str] | None:
    """Return the user ID and the password of a Basic Authorization header, :rfc:`7617`; None for another scheme.

    Both are form-urlencoded inside, :rfc:`6749#section-2.3.1`. Raises :exc:`ValueError` for a malformed header. Nothing
    else in the package decodes this header.
    """
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    name, colon, password = b64decode(encoded.strip(" ").encode("ascii"), validate=True).decode("utf-8").partition(":")
    if not colon:
        raise ValueError("the credentials have no colon")
    return unquote_plus(name, errors="strict"), unquote_plus(password, errors="strict")


def _no_form() -> InvalidRequest:
    return InvalidRequest(
        "the body must be application/x-www-form-urlencoded",
        rule="rfc6749 3.2",
        hint="let the client send the parameters as a form, with this Content-Type, and not as JSON or multipart",
    )


@record(frozen=True, slots=True)
class Response:
    """What goes out. ``body`` is text, or a mapping that leaves as JSON."""

    status: int
    body: str | Mapping[str, Any] = ""
    headers: Mapping[str, str] = field(default_factory=dict)


NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
"""On every answer that holds tokens or speaks of credentials, :rfc:`6749#section-5.1`."""
