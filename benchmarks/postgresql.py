"""A temporary PostgreSQL server, with the programs that Debian's package installs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def find_programs() -> Path | None:
    """Return the folder of the newest server's programs, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[4]))
    return found[-1].parent if found else None


class PostgreSQL:
    """A running server."""

    def __init__(self, port: int, programs: Path, run: list[str]) -> None:
        self._port, self._programs, self._run = port, programs, run

    def make_database(self, name: str) -> str:
        """Create an empty database and return its URL."""
        at = ["-h", "127.0.0.1", "-p", str(self._port), "-U", "postgres"]
        subprocess.run([*self._run, self._programs / "createdb", *at, name], check=True, cwd="/")
        return f"postgresql+psycopg://postgres@127.0.0.1:{self._port}/{name}"


def analyze(url: str) -> None:
    """Update the statistics of the tables, which the server otherwise does within a minute."""
    import psycopg

    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("ANALYZE")


@contextmanager
def serve() -> Iterator[PostgreSQL]:
    """Start a server, and stop it at the end. It runs as ``postgres`` if the user is root."""
    programs = find_programs()
    if programs is None:
        raise SystemExit("PostgreSQL was not found in /usr/lib/postgresql. Run: apt-get install postgresql")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    run: list[str] = []
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        run = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
    data, log = folder / "data", folder / "log"
    control = [*run, str(programs / "pg_ctl"), "-D", str(data), "-l", str(log), "-w", "-s"]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    try:
        initdb = [*run, str(programs / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust", "-E", "UTF8"]
        subprocess.run(initdb, check=True, cwd="/", stdout=subprocess.DEVNULL)
        subprocess.run([*control, "-o", options, "start"], check=True, cwd="/")
        try:
            yield PostgreSQL(port, programs, run)
        finally:
            subprocess.run([*control, "-m", "fast", "stop"], check=True, cwd="/")
    finally:
        shutil.rmtree(folder)
