"""Servers of our own, which tests start, kill and start again."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import closing
from pathlib import Path
from socket import create_connection, create_server
from time import monotonic

import pytest
import redis

PATIENCE = 30
"""Seconds after which a server that does not come fails the test."""


def free_port() -> int:
    """A port on which nobody listens."""
    with closing(create_server(("127.0.0.1", 0))) as probe:
        port: int = probe.getsockname()[1]
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
        self.port = free_port()
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

    def send(self, signal: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(signal)

    def kill(self) -> None:
        """``kill -9``."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None
