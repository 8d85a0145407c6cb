"""Servers that load the application once and fork it: every request gets the token that it sent."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException
from itertools import cycle, islice
from json import loads
from pathlib import Path
from threading import Barrier
from time import monotonic, time
from typing import Any

import pytest
import sqlalchemy as sa
from stores.workers import PATIENCE, AsChild

from flask_oauth2 import Client, values
from flask_oauth2.stores.redis import RedisStore
from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore, watch
from flask_oauth2.testing.samples import FAR, NOW, new_authorization, new_token

OpenStore = Callable[[str], SQLAlchemyStore]

WORKERS = 4
CALLERS = 8
REQUESTS = 1000
"""Answers are mixed up where two workers wait at once, which some of this many requests do."""

SITE = "stores.forked_site:app"
SCRIPTS = Path(sys.executable).parent

SERVERS: dict[str, tuple[list[str], str]] = {
    "uwsgi": (
        [
            *(str(SCRIPTS / "uwsgi"), "--http-socket", "127.0.0.1:0", "--module", SITE, "--master", "--need-app"),
            *("--processes", str(WORKERS), "--enable-threads", "--die-on-term", "--listen", "64"),
        ],
        r"bound to TCP address 127\.0\.0\.1:(\d+)",
    ),
    "gunicorn": (
        [sys.executable, "-m", "gunicorn", SITE, "--bind", "127.0.0.1:0", "--workers", str(WORKERS), "--preload"],
        r"Listening at: http://127\.0\.0\.1:(\d+)",
    ),
    "gevent": (
        [
            *(sys.executable, "-m", "gunicorn", SITE, "--bind", "127.0.0.1:0", "--workers", str(WORKERS)),
            *("--preload", "-k", "gevent"),
        ],
        r"Listening at: http://127\.0\.0\.1:(\d+)",
    ),
}
"""The command of each server, and where its log names the port that it was given."""


@dataclass(frozen=True, slots=True)
class People:
    """Users with a token each, in a database that other processes can open."""

    url: str
    store: SQLAlchemyStore
    tokens: dict[str, str]
    """The user of each access token."""


@pytest.fixture
def people(url: str) -> Iterator[People]:
    """Twenty users of one client."""
    store = SQLAlchemyStore.open(url)
    store.set_client(Client(client_id="web", name="Web", auth_method="none", scope=("notes",)))
    tokens = {}
    now = int(time())
    for number in range(20):
        user = f"user{number}"
        value, key = values.generate("oat", values.timestamp(now))
        owner = new_authorization(client_id="web", user_id=user, scope=("notes",))
        token = new_token(owner, now=now)
        assert store.issue(None, [replace(token, access=replace(token.access, token_hash=key))], now)
        tokens[value] = user
    with store.engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE person (id VARCHAR(20) PRIMARY KEY)"))
        connection.execute(sa.text("INSERT INTO person (id) VALUES (:id)"), [{"id": user} for user in tokens.values()])
    yield People(url, store, tokens)
    store.engine.dispose()


@contextmanager
def serve(server: str, folder: Path, **variables: str) -> Iterator[int]:
    """The port of a server that has loaded the application and forked."""
    command, port_in_log = SERVERS[server]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | variables
    log = folder / "server.log"
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, cwd=folder, env=environment)
    try:
        deadline = monotonic() + PATIENCE
        while (found := re.search(port_in_log, log.read_text())) is None:
            assert process.poll() is None, log.read_text()
            assert monotonic() < deadline, log.read_text()
        yield int(found[1])
    except BaseException:
        print(log.read_text()[-5000:])
        raise
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        process.kill()
        process.wait(PATIENCE)


def call(port: int, token: str = "", path: str = "/me") -> tuple[int, dict[str, Any], str]:
    """The status, the body and the worker of one request, on a connection of its own, which any worker may take."""
    http = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        http.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        response = http.getresponse()
        text = response.read()
    except (OSError, HTTPException) as error:
        return 0, {"error": repr(error)}, ""
    finally:
        http.close()
    worker = response.headers.get("X-Worker", "")
    with suppress(ValueError):
        return response.status, loads(text), worker
    return response.status, {"error": text.decode()}, worker


def call_all(port: int, tokens: dict[str, str], times: int = REQUESTS) -> tuple[Counter[str], set[str]]:
    """What became of requests of several users at once, and which workers answered."""
    together = Barrier(CALLERS)
    workers: set[str] = set()

    def ask(tokens_of_caller: list[str]) -> Counter[str]:
        seen: Counter[str] = Counter()
        together.wait(PATIENCE)
        for token in tokens_of_caller:
            status, body, worker = call(port, token)
            workers.add(worker)
            if status == 200:
                whose = {body["user"], body["loaded"]}
                seen["right" if whose == {tokens[token]} else "of another user"] += 1
            else:
                seen[f"{status} {body.get('error', '')[:200]}"] += 1
        return seen

    asked = list(islice(cycle(tokens), times))
    with ThreadPoolExecutor(CALLERS) as pool:
        total: Counter[str] = sum(pool.map(ask, [asked[one::CALLERS] for one in range(CALLERS)]), Counter())
    return total, workers


# all four ways to begin under uWSGI, which calls no fork hook; the two that differ in all under the others; one for
# MySQL, which has the driver of MariaDB
BEGINNINGS = [
    pytest.param(database, server, mode, warm, id=f"{database}-{server}-{mode}-{'warm' if warm else 'cold'}")
    for database in ("sqlite", "postgresql", "mariadb", "mysql")
    for server in SERVERS
    for mode in ("own", "db")
    for warm in (True, False)
    if server == "uwsgi" or warm is (mode == "own")
    if database != "mysql" or (mode == "db" and not warm)
]


@pytest.mark.slow
@pytest.mark.parametrize(("url", "server", "mode", "warm"), BEGINNINGS, indirect=["url"])
def test_each_request_gets_the_token_that_it_sent(
    people: People, tmp_path: Path, server: str, mode: str, warm: bool
) -> None:
    variables = {"SITE_DATABASE": people.url}
    if mode == "db":
        variables["SITE_DB"] = "1"
        if warm:
            variables["SITE_PROVIDER_FIRST"] = "1"
    if warm:
        variables["SITE_WARM"] = next(iter(people.tokens))
    with serve(server, tmp_path, **variables) as port:
        seen, workers = call_all(port, people.tokens)
        assert seen == {"right": REQUESTS}
        assert len(workers) > 1
        revoked = [token for number, token in enumerate(people.tokens) if number % 2]
        for token in revoked:
            people.store.revoke(values.text(values.key(token)), int(time()) + 7200)
        seen, _ = call_all(port, dict.fromkeys(revoked, ""), 200)
        assert seen == {"401 invalid_token": 200}
        rest = {token: user for token, user in people.tokens.items() if token not in revoked}
        assert call_all(port, rest, 200)[0] == {"right": 200}


@pytest.mark.slow
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
@pytest.mark.parametrize("server", SERVERS)
def test_with_redis_no_count_is_answered_twice_and_every_worker_hears_of_a_revocation(
    people: People, redis_url: str, tmp_path: Path, server: str, warm: bool
) -> None:
    token = next(iter(people.tokens))
    variables = {"SITE_DATABASE": people.url, "SITE_REDIS": redis_url, "SITE_TOKEN_CACHE": "60"}
    if warm:
        variables["SITE_WARM"] = token
    with serve(server, tmp_path, **variables) as port, ThreadPoolExecutor(CALLERS) as pool:
        counts = [body.get("count") for _, body, _ in pool.map(lambda _: call(port, path="/count"), range(500))]
        first = 2 if warm else 1
        assert sorted(counts) == list(range(first, first + 500))
        _call_until_all(port, token, 200)
        assert call_all(port, people.tokens, 500)[0] == {"right": 500}
        store = RedisStore(people.store, redis_url)
        store.revoke(values.text(values.key(token)), int(time()) + 7200)
        store.close()
        _call_until_all(port, token, 401)
        assert call_all(port, {token: ""}, 100)[0] == {"401 invalid_token": 100}


def _call_until_all(port: int, token: str, expected: int) -> None:
    """Call until each worker has answered with a status."""
    workers: set[str] = set()
    deadline = monotonic() + PATIENCE
    with ThreadPoolExecutor(CALLERS) as pool:
        while len(workers) < WORKERS:
            assert monotonic() < deadline, f"only {len(workers)} of {WORKERS} workers answered with {expected}"
            answers = list(pool.map(lambda _: call(port, token), range(CALLERS)))
            workers |= {worker for status, _, worker in answers if status == expected}


def test_connections_of_a_pool_that_were_open_before_the_fork_are_left_alone(
    url: str, open_store: OpenStore, as_child: AsChild
) -> None:
    """Such as those that ``db.create_all()`` opens before the store does."""
    open_store(url)
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        of_parent: Any = connection.connection.dbapi_connection
    with as_child():
        watch(engine, os.getpid())
        with engine.connect() as connection:
            assert connection.connection.dbapi_connection is not of_parent
            assert connection.exec_driver_sql("SELECT 1").scalar() == 1
        store = SQLAlchemyStore(engine)
        pool = engine.pool
        assert not store.revoked("mark")
        assert engine.pool is pool, "it is this process's own already"
        engine.dispose()
    cursor = of_parent.cursor()
    cursor.execute("SELECT 1")
    assert cursor.fetchall()
    of_parent.close()


def test_a_store_that_was_opened_before_the_fork_takes_a_pool_of_its_own(
    url: str, open_store: OpenStore, as_child: AsChild
) -> None:
    store = open_store(url)
    assert not store.revoked("mark")
    before, of_parent = store.engine.pool, fill_pool(store)
    with as_child():
        store.revoke("mark", FAR)
        store.issue(None, [new_token(), new_token()], NOW)
        assert store.revoked("mark")
        assert store.engine.pool is not before
        assert of_parent.isdisjoint(fill_pool(store))
        store.engine.dispose()


def fill_pool(store: SQLAlchemyStore) -> set[int]:
    """The connections of its pool, by what the driver made."""
    connections = [store.engine.connect() for _ in range(3)]
    found = {id(connection.connection.dbapi_connection) for connection in connections}
    for connection in connections:
        connection.close()
    return found


def test_a_database_in_memory_goes_with_its_process(open_store: OpenStore, as_child: AsChild) -> None:
    store = open_store("sqlite://")
    store.revoke("mark", FAR)
    with as_child():
        assert store.revoked("mark")
