"""Rounds over libraries, each in its own process: A B C, then B C A, and so on, for each operation."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from statistics import median, quantiles
from typing import Any, NamedTuple

from . import postgresql
from .environments import ROOT, find_python
from .libraries import Library
from .operations import OPERATIONS
from .site import Place


class Entry(NamedTuple):
    """A library and the place of its data."""

    library: Library
    place: Place


def environment() -> dict[str, str]:
    """Return the environment of a library's process, with a fixed hash seed."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}


class Child:
    """The process of a library."""

    def __init__(self, name: str, entry: Entry) -> None:
        self.name = name
        library, place = entry
        command = [str(find_python(library)), "-m", "benchmarks.child", library.module, place.write()]
        self._log = place.folder / "log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                bufsize=1,
            )
        about = self._read()
        self.operations = [
            operation for operation in library.operations or OPERATIONS if operation not in about["unsupported"]
        ]
        self.paths: dict[str, str | None] = about["paths"]
        self.machine_id: str = about["machine_id"]

    def command(self, **command: Any) -> Any:
        """Send a command and return the result."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # reading the result reports why the process has ended
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.end()
            log = self._log.read_text()[-3000:]
            raise RuntimeError(f"{self.name} ended with status {self._process.returncode}. Its log:\n{log}")
        return json.loads(line)

    def end(self) -> None:
        """End the process if it still runs."""
        if self._process.returncode is None:
            self._process.communicate()


@dataclass
class Result:
    """The times of a library's operation in nanoseconds: quartiles of all requests, and the median of each round."""

    quartiles: list[float]
    rounds: list[float]
    statements: int
    commits: int

    def ratio(self, baseline: Result) -> float:
        """Return the median of the ratios of all rounds, so that a slow round affects both sides."""
        return median(mine / other for mine, other in zip(self.rounds, baseline.rounds, strict=True))


@dataclass
class Comparison:
    """Results by library and operation, with the baseline of each library and the probes that it failed."""

    results: dict[str, dict[str, Result]] = field(default_factory=dict)
    baselines: dict[str, str] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)

    def ratio(self, name: str, operation: str, baseline: str | None = None) -> float | None:
        """Return the ratio to a baseline, by default the library's own, or None if either has no result."""
        mine = self.results[name].get(operation)
        other = self.results.get(baseline or self.baselines[name], {}).get(operation)
        return mine.ratio(other) if mine and other else None

    def write(self) -> dict[str, Any]:
        """Return the members for JSON."""
        return asdict(self)

    @classmethod
    def read(cls, members: dict[str, Any]) -> Comparison:
        """Return a comparison from its JSON members."""
        results = {
            name: {operation: Result(**result) for operation, result in operations.items()}
            for name, operations in members["results"].items()
        }
        return cls(results, members["baselines"], members["failures"])


Log = Callable[[str], None]


def compare(
    entries: dict[str, Entry],
    *,
    rounds: int,
    requests: int,
    operations: Iterable[str] = tuple(OPERATIONS),
    log: Log = lambda text: None,
) -> Comparison:
    """Probe each library, count its statements, then time its operations."""
    children: dict[str, Child] = {}
    comparison = Comparison(
        {name: {} for name in entries}, {name: entry.library.baseline for name, entry in entries.items()}
    )
    try:
        for name, entry in entries.items():
            log(f"{name}: starting")
            children[name] = Child(name, entry)
            comparison.failures[name] = children[name].command(do="probe") if entry.library.is_provider else []
        for operation in operations:
            participants = [child for child in children.values() if operation in child.operations]
            if participants:
                log(OPERATIONS[operation][0])
                for entry in entries.values():
                    if entry.place.url is not None:
                        postgresql.analyze(entry.place.url)
                _compare(comparison, participants, operation, rounds, requests)
    finally:
        for child in children.values():
            child.end()
    return comparison


def _compare(comparison: Comparison, children: list[Child], operation: str, rounds: int, requests: int) -> None:
    counts: dict[str, list[int]] = {}
    times: dict[str, list[list[int]]] = {child.name: [] for child in children}
    for child in children:
        child.command(do="time", operation=operation, times=20)  # warms up
        counts[child.name] = child.command(do="count", operation=operation)
    for number in range(rounds):
        turn = number % len(children)
        for child in children[turn:] + children[:turn]:
            times[child.name].append(child.command(do="time", operation=operation, times=requests))
    for name, rounds_of in times.items():
        every = [float(nanoseconds) for one in rounds_of for nanoseconds in one]
        quartiles = quantiles(every, n=4) if len(every) > 1 else every * 3
        comparison.results[name][operation] = Result(quartiles, [median(one) for one in rounds_of], *counts[name])
