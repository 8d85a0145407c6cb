"""Tables, as reStructuredText."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from .comparison import Comparison
from .keys import Pair
from .load import Load
from .operations import OPERATIONS
from .purge import Purged
from .soak import Slice
from .startup import Start

NOTHING = "–"


def write_ratios(comparison: Comparison, baseline: str | None = None) -> str:
    """Return a table of times relative to the baseline of each library, or to another."""

    def cell(name: str, operation: str) -> str:
        ratio = comparison.ratio(name, operation, baseline)
        return NOTHING if ratio is None else f"{ratio:.2f}"

    return _by_operation(comparison, cell)


def write_times(comparison: Comparison) -> str:
    """Return a table of the median and the quartiles in microseconds."""

    def cell(name: str, operation: str) -> str:
        low, middle, high = (number / 1000 for number in comparison.results[name][operation].quartiles)
        return f"{middle:.0f} ({low:.0f}–{high:.0f})"

    return _by_operation(comparison, cell)


def write_counts(comparison: Comparison) -> str:
    """Return a table of statements and commits."""

    def cell(name: str, operation: str) -> str:
        result = comparison.results[name][operation]
        return f"{result.statements}, {result.commits}"

    return _by_operation(comparison, cell)


def write_failures(comparison: Comparison) -> str:
    """Return a sentence for each library that failed a probe."""
    failed = [
        f"{name} does not reject {', '.join(failures)}." for name, failures in comparison.failures.items() if failures
    ]
    return "\n".join(failed) or "Every library passes the probe."


def write_loads(loads: list[Load]) -> str:
    """Return a table of requests per second, and of the median and the quartiles in milliseconds."""
    operations = list(dict.fromkeys(load.operation for load in loads))
    found = {(load.name, load.worker_class, load.operation): load for load in loads}

    def cell(load: Load | None) -> str:
        if load is None:
            return NOTHING
        low, middle, high = (number / 1000 for number in load.latencies)
        return f"{load.rate:,.0f}/s, {middle:.1f} ({low:.1f}–{high:.1f})"

    rows = (
        [name, worker_class, *(cell(found.get((name, worker_class, operation))) for operation in operations)]
        for name, worker_class in dict.fromkeys((load.name, load.worker_class) for load in loads)
    )
    return table(["", "workers", *(OPERATIONS[operation][0] for operation in operations)], rows)


def write_starts(starts: list[Start]) -> str:
    """Return a table of milliseconds of CPU and MiB of memory."""
    rows = ([start.name, f"{start.cpu:.0f}", f"{start.memory:.1f}"] for start in starts)
    return table(["", "CPU, ms", "memory, MiB"], rows)


def write_pairs(pairs: list[Pair]) -> str:
    """Return a table of the median and the quartiles in microseconds, of the bare route too, and the ratio."""

    def cell(quartiles: list[float]) -> str:
        low, middle, high = (number / 1000 for number in quartiles)
        return f"{middle:.0f} ({low:.0f}–{high:.0f})"

    rows = ([pair.name, cell(pair.quartiles), cell(pair.floor_quartiles), f"{pair.ratio:.2f}"] for pair in pairs)
    return table(["", "flask_oauth2, µs", "bare route, µs", "ratio"], rows)


def write_purges(purges: list[Purged]) -> str:
    """Return a table of rows, seconds, the longest transaction, and the times of concurrent writes."""

    def row(one: Purged) -> list[str]:
        writes = (f"{one.waits[at] * 1000:.1f} ({one.alone[at] * 1000:.1f})" for at in range(3))
        rate = f"{one.size / one.seconds:,.0f}/s"
        return [one.name, f"{one.size:,}", f"{one.seconds:.0f}", rate, f"{one.longest * 1000:.0f}", *writes]

    header = ["", "rows", "seconds", "", "longest transaction, ms", "median, ms", "99th percentile, ms", "longest, ms"]
    return table(header, map(row, purges))


def write_slices(slices: list[Slice]) -> str:
    """Return a table of operations per second, latencies, memory, files and connections."""

    def row(one: Slice) -> list[str]:
        low, middle, high = (number / 1000 for number in one.latencies)
        connections = NOTHING if one.connections is None else str(one.connections)
        times = [f"{one.until:g}", f"{one.rate:,.0f}/s", f"{middle:.1f} ({low:.1f}–{high:.1f})"]
        return [one.name, *times, f"{one.memory:.1f}", str(one.files), connections]

    return table(["", "minutes", "operations", "ms", "memory, MiB", "files", "connections"], map(row, slices))


def _by_operation(comparison: Comparison, cell: Callable[[str, str], str]) -> str:
    names = list(comparison.results)
    operations = [operation for operation in OPERATIONS if any(operation in comparison.results[name] for name in names)]
    rows = (
        [
            OPERATIONS[operation][0],
            *(cell(name, operation) if operation in comparison.results[name] else NOTHING for name in names),
        ]
        for operation in operations
    )
    return table(["", *names], rows)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a simple table of reStructuredText."""
    lines = [[cell or "\\" for cell in line] for line in (head, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rule = "  ".join("=" * width for width in widths)

    def write(line: list[str]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()

    def parts() -> Iterator[str]:
        yield rule
        yield write(lines[0])
        yield rule
        yield from map(write, lines[1:])
        yield rule

    return "\n".join(parts())
