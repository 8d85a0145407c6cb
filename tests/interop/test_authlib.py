"""Authlib's clients: one on requests, one on httpx, and the asynchronous one."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from typing import Any

import pytest
import requests
from authlib.common.errors import AuthlibBaseError
from authlib.common.security import generate_token
from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuth2Client
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc6750.errors import InsufficientScopeError, InvalidTokenError
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc.jwk import KeySet

from flask_oauth2.settings import DEVICE_CODE

from .conftest import CALLBACK, Provider

VERIFIER = generate_token(48)


@pytest.fixture(params=[OAuth2Session, OAuth2Client], ids=["requests", "httpx"])
def library(request: pytest.FixtureRequest) -> Any:
    return request.param


def new_session(library: Any, provider: Provider, client_id: str = "web", **options: Any) -> Any:
    defaults = {
        "client_secret": None if client_id in ("public", "page") else provider.secrets[client_id],
        "scope": "profile mail",
        "redirect_uri": CALLBACK,
        "code_challenge_method": "S256",
    }
    return closing(library(client_id, **{**defaults, **options}))


def ask(session: Any, provider: Provider, decision: str = "Allow", **parameters: Any) -> str:
    """The URL at which the client gets the person's answer."""
    parameters = {"code_verifier": VERIFIER, **parameters}
    url, session.state = session.create_authorization_url(provider.authorization, **parameters)
    return provider.visit(url, decision)


def redeem(session: Any, provider: Provider, answer: str, verifier: str = VERIFIER) -> Any:
    return session.fetch_token(provider.token, authorization_response=answer, code_verifier=verifier)


def refused(code: str) -> Any:
    """What Authlib makes of an error answer."""
    return pytest.raises(AuthlibBaseError, match=rf"^{code}: ")


@pytest.mark.spec("rfc6749", "4.1")
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_code_flow(library: Any, provider: Provider, method: str) -> None:
    with new_session(library, provider, token_endpoint_auth_method=method) as session:
        token = redeem(session, provider, ask(session, provider))
        assert (token["token_type"], token["scope"]) == ("Bearer", "profile mail")
        assert session.get(provider.api).json() == {"user": provider.user, "client": "web"}


@pytest.mark.spec("rfc8628", "3.4")
@pytest.mark.parametrize("client_id", ["device", "box"])
def test_a_device_is_let_in(library: Any, provider: Provider, client_id: str) -> None:
    """Authlib has no first half of the grant, so that is a form by hand; the second is what it has for all grants."""
    method = "none" if client_id == "device" else "client_secret_basic"
    secret = {"client_secret": None} if client_id == "device" else {}
    with new_session(library, provider, client_id, token_endpoint_auth_method=method, **secret) as session:
        form = {"client_id": client_id, "scope": "profile"}
        auth = None if client_id == "device" else (client_id, provider.secrets[client_id])
        answer = requests.post(provider.device_authorization, data=form, auth=auth)
        codes = answer.json()

        def poll() -> Any:
            return session.fetch_token(provider.token, grant_type=DEVICE_CODE, device_code=codes["device_code"])

        with refused("authorization_pending"):
            poll()
        assert "Go back to your device" in provider.connect(codes["verification_uri"], codes["user_code"])
        assert poll()["scope"] == "profile"
        assert session.get(provider.api).json() == {"user": provider.user, "client": client_id}
        with refused("invalid_grant"):
            poll()


@pytest.mark.spec("rfc6749", "2.1")
def test_code_flow_of_a_public_client(library: Any, provider: Provider) -> None:
    with new_session(library, provider, "public") as session:
        redeem(session, provider, ask(session, provider))
        assert session.get(provider.api).json() == {"user": provider.user, "client": "public"}


