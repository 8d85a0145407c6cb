"""A lock between test processes."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Lock a folder, so that one process creates its content and the others wait and reuse it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".turn").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
