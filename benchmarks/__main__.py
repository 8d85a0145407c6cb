"""The command line: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from . import contest, postgresql, report
from .contest import Contest, Entry
from .contestants import CONTESTANTS
from .environments import BUILD
from .site import Place
from .works import WORKS


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure flask_oauth2 beside others.")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=200, help="of each work, contestant and round")
    parser.add_argument("--only", default=",".join(CONTESTANTS), help="contestants, with commas between")
    parser.add_argument("--works", default=",".join(WORKS), help="works, with commas between")
    parser.add_argument("--short", action="store_true", help="at most two minutes")
    parser.add_argument("--results", type=Path, default=BUILD / "results", help="the folder that keeps them")
    asked = parser.parse_args()
    if asked.short:
        asked.rounds, asked.requests = 5, 60
    with open_entries(asked.only.split(",")) as entries:
        held = contest.hold(
            entries, rounds=asked.rounds, requests=asked.requests, works=asked.works.split(","), say=say
        )
    print(write(held))
    asked.results.mkdir(parents=True, exist_ok=True)
    (asked.results / "contest.json").write_text(json.dumps(held.write()))


def say(text: str) -> None:
    """What is going on, for who waits."""
    print(text, file=sys.stderr, flush=True)


def write(held: Contest) -> str:
    """All tables of a contest."""
    parts = ["microseconds, median (quartiles)", report.write_times(held)]
    parts += ["times the floor", report.write_ratios(held)]
    if "bare" in held.results:
        parts += ["times the bare route", report.write_ratios(held, "bare")]
    parts += ["SQL statements, commits", report.write_counts(held), report.write_failures(held)]
    return "\n\n".join(parts)


@contextmanager
def open_entries(names: list[str]) -> Iterator[dict[str, Entry]]:
    """Folders and databases for contestants, which are gone in the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
        needs_server = any(CONTESTANTS[name].database == "postgresql" for name in names)
        server = stack.enter_context(postgresql.serve()) if needs_server else None
        entries = {}
        for name in names:
            contestant = CONTESTANTS[name]
            is_served = server is not None and contestant.database == "postgresql"
            url = server.make_database(name) if server is not None and is_served else None
            (folder / name).mkdir()
            entries[name] = Entry(contestant, Place(folder / name, url, contestant.options))
        yield entries


if __name__ == "__main__":
    main()
