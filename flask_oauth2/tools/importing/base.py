"""Source libraries of clients and tokens, and functions that read the columns of their rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from ...clients.secrets import import_hash
from ...records import seconds, split_values
from ...scopes import Scope

Row = Mapping[str, Any]
"""A row by field name, not by column name. A field without a column is absent."""

Columns = Mapping[str, tuple[str, ...]]
"""The possible column names of each field, starting with the documented one."""


class Unreadable(ValueError):
    """A row that cannot be imported. The message gives the reason and contains no secret."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The names of the tables of clients, tokens and codes."""

    client: str
    token: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignClient:
    """A client as the row of another library describes it.

    :param grant_types: None if the row names none: the client may use every grant type that the provider offers.
    :param response_types: empty for the response types of the grant types.
    :param notes: sentences for the operator who runs the import.
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
    """A token as the row of another library describes it.

    :param access_ends_at: seconds since the epoch, UTC. 0 for a revoked token, None for a token that does not expire.
    :param refresh: None if the row has no refresh token or a revoked one.
    """

    client_id: str
    user_id: str | None
    scope: Scope
    type: str
    access: str = field(repr=False)
    access_ends_at: int | None
    refresh: str | None = field(repr=False)

    def is_live(self, now: float) -> bool:
        """Return whether the access token or the refresh token can still be used."""
        return self.refresh is not None or self.access_ends_at is None or self.access_ends_at > now


class Source(Protocol):
    """A source library."""

    name: str

    tables: Tables
    """The table names in the library's documentation."""

    client_columns: Columns
    token_columns: Columns

    required: frozenset[str]
    """The fields whose columns identify a table of the library."""

    def read_client(self, row: Row) -> ForeignClient:
        """Return the client of a row. Raise :exc:`Unreadable` if it cannot be imported."""
        ...

    def read_token(self, row: Row) -> ForeignToken:
        """Return the token of a row. Raise :exc:`Unreadable` if it cannot be imported."""
        ...


def read_text(row: Row, name: str) -> str:
    """Return the text of a column, or an empty string if the row has no value."""
    value = row.get(name)
    if value is None:
        return ""
    if isinstance(value, bytes | bytearray | memoryview):
        raise Unreadable(f"its {name} is not text")
    return str(value).strip()


def require_text(row: Row, name: str) -> str:
    """Return the text of a column. Raise :exc:`Unreadable` if the row has no value."""
    value = read_text(row, name)
    if not value:
        raise Unreadable(f"it has no {name}")
    return value


def read_list(row: Row, name: str) -> tuple[str, ...]:
    """Return the values of a column that contains a list: JSON, or text separated by white space."""
    value = row.get(name)
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            raise Unreadable(f"its {name} starts like a JSON list but is not valid JSON") from None
    if not isinstance(value, list | tuple):
        return split_values(read_text(row, name))
    return unique(name, value)


def unique(name: str, found: Iterable[Any]) -> tuple[str, ...]:
    """Return the values of a list without duplicates."""
    listed = list(found)
    if not all(isinstance(word, str) for word in listed):
        raise Unreadable(f"its {name} is a list whose values are not text")
    return split_values(listed)


def read_flag(row: Row, name: str) -> bool | None:
    """Return the value of a boolean column, or None if the row has no value."""
    value = row.get(name)
    if value is None or value == "":
        return None
    return value.strip().lower() in ("1", "t", "true", "y", "yes") if isinstance(value, str) else bool(value)


def read_time(row: Row, name: str) -> int | None:
    """Return the seconds since the epoch of a column with a time.

    The column contains a datetime (naive means UTC), its ISO 8601 text, or seconds since the epoch.
    """
    value = row.get(name)
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str):
            value = float(value) if value.replace(".", "", 1).isdecimal() else datetime.fromisoformat(value)
        return seconds(value)
    except (TypeError, ValueError, OverflowError):
        raise Unreadable(f"its {name} is not a time") from None


def read_secret(row: Row) -> str | None:
    """Return the value to store for ``client_secret``, or None if it is empty."""
    value = read_text(row, "client_secret")
    try:
        return import_hash(value) if value else None
    except ValueError as error:
        raise Unreadable(f"its client_secret {error}") from None
