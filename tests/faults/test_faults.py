"""Workers and servers that are killed under load: nothing that was acknowledged is lost, nothing is spent twice."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from faults.load import Caller, Load
from faults.site import CALLBACK
from servers import Gunicorn, PostgreSQLServer, RedisServer

from flask_oauth2 import Client, Consent, hash_secret, values
from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore

ROUNDS = 3

T = TypeVar("T")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is to be ended at the end."""
    with ExitStack() as stack:
        yield stack


def prepare(url: str) -> tuple[str, str]:
    """File a client and what Ada lets it have: its id and secret."""
    secret = values.new("ocs", values.timestamp(values.clock()))
    client = Client(
        client_id="web",
        secret=hash_secret(secret),
        redirect_uris=(CALLBACK,),
        grant_types=("authorization_code", "refresh_token", "client_credentials"),
        scope=("notes",),
    )
    store = SQLAlchemyStore.open(url)
    store.set_client(client)
    store.set_consent(
        Consent(id="of-ada", user_id="ada", client_id="web", scope=("notes",), granted_at=0, used_at=0), None
    )
    store.engine.dispose()
    return "web", secret


def test_nothing_is_lost_and_nothing_spent_twice(tmp_path_factory: pytest.TempPathFactory, stack: ExitStack) -> None:
    # pytest's own folders are closed to the user that PostgreSQL runs as
    postgresql = PostgreSQLServer(Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True))))
    stack.callback(postgresql.kill)
    redis = RedisServer(tmp_path_factory.mktemp("redis"))
    redis.start()
    stack.callback(redis.kill)
    client_id, secret = prepare(postgresql.url)
    folder = tmp_path_factory.mktemp("site")
    site = Gunicorn(
        "faults.site:make_app()",
        folder,
        workers=3,
        threads=4,
        SITE_FOLDER=str(folder),
        SITE_DATABASE=postgresql.url,
        SITE_REDIS=redis.url,
    )
    stack.callback(site.stop)
    load = Load(site.port, client_id, secret)
    stack.callback(load.end)
    for work, threads in ((load.credentials, 2), (load.flow, 3), (load.race, 1)):
        load.start(work, threads)
    load.await_works(
        "client_credentials",
        "guard",
        "revocation",
        "authorize",
        "code",
        "refresh",
        "race for a code",
        "race for a refresh",
    )

    done: Counter[str] = Counter()
    for number in range(ROUNDS):
        for _ in range(2):
            os.kill(random.choice(site.workers), signal.SIGKILL)  # the verdict does not hang on which
            done["a worker was killed"] += 1
            load.await_service()

        redis.kill()
        done["Redis was killed"] += 1
        load.await_absence()
        redis.start()
        load.await_service()

        (postgresql.kill if number % 2 else postgresql.stop_immediately)()
        done["PostgreSQL was killed" if number % 2 else "PostgreSQL was stopped at once"] += 1
        load.await_absence()
        postgresql.start()
        load.await_service()

        redis.kill()
        (postgresql.stop_immediately if number % 2 else postgresql.kill)()
        os.kill(random.choice(site.workers), signal.SIGKILL)
        done["all three at once"] += 1
        load.await_absence()
        postgresql.start()
        redis.start()
        load.await_service()
    load.end()
    verify(load, done)
    assert "Traceback" not in site.log, site.log


def verify(load: Load, done: Counter[str]) -> None:
    """Everything is up again: see whether what clients were told has come true."""
    ledger = load.ledger
    print(f"\n{dict(done)}\n{len(ledger.alive)} tokens, {len(ledger.revoked)} revoked, {len(ledger.spent)} spent")
    for said, count in sorted(ledger.answers.items()):
        print(f"{count:6} {said}")
    assert ledger.wrong == []
    assert ledger.alive
    assert ledger.revoked
    assert in_threads(load, ledger.alive, lambda caller, token: caller.call(token).status) == {200}
    assert in_threads(load, ledger.revoked, lambda caller, token: caller.call(token).status) == {401}
    assert in_threads(load, ledger.codes, lambda caller, code: caller.redeem(code).status) <= {200}

    def replay(caller: Caller, used: tuple[str, str]) -> int:
        kind, value = used
        use = caller.redeem if kind == "code" else caller.refresh
        return ledger.spent[used] + [use(value).status for _ in range(2)].count(200)

    assert in_threads(load, ledger.spent, replay) <= {0, 1}, "spent twice"


def in_threads(load: Load, what: Iterable[T], look: Callable[[Caller, T], Any]) -> set[Any]:
    """What each of them comes to."""
    items = list(what)

    def look_at(part: list[T]) -> set[Any]:
        with closing(load.caller()) as caller:
            return {look(caller, item) for item in part}

    with ThreadPoolExecutor(4) as pool:
        return set().union(*pool.map(look_at, (items[start::4] for start in range(4))))


def test_eight_workers_that_write_to_one_sqlite_file(tmp_path: Path, stack: ExitStack) -> None:
    """Whoever must wait for the others waits: no "database is locked" reaches a client."""
    client_id, secret = prepare(f"sqlite:///{tmp_path / 'oauth2.sqlite'}")
    site = Gunicorn("faults.site:make_app()", tmp_path, workers=8, SITE_FOLDER=str(tmp_path))
    stack.callback(site.stop)
    load = Load(site.port, client_id, secret)
    stack.callback(load.end)
    load.start(load.credentials, 4)
    load.start(load.flow, 8)
    load.await_works("client_credentials", "guard", "revocation", "authorize", "code", "refresh")
    load.await_service(200)
    load.end()
    verify(load, Counter())
    assert [said for said in load.ledger.answers if said.endswith(("away", "broken"))] == []
    assert "Traceback" not in site.log, site.log
