"""State that belongs to one process."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event, Lock
from typing import Any

import pytest
from stores.workers import PATIENCE, AsChild

import flask_oauth2
from flask_oauth2.processes import OfProcess, Once, cached
from flask_oauth2.resource.token_cache import TokenCache
from flask_oauth2.testing.samples import new_token
from oauth_site import Site


def test_a_lock_that_the_parent_held_at_the_fork_is_free_in_the_child(as_child: AsChild) -> None:
    lock = OfProcess(Lock)
    with lock.own:
        assert lock.own.locked()
        with as_child():
            assert not lock.own.locked()
            assert lock.own is lock.own
        assert lock.own.locked()


def test_a_real_child_does_not_wait_for_a_thread_of_its_parent(site: Site) -> None:
    store = site.store
    with store._lock:
        child = os.fork()
        if child == 0:
            taken = store._lock.acquire(timeout=PATIENCE)
            os._exit(0 if taken else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_threads_of_a_new_process_agree_on_one_value(as_child: AsChild) -> None:
    made = OfProcess(Lock)
    with as_child():
        together = Barrier(8)

        def take(_: int) -> Any:
            together.wait(PATIENCE)
            return made.own

        with ThreadPoolExecutor(8) as pool:
            assert len(set(map(id, pool.map(take, range(8))))) == 1


def test_one_thread_works_while_the_others_wait() -> None:
    once, made, may_end, together = Once(), [], Event(), Barrier(4)

    def make() -> int:
        may_end.wait(PATIENCE)
        made.append(7)
        return 7

    def take(_: int) -> int:
        together.wait(PATIENCE)
        return once.run(lambda: made[0] if made else None, make)

    with ThreadPoolExecutor(4) as pool:
        results = pool.map(take, range(4))
        may_end.set()
        assert list(results) == [7] * 4
    assert made == [7]


def test_after_a_failure_the_next_one_tries() -> None:
    once, tried, may_fail = Once(), [], Event()

    def make() -> int:
        tried.append(1)
        if len(tried) == 1:
            may_fail.wait(PATIENCE)
            raise LookupError
        return 7

    def take(_: int) -> int:
        return once.run(lambda: None, make)

    with ThreadPoolExecutor(2) as pool:
        first, second = (pool.submit(take, one) for one in range(2))
        may_fail.set()
        assert [type(future.exception(PATIENCE)) for future in (first, second)].count(LookupError) == 1
    assert len(tried) == 2


def test_work_that_another_thread_finished_meanwhile_is_not_done_again() -> None:
    found: list[int | None] = [None, 7]
    assert Once().run(lambda: found.pop(0), lambda: pytest.fail("it is done")) == 7


def test_work_under_way_in_the_parent_is_not_awaited_in_the_child(as_child: AsChild) -> None:
    once = Once()

    def make_in_child() -> int:
        with as_child():
            return once.run(lambda: None, lambda: 7)

    assert once.run(lambda: None, make_in_child) == 7


def test_a_cached_property_is_computed_once_and_documented() -> None:
    class Owner:
        computed = 0

        @cached
        def value(self) -> int:
            """Seven."""
            self.computed += 1
            return 7

    owner = Owner()
    assert [owner.value, owner.value, owner.computed] == [7, 7, 1]
    assert Owner.value.__doc__ == "Seven."


def test_tokens_of_the_parent_are_forgotten_and_the_child_listens_itself(as_child: AsChild) -> None:
    cache, listened = TokenCache(60), []
    cache.subscribe(lambda: listened.append(1))
    access = new_token().access
    cache.put("value", access, cache.clock())
    assert cache.get("value") == access
    with as_child():
        assert cache.get("value") is None
        cache.put("value", access, cache.clock())
        assert cache.get("value") == access
        assert len(listened) == 2
    cache.put("other", access, cache.clock())
    assert cache.get("value") is None
    assert len(listened) == 3


def test_without_a_server_that_tells_tokens_of_the_parent_are_forgotten_too(as_child: AsChild) -> None:
    cache, access = TokenCache(60), new_token().access
    cache.put("value", access, cache.clock())
    with as_child():
        assert cache.get("value") is None


def test_nothing_rests_on_hooks_that_not_every_server_calls() -> None:
    root = Path(flask_oauth2.__file__).parent
    sources = {path: path.read_text() for path in root.rglob("*.py")}
    assert not [path for path, text in sources.items() if "register_at_fork" in text]
    # before Python 3.12 it holds one lock for all instances while it computes
    assert not [path for path, text in sources.items() if "import cached_property" in text]
