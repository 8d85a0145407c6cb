"""The command line: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from . import contest, report
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
    with tempfile.TemporaryDirectory() as folder:

        def open_place(name: str) -> Place:
            return Place(contest.fresh(Path(folder) / name))

        held = contest.hold(
            asked.only.split(","),
            open_place,
            rounds=asked.rounds,
            requests=asked.requests,
            works=asked.works.split(","),
            say=lambda text: print(text, file=sys.stderr),
        )
    print(report.write_contest(held))


if __name__ == "__main__":
    main()
