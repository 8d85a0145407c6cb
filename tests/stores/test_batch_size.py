"""A purge deletes as many rows in one transaction as a moment allows."""

from __future__ import annotations

import pytest

from flask_oauth2.stores.sqlalchemy.batch_size import MOMENT, PAUSE, BatchSize


class Machine:
    """A machine with its own speed and clock."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.now = 0.0
        self.sizes: list[int] = []

    def delete(self, rows: range) -> int:
        self.now += self.seconds * len(rows)
        self.sizes.append(len(rows))
        return len(rows)


@pytest.mark.parametrize(("seconds", "rows"), [(0, 500), (MOMENT / 100, 100), (MOMENT / 3, 3), (MOMENT * 4, 1)])
def test_it_learns_how_many_rows_fit(seconds: float, rows: int) -> None:
    machine = Machine(seconds)
    size = BatchSize(clock=lambda: machine.now)
    assert sum(size.divide(range(5000), machine.delete)) == 5000
    assert machine.sizes[-2] == pytest.approx(rows, abs=1)


def test_a_machine_that_becomes_slow_is_noticed_at_once() -> None:
    machine = Machine(0)
    size = BatchSize(clock=lambda: machine.now)
    list(size.divide(range(2000), machine.delete))
    machine.seconds = MOMENT / 10
    machine.sizes.clear()
    list(size.divide(range(600), machine.delete))
    assert machine.sizes[0] == 500
    assert machine.sizes[1] == pytest.approx(10, abs=1)


def test_no_rows_are_no_work() -> None:
    assert list(BatchSize().divide([], len)) == []


def test_where_there_is_one_lock_others_have_it_longer() -> None:
    machine, rests = Machine(MOMENT / 25), []
    size = BatchSize(PAUSE, lambda: machine.now, rests.append)
    for _ in range(2):
        list(size.divide(range(50), machine.delete))
    assert machine.sizes == [25, 25] * 2
    assert rests == pytest.approx([MOMENT * PAUSE] * 3), "nobody waits for what is done"
