"""The doctor's probes of running applications behind proxies and middleware."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import flask
import pytest
from doctor.conftest import CONFIG, ISSUER, NewPatient, Patient
from document_server import HOST, certify, serve_documents, server_tls
from flask_wtf import CSRFProtect
from servers import PATIENCE, reserve_port
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Request, Response

from flask_oauth2 import MemoryStore, OAuth2Provider
from flask_oauth2.tools.doctor import Finding, diagnose

Serve = Callable[..., str]
Change = Callable[[Request, Response], Response | None]

WELL_KNOWN = "/.well-known/oauth-authorization-server"


def changed(patient: Patient, change: Change) -> Any:
    """The application behind middleware that changes its responses."""

    def answer(environ: Any, start_response: Any) -> Any:
        response = Response.from_app(patient.app.wsgi_app, environ)
        return (change(Request(environ), response) or response)(environ, start_response)

    return answer


@pytest.fixture
def api(new_patient: NewPatient) -> Patient:
    """An application with a protected resource."""
    patient = new_patient()
    patient.provider.protect_resource("/files", ["notes"], name="Files")
    patient.add_client()
    return patient


def checks(findings: list[Finding]) -> set[str]:
    return {finding.check for finding in findings}


def test_nothing_is_wrong(api: Patient, serve: Serve) -> None:
    assert api.diagnose(url=serve(api.app)) == []


def test_under_its_public_url(new_patient: NewPatient, serve: Serve) -> None:
    patient = new_patient(SESSION_COOKIE_SECURE=False)
    patient.provider.protect_resource("/", ["profile"])
    patient.app.config["OAUTH2_ISSUER"] = serve(patient.app)
    findings = patient.diagnose(offline=False)
    assert checks(findings) == {"settings.issuer"}


def test_several_resources_and_one_at_the_root(new_patient: NewPatient, serve: Serve) -> None:
    patient = new_patient()
    for path in ("/", "/files", "/mcp"):
        patient.provider.protect_resource(path, ["notes"])
    assert patient.diagnose(url=serve(patient.app)) == []


def test_a_resource_in_which_no_path_is_plain(tmp_path: Path, serve: Serve) -> None:
    app = flask.Flask("patient", instance_path=str(tmp_path))
    app.config.update(CONFIG)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1)  # type: ignore[method-assign]
    provider = OAuth2Provider(app, store=MemoryStore())
    provider.protect_resource("/", ["notes"])
    provider.current_user(lambda: None)
    app.add_url_rule("/login", "login", lambda: "sign in")
    app.add_url_rule("/notes/<name>", "note", provider.require_oauth("notes")(lambda name: name))
    assert checks(diagnose(app, url=serve(app))) == {"storage.examination"}, "which is in memory"


@pytest.mark.parametrize("issuer", [f"{ISSUER}/notes", ISSUER])
def test_mounted_at_a_path(new_patient: NewPatient, serve: Serve, issuer: str) -> None:
    api = new_patient(OAUTH2_ISSUER=issuer)
    api.provider.protect_resource("/files", ["notes"])

    def mount(environ: Any, start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        if not path.startswith(("/.well-known/", "/notes/")):
            return Response("nothing here", 404)(environ, start_response)
        environ |= {"SCRIPT_NAME": "/notes", "PATH_INFO": path.removeprefix("/notes")}
        return api.app(environ, start_response)

    assert api.diagnose(url=serve(mount)) == []


@pytest.mark.spec("rfc8414", "3")
def test_a_prefix_that_the_application_does_not_see(new_patient: NewPatient, serve: Serve) -> None:
    """A proxy removes the prefix and does not name it."""
    api = new_patient(OAUTH2_ISSUER=f"{ISSUER}/notes")
    api.provider.protect_resource("/files", ["notes"])
    asked: list[str] = []

    def mount(environ: Any, start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        asked.append(path)
        if not path.startswith(("/.well-known/", "/notes/")):
            return Response("nothing here", 404)(environ, start_response)
        environ |= {"PATH_INFO": path.removeprefix("/notes")}
        return api.app(environ, start_response)

    findings = api.diagnose(url=serve(mount))
    (found,) = [finding for finding in findings if finding.check == "probes.reached"]
    assert (found.level, found.rule) == ("error", "rfc8414 3")
    assert found.what.startswith("OAUTH2_ISSUER has the path /notes, but the application sees no path")
    assert "ProxyFix(app.wsgi_app, x_prefix=1)" in found.hint
    assert "/notes/oauth/token" in asked
    assert "/oauth/token" not in asked


def test_a_prefix_that_loses_what_is_well_known(new_patient: NewPatient, serve: Serve) -> None:
    api = new_patient(OAUTH2_ISSUER=f"{ISSUER}/notes")

    def mount(environ: Any, start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        if not path.startswith("/notes/"):
            return Response("nothing here", 404)(environ, start_response)
        environ |= {"SCRIPT_NAME": "/notes", "PATH_INFO": path.removeprefix("/notes")}
        return api.app(environ, start_response)

    found = [finding for finding in api.diagnose(url=serve(mount)) if finding.check == "probes.server_metadata"]
    assert [(finding.level, finding.rule) for finding in found] == [("error", "rfc8414 3"), ("warning", "rfc8414 3")]
    assert found[0].what.startswith(f"{ISSUER}{WELL_KNOWN}/notes responds with 404")
    assert "/.well-known/…" in found[0].hint


def test_a_login_page_before_everything(api: Patient, serve: Serve) -> None:
    def login(request: Request, response: Response) -> Response | None:
        return None if request.path == "/login" else Response("", 302, {"Location": f"/login?next={request.path}"})

    findings = api.diagnose(url=serve(changed(api, login)))
    assert checks(findings) == {
        *("probes.server_metadata", "probes.resource_metadata", "probes.unknown_paths"),
        *("probes.token_endpoint", "probes.challenges"),
    }
    assert all(f"a redirect (302) to {ISSUER}/login" in finding.what for finding in findings)
    assert all(finding.hint and finding.rule for finding in findings)


def test_https_that_is_not_seen(new_patient: NewPatient, serve: Serve) -> None:
    patient = new_patient(proxied=False)

    @patient.app.before_request
    def only_https() -> Any:
        if not flask.request.is_secure:
            return flask.redirect(flask.request.url.replace("http://", "https://"))
        return None

    findings = patient.diagnose(url=serve(patient.app))
    assert checks(findings) >= {"proxy.seen", "probes.server_metadata", "probes.token_endpoint"}
    found = [finding for finding in findings if finding.check == "probes.server_metadata"]
    assert "a redirect to itself (302, https://login.example/.well-known/" in found[0].what
    assert "ProxyFix" in found[0].hint


def test_csrf_protection_before_the_token_endpoint(new_patient: NewPatient, serve: Serve) -> None:
    patient = new_patient()

    def csrf(request: Request, response: Response) -> Response | None:
        page = "<p>The CSRF token is missing.</p>"
        return Response(page, 400, mimetype="text/html") if request.method == "POST" else None

    (finding,) = patient.found("probes.token_endpoint", url=serve(changed(patient, csrf)))
    assert (finding.level, finding.rule) == ("error", "rfc6749 5.2")
    assert "400 and text/html" in finding.what
    assert "exempt the blueprint oauth2" in finding.hint


@pytest.mark.parametrize("mode", ["open", "token"])
def test_what_blocks_registration(new_patient: NewPatient, serve: Serve, mode: str) -> None:
    patient = new_patient(OAUTH2_DYNAMIC_REGISTRATION=mode, OAUTH2_REGISTRATION_SCOPES="profile")
    assert patient.diagnose(url=serve(patient.app)) == []
    assert list(patient.store.list_clients()) == []

    def firewall(request: Request, response: Response) -> Response | None:
        return Response("blocked", 403) if request.mimetype == "application/json" else None

    (finding,) = patient.found("probes.registration_endpoint", url=serve(changed(patient, firewall)))
    assert (finding.level, finding.rule) == ("error", "rfc7591 3.2.2")
    assert f"the registration endpoint {ISSUER}/oauth/register responds with 403" in finding.what


def test_flask_wtf_is_no_trouble(new_patient: NewPatient, serve: Serve) -> None:
    patient = new_patient()
    patient.app.config["OAUTH2_DYNAMIC_REGISTRATION"] = "open"
    patient.provider.protect_resource("/files", ["notes"])
    CSRFProtect(patient.app)
    assert patient.diagnose(url=serve(patient.app)) == []


def bare(request: Request, response: Response) -> None:
    response.headers.pop("Access-Control-Allow-Origin", None)


def doubled(request: Request, response: Response) -> None:
    response.headers.add("Access-Control-Allow-Origin", "*")


def as_text(request: Request, response: Response) -> None:
    if "/.well-known/" in request.path and response.status_code == 200:
        response.headers["Content-Type"] = "text/plain"


def as_page(request: Request, response: Response) -> Response | None:
    return Response("<html>", 200, mimetype="application/json") if "/.well-known/oauth" in request.path else None


def broken(request: Request, response: Response) -> Response | None:
    return Response("bad gateway", 502) if "/.well-known/oauth" in request.path else None


def catch_all(request: Request, response: Response) -> Response | None:
    return Response("<html>app", 200, mimetype="text/html") if response.status_code == 404 else None


def older(request: Request, response: Response) -> Response | None:
    if response.mimetype != "application/json" or "/.well-known/" not in request.path:
        return None
    members = {**json.loads(response.get_data()), "scopes_supported": ["old"]}
    return Response(json.dumps(members), 200, response.headers)


def of_another(request: Request, response: Response) -> Response | None:
    if "/.well-known/" in request.path:
        text = response.get_data(as_text=True).replace("://login.example", "://www.login.example")
        return Response(text, response.status_code, response.headers)
    return None


def without_challenge(request: Request, response: Response) -> None:
    response.headers.pop("WWW-Authenticate", None)


def cached(request: Request, response: Response) -> Response | None:
    return Response("[]", 200, mimetype="application/json") if response.status_code == 401 else None


def failing(request: Request, response: Response) -> Response | None:
    return Response("worker died", 500) if request.method == "POST" else None


def huge(request: Request, response: Response) -> Response | None:
    return Response(b"[" * 300_000, 200, mimetype="application/json") if request.path == WELL_KNOWN else None


@pytest.mark.parametrize(
    ("change", "check", "level", "said"),
    [
        (bare, {"server_metadata", "resource_metadata"}, "warning", "Access-Control-Allow-Origin is missing"),
        (doubled, {"server_metadata", "resource_metadata"}, "warning", "Access-Control-Allow-Origin is *, *"),
        (as_text, {"server_metadata", "resource_metadata"}, "error", "has text/plain"),
        (as_page, {"server_metadata", "resource_metadata", "unknown_paths"}, "error", "does not contain a JSON object"),
        (broken, {"server_metadata", "resource_metadata", "unknown_paths"}, "error", "responds with 502"),
        (huge, {"server_metadata"}, "error", "does not contain a JSON object"),
        (catch_all, {"unknown_paths"}, "warning", "the response is 200 and text/html instead of 404"),
        (
            older,
            {"server_metadata", "resource_metadata"},
            "warning",
            "the configuration of this command: scopes_supported",
        ),
        (of_another, {"server_metadata", "resource_metadata"}, "error", "is https://www.login.example"),
        (without_challenge, {"challenges"}, "error", "does not contain its metadata URL"),
        (cached, {"token_endpoint", "challenges"}, "error", "with 200 and application/json"),
        (failing, {"token_endpoint"}, "error", "with 500 and text/plain"),
    ],
)
def test_what_comes_changed(api: Patient, serve: Serve, change: Change, check: set[str], level: str, said: str) -> None:
    findings = api.diagnose(url=serve(changed(api, change)))
    assert checks(findings) == {f"probes.{name}" for name in check}
    assert findings[0].level == level
    assert said in findings[0].what
    assert all(finding.rule and finding.hint for finding in findings)


def test_an_issuer_that_differs_by_a_slash(new_patient: NewPatient, serve: Serve) -> None:
    running, patient = new_patient(OAUTH2_ISSUER=f"{ISSUER}/"), new_patient()
    (finding,) = patient.found("probes.server_metadata", url=serve(running.app))
    assert (finding.level, finding.rule) == ("error", "rfc8414 3.3")
    assert "is https://login.example/ instead of https://login.example: they differ by a slash" in (finding.what)
    assert running.found("settings.issuer", url=serve(running.app)), "and where they agree that is all"


@pytest.mark.parametrize("resource", [True, False])
def test_an_authorization_header_that_is_removed(new_patient: NewPatient, serve: Serve, resource: bool) -> None:
    patient = new_patient()
    if resource:
        patient.provider.protect_resource("/files", ["notes"])

    def keep_back(environ: Any, start_response: Any) -> Any:
        environ.pop("HTTP_AUTHORIZATION", None)
        return patient.app(environ, start_response)

    (finding,) = patient.found("probes.authorization_header", url=serve(keep_back))
    assert (finding.level, finding.rule) == ("error", "rfc6750 2.1")
    assert "WSGIPassAuthorization" in finding.hint


def test_no_server_listens(api: Patient) -> None:
    (finding,) = api.found("probes.reached", url=f"http://127.0.0.1:{reserve_port()}")
    assert finding.level == "error"
    assert "no server listens there" in finding.what
    assert "--url" in finding.hint


def test_an_unknown_host_name(new_patient: NewPatient) -> None:
    patient = new_patient(OAUTH2_ISSUER="https://login.invalid")
    (finding,) = patient.found("probes.reached", offline=False)
    assert "login.invalid is a host name that this machine cannot resolve" in finding.what


@pytest.fixture
def tls(serve: Serve, new_patient: NewPatient, tmp_path: Path) -> tuple[Patient, str]:
    patient = new_patient(OAUTH2_ISSUER=f"https://{HOST}")
    return patient, serve(patient.app, server_tls(tmp_path))


def test_an_untrusted_certificate(tls: tuple[Patient, str]) -> None:
    patient, url = tls
    (finding,) = patient.found("probes.reached", url=url)
    assert "cannot be verified: self" in finding.what
    assert "SSL_CERT_FILE" in finding.hint


def test_a_certificate_of_an_authority_of_ones_own(
    tls: tuple[Patient, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient, url = tls
    (tmp_path / "authority.pem").write_bytes(certify()[0])
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    assert patient.diagnose(url=url) == []


def test_a_certificate_for_another_host(
    serve: Serve, api: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "authority.pem").write_bytes(certify()[0])
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    (finding,) = api.found("probes.reached", url=serve(api.app, server_tls(tmp_path)))
    assert "cannot be verified: Hostname mismatch" in finding.what


def test_http_where_https_was_expected(api: Patient, serve: Serve) -> None:
    (finding,) = api.found("probes.reached", url=serve(api.app).replace("http:", "https:"))
    assert "does not speak TLS correctly" in finding.what


def test_something_else_than_http(api: Patient) -> None:
    with serve_documents() as server:
        server.answers[WELL_KNOWN] = b"+OK dovecot ready\r\n"
        (finding,) = api.found("probes.reached", url=f"http://127.0.0.1:{server.port}")
    assert "does not send a valid HTTP response" in finding.what


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that accepts connections and sends nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_an_application_that_does_not_answer(api: Patient, silent: str) -> None:
    (finding,) = api.found("probes.reached", url=silent, timeout=0.3)
    assert finding.level == "error"
    assert "is unreachable: 127.0.0.1:" in finding.what
    assert finding.what.endswith("does not respond in time")
    (finding,) = api.found("probes.reached", url=silent, timeout=0)
    assert "the time limit of all requests has expired" in finding.what


def test_one_that_answers_a_byte_at_a_time(api: Patient) -> None:
    with serve_documents() as server:
        server.answers[WELL_KNOWN] = b"HTTP/1.1 200 OK\r\nX-Slow: "
        server.drips = b"x"
        (finding,) = api.found("probes.reached", url=f"http://127.0.0.1:{server.port}", timeout=0.3)
    assert finding.what.endswith("does not respond in time")


def test_one_that_stops_answering_on_the_way(api: Patient, serve: Serve) -> None:
    gate, asked = Event(), Event()

    def wait(request: Request, response: Response) -> None:
        if request.method == "POST":
            asked.set()
            gate.wait(PATIENCE)

    def clock() -> float:
        return 100.0 if asked.is_set() else 0.0

    try:
        (finding,) = api.found("probes.token_endpoint", url=serve(changed(api, wait)), timeout=30, clock=clock)
    finally:
        gate.set()
    assert finding.level == "error"
    assert finding.what.endswith("does not respond in time")


def test_without_httpx_the_finding_names_the_extra(api: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_oauth2.tools.doctor.probes.find_spec", lambda name: None)
    (finding,) = api.found("probes.reached", url="http://127.0.0.1:1")
    assert (finding.level, finding.hint) == ("warning", "install flask_oauth2[doctor], or pass --offline")


def test_without_an_issuer_no_request_is_sent(new_patient: NewPatient) -> None:
    assert checks(new_patient(OAUTH2_ISSUER=None).diagnose(offline=False)) == {"settings.issuer"}
