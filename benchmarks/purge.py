"""``flask oauth2 purge`` of a million rows that have expired, and what it lets those wait who write beside it.

Half are tokens, half clients that registered themselves and were never used, each tenth of which somebody has allowed
something. Another process counts something in the same database all the time, as a request does that guesses.
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
_AT_ONCE = 5_000
_TOLD_EVERY = 100_000
_PAUSE = 0.005
"""Seconds between two counts of the process beside it."""


@dataclass
class Purged:
    """What was taken and how long that took, in seconds."""

    name: str
    size: int
    seconds: float
    longest: float
    """The longest transaction of the purge."""
    waits: list[float]
    """Of a write beside it: the median, that of which one in a hundred is longer, the longest."""
    alone: list[float]
    """The same without a purge."""

    def write(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def measure(entries: dict[str, Entry], *, size: int, log: Log) -> list[Purged]:
    """In the database of each library."""
    return [_purge(name, entry.place, size, log) for name, entry in entries.items()]


def _purge(name: str, place: Place, size: int, log: Log) -> Purged:
    log(f"{name}: filling {size:,} rows")
    url = place.url or f"sqlite:///{place.folder / 'oauth2.sqlite'}"
    store = SQLAlchemyStore.open(url)
    now = int(time.time())
    _fill(store, size, now)
    if place.url:
        postgresql.analyze(url)
    log(f"{name}: a write by itself")
    alone = _Beside(url)
    time.sleep(2)
    by_itself = alone.end()
    watched = _Watched(store)
    beside = _Beside(url)
    taken = told = 0
    begin = time.monotonic()
    for some in store.purge(now):
        taken += some
        if taken >= told + _TOLD_EVERY:
            told = taken
            log(f"{name}: {taken:,} rows taken")
    seconds = time.monotonic() - begin
    waits = beside.end()
    assert taken >= size, "not all were taken"
    store.engine.dispose()
    return Purged(name, size, seconds, watched.longest, waits, by_itself)


class _Watched:
    """Notes how long the longest transaction of a store took."""

    def __init__(self, store: SQLAlchemyStore) -> None:
        self.longest = 0.0
        self._run = store._database.run
        store._database.run = self.run  # type: ignore[method-assign]

    def run(self, *steps: Any) -> Any:
        """The same, timed."""
        begin = time.monotonic()
        result = self._run(*steps)
        self.longest = max(self.longest, time.monotonic() - begin)
        return result


class _Beside:
    """Another process, which writes until it is told to end."""

    def __init__(self, url: str) -> None:
        context = get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_write_beside, args=(url, theirs))
        self._process.start()
        self._ours.recv()  # it is ready

    def end(self) -> list[float]:
        """How long it waited."""
        self._ours.send("enough")
        waits: list[float] = self._ours.recv()
        self._process.join()
        return waits


def _write_beside(url: str, pipe: Any) -> None:
    store = SQLAlchemyStore.open(url)
    key, expires_at = b"beside", int(time.time()) + 86400
    store.count(key, expires_at)
    waits: list[float] = []
    pipe.send("ready")
    while not (waits and pipe.poll(_PAUSE)):  # once at least, however soon the purge is done
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
            while some := list(islice(lines, _AT_ONCE)):
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
    """Ids that do not come one after the other, as digests do not."""
    return f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}"
