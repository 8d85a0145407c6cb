"""What a library is that clients and tokens come from, and how values of its columns are read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from ..clients.secrets import import_hash
from ..records import seconds, words
from ..scopes import Scope

Row = Mapping[str, Any]
"""A row by the names of our fields, not by those of its columns; a field without a column is absent."""

Columns = Mapping[str, tuple[str, ...]]
"""For each field the names that its column may have, the documented one first."""


class Unreadable(ValueError):
    """A row that cannot be taken, and why; never a value of it that is secret."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The names of the tables: clients, tokens, codes."""

    client: str
    token: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignClient:
    """What a row says a client is. ``grant_types`` None: it names none, and may use all that are offered.

    ``response_types`` empty: those of the grant types. ``notes`` are for whoever imports it.
    """

    client_id: str
    name: str = ""
    secret: str | None = field(default=None, repr=False)
    auth_method: str = "client_secret_basic"
    redirect_uris: tuple[str, ...] = ()
    grant_types: tuple[str, ...] | None = None
    response_types: tuple[str, ...] = ()
    scope: Scope = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    created_at: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignToken:
    """What a row says a token is.

    ``access_ends_at`` is in seconds since the epoch, UTC, 0 for a revoked one, None for one without an end.
    ``refresh`` is None where there is none, or a revoked one.
    """

    client_id: str
    user_id: str | None
    scope: Scope
    type: str
    access: str = field(repr=False)
    access_ends_at: int | None
    refresh: str | None = field(repr=False)

    def is_live(self, now: float) -> bool:
        """Whether anybody could still use it."""
        return self.refresh is not None or self.access_ends_at is None or self.access_ends_at > now


class Source(Protocol):
    """A library."""

    name: str

    tables: Tables
    """The names that its documentation gives them."""

    client_columns: Columns
    token_columns: Columns

    required: frozenset[str]
    """The fields without whose columns a table is another one."""

    def read_client(self, row: Row) -> ForeignClient:
        """The client of a row. Raises :exc:`Unreadable`."""
        ...

    def read_token(self, row: Row) -> ForeignToken:
        """The token of a row. Raises :exc:`Unreadable`."""
        ...


def text(row: Row, name: str) -> str:
    """A column as text, empty where there is none."""
    value = row.get(name)
    if value is None:
        return ""
    if isinstance(value, bytes | bytearray | memoryview):
        raise Unreadable(f"its {name} is no text")
    return str(value).strip()


def require(row: Row, name: str) -> str:
    """The same, but it must be there."""
    value = text(row, name)
    if not value:
        raise Unreadable(f"it has no {name}")
    return value


def word_list(row: Row, name: str) -> tuple[str, ...]:
    """A column that holds several words: JSON, or text with white space between them."""
    value = row.get(name)
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            raise Unreadable(f"its {name} begins like a JSON list and is none") from None
    if not isinstance(value, list | tuple):
        return words(text(row, name))
    return unique(name, value)


def unique(name: str, found: Iterable[Any]) -> tuple[str, ...]:
    """The words of a list, each once."""
    listed = list(found)
    if not all(isinstance(word, str) for word in listed):
        raise Unreadable(f"its {name} is a list of something else than text")
    return words(listed)


def flag(row: Row, name: str) -> bool | None:
    """A column that says yes or no; None where it says neither."""
    value = row.get(name)
    if value is None or value == "":
        return None
    return value.strip().lower() in ("1", "t", "true", "y", "yes") if isinstance(value, str) else bool(value)


def moment(row: Row, name: str) -> int | None:
    """A column that holds a time: a datetime (naive: UTC), its text, or seconds since the epoch."""
    value = row.get(name)
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str):
            value = float(value) if value.replace(".", "", 1).isdecimal() else datetime.fromisoformat(value)
        return seconds(value)
    except (TypeError, ValueError, OverflowError):
        raise Unreadable(f"its {name} is no time") from None


def secret(row: Row) -> str | None:
    """What is kept of ``client_secret``; None where it is empty."""
    value = text(row, "client_secret")
    try:
        return import_hash(value) if value else None
    except ValueError as error:
        raise Unreadable(f"its client_secret {error}") from None
