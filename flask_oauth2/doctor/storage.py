"""Where clients and tokens are kept."""

from __future__ import annotations

from collections.abc import Iterator

from ..stores.base import find_examined
from .base import Examined, Finding, warning

_MANY = 10_000
"""Rows: what gathers within a day on a busy site."""


def examination(examined: Examined) -> Iterator[Finding]:
    """What each store says of what it rests on."""
    for store in find_examined(examined.store):
        for fault in store.examine(examined.now):
            yield Finding(level=fault.level, what=fault.what, rule=fault.rule, cure=fault.cure)


def expired(examined: Examined) -> Iterator[Finding]:
    """Rows that nobody needs, through which backups and some queries go nevertheless."""
    if examined.store is None:
        return
    rows = examined.store.purgeable(examined.now)
    if rows > _MANY:
        yield warning(f"{rows} rows have expired and are still there", cure="run flask oauth2 purge once a day")
