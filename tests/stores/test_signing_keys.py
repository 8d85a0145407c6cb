"""Signing keys on every store: many workers find the same keys, and never sign with one that is not published."""

from __future__ import annotations

from typing import Any

import pytest
from stores.signing_workers import create, kids, open_keys, process, rotate
from stores.workers import Race

from flask_oauth2 import MemoryStore
from flask_oauth2.keys import states
from flask_oauth2.keys.states import PUBLISHED_AFTER, PUBLISHED_AHEAD, SET_LIFETIME
from flask_oauth2.records import CLOCKS_DIFFER
from flask_oauth2.stores.base import Store, collect
from flask_oauth2.testing.samples import NOW

MANY = 8
PERIOD = 4 * PUBLISHED_AHEAD


@pytest.fixture(
    params=[
        "memory-threads",
        "sqlite-threads",
        "sqlite-processes",
        "postgresql-processes",
        "mariadb-processes",
        "mysql-processes",
        "redis_sqlite-processes",
    ]
)
def race(request: pytest.FixtureRequest) -> Race:
    kind, competitors = request.param.split("-")
    if kind == "memory":
        return Race(MemoryStore())
    url = " ".join(request.getfixturevalue(f"{part}_url") for part in kind.split("_"))
    return Race(request.getfixturevalue("open_store")(url), url if competitors == "processes" else None)


def rows_of(store: Store) -> list[Any]:
    found = collect(store).keys
    assert found is not None
    return states.keys_only(found.list_keys())


def test_workers_that_start_together_agree_on_the_first_keys(race: Race) -> None:
    algorithms = ["ES256", "EdDSA", "RS256"]
    orders = [algorithms, algorithms[::-1]] * (MANY // 2)
    answers = race.run([(create, order, NOW) for order in orders])
    rows = rows_of(race.store)
    assert sorted(row.algorithm for row in rows) == ["ES256", "EdDSA", "RS256"]
    signing = {row.algorithm: row.id for row in rows}
    for order, (signed, published) in zip(orders, answers, strict=True):
        assert signed == [signing[algorithm] for algorithm in order]
        assert sorted(published) == sorted(signing.values())


def test_workers_that_rotate_together_agree_on_the_next_key(race: Race) -> None:
    open_keys(race.store, ["ES256"]).find_signer(NOW)
    (first,) = rows_of(race.store)
    due = NOW + PERIOD - PUBLISHED_AHEAD
    answers = race.run([(rotate, PERIOD, due)] * MANY)
    assert [row.number for row in rows_of(race.store)] == [1, 2]
    assert answers == [(first.id, [row.id for row in rows_of(race.store)])] * MANY
    taken_over = race.run([(rotate, PERIOD, NOW + PERIOD)] * MANY)
    assert {signed for signed, _ in taken_over} == {rows_of(race.store)[1].id}
    assert [row.retires_at for row in rows_of(race.store)] == [NOW + PERIOD, None]


def test_two_processes_and_a_clock(url: str) -> None:
    """Neither ever signs with a key that a copy of the set, from either process, lacks.

    The clock of one process is a minute slow. Other parties use each copy as long as they may.
    """
    copies: list[tuple[float, set[str]]] = []
    signed: list[str] = []
    with process(url, ["ES256"], PERIOD) as one, process(url, ["ES256"], PERIOD) as other:
        for now in range(int(NOW), int(NOW) + 2 * PERIOD + PUBLISHED_AHEAD, 300):
            for step, shift in ((one, 0), (other, -CLOCKS_DIFFER)):
                kid, published = step(now + shift)
                copies = [(until, known) for until, known in copies if until >= now]
                copies.append((now + SET_LIFETIME, set(published)))
                assert all(kid in known for _, known in copies)
                signed.append(kid)
    assert len(set(signed)) == 3


def test_a_life_on_every_store(store: Store) -> None:
    keys = open_keys(store, ["ES256"], PERIOD)
    first = keys.find_signer(NOW).kid
    keys.find_signer(NOW + PERIOD - PUBLISHED_AHEAD)
    second = keys.find_signer(NOW + PERIOD).kid
    assert second != first
    assert kids(keys, NOW + PERIOD) == [first, second]
    later = NOW + PERIOD + PUBLISHED_AFTER
    assert kids(open_keys(store, ["ES256"]), later) == [second]
    assert sum(store.purge(int(later))) >= 2
    assert [row.id for row in rows_of(store)] == [second]
