"""The input and output of checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import flask

from ...records import Client
from ...server import AuthorizationServer
from ...settings import Settings

if TYPE_CHECKING:
    from ...provider import OAuth2Provider
    from ...stores.base import Store

LEVELS = ("error", "warning", "note")
"""A problem, a risk, and information."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A problem that a check has found.

    :param level: ``error``, ``warning`` or ``note``.
    :param check: the section and the name of the check, such as ``settings.secret_key``.
    :param what: the problem in one sentence.
    :param rule: the violated specification and section, or an empty string.
    :param hint: how to fix the problem.
    """

    level: str
    check: str = ""
    what: str
    rule: str = ""
    hint: str = ""

    def __str__(self) -> str:
        rule = f" ({self.rule})" if self.rule else ""
        hint = f"; hint: {self.hint}" if self.hint else ""
        return f"{self.what}{rule}{hint}"


def error(what: str, rule: str = "", hint: str = "") -> Finding:
    """Return a finding about a feature that does not work or is unsafe."""
    return Finding(level="error", what=what, rule=rule, hint=hint)


def warning(what: str, rule: str = "", hint: str = "") -> Finding:
    """Return a finding about a feature that fails in some situations."""
    return Finding(level="warning", what=what, rule=rule, hint=hint)


def note(what: str, rule: str = "", hint: str = "") -> Finding:
    """Return a finding that is information only."""
    return Finding(level="note", what=what, rule=rule, hint=hint)


@dataclass(slots=True)
class Examined:
    """The application that the doctor diagnoses, after its provider has started.

    :param arguments: the values of the variables in paths that name the issuer, if the application has several.
    :param url: scheme, host and port at which the application listens, if not its public URL.
    :param store: the store without the application's callbacks, or None if it cannot be opened.
    """

    app: flask.Flask
    provider: OAuth2Provider
    settings: Settings
    server: AuthorizationServer
    arguments: Mapping[str, str] = field(default_factory=dict)
    store: Store | None = None
    url: str | None = None
    clients: list[Client] | None = None
    """The clients of the store, after the first check has listed them."""

    @property
    def now(self) -> int:
        """Return the time of the server's clock, in seconds since the epoch, UTC."""
        return int(self.server.clock())

    @property
    def is_public(self) -> bool:
        """Return whether other machines can reach the application."""
        return (self.settings.issuer or "https://").startswith("https://")


Check = Callable[[Examined], Iterator[Finding]]
"""A function that yields findings."""


def summarize(names: Iterable[str], limit: int = 3) -> str:
    """Return the first names of a list and the number of the remaining names."""
    known = list(names)
    rest = f" and {len(known) - limit} more" if len(known) > limit else ""
    return ", ".join(known[:limit]) + rest
