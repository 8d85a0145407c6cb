"""The introspection endpoint."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_site import NOW, Site


@pytest.fixture
def secret(site: Site) -> str:
    return site.add_client()


def describe(site: Site, secret: str, token: str, client_id: str = "web", **form: str) -> dict[str, Any]:
    answer = site.post("/introspect", (client_id, secret), token=token, **form)
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    return dict(answer.get_json())


@pytest.mark.spec("rfc7662", "2.2")
def test_a_valid_token_is_active(site: Site, secret: str) -> None:
    tokens = site.tokens(secret, scope="profile mail")
    answer = describe(site, secret, tokens["access_token"])
    assert answer.pop("jti") not in tokens["access_token"]
    assert answer == {
        "active": True,
        "scope": "profile mail",
        "client_id": "web",
        "sub": "ada",
        "token_type": "Bearer",
        "iat": NOW,
        "exp": NOW + 3600,
        "iss": "https://login.example",
    }


@pytest.mark.spec("rfc9700", "4.15.1")
def test_a_client_credentials_token_has_no_sub(site: Site, secret: str) -> None:
    token = site.token("client_credentials", ("web", secret)).get_json()["access_token"]
    assert "sub" not in describe(site, secret, token)


@pytest.mark.spec("rfc7662", "2.2")
def test_an_inactive_token_has_no_other_members(site: Site, secret: str) -> None:
    tokens = site.tokens(secret)
    revoked = site.tokens(secret)
    site.post("/revoke", ("web", secret), token=revoked["refresh_token"])
    values = [revoked["access_token"], revoked["refresh_token"], "nonsense", "oat_" + "A" * 50, "é"]
    assert [describe(site, secret, value) for value in values] == [{"active": False}] * 5
    site.clock.forward(3600)
    assert describe(site, secret, tokens["access_token"]) == {"active": False}
    site.clock.forward(30 * 86400)
    assert describe(site, secret, tokens["refresh_token"]) == {"active": False}


@pytest.mark.spec("rfc7662", "4")
def test_only_resource_servers_introspect_tokens_of_other_clients(site: Site, secret: str) -> None:
    tokens = site.tokens(secret)
    other, api = site.add_client("other"), site.add_client("api", resource_server=True)
    assert describe(site, other, tokens["access_token"], "other") == {"active": False}
    assert describe(site, api, tokens["access_token"], "api")["client_id"] == "web"
    assert describe(site, api, tokens["refresh_token"], "api") == {"active": False}


@pytest.mark.spec("rfc7662", "2.1")
@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense"])
def test_the_token_type_hint_does_not_change_the_response(site: Site, secret: str, hint: str) -> None:
    tokens = site.tokens(secret)
    assert describe(site, secret, tokens["access_token"], token_type_hint=hint)["token_type"] == "Bearer"
    refresh = describe(site, secret, tokens["refresh_token"], token_type_hint=hint)
    assert refresh["active"] is True
    assert refresh["token_type"] == "refresh_token"


def test_a_spent_refresh_token_is_not_active(site: Site, secret: str) -> None:
    first = site.tokens(secret)
    site.refresh(first["refresh_token"], secret)
    assert describe(site, secret, first["refresh_token"]) == {"active": False}


@pytest.mark.spec("rfc7662", "2.1")
def test_the_client_authenticates(site: Site, secret: str) -> None:
    site.add_client("app", None)
    token = site.tokens(client_id="app")["access_token"]
    for answer in (
        site.post("/introspect", token=token),
        site.post("/introspect", token=token, client_id="app"),
        site.post("/introspect", token=token, client_id="web"),
        site.post("/introspect", ("web", "wrong"), token=token),
    ):
        assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_client")


@pytest.mark.spec("rfc7662", "2.1")
@pytest.mark.parametrize("form", [{}, {"token": ""}, {"token": ["a", "b"]}])
def test_the_token_parameter_must_appear_once(site: Site, secret: str, form: dict[str, Any]) -> None:
    answer = site.post("/introspect", ("web", secret), **form)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_request")
