"""Rounds over libraries, each in a process of its own: A B C, B C A, and so on, operation by operation."""

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
    """A library and where it is."""

    library: Library
    place: Place


def environment() -> dict[str, str]:
    """What a library's process is given: its own modules, and hashes that are the same in every run."""
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
            operation for operation in library.operations or OPERATIONS if operation not in about["lacks"]
        ]
        self.paths: dict[str, str | None] = about["paths"]
        self.machine_id: str = about["machine_id"]

    def order(self, **order: Any) -> Any:
        """Have it do something; what it answers."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # why it has ended is told below
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.end()
            said = self._log.read_text()[-3000:]
            raise RuntimeError(f"{self.name} ended with status {self._process.returncode}, and said:\n{said}")
        return json.loads(line)

    def end(self) -> None:
        """Let it go, if it has not gone."""
        if self._process.returncode is None:
            self._process.communicate()


@dataclass
class Result:
    """What came of a library's operation, in nanoseconds: quartiles of all requests, and the median of each round."""

    quartiles: list[float]
    rounds: list[float]
    statements: int
    commits: int

    def ratio(self, baseline: Result) -> float:
        """To the baseline: the median of the ratios of the rounds, so that what disturbs a round disturbs both."""
        return median(mine / other for mine, other in zip(self.rounds, baseline.rounds, strict=True))


@dataclass
class Comparison:
    """What came of all: results by library and operation, with whom each is compared, and what it does not refuse."""

    results: dict[str, dict[str, Result]] = field(default_factory=dict)
    baselines: dict[str, str] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)

    def ratio(self, name: str, operation: str, baseline: str | None = None) -> float | None:
        """To its baseline, or to another; None where one of both did not take part."""
        mine = self.results[name].get(operation)
        other = self.results.get(baseline or self.baselines[name], {}).get(operation)
        return mine.ratio(other) if mine and other else None

    def write(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def read(cls, members: dict[str, Any]) -> Comparison:
        """From JSON."""
        results = {
            name: {operation: Result(**result) for operation, result in operations.items()}
            for name, operations in members["results"].items()
        }
        return cls(results, members["baselines"], members["failures"])


Log = Callable[[str], None]


def hold(
    entries: dict[str, Entry],
    *,
    rounds: int,
    requests: int,
    operations: Iterable[str] = tuple(OPERATIONS),
    log: Log = lambda text: None,
) -> Comparison:
    """Probe, count, then time."""
    children: dict[str, Child] = {}
    comparison = Comparison(
        {name: {} for name in entries}, {name: entry.library.baseline for name, entry in entries.items()}
    )
    try:
        for name, entry in entries.items():
            log(f"{name}: starting")
            children[name] = Child(name, entry)
            comparison.failures[name] = children[name].order(do="probe") if entry.library.is_provider else []
        for operation in operations:
            taking = [child for child in children.values() if operation in child.operations]
            if taking:
                log(OPERATIONS[operation][0])
                for entry in entries.values():
                    if entry.place.url is not None:
                        postgresql.analyze(entry.place.url)
                _compare(comparison, taking, operation, rounds, requests)
    finally:
        for child in children.values():
            child.end()
    return comparison


def _compare(comparison: Comparison, children: list[Child], operation: str, rounds: int, requests: int) -> None:
    counts: dict[str, list[int]] = {}
    spent: dict[str, list[list[int]]] = {child.name: [] for child in children}
    for child in children:
        child.order(do="time", operation=operation, times=20)  # warms up
        counts[child.name] = child.order(do="count", operation=operation)
    for number in range(rounds):
        turn = number % len(children)
        for child in children[turn:] + children[:turn]:
            spent[child.name].append(child.order(do="time", operation=operation, times=requests))
    for name, times in spent.items():
        every = [float(nanoseconds) for one in times for nanoseconds in one]
        quartiles = quantiles(every, n=4) if len(every) > 1 else every * 3
        comparison.results[name][operation] = Result(quartiles, [median(one) for one in times], *counts[name])
