"""oauthlib's four clients, which write requests and read answers and leave HTTP to others."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from oauthlib.oauth2 import (
    BackendApplicationClient,
    LegacyApplicationClient,
    MobileApplicationClient,
    WebApplicationClient,
)
from oauthlib.oauth2.rfc6749 import errors

from .conftest import CALLBACK, Provider

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def send(provider: Provider, client: Any, body: str, auth: Any = None) -> Any:
    """Send what the client wrote to the token endpoint, and let it read the answer."""
    return client.parse_request_body_response(requests.post(provider.token, body, headers=FORM, auth=auth).text)


def call(provider: Provider, client: Any) -> requests.Response:
    """Call the API as the client says."""
    url, headers, _ = client.add_token(provider.api)
    return requests.get(url, headers=headers)


def get_code(provider: Provider, client: WebApplicationClient, verifier: str) -> str:
    challenge = client.create_code_challenge(verifier, "S256")
    url = client.prepare_request_uri(
        provider.authorization,
        redirect_uri=CALLBACK,
        scope=["profile"],
        state="a state",
        code_challenge=challenge,
        code_challenge_method="S256",
    )
    answer = client.parse_request_uri_response(provider.visit(url), state="a state")
    assert answer["iss"] == provider.url
    return str(answer["code"])


@pytest.mark.spec("rfc6749", "4.1")
def test_web_application_client(provider: Provider) -> None:
    client, auth = WebApplicationClient("web"), ("web", provider.secrets["web"])
    verifier = client.create_code_verifier(128)
    code = get_code(provider, client, verifier)
    body = client.prepare_request_body(code, CALLBACK, code_verifier=verifier)
    send(provider, client, body, auth)
    assert call(provider, client).json() == {"user": provider.user, "client": "web"}
    send(provider, client, client.prepare_refresh_body(refresh_token=client.refresh_token), auth)
    assert call(provider, client).status_code == 200
    with pytest.raises(errors.InvalidGrantError):
        send(provider, client, body, auth)
    assert call(provider, client).status_code == 401


@pytest.mark.spec("rfc7636", "4.6")
def test_web_application_client_with_a_wrong_verifier(provider: Provider) -> None:
    client = WebApplicationClient("public")
    code = get_code(provider, client, client.create_code_verifier(43))
    body = client.prepare_request_body(code, CALLBACK, code_verifier=client.create_code_verifier(43))
    with pytest.raises(errors.InvalidGrantError):
        send(provider, client, body)


@pytest.mark.spec("rfc6749", "4.1.3")
def test_web_application_client_with_another_redirect_uri(provider: Provider) -> None:
    client = WebApplicationClient("public")
    verifier = client.create_code_verifier(43)
    code = get_code(provider, client, verifier)
    with pytest.raises(errors.InvalidGrantError):
        send(provider, client, client.prepare_request_body(code, f"{CALLBACK}/", code_verifier=verifier))


@pytest.mark.spec("rfc6749", "4.2")
def test_mobile_application_client(provider: Provider) -> None:
    client = MobileApplicationClient("page")
    url = client.prepare_request_uri(provider.authorization, redirect_uri=CALLBACK, scope=["profile"], state="s")
    client.parse_request_uri_response(provider.visit(url), state="s", scope=["profile"])
    assert call(provider, client).json() == {"user": provider.user, "client": "page"}


@pytest.mark.spec("rfc6749", "4.2.2.1")
def test_mobile_application_client_with_a_scope_beyond(provider: Provider) -> None:
    client = MobileApplicationClient("page")
    url = client.prepare_request_uri(provider.authorization, redirect_uri=CALLBACK, scope=["everything"], state="s")
    with pytest.raises(errors.InvalidScopeError):
        client.parse_request_uri_response(provider.visit(url), state="s")


@pytest.mark.spec("rfc6749", "4.3")
def test_legacy_application_client(provider: Provider) -> None:
    client, secret = LegacyApplicationClient("legacy"), provider.secrets["legacy"]
    body = client.prepare_request_body(
        "ada", "pass word & more=", scope=["profile"], include_client_id=True, client_secret=secret
    )
    send(provider, client, body)
    assert call(provider, client).json() == {"user": "ada", "client": "legacy"}


@pytest.mark.spec("rfc6749", "4.3.2")
def test_legacy_application_client_with_a_scope_beyond(provider: Provider) -> None:
    client = LegacyApplicationClient("legacy")
    body = client.prepare_request_body("ada", "pass word & more=", scope=["everything"])
    with pytest.raises(errors.InvalidScopeError):
        send(provider, client, body, ("legacy", provider.secrets["legacy"]))


@pytest.mark.spec("rfc6749", "4.4")
def test_backend_application_client(provider: Provider) -> None:
    client = BackendApplicationClient("machine")
    body = client.prepare_request_body(scope=["profile"])
    send(provider, client, body, ("machine", provider.secrets["machine"]))
    assert client.refresh_token is None
    assert call(provider, client).json() == {"user": None, "client": "machine"}


@pytest.mark.spec("rfc6749", "2.3.1")
def test_backend_application_client_with_a_wrong_secret(provider: Provider) -> None:
    client = BackendApplicationClient("machine")
    body = client.prepare_request_body(scope=["profile"], include_client_id=True, client_secret="a wrong secret")
    with pytest.raises(errors.InvalidClientError):
        send(provider, client, body)


@pytest.mark.spec("rfc6749", "5.2")
def test_backend_application_client_without_the_grant(provider: Provider) -> None:
    client = BackendApplicationClient("web")
    with pytest.raises(errors.UnauthorizedClientError):
        send(provider, client, client.prepare_request_body(), ("web", provider.secrets["web"]))


@pytest.mark.spec("rfc7009", "2.1")
def test_revocation_ends_the_access_token(provider: Provider) -> None:
    client, auth = BackendApplicationClient("machine"), ("machine", provider.secrets["machine"])
    send(provider, client, client.prepare_request_body(scope=["profile"]), auth)
    url, headers, body = client.prepare_token_revocation_request(provider.revocation, client.access_token)
    assert requests.post(url, body, headers=headers, auth=("api", provider.secrets["api"])).status_code == 400
    assert call(provider, client).status_code == 200
    assert requests.post(url, body, headers=headers, auth=auth).status_code == 200
    assert call(provider, client).status_code == 401
