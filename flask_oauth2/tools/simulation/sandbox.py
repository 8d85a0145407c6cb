"""The sandbox of a simulation: the application with a store in memory and a signed-in user.

Settings, views, guards and pages are real. The sandbox replaces everything that saves data: the store, the callbacks
that write and those that read what they wrote, signals, the audit log, metrics, and server-side sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import flask
from blinker import NamedSignal
from flask.sessions import SecureCookieSessionInterface

from ... import addresses, signals, values, web
from ...assembly import Servers, view_of_issuer
from ...assembly.extensions import Extensions
from ...errors import ConfigurationError, OAuth2Error
from ...events import Events
from ...http.messages import Request
from ...provider import Installed, OAuth2Provider, find_installed
from ...records import Client, Issuer, User
from ...server import AuthorizationServer
from ...settings import Settings
from ...stores.base import Store
from ...stores.memory import MemoryStore
from ...web import login

SIGNED_IN = "flask_oauth2.simulated_user"
"""The environ key of the signed-in user. Its value is an object that no HTTP request can contain."""

_NO_ISSUER = "http://localhost:5000"
"""The URL at which ``flask run`` serves an application without an issuer."""

T = TypeVar("T")


class Rejection(NamedTuple):
    """An error that the server raised, with the rule and the fix that it would log."""

    reason: str
    rule: str
    hint: str


class SandboxClock:
    """A clock that can run ahead of the real time."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        """Return the seconds since the epoch."""
        return values.clock() + self._ahead

    def forward(self, seconds: float) -> None:
        """Advance the clock."""
        self._ahead += seconds


class SandboxEvents(Events):
    """Events that send no signal and write no log, and record errors for the report."""

    def __init__(self) -> None:
        super().__init__(object())
        self.rejected: list[Rejection] = []

    def emit(self, signal: NamedSignal, **facts: Any) -> None:
        """Do nothing, because nothing happened for the application."""

    def report(self, error: OAuth2Error, request: Request, find_hints: Callable[[], Sequence[str]]) -> str:
        """Record the error."""
        self.rejected.append(Rejection(values.mask(error.description), error.rule, "; ".join(find_hints())))
        return ""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The application, its provider, and the server that replaces the real one."""

    app: flask.Flask
    provider: OAuth2Provider
    server: AuthorizationServer
    events: SandboxEvents
    clock: SandboxClock
    user: User
    marker: object
    clients: dict[str, Client]
    has_users: bool
    has_own_tokens: bool
    """True if the application has a ``tokengetter``, which the sandbox does not call."""
    raised: list[BaseException]
    arguments: Mapping[str, str]
    """The values of the variables in paths that name the issuer, if the application has several."""

    @property
    def origin(self) -> str:
        """Return scheme and host of the issuer."""
        return addresses.find_origin(self.server)

    @property
    def mount(self) -> str:
        """Return the path at which the application is mounted."""
        return web.find_mount(self.app)

    @property
    def has_login_view(self) -> bool:
        """Return whether the provider knows the login page."""
        with self.app.app_context():
            return bool(self.server.settings.login_view or login.login_view())

    def add_client(self, client: Client) -> None:
        """Save a client in the sandbox, even if the application has a ``clientgetter``."""
        self.clients[client.client_id] = client
        self.server.own_store.set_client(client)


@contextmanager
def open_sandbox(app: flask.Flask, user_id: str, issuer_url: str | None = None) -> Iterator[Sandbox]:
    """Replace the server of the application inside a ``with`` block, and restore it afterwards.

    :param issuer_url: the issuer to simulate, if the application has several. Others then respond with 404.

    Other requests of the application would use the sandbox too, so run a simulation in its own process.
    """
    installed = find_installed(app)
    provider, clock = installed.provider, SandboxClock()
    clients: dict[str, Client] = {}
    parts = _without_setters(installed.registered.parts, clients)
    before = installed.servers, installed.registered.current_user, app.session_interface
    issuer = _find_issuer(installed, issuer_url)
    server = _build_server(installed, issuer, parts, clock)
    server.events = events = SandboxEvents()
    server.policies.user_is_active = lambda _: True  # the application does not know the simulated user
    server.issuer = server.issuer or _NO_ISSUER
    with app.app_context():
        has_users = provider.has_users
    user = User(id=user_id, name=user_id, auth_time=int(clock()))
    arguments = {} if issuer is None else installed.prefix.arguments_of(issuer)
    has_own_tokens = installed.registered.parts.callbacks.tokengetter is not None
    sandbox = Sandbox(
        app, provider, server, events, clock, user, object(), clients, has_users, has_own_tokens, [], arguments
    )

    def build_issuer(other: Issuer) -> AuthorizationServer:
        if issuer is None or other.id != issuer.id:
            flask.abort(404)
        return server

    def record_exception(_: flask.Flask, exception: BaseException, **__: Any) -> None:
        sandbox.raised.append(exception)

    flask.got_request_exception.connect(record_exception, app)
    installed.servers, installed.registered.current_user = (
        Servers(server, build_issuer),
        _simulated_user_or(sandbox, installed.registered.current_user),
    )
    app.session_interface = SecureCookieSessionInterface()
    try:
        with ExitStack() as muted:
            for signal in signals.ALL:  # the guard sends signals without the server
                muted.enter_context(signal.muted())
            yield sandbox
    finally:
        installed.servers, installed.registered.current_user, app.session_interface = before
        flask.got_request_exception.disconnect(record_exception, app)


def _find_issuer(installed: Installed, url: str | None) -> Issuer | None:
    """Return the issuer with a URL, or None if the application has only one."""
    if url is None:
        if installed.registered.issuergetter is not None:
            raise ConfigurationError(
                "this application has several issuers: name the one to simulate with flask oauth2 --issuer URL simulate"
            )
        return None
    before = installed.servers
    try:
        with installed.app.app_context(), installed.issuer_context(url):
            return installed.find_issuer()
    finally:
        installed.servers = before


def _build_server(
    installed: Installed, issuer: Issuer | None, parts: Extensions, clock: SandboxClock
) -> AuthorizationServer:
    """Build the server of the sandbox, with the settings of the issuer."""
    config: dict[str, Any] = dict(installed.app.config)
    store: Store = MemoryStore()
    if issuer is not None:
        config |= {**issuer.settings, "OAUTH2_ISSUER": issuer.url}
        store = view_of_issuer(store, issuer.id)
    settings = replace(Settings.load(config, warns=False), metrics=None, read_replica=None)
    return installed.build_server(settings, lambda: store, parts, issuer, clock=clock)


def _simulated_user_or(sandbox: Sandbox, current_user: Callable[[], Any] | None) -> Callable[[], Any]:
    """Return the simulated user in the requests of the simulation, and the application's user in others."""

    def find() -> Any:
        if flask.request.environ.get(SIGNED_IN) is sandbox.marker:
            return sandbox.user
        return (current_user or login.current_user)()

    return find


def _without_setters(parts: Extensions, clients: dict[str, Client]) -> Extensions:
    """Remove the callbacks that write, and those that read what they wrote."""
    own = parts.callbacks
    clientgetter = own.clientgetter

    def find_client(client_id: str) -> Any:
        return clients.get(client_id) or own.find_client(client_id)

    callbacks = replace(
        own,
        clientgetter=find_client if clientgetter else None,
        grantgetter=None,
        grantsetter=None,
        tokengetter=None,
        tokensetter=None,
    )
    return replace(parts, callbacks=callbacks)
