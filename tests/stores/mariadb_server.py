"""A MariaDB server of our own, with all it writes in one folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pymysql
from pytest_postgresql.retry import retry
from servers import PATIENCE, reserve_port


def find_mariadbd() -> str | None:
    """Debian keeps it in /usr/sbin, which is not on everybody's PATH."""
    return shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class MariaDBServer:
    """Runs inside ``with``; root has no password."""

    driver = "mariadb+pymysql"
    _options: tuple[str, ...] = ()

    def __init__(self, program: str) -> None:
        self._program = program
        self.directory = Path(tempfile.mkdtemp(prefix="mariadb-"))
        self.port = reserve_port()
        self._user = ["--user=root"] if os.getuid() == 0 else []
        # a server that starts takes away what it believes to be its own in the folder of temporary files
        self._environ = {**os.environ, "TMPDIR": str(self.directory)}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> MariaDBServer:
        with (self.directory / "log").open("ab") as log:
            command = [*self._make(), f"--datadir={self.directory / 'data'}", *self._user]
            subprocess.run(command, check=True, stdout=log, stderr=log, env=self._environ)
        self.start()
        return self

    def _make(self) -> list[str]:
        """Return the command that makes the data folder."""
        return ["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.directory)

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = ["--no-defaults", f"--datadir={self.directory / 'data'}", *self._user, "--bind-address=127.0.0.1"]
        options += [f"--port={self.port}", f"--socket={self.directory / 'socket'}", "--skip-name-resolve"]
        options += self._options
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen([self._program, *options], stdout=log, stderr=log, env=self._environ)
        retry(self._ask, PATIENCE, possible_exception=pymysql.Error)

    def _ask(self) -> None:
        assert self._process is not None
        assert self._process.poll() is None, (self.directory / "log").read_text()
        self.run("SELECT 1")

    def stop(self) -> None:
        """Stop, and wait until it is gone."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)
            self._process = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Away for a while."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def run(self, *statements: str, database: str | None = None) -> Any:
        """Send statements as root: the rows of the last."""
        connection = pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", database=database, autocommit=True, connect_timeout=PATIENCE
        )
        with closing(connection), connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()

    def url(self, name: str) -> str:
        """The URI of a database."""
        return f"{self.driver}://root@127.0.0.1:{self.port}/{name}"
