"""What a check says, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import flask

from ...records import Client
from ...server import AuthorizationServer
from ...settings import Settings

if TYPE_CHECKING:
    from ...provider import OAuth2Provider
    from ...stores.base import Store

LEVELS = ("error", "warning", "note")
"""What does not work or is unsafe; what will fail some day or for some; what is worth knowing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a check has found.

    ``level`` is ``error``, ``warning`` or ``note``; ``check`` is the field and the name of the check, such as
    ``settings.secret_key``; ``what`` is one sentence; ``rule`` the specification and section that asks for it, empty
    where none does; ``cure`` what to do.
    """

    level: str
    check: str = ""
    what: str
    rule: str = ""
    cure: str = ""

    def __str__(self) -> str:
        rule = f" ({self.rule})" if self.rule else ""
        cure = f"; cure: {self.cure}" if self.cure else ""
        return f"{self.what}{rule}{cure}"


def error(what: str, rule: str = "", cure: str = "") -> Finding:
    """What does not work, or is unsafe."""
    return Finding(level="error", what=what, rule=rule, cure=cure)


def warning(what: str, rule: str = "", cure: str = "") -> Finding:
    """What will fail some day, or for some."""
    return Finding(level="warning", what=what, rule=rule, cure=cure)


def note(what: str, rule: str = "", cure: str = "") -> Finding:
    """What is worth knowing."""
    return Finding(level="note", what=what, rule=rule, cure=cure)


@dataclass(slots=True)
class Examined:
    """An application whose provider has started.

    :param url: where it listens, if not under its public URL: scheme, host and port.
    :param store: without the application's callbacks before it; None where it is away.
    """

    app: flask.Flask
    provider: OAuth2Provider
    settings: Settings
    server: AuthorizationServer
    store: Store | None = None
    url: str | None = None
    clients: list[Client] | None = None
    """Those of the store, once they were listed."""

    @property
    def now(self) -> int:
        """Seconds since the epoch, UTC, by the server's clock."""
        return int(self.server.clock())

    @property
    def is_public(self) -> bool:
        """Whether others than this machine reach it."""
        return (self.settings.issuer or "https://").startswith("https://")


Check = Callable[[Examined], Iterator[Finding]]
"""A plain function that yields what it finds."""


def several(names: Iterable[str], most: int = 3) -> str:
    """Some of the names, and how many more there are."""
    known = list(names)
    rest = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + rest
