"""The doctor's checks of registered clients."""

from __future__ import annotations

from typing import Any

import pytest
from doctor.conftest import NewPatient, Patient

from flask_oauth2 import Client, MemoryStore
from flask_oauth2.tools.doctor.clients import find_risks
from oauth_site import StoreWithoutConsents

WEB = Client(client_id="web")
NATIVE = Client(client_id="app", auth_method="none", application_type="native")


@pytest.mark.parametrize(
    ("uri", "client", "level", "said"),
    [
        ("javascript:alert(1)", WEB, "error", "in the name of this site"),
        ("data:text/html,x", WEB, "error", "in the name of this site"),
        ("https:///nowhere", WEB, "error", "or is not a URI"),
        ("/relative", WEB, "error", "or is not a URI"),
        ("https://*.client.example/back", WEB, "error", "wildcard"),
        ("https://client.example/back#part", WEB, "error", "fragment"),
        ("http://client.example/back", WEB, "error", "uses http"),
        ("http://client.example/back", NATIVE, "error", "uses http"),
        ("http://localhost:8000/back", WEB, "warning", "the user's own machine"),
        ("http://127.0.0.1/back", WEB, "warning", "the user's own machine"),
        ("https://192.0.2.7/back", WEB, "warning", "contains an IP address"),
        ("https://[2001:db8::1]/back", WEB, "warning", "contains an IP address"),
        ("photos:/back", NATIVE, "warning", "not a reversed domain"),
        ("com.example.photos:/back", Client(client_id="app"), "warning", "everyone who has the app"),
    ],
)
def test_risky_redirect_uris(uri: str, client: Client, level: str, said: str) -> None:
    ((kind, what, rule),) = find_risks(uri, client)
    assert kind(what, rule, "").level == level
    assert said in what
    assert rule.startswith(("rfc6749 ", "rfc8252 ", "rfc9700 "))


@pytest.mark.parametrize(
    ("uri", "client"),
    [
        ("https://client.example/back", WEB),
        ("https://client.example/back", NATIVE),
        ("http://127.0.0.1/back", NATIVE),
        ("http://[::1]/back", NATIVE),
        ("http://localhost/back", NATIVE),
        ("com.example.photos:/back", NATIVE),
        ("com.example.photos:/back", Client(client_id="app", application_type="native", registered_by="open")),
    ],
)
def test_good_redirect_uris(uri: str, client: Client) -> None:
    assert list(find_risks(uri, client)) == []


def test_they_are_named_together(patient: Patient) -> None:
    for number in range(5):
        patient.add_client(f"c{number}", redirect_uris=("https://client.example/", f"http://c{number}.example/"))
    (finding,) = patient.found("clients.redirect_uris")
    assert finding.rule == "rfc9700 2.6"
    assert finding.what.endswith("c0 (http://c0.example/), c1 (http://c1.example/), c2 (http://c2.example/) and 2 more")
    assert "--redirect-uri" in finding.hint


def test_grants_that_are_advised_against(new_patient: NewPatient) -> None:
    offered = ["authorization_code", "refresh_token", "client_credentials", "password", "implicit"]
    patient = new_patient(OAUTH2_GRANT_TYPES=offered)
    patient.provider.usergetter(lambda *_: None)
    patient.add_client()
    patient.add_client("old", grant_types=("implicit", "password"), response_types=("token",))
    found = [finding for finding in patient.diagnose() if finding.check.startswith("clients")]
    assert [(finding.check, finding.rule) for finding in found] == [
        ("clients.grants", "rfc9700 2.1.2"),
        ("clients.grants", "rfc9700 2.4"),
    ]
    assert found[0].what == "1 client uses the grant type implicit: old"


def test_clients_that_current_rules_reject(patient: Patient) -> None:
    patient.add_client("old", grant_types=("password",), response_types=(), scope=("gone",))
    patient.add_client("older", scope=("gone",))
    found = patient.found("clients.metadata")
    assert [(finding.level, finding.rule) for finding in found] == [("warning", "rfc7591 2")] * 2
    assert "the current rules would reject old: grant_types 'password' is not offered" in found[0].what
    assert found[1].what.startswith("the current rules would reject old, older: scope unknown scope 'gone'")


def test_clients_without_pkce(patient: Patient) -> None:
    patient.add_client("app", auth_method="none", pkce_required=False)
    patient.add_client("old", pkce_required=False)
    error, note = patient.found("clients.pkce")
    assert (error.level, note.level) == ("error", "note")
    assert error.what.endswith(": app")
    assert note.what.endswith(": old")


def test_names_and_pages(patient: Patient) -> None:
    patient.add_client(
        "service", name="", metadata={}, redirect_uris=(), response_types=(), grant_types=("client_credentials",)
    )
    assert patient.diagnose() == []
    patient.add_client("nameless", name="")
    patient.add_client("unknown", metadata={})
    patient.add_client("stranger", metadata={}, registered_by="itself")
    warning, note = patient.found("clients.names")
    assert (warning.level, note.level) == ("warning", "note")
    assert warning.what.endswith(": nameless")
    assert note.what.endswith(": unknown")


@pytest.mark.parametrize(("late", "said"), [(True, "have expired"), (False, "have not received a token yet")])
def test_clients_that_never_got_a_token(new_patient: NewPatient, late: bool, said: str) -> None:
    store = MemoryStore()
    patient = new_patient({"store": store})
    for number in range(1001):
        if number == 1000:
            assert [finding.check for finding in patient.diagnose()] == ["storage.examination"]
        patient.add_client(f"c{number}", registered_by="itself", expires_at=1 if late else 2**40)
    found = [finding for finding in patient.diagnose() if finding.check == "clients.unused"]
    assert [finding.rule for finding in found] == ["rfc7591 5"]
    assert said in found[0].what


def test_clients_of_the_applications_own(new_patient: NewPatient) -> None:
    patient = new_patient()
    patient.provider.clientgetter(lambda client_id: None)
    (finding,) = patient.found("clients.listed")
    assert finding.level == "note"
    assert "clientgetter" in finding.what


def test_a_store_that_cannot_list(new_patient: NewPatient) -> None:
    class Closed(StoreWithoutConsents):
        def __getattr__(self, name: str) -> Any:
            if name in ("list_clients", "check_health"):
                raise AttributeError(name)
            return super().__getattr__(name)

    (finding,) = new_patient({"store": Closed()}).diagnose()
    assert (finding.check, finding.level) == ("clients.listed", "note")
