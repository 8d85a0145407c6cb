"""HTTP without a framework: what came, and what goes out.

Parameters follow :rfc:`6749#section-3.1`: empty is absent, unknown is ignored, none may come twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import unquote_plus

from .errors import InvalidRequest

_MOST_PARAMETERS = 200


class Params:
    """The parameters of a query or a form body, decoded when first read.

    Every reading method raises :exc:`InvalidRequest` for a parameter that came twice, and for a query or body that is
    not UTF-8 (:rfc:`6749#appendix-B`) or holds a NUL.
    """

    __slots__ = ("_raw", "_values")

    def __init__(self, raw: bytes = b"") -> None:
        self._raw = raw
        self._values: dict[str, str | list[str]] | None = None

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Params:
        """The parameters of pairs that somebody decoded before."""
        params = cls()
        params._values = _collect(pairs)
        return params

    def get(self, name: str) -> str | None:
        """The value of a parameter, None where it is absent or empty."""
        values = self._values
        if values is None:
            values = self._decode()
        value = values.get(name)
        if isinstance(value, list):
            raise InvalidRequest(f"{name} came more than once", rule="rfc6749 3.1", expected="each parameter once")
        return value

    def require(self, name: str) -> str:
        """The value of a parameter that must be there. Raises :exc:`InvalidRequest` where it is not."""
        value = self.get(name)
        if value is None:
            raise InvalidRequest(f"{name} is missing", expected=f"a parameter {name}", came=self.names())
        return value

    def once(self, name: str) -> str | None:
        """The value of a parameter that came once; None where it is absent or came more often."""
        values = self._values if self._values is not None else self._decode()
        value = values.get(name)
        return value if isinstance(value, str) else None

    def refuse_repeated(self) -> None:
        """Raise :exc:`InvalidRequest` if any parameter came more than once."""
        values = self._values
        if values is None:
            values = self._decode()
        for value in values.values():
            if value.__class__ is list:
                raise InvalidRequest("a parameter came more than once", rule="rfc6749 3.2", came=self.names())

    def names(self) -> list[str]:
        """The names that came, for the log."""
        return list(self._values if self._values is not None else self._decode())

    def pairs(self) -> list[tuple[str, str]]:
        """All that came, to be sent again."""
        values = self._values if self._values is not None else self._decode()
        return [(name, one) for name, value in values.items() for one in ([value] if isinstance(value, str) else value)]

    def _decode(self) -> dict[str, str | list[str]]:
        try:
            pairs = self._raw.decode("utf-8").split("&")
            if len(pairs) > _MOST_PARAMETERS:
                raise InvalidRequest("too many parameters", expected=f"at most {_MOST_PARAMETERS}", came=len(pairs))
            self._values = _collect(_split(pair) for pair in pairs)
        except UnicodeDecodeError:
            raise InvalidRequest("the parameters are not UTF-8", rule="rfc6749 B") from None
        return self._values


def _split(pair: str) -> tuple[str, str]:
    name, _, value = pair.partition("=")
    if "%" in pair or "+" in pair:
        return unquote_plus(name, errors="strict"), unquote_plus(value, errors="strict")
    return name, value


def _collect(pairs: Iterable[tuple[str, str]]) -> dict[str, str | list[str]]:
    values: dict[str, str | list[str]] = {}
    for name, value in pairs:
        if not value:
            continue
        if "\0" in value:
            raise InvalidRequest("a parameter holds a NUL", rule="rfc6749 A", came=name)
        if name not in values:
            values[name] = value
        elif isinstance(before := values[name], list):
            before.append(value)
        else:
            values[name] = [before, value]
    return values


class Headers(Protocol):
    """The headers of a request, by name in any case."""

    def get(self, key: str, default: str, /) -> str:
        """The value of a header, several joined by a comma."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """What came: ``body`` is None where it is no ``application/x-www-form-urlencoded`` form."""

    method: str
    path: str
    headers: Headers
    query: Params
    body: Params | None

    @property
    def form(self) -> Params:
        """The parameters of the body. Raises :exc:`InvalidRequest` where the body is no form."""
        if self.body is None:
            raise InvalidRequest(
                "the body must be application/x-www-form-urlencoded",
                rule="rfc6749 4.1.3",
                came=self.headers.get("Content-Type", ""),
            )
        return self.body


@dataclass(frozen=True, slots=True)
class Response:
    """What goes out. ``body`` is text, or a mapping that leaves as JSON."""

    status: int
    body: str | Mapping[str, Any] = ""
    headers: Mapping[str, str] = field(default_factory=dict)


NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
"""On every answer that holds tokens or speaks of credentials, :rfc:`6749#section-5.1`."""