@pytest.mark.spec("rfc7523", "3")
@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_client_authenticates_with_its_key(library: Any, provider: Provider, algorithm: str) -> None:
    key = provider.keys[algorithm]
    method = "private_key_jwt"
    options = {"client_secret": key, "token_endpoint_auth_method": method, "revocation_endpoint_auth_method": method}
    for audience, is_accepted in ((provider.url, True), (None, False)):  # Authlib's default is the token endpoint
        with new_session(library, provider, f"key {algorithm}", **options) as session:
            session.register_client_auth_method(PrivateKeyJWT(audience, alg=algorithm))
            if not is_accepted:
                with refused("invalid_client"):
                    session.fetch_token(provider.token, grant_type="client_credentials")
                continue
            token = session.fetch_token(provider.token, grant_type="client_credentials")
            assert token["scope"] == "profile mail"
            assert session.revoke_token(provider.revocation, token=token["access_token"]).status_code == 200


@pytest.mark.spec("rfc6749", "2.3.1")
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
def test_wrong_secret_is_invalid_client(library: Any, provider: Provider, method: str) -> None:
    options = {"client_secret": provider.secrets["api"], "token_endpoint_auth_method": method}
    with new_session(library, provider, **options) as session:
        answer = ask(session, provider)
        with refused("invalid_client"):
            redeem(session, provider, answer)


@pytest.mark.spec("rfc7636", "4.6")
def test_wrong_verifier_is_invalid_grant(library: Any, provider: Provider) -> None:
    with new_session(library, provider) as session:
        answer = ask(session, provider)
        with refused("invalid_grant"):
            redeem(session, provider, answer, generate_token(48))
        assert redeem(session, provider, answer)["access_token"]


@pytest.mark.spec("rfc7636", "4.4.1")
def test_without_a_challenge_the_request_is_refused(library: Any, provider: Provider) -> None:
    with new_session(library, provider) as session:
        assert "error=invalid_request&" in ask(session, provider, code_verifier=None)


@pytest.mark.spec("rfc6749", "4.1.2")
def test_replayed_code_is_invalid_grant_and_ends_the_tokens(library: Any, provider: Provider) -> None:
    with new_session(library, provider) as session:
        answer = ask(session, provider)
        redeem(session, provider, answer)
        assert session.get(provider.api).status_code == 200
        with refused("invalid_grant"):
            redeem(session, provider, answer)
        assert session.get(provider.api).status_code == 401


@pytest.mark.spec("rfc6749", "4.1.2.1")
def test_a_person_who_denies_is_access_denied(library: Any, provider: Provider) -> None:
    with new_session(library, provider) as session:
        assert "error=access_denied&" in ask(session, provider, "Deny")


@pytest.mark.spec("rfc6749", "3.3")
def test_scope_beyond_is_invalid_scope(library: Any, provider: Provider) -> None:
    with new_session(library, provider, scope="profile everything") as session:
        assert "error=invalid_scope&" in ask(session, provider)


@pytest.mark.spec("rfc6749", "6")
def test_refresh_rotates_and_may_narrow_the_access_token(library: Any, provider: Provider) -> None:
    with new_session(library, provider) as session:
        first = dict(redeem(session, provider, ask(session, provider)))
        second = dict(session.refresh_token(provider.token, scope="mail"))
        assert second["scope"] == "mail"
        assert second["refresh_token"] != first["refresh_token"]
        assert session.get(provider.api).status_code == 403
        assert session.refresh_token(provider.token)["scope"] == "profile mail"
        assert session.get(provider.api).status_code == 200
        with refused("invalid_scope"):
            session.refresh_token(provider.token, scope="profile everything")


@pytest.mark.spec("rfc9700", "4.14.2")
def test_refresh_token_of_a_public_client_that_comes_again_ends_the_family(library: Any, provider: Provider) -> None:
    with new_session(library, provider, "public") as session:
        old = redeem(session, provider, ask(session, provider))["refresh_token"]
        session.refresh_token(provider.token, refresh_token=old)
        assert session.get(provider.api).status_code == 200
        with refused("invalid_grant"):
            session.refresh_token(provider.token, refresh_token=old)
        assert session.get(provider.api).status_code == 401


@pytest.mark.spec("rfc6749", "4.2")
def test_implicit_grant(library: Any, provider: Provider) -> None:
    with new_session(library, provider, "page", response_type="token") as session:
        answer = ask(session, provider)
        session.fetch_token(authorization_response=answer)
        assert session.get(provider.api).json() == {"user": provider.user, "client": "page"}


