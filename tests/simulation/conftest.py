"""Applications for simulated clients. They have no problems until a test adds one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from oauth_site import Site, make_site
from simulated import initialize


@pytest.fixture
def new_app(tmp_path: Any) -> Callable[..., Site]:
    """Make an application with options. Nothing opens its embedded database."""

    def new(**config: Any) -> Site:
        return make_site(tmp_path, **config)

    return new


@pytest.fixture
def mcp_site(new_app: Callable[..., Site]) -> Callable[..., Site]:
    """Make an application with an MCP server."""

    def new(view: Any = None, **config: Any) -> Site:
        site = new_app(**config)
        site.provider.protect_mcp("/mcp", ["profile"], step_up=["write"], name="Notes")
        site.app.post("/mcp", endpoint="mcp")(view or initialize)
        return site

    return new
