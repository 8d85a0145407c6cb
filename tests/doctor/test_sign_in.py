"""The doctor's checks of the sign-in."""

from __future__ import annotations

from pathlib import Path

import flask
import pytest
from doctor.conftest import CONFIG, NewPatient
from flask_login import LoginManager

from flask_oauth2 import MemoryStore, OAuth2Provider
from flask_oauth2.tools.doctor import diagnose


def checks(app: flask.Flask) -> list[str]:
    return [finding.check for finding in diagnose(app, offline=True) if finding.check.startswith("sign_in")]


@pytest.fixture
def app(tmp_path: Path) -> flask.Flask:
    app = flask.Flask("patient", instance_path=str(tmp_path))
    app.config.update(CONFIG)
    del app.config["OAUTH2_LOGIN_VIEW"]
    return app


def test_an_unknown_signed_in_user(app: flask.Flask) -> None:
    OAuth2Provider(app, store=MemoryStore())
    assert checks(app) == ["sign_in.current_user", "sign_in.login_view"]


def test_flask_login_knows_both(app: flask.Flask) -> None:
    manager = LoginManager(app)
    manager.login_view = "login"
    app.add_url_rule("/login", "login", lambda: "sign in")
    OAuth2Provider(app, store=MemoryStore())
    assert checks(app) == []


def test_without_users_no_sign_in_is_needed(app: flask.Flask) -> None:
    app.config["OAUTH2_GRANT_TYPES"] = ["client_credentials"]
    OAuth2Provider(app, store=MemoryStore())
    assert checks(app) == []


def test_users_of_devices_sign_in(app: flask.Flask) -> None:
    app.config["OAUTH2_GRANT_TYPES"] = ["device_code"]
    OAuth2Provider(app, store=MemoryStore())
    assert checks(app) == ["sign_in.current_user", "sign_in.login_view"]


@pytest.mark.parametrize(
    ("view", "level", "said"),
    [
        ("auth.login", "error", "'auth.login', which this application does not have"),
        ("/signin", "warning", "a path that this application does not serve"),
        ("http://sso.example/login", "error", "unencrypted"),
        ("login", None, ""),
        ("/login", None, ""),
        ("/login?from=oauth", None, ""),
        ("/oauth/token", None, ""),
        ("https://sso.example/login", None, ""),
    ],
)
def test_the_login_view(new_patient: NewPatient, view: str, level: str | None, said: str) -> None:
    found = new_patient(OAUTH2_LOGIN_VIEW=view).found("sign_in.login_view")
    assert [finding.level for finding in found] == ([level] if level else [])
    assert all(said in finding.what and finding.hint for finding in found)
