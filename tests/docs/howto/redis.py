"""The companion of the page on Redis: the server runs where there is one."""

from __future__ import annotations

from doc_page import Block, Page
from servers import require


def run_server(page: Page, block: Block) -> None:
    require("redis-server", "redis-server")
    page.run_commands(block.code)
