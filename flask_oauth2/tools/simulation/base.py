"""A simulation: the steps of a client in their order, up to the first at which a real one would stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from .exchange import Caller, Exchange
from .sandbox import Sandbox


class Stop(Exception):
    """A real client does not go on.

    :param reason: why, in one sentence.
    :param rule: the specification and section that asks for something else.
    :param hint: what the application's developer can do; empty where the reason says it.
    """

    def __init__(self, reason: str, rule: str, hint: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.rule = rule
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Step:
    """What the client did, what came, and what it learnt; or why it stops here.

    ``notes`` is what a real client survives, and the developer should know.
    """

    title: str
    exchanges: tuple[Exchange, ...]
    learnt: str = ""
    notes: tuple[str, ...] = ()
    stop: Stop | None = None


class Simulation:
    """A client that is played.

    :param path: the resource to call, a path of the application or a URL; found by itself where it is not given.
    :param scope: what to ask for; found by itself too.
    """

    who: ClassVar[str]
    """Such as ``an MCP client``."""

    steps: ClassVar[Sequence[tuple[str, Callable[[Any], str]]]]
    """What it does and the method that does it, which says what was learnt."""

    def __init__(self, sandbox: Sandbox, path: str | None = None, scope: str | None = None) -> None:
        self.sandbox = sandbox
        self.server = sandbox.server
        self.wanted_path = path
        self.wanted_scope = scope
        self._exchanges: list[Exchange] = []
        self._notes: list[str] = []
        self.program = Caller(sandbox, self._exchanges)
        self.stranger = Caller(sandbox, self._exchanges, is_person=True)
        self.person = Caller(sandbox, self._exchanges, is_person=True, is_signed_in=True)

    @property
    def subject(self) -> str:
        """What it is played with."""
        return self.sandbox.server.issuer

    def play(self) -> Iterator[Step]:
        """Take the steps, one by one."""
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

    def note(self, sentence: str) -> None:
        """What the developer should know of this step, though a client goes on."""
        self._notes.append(sentence)

    def url(self, path: str) -> str:
        """The URL of a path of the application; a URL stays what it is."""
        return path if "://" in path else f"{self.sandbox.origin}{self.sandbox.mount}{path}"


ALL_PATHS = (
    "let the requests to the provider reach it, and its answers leave as it writes them: a before_request or "
    "after_request function, an extension or a route of yours stands between"
)
"""The hint where an answer is none of ours."""


def stop_at(exchange: Exchange, reason: str, rule: str, hint: str) -> Stop:
    """A stop at an answer: by what the application raised or our server refused, where that is why."""
    if exchange.raised:
        return Stop(f"{reason}: the application raised {exchange.raised}", rule, hint)
    refusal = exchange.refusal
    if refusal is None:
        return Stop(reason, rule, hint)
    return Stop(f"{reason}: {refusal.reason}", refusal.rule, refusal.hint or ("" if hint == ALL_PATHS else hint))
