"""Rounds over contestants, each in a process of its own: A B C, B C A, and so on, work by work."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

from .contestants import CONTESTANTS
from .environments import ROOT, find_python
from .site import Place
from .works import WORKS


class Child:
    """The process of a contestant."""

    def __init__(self, name: str, place: Place) -> None:
        self.name = name
        contestant = CONTESTANTS[name]
        fields = {**place._asdict(), "folder": str(place.folder)}
        command = [str(find_python(name)), "-m", "benchmarks.child", contestant.module, json.dumps(fields)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
        self._log = place.folder / "log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                bufsize=1,
            )
        self.lacks: list[str] = self._read()["lacks"]

    def order(self, **order: Any) -> Any:
        """Have it do something; what it answers."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            raise RuntimeError(f"{self.name} ended with status {status}, and said:\n{self._log.read_text()[-3000:]}")
        return json.loads(line)

    def end(self) -> None:
        """Let it go."""
        self._process.communicate()


@dataclass
class Result:
    """What came of a contestant's work, in nanoseconds: all requests, and the median of each round."""

    spent: list[int] = field(default_factory=list)
    rounds: list[float] = field(default_factory=list)
    statements: int = 0
    commits: int = 0

    def quartiles(self) -> tuple[float, float, float]:
        """Of all requests."""
        low, middle, high = quantiles(self.spent, n=4) if len(self.spent) > 1 else self.spent * 3
        return low, middle, high

    def ratio(self, floor: Result) -> float:
        """To the floor: the median of the ratios of the rounds, so that what disturbs a round disturbs both."""
        return median(mine / other for mine, other in zip(self.rounds, floor.rounds, strict=True))


Results = dict[str, dict[str, Result]]
"""By contestant and work."""


@dataclass
class Contest:
    """What came of all."""

    results: Results
    failures: dict[str, list[str]]


def hold(
    names: Iterable[str],
    open_place: Callable[[str], Place],
    *,
    rounds: int,
    requests: int,
    works: Iterable[str] = tuple(WORKS),
    say: Callable[[str], None] = lambda text: None,
) -> Contest:
    """Probe, count, then time."""
    children: dict[str, Child] = {}
    try:
        for name in names:
            say(f"{name}: starting")
            children[name] = Child(name, open_place(name))
        failures = {name: child.order(do="probe") if name != "bare" else [] for name, child in children.items()}
        results: Results = {name: {} for name in children}
        pairs = [(name, work) for work in works for name in children if work not in children[name].lacks]
        for name, work in pairs:
            children[name].order(do="time", work=work, times=max(2, requests // 10))  # warms up
            statements, commits = children[name].order(do="count", work=work)
            results[name][work] = Result(statements=statements, commits=commits)
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for work in works:
                order = [name for name, other in pairs if other == work]
                turn = number % len(order) if order else 0
                for name in order[turn:] + order[:turn]:
                    spent = children[name].order(do="time", work=work, times=requests)
                    results[name][work].spent += spent
                    results[name][work].rounds.append(median(spent))
    finally:
        for child in children.values():
            child.end()
    return Contest(results, failures)


def floor_of(name: str, results: Mapping[str, Any]) -> str | None:
    """Whom a contestant is compared with, if that took part."""
    floor = CONTESTANTS[name].floor
    return floor if floor in results else None
