"""Where clients and tokens are kept."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import ConfigurationError, TemporarilyUnavailable
from ...stores.base import HealthCheckStore, HealthIssue, collect
from ...stores.sqlalchemy import SQLAlchemyStore
from .base import Examined, Finding, error, warning

_MANY = 10_000
"""Rows: what gathers within a day on a busy site."""


def examination(examined: Examined) -> Iterator[Finding]:
    """Return the problems of the databases and servers of the store."""
    for store in _health_checks(examined):
        yield from map(_found, store.check_health(examined.now))


def replica(examined: Examined) -> Iterator[Finding]:
    """Whether guards read what is so."""
    copy = examined.server.opening.replica
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
    for store in _health_checks(examined):
        if isinstance(store, SQLAlchemyStore):
            yield from map(_found, store.check_replica(copy, examined.now))


def _health_checks(examined: Examined) -> tuple[HealthCheckStore, ...]:
    return () if examined.store is None else collect(examined.store).health


def _found(issue: HealthIssue) -> Finding:
    return Finding(level=issue.level, what=issue.what, rule=issue.rule, cure=issue.cure)


def expired(examined: Examined) -> Iterator[Finding]:
    """Rows that nobody needs, through which backups and some queries go nevertheless."""
    if examined.store is None:
        return
    rows = examined.store.purgeable(examined.now)
    if rows > _MANY:
        yield warning(f"{rows} rows have expired and are still there", cure="run flask oauth2 purge once a day")
