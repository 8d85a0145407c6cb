"""Simulations: the steps of a client in order, up to the first one at which a real client would fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from .exchange import Caller, Exchange
from .sandbox import Sandbox


class Stop(Exception):
    """A real client would fail here.

    :param reason: the reason, in one sentence.
    :param rule: the specification and section that the application violates.
    :param hint: how to fix the application, or an empty string if the reason says it.
    """

    def __init__(self, reason: str, rule: str, hint: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.rule = rule
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a client: its requests, what it learned, and why it stops, if it does.

    :param notes: problems that do not stop a client and that the developer should know.
    """

    title: str
    exchanges: tuple[Exchange, ...]
    learnt: str = ""
    notes: tuple[str, ...] = ()
    stop: Stop | None = None


class Simulation:
    """A simulated client.

    :param path: the resource to call, a path of the application or a URL. The client finds one by default.
    :param scope: the scope to request. The client determines it by default.
    """

    description: ClassVar[str]
    """A noun phrase for the client, such as ``an MCP client``."""

    steps: ClassVar[Sequence[tuple[str, Callable[[Any], str]]]]
    """The titles of the steps and the methods that run them. A method returns what the client learned."""

    def __init__(self, sandbox: Sandbox, path: str | None = None, scope: str | None = None) -> None:
        self.sandbox = sandbox
        self.server = sandbox.server
        self.requested_path = path
        self.requested_scope = scope
        self._exchanges: list[Exchange] = []
        self._notes: list[str] = []
        self.http = Caller(sandbox, self._exchanges)
        self.signed_out_browser = Caller(sandbox, self._exchanges, has_cookies=True)
        self.browser = Caller(sandbox, self._exchanges, has_cookies=True, is_signed_in=True)

    @property
    def subject(self) -> str:
        """Return the resource or the issuer that the client uses."""
        return self.sandbox.server.issuer

    def play(self) -> Iterator[Step]:
        """Run the steps one by one."""
        for title, act in self.steps:
            self._exchanges.clear()
            self._notes.clear()
            learnt, stop = "", None
            try:
                learnt = act(self)
            except Stop as raised:
                stop = raised
            yield Step(title, tuple(self._exchanges), learnt, tuple(self._notes), stop)
            if stop is not None:
                return

    def add_note(self, sentence: str) -> None:
        """Add a note to the current step."""
        self._notes.append(sentence)

    def url(self, path: str) -> str:
        """Return the URL of a path of the application. A URL stays unchanged."""
        return path if "://" in path else f"{self.sandbox.origin}{self.sandbox.mount}{path}"


ALL_PATHS = (
    "make sure that requests reach the provider and that its responses stay unchanged: a before_request or "
    "after_request function, an extension or a route of your application changes them"
)
"""The fix for a response that does not come from the provider."""


def stop_at(exchange: Exchange, reason: str, rule: str, hint: str) -> Stop:
    """Return the stop at a response. An exception of the application or an error of the provider explains it."""
    if exchange.raised:
        return Stop(f"{reason}: the application raised {exchange.raised}", rule, hint)
    rejection = exchange.rejection
    if rejection is None:
        return Stop(reason, rule, hint)
    return Stop(f"{reason}: {rejection.reason}", rejection.rule, rejection.hint or ("" if hint == ALL_PATHS else hint))
