"""What was acknowledged survives the death of the process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import islice

import pytest
from sqlalchemy import select
from stores import workers
from stores.workers import PATIENCE

from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore


@pytest.mark.parametrize("moment", [1, 20, 100])
def test_all_that_was_acknowledged_is_there_after_a_kill(
    url: str, open_store: Callable[[str], SQLAlchemyStore], moment: int
) -> None:
    worker = subprocess.Popen(
        [sys.executable, workers.__file__, url],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert worker.stdout is not None
    lines = list(islice(worker.stdout, moment))
    assert worker.poll() is None, "it works until it is killed"
    worker.kill()
    lines += [line for line in worker.stdout if line.endswith(b"\n")]
    worker.stdout.close()
    worker.wait(PATIENCE)

    assert len(lines) >= moment
    store = open_store(url)
    for line in lines:
        refresh_key, child_key = (bytes.fromhex(word) for word in line.decode().split())
        parent = store.get_refresh(refresh_key)
        assert parent is not None
        assert parent.used_at is not None, "what was spent stays spent"
        assert store.get_access(child_key) is not None
    assert spent_without_child(store) == []


def spent_without_child(store: SQLAlchemyStore) -> list[bytes]:
    """Refresh tokens for which nothing was filed, whoever had acknowledged what."""
    parent, child = store.tables.token.alias(), store.tables.token.alias()
    has_child = select(child.c.access_key).where(child.c.parent == parent.c.access_key).exists()
    wrong = (parent.c.used_at.is_not(None) & ~has_child) | (parent.c.used_at.is_(None) & has_child)
    with store.engine.connect() as connection:
        return list(connection.scalars(select(parent.c.access_key).where(wrong)))
