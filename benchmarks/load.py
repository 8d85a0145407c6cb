"""HTTP on loopback: gunicorn with two workers, and clients in another process, in rounds over libraries."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from statistics import median, quantiles
from typing import Any, NamedTuple

from .comparison import Child, Entry, Log, environment
from .environments import ROOT, find_python

WORKER_CLASSES = ("sync", "gthread")
OPERATIONS = ("client_credentials", "refresh", "guard")
CONNECTIONS = 4
_TIMEOUT = 30


@dataclass
class Load:
    """The rate per second and the quartiles in microseconds of an operation with a worker class."""

    name: str
    worker_class: str
    operation: str
    rate: float
    latencies: list[float]

    def write(self) -> dict[str, Any]:
        """Return the members for JSON."""
        return asdict(self)


class Server(NamedTuple):
    """A library that gunicorn serves, and its clients."""

    name: str
    worker_class: str
    gunicorn: subprocess.Popen[bytes]
    client: subprocess.Popen[str]

    def run(self, operation: str, times: int) -> dict[str, Any]:
        """Run an operation many times. Return the total seconds, and the microseconds of each."""
        assert self.client.stdin is not None
        assert self.client.stdout is not None
        self.client.stdin.write(json.dumps({"operation": operation, "times": times}) + "\n")
        self.client.stdin.flush()
        line = self.client.stdout.readline()
        if not line:
            raise RuntimeError(f"the clients of {self.name} ended with status {self.client.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """End the clients and the server."""
        self.client.communicate()
        self.gunicorn.terminate()
        self.gunicorn.wait(_TIMEOUT)


def measure(entries: dict[str, Entry], *, rounds: int, requests: int, log: Log) -> list[Load]:
    """Measure the rates and latencies of every library with every worker class."""
    if find_spec("gunicorn") is None:
        raise SystemExit("gunicorn is not installed. Run: python -m pip install gunicorn")
    loads: list[Load] = []
    with ExitStack() as stack:
        servers = []
        for name, entry in entries.items():
            log(f"{name}: starting gunicorn")
            for worker_class in WORKER_CLASSES:
                servers.append(start(name, entry, worker_class))
                stack.callback(servers[-1].end)
        for operation in OPERATIONS:
            log(f"{operation} over HTTP")
            participants = [
                server for server in servers if operation in (entries[server.name].library.operations or OPERATIONS)
            ]
            loads += _compare(participants, operation, rounds, requests)
    return loads


def _compare(servers: list[Server], operation: str, rounds: int, requests: int) -> list[Load]:
    for server in servers:
        server.run(operation, 10 * CONNECTIONS)  # warms up
    rates: dict[int, list[float]] = {index: [] for index in range(len(servers))}
    latencies: dict[int, list[float]] = {index: [] for index in range(len(servers))}
    for number in range(rounds):
        order = list(range(len(servers)))
        turn = number % len(order)
        for index in order[turn:] + order[:turn]:
            answer = servers[index].run(operation, requests)
            rates[index].append(len(answer["latencies"]) / answer["seconds"])
            latencies[index] += answer["latencies"]
    return [
        Load(server.name, server.worker_class, operation, median(rates[index]), quantiles(latencies[index], n=4))
        for index, server in enumerate(servers)
    ]


def start(name: str, entry: Entry, worker_class: str) -> Server:
    """Start gunicorn with two workers, and the process of the clients."""
    library, place = entry
    opened = Child(name, entry)  # creates the database before two workers do
    opened.end()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["-w", "2", "-k", worker_class, "--threads", "4", "--keep-alive", "60", "-b", f"127.0.0.1:{port}"]
    if worker_class == "sync":
        options[4:6] = []
    with (place.folder / f"gunicorn-{worker_class}.log").open("w") as log:
        gunicorn = subprocess.Popen(
            [find_python(library), "-m", "gunicorn", *options, "benchmarks.serve:app"],
            cwd=ROOT,
            env={**environment(), "BENCHMARK_MODULE": library.module, "BENCHMARK_PLACE": place.write()},
            stdout=log,
            stderr=log,
        )
    deadline = time.monotonic() + _TIMEOUT
    while not _answers(port):
        if gunicorn.poll() is not None or time.monotonic() > deadline:
            gunicorn.kill()
            raise RuntimeError(f"gunicorn did not start {name}:\n{(place.folder / log.name).read_text()[-3000:]}")
        time.sleep(0.05)
    about = {"port": port, "paths": opened.paths, "machine_id": opened.machine_id, "connections": CONNECTIONS}
    client = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.client", json.dumps(about)],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    return Server(name, worker_class, gunicorn, client)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
