"""``flask oauth2 purge`` with a million expired rows, and the delay of concurrent writes.

Half of the rows are tokens. The other half are unused dynamically registered clients, every tenth with a consent.
Another process increments a counter in the same database all the time, as a failed attempt does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from multiprocessing import get_context
from statistics import median
from typing import Any

import sqlalchemy as sa

from flask_oauth2 import values
from flask_oauth2.records import Client, Consent
from flask_oauth2.stores.sqlalchemy import rows
from flask_oauth2.stores.sqlalchemy.store import SQLAlchemyStore

from . import postgresql
from .comparison import Entry, Log
from .growth import token_row
from .site import Place

SIZE = 1_000_000
_BATCH = 5_000
_LOG_EVERY = 100_000
_PAUSE = 0.005
"""Seconds between two writes of the concurrent process."""


@dataclass
class Purged:
    """The number of purged rows and the times in seconds."""

    name: str
    size: int
    seconds: float
    longest: float
    """The longest transaction of the purge."""
    waits: list[float]
    """Concurrent writes: the median, the 99th percentile and the longest."""
    alone: list[float]
    """Writes without a purge: the median, the 99th percentile and the longest."""

    def write(self) -> dict[str, Any]:
        """Return the members for JSON."""
        return asdict(self)


def measure(entries: dict[str, Entry], *, size: int, log: Log) -> list[Purged]:
    """Purge the database of each library."""
    return [_purge(name, entry.place, size, log) for name, entry in entries.items()]


def _purge(name: str, place: Place, size: int, log: Log) -> Purged:
    log(f"{name}: filling {size:,} rows")
    url = place.url or f"sqlite:///{place.folder / 'oauth2.sqlite'}"
    store = SQLAlchemyStore.open(url)
    now = int(time.time())
    _fill(store, size, now)
    if place.url:
        postgresql.analyze(url)
    log(f"{name}: writes without a purge")
    alone = _ConcurrentWriter(url)
    time.sleep(2)
    without_purge = alone.end()
    timer = _TransactionTimer(store)
    writer = _ConcurrentWriter(url)
    deleted = logged = 0
    begin = time.monotonic()
    for count in store.purge(now):
        deleted += count
        if deleted >= logged + _LOG_EVERY:
            logged = deleted
            log(f"{name}: {deleted:,} rows deleted")
    seconds = time.monotonic() - begin
    waits = writer.end()
    assert deleted >= size, "rows are missing"
    store.engine.dispose()
    return Purged(name, size, seconds, timer.longest, waits, without_purge)


class _TransactionTimer:
    """Measures the longest transaction of a store."""

    def __init__(self, store: SQLAlchemyStore) -> None:
        self.longest = 0.0
        self._run = store._database.run
        store._database.run = self.run  # type: ignore[method-assign]

    def run(self, *steps: Any) -> Any:
        """Run the steps and measure them."""
        begin = time.monotonic()
        result = self._run(*steps)
        self.longest = max(self.longest, time.monotonic() - begin)
        return result


class _ConcurrentWriter:
    """A process that writes until it is ended."""

    def __init__(self, url: str) -> None:
        context = get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_write_until_ended, args=(url, theirs))
        self._process.start()
        self._ours.recv()  # the process is ready

    def end(self) -> list[float]:
        """End the process. Return the median, the 99th percentile and the longest of its writes."""
        self._ours.send("end")
        waits: list[float] = self._ours.recv()
        self._process.join()
        return waits


def _write_until_ended(url: str, pipe: Any) -> None:
    store = SQLAlchemyStore.open(url)
    key, expires_at = b"benchmark", int(time.time()) + 86400
    store.count(key, expires_at)
    waits: list[float] = []
    pipe.send("ready")
    while not (waits and pipe.poll(_PAUSE)):  # at least once, even if the purge is fast
        begin = time.monotonic()
        store.count(key, expires_at)
        waits.append(time.monotonic() - begin)
    waits.sort()
    pipe.send([median(waits), waits[len(waits) * 99 // 100], waits[-1]])
    store.engine.dispose()


def _fill(store: SQLAlchemyStore, size: int, now: int) -> None:
    tables = store.tables
    clients, consents = _clients(size // 2, now), _consents(size // 20, now)
    with store.engine.connect() as connection:
        for table, lines in (
            (tables.token, _tokens(size - size // 2, now)),
            (tables.client, clients),
            (tables.consent, consents),
            (tables.origin, _origins(size // 2)),
        ):
            while some := list(islice(lines, _BATCH)):
                connection.execute(sa.insert(table), some)
                connection.commit()


def _tokens(size: int, now: int) -> Iterator[dict[str, Any]]:
    for number in range(size):
        timestamp = values.timestamp(now - 86400 + number / size)
        ended = {"issued_at": now - 86400, "expires_at": now - 1, "refresh_expires_at": now - 1}
        yield (
            token_row(timestamp + os.urandom(32), timestamp + os.urandom(32), f"user-{number}")
            | ended
            | {"siblings": 0}
        )


def _clients(size: int, now: int) -> Iterator[dict[str, Any]]:
    pattern = rows.write_client(
        Client(
            client_id="",
            name="Agent",
            auth_method="none",
            application_type="native",
            redirect_uris=("http://127.0.0.1/callback",),
            scope=("read",),
            created_at=now - 7 * 86400,
            registered_by="open",
        )
    )
    for number in range(size):
        yield {**pattern, "issuer_id": "", "client_id": _client_id(number), "expires_at": now - number % 3600}


def _origins(size: int) -> Iterator[dict[str, Any]]:
    for number in range(size):
        yield {"issuer_id": "", "origin": "http://127.0.0.1", "client_id": _client_id(number)}


def _consents(size: int, now: int) -> Iterator[dict[str, Any]]:
    for number in range(size):
        consent = Consent(
            id=f"consent-{number}",
            user_id="user",
            client_id=_client_id(number * 10),
            scope=("read",),
            granted_at=now,
            used_at=now,
        )
        yield {"issuer_id": "", **rows.write_consent(consent)}


def _client_id(number: int) -> str:
    """Return an ID. Like digests, consecutive IDs are not in order."""
    return f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}"
