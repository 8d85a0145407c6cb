"""The command line: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from . import contest, postgresql, report
from .contestants import CONTESTANTS
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
    asked = parser.parse_args()
    if asked.short:
        asked.rounds, asked.requests = 5, 60
    names = asked.only.split(",")
    with ExitStack() as stack:
        places = stack.enter_context(open_places(names))
        held = contest.hold(
            names,
            places,
            rounds=asked.rounds,
            requests=asked.requests,
            works=asked.works.split(","),
            say=lambda text: print(text, file=sys.stderr),
        )
    print(report.write_contest(held))


@contextmanager
def open_places(names: list[str]) -> Iterator[Callable[[str], Place]]:
    """Folders and databases for contestants, which are gone in the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
        needs_server = any(CONTESTANTS[name].database == "postgresql" for name in names)
        server = stack.enter_context(postgresql.serve()) if needs_server else None

        def open_place(name: str) -> Place:
            url = None
            if CONTESTANTS[name].database == "postgresql" and server is not None:
                url = server.make_database(name)
            place = folder / name
            place.mkdir()
            return Place(place, url)

        yield open_place


if __name__ == "__main__":
    main()
