"""The same operations in databases of a thousand, a hundred thousand and ten million tokens.

Tokens, consents and revocations are spread evenly over the 30 days before the database was created. All tokens are
valid. Operations use tokens of any age, so that the rows are not in a cache because they are new.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from flask_oauth2 import values
from flask_oauth2.records import AccessToken, Authorization, Token
from flask_oauth2.stores.sqlalchemy import rows, steps
from flask_oauth2.stores.sqlalchemy.store import SQLAlchemyStore

from . import comparison
from .comparison import Comparison, Entry, Log
from .environments import BUILD
from .libraries import Library
from .site import CLIENT_ID, SCOPE, Place

SIZES = (1_000, 100_000, 10_000_000)
MONTH = 30 * 86400
OPTIONS = {"OAUTH2_ACCESS_TOKEN_LIFETIME": 2 * MONTH, "OAUTH2_REFRESH_TOKEN_LIFETIME": 2 * MONTH}
SAMPLES = 40_000
"""The number of tokens whose values are saved. For all others only the digests exist."""

_REUSED_FROM = 1_000_000
"""Databases of this size and above are reused in the next run."""


def measure(sizes: tuple[int, ...], *, rounds: int, requests: int, operations: Iterable[str], log: Log) -> Comparison:
    """Compare one library in databases of several sizes with the first size."""
    names = [f"{size:,} tokens" for size in sizes]
    entries = {}
    for name, size in zip(names, sizes, strict=True):
        folder = BUILD / "growth" / str(size)
        created_for = [len(steps.STEPS), size, OPTIONS]
        made = folder / "made.json"
        if size < _REUSED_FROM or not made.exists() or json.loads(made.read_text()) != created_for:
            log(f"{name}: filling")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            fill(folder, size)
            made.write_text(json.dumps(created_for))
        warm_file_cache(folder)
        grown = Library("grown", baseline=names[0], options=OPTIONS, is_provider=False)
        entries[name] = Entry(grown, Place(folder, options=OPTIONS))
    wanted = [operation for operation in operations if operation != "metadata"]
    return comparison.compare(entries, rounds=rounds, requests=requests, operations=wanted, log=log)


def warm_file_cache(folder: Path) -> None:
    """Read the file once, so that the operating system caches it as it does in production."""
    with (folder / "oauth2.sqlite").open("rb") as file:
        while file.read(1 << 24):
            pass


def fill(folder: Path, size: int) -> None:
    """Insert the rows into the database that the store has created."""
    path, now = folder / "oauth2.sqlite", time.time()
    SQLAlchemyStore.open(f"sqlite:///{path}").engine.dispose()
    picked = frozenset(random.Random(7).sample(range(size), min(size, SAMPLES)))
    samples: list[tuple[str, str]] = []
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -500000")
    connection.execute("BEGIN")
    _insert(connection, "token", _tokens(size, now, picked, samples))
    users = max(size // 10, 1)
    consent = {"client_id": CLIENT_ID, "scope": SCOPE, "granted_at": int(now - MONTH), "used_at": int(now - MONTH)}
    _insert(connection, "consent", ({**consent, "user_id": _user(i), "id": _consent(i)} for i in range(users)))
    revoked_ids = (values.new_authorization_id(now - MONTH * random.random()) for _ in range(size // 100))
    _insert(
        connection,
        "revocation",
        ({"revoked_id": revoked_id, "expires_at": int(now + MONTH)} for revoked_id in revoked_ids),
    )
    connection.execute("COMMIT")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    random.Random(7).shuffle(samples)
    (folder / "samples.json").write_text(json.dumps({"made_at": now, "values": samples}))


def _insert(connection: sqlite3.Connection, name: str, lines: Iterator[dict[str, Any]]) -> None:
    first = next(lines, None)
    if first is not None:
        columns = ", ".join(first)
        named = ", ".join(f":{column}" for column in first)
        statement = f"INSERT INTO oauth2_{name} ({columns}) VALUES ({named})"
        connection.execute(statement, first)
        connection.executemany(statement, lines)


def _tokens(size: int, now: float, picked: frozenset[int], samples: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    users = max(size // 10, 1)
    for number in range(size):
        issued_at = now - MONTH + MONTH * number / size
        timestamp = values.timestamp(issued_at)
        if number in picked:
            access, access_key = values.generate("oat", timestamp)
            refresh, refresh_key = values.generate("ort", timestamp)
            samples.append((access, refresh))
        else:
            access_key, refresh_key = timestamp + os.urandom(32), timestamp + os.urandom(32)
        user = number * 7919 % users
        yield {
            **token_row(access_key, refresh_key, _user(user)),
            "authorization_id": values.new_authorization_id(issued_at),
            "consent_id": _consent(user),
            "issued_at": int(
                now
            ),  # otherwise each refresh is the first of its day, which also records the use of the consent
            "expires_at": int(now) + 2 * MONTH,
            "refresh_expires_at": int(now) + 2 * MONTH,
        }


def token_row(access_key: bytes, refresh_key: bytes, user_id: str) -> dict[str, Any]:
    """Return the row of a token, with the values that all rows share."""
    return {**_PATTERN, "access_key": access_key, "refresh_key": refresh_key, "user_id": user_id}


def _pattern() -> Token:
    authorization = Authorization(id="", client_id=CLIENT_ID, user_id="", scope=(SCOPE,))
    access = AccessToken(
        token_hash=b"",
        authorization_id="",
        client_id=CLIENT_ID,
        user_id="",
        scope=(SCOPE,),
        type="Bearer",
        issued_at=0,
        expires_at=0,
    )
    return Token(access=access, authorization=authorization)


_PATTERN = rows.write_token(_pattern())


def _user(number: int) -> str:
    return f"user-{number}"


def _consent(number: int) -> str:
    return f"consent-of-user-{number:06}"
