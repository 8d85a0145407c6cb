"""Where clients and tokens are kept."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import ConfigurationError, TemporarilyUnavailable
from ..stores.base import Fault, find_examined
from ..stores.sqlalchemy import SQLAlchemyStore
from .base import Examined, Finding, error, warning

_MANY = 10_000
"""Rows: what gathers within a day on a busy site."""


def examination(examined: Examined) -> Iterator[Finding]:
    """What each store says of what it rests on."""
    for store in find_examined(examined.store):
        for fault in store.examine(examined.now):
            yield _found(fault)


def replica(examined: Examined) -> Iterator[Finding]:
    """Whether guards read what is so."""
    copy = examined.server.stores.replica
    if not isinstance(copy, SQLAlchemyStore):
        return
    try:
        copy.check()
    except ConfigurationError as reason:
        yield error(f"OAUTH2_REPLICA is no copy: {reason}", cure="name one of the database that the store is in")
        return
    except TemporarilyUnavailable:
        yield warning(
            "OAUTH2_REPLICA cannot be reached, so guards ask the database itself", cure="see whether it runs there"
        )
        return
    for store in find_examined(examined.store):
        if isinstance(store, SQLAlchemyStore):
            yield from map(_found, store.examine_copy(copy, examined.now))


def _found(fault: Fault) -> Finding:
    return Finding(level=fault.level, what=fault.what, rule=fault.rule, cure=fault.cure)


def expired(examined: Examined) -> Iterator[Finding]:
    """Rows that nobody needs, through which backups and some queries go nevertheless."""
    if examined.store is None:
        return
    rows = examined.store.purgeable(examined.now)
    if rows > _MANY:
        yield warning(f"{rows} rows have expired and are still there", cure="run flask oauth2 purge once a day")
