"""Applications with a provider, on a store in memory or on the embedded database."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from stores.workers import AsChild

from flask_oauth2 import MemoryStore
from oauth_site import Site, Statements, make_site

pytest_plugins = ["flask_oauth2.testing"]

LONGEST = [
    Path(__file__).parent / file
    for file in (
        "stores/test_races.py",
        "stores/test_forks.py",
        "pages/test_browser.py",
        "stores/test_contract.py",
        "test_docs.py",
        "stores/test_mariadb.py",
        "stores/test_sqlalchemy.py",
        "faults/test_faults.py",
        "test_benchmarks.py",
    )
]
"""Run first, so that no process is left alone with one of these at the end."""

SLOW = (
    *(path.relative_to(Path(__file__).parent) for path in LONGEST),
    *map(
        Path,
        (
            "attacks",
            "clients/test_secret.py",
            "clients/test_throttle.py",
            "doctor",
            "importing",
            "interop",
            "simulation",
            "stores",
            "test_examples.py",
            "test_issuers.py",
            "test_moved_examples.py",
            "testing/test_application.py",
        ),
    ),
)
"""Files and folders of which each test takes long or needs a server; ``-m "not slow"`` leaves them out."""

SERVERS = ("postgresql", "mariadb", "mysql", "redis", "chromium")
"""Names in a test's ID or fixtures that make it slow, wherever it stands."""


def _is_slow(item: pytest.Item) -> bool:
    path = (
        item.path.relative_to(Path(__file__).parent) if item.path.is_relative_to(Path(__file__).parent) else item.path
    )
    return (
        any(path.is_relative_to(slow) for slow in SLOW)
        or any(server in item.name.partition("[")[2] for server in SERVERS)
        or any(name.startswith(SERVERS) for name in getattr(item, "fixturenames", ()))
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", action="store_true", help="write the pictures of pages that the docs show")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    assert all(file.exists() for file in LONGEST)
    for item in items:
        if _is_slow(item):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: LONGEST.index(item.path) if item.path in LONGEST else len(LONGEST))


@pytest.fixture
def site(tmp_path: Any) -> Site:
    """An application on a store in memory."""
    return make_site(tmp_path, store=MemoryStore())


@pytest.fixture
def as_child() -> AsChild:
    """Let code see another process ID, as after a fork by a server that calls no hook of Python.

    What it then leaves alone can be looked at, and the coverage is measured.
    """

    @contextmanager
    def pretend() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name, module in list(sys.modules.items()):
                if name.startswith("flask_oauth2.") and getattr(module, "getpid", None) is os.getpid:
                    patch.setattr(module, "getpid", lambda: -1)
            yield

    return pretend


@pytest.fixture
def sql_site(tmp_path: Any) -> Iterator[Site]:
    """An application on the embedded database."""
    site = make_site(tmp_path)
    yield site
    site.store.engine.dispose()


@pytest.fixture
def new_site(tmp_path: Any) -> Callable[..., Site]:
    """Applications with options of the test's own."""

    def new(**options: Any) -> Site:
        return make_site(tmp_path, **({"store": MemoryStore()} | options))

    return new


@pytest.fixture
def statements(sql_site: Site) -> Statements:
    """What ``sql_site`` sends from now on, by SQLite's own trace."""
    seen = Statements()
    engine = sql_site.store.engine
    engine.dispose()

    @event.listens_for(engine, "connect")
    def trace(connection: Any, _: Any) -> None:
        connection.set_trace_callback(seen.append)

    return seen
