"""Workers that sign, as threads or processes."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

from stores.workers import PATIENCE, open_by_url

from flask_oauth2.keys.signing import StoredKeys
from flask_oauth2.settings import Settings
from flask_oauth2.stores.base import Store, collect

LOADED = ["flask_oauth2.keys.library", "flask_oauth2.stores.sqlalchemy", "psycopg", "pymysql", "stores.workers"]


def open_keys(store: Store, algorithms: Sequence[str], period: int | None = None, secret: str = "secret") -> StoredKeys:
    settings = Settings.load(
        {"SECRET_KEY": secret, "OAUTH2_SIGNING_ALGORITHMS": algorithms, "OAUTH2_KEY_ROTATION_PERIOD": period}
    )
    return StoredKeys(settings, lambda: collect(store).keys)


def kids(keys: StoredKeys, now: float) -> list[str]:
    return [jwk["kid"] for jwk in json.loads(keys.find_published(now).body)["keys"]]


def create(store: Store, algorithms: Sequence[str], now: float) -> Callable[[], Any]:
    """Find the first keys of a store at the same moment as others."""
    keys = open_keys(store, algorithms)

    def act() -> Any:
        published = kids(keys, now)
        return [keys.find_signer(now, algorithm).kid for algorithm in algorithms], published

    return act


def rotate(store: Store, period: int, now: float) -> Callable[[], Any]:
    """Find a key that is due at the same moment as others."""
    keys = open_keys(store, ["ES256"], period)
    return lambda: (keys.find_signer(now).kid, kids(keys, now))


Step = Callable[[float], tuple[str, list[str]]]


@contextmanager
def process(url: str, algorithms: Sequence[str], period: int) -> Iterator[Step]:
    """A process with its own store, which returns what it signs with and what it publishes at a time."""
    context = get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    ours, theirs = context.Pipe()
    worker = context.Process(target=_work, args=(theirs, url, algorithms, period))
    worker.start()
    theirs.close()

    def step(now: float) -> tuple[str, list[str]]:
        ours.send(now)
        assert ours.poll(PATIENCE)
        kid, published, failure = ours.recv()
        assert failure is None, failure
        return kid, published

    try:
        yield step
    finally:
        ours.close()
        worker.join(PATIENCE)
        worker.close()


def _work(pipe: Any, url: str, algorithms: Sequence[str], period: int) -> None:
    keys = open_keys(open_by_url(url), algorithms, period)
    while True:
        try:
            now = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send((keys.find_signer(now).kid, kids(keys, now), None))
        except BaseException:
            pipe.send((None, None, traceback.format_exc()))
