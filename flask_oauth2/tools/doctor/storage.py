"""Checks of the store."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import ConfigurationError, TemporarilyUnavailable
from ...stores.base import HealthCheckStore, HealthIssue, collect
from ...stores.sqlalchemy import SQLAlchemyStore
from .base import Examined, Finding, error, warning

_MANY = 10_000
"""The number of expired rows above which the doctor warns: a busy site collects as many in a day."""


def examination(examined: Examined) -> Iterator[Finding]:
    """Return the problems of the databases and servers of the store."""
    for store in _health_checks(examined):
        yield from map(_found, store.check_health(examined.now))


def replica(examined: Examined) -> Iterator[Finding]:
    """Report problems of the read replica that guards use."""
    copy = examined.server.opening.replica
    if not isinstance(copy, SQLAlchemyStore):
        return
    try:
        copy.check()
    except ConfigurationError as reason:
        yield error(
            f"OAUTH2_READ_REPLICA is not a replica of the store: {reason}",
            hint=("set it to a replica of the database that contains the store"),
        )
        return
    except TemporarilyUnavailable:
        yield warning(
            "OAUTH2_READ_REPLICA cannot be reached, so guards read from the primary database", hint="check that it runs"
        )
        return
    for store in _health_checks(examined):
        if isinstance(store, SQLAlchemyStore):
            yield from map(_found, store.check_replica(copy, examined.now))


def _health_checks(examined: Examined) -> tuple[HealthCheckStore, ...]:
    return () if examined.store is None else collect(examined.store).health


def _found(issue: HealthIssue) -> Finding:
    return Finding(level=issue.level, what=issue.what, rule=issue.rule, hint=issue.hint)


def expired(examined: Examined) -> Iterator[Finding]:
    """Report many expired rows, which slow down backups and some queries."""
    if examined.store is None:
        return
    rows = examined.store.purgeable(examined.now)
    if rows > _MANY:
        yield warning(f"{rows} expired rows have not been purged", hint="run flask oauth2 purge once a day")
