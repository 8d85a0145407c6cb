"""Servers of our own, which tests start, kill and start again."""

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
    """Bind a port for a server that this process starts later, and starts again; no other process receives it.

    The socket stays bound and does not listen: a connection is refused until the server listens, and the system gives
    the port to nobody else. Every server here sets ``SO_REUSEADDR``, which lets it bind a port that is held so.
    """
    held = socket()
    held.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    _RESERVED.append(held)
    port: int = held.getsockname()[1]
    return port


def require(program: str | Path | None, package: str) -> str:
    """The path of a server's program; without it the test is skipped, and fails in the gate."""
    found = program and shutil.which(program)
    if not found:
        fail = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        fail(f"no {package} server on this machine: apt-get install {package}")
    return found


def await_port(port: int) -> None:
    """Wait until somebody listens."""
    deadline = monotonic() + PATIENCE
    while True:
        try:
            create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert monotonic() < deadline, f"nobody listens on port {port}"


class RedisServer:
    """A Redis server that keeps all that it acknowledges, in a folder."""

    def __init__(self, folder: Path, *options: str) -> None:
        program = require("redis-server", "redis-server")
        self.port = reserve_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        self._command += ["--appendonly", "yes", "--appendfsync", "always", *options]
        self._log = folder / "redis.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it has read what it had."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        await_port(self.port)
        with redis.Redis(port=self.port) as client:
            deadline = monotonic() + PATIENCE
            while client.info("persistence")["loading"]:
                assert monotonic() < deadline

    def send(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """``kill -9``."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None


class PostgreSQLServer:
    """A PostgreSQL server with one database, ``store``. It refuses to run as root, who becomes ``postgres``."""

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
        """Start it, and wait until it has recovered. What a killed one has left may be in the way for a moment."""
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

    def stop_at_once(self) -> None:
        """Its "immediate" shutdown: nothing is written first."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(PATIENCE)

    def kill(self) -> None:
        """``kill -9`` of the postmaster; the others notice and go."""
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
        """The process ids of those that serve."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    @property
    def log(self) -> str:
        """What it and the application have printed."""
        return self._log.read_text()

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(PATIENCE)
