"""The command ``flask oauth2 doctor``, as users and CI run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from socket import create_server
from textwrap import dedent
from typing import Any

import flask
import pytest
from click.testing import Result
from doctor.conftest import KEY, NewPatient, Patient
from flask.cli import ScriptInfo
from servers import PATIENCE, Gunicorn, reserve_port

from flask_oauth2 import ConfigurationError


def run(patient: Patient, *arguments: str, ends: int = 0) -> Result:
    result = patient.app.test_cli_runner().invoke(args=["oauth2", "doctor", *arguments])
    assert result.exit_code == ends, result.output
    assert "Traceback" not in result.output
    return result


def test_nothing_is_wrong(patient: Patient) -> None:
    assert run(patient, "--offline", "--strict").output == "No problems found.\n"
    assert json.loads(run(patient, "--offline", "--json").stdout) == {"findings": [], "errors": 0, "warnings": 0}


def test_findings_are_grouped_one_in_a_line(new_patient: NewPatient) -> None:
    patient = new_patient(SECRET_KEY="dev", OAUTH2_PKCE_REQUIRED="public", SESSION_COOKIE_SECURE=False, proxied=False)
    assert run(patient, "--offline", ends=1).stdout.splitlines() == [
        "Settings",
        "  error    SECRET_KEY is an example value from tutorials: an attacker who guesses it can sign in as any user "
        "(rfc6749 10.10); hint: generate one with python -c 'import secrets; print(secrets.token_hex())', and store it "
        "safely",
        "  note     OAUTH2_PKCE_REQUIRED allows clients with a secret to omit PKCE (rfc9700 2.1.1); hint: leave it at "
        '"all", and exempt single clients with flask oauth2 client update ID --no-pkce',
        "  warning  browsers also send the session cookie over http, which exposes it to the network (rfc6265 8.3); "
        "hint: SESSION_COOKIE_SECURE = True",
        "Proxy",
        "  warning  behind a proxy that terminates TLS the application sees http, so its cookies and URLs are for http "
        "(rfc8414 2); hint: app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1), with "
        "ProxyFix from werkzeug.middleware.proxy_fix; see docs/howto/proxy",
        "",
        "1 error, 2 warnings, 1 note.",
    ]


def test_warnings_fail_where_that_is_wanted(new_patient: NewPatient) -> None:
    patient = new_patient(SESSION_COOKIE_SECURE=False)
    assert run(patient, "--offline").stdout.endswith("\n1 warning.\n")
    said = json.loads(run(patient, "--offline", "--strict", "--json", ends=1).stdout)
    assert (said["errors"], said["warnings"]) == (0, 1)
    assert said["findings"] == [
        {
            "level": "warning",
            "check": "settings.session_cookie",
            "what": "browsers also send the session cookie over http, which exposes it to the network",
            "rule": "rfc6265 8.3",
            "hint": "SESSION_COOKIE_SECURE = True",
        }
    ]


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "http://127.0.0.1:8000/notes", "ftp://x", "http://"])
def test_an_invalid_url(patient: Patient, url: str) -> None:
    assert "must be scheme, host and port" in run(patient, "--url", url, ends=2).stderr


def test_names_from_elsewhere_hide_nothing_in_a_terminal(patient: Patient) -> None:
    patient.add_client("x", redirect_uris=("http://client.example/\x1b[2J",))
    assert "\x1b" not in run(patient, "--offline", ends=1).output


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (ConfigurationError("OAUTH2_ISSUER must be a URL"), "  error    OAUTH2_ISSUER must be a URL\n"),
        (OSError("no disk"), "  error    OSError: no disk; hint: check that it runs, and read its log\n"),
    ],
)
def test_an_application_that_cannot_be_loaded_is_a_finding(patient: Patient, reason: Exception, said: str) -> None:
    def fail() -> flask.Flask:
        raise reason

    loaded = ScriptInfo(create_app=fail)
    result = patient.app.test_cli_runner().invoke(args=["oauth2", "doctor", "--offline"], obj=loaded)
    assert (result.exit_code, result.output) == (1, f"Settings\n{said}\n1 error.\n")


def test_no_application_is_no_finding(patient: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = patient.app.test_cli_runner().invoke(args=["oauth2", "doctor"], obj=ScriptInfo())
    assert result.exit_code == 2
    assert "Could not locate a Flask application" in result.output


def test_the_running_application_is_requested(patient: Patient) -> None:
    said = run(patient, "--url", f"http://127.0.0.1:{reserve_port()}/", ends=1).stdout
    assert said.startswith("Probes\n  error    the public URL of the application is unreachable")


def test_a_silent_application_is_given_up_after_the_timeout(patient: Patient) -> None:
    with closing(create_server(("127.0.0.1", 0))) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        said = run(patient, "--url", url, "--timeout", "0.3", ends=1).stdout
    assert "does not respond in time" in said


def test_a_timeout_of_nothing_is_refused(patient: Patient) -> None:
    assert "--timeout" in run(patient, "--timeout", "0", ends=2).stderr


APPLICATION = f"""
    from flask import Flask
    from werkzeug.middleware.proxy_fix import ProxyFix

    from flask_oauth2 import OAuth2Provider

    app = Flask(__name__)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1)
    app.config.update(
        SECRET_KEY="{KEY}",
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_SAMESITE="Lax",
        OAUTH2_ISSUER="https://login.example",
        OAUTH2_SCOPES={{"notes": "Read your notes"}},
        OAUTH2_LOGIN_VIEW="login",
    )
    provider = OAuth2Provider(app)
    provider.protect_resource("/api", ["notes"])
    provider.current_user(lambda: None)
    app.add_url_rule("/login", "login", lambda: "sign in")
