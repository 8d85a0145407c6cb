"""JSON objects and arrays that other parties send: :rfc:`8259`, restricted as :rfc:`7493` says."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any


class DuplicateMember(ValueError):
    """A JSON object that contains a member more than once."""


class NotAnObject(ValueError):
    """JSON that is not an object."""


def parse_object(content: bytes) -> dict[str, Any]:
    """Return the members of a JSON object.

    "MUST be encoded using UTF-8", and objects "MUST NOT have members with duplicate names", :rfc:`7493#section-2`. A
    number that JSON does not know, such as ``NaN``, is no JSON.

    Raises :exc:`DuplicateMember`, :exc:`NotAnObject`, or another :exc:`ValueError` for content that is not JSON.
    """
    found = _parse(content)
    if not isinstance(found, dict):
        raise NotAnObject("the content is not a JSON object")
    return found


def parse_array(content: bytes) -> list[Any]:
    """Return the elements of a JSON array, whose objects are read like those of :func:`parse_object`.

    Raises :exc:`ValueError` for content that is no JSON array.
    """
    found = _parse(content)
    if not isinstance(found, list):
        raise ValueError("the content is not a JSON array")
    return found


def check_limits(found: dict[str, Any] | list[Any], deepest: int, most: int) -> None:
    """Raise :exc:`ValueError` with the fault of parsed JSON that other parties could not read, or that is too large.

    Rejects numbers that are not finite, such as ``1e400``, more than ``deepest`` levels, and more than ``most`` values
    in total.
    """
    pending: list[tuple[dict[str, Any] | list[Any], int]] = [(found, 1)]
    count = 0
    while pending:
        container, depth = pending.pop()
        inner = container.values() if isinstance(container, dict) else container
        count += len(inner)
        if depth > deepest or count > most:
            raise ValueError(f"has more than {deepest} levels or {most} values")
        for value in inner:
            if isinstance(value, dict | list):
                pending.append((value, depth + 1))
            elif isinstance(value, float) and not isfinite(value):
                raise ValueError("contains a number that is not finite")


def check_unicode(found: dict[str, Any] | list[Any], content: bytes) -> None:
    """Raise :exc:`ValueError` if JSON contains lone surrogates, which "MUST NOT" occur, :rfc:`7493#section-2.1`."""
    if b"\\u" in content:  # only an escape sequence can write one
        try:
            json.dumps(found, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("contains text that is not Unicode") from None


def _parse(content: bytes) -> Any:
    try:
        return _DECODER.decode(content.decode("utf-8"))
    except RecursionError as error:
        raise ValueError(str(error)) from None


def _read_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise DuplicateMember("a member of the JSON object occurs more than once")
    return members


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


_DECODER = json.JSONDecoder(object_pairs_hook=_read_members, parse_constant=_reject_constant)
"""Made once, which takes as long as parsing a short object."""
