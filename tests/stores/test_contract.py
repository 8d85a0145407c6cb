"""Every store keeps the contract, and a store that breaks it is found out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from flask_oauth2.testing import StoreContract


class TestStores(StoreContract):
    """Over the fixture ``store``, which is each of ours."""


MODULE = """
import pytest

from flask_oauth2 import MemoryStore
from flask_oauth2.testing import StoreContract


class Forgetful(MemoryStore):
    def revoked(self, *marks):
        return False


class TestKeeping(StoreContract):
    @pytest.fixture
    def store(self):
        return MemoryStore()


class TestForgetful(StoreContract):
    @pytest.fixture
    def store(self):
        return Forgetful()
"""


def test_in_a_project_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(MODULE)
    command = [sys.executable, "-m", "pytest", "-q", "--strict-markers", "-W", "error", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, "-rf", "test_mine.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert failed
    assert all("::TestForgetful::" in line for line in failed)
    assert "+    where get_grant = <test_mine.Forgetful object" in done.stdout  # a failure shows what came
