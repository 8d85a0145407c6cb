"""A streaming replica of the tests' PostgreSQL server, whose lag a test can make."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg
from pytest_postgresql.executors import PostgreSQLExecutor
from pytest_postgresql.retry import retry
from servers import PATIENCE, reserve_port


class Replica:
    """Runs inside ``with``."""

    def __init__(self, primary: PostgreSQLExecutor, programs: Path) -> None:
        self._primary = primary
        self._programs = programs
        self.directory = Path(tempfile.mkdtemp(prefix="replica-"))
        self._user: list[str] = []
        if os.getuid() == 0:
            shutil.chown(self.directory, "postgres", "postgres")
            self._user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        self.port = reserve_port()

    def __enter__(self) -> Replica:
        of_primary = ["-h", self._primary.host, "-p", str(self._primary.port), "-U", self._primary.user]
        self._run("pg_basebackup", *of_primary, "-D", self.directory / "data", "-R", "-X", "stream", "-c", "fast")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.directory)

    def start(self) -> None:
        options = f"-p {self.port} -k {self.directory}"
        self._control("start", "-w", "-o", options, "-l", self.directory / "log")

    def stop(self) -> None:
        self._control("stop", "-m", "immediate")

    def _control(self, what: str, *arguments: Any) -> None:
        self._run("pg_ctl", what, "-D", self.directory / "data", *arguments)

    def _run(self, program: str, *arguments: Any) -> None:
        command = [*self._user, str(self._programs / program), *map(str, arguments)]
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, timeout=PATIENCE)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://{self._primary.user}@127.0.0.1:{self.port}/{database}"

    def pause(self) -> None:
        """Let it lag behind from here on."""
        self._ask(self.port, "SELECT pg_wal_replay_pause()")
        retry(self._assert_paused, PATIENCE, possible_exception=AssertionError)

    def _assert_paused(self) -> None:
        assert self._ask(self.port, "SELECT pg_get_wal_replay_pause_state()") == "paused"

    def catch_up(self) -> None:
        """Let it go on, and wait until it knows all that the primary knows now."""
        if self._ask(self.port, "SELECT pg_is_wal_replay_paused()"):
            self._ask(self.port, "SELECT pg_wal_replay_resume()")
        position = self._ask(self._primary.port, "SELECT pg_current_wal_flush_lsn()::text")
        retry(lambda: self._assert_at(position), PATIENCE, possible_exception=AssertionError)

    def _assert_at(self, position: str) -> None:
        assert self._ask(self.port, f"SELECT pg_last_wal_replay_lsn() >= '{position}'")

    def _ask(self, port: int, statement: str) -> Any:
        with psycopg.connect(
            host="127.0.0.1", port=port, user=self._primary.user, dbname="postgres", autocommit=True
        ) as connection:
            row = connection.execute(statement).fetchone()
            return row and row[0]
