"""Applications without problems, until a test adds one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import flask
import pytest
from servers import PATIENCE
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.serving import make_server

from flask_oauth2 import Client, OAuth2Provider, hash_secret, values
from flask_oauth2.tools.doctor import Finding, diagnose

ISSUER = "https://login.example"
KEY = "c4f1b2a39d8e7f60" * 2 + "5a6b7c8d9e0f1023" * 2

SECRET = hash_secret(values.new("ocs", values.timestamp(1_800_000_000)))

CONFIG: dict[str, Any] = {
    "SECRET_KEY": KEY,
    "SESSION_COOKIE_SECURE": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
    "OAUTH2_ISSUER": ISSUER,
    "OAUTH2_SCOPES": {"profile": "See your name", "notes": "Read your notes"},
    "OAUTH2_LOGIN_VIEW": "login",
}


@dataclass
class Patient:
    """An application and the findings of the doctor about it."""

    app: flask.Flask
    provider: OAuth2Provider

    @property
    def store(self) -> Any:
        with self.app.app_context():
            return self.provider.server.store

    def add_client(self, client_id: str = "shop", **fields: Any) -> None:
        defaults: dict[str, Any] = {
            "name": "Shop",
            "secret": None if fields.get("auth_method") == "none" else SECRET,
            "redirect_uris": ("https://client.example/back",),
            "scope": ("profile",),
            "metadata": {"client_uri": "https://client.example"},
        }
        self.store.set_client(Client(client_id=client_id, **{**defaults, **fields}))

    def diagnose(self, **options: Any) -> list[Finding]:
        """Return the findings. Send requests only if a test passes a URL."""
        return diagnose(self.app, **({"offline": "url" not in options, "timeout": 6 * PATIENCE} | options))

    def found(self, check: str, **options: Any) -> list[Finding]:
        """Return the findings of one check. Other checks may only find notes."""
        findings = self.diagnose(**options)
        others = [finding for finding in findings if finding.check != check and finding.level != "note"]
        assert not others, others
        return [finding for finding in findings if finding.check == check]


NewPatient = Callable[..., Patient]


@pytest.fixture
def new_patient(tmp_path: Path) -> Iterator[NewPatient]:
    """Make applications with options and a provider."""
    made: list[Patient] = []

    def new(provider_options: dict[str, Any] | None = None, proxied: bool = True, **config: Any) -> Patient:
        app = flask.Flask("patient", instance_path=str(tmp_path / f"instance{len(made)}"))
        app.config.update(CONFIG)
        app.config.update(config)
        options = dict(provider_options or {})
        if "db" in options:
            options["db"].init_app(app)
        if proxied:
            app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1)  # type: ignore[method-assign]
        provider = OAuth2Provider(app, **options)
        provider.current_user(lambda: None)

        @app.get("/login")
        def login() -> str:
            return "sign in"

        @app.get("/api/me")
        @provider.require_oauth("profile")
        def me() -> dict[str, str]:
            return {}

        made.append(Patient(app, provider))
        return made[-1]

    yield new
    for patient in made:
        servers = patient.app.extensions["flask_oauth2"].servers
        store = servers.first.__dict__.get("store") if servers else None
        while store is not None:
            if hasattr(store, "engine"):
                store.engine.dispose()
            if hasattr(store, "close"):
                store.close()
            store = getattr(store, "behind", None)


@pytest.fixture
def patient(new_patient: NewPatient) -> Patient:
    """Make an application with a client."""
    patient = new_patient()
    patient.add_client()
    return patient


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Serve a WSGI application on this machine, and return its URL."""
    with_end: list[tuple[Any, Thread]] = []

    def start(wsgi_app: Any, ssl_context: Any = None) -> str:
        server = make_server("127.0.0.1", 0, wsgi_app, threaded=True, ssl_context=ssl_context)
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        with_end.append((server, thread))
        return f"{'https' if ssl_context else 'http'}://127.0.0.1:{server.port}"

    yield start
    for server, thread in with_end:
        server.shutdown()
        thread.join()
        server.server_close()
