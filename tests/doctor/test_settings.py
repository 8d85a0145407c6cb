"""The doctor's checks of options."""

from __future__ import annotations

from typing import Any

import pytest
from doctor.conftest import ISSUER, KEY, NewPatient, Patient
from flask_login import LoginManager

from flask_oauth2.tools.doctor.settings import fault_of_key


def test_nothing_is_wrong(patient: Patient) -> None:
    assert patient.diagnose() == []


@pytest.mark.parametrize(
    "key",
    [
        *("dev", "change me", "CHANGE-ME-in-production-please-and-do-not-forget", "a secret key", b"secret"),
        *("your_secret_key_that_is_long_enough_for_it", "9fK2mQ7xW4bN1pR8", b"\x93\x01\xfe", "ab" * 20),
        "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
        b'_5#y2L"F4Q8z\n\xec]/',
    ],
)
def test_keys_that_are_guessed(new_patient: NewPatient, key: str | bytes) -> None:
    (finding,) = new_patient(SECRET_KEY=key).found("settings.secret_key")
    assert (finding.level, finding.rule) == ("error", "rfc6749 10.10")
    assert "SECRET_KEY" in finding.what
    assert "secrets.token_hex()" in finding.hint
    if len(key) > 9:
        assert str(key) not in str(finding)
    (fallback, still) = new_patient(SECRET_KEY_FALLBACKS=[key]).found("settings.fallbacks")
    assert (fallback.level, still.level) == ("error", "note")


@pytest.mark.parametrize("key", [KEY, b"\x93\x01\xfe\x11\x45\x87\xa0\x0b" + bytes(range(100, 116)), KEY.encode()])
def test_keys_that_are_good(key: str | bytes) -> None:
    assert fault_of_key(key) is None


def test_old_fallback_keys(new_patient: NewPatient) -> None:
    (finding,) = new_patient(SECRET_KEY_FALLBACKS=[KEY[::-1], KEY[1:] + "0"]).found("settings.fallbacks")
    assert finding.level == "note"
    assert "still has 2 keys" in finding.what
    assert "30 days after" in finding.hint


ISSUER_CHECK = "settings.issuer"

CASES: list[tuple[dict[str, Any], str, str, str, str]] = [
    ({"OAUTH2_ISSUER": None, "SERVER_NAME": None}, ISSUER_CHECK, "error", "rfc8414 2", "is not set"),
    ({"OAUTH2_ISSUER": "http://127.0.0.1:5000"}, ISSUER_CHECK, "warning", "rfc8414 2", "only this machine can reach"),
    ({"OAUTH2_ISSUER": f"{ISSUER}/"}, ISSUER_CHECK, "warning", "rfc8414 3.3", "ends with a slash"),
    ({"OAUTH2_ISSUER": f"{ISSUER}/notes/"}, ISSUER_CHECK, "warning", "rfc8414 3.3", "ends with a slash"),
    ({"OAUTH2_SCOPES": {}}, "settings.scopes", "warning", "rfc6749 3.3", "is empty"),
    ({"OAUTH2_DEFAULT_SCOPE": "mail"}, "settings.scopes", "error", "rfc6749 3.3", "contains mail"),
    (
        {"OAUTH2_SCOPES": {"profile": "Your name", "notes": " "}},
        "settings.scopes",
        "warning",
        "rfc6749 3.3",
        "no description for notes",
    ),
    (
        {"OAUTH2_GRANT_TYPES": ["authorization_code", "implicit"]},
        "settings.grant_types",
        "warning",
        "rfc9700 2.1.2",
        "contains implicit",
    ),
    ({"OAUTH2_PKCE_REQUIRED": "public"}, "settings.pkce", "note", "rfc9700 2.1.1", "omit PKCE"),
    ({"OAUTH2_ACCESS_TOKEN_LIFETIME": 90000}, "settings.lifetimes", "warning", "rfc6750 5.3", "more than a day"),
    ({"SESSION_COOKIE_SECURE": False}, "settings.session_cookie", "warning", "rfc6265 8.3", "over http"),
    ({"SESSION_COOKIE_HTTPONLY": False}, "settings.session_cookie", "error", "rfc6265 4.1.2.6", "scripts"),
    ({"SESSION_COOKIE_SAMESITE": None}, "settings.session_cookie", "warning", "rfc6749 10.12", "other sites"),
    ({"SESSION_COOKIE_SAMESITE": "None"}, "settings.session_cookie", "warning", "rfc6749 10.12", "other sites"),
    ({"SESSION_COOKIE_SAMESITE": "Strict"}, "settings.session_cookie", "warning", "rfc6749 3.1", "every time"),
    ({"DEBUG": True}, "settings.debug", "error", "rfc6819 5.1.4.1.1", "debug mode"),
    ({"TESTING": True}, "settings.testing", "warning", "rfc8414 2", "TESTING"),
]


@pytest.mark.parametrize(("config", "check", "level", "rule", "said"), CASES)
def test_an_option(
    new_patient: NewPatient, config: dict[str, Any], check: str, level: str, rule: str, said: str
) -> None:
    (finding,) = new_patient(**config).found(check)
    assert (finding.level, finding.rule) == (level, rule)
    assert said in finding.what
    assert finding.hint


def test_debug_on_this_machine_alone_is_no_error(new_patient: NewPatient) -> None:
    findings = new_patient(DEBUG=True, OAUTH2_ISSUER="http://localhost:5000", SESSION_COOKIE_SECURE=False).diagnose()
    assert [(finding.check, finding.level) for finding in findings] == [
        ("settings.issuer", "warning"),
        ("settings.debug", "warning"),
    ]


@pytest.mark.parametrize("secure", [False, True])
def test_the_cookie_of_flask_login(new_patient: NewPatient, secure: bool) -> None:
    patient = new_patient(REMEMBER_COOKIE_SECURE=secure)
    LoginManager(patient.app)
    found = patient.found("settings.remember_cookie")
    assert [(finding.level, finding.rule) for finding in found] == ([] if secure else [("warning", "rfc6265 8.3")])


def test_password_grant(new_patient: NewPatient) -> None:
    patient = new_patient(OAUTH2_GRANT_TYPES=["authorization_code", "password"])
    patient.provider.usergetter(lambda *_: None)
    (finding,) = patient.found("settings.grant_types")
    assert finding.rule == "rfc9700 2.4"


@pytest.mark.parametrize(
    ("name", "level", "said"),
    [
        ("OAUTH2_WHATEVER", "note", "OAUTH2_WHATEVER has no effect"),
        ("OAUTH2_REDIRECT_URL", "note", "OAUTH2_REDIRECT_URL has no effect"),
        ("OAUTH2_ISUER", "warning", "did you mean OAUTH2_ISSUER?"),
    ],
)
def test_unknown_options(patient: Patient, name: str, level: str, said: str) -> None:
    patient.app.config[name] = 1
    (finding,) = patient.found("settings.unknown_options")
    assert (finding.level, said in finding.what) == (level, True)


@pytest.mark.parametrize(
    ("config", "said"),
    [({"SECRET_KEY": None}, "SECRET_KEY"), ({"OAUTH2_ACCESS_TOKEN_FORMAT": "xml"}, "OAUTH2_ACCESS_TOKEN_FORMAT")],
)
def test_what_keeps_the_provider_from_starting(new_patient: NewPatient, config: dict[str, Any], said: str) -> None:
    (finding,) = new_patient(**config).diagnose()
    assert (finding.check, finding.level) == ("settings.start", "error")
    assert said in finding.what
