"""requests-oauth2client with DPoP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from requests_oauth2client import DPoPToken, InvalidGrant, OAuth2Client

from .conftest import CALLBACK, Provider


@pytest.fixture
def client(provider: Provider) -> Iterator[OAuth2Client]:
    with requests.Session() as session:
        yield OAuth2Client(
            token_endpoint=provider.token,
            authorization_endpoint=provider.authorization,
            redirect_uri=CALLBACK,
            client_id="public",
            issuer=provider.url,
            authorization_response_iss_parameter_supported=True,
            dpop_bound_access_tokens=True,
            session=session,
            testing=True,  # the server is on a loopback address
        )


def connect(client: OAuth2Client, provider: Provider) -> DPoPToken:
    request = client.authorization_request(scope="profile")
    answer = request.validate_callback(provider.visit(str(request)))
    token = client.authorization_code(answer, validate=False)
    assert isinstance(token, DPoPToken)
    return token


@pytest.mark.spec("rfc9449", "7.1")
@pytest.mark.spec("rfc9449", "9")
def test_a_bound_token(client: OAuth2Client, provider: Provider) -> None:
    token = connect(client, provider)
    for _ in range(2):
        answer = requests.get(provider.api, auth=token, timeout=10)
        assert answer.json() == {"user": provider.user, "client": "public"}
    stolen = {"Authorization": f"DPoP {token.access_token}"}
    assert requests.get(provider.api, headers=stolen, timeout=10).status_code == 401


@pytest.mark.spec("rfc9449", "5")
def test_a_bound_refresh_token(client: OAuth2Client, provider: Provider) -> None:
    token, other = connect(client, provider), connect(client, provider)
    renewed = client.refresh_token(token)
    assert requests.get(provider.api, auth=renewed, timeout=10).status_code == 200
    with pytest.raises(InvalidGrant):
        client.refresh_token(str(renewed.refresh_token), dpop_key=other.dpop_key)
