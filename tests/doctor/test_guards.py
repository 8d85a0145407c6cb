"""The doctor's checks of guards."""

from __future__ import annotations

from typing import Any

import flask
import pytest
from doctor.conftest import CONFIG, NewPatient, Patient

from flask_oauth2 import MemoryStore, OAuth2Provider
from flask_oauth2.tools.doctor import diagnose


def test_scopes_that_no_client_can_obtain(patient: Patient) -> None:
    @patient.app.get("/api/mail")
    @patient.provider.require_oauth("profile mail")
    def mail() -> str:
        return ""

    @patient.app.get("/api/notes")
    @patient.provider.require_oauth(any_of=["notes", "mail"])
    def notes() -> str:
        return ""

    (finding,) = patient.found("guards.scopes")
    assert (finding.level, finding.rule) == ("error", "rfc6749 3.3")
    assert "/api/mail, /api/notes requires the scope mail" in finding.what


def test_an_acr_that_no_client_can_obtain(new_patient: NewPatient) -> None:
    patient = new_patient(OAUTH2_ACR_VALUES=["urn:example:two-factor"])
    for acr in ("urn:example:two-factor", "urn:example:hardware"):
        guard = patient.provider.require_oauth("profile", acr=acr)
        patient.app.add_url_rule(f"/api/{acr}", acr, guard(lambda: ""))
    (finding,) = patient.found("guards.authentication")
    assert (finding.level, finding.rule) == ("error", "rfc9470 4")
    assert "/api/urn:example:hardware requires the acr urn:example:hardware" in finding.what


def test_any_value_is_a_scope_without_oauth2_scopes(new_patient: NewPatient) -> None:
    patient = new_patient(OAUTH2_SCOPES={})
    patient.app.add_url_rule("/api/mail", "mail", patient.provider.require_oauth("mail")(lambda: ""))
    assert [finding.check for finding in patient.diagnose()] == ["settings.scopes"]


@pytest.mark.parametrize("beside", [True, False])
def test_views_next_to_guarded_ones(patient: Patient, beside: bool) -> None:
    patient.app.add_url_rule("/", "home", lambda: "")
    patient.app.add_url_rule("/about/us", "about", lambda: "")
    patient.app.add_url_rule("/api/news", "news", patient.provider.require_oauth(optional=True)(lambda: ""))
    if not beside:
        assert patient.diagnose() == []
        return
    for name in ("health", "status", "version", "upload"):
        patient.app.add_url_rule(f"/api/{name}", name, lambda: "")
    (finding,) = patient.diagnose()
    assert (finding.level, finding.check) == ("note", "guards.guarded")
    assert finding.what.startswith("/api/health, /api/status, /api/upload and 1 more requires no access token")
    assert "optional=True" in finding.hint


def test_nothing_to_do_with_a_token(tmp_path: Any) -> None:
    app = flask.Flask("patient", instance_path=str(tmp_path))
    app.config.update(CONFIG)
    provider = OAuth2Provider(app, store=MemoryStore())
    provider.current_user(lambda: None)

    def found() -> list[str]:
        return [f.what for f in diagnose(app, offline=True) if f.check.startswith("guards")]

    assert found() == ["no view requires an access token, so clients cannot use their tokens in this application"]


def test_a_described_resource_is_guarded(new_patient: NewPatient) -> None:
    patient = new_patient()
    patient.provider.protect_resource("/files", ["notes"])
    patient.app.add_url_rule("/files/<name>", "file", lambda name: name)
    assert patient.diagnose() == []
