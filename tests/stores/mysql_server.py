"""A MySQL server for the tests, with everything it writes in one folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from stores.mariadb_server import MariaDBServer


def find_mysqld() -> str | None:
    """Return the program that ``.ci/install_mysql`` has unpacked, or the one of the machine.

    A program with this name may be a link to MariaDB.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folders = f"{cache / 'flask_oauth2' / 'mysql'}:{os.environ.get('PATH', '')}:/usr/sbin"
    for folder in folders.split(":"):
        program = shutil.which("mysqld", path=folder)
        if program and "MariaDB" not in subprocess.run([program, "--version"], capture_output=True, text=True).stdout:
            return program
    return None


def require_mysqld() -> str:
    """Return the program. Without it a test is skipped, and fails in the gate if the gate has installed it."""
    found = find_mysqld()
    if found is None:
        is_needed = os.environ.get("CI") == "true" and os.environ.get("MISSING") != "mysql"
        (pytest.fail if is_needed else pytest.skip)("no MySQL server: .ci/install_mysql")
    return found


class MySQLServer(MariaDBServer):
    """Runs inside ``with``; root has no password. Nothing is synced to the disk: tests end the process at most."""

    driver = "mysql+pymysql"
    _options = (
        "--mysqlx=OFF",
        "--secure-file-priv=NULL",
        "--disable-log-bin",
        "--innodb-buffer-pool-size=64M",
        "--innodb-redo-log-capacity=32M",
        "--innodb-flush-log-at-trx-commit=2",  # a killed server keeps what it acknowledged
        "--innodb-flush-method=nosync",
        "--innodb-doublewrite=OFF",
    )

    def _make(self) -> list[str]:
        users = self.directory / "users.sql"
        users.write_text("CREATE USER root@'127.0.0.1'; GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n")
        return [self._program, "--no-defaults", "--initialize-insecure", f"--init-file={users}", *self._options]
