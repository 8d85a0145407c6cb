"""The doctor's checks of dynamic registration, developer pages and metadata documents."""

from __future__ import annotations

import pytest
from doctor.conftest import NewPatient


@pytest.mark.parametrize("mode", ["open", "token"])
def test_registered_clients_that_may_ask_for_nothing(new_patient: NewPatient, mode: str) -> None:
    (finding,) = new_patient(OAUTH2_DYNAMIC_REGISTRATION=mode).found("registration.scopes")
    assert (finding.level, finding.rule) == ("warning", "rfc7591 2")
    patient = new_patient(OAUTH2_DYNAMIC_REGISTRATION=mode, OAUTH2_REGISTRATION_SCOPES="profile")
    assert patient.diagnose() == []


def test_clients_of_developers_that_may_ask_for_nothing(new_patient: NewPatient) -> None:
    (finding,) = new_patient(OAUTH2_DEVELOPER_PAGES=True).found("registration.scopes")
    assert (finding.level, finding.rule) == ("warning", "rfc7591 2")
    assert new_patient(OAUTH2_DEVELOPER_PAGES=True, OAUTH2_REGISTRATION_SCOPES="profile").diagnose() == []


def test_unknown_registration_scopes(new_patient: NewPatient) -> None:
    patient = new_patient(OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_REGISTRATION_SCOPES="profile mail")
    (finding,) = [finding for finding in patient.diagnose() if finding.level == "error"]
    assert "OAUTH2_REGISTRATION_SCOPES needs the scope mail, which" in finding.what


def test_clients_that_stay_forever(new_patient: NewPatient) -> None:
    config = {"OAUTH2_REGISTRATION_SCOPES": "profile", "OAUTH2_UNUSED_CLIENT_LIFETIME": 0}
    (finding,) = new_patient(OAUTH2_DYNAMIC_REGISTRATION="open", **config).found("registration.lifetime")
    assert (finding.level, finding.rule) == ("warning", "rfc7591 5")
    assert new_patient(OAUTH2_DYNAMIC_REGISTRATION="token", **config).diagnose() == []


def test_an_mcp_server_is_healthy(new_patient: NewPatient) -> None:
    patient = new_patient()
    patient.provider.protect_mcp("/mcp", ["notes"])
    assert patient.diagnose() == []


def test_documents_of_clients_that_may_ask_for_nothing(new_patient: NewPatient) -> None:
    (finding,) = new_patient(OAUTH2_CLIENT_ID_METADATA_DOCUMENTS=True).found("registration.documents")
    assert finding.level == "warning"
    assert "cannot request any scope" in finding.what
    patient = new_patient(OAUTH2_CLIENT_ID_METADATA_DOCUMENTS=True, OAUTH2_DEFAULT_SCOPE="profile")
    assert patient.diagnose() == []


def test_documents_from_the_own_network(new_patient: NewPatient) -> None:
    config = {
        "OAUTH2_CLIENT_ID_METADATA_DOCUMENTS": True,
        "OAUTH2_DEFAULT_SCOPE": "profile",
        "OAUTH2_CLIENT_ID_METADATA_DOCUMENT_ALLOWED_HOSTS": ["clients.intranet"],
    }
    (finding,) = new_patient(**config).found("registration.documents")
    assert "clients.intranet" in finding.what
    of_this_machine = new_patient(**config, OAUTH2_ISSUER="http://127.0.0.1:5000")
    assert [finding.check for finding in of_this_machine.diagnose()] == ["settings.issuer"]
