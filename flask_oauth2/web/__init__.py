"""Between Flask and the core: requests in, responses out."""

from __future__ import annotations

from .mounting import is_preflight, match_other_slash, mount
from .requests import (
    TOKEN,
    current_app,
    current_request,
    find_issuer,
    find_mount,
    find_wait,
    read,
    read_for_guard,
)
from .responses import write

__all__ = [
    "TOKEN",
    "current_app",
    "current_request",
    "find_issuer",
    "find_mount",
    "find_wait",
    "is_preflight",
    "match_other_slash",
    "mount",
    "read",
    "read_for_guard",
    "write",
]
