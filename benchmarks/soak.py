"""Full load on gunicorn for minutes: memory, files, connections and latencies must not grow."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from statistics import quantiles
from typing import Any

from .comparison import Entry, Log
from .load import start

OPERATIONS = ("client_credentials", "code", "refresh", "introspection", "revocation", "guard")
_BATCH = 100
SLICES = 10
"""The number of rows of the table."""


@dataclass
class Slice:
    """A tenth of the time: operations per second, quartiles in microseconds, and the resources at its end."""

    name: str
    until: float
    """The end, in minutes since the start."""
    rate: float
    latencies: list[float]
    memory: float
    """MiB of the largest worker, without mapped files."""
    files: int
    """The highest number of open file descriptors of a worker."""
    connections: int | None
    """Database connections of all workers, or None without a database server."""

    def write(self) -> dict[str, Any]:
        """Return the members for JSON."""
        return asdict(self)


def measure(entries: dict[str, Entry], *, minutes: float, log: Log) -> list[Slice]:
    """Load each library for some minutes, on gunicorn with threads."""
    return [found for name, entry in entries.items() for found in _soak(name, entry, minutes, log)]


def _soak(name: str, entry: Entry, minutes: float, log: Log) -> Iterator[Slice]:
    server = start(name, entry, "gthread")
    try:
        for operation in OPERATIONS:
            server.run(operation, _BATCH)  # warms up
        begin, operations = time.monotonic(), cycle(OPERATIONS)
        for number in range(1, SLICES + 1):
            log(f"{name}: slice {number} of {SLICES}")
            until, seconds = minutes * number / SLICES, 0.0
            latencies: list[float] = []
            while not latencies or time.monotonic() < begin + until * 60:  # at least once, even on a slow machine
                answer = server.run(next(operations), _BATCH)
                latencies += answer["latencies"]
                seconds += answer["seconds"]
            workers = _find_workers(server.gunicorn)
            yield Slice(
                name,
                until,
                len(latencies) / seconds,
                quantiles(latencies, n=4),
                max(_memory(pid) for pid in workers),
                max(len(os.listdir(f"/proc/{pid}/fd")) for pid in workers),
                _count_connections(entry.place.url),
            )
    finally:
        server.end()


def _find_workers(gunicorn: subprocess.Popen[bytes]) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{gunicorn.pid}/task/{gunicorn.pid}/children").read_text().split()]


def _memory(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def _count_connections(url: str | None) -> int | None:
    if url is None:
        return None
    import psycopg

    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    assert found is not None
    return int(found[0])
