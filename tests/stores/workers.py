"""Threads and processes that compete for one store, and an application for each of them."""

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
"""Returns a context in which the package sees another process ID."""

PRELOADED = [
    "flask_oauth2.stores.sqlalchemy",
    "flask_oauth2.stores.redis",
    "flask.testing",
    "psycopg",
    "pymysql",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.mysql.pymysql",
    "pytest",
]
"""Modules that are slow to import. The fork server loads them once for all processes."""

Prepare = Callable[..., Callable[[], Any]]
"""Prepares a competitor, and returns the function to run at the same moment as the others."""


@dataclass(frozen=True)
class Race:
    """Competitors for the records of one store: threads that share it, or processes that open it from its URL."""

    store: Store
    url: str | None = None

    @property
    def many(self) -> int:
        """Return an even number of competitors. Processes take long to start."""
        return 20 if self.url is None else 8

    def run(self, competitors: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return the result of each competitor: a function that is called with the store, and its further arguments."""
        if self.url is None:
            return in_threads([(prepare, self.store, *own) for prepare, *own in competitors])
        return in_processes([(open_and_prepare, self.url, prepare, *own) for prepare, *own in competitors])


def in_threads(competitors: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Run each competitor in a thread and return the results."""
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
        raise error  # an original error explains more than a broken barrier
    return [future.result() for future in futures]


def in_processes(competitors: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Run each competitor in a process, forked from a server that has no connections. Return the results."""
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
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
    assert len(answers) == len(competitors), "a process returned no result"
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
    """Open the store of a database URL, or of a Redis URL and a database URL."""
    before, _, url = url.rpartition(" ")
    store = SQLAlchemyStore.open(url)
    return RedisStore(store, before) if before else store


def open_and_prepare(url: str, prepare: Prepare, *own: Any) -> Callable[[], Any]:
    """Prepare a competitor with a store that this process opens."""
    return prepare(open_by_url(url), *own)


_COMPILE_LOCK = threading.Lock()
"""Werkzeug compiles its rules with ``ast``, which is not thread-safe in CPython 3.11."""


def new_app(store: Store, **options: Any) -> flask.Flask:
    """Return an application with the store and a fixed clock."""
    with _COMPILE_LOCK:
        app = flask.Flask(__name__)
        app.config.update(SECRET_KEY="a secret key of the tests", OAUTH2_ISSUER="https://login.example")
        app.config["OAUTH2_GRANT_TYPES"] = ["authorization_code", "client_credentials", "refresh_token", "device_code"]
        app.config.update(PROPAGATE_EXCEPTIONS=True, **options)
        provider = OAuth2Provider(app, store=store)
        with app.app_context():
            provider.server.clock = lambda: float(NOW)
    return app


def post(store: Store, path: str, form: dict[str, str], auth: tuple[str, str] | None = None) -> Callable[[], Any]:
    """Send a POST request to a new application. Return the status and the members of the response."""
    client = new_app(store).test_client()

    def act() -> tuple[int, Any]:
        answer = client.post(path, data=form, auth=auth)
        return answer.status_code, answer.get_json(silent=True)

    return act


def register(store: Store, metadata: dict[str, Any], token: str | None = None) -> Callable[[], Any]:
    """Register a client with a new application. Return the same as :func:`post`."""
    client = new_app(store, OAUTH2_DYNAMIC_REGISTRATION="open").test_client()
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    def act() -> tuple[int, Any]:
        answer = client.post("/oauth/register", json=metadata, headers=headers)
        return answer.status_code, answer.get_json()

    return act


def delete_client(store: Store, client_id: str) -> Callable[[], Any]:
    """Delete a client. Return the same as :func:`post`."""
    return lambda: (200, store.delete_client(client_id, FAR))


def revoke_user(store: Store, user_id: str, last_id: str) -> Callable[[], None]:
    """Revoke everything issued for a user."""
    return lambda: store.revoke_user(user_id, last_id, FAR)


def decide(store: Store, device: Grant, user_id: str | None) -> Callable[[], bool]:
    """Approve a device code for a user, or deny it if ``user_id`` is None. Return whether it was decided."""
    devices = collect(store).devices
    assert devices is not None
    owner = new_authorization(client_id=device.parameters["client_id"], user_id=user_id) if user_id else None
    return lambda: devices.decide(device, owner, NOW)


def save_device(store: Store, user_code_key: bytes) -> Callable[[], bytes | None]:
    """Save a device code with a user code. Return its key, or None if the user code is in use."""
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
    """Add a client with a shared ID. Return its name, and whether it was added."""
    registration = collect(store).registration
    assert registration is not None
    client = new_client(client_id="shared", name=name)
    return lambda: (name, registration.add_client(client))


def change(store: Store, before: Client, name: str) -> Callable[[], tuple[str, bool]]:
    """Change the name and the redirect URI of a client. Return the name, and whether the client was changed."""
    registration = collect(store).registration
    assert registration is not None
    redirect_uris = (f"https://{name}.example/",)
    client = replace(before, name=name, redirect_uris=redirect_uris, registration_key=new_key())
    return lambda: (name, registration.change_client(client, before))


def set_page(store: Store, client_id: str, page: str) -> Callable[[], None]:
    """Save a client with one redirect URI."""
    client = new_spa(page, client_id=client_id)
    return lambda: store.set_client(client)


def retain(store: Store, client_ids: Sequence[str]) -> Callable[[], list[bool]]:
    """Retain clients one after another. Return whether each exists."""
    registration = collect(store).registration
    assert registration is not None
    return lambda: [registration.retain_client(client_id) for client_id in client_ids]


def purge(store: Store, now: int) -> Callable[[], int]:
    """Purge expired records and return their number."""
    return lambda: sum(store.purge(now))


def allow(store: Store, scope_value: str) -> Callable[[], bytes]:
    """Add a scope value to a consent and issue a token. Return the digest of the token."""

    def act() -> bytes:
        consents = collect(store).consents
        assert consents is not None
        for _ in range(1000):
            before = consents.get_consent("user", "client")
            scope = (*(before.scope if before else ()), scope_value)
            consent = new_consent(scope=scope) if before is None else replace(before, scope=scope)
            if consents.set_consent(consent, before):
                token = new_token(new_authorization(consent_id=consent.id))
                assert store.issue(None, [token], NOW)
                return token.access.token_hash
        raise AssertionError("the consent was not saved")

    return act


def withdraw(store: Store) -> Callable[[], bool]:
    """Withdraw the consent. Return whether it existed."""
    consents = collect(store).consents
    assert consents is not None
    return lambda: consents.delete_consent("user", "client", FAR)


def write(store: Store, rounds: int) -> Callable[[], list[bytes]]:
    """Write all kinds of records, and read and purge between. Return the digests of the issued tokens."""

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
            store.revoke(f"revoked {number}", NOW + number)
            list(store.purge(NOW))
            keys.append(child.access.token_hash)
        return keys

    return act


def open_store(url: str) -> Callable[[], None]:
    """Open a store whose tables may not exist yet."""
    return lambda: SQLAlchemyStore.open(url).engine.dispose()


def print_acknowledged_tokens(url: str) -> None:
    """Refresh tokens in several threads until the process is killed. Print the digests of each acknowledged pair."""
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
    print_acknowledged_tokens(sys.argv[1])
