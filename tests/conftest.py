"""Applications with a provider, with a memory store or an SQLite database."""

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
"""The longest test files. They run first, so that no process runs one of them alone at the end."""

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
"""Files and folders whose tests are slow or need a server. ``-m "not slow"`` deselects them."""

SERVERS = ("postgresql", "mariadb", "mysql", "redis", "chromium")
"""A test is slow if its ID or one of its fixtures has one of these names."""


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
    parser.addoption("--screenshots", action="store_true", help="write the screenshots for the documentation")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    assert all(file.exists() for file in LONGEST)
    for item in items:
        if _is_slow(item):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: LONGEST.index(item.path) if item.path in LONGEST else len(LONGEST))


@pytest.fixture
def site(tmp_path: Any) -> Site:
    """Return an application with a memory store."""
    return make_site(tmp_path, store=MemoryStore())


@pytest.fixture
def as_child() -> AsChild:
    """Return a context in which the package sees another process ID, as after a fork without Python's fork hooks.

    The test can inspect the state, and coverage is measured.
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
    """Yield an application with an SQLite database."""
    site = make_site(tmp_path)
    yield site
    site.store.engine.dispose()


@pytest.fixture
def new_site(tmp_path: Any) -> Callable[..., Site]:
    """Return a function that creates an application with a memory store and further options."""

    def new(**options: Any) -> Site:
        return make_site(tmp_path, **({"store": MemoryStore()} | options))

    return new


@pytest.fixture
def statements(sql_site: Site) -> Statements:
    """Return the SQL statements that ``sql_site`` sends from now on, from SQLite's trace."""
    sent = Statements()
    engine = sql_site.store.engine
    engine.dispose()

    @event.listens_for(engine, "connect")
    def trace(connection: Any, _: Any) -> None:
        connection.set_trace_callback(sent.append)

    return sent
