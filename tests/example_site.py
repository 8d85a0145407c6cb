"""An example application, started with ``flask run`` as users start it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from servers import PATIENCE, reserve_port


@contextmanager
def serve(folder: Path, app: str, port: int | None = None, **environment: str) -> Iterator[str]:
    """Run the application in the file ``app`` of a folder, and yield its URL."""
    port = port or reserve_port()
    arguments = [sys.executable, "-m", "flask", "--app", app, "run", "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(arguments, cwd=folder, stdout=log, stderr=log, env=os.environ | environment)
    try:
        deadline = time.monotonic() + PATIENCE
        while not _answers(port):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _answers(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
