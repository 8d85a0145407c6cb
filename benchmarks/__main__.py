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

from . import comparison, growth, keys, load, machine, postgresql, purge, report, soak, startup
from .comparison import Comparison, Entry
from .documents import FOLDER, Documents
from .environments import BUILD
from .libraries import LIBRARIES
from .operations import OPERATIONS
from .site import Place

PARTS = ("comparison", "keys", "growth", "http", "startup", "soak", "purge")


def read_arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Compare flask_oauth2 with other libraries."
    )
    parser.add_argument("--comparison", action="store_true", help="time requests in process (the default part)")
    parser.add_argument("--keys", action="store_true", help="time JSON Web Tokens and published keys")
    parser.add_argument("--growth", action="store_true", help="time requests in databases with many tokens")
    parser.add_argument("--http", action="store_true", help="measure rates and latencies with gunicorn")
    parser.add_argument("--startup", action="store_true", help="measure CPU time and memory at start")
    parser.add_argument("--soak", action="store_true", help="run full load for minutes and measure memory")
    parser.add_argument("--purge", action="store_true", help="measure how long a purge delays other writes")
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help="write the tables of the named parts, or of all parts, to the documentation",
    )
    parser.add_argument("--short", action="store_true", help="limit a comparison to two minutes")
    parser.add_argument("--rounds", type=int, default=15, help="number of rounds (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=200, help="requests per operation, library and round")
    parser.add_argument("--only", type=_split, default=list(LIBRARIES), help="comma-separated libraries")
    parser.add_argument("--operations", type=_split, default=list(OPERATIONS), help="comma-separated operations")
    parser.add_argument(
        "--sizes", type=_split, default=growth.SIZES, help="comma-separated numbers of tokens for --growth"
    )
    parser.add_argument("--minutes", type=float, default=10, help="minutes per library for --soak")
    parser.add_argument("--rows", type=int, default=purge.SIZE, help="number of rows for --purge")
    parser.add_argument("--results", type=Path, default=BUILD / "results", help="the folder for the JSON results")
    parser.add_argument("--docs", type=Path, default=FOLDER, help="the folder for --write-docs")
    options = parser.parse_args()
    for option, names, known in (("only", options.only, LIBRARIES), ("operations", options.operations, OPERATIONS)):
        if unknown := set(names) - set(known):
            parser.error(f"unknown --{option}: {', '.join(sorted(unknown))}. Choose from: {', '.join(known)}")
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
        result = comparison.compare(
            entries, rounds=options.rounds, requests=options.requests, operations=options.operations, log=log
        )
    _save(options, "comparison", result.write())
    print(write(result))
    if documents:
        documents.write_comparison(result)


def _keys(options: argparse.Namespace, documents: Documents | None) -> None:
    pairs = keys.measure(rounds=options.rounds, requests=options.requests, log=log)
    _save(options, "keys", [pair.write() for pair in pairs])
    print("keys, microseconds", report.write_pairs(pairs), sep="\n\n")
    if documents:
        documents.write_pairs(pairs)


def _growth(options: argparse.Namespace, documents: Documents | None) -> None:
    sizes = tuple(map(int, options.sizes))
    result = growth.measure(
        sizes, rounds=options.rounds, requests=options.requests, operations=options.operations, log=log
    )
    _save(options, "growth", result.write())
    print("time relative to the smallest database", report.write_ratios(result), report.write_times(result), sep="\n\n")
    if documents:
        documents.write_growth(result)


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
    with open_entries([name for name in options.only if name in SOAK_LIBRARIES]) as entries:
        slices = soak.measure(entries, minutes=options.minutes, log=log)
    _save(options, "soak", [one.write() for one in slices])
    print("under full load", report.write_slices(slices), sep="\n\n")
    if documents:
        documents.write_slices(slices)


def _purge(options: argparse.Namespace, documents: Documents | None) -> None:
    with open_entries([name for name in options.only if name in SOAK_LIBRARIES]) as entries:
        purges = purge.measure(entries, size=options.rows, log=log)
    _save(options, "purge", [one.write() for one in purges])
    print("purging", report.write_purges(purges), sep="\n\n")
    if documents:
        documents.write_purges(purges)


SOAK_LIBRARIES = ("flask_oauth2", "flask_oauth2-postgresql")
"""The libraries of ``--soak`` and ``--purge``."""

MEASURE = {
    "comparison": _comparison,
    "keys": _keys,
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
    """Print progress to standard error."""
    print(text, file=sys.stderr, flush=True)


def write(result: Comparison) -> str:
    """Return all tables of a comparison."""
    parts = ["microseconds, median (quartiles)", report.write_times(result)]
    parts += ["time relative to the baseline", report.write_ratios(result)]
    if "bare" in result.results:
        parts += ["time relative to the bare route", report.write_ratios(result, "bare")]
    parts += ["SQL statements, commits", report.write_counts(result), report.write_failures(result)]
    return "\n\n".join(parts)


@contextmanager
def open_entries(names: list[str]) -> Iterator[dict[str, Entry]]:
    """Create the folders and databases of libraries, and delete them at the end."""
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