"""


def doctor(folder: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "flask", "--app", "application", "oauth2", "doctor", *arguments]
    if "--offline" not in arguments:
        command += ["--timeout", str(6 * PATIENCE)]
    found = subprocess.run(command, cwd=folder, env=os.environ | variables, capture_output=True, text=True)
    return found.returncode, found.stdout + found.stderr


def test_a_real_server(tmp_path: Path) -> None:
    (tmp_path / "application.py").write_text(dedent(APPLICATION))
    server = Gunicorn("application:app", tmp_path, workers=2)
    try:
        url = f"http://127.0.0.1:{server.port}"
        assert doctor(tmp_path, "--url", url, "--strict") == (0, "No problems found.\n")
        (tmp_path / "application.py").write_text(dedent(APPLICATION).replace('"/api"', '"/files"'))
        code, said = doctor(tmp_path, "--url", url)
        assert code == 1, "what runs is older than what is here"
        assert "differs from the configuration of this command: protected_resources" in said
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("https://login.example", "http://login.example", "must begin with https://"),
        ('["notes"]', '["mail"]', "the resource /api needs the scope mail"),
        ("provider.protect", "None.protect", "AttributeError: 'NoneType' object has no attribute"),
    ],
)
def test_an_application_that_cannot_start(tmp_path: Path, before: str, after: str, said: str) -> None:
    (tmp_path / "application.py").write_text(dedent(APPLICATION).replace(before, after))
    code, output = doctor(tmp_path, "--offline")
    assert code == 1
    assert output.startswith("Settings\n  error    ")
    assert said in output
    assert "Traceback" not in output


def test_there_is_no_application(tmp_path: Path) -> None:
    code, output = doctor(tmp_path, "--offline")
    assert code == 2
    assert "Could not import 'application'" in output


@pytest.mark.parametrize("arguments", [["routes"], ["client", "list"], ["purge"]])
def test_other_commands_where_there_is_no_provider(arguments: list[str]) -> None:
    from flask_oauth2.cli import oauth2

    app = flask.Flask("plain")
    app.cli.add_command(oauth2)  # as the entry point of the package does for every application
    result: Any = app.test_cli_runner().invoke(args=["oauth2", *arguments])
    assert result.exit_code == 1
    assert "Error: This application has no OAuth2Provider" in result.stderr
