"""The doctor's check of the reverse proxy."""

from __future__ import annotations

from typing import Any

from doctor.conftest import NewPatient
from werkzeug.middleware.proxy_fix import ProxyFix


def test_https_that_the_application_does_not_see(new_patient: NewPatient) -> None:
    (finding,) = new_patient(proxied=False).found("proxy.seen")
    assert (finding.level, finding.rule) == ("warning", "rfc8414 2")
    assert "sees http" in finding.what
    assert "ProxyFix(app.wsgi_app, x_proto=1, x_host=1)" in finding.hint


def test_a_host_that_it_does_not_see(new_patient: NewPatient) -> None:
    patient = new_patient(proxied=False)
    patient.app.wsgi_app = ProxyFix(patient.app.wsgi_app, x_proto=1, x_host=0)  # type: ignore[method-assign]
    (finding,) = patient.diagnose()
    assert (finding.check, finding.level) == ("proxy.seen", "note")
    assert "the host 127.0.0.1:8000, not login.example" in finding.what


def test_addresses_that_it_does_not_see(new_patient: NewPatient) -> None:
    patient = new_patient(proxied=False)
    patient.app.wsgi_app = ProxyFix(patient.app.wsgi_app, x_for=0, x_proto=1, x_host=1)  # type: ignore[method-assign]
    (finding,) = patient.found("proxy.seen")
    assert (finding.level, finding.rule) == ("warning", "rfc8628 5.1")
    assert "apply to all users together" in finding.what


def test_on_this_machine_there_is_no_proxy(new_patient: NewPatient) -> None:
    patient = new_patient(proxied=False, OAUTH2_ISSUER="http://127.0.0.1:5000")
    assert [finding.check for finding in patient.diagnose()] == ["settings.issuer"]


def test_a_middleware_that_lets_nothing_pass(new_patient: NewPatient) -> None:
    patient = new_patient()

    def refuse(environ: Any, start_response: Any) -> list[bytes]:
        start_response("403 Forbidden", [])
        return [b""]

    patient.app.wsgi_app = refuse  # type: ignore[method-assign]
    (finding,) = patient.found("proxy.seen")
    assert "middleware answers it" in finding.what


def test_a_middleware_that_breaks(new_patient: NewPatient) -> None:
    patient = new_patient()

    def fail(environ: Any, start_response: Any) -> list[bytes]:
        raise RuntimeError("no such tenant")

    patient.app.wsgi_app = fail  # type: ignore[method-assign]
    (finding,) = patient.found("proxy.seen")
    assert (finding.level, finding.what) == ("error", "RuntimeError: no such tenant")
