"""Threads and processes that do something at the same moment, and an application for each of them."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any

import flask

from flask_oauth2 import Client, Grant, OAuth2Provider
from flask_oauth2.stores.base import Store, collect
from flask_oauth2.stores.redis import RedisStore
from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore
from flask_oauth2.testing.samples import (
    FAR,
    NOW,
    new_authorization,
    new_client,
    new_consent,
    new_device,
    new_key,
    new_spa,
    new_token,
)

PATIENCE = 300
"""Seconds after which a test that hangs fails."""

AsChild = Callable[[], AbstractContextManager[None]]
"""Lets code run as if a server had forked the process."""

LOADED = [
    "flask_oauth2.stores.sqlalchemy",
    "flask_oauth2.stores.redis",
    "flask.testing",
    "psycopg",
    "pymysql",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.mysql.pymysql",
    "pytest",
]
"""What takes long to import, so that it is not done once for each process."""

Prepare = Callable[..., Callable[[], Any]]
"""Gets ready, and returns what is to be done at the same moment as others."""


@dataclass(frozen=True)
class Race:
    """Competitors for what one store holds: threads that share it, or processes that each open it by its URL."""

    store: Store
    url: str | None = None

    @property
    def many(self) -> int:
        """A number of competitors; an even one. Processes take long to start."""
        return 20 if self.url is None else 8

    def run(self, competitors: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What each of them got. A competitor is a function that is called with the store, and further arguments."""
        if self.url is None:
            return in_threads([(prepare, self.store, *own) for prepare, *own in competitors])
        return in_processes([(open_and_prepare, self.url, prepare, *own) for prepare, *own in competitors])


def in_threads(competitors: Sequence[tuple[Any, ...]]) -> list[Any]:
    """One thread for each."""
    barrier = threading.Barrier(len(competitors))

    def compete(competitor: tuple[Any, ...]) -> Any:
        prepare, *arguments = competitor
        try:
            act = prepare(*arguments)
            barrier.wait(PATIENCE)
        except BaseException:
            barrier.abort()
            raise
        return act()

    with ThreadPoolExecutor(len(competitors)) as threads:
        futures = [threads.submit(compete, competitor) for competitor in competitors]
    errors = [future.exception() for future in futures]
    for error in sorted(filter(None, errors), key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error  # what broke the barrier says more than that it was broken
    return [future.result() for future in futures]


def in_processes(competitors: Sequence[tuple[Any, ...]]) -> list[Any]:
    """One process for each: forked from one that has loaded what they need and has opened nothing."""
    context = get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    barrier = context.Barrier(len(competitors))
    processes, receivers = [], []
    for prepare, *arguments in competitors:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_compete, args=(sender, barrier, prepare, arguments))
        process.start()
        sender.close()
        receivers.append(receiver)
        processes.append(process)
    try:
        answers = [receiver.recv() for receiver in receivers if receiver.poll(PATIENCE)]
    finally:
        for process in processes:
            process.join(PATIENCE)
            process.close()
    assert len(answers) == len(competitors), "some gave no answer"
    failures = [failure for _, failure in answers if failure]
    assert not failures, failures[0]
    return [result for result, _ in answers]


def _compete(sender: Any, barrier: Any, prepare: Prepare, arguments: Sequence[Any]) -> None:
    try:
        act = prepare(*arguments)
        barrier.wait(PATIENCE)
        sender.send((act(), None))
    except BaseException:
        barrier.abort()
        sender.send((None, traceback.format_exc()))


def open_by_url(url: str) -> Any:
    """The store of a URL, or of two: Redis before a database."""
    before, _, url = url.rpartition(" ")
    store = SQLAlchemyStore.open(url)
    return RedisStore(store, before) if before else store


def open_and_prepare(url: str, prepare: Prepare, *own: Any) -> Callable[[], Any]:
    """Prepare with a store of this process's own."""
    return prepare(open_by_url(url), *own)


_ONE_AFTER_ANOTHER = threading.Lock()
"""Werkzeug compiles its rules with ``ast``, which in CPython 3.11 two threads cannot use at once."""


def new_app(store: Store, **options: Any) -> flask.Flask:
    """An application on the store, whose clock stands still."""
    with _ONE_AFTER_ANOTHER:
        app = flask.Flask(__name__)
        app.config.update(SECRET_KEY="a secret key of the tests", OAUTH2_ISSUER="https://login.example")
        app.config["OAUTH2_GRANT_TYPES"] = ["authorization_code", "client_credentials", "refresh_token", "device_code"]
        app.config.update(PROPAGATE_EXCEPTIONS=True, **options)
        provider = OAuth2Provider(app, store=store)
        with app.app_context():
            provider.server.clock = lambda: float(NOW)
    return app


def post(store: Store, path: str, form: dict[str, str], auth: tuple[str, str] | None = None) -> Callable[[], Any]:
    """A request to an application of one's own: the status and the members of the answer."""
    client = new_app(store).test_client()

    def act() -> tuple[int, Any]:
        answer = client.post(path, data=form, auth=auth)
        return answer.status_code, answer.get_json(silent=True)

    return act


