"""Races: several threads do the same thing to a store at the same moment, and only one may succeed.

A store without a lock or a transaction fails these tests.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Barrier, BrokenBarrierError, Thread
from typing import Any, TypeVar

import pytest

from ..stores.base import Store, collect
from .samples import (
    FAR,
    NOW,
    new_authorization,
    new_client,
    new_consent,
    new_device,
    new_grant,
    new_key,
    new_session,
    new_signing_key,
    new_token,
    save_record,
)

COMPETITORS = 8
ROUNDS = 5
"""The number of repetitions: a store that is not atomic may be lucky once."""

TIMEOUT = 60
"""Seconds after which a thread that hangs fails the test."""

Result = TypeVar("Result")


def compete(acts: Sequence[Callable[[], Result]]) -> list[Result]:
    """Run each function in its own thread, all at the same moment. Return the results, or raise the first error.

    The interpreter switches between threads as often as it can.
    """
    barrier = Barrier(len(acts))
    results: dict[int, Result] = {}
    errors: list[BaseException] = []

    def run(number: int, act: Callable[[], Result]) -> None:
        try:
            barrier.wait(TIMEOUT)
            results[number] = act()
        except BaseException as error:
            errors.append(error)

    threads = [Thread(target=run, args=(number, act), daemon=True) for number, act in enumerate(acts)]
    with _switching_often():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT)
    for error in sorted(errors, key=lambda error: isinstance(error, BrokenBarrierError)):
        raise error
    return [results[number] for number in range(len(acts))]


@contextmanager
def _switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def race(act: Callable[[int], Result]) -> list[Result]:
    """Call one function once per competitor, with the number of the competitor."""
    return compete([lambda number=number: act(number) for number in range(COMPETITORS)])  # type: ignore[misc]


def _require(capability: Any, name: str) -> Any:
    return capability or pytest.skip(f"the store does not implement {name}")


@pytest.mark.parametrize("attempt", range(ROUNDS))
class TestRaces:
    """One competitor wins each race. Each test runs several times."""

    def test_a_code_is_spent_once(self, store: Store, attempt: int) -> None:
        grant = save_record(store, new_grant())
        tokens = [new_token(grant.authorization) for _ in range(COMPETITORS)]
        won = race(lambda number: store.issue(grant, [tokens[number]], NOW))
        assert sum(won) == 1
        found = [store.get_access(token.access.token_hash) for token in tokens]
        assert [access is not None for access in found] == won

    def test_a_refresh_token_is_spent_once(self, store: Store, attempt: int) -> None:
        token = save_record(store, new_token())
        children = [new_token(parent=token) for _ in range(COMPETITORS)]
        won = race(lambda number: store.issue(token, [children[number]], NOW))
        assert sum(won) == 1
        found = [store.get_refresh(child.refresh_token_hash or b"") for child in children]
        assert [child is not None for child in found] == won

    def test_a_counter_counts_each(self, store: Store, attempt: int) -> None:
        key = new_key()
        assert sorted(race(lambda _: store.count(key, FAR))) == list(range(1, COMPETITORS + 1))

    def test_a_key_is_remembered_once(self, store: Store, attempt: int) -> None:
        key = new_key()
        assert sum(race(lambda _: store.remember(key, FAR))) == 1
        assert store.remember(key, FAR) is False

    def test_one_decision_is_saved(self, store: Store, attempt: int) -> None:
        devices = _require(collect(store).devices, "DeviceStore")
        device = save_record(store, new_device())
        owners = [new_authorization(user_id=f"user-{number}") if number % 2 else None for number in range(COMPETITORS)]
        won = race(lambda number: devices.decide(device, owners[number], NOW))
        assert sum(won) == 1
        owner = owners[won.index(True)]
        expected = replace(device, authorization=owner, is_denied=owner is None)
        assert store.get_grant(device.key, "device_code") == expected

    def test_one_poll_is_recorded(self, store: Store, attempt: int) -> None:
        devices = _require(collect(store).devices, "DeviceStore")
        device = save_record(store, new_device())
        assert sum(race(lambda number: devices.poll(device, NOW, 5 + number))) == 1

    def test_one_consent_is_added(self, store: Store, attempt: int) -> None:
        consents = _require(collect(store).consents, "ConsentStore")
        given = [new_consent(user_id=f"user-{attempt}") for _ in range(COMPETITORS)]
        won = race(lambda number: consents.set_consent(given[number], None))
        assert sum(won) == 1
        assert consents.get_consent(f"user-{attempt}", "client") == given[won.index(True)]

    def test_one_consent_replaces_the_previous_one(self, store: Store, attempt: int) -> None:
        consents = _require(collect(store).consents, "ConsentStore")
        before = new_consent(user_id=f"user-{attempt}", by_resource={})
        assert consents.set_consent(before, None)
        given = [replace(before, scope=(f"scope-{number}",)) for number in range(COMPETITORS)]
        won = race(lambda number: consents.set_consent(given[number], before))
        assert sum(won) == 1
        assert consents.get_consent(f"user-{attempt}", "client") == given[won.index(True)]

    def test_one_client_is_added(self, store: Store, attempt: int) -> None:
        registration = _require(collect(store).registration, "RegistrationStore")
        clients = [new_client(client_id="same", name=f"client {number}") for number in range(COMPETITORS)]
        won = race(lambda number: registration.add_client(clients[number]))
        assert sum(won) == 1
        assert store.get_client("same") == clients[won.index(True)]

    def test_one_change_of_a_client_is_made(self, store: Store, attempt: int) -> None:
        registration = _require(collect(store).registration, "RegistrationStore")
        before = new_client()
        store.set_client(before)
        clients = [replace(before, name=f"client {number}", secret=f"s{number}") for number in range(COMPETITORS)]
        won = race(lambda number: registration.change_client(clients[number], before))
        assert sum(won) == 1
        assert store.get_client(before.client_id) == clients[won.index(True)]

    def test_one_signing_key_is_added(self, store: Store, attempt: int) -> None:
        keys = _require(collect(store).keys, "KeyStore")
        made = [new_signing_key() for _ in range(COMPETITORS)]
        won = race(lambda number: keys.add_key(made[number]))
        assert sum(won) == 1
        assert keys.list_keys() == [made[won.index(True)]]

    def test_one_change_of_a_signing_key_is_made(self, store: Store, attempt: int) -> None:
        keys, before = _require(collect(store).keys, "KeyStore"), new_signing_key()
        assert keys.add_key(before)
        made = [replace(before, retires_at=NOW + 1 + number) for number in range(COMPETITORS)]
        won = race(lambda number: keys.change_key(made[number], before))
        assert sum(won) == 1
        assert keys.list_keys() == [made[won.index(True)]]

    def test_a_session_ends_once(self, store: Store, attempt: int) -> None:
        sessions, session = _require(collect(store).sessions, "SessionStore"), new_session()
        sessions.add_session(session)
        won = race(lambda number: sessions.end_session(session.id, NOW + number))
        assert sum(won) == 1
        assert sessions.get_session(session.id) == replace(session, ended_at=NOW + won.index(True))
