"""Simulations in an application with several issuers: a client of the one that the caller names."""

from __future__ import annotations

import pytest
from tenants import make_tenants, path_of

from flask_oauth2 import ConfigurationError
from flask_oauth2.tools.simulation import PROFILES, open_sandbox
from simulated import lines_of, notes_of

ways = pytest.mark.parametrize("way", ["path", "host"])


@ways
@pytest.mark.parametrize("profile", ["spa", "cli", "server"])
def test_a_client_of_each_issuer_succeeds(way: str, profile: str) -> None:
    app, issuers = make_tenants(
        way, OAUTH2_GRANT_TYPES=["authorization_code", "refresh_token", "client_credentials", "device_code"]
    )
    for name, issuer in issuers.items():
        with open_sandbox(app, "eve", issuer.url) as sandbox:
            simulation = PROFILES[profile](sandbox)
            steps = list(simulation.play())
        notes_of(steps)
        assert simulation.subject == issuer.url
        called = f"GET {path_of(way, name, '/api/me')['path']} → 200"
        assert called in lines_of(steps), "the client has found the guarded view of its issuer"


@ways
def test_the_settings_are_those_of_the_issuer(way: str) -> None:
    app, issuers = make_tenants(way)
    lifetimes = []
    for issuer in issuers.values():
        with open_sandbox(app, "eve", issuer.url) as sandbox:
            lifetimes.append(sandbox.server.settings.access_token_lifetime)
    assert lifetimes == [3600, 2 * 86400]


@ways
def test_other_issuers_are_not_found_meanwhile(way: str) -> None:
    app, issuers = make_tenants(way)
    with open_sandbox(app, "eve", issuers["acme"].url):
        for name, status in (("acme", 401), ("umbrella", 404)):
            assert app.test_client().get(**path_of(way, name, "/api/me")).status_code == status
    assert app.extensions["flask_oauth2"].servers is None
    assert app.test_client().get(**path_of(way, "umbrella", "/api/me")).status_code == 401


@ways
@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (None, "several issuers: name the one to simulate with flask oauth2 --issuer URL simulate"),
        ("https://nobody.example", "there is no issuer https://nobody.example"),
    ],
)
def test_the_issuer_must_be_named_and_known(way: str, url: str | None, sentence: str) -> None:
    app, _ = make_tenants(way)
    with pytest.raises(ConfigurationError, match=sentence), open_sandbox(app, "eve", url):
        pass


@ways
def test_the_command(way: str) -> None:
    app, issuers = make_tenants(way)
    run = app.test_cli_runner()
    simulated = run.invoke(args=["oauth2", "--issuer", issuers["acme"].url, "simulate", "spa"])
    assert simulated.exit_code == 0, simulated.output
    assert f"with {issuers['acme'].url}." in simulated.output
    unnamed = run.invoke(args=["oauth2", "simulate", "spa"])
    assert unnamed.exit_code == 1
    assert "name the one to simulate with flask oauth2 --issuer URL simulate" in unnamed.output
