"""The doctor in an application with several issuers: it examines the one that the caller names."""

from __future__ import annotations

from collections.abc import Callable

import flask
import pytest
from servers import PATIENCE
from tenants import make_tenants

from flask_oauth2 import Client
from flask_oauth2.tools.doctor import Finding, diagnose

ways = pytest.mark.parametrize("way", ["path", "host"])


def errors(findings: list[Finding]) -> list[str]:
    """Return the errors and warnings, without the one about a store in memory."""
    return [
        f"{finding.check}: {finding.what}"
        for finding in findings
        if finding.level != "note" and finding.check != "storage.examination"
    ]


@ways
def test_each_issuer_has_its_own_settings(way: str) -> None:
    app, issuers = make_tenants(way)
    assert errors(diagnose(app, issuer=issuers["acme"].url, offline=True)) == []
    (found,) = errors(diagnose(app, issuer=issuers["umbrella"].url, offline=True))
    assert found.startswith("settings.lifetimes: OAUTH2_ACCESS_TOKEN_LIFETIME is 172800 seconds")


@ways
def test_each_issuer_has_its_own_clients(way: str) -> None:
    app, issuers = make_tenants(way)
    provider = app.extensions["flask_oauth2"].provider
    with app.app_context(), provider.issuer_context(issuers["umbrella"].url):
        provider.server.store.set_client(Client(client_id="nameless", redirect_uris=("http://client.example/back",)))
    assert errors(diagnose(app, issuer=issuers["acme"].url, offline=True)) == []
    found = "\n".join(errors(diagnose(app, issuer=issuers["umbrella"].url, offline=True)))
    assert "uses http, which exposes the code to the network: nameless (http://client.example/back)" in found


@ways
def test_probes_are_sent_to_the_urls_of_the_issuer(way: str, serve: Callable[..., str]) -> None:
    app, issuers = make_tenants(way)
    requested = []
    app.before_request(lambda: requested.append(flask.request.base_url))
    findings = diagnose(app, issuer=issuers["acme"].url, url=serve(app.wsgi_app), timeout=6 * PATIENCE)
    assert errors(findings) == []
    for path in ("/oauth/token", "/api/me"):
        assert f"{issuers['acme'].url}{path}" in requested
    assert not [url for url in requested if "umbrella" in url]


@ways
def test_probes_find_the_protected_resource_of_the_issuer(way: str, serve: Callable[..., str]) -> None:
    app, issuers = make_tenants(way)
    path = "/<tenant>/api" if way == "path" else "/api"
    app.extensions["flask_oauth2"].provider.protect_resource(path, ["profile"])
    requested = []
    record = app.before_request_funcs[None]  # before the guard of the resource, which rejects requests
    record.insert(0, lambda: requested.append(flask.request.base_url))
    issuer = issuers["acme"].url
    findings = diagnose(app, issuer=issuer, url=serve(app.wsgi_app), timeout=6 * PATIENCE)
    assert errors(findings) == []
    origin = issuer.removesuffix("/acme")
    root = f"{origin}/.well-known/oauth-protected-resource"
    assert f"{issuer}/api" in requested
    assert (f"{root}/acme/api" if way == "path" else f"{root}/api") in requested
    # the root of the host belongs to no issuer in particular if the path names it
    assert (root in requested) == (way == "host")


def test_the_metadata_at_the_root_of_the_host_is_of_no_issuer(serve: Callable[..., str]) -> None:
    app, issuers = make_tenants("path")

    @app.before_request
    def serve_another_issuer() -> flask.Response | None:
        is_metadata = flask.request.path == "/.well-known/oauth-authorization-server/acme"
        return flask.jsonify(issuer="https://login.example") if is_metadata else None

    findings = diagnose(app, issuer=issuers["acme"].url, url=serve(app.wsgi_app), timeout=6 * PATIENCE)
    (found,) = [finding for finding in findings if finding.check == "probes.server_metadata"]
    assert "is https://login.example instead of https://login.example/acme" in found.what


def test_a_url_that_only_this_machine_reaches_is_reported() -> None:
    app, issuers = make_tenants("path")
    issuers["acme"] = type(issuers["acme"])(id="acme", url="http://localhost:5000/acme")
    found = "\n".join(errors(diagnose(app, issuer="http://localhost:5000/acme", offline=True)))
    assert "the URL of the issuer is http://localhost:5000/acme, which only this machine can reach" in found


@ways
@pytest.mark.parametrize(
    ("issuer", "sentence"),
    [
        (None, "this application has several issuers: name the one to examine with flask oauth2 --issuer URL doctor"),
        ("https://nobody.example", "there is no issuer https://nobody.example"),
    ],
)
def test_the_issuer_must_be_named_and_known(way: str, issuer: str | None, sentence: str) -> None:
    app, _ = make_tenants(way)
    (finding,) = diagnose(app, issuer=issuer, offline=True)
    assert (finding.check, finding.level) == ("settings.start", "error")
    assert finding.what.startswith(sentence)


@ways
def test_the_command(way: str) -> None:
    app, issuers = make_tenants(way)
    run = app.test_cli_runner()
    examined = run.invoke(args=["oauth2", "--issuer", issuers["acme"].url, "doctor", "--offline"])
    assert examined.exit_code == 0, examined.output
    assert "OAUTH2_ACCESS_TOKEN_LIFETIME" not in examined.output
    examined = run.invoke(args=["oauth2", "--issuer", issuers["umbrella"].url, "doctor", "--offline"])
    assert "OAUTH2_ACCESS_TOKEN_LIFETIME is 172800 seconds" in examined.output
    unnamed = run.invoke(args=["oauth2", "doctor", "--offline"])
    assert unnamed.exit_code == 1
    assert "name the one to examine with flask oauth2 --issuer URL doctor" in unnamed.output
