"""The options and the report of one import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .base import Tables


class Finding(NamedTuple):
    """A finding about a row: its table, its primary key, and a sentence without secrets."""

    table: str
    id: str
    reason: str


@dataclass(slots=True)
class Count:
    """Numbers of rows of a table: imported, already present, expired, and skipped because of an error."""

    taken: int = 0
    already_there: int = 0
    ended: int = 0
    left: int = 0


@dataclass(slots=True)
class Report:
    """The result of a run, or of a dry run.

    :param codes: authorization codes that clients have not redeemed, which an import skips.
    :param shortened: access tokens whose lifetime the settings shorten.
    :param final: access tokens among these that have no refresh token.
    :param rewritten: rows of the library that contain digests after the run.
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
    """The options of an import.

    :param tables: the table names. An empty name means the documented one.
    :param columns: column names that differ from the documented ones, by field.
    :param dry_run: whether the run writes nothing.
    :param in_place: whether the run replaces the tokens in the library's table with their digests.
    :param pkce_required: the PKCE rule of confidential clients. None leaves it to the settings.
    """

    tables: Tables = Tables("", "", "")
    columns: Mapping[str, str] = field(default_factory=dict)
    dry_run: bool = False
    in_place: bool = False
    pkce_required: bool | None = None
