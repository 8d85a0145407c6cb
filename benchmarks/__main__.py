"""The command line: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import comparison, growth, load, machine, postgresql, purge, report, soak, startup
from .comparison import Comparison, Entry
from .documents import FOLDER, Documents
from .environments import BUILD
from .libraries import LIBRARIES
from .operations import OPERATIONS
from .site import Place

PARTS = ("comparison", "growth", "http", "startup", "soak", "purge")


def read_arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure flask_oauth2 beside others.")
    parser.add_argument(
        "--comparison", action="store_true", help="requests in process: what is done if no part is named"
    )
    parser.add_argument("--growth", action="store_true", help="the same in databases of many tokens")
    parser.add_argument("--http", action="store_true", help="rates and latencies under gunicorn")
    parser.add_argument("--startup", action="store_true", help="CPU and memory of starting")
    parser.add_argument("--soak", action="store_true", help="what stays as it was under full load for minutes")
    parser.add_argument("--purge", action="store_true", help="what purging many rows lets others wait")
    parser.add_argument("--write-docs", action="store_true", help="all parts, or those named, for docs/benchmarks.rst")
    parser.add_argument("--short", action="store_true", help="a comparison of two minutes at most")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=200, help="of each operation, library and round")
    parser.add_argument("--only", type=_split, default=list(LIBRARIES), help="libraries, with commas between")
    parser.add_argument("--operations", type=_split, default=list(OPERATIONS), help="operations, with commas between")
    parser.add_argument("--sizes", type=_split, default=growth.SIZES, help="tokens of the databases of --growth")
    parser.add_argument("--minutes", type=float, default=10, help="of --soak, for each library")
    parser.add_argument("--rows", type=int, default=purge.SIZE, help="of --purge")
    parser.add_argument("--results", type=Path, default=BUILD / "results", help="the folder that keeps what came out")
    parser.add_argument("--docs", type=Path, default=FOLDER, help="the folder of --write-docs")
    options = parser.parse_args()
    for option, names, known in (("only", options.only, LIBRARIES), ("operations", options.operations, OPERATIONS)):
        if unknown := set(names) - set(known):
            parser.error(f"--{option} takes {', '.join(known)}, not {', '.join(sorted(unknown))}")
    if options.short:
        options.rounds, options.requests = 5, 60
    return options


def _split(text: str) -> list[str]:
    return text.split(",")


def main() -> None:
    """Run the requested parts and print their tables."""
    options = read_arguments()
    parts = [part for part in PARTS if getattr(options, part)]
    parts = parts or (list(PARTS) if options.write_docs else ["comparison"])
    documents = Documents(options.docs) if options.write_docs else None
    for part in parts:
        MEASURE[part](options, documents)
    if documents:
        documents.write_machine(machine.describe(options.only, f"{datetime.now(UTC):%Y-%m-%d}"))


def _comparison(options: argparse.Namespace, documents: Documents | None) -> None:
    with open_entries(options.only) as entries:
        held = comparison.hold(
            entries, rounds=options.rounds, requests=options.requests, operations=options.operations, log=log
        )
    _save(options, "comparison", held.write())
    print(write(held))
    if documents:
        documents.write_comparison(held)


def _growth(options: argparse.Namespace, documents: Documents | None) -> None:
    sizes = tuple(map(int, options.sizes))
    held = growth.measure(
        sizes, rounds=options.rounds, requests=options.requests, operations=options.operations, log=log
    )
    _save(options, "growth", held.write())
    print("times the smallest", report.write_ratios(held), report.write_times(held), sep="\n\n")
    if documents:
        documents.write_growth(held)


def _http(options: argparse.Namespace, documents: Documents | None) -> None:
    with open_entries(options.only) as entries:
        loads = load.measure(entries, rounds=options.rounds, requests=options.requests, log=log)
    _save(options, "http", [one.write() for one in loads])
    print("requests per second, milliseconds", report.write_loads(loads), sep="\n\n")
    if documents:
        documents.write_loads(loads)


def _startup(options: argparse.Namespace, documents: Documents | None) -> None:
    with open_entries([name for name in options.only if not LIBRARIES[name].operations]) as entries:
        starts = startup.measure(entries, rounds=options.rounds, log=log)
    _save(options, "startup", [one.write() for one in starts])
    print("start", report.write_starts(starts), sep="\n\n")
    if documents:
        documents.write_starts(starts)


def _soak(options: argparse.Namespace, documents: Documents | None) -> None:
    with open_entries([name for name in options.only if name in SOAKED]) as entries:
        slices = soak.measure(entries, minutes=options.minutes, log=log)
    _save(options, "soak", [one.write() for one in slices])
    print("under full load", report.write_slices(slices), sep="\n\n")
    if documents:
        documents.write_slices(slices)


def _purge(options: argparse.Namespace, documents: Documents | None) -> None:
    with open_entries([name for name in options.only if name in SOAKED]) as entries:
        purges = purge.measure(entries, size=options.rows, log=log)
    _save(options, "purge", [one.write() for one in purges])
    print("purging", report.write_purges(purges), sep="\n\n")
    if documents:
        documents.write_purges(purges)


SOAKED = ("flask_oauth2", "flask_oauth2-postgresql")
"""Who is put under full load for minutes, and whose database is purged."""

MEASURE = {
    "comparison": _comparison,
    "growth": _growth,
    "http": _http,
    "startup": _startup,
    "soak": _soak,
    "purge": _purge,
}


def _save(options: argparse.Namespace, part: str, results: Any) -> None:
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / f"{part}.json").write_text(json.dumps(results))


def log(text: str) -> None:
    """What is going on, for who waits."""
    print(text, file=sys.stderr, flush=True)


def write(held: Comparison) -> str:
    """All tables of a comparison."""
    parts = ["microseconds, median (quartiles)", report.write_times(held)]
    parts += ["times the baseline", report.write_ratios(held)]
    if "bare" in held.results:
        parts += ["times the bare route", report.write_ratios(held, "bare")]
    parts += ["SQL statements, commits", report.write_counts(held), report.write_failures(held)]
    return "\n\n".join(parts)


@contextmanager
def open_entries(names: list[str]) -> Iterator[dict[str, Entry]]:
    """Folders and databases for libraries, which are gone in the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
        needs_server = any(LIBRARIES[name].database == "postgresql" for name in names)
        server = stack.enter_context(postgresql.serve()) if needs_server else None
        entries = {}
        for name in names:
            library = LIBRARIES[name]
            is_served = server is not None and library.database == "postgresql"
            url = server.make_database(name) if server is not None and is_served else None
            (folder / name).mkdir()
            entries[name] = Entry(library, Place(folder / name, url, library.options))
        yield entries


if __name__ == "__main__":
    main()
