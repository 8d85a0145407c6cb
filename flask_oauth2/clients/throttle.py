"""Guessing is counted by credential, in fixed windows, :rfc:`6749#section-2.3.1` and section 4.3.2."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from .. import values
from ..errors import TemporarilyUnavailable

if TYPE_CHECKING:
    from ..server import Server


def count(server: Server, kind: str, name: str, now: float) -> None:
    """Count an attempt. Raises :exc:`TemporarilyUnavailable` (429) for one attempt too many in this window."""
    key, ends_at = _window(server, kind, name, now)
    if server.store.count(key, ends_at) > server.settings.throttle_failures:
        raise TemporarilyUnavailable(
            "too many failed attempts", status=429, retry_after=ends_at - int(now), rule="rfc6749 2.3.1"
        )


def forgive(server: Server, kind: str, name: str, now: float) -> None:
    """Take back an attempt that turned out to be right."""
    server.store.count(*_window(server, kind, name, now), -1)


def _window(server: Server, kind: str, name: str, now: float) -> tuple[bytes, int]:
    length = server.settings.throttle_window
    ends_at = (int(now) // length + 1) * length
    text = f"{kind} {ends_at} {name}"
    return values.stamp(ends_at) + sha256(text.encode("utf-8", "surrogatepass")).digest(), ends_at
