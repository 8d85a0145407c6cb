"""The companion of the page on partitions. tests/stores/test_partitions.py runs its SQL on real servers."""

from __future__ import annotations

from collections.abc import Callable

from doc_page import Block, Page
from stores import test_partitions


def _verify(page: Page, block: Block) -> None:
    """Those tests read the same file, and run the blocks by these names."""
    assert page.path == test_partitions.PAGE
    assert block.name in test_partitions.RUN


def __getattr__(name: str) -> Callable[[Page, Block], None]:
    """Return the function for the block of SQL with this name."""
    if name.removeprefix("run_") in test_partitions.RUN:
        return _verify
    raise AttributeError(name)
