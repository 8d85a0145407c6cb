"""A provider with the embedded database, and the import command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oauth_site import Site


@pytest.fixture
def old(tmp_path: Path) -> str:
    """The URI of the old database."""
    return f"sqlite:///{tmp_path / 'old.sqlite'}"


@pytest.fixture
def run_import(old: str) -> Callable[..., dict[str, Any]]:
    """Run ``flask oauth2 import`` and return its report. Every row is imported unless a test says otherwise."""

    def run_import(site: Site, library: str, *options: str, ends: int = 0, database: str | None = old) -> Any:
        site.server  # noqa: B018  gives it the clock of the tests
        where = [] if database is None else ["--database", database]
        arguments = ["oauth2", "import", library, *where, *options, "--json"]
        result = site.app.test_cli_runner().invoke(args=arguments)
        assert result.exit_code == ends, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return json.loads(result.stdout)

    return run_import
