"""What a simulation plays on: the application as it is, for its duration on a store in memory, with somebody signed in.

Its settings, views, guards and pages are the real ones. Left out is what would leave something behind: its store, the
callbacks that write and those that read what these wrote, signals, the audit log, metrics, and sessions that are kept
on a server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import flask
from blinker import NamedSignal
from flask.sessions import SecureCookieSessionInterface

from ... import addresses, signals, values, web
from ...assembly import Servers
from ...assembly.extensions import Extensions
from ...errors import ConfigurationError, OAuth2Error
from ...events import Events
from ...http.messages import Request
from ...ownership import EXTENSION
from ...provider import Installed, OAuth2Provider
from ...records import Client, User
from ...server import AuthorizationServer
from ...settings import Settings
from ...stores.memory import MemoryStore
from ...web import login

SIGNED_IN = "flask_oauth2.simulated_user"
"""Where the environ of a request says who is signed in: by an object of the simulation, which no request can name."""

_NO_ISSUER = "http://localhost:5000"
"""Where ``flask run`` serves an application that names no issuer."""

T = TypeVar("T")


class Refusal(NamedTuple):
    """What the server refused while it answered a request, and what it would have told the log."""

    reason: str
    rule: str
    hint: str


class SandboxClock:
    """The real time, and what a simulation need not wait for."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return values.clock() + self._ahead

    def forward(self, seconds: float) -> None:
        """Let time pass for the server of the simulation."""
        self._ahead += seconds


class SandboxEvents(Events):
    """Sends no signal and writes no log, and keeps what the server rejected."""

    def __init__(self) -> None:
        super().__init__(object())
        self.refused: list[Refusal] = []

    def emit(self, signal: NamedSignal, **facts: Any) -> None:
        """Do nothing: for the application, nothing of it happened."""

    def report(self, error: OAuth2Error, request: Request, find_hints: Callable[[], Sequence[str]]) -> str:
        """Keep a rejection for the report of the simulation."""
        self.refused.append(Refusal(values.mask(error.description), error.rule, "; ".join(find_hints())))
        return ""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The application, its provider, and the server that stands in for the real one."""

    app: flask.Flask
    provider: OAuth2Provider
    server: AuthorizationServer
    events: SandboxEvents
    clock: SandboxClock
    person: User
    marker: object
    filed: dict[str, Client]
    has_users: bool
    has_own_tokens: bool
    """Whether the application has a ``tokengetter``, which is not asked here."""
    raised: list[BaseException]

    @property
    def origin(self) -> str:
        """Scheme and host of the issuer."""
        return addresses.find_origin(self.server)

    @property
    def mount(self) -> str:
        """The path below which the application answers."""
        return web.find_mount(self.app)

    def add_client(self, client: Client) -> None:
        """File a client of the simulation, also where the application keeps its clients itself."""
        self.filed[client.client_id] = client
        self.server.own_store.set_client(client)


@contextmanager
def open_sandbox(app: flask.Flask, user_id: str) -> Iterator[Sandbox]:
    """Put another server in the place of the real one, and take it out again whatever happens.

    The application's other requests would meet it too: this is for a process of its own.
    """
    installed: Installed | None = app.extensions.get(EXTENSION)
    if installed is None:
        raise ConfigurationError("this application has no OAuth2Provider: call provider.init_app(app)")
    provider, clock = installed.provider, SandboxClock()
    filed: dict[str, Client] = {}
    parts = _without_setters(installed.registered.parts, filed)
    settings = replace(Settings.load(app.config, warns=False), metrics=None, read_replica=None)
    server = provider._assemble(app, settings, MemoryStore, parts, clock=clock)
    server.events = events = SandboxEvents()
    server.policies.user_is_active = lambda _: True  # the person of the simulation is no user of the application
    server.issuer = server.issuer or _NO_ISSUER
    with app.app_context():
        has_users = provider.has_users
    person = User(id=user_id, name=user_id, auth_time=int(clock()))
    has_own_tokens = installed.registered.parts.callbacks.tokengetter is not None
    sandbox = Sandbox(app, provider, server, events, clock, person, object(), filed, has_users, has_own_tokens, [])
    before = installed.servers, installed.registered.current_user, app.session_interface

    def note(_: flask.Flask, exception: BaseException, **__: Any) -> None:
        sandbox.raised.append(exception)

    flask.got_request_exception.connect(note, app)
    installed.servers, installed.registered.current_user = (
        Servers(server),
        _person_or(sandbox, installed.registered.current_user),
    )
    app.session_interface = SecureCookieSessionInterface()
    try:
        with ExitStack() as muted:
            for signal in signals.ALL:  # the guard sends signals without the server
                muted.enter_context(signal.muted())
            yield sandbox
    finally:
        installed.servers, installed.registered.current_user, app.session_interface = before
        flask.got_request_exception.disconnect(note, app)


def _person_or(sandbox: Sandbox, current_user: Callable[[], Any] | None) -> Callable[[], Any]:
    """Who is signed in: the person of the simulation in her requests, and in others whom the application says."""

    def find() -> Any:
        if flask.request.environ.get(SIGNED_IN) is sandbox.marker:
            return sandbox.person
        return (current_user or login.current_user)()

    return find


def _without_setters(parts: Extensions, filed: dict[str, Client]) -> Extensions:
    """No function that keeps something is called, and none that would look for what was not kept."""
    own = parts.callbacks
    clientgetter = own.clientgetter

    def find_client(client_id: str) -> Any:
        return filed.get(client_id) or own.find_client(client_id)

    callbacks = replace(
        own,
        clientgetter=find_client if clientgetter else None,
        grantgetter=None,
        grantsetter=None,
        tokengetter=None,
        tokensetter=None,
    )
    return replace(parts, callbacks=callbacks)