def register(store: Store, metadata: dict[str, Any], token: str | None = None) -> Callable[[], Any]:
    """Registers a client at an application of one's own, and answers as :func:`post` does."""
    client = new_app(store, OAUTH2_DYNAMIC_REGISTRATION="open").test_client()
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    def act() -> tuple[int, Any]:
        answer = client.post("/oauth/register", json=metadata, headers=headers)
        return answer.status_code, answer.get_json()

    return act


def delete_client(store: Store, client_id: str) -> Callable[[], Any]:
    """Deletes a client, and answers as :func:`post` does."""
    return lambda: (200, store.delete_client(client_id, FAR))


def revoke_user(store: Store, user_id: str, last_id: str) -> Callable[[], None]:
    """Revoke all of a user."""
    return lambda: store.revoke_user(user_id, last_id, FAR)


def decide(store: Store, device: Grant, user_id: str | None) -> Callable[[], bool]:
    """A user lets a device in, or None: somebody refuses. Whether that was done."""
    devices = collect(store).devices
    assert devices is not None
    owner = new_authorization(client_id=device.parameters["client_id"], user_id=user_id) if user_id else None
    return lambda: devices.decide(device, owner, NOW)


def file_device(store: Store, user_code_key: bytes) -> Callable[[], bytes | None]:
    """Files a device code under a user code: its key, None where another has it."""
    device = new_device(user_code_key=user_code_key)

    def act() -> bytes | None:
        try:
            store.issue(None, [device], NOW)
        except Exception as error:
            if "duplicate" in str(error).lower() or "unique" in str(error).lower():
                return None
            raise
        return device.key

    return act


def add(store: Store, name: str) -> Callable[[], tuple[str, bool]]:
    """Registers the client of one id, by a name of one's own: that, and whether it was added."""
    registration = collect(store).registration
    assert registration is not None
    client = new_client(client_id="shared", name=name)
    return lambda: (name, registration.add_client(client))


def change(store: Store, before: Client, name: str) -> Callable[[], tuple[str, bool]]:
    """Changes it by what was read before: the new name, which a page has too, and whether that was done."""
    registration = collect(store).registration
    assert registration is not None
    redirect_uris = (f"https://{name}.example/",)
    client = replace(before, name=name, redirect_uris=redirect_uris, registration_key=new_key())
    return lambda: (name, registration.change_client(client, before))


def set_page(store: Store, client_id: str, page: str) -> Callable[[], None]:
    """Files the client of an id with one page."""
    client = new_spa(page, client_id=client_id)
    return lambda: store.set_client(client)


def retain(store: Store, client_ids: Sequence[str]) -> Callable[[], list[bool]]:
    """Keeps clients, one after the other: for each whether it was there."""
    registration = collect(store).registration
    assert registration is not None
    return lambda: [registration.retain_client(client_id) for client_id in client_ids]


def purge(store: Store, now: int) -> Callable[[], int]:
    """Takes away what has expired: how many rows."""
    return lambda: sum(store.purge(now))


def allow(store: Store, word: str) -> Callable[[], bytes]:
    """A user lets a client have one word more, and the client gets a token for it: its key."""

    def act() -> bytes:
        consents = collect(store).consents
        assert consents is not None
        for _ in range(1000):
            before = consents.get_consent("user", "client")
            scope = (*(before.scope if before else ()), word)
            consent = new_consent(scope=scope) if before is None else replace(before, scope=scope)
            if consents.set_consent(consent, before):
                token = new_token(new_authorization(consent_id=consent.id))
                assert store.issue(None, [token], NOW)
                return token.access.token_hash
        raise AssertionError("nobody lets it through")

    return act


def withdraw(store: Store) -> Callable[[], bool]:
    """The user takes it back."""
    consents = collect(store).consents
    assert consents is not None
    return lambda: consents.delete_consent("user", "client", FAR)


def write(store: Store, rounds: int) -> Callable[[], list[bytes]]:
    """All kinds of writing, with reading and purging between: the keys of what was issued."""

    def act() -> list[bytes]:
        keys = []
        for number in range(rounds):
            token = new_token()
            child = new_token(parent=token)
            assert store.issue(None, [token], NOW)
            assert token.refresh_token_hash is not None
            assert store.get_refresh(token.refresh_token_hash) == token
            assert store.issue(token, [child], NOW)
            assert store.get_access(child.access.token_hash) == child.access
            store.count(b"counter", NOW + 3600)
            store.revoke(f"mark {number}", NOW + number)
            list(store.purge(NOW))
            keys.append(child.access.token_hash)
        return keys

    return act


def open_store(url: str) -> Callable[[], None]:
    """Opens a store that may not be there yet."""
    return lambda: SQLAlchemyStore.open(url).engine.dispose()


def acknowledge(url: str) -> None:
    """Refresh without end, in several threads, and print the keys of each new token once it is acknowledged."""
    store = SQLAlchemyStore.open(url)

    def refresh() -> None:
        token = new_token(new_authorization())
        assert store.issue(None, [token], NOW)
        while True:
            child = new_token(parent=token)
            assert store.issue(token, [child], NOW)
            assert token.refresh_token_hash is not None
            line = f"{token.refresh_token_hash.hex()} {child.access.token_hash.hex()}\n"
            os.write(sys.stdout.fileno(), line.encode())
            token = child

    in_threads([(lambda: refresh,)] * 4)


if __name__ == "__main__":
    acknowledge(sys.argv[1])
