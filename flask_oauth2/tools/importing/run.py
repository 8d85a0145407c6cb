"""What a run is told, and what it says that it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .base import Tables


class Finding(NamedTuple):
    """What is said of a row: its table, its primary key, and a sentence that holds no secret."""

    table: str
    id: str
    reason: str


@dataclass(slots=True)
class Count:
    """How many rows of a table were taken, were here already, have ended, could not be taken."""

    taken: int = 0
    already_there: int = 0
    ended: int = 0
    left: int = 0


@dataclass(slots=True)
class Report:
    """What a run did, or would do. ``codes`` counts those that wait to be redeemed there, which are not taken.

    ``shortened`` counts access tokens that would live longer there, ``final`` those of them that come without a refresh
    token, ``rewritten`` the rows that hold our keys now.
    """

    clients: Count = field(default_factory=Count)
    tokens: Count = field(default_factory=Count)
    codes: int = 0
    shortened: int = 0
    final: int = 0
    rewritten: int = 0
    left: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to import.

    :param tables: the names of the tables, an empty one for the documented name.
    :param columns: names of columns that are not the documented ones, by field.
    :param dry_run: write nothing.
    :param in_place: put our keys in place of the tokens in their table.
    :param pkce_required: of confidential clients; None leaves it to the settings.
    """

    tables: Tables = Tables("", "", "")
    columns: Mapping[str, str] = field(default_factory=dict)
    dry_run: bool = False
    in_place: bool = False
    pkce_required: bool | None = None
