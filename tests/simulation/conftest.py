"""Applications that clients are played against: in order, until a test breaks one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from oauth_site import Site, make_site
from simulated import initialize


@pytest.fixture
def new_app(tmp_path: Any) -> Callable[..., Site]:
    """An application in order, with options of the test's own, on the embedded database, which nothing opens."""

    def new(**config: Any) -> Site:
        return make_site(tmp_path, **config)

    return new


@pytest.fixture
def mcp_site(new_app: Callable[..., Site]) -> Callable[..., Site]:
    """The same with an MCP server."""

    def new(view: Any = None, **config: Any) -> Site:
        site = new_app(**config)
        site.provider.protect_mcp("/mcp", ["profile"], step_up=["write"], name="Notes")
        site.app.post("/mcp", endpoint="mcp")(view or initialize)
        return site

    return new
