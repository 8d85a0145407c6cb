"""The process of one library: ``python -m benchmarks.child MODULE PLACE``. It reads commands as JSON, one per line.

Only the standard library is imported in this module: it runs in the environment of every library.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from time import perf_counter_ns
from typing import Any

from . import statements
from .operations import OPERATIONS, Steps
from .probe import find_failures
from .site import Answer, Environ, Place, Site


def time_operations(site: Site, operations: list[Steps]) -> list[int]:
    """Run operations. Return the nanoseconds that the requests of each took."""
    wsgi, total = site.wsgi, 0

    def send(environ: Environ) -> Answer:
        nonlocal total
        start: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], error: Any = None) -> None:
            start.append(status)
            start.append(headers)

        begin = perf_counter_ns()
        body = wsgi(environ, start_response)
        octets = b"".join(body)
        if hasattr(body, "close"):
            body.close()
        total += perf_counter_ns() - begin
        return Answer(int(start[0][:3]), start[1], octets)

    spent: list[int] = []
    for steps, environ in [(steps, next(steps)) for steps in operations]:
        total = 0
        _walk(steps, environ, send)
        spent.append(total)
    return spent


def count(site: Site, steps: Steps) -> list[int]:
    """Run an operation. Return its numbers of statements and commits."""
    counted = [0, 0]

    def send(environ: Environ) -> Answer:
        with statements.watch() as seen:
            answer = site.send(environ)
        counted[:] = [before + more for before, more in zip(counted, statements.count(seen), strict=True)]
        return answer

    _walk(steps, next(steps), send)
    return counted


def _walk(steps: Steps, environ: Environ, send: Callable[[Environ], Answer]) -> None:
    try:
        while True:
            environ = steps.send(send(environ))
    except StopIteration:
        pass


def run_command(site: Site, command: dict[str, Any]) -> Any:
    """Run a command and return its result."""
    if command["do"] == "probe":
        return list(find_failures(site))
    make = OPERATIONS[command["operation"]][1]
    if command["do"] == "count":
        return count(site, make(site))
    operations = [make(site) for _ in range(command["times"])]
    gc.collect()
    gc.freeze()
    return time_operations(site, operations)


def open_site(module: str, place: str) -> Site:
    """Return the site of a library."""
    site: Site = import_module(f"{__package__}.libraries.{module}").open_site(Place.read(place))
    return site


def main() -> None:
    """Open the site, report its operations, then run commands until the pipe is closed."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # output of a library is not a result
    statements.record_connections()
    site = open_site(sys.argv[1], sys.argv[2])
    site.sign_in()
    unsupported = [name for name in OPERATIONS if site.path(_PATH_OF.get(name, "token")) is None]
    about = {"unsupported": unsupported, "paths": dict(site.paths), "machine_id": site.machine_id}
    print(json.dumps(about), file=answers)
    for line in sys.stdin:
        print(json.dumps(run_command(site, json.loads(line))), file=answers)


_PATH_OF = {"metadata": "metadata", "introspection": "introspect", "revocation": "revoke"}

if __name__ == "__main__":
    main()
