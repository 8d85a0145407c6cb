"""The implicit grant: whole, where it is named."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from oauth_site import Site, answer_of


@pytest.fixture
def site(new_site: Any) -> Site:
    site: Site = new_site(OAUTH2_GRANT_TYPES=["authorization_code", "implicit", "refresh_token"])
    return site


@pytest.mark.spec("rfc6749", "4.2.2")
def test_the_token_is_in_the_fragment(site: Site) -> None:
    site.add_client("app", None)
    site.sign_in()
    answer = site.allow(site.ask(client_id="app", response_type="token", code_challenge=None, scope="profile"))
    assert urlsplit(answer.location).query == "shop=7"
    parameters = answer_of(answer)
    assert set(parameters) == {"access_token", "token_type", "expires_in", "scope", "state", "iss"}
    assert parameters["expires_in"] == "3600"
    assert site.is_alive(parameters["access_token"])


@pytest.mark.spec("rfc6749", "4.2.2.1")
def test_errors_are_in_the_fragment(site: Site) -> None:
    site.add_client("app", None)
    site.sign_in()
    answer = site.ask(client_id="app", response_type="token", scope="unknown")
    assert "error=invalid_scope" in urlsplit(answer.location).fragment


@pytest.mark.spec("oauth-v2-multiple-response-types-1_0", "3")
@pytest.mark.parametrize("response_type", ["token", "code token"])
def test_a_token_is_never_in_the_query(site: Site, response_type: str) -> None:
    site.add_client()
    site.sign_in()
    answer = site.ask(response_type=response_type, response_mode="query")
    assert answer.status_code == 400
    assert "Location" not in answer.headers


@pytest.mark.spec("oauth-v2-multiple-response-types-1_0", "5")
@pytest.mark.parametrize("response_type", ["code token", "token code"])
def test_the_response_type_code_token(site: Site, response_type: str) -> None:
    secret = site.add_client()
    parameters = site.authorize(response_type=response_type)
    assert site.is_alive(parameters["access_token"])
    assert site.redeem(parameters["code"], ("web", secret)).status_code == 200
    assert site.redeem(parameters["code"], ("web", secret)).status_code == 400
    assert not site.is_alive(parameters["access_token"]), "it was born of the same authorization"


def test_pkce_is_required_if_a_code_is_issued(site: Site) -> None:
    site.add_client()
    site.sign_in()
    assert answer_of(site.ask(response_type="code token", code_challenge=None))["error"] == "invalid_request"


def test_the_implicit_grant_is_off_by_default(new_site: Any, caplog: pytest.LogCaptureFixture) -> None:
    plain = new_site()
    plain.add_client()
    plain.sign_in()
    assert answer_of(plain.ask(response_type="token"))["error"] == "unsupported_response_type"
    assert "discouraged" not in caplog.text
    assert "implicit" not in plain.http.get("/.well-known/oauth-authorization-server").text


def test_a_deprecation_warning_is_logged_once_at_start(new_site: Any, caplog: pytest.LogCaptureFixture) -> None:
    site = new_site(OAUTH2_GRANT_TYPES=["implicit"])
    for _ in range(3):
        site.http.get("/.well-known/oauth-authorization-server")
    assert [record.getMessage() for record in caplog.records if "RFC 9700 section 2.1.2" in record.getMessage()] == [
        caplog.records[0].getMessage()
    ]
