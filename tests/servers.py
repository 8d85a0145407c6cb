"""Servers that tests start, kill and restart."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from socket import SO_REUSEADDR, SOL_SOCKET, create_connection, socket
from time import monotonic

import pytest
import redis

PATIENCE = 300
"""Seconds after which a test fails because a server or a process does not answer, on the slowest machine."""

_RESERVED: list[socket] = []


def reserve_port() -> int:
    """Bind a port for a server that this process starts and restarts later, so that no other process receives it.

    The socket stays bound and does not listen: connections are refused until the server listens, and the
    system does not assign the port again. Every server in this module sets ``SO_REUSEADDR``, so it can bind the port.
    """
    bound = socket()
    bound.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", 0))
    _RESERVED.append(bound)
    port: int = bound.getsockname()[1]
    return port


def require(program: str | Path | None, package: str) -> str:
    """Return the path of a server's program. If it is missing, skip the test, or fail it in CI."""
    found = program and shutil.which(program)
    if not found:
        fail = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        fail(f"no {package} server on this machine: apt-get install {package}")
    return found


def await_port(port: int) -> None:
    """Wait until a server listens on a port."""
    deadline = monotonic() + PATIENCE
    while True:
        try:
            create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert monotonic() < deadline, f"no server listens on port {port}"


class RedisServer:
    """A Redis server with a folder, where it saves every acknowledged write."""

    def __init__(self, folder: Path, *options: str) -> None:
        program = require("redis-server", "redis-server")
        self.port = reserve_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        self._command += ["--appendonly", "yes", "--appendfsync", "always", *options]
        self._log = folder / "redis.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, and wait until it has loaded its data."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        await_port(self.port)
        with redis.Redis(port=self.port) as client:
            deadline = monotonic() + PATIENCE
            while client.info("persistence")["loading"]:
                assert monotonic() < deadline

    def send(self, number: int) -> None:
        """Send a signal to the server."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None


class PostgreSQLServer:
    """A PostgreSQL server with one database, ``store``. It runs as ``postgres`` if the user is root."""

    def __init__(self, folder: Path) -> None:
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[4]))
        self._programs = Path(require(programs[-1] / "postgres" if programs else None, "postgresql")).parent
        self._folder = folder
        self._data = folder / "data"
        self._as_user: list[str] = []
        if os.getuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
            self._as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        self.port = reserve_port()
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/store"
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8")
        self.start()
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "store")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, str(self._programs / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=self._folder, timeout=PATIENCE)

    def start(self) -> None:
        """Start the server, and wait until it has recovered. A killed server may block the start for a moment."""
        command = [*self._as_user, str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        command += ["-k", str(self._folder), "-c", "listen_addresses=127.0.0.1"]
        deadline = monotonic() + PATIENCE
        is_ready = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while True:
            assert monotonic() < deadline, (self._folder / "postgresql.log").read_text()
            if self._process is None or self._process.poll() is not None:
                with (self._folder / "postgresql.log").open("ab") as log:
                    self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)
            if subprocess.run(is_ready).returncode == 0 and self._process.poll() is None:
                return

    def stop_immediately(self) -> None:
        """Run the "immediate" shutdown, which writes nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(PATIENCE)

    def kill(self) -> None:
        """Kill the postmaster with SIGKILL. The other processes notice and exit."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE)


class Gunicorn:
    """Several worker processes that serve an application, as in production."""

    def __init__(self, application: str, folder: Path, workers: int, threads: int = 1, **variables: str) -> None:
        self.port = reserve_port()
        command = [sys.executable, "-m", "gunicorn", application, "--bind", f"127.0.0.1:{self.port}"]
        command += ["--workers", str(workers), "--threads", str(threads), "--worker-tmp-dir", str(folder)]
        self._log = folder / "gunicorn.log"
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | variables
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment)
        await_port(self.port)

    @property
    def workers(self) -> list[int]:
        """Return the process IDs of the workers."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    @property
    def log(self) -> str:
        """Return the output of gunicorn and of the application."""
        return self._log.read_text()

    def stop(self) -> None:
        """Stop gunicorn."""
        self._process.terminate()
        self._process.wait(PATIENCE)
