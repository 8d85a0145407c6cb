"""The sandbox leaves no row, signal, log record or session, and restores the real server."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask
import pytest
from flask.sessions import SecureCookieSessionInterface

from flask_oauth2 import Client, ConfigurationError, OAuth2Provider, current_token, signals
from flask_oauth2.clients import lookup
from flask_oauth2.tools.simulation import PROFILES, open_sandbox
from flask_oauth2.tools.simulation.sandbox import SandboxEvents
from oauth_site import Site
from simulated import initialize, notes_of, play, stop_of

NewSite = Callable[..., Site]


def rows(path: str) -> dict[str, list[Any]]:
    """Return the rows of the database file."""
    with sqlite3.connect(path) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in tables}
    connection.close()
    return found


@pytest.mark.parametrize("profile", list(PROFILES))
def test_nothing_is_saved_in_the_store(mcp_site: NewSite, profile: str) -> None:
    site = mcp_site(OAUTH2_GRANT_TYPES=["authorization_code", "refresh_token", "client_credentials", "device_code"])
    site.add_client("web")
    site.store.engine.dispose()
    path = str(Path(site.app.instance_path) / "oauth2.sqlite")
    before, server = rows(path), site.server
    notes_of(play(site.app, profile))
    assert rows(path) == before
    assert site.server is server
    assert not isinstance(site.server.events, SandboxEvents)
    site.store.engine.dispose()


@pytest.mark.parametrize("profile", list(PROFILES))
def test_no_store_is_opened(mcp_site: NewSite, profile: str) -> None:
    site = mcp_site()
    notes_of(play(site.app, profile))
    assert not Path(site.app.instance_path).exists()
    assert site.app.extensions["flask_oauth2"].servers is None


def test_no_signal_and_no_audit_record_is_sent(mcp_site: NewSite, caplog: pytest.LogCaptureFixture) -> None:
    site, told = mcp_site(), []
    audited = [
        getattr(signals, name) for name in dir(signals) if isinstance(getattr(signals, name), signals.NamedSignal)
    ]
    assert len(audited) > 10
    assert set(audited) == set(signals.ALL)

    def on_signal(sender: object, **what: Any) -> None:
        told.append(what)

    for signal in audited:
        signal.connect(on_signal)
    with caplog.at_level("DEBUG", "flask_oauth2.audit"), caplog.at_level("WARNING", "flask_oauth2"):
        for profile in PROFILES:
            notes_of(play(site.app, profile))
    for signal in audited:
        signal.disconnect(on_signal)
    assert told == []
    assert caplog.records == []


class Interface(SecureCookieSessionInterface):
    """A session interface that saves rows."""

    def save_session(self, app: flask.Flask, session: Any, response: flask.Response) -> None:
        raise AssertionError


def test_all_is_as_before_after_an_error(mcp_site: NewSite) -> None:
    site = mcp_site()
    kept = site.app.session_interface = Interface()
    current_user, server = site.provider._current_user, site.server
    notes_of(play(site.app, "cli"))

    def fail() -> None:
        with open_sandbox(site.app, "eve"):
            assert isinstance(site.server.events, SandboxEvents)
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert site.app.session_interface is kept
    assert site.provider._current_user is current_user
    assert site.server is server
    assert not flask.got_request_exception.has_receivers_for(site.app)
    server.store.engine.dispose()


def test_an_application_without_a_provider() -> None:
    with pytest.raises(ConfigurationError, match="has no OAuth2Provider"), open_sandbox(flask.Flask("bare"), "eve"):
        pass


def test_a_provider_that_cannot_start(new_app: NewSite) -> None:
    with pytest.raises(ConfigurationError, match="SECRET_KEY"), open_sandbox(new_app(SECRET_KEY=None).app, "eve"):
        pass


def never(*_: Any, **__: Any) -> Any:
    raise AssertionError


def own_clients(new_app: NewSite, **options: Any) -> Site:
    """Make an application that stores its clients, codes and tokens itself."""
    site = new_app(**options)
    provider: OAuth2Provider = site.provider
    provider.clientgetter(lambda client_id: Client(client_id="own") if client_id == "own" else None)
    for register in (provider.grantgetter, provider.grantsetter, provider.tokengetter, provider.tokensetter):
        register(never)
    return site


@pytest.mark.parametrize("profile", ["cli", "server"])
def test_no_callback_of_codes_and_tokens_is_called(new_app: NewSite, profile: str) -> None:
    site = own_clients(new_app)
    assert notes_of(play(site.app, profile)) == ""
    with open_sandbox(site.app, "eve") as sandbox:
        assert lookup.find_client(sandbox.server, "own") == Client(client_id="own")


def test_pages_of_clients_that_cannot_be_listed(new_app: NewSite) -> None:
    steps = play(own_clients(new_app).app, "spa")
    assert "add the origin to OAUTH2_CORS_ORIGINS" in notes_of(steps)


def test_registration_is_closed_where_clients_are_the_application_s_own(new_app: NewSite) -> None:
    site = own_clients(new_app, OAUTH2_CLIENT_ID_METADATA_DOCUMENTS=False)
    site.provider.protect_mcp("/mcp", ["profile"])
    site.app.post("/mcp", endpoint="mcp")(initialize)
    assert "needs a client registered by hand" in stop_of(play(site.app, "mcp")).reason


def test_a_view_that_needs_the_application_s_own_token(new_app: NewSite) -> None:
    site = own_clients(new_app, PROPAGATE_EXCEPTIONS=False)
    site.provider.protect_mcp("/mcp", ["profile"])
    view = site.app.post("/mcp", endpoint="mcp")(lambda: {"id": current_token.access_token.user_id})
    site.app.view_functions["me"] = site.provider.require_oauth("profile")(view)
    notes = notes_of(play(site.app, "cli"))
    assert "/api/me responds with 500, because the simulation does not call your tokengetter: AttributeError" in notes
    site.app.config["OAUTH2_CLIENT_ID_METADATA_DOCUMENTS"] = True
    assert "/mcp responds with 500, because the simulation does not call your tokengetter" in notes_of(
        play(site.app, "mcp")
    )
