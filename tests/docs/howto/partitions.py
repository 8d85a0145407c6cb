"""The companion of the page on partitions: what it says is run on real servers by tests/stores/test_partitions.py."""

from __future__ import annotations

from doc_page import Block, Page
from stores import test_partitions


def run_postgresql_prepare(page: Page, block: Block) -> None:
    _verify(page, block)


def run_postgresql_cut(page: Page, block: Block) -> None:
    _verify(page, block)


def run_postgresql_back(page: Page, block: Block) -> None:
    _verify(page, block)


def run_mariadb_cut(page: Page, block: Block) -> None:
    _verify(page, block)


def run_mariadb_back(page: Page, block: Block) -> None:
    _verify(page, block)


def _verify(page: Page, block: Block) -> None:
    """Those tests read the same file, and run the blocks by these names."""
    assert page.path == test_partitions.PAGE
    assert block.name in test_partitions.RUN
