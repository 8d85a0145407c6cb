"""The tables and plots that docs/benchmarks.rst includes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from . import plots, report
from .comparison import Comparison
from .environments import ROOT
from .keys import Pair
from .libraries import LIBRARIES
from .load import Load
from .operations import OPERATIONS
from .plots import Group
from .purge import Purged
from .soak import Slice
from .startup import Start

FOLDER = ROOT / "docs" / "benchmarks"


class Documents:
    """A folder of tables and plots."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def _write(self, name: str, text: str) -> None:
        (self._folder / name).write_text(text.rstrip("\n") + "\n")

    def write_machine(self, lines: Iterable[tuple[str, str]]) -> None:
        """Write the description of the machine."""
        self._write("machine.rst", "\n".join(f":{name}: {value}" for name, value in lines))

    def write_comparison(self, comparison: Comparison) -> None:
        """Write ratios, times and counts on SQLite and PostgreSQL, and the failed probes."""
        for database in dict.fromkeys(LIBRARIES[name].database for name in comparison.results):
            names = [name for name in comparison.results if LIBRARIES[name].database == database]
            part = Comparison(
                {name: comparison.results[name] for name in names}, comparison.baselines, comparison.failures
            )
            self._write(f"{database}-ratios.rst", report.write_ratios(part))
            self._write(f"{database}-times.rst", report.write_times(part))
            self._write(f"{database}-counts.rst", report.write_counts(part))
            self._write(
                f"{database}.svg", _draw_ratios(f"Time relative to the baseline, {database}; lower is better", part)
            )
            if "bare" in names:
                self._write("bare.rst", report.write_ratios(part, "bare"))
        self._write("probe.rst", report.write_failures(comparison))

    def write_growth(self, comparison: Comparison) -> None:
        """Write ratios to the smallest database."""
        self._write("growth.rst", report.write_ratios(comparison))
        self._write("growth-times.rst", report.write_times(comparison))
        first = next(iter(comparison.results))
        self._write("growth.svg", _draw_ratios(f"Time relative to {first}; lower is better", comparison))

    def write_loads(self, loads: list[Load]) -> None:
        """Write rates and latencies."""
        self._write("http.rst", report.write_loads(loads))
        names = list(dict.fromkeys(load.name for load in loads))
        rates = {(load.name, load.worker_class, load.operation): load.rate for load in loads}
        groups = [
            Group(
                f"{OPERATIONS[operation][0]}, {worker_class}",
                [rates.get((name, worker_class, operation)) for name in names],
            )
            for operation, worker_class in dict.fromkeys((load.operation, load.worker_class) for load in loads)
        ]
        self._write("http.svg", plots.draw("Requests per second over HTTP; higher is better", names, groups))

    def write_starts(self, starts: list[Start]) -> None:
        """Write CPU times and memory."""
        self._write("startup.rst", report.write_starts(starts))
        groups = [
            Group("CPU, milliseconds", [start.cpu for start in starts]),
            Group("memory, MiB", [start.memory for start in starts]),
        ]
        title = "Start and one request; lower is better"
        self._write("startup.svg", plots.draw(title, [start.name for start in starts], groups))

    def write_pairs(self, pairs: list[Pair]) -> None:
        """Write the times of JSON Web Tokens and published keys."""
        self._write("keys.rst", report.write_pairs(pairs))

    def write_purges(self, purges: list[Purged]) -> None:
        """Write how long a purge delays other writes."""
        self._write("purge.rst", report.write_purges(purges))

    def write_slices(self, slices: list[Slice]) -> None:
        """Write memory, files and connections under full load."""
        self._write("soak.rst", report.write_slices(slices))


def _draw_ratios(title: str, comparison: Comparison) -> str:
    names = list(comparison.results)
    operations = [operation for operation in OPERATIONS if any(operation in comparison.results[name] for name in names)]
    groups = [
        Group(OPERATIONS[operation][0], [comparison.ratio(name, operation) for name in names])
        for operation in operations
    ]
    return plots.draw(title, names, [group for group in groups if any(group.numbers)], line=1)
