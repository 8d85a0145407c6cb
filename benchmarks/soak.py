"""Full load for minutes: gunicorn, and whether memory, connections and latencies stay what they were."""

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
_AT_A_TIME = 100
SLICES = 10
"""Rows of the table, whatever the minutes."""


@dataclass
class Slice:
    """A tenth of the time: operations per second, quartiles in microseconds, and what is held at its end."""

    name: str
    until: float
    """Minutes since the start."""
    rate: float
    latencies: list[float]
    memory: float
    """MiB of the biggest worker, without files that it has mapped."""
    files: int
    """Open file descriptors of the worker that has most."""
    connections: int | None
    """Of all workers to the database, where that is a server."""

    def write(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def measure(entries: dict[str, Entry], *, minutes: float, log: Log) -> list[Slice]:
    """Each library for so many minutes, under gunicorn with threads."""
    return [found for name, entry in entries.items() for found in _soak(name, entry, minutes, log)]


def _soak(name: str, entry: Entry, minutes: float, log: Log) -> Iterator[Slice]:
    server = start(name, entry, "gthread")
    try:
        for operation in OPERATIONS:
            server.order(operation, _AT_A_TIME)  # warms up
        begin, operations = time.monotonic(), cycle(OPERATIONS)
        for number in range(1, SLICES + 1):
            log(f"{name}: slice {number} of {SLICES}")
            until, seconds = minutes * number / SLICES, 0.0
            latencies: list[float] = []
            while not latencies or time.monotonic() < begin + until * 60:  # once at least, however slow the machine
                answer = server.order(next(operations), _AT_A_TIME)
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
