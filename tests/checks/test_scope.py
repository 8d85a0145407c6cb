"""The scope parameter: which values are dropped, for whom, and what the answer says."""

from __future__ import annotations

from typing import Any

import pytest
from devices import Device, Person, add_device_client

from oauth_site import Site, answer_of

SELF_REGISTERED = ["open", "token", "document"]
BY_HAND = ["", "developer"]

REFUSED = {
    "unknown values only": "claudeai offline_access",
    "a known value that the client may not have": "write",
    "a character": 'profile pro"file',
    "a tab": "profile\tmail",
}


@pytest.fixture
def site(new_site: Any) -> Site:
    site: Site = new_site(OAUTH2_GRANT_TYPES=["authorization_code", "refresh_token", "device_code"])
    return site


def add(site: Site, registered_by: str) -> None:
    site.add_client("web", None, scope=("profile", "mail"), registered_by=registered_by)


@pytest.mark.spec("rfc6749", "3.3")
@pytest.mark.parametrize("registered_by", SELF_REGISTERED)
@pytest.mark.parametrize("scope", ["claudeai profile openid", " profile  offline_access ", "write profile"])
def test_unknown_values_of_a_self_registered_client_are_dropped(site: Site, scope: str, registered_by: str) -> None:
    add(site, registered_by)
    site.sign_in()
    page = site.ask(scope=scope)
    assert "See your name" in page.text
    assert "Read your mail" not in page.text
    code = answer_of(site.allow(page))["code"]
    tokens = site.redeem(code, client_id="web").get_json()
    assert tokens["scope"] == "profile", "the answer says what was granted"
    refreshed = site.refresh(tokens["refresh_token"], scope=scope).get_json()
    assert refreshed["scope"] == "profile"


@pytest.mark.spec("rfc6749", "4.1.2.1")
@pytest.mark.parametrize("registered_by", SELF_REGISTERED)
@pytest.mark.parametrize("scope", REFUSED.values(), ids=REFUSED)
def test_if_none_remains_the_scope_is_invalid(site: Site, scope: str, registered_by: str) -> None:
    add(site, registered_by)
    site.sign_in()
    page = site.ask(scope=scope)
    assert page.status_code == 400
    assert "error=invalid_scope" in page.text


@pytest.mark.spec("rfc6749", "4.1.2.1")
@pytest.mark.parametrize("registered_by", BY_HAND)
def test_a_client_that_somebody_registered_is_told_of_unknown_values(site: Site, registered_by: str) -> None:
    add(site, registered_by)
    site.authorize()
    for scope in ("claudeai profile", *REFUSED.values()):
        assert answer_of(site.ask(scope=scope))["error"] == "invalid_scope"
    tokens = site.tokens(client_id="web")
    answer = site.refresh(tokens["refresh_token"], scope="profile claudeai")
    assert answer.get_json()["error"] == "invalid_scope"


@pytest.mark.spec("rfc6749", "6")
def test_a_refresh_grants_nothing_that_was_not_granted(site: Site) -> None:
    add(site, "open")
    tokens = site.tokens(client_id="web")
    answer = site.refresh(tokens["refresh_token"], scope="mail claudeai")
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_scope")
    answer = site.refresh(tokens["refresh_token"], scope="mail profile")
    assert answer.get_json()["scope"] == "profile"


@pytest.mark.spec("rfc6749", "3.3")
@pytest.mark.parametrize("registered_by", ["", "open"])
@pytest.mark.parametrize(
    ("scope", "granted"),
    [(" profile", "profile"), ("profile ", "profile"), ("profile   mail", "profile mail"), ("  ", "profile mail")],
)
def test_superfluous_spaces_are_ignored(site: Site, scope: str, granted: str, registered_by: str) -> None:
    add(site, registered_by)
    tokens = site.tokens(client_id="web", scope=scope)
    assert tokens["scope"] == granted
    assert site.refresh(tokens["refresh_token"], scope=scope).get_json()["scope"] == granted


def test_at_the_token_endpoint_too(new_site: Any) -> None:
    site = new_site()
    secret = site.add_client()
    answer = site.token("client_credentials", ("web", secret), scope=" profile   mail ")
    assert answer.get_json()["scope"] == "profile mail"
    answer = site.token("client_credentials", ("web", secret), scope="profile claudeai")
    assert answer.get_json()["error"] == "invalid_scope"


@pytest.mark.spec("rfc8628", "3.1")
def test_at_the_device_endpoint_too(site: Site) -> None:
    add_device_client(site, registered_by="open", scope=("profile", "mail"))
    device = Device(site, scope=" claudeai  profile ")
    Person(site).decide(device.user_code)
    assert device.poll().get_json()["scope"] == "profile"
    answer = site.post("/device_authorization", client_id="tv", scope="claudeai")
    assert answer.get_json()["error"] == "invalid_scope"
    add_device_client(site, "box")
    answer = site.post("/device_authorization", client_id="box", scope="profile claudeai")
    assert answer.get_json()["error"] == "invalid_scope"


@pytest.mark.spec("rfc7591", "2")
def test_all_scopes_of_the_server_may_be_registered(new_site: Any) -> None:
    scopes = {f"resource:action-{number:04}": "Something" for number in range(200)}
    site = new_site(OAUTH2_SCOPES=scopes, OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_DEFAULT_SCOPE=list(scopes))
    supported = site.http.get("/.well-known/oauth-authorization-server").get_json()["scopes_supported"]
    metadata = {
        "redirect_uris": ["https://agent.example/cb"],
        "token_endpoint_auth_method": "none",
        "scope": " ".join(supported),
    }
    assert len(metadata["scope"]) > 2048
    answer = site.http.post("/oauth/register", json=metadata)
    assert (answer.status_code, answer.get_json()["scope"]) == (201, metadata["scope"])
