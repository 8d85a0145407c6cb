"""The CPU time and memory of a new process that opens a site, in turns, compared with Flask alone.

``python -m benchmarks.startup MODULE PLACE`` runs one such process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from .comparison import Child, Entry, Log, environment
from .environments import ROOT, find_python


@dataclass
class Start:
    """The medians of a library's starts: milliseconds of CPU time and MiB of memory."""

    name: str
    cpu: float
    memory: float

    def write(self) -> dict[str, Any]:
        """Return the members for JSON."""
        return asdict(self)


def measure(entries: dict[str, Entry], *, rounds: int, log: Log) -> list[Start]:
    """Start the libraries in turns, after each has created its database and its modules are compiled."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in entries}
    for name, entry in entries.items():
        Child(name, entry).end()
    for number in range(rounds):
        log(f"start {number + 1} of {rounds}")
        for name, (library, place) in entries.items():
            command = [str(find_python(library)), "-m", "benchmarks.startup", library.module, place.write()]
            done = subprocess.run(command, cwd=ROOT, env=environment(), check=True, capture_output=True, text=True)
            cpu, memory = json.loads(done.stdout.splitlines()[-1])
            spent[name].append((cpu, memory))
    return [
        Start(name, median(cpu for cpu, _ in pairs) * 1000, median(memory for _, memory in pairs) / 1024)
        for name, pairs in spent.items()
    ]


def main() -> None:
    """Open a site, then report the time and memory of the start."""
    from .child import open_site

    site = open_site(sys.argv[1], sys.argv[2])
    site.sign_in()
    status = Path("/proc/self/status").read_text()
    memory = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    print(json.dumps([time.process_time(), memory]))


if __name__ == "__main__":
    main()