@pytest.mark.spec("rfc6749", "4.3")
def test_password_grant(library: Any, provider: Provider) -> None:
    with new_session(library, provider, "legacy") as session:
        session.fetch_token(provider.token, username="ada", password="pass word & more=")
        assert session.get(provider.api).json() == {"user": "ada", "client": "legacy"}
        with refused("invalid_grant"):
            session.fetch_token(provider.token, username="ada", password="guess")


@pytest.mark.spec("rfc6749", "4.4")
def test_client_credentials_grant(library: Any, provider: Provider) -> None:
    with new_session(library, provider, "machine", scope="profile") as session:
        token = session.fetch_token(provider.token, grant_type="client_credentials")
        assert "refresh_token" not in token
        assert session.get(provider.api).json() == {"user": None, "client": "machine"}
    with new_session(library, provider, "web") as session, refused("unauthorized_client"):
        session.fetch_token(provider.token, grant_type="client_credentials")


@pytest.mark.spec("rfc7009", "2.1")
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_revocation(library: Any, provider: Provider, method: str) -> None:
    with new_session(library, provider, revocation_endpoint_auth_method=method) as session:
        token = dict(redeem(session, provider, ask(session, provider)))
        answer = session.revoke_token(provider.revocation, token["refresh_token"], "refresh_token")
        assert answer.status_code == 200
        assert session.get(provider.api).status_code == 401
        with refused("invalid_grant"):
            session.refresh_token(provider.token)


@pytest.mark.spec("rfc7662", "2.2")
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_introspection_by_a_resource_server(library: Any, provider: Provider, method: str) -> None:
    with (
        new_session(library, provider) as session,
        new_session(library, provider, "api", token_endpoint_auth_method=method) as api,
        new_session(library, provider, "machine") as stranger,
    ):
        value = redeem(session, provider, ask(session, provider))["access_token"]
        answer = api.introspect_token(provider.introspection, value, "access_token").json()
        assert {name: answer[name] for name in ("active", "client_id", "sub", "scope", "iss")} == {
            "active": True,
            "client_id": "web",
            "sub": provider.user,
            "scope": "profile mail",
            "iss": provider.url,
        }
        assert stranger.introspect_token(provider.introspection, value).json() == {"active": False}
        session.revoke_token(provider.revocation, value)
        assert api.introspect_token(provider.introspection, value).json() == {"active": False}


@pytest.mark.spec("rfc6749", "4.1")
def test_asynchronous_client(provider: Provider) -> None:
    async def connect() -> Any:
        async with AsyncOAuth2Client(
            "web", provider.secrets["web"], scope="profile", redirect_uri=CALLBACK, code_challenge_method="S256"
        ) as session:
            answer = await asyncio.to_thread(ask, session, provider)
            await redeem(session, provider, answer)
            await session.refresh_token(provider.token)
            return (await session.get(provider.api)).json()

    assert asyncio.run(connect()) == {"user": provider.user, "client": "web"}


@pytest.mark.spec("rfc9068", "2.2")
def test_a_resource_server_of_authlib_takes_our_json_web_tokens(new_site: Any) -> None:
    site = new_site(OAUTH2_ACCESS_TOKEN_FORMAT="jwt", OAUTH2_SIGNING_ALGORITHMS=["RS256"])

    class Validator(JWTBearerTokenValidator):
        def get_jwks(self) -> Any:
            return KeySet.import_key_set(site.http.get("/oauth/jwks").get_json())

        def __init__(self, audience: str) -> None:
            super().__init__("https://login.example", audience)

    site.clock.now = time.time()
    auth = ("web", site.add_client())
    token = site.token("client_credentials", auth, scope="profile").get_json()["access_token"]
    validator, other = Validator("https://login.example/resources"), Validator("https://login.example")
    claims = validator.authenticate_token(token)
    validator.validate_token(claims, ["profile"], None)
    with pytest.raises(InsufficientScopeError):
        validator.validate_token(claims, ["mail"], None)
    with pytest.raises(InvalidTokenError):
        other.validate_token(other.authenticate_token(token), ["profile"], None)
    with pytest.raises(InvalidTokenError):
        validator.authenticate_token(f"{token[:-4]}AAAA")
