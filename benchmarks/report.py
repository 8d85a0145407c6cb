"""Tables, as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .contest import Contest, floor_of
from .works import WORKS


def write_contest(contest: Contest) -> str:
    """Microseconds, ratios to the floor, statements and commits, and who failed the probe."""
    names = list(contest.results)
    works = [work for work in WORKS if any(work in contest.results[name] for name in names)]
    head = ["work", *names]
    cells: dict[str, list[list[str]]] = {"microseconds": [], "ratio to the floor": [], "statements, commits": []}
    for work in works:
        rows: dict[str, list[str]] = {title: [WORKS[work][0]] for title in cells}
        for name in names:
            result = contest.results[name].get(work)
            floor = floor_of(name, contest.results)
            if result is None:
                for row in rows.values():
                    row.append("–")
                continue
            low, middle, high = (number / 1000 for number in result.quartiles())
            rows["microseconds"].append(f"{middle:.0f} ({low:.0f}–{high:.0f})")
            compared = contest.results[floor].get(work) if floor else None
            rows["ratio to the floor"].append(f"{result.ratio(compared):.2f}" if compared else "–")
            rows["statements, commits"].append(f"{result.statements}, {result.commits}")
        for title, row in rows.items():
            cells[title].append(row)
    parts = [f"{title}\n{table(head, rows)}" for title, rows in cells.items()]
    parts += [f"{name} does not refuse {', '.join(failed)}" for name, failed in contest.failures.items() if failed]
    return "\n\n".join(parts)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A simple table of reStructuredText."""
    lines = [list(head), *(list(row) for row in rows)]
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
