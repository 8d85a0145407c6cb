"""What the doctor says of clients that nobody has registered by hand."""

from __future__ import annotations

import pytest
from doctor.conftest import NewPatient


def test_documents_of_clients_that_may_ask_for_nothing(new_patient: NewPatient) -> None:
    (finding,) = new_patient(OAUTH2_CLIENT_ID_DOCUMENTS=True).found("registration.documents")
    assert finding.level == "warning"
    assert "no scope at all" in finding.what
    patient = new_patient(OAUTH2_CLIENT_ID_DOCUMENTS=True, OAUTH2_DEFAULT_SCOPE="profile")
    assert patient.diagnose() == []


@pytest.mark.spec("draft-ietf-oauth-client-id-metadata-document", "6.5")
def test_documents_from_the_own_network(new_patient: NewPatient) -> None:
    config = {
        "OAUTH2_CLIENT_ID_DOCUMENTS": True,
        "OAUTH2_DEFAULT_SCOPE": "profile",
        "OAUTH2_CLIENT_ID_DOCUMENT_HOSTS": ["clients.intranet"],
    }
    (finding,) = new_patient(**config).found("registration.documents")
    assert "clients.intranet" in finding.what
    of_this_machine = new_patient(**config, OAUTH2_ISSUER="http://127.0.0.1:5000")
    assert [finding.check for finding in of_this_machine.diagnose()] == ["settings.issuer"]
