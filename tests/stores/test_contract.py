"""Every store passes the contract, and a store that breaks it fails."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from flask_oauth2 import MemoryStore
from flask_oauth2.testing import StoreContract, races


class TestStores(StoreContract):
    """With the fixture ``store``, which is each store of the package."""


MODULE = """
import pytest

from flask_oauth2 import MemoryStore
from flask_oauth2.testing import StoreContract, races


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


class Pausing(dict[Any, Any]):
    """A dict that lets other threads run after each read."""

    def get(self, *arguments: Any) -> Any:
        found = super().get(*arguments)
        time.sleep(0.001)
        return found

    def __contains__(self, key: object) -> bool:
        found = super().__contains__(key)
        time.sleep(0.001)
        return found


class Unlocked(MemoryStore):
    """A store that reads and then writes."""

    _lock = nullcontext()

    def _clear(self) -> None:
        super()._clear()
        vars(self).update({name: Pausing() for name, value in vars(self).items() if type(value) is dict})


RACES = sorted(name for name in vars(races.TestRaces) if name.startswith("test_"))


@pytest.mark.parametrize("name", RACES)
def test_a_store_without_its_lock_fails_each_race(name: str) -> None:
    def is_lost(attempt: int) -> bool:
        try:
            getattr(races.TestRaces(), name)(Unlocked(), attempt)
        except (AssertionError, KeyError):
            return True
        return False

    assert any(is_lost(attempt) for attempt in range(races.ROUNDS))


@pytest.mark.parametrize("name", RACES)
def test_a_store_with_its_lock_passes_each_race_however_slow_it_is(name: str) -> None:
    class Locked(Unlocked):
        _lock = MemoryStore._lock  # type: ignore[assignment]

    getattr(races.TestRaces(), name)(Locked(), 0)


def test_an_error_of_a_thread_fails_the_race() -> None:
    def fail() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        races.compete([fail, lambda: 1])
