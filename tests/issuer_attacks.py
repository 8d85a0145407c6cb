"""Attacks with the credentials of one issuer on another, for each kind of store.

Each credential works at its own issuer before or after the attack, so an attack never fails for another reason.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from tenant_site import DEVICE, SECRET, Tenants

from flask_oauth2 import Params, hash_secret, save_authorization_request, values
from flask_oauth2.http import urls
from oauth_site import CALLBACK, CHALLENGE, NOW

FAR = 10**12


class IssuerAttacks:
    """Tests of a store, with the fixture ``store``: two tenants with clients and users of the same names."""

    @pytest.fixture
    def tenants(self, store: Any) -> Tenants:
        return make_tenants(store)

    @pytest.mark.parametrize("token_format", ["opaque", "signed", "jwt"])
    def test_an_access_token(self, store: Any, token_format: str) -> None:
        tenants = make_tenants(store, OAUTH2_ACCESS_TOKEN_FORMAT=token_format)
        token = get_token(tenants, "acme")["access_token"]
        assert tenants.call("umbrella", token) == 401
        assert tenants.post("umbrella", "/introspect", token=token).get_json() == {"active": False}
        assert tenants.post("umbrella", "/revoke", token=token).status_code == 200
        assert tenants.call("acme", token) == 200
        assert tenants.post("acme", "/revoke", token=token).status_code == 200
        assert tenants.call("acme", token) == 401

    def test_a_code(self, tenants: Tenants) -> None:
        code = tenants.tokens("acme")["code"]
        assert tenants.redeem("umbrella", code).get_json()["error"] == "invalid_grant"
        assert tenants.post("umbrella", "/revoke", token=code).status_code == 200
        issued = tenants.redeem("acme", code)
        assert issued.status_code == 200
        assert tenants.redeem("umbrella", code).get_json()["error"] == "invalid_grant"
        assert tenants.call("acme", issued.get_json()["access_token"]) == 200, "no replay at the issuer of the code"

    def test_a_refresh_token(self, tenants: Tenants) -> None:
        token = tenants.redeem("acme", tenants.tokens("acme")["code"]).get_json()["refresh_token"]
        assert refresh(tenants, "umbrella", token).get_json()["error"] == "invalid_grant"
        assert tenants.post("umbrella", "/introspect", token=token).get_json() == {"active": False}
        assert tenants.post("umbrella", "/revoke", token=token).status_code == 200
        assert refresh(tenants, "acme", token).status_code == 200

    def test_a_device_code(self, tenants: Tenants) -> None:
        device = tenants.post("acme", "/device_authorization", scope="profile").get_json()
        for name, error in (("umbrella", "invalid_grant"), ("acme", "authorization_pending")):
            answer = tenants.post(name, "/token", grant_type=DEVICE, device_code=device["device_code"])
            assert answer.get_json()["error"] == error

    def test_a_user_code(self, tenants: Tenants) -> None:
        device = tenants.post("acme", "/device_authorization", scope="profile").get_json()
        tenants.sign_in("acme")
        for name, status in (("umbrella", 400), ("acme", 200)):
            page = tenants.http.get(**tenants.path(name, "/oauth/device"))
            form = {"ticket": find_ticket(page), "user_code": device["user_code"]}
            answer = tenants.http.post(**tenants.path(name, "/oauth/device"), data=form)
            assert answer.status_code == status
            assert (f"Client of {name}" in answer.text) is (name == "acme")

    def test_a_decision_about_a_device(self, tenants: Tenants) -> None:
        device = tenants.post("acme", "/device_authorization", scope="profile").get_json()
        tenants.sign_in("acme")
        page = tenants.http.get(**tenants.path("acme", "/oauth/device"))
        form = {"ticket": find_ticket(page), "user_code": device["user_code"]}
        shown = tenants.http.post(**tenants.path("acme", "/oauth/device"), data=form)
        decision = {"ticket": find_ticket(shown), "decision": "allow"}
        assert tenants.http.post(**tenants.path("umbrella", "/oauth/device"), data=decision).status_code == 400
        answer = tenants.post("acme", "/token", grant_type=DEVICE, device_code=device["device_code"])
        assert answer.get_json()["error"] == "authorization_pending"
        assert tenants.http.post(**tenants.path("acme", "/oauth/device"), data=decision).status_code == 303

    def test_a_client(self, tenants: Tenants) -> None:
        tenants.add_client("acme", "only-acme")
        form = {"grant_type": "client_credentials"}
        for name, status in (("umbrella", 401), ("acme", 200)):
            answer = tenants.http.post(**tenants.path(name, "/oauth/token"), data=form, auth=("only-acme", SECRET))
            assert answer.status_code == status
        tenants.sign_in("acme")
        for name, status in (("umbrella", 400), ("acme", 200)):
            page = tenants.http.get(**tenants.path(name, "/oauth/authorize"), query_string=query_of("only-acme"))
            assert page.status_code == status, page.text

    def test_the_secret_of_a_client_with_the_same_id(self, tenants: Tenants) -> None:
        tenants.add_client("umbrella", secret=hash_secret(values.new("ocs", values.timestamp(NOW))))
        form = {"grant_type": "client_credentials"}
        for name, status in (("umbrella", 401), ("acme", 200)):
            answer = tenants.http.post(**tenants.path(name, "/oauth/token"), data=form, auth=("web", SECRET))
            assert answer.status_code == status

    def test_the_deletion_of_a_client_with_the_same_id(self, tenants: Tenants) -> None:
        issued = tenants.redeem("acme", tenants.tokens("acme")["code"]).get_json()
        assert tenants.server("umbrella").store.delete_client("web", FAR)
        assert tenants.call("acme", issued["access_token"]) == 200
        assert refresh(tenants, "acme", issued["refresh_token"]).status_code == 200
        assert tenants.post("umbrella", "/token", grant_type="client_credentials").status_code == 401

    def test_a_consent(self, tenants: Tenants) -> None:
        issued = tenants.redeem("acme", tenants.tokens("acme")["code"]).get_json()
        for name, status in (("acme", 303), ("umbrella", 200)):
            answer = tenants.http.get(**tenants.path(name, "/oauth/authorize"), query_string=query_of("web"))
            assert answer.status_code == status, answer.text
        page = tenants.http.get(**tenants.path("umbrella", "/oauth/applications"))
        assert page.status_code == 200
        assert "Client of" not in page.text
        assert tenants.server("umbrella").consents.delete_consent("ada", "web", FAR) is False
        assert tenants.call("acme", issued["access_token"]) == 200
        assert tenants.server("acme").consents.delete_consent("ada", "web", FAR) is True
        assert tenants.call("acme", issued["access_token"]) == 401

    def test_a_form_of_the_consent_page(self, tenants: Tenants) -> None:
        tenants.sign_in("acme")
        page = tenants.http.get(**tenants.path("acme", "/oauth/authorize"), query_string=query_of("web"))
        form = {"ticket": find_ticket(page), "decision": "allow"}
        for name, status in (("umbrella", 400), ("acme", 303)):
            assert tenants.http.post(**tenants.path(name, "/oauth/consent"), data=form).status_code == status

    def test_a_saved_authorization_request(self, tenants: Tenants) -> None:
        query = {**query_of("web"), "scope": "mail"}
        request_uri = save_authorization_request(
            tenants.server("acme"), Params(urls.encode(query.items()).encode()), 60
        )
        tenants.sign_in("acme")
        short = {"client_id": "web", "request_uri": request_uri}
        for name, status in (("umbrella", 400), ("acme", 200)):
            page = tenants.http.get(**tenants.path(name, "/oauth/authorize"), query_string=short)
            assert page.status_code == status, page.text

    def test_the_tokens_of_dynamic_registration(self, store: Any) -> None:
        tenants = make_tenants(store, OAUTH2_DYNAMIC_REGISTRATION="token", OAUTH2_REGISTRATION_SCOPES="profile")
        created = tenants.app.test_cli_runner().invoke(
            args=["oauth2", "--issuer", tenants.known["acme"].url, "registration-token", "create"]
        )
        assert created.exit_code == 0, created.output
        initial = {"Authorization": f"Bearer {created.stdout.split()[0]}"}
        metadata = {"redirect_uris": [CALLBACK]}
        made = {}
        for name, status in (("umbrella", 401), ("acme", 201)):
            answer = tenants.http.post(**tenants.path(name, "/oauth/register"), json=metadata, headers=initial)
            assert answer.status_code == status, answer.text
            made = answer.get_json()
        own = {"Authorization": f"Bearer {made['registration_access_token']}"}
        for name, status in (("umbrella", 401), ("acme", 200)):
            path = tenants.path(name, f"/oauth/register/{made['client_id']}")
            assert tenants.http.get(**path, headers=own).status_code == status

    def test_the_revocation_of_a_user(self, tenants: Tenants) -> None:
        token = tenants.redeem("acme", tenants.tokens("acme")["code"]).get_json()["access_token"]
        for name, status in (("umbrella", 200), ("acme", 401)):
            with tenants.app.test_request_context(**tenants.path(name, "/oauth/token"), method="POST"):
                tenants.provider.revoke_user("ada")
            assert tenants.call("acme", token) == status

    def test_the_memory_of_replays_and_counters(self, tenants: Tenants) -> None:
        for name in ("acme", "umbrella"):
            assert tenants.server(name).store.remember(b"an assertion of a client", FAR) is True
            assert tenants.server(name).store.count(b"attempts of a client", FAR) == 1
        for name in ("acme", "umbrella"):
            assert tenants.server(name).store.remember(b"an assertion of a client", FAR) is False
            assert tenants.server(name).store.count(b"attempts of a client", FAR) == 2


def make_tenants(store: Any, **config: Any) -> Tenants:
    tenants = Tenants("path", store, **config)
    for name in tenants.known:
        tenants.add_client(name)
    return tenants


def get_token(tenants: Tenants, name: str) -> Any:
    return tenants.post(name, "/token", grant_type="client_credentials", scope="profile").get_json()


def refresh(tenants: Tenants, name: str, token: str) -> Any:
    return tenants.post(name, "/token", grant_type="refresh_token", refresh_token=token)


def query_of(client_id: str) -> dict[str, str]:
    return {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "scope": "profile",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }


def find_ticket(page: Any) -> str:
    found = re.search(r'name="ticket" value="([^"]+)"', page.text)
    assert found, page.text
    return unescape(found[1])
