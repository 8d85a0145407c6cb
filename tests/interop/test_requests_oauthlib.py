"""requests-oauthlib, with each of its four kinds of client."""

from __future__ import annotations

from typing import Any

import pytest
from oauthlib.oauth2 import (
    BackendApplicationClient,
    LegacyApplicationClient,
    MobileApplicationClient,
    WebApplicationClient,
)
from oauthlib.oauth2.rfc6749 import errors
from requests_oauthlib import OAuth2Session

from .conftest import CALLBACK, Provider


def new_session(client: Any, scope: str = "profile mail", **options: Any) -> OAuth2Session:
    return OAuth2Session(client=client, redirect_uri=CALLBACK, scope=scope.split(), **options)


def connect(provider: Provider, client_id: str = "web", **form: Any) -> OAuth2Session:
    """A session after the code flow with PKCE."""
    session = new_session(WebApplicationClient(client_id), pkce="S256")
    url, _ = session.authorization_url(provider.authorization)
    answer = provider.visit(url)
    session.fetch_token(provider.token, authorization_response=answer, **form)
    return session


@pytest.mark.spec("rfc6749", "4.1")
@pytest.mark.parametrize("in_body", [False, True], ids=["client_secret_basic", "client_secret_post"])
def test_code_flow(provider: Provider, in_body: bool) -> None:
    with connect(provider, client_secret=provider.secrets["web"], include_client_id=in_body) as session:
        assert session.token["token_type"] == "Bearer"
        assert session.token["scope"] == ["profile", "mail"]
        assert session.get(provider.api).json() == {"user": provider.user, "client": "web"}


@pytest.mark.spec("rfc6749", "2.1")
def test_code_flow_of_a_public_client(provider: Provider) -> None:
    with connect(provider, "public", include_client_id=True) as session:
        assert session.get(provider.api).json() == {"user": provider.user, "client": "public"}


@pytest.mark.spec("rfc6749", "2.3.1")
@pytest.mark.parametrize("in_body", [False, True], ids=["client_secret_basic", "client_secret_post"])
def test_wrong_secret_is_invalid_client(provider: Provider, in_body: bool) -> None:
    with pytest.raises(errors.InvalidClientError):
        connect(provider, client_secret=provider.secrets["api"], include_client_id=in_body)


@pytest.mark.spec("rfc7636", "4.6")
def test_wrong_verifier_is_invalid_grant(provider: Provider) -> None:
    with new_session(WebApplicationClient("web"), pkce="S256") as session:
        answer = provider.visit(session.authorization_url(provider.authorization)[0])
        session._code_verifier = session._client.create_code_verifier(43)
        with pytest.raises(errors.InvalidGrantError):
            session.fetch_token(provider.token, authorization_response=answer, client_secret=provider.secrets["web"])


@pytest.mark.spec("rfc7636", "4.4.1")
def test_without_a_challenge_the_request_is_refused(provider: Provider) -> None:
    with new_session(WebApplicationClient("web")) as session:
        answer = provider.visit(session.authorization_url(provider.authorization)[0])
        with pytest.raises(errors.OAuth2Error, match=r"invalid_request.*PKCE is required"):
            session.fetch_token(provider.token, authorization_response=answer)


@pytest.mark.spec("rfc6749", "4.1.2.1")
def test_a_person_who_denies_is_access_denied(provider: Provider) -> None:
    with new_session(WebApplicationClient("public"), scope="mail", pkce="S256") as session:
        answer = provider.visit(session.authorization_url(provider.authorization)[0], "Deny")
        with pytest.raises(errors.AccessDeniedError):
            session.fetch_token(provider.token, authorization_response=answer)


@pytest.mark.spec("rfc6749", "3.3")
def test_scope_beyond_is_invalid_scope(provider: Provider) -> None:
    with new_session(WebApplicationClient("web"), scope="profile everything", pkce="S256") as session:
        answer = provider.visit(session.authorization_url(provider.authorization)[0])
        with pytest.raises(errors.InvalidScopeError):
            session.fetch_token(provider.token, authorization_response=answer)


@pytest.mark.spec("rfc6749", "4.1.2")
def test_replayed_code_is_invalid_grant_and_ends_the_tokens(provider: Provider) -> None:
    secret = provider.secrets["web"]
    with new_session(WebApplicationClient("web"), pkce="S256") as session:
        answer = provider.visit(session.authorization_url(provider.authorization)[0])
        token = session.fetch_token(provider.token, authorization_response=answer, client_secret=secret)
        assert session.get(provider.api).status_code == 200
        with pytest.raises(errors.InvalidGrantError):
            session.fetch_token(provider.token, authorization_response=answer, client_secret=secret)
        session.token = token
        assert session.get(provider.api).status_code == 401


@pytest.mark.spec("rfc6749", "6")
def test_refresh_rotates(provider: Provider) -> None:
    auth = "web", provider.secrets["web"]
    with connect(provider, client_secret=auth[1]) as session:
        before = session.token
        session.refresh_token(provider.token, auth=auth)
        assert session.token["refresh_token"] != before["refresh_token"]
        assert session.token["access_token"] != before["access_token"]
        assert session.get(provider.api).status_code == 200


@pytest.mark.spec("rfc9700", "4.14.2")
def test_refresh_token_of_a_public_client_that_comes_again_ends_the_family(provider: Provider) -> None:
    with connect(provider, "public", include_client_id=True) as session:
        old = session.token["refresh_token"]
        session.refresh_token(provider.token, refresh_token=old, client_id="public")
        assert session.get(provider.api).status_code == 200
        alive = session.token
        with pytest.raises(errors.InvalidGrantError):
            session.refresh_token(provider.token, refresh_token=old, client_id="public")
        session.token = alive
        assert session.get(provider.api).status_code == 401


@pytest.mark.spec("rfc6749", "6")
def test_refresh_narrows_the_scope_of_the_access_token_only(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTHLIB_RELAX_TOKEN_SCOPE", "1")  # or oauthlib takes any change of scope for an error
    auth = "web", provider.secrets["web"]
    with connect(provider, client_secret=auth[1]) as session:
        session.scope = ["mail"]
        narrow = session.refresh_token(provider.token, auth=auth)
        assert narrow["scope"] == ["mail"]
        assert session.get(provider.api).status_code == 403
        session.scope = ["profile", "mail"]
        wide = session.refresh_token(provider.token, auth=auth)
        assert wide["scope"] == ["profile", "mail"]
        session.scope = ["profile", "everything"]
        with pytest.raises(errors.InvalidScopeError):
            session.refresh_token(provider.token, auth=auth)


@pytest.mark.spec("rfc6749", "4.2")
def test_implicit_grant(provider: Provider) -> None:
    with new_session(MobileApplicationClient("page")) as session:
        answer = provider.visit(session.authorization_url(provider.authorization)[0])
        token = session.token_from_fragment(answer)
        assert "refresh_token" not in token
        assert session.get(provider.api).json() == {"user": provider.user, "client": "page"}


@pytest.mark.spec("rfc6749", "4.2.2.1")
def test_implicit_grant_that_is_denied(provider: Provider) -> None:
    with new_session(MobileApplicationClient("page")) as session:
        answer = provider.visit(session.authorization_url(provider.authorization)[0], "Deny")
        assert "#error=access_denied" in answer
        with pytest.raises(errors.AccessDeniedError):
            session.token_from_fragment(answer)


@pytest.mark.spec("rfc6749", "4.3")
def test_password_grant(provider: Provider) -> None:
    auth = "legacy", provider.secrets["legacy"]
    with new_session(LegacyApplicationClient("legacy")) as session:
        session.fetch_token(provider.token, username="ada", password="pass word & more=", auth=auth)
        session.refresh_token(provider.token, auth=auth)
        assert session.get(provider.api).json() == {"user": "ada", "client": "legacy"}


@pytest.mark.spec("rfc6749", "4.3.2")
def test_password_grant_with_a_wrong_password(provider: Provider) -> None:
    with (
        new_session(LegacyApplicationClient("legacy")) as session,
        pytest.raises(errors.InvalidGrantError),
    ):
        session.fetch_token(
            provider.token, username="ada", password="guess", auth=("legacy", provider.secrets["legacy"])
        )


@pytest.mark.spec("rfc6749", "4.4")
def test_client_credentials_grant(provider: Provider) -> None:
    with new_session(BackendApplicationClient("machine", scope="profile"), scope="profile") as session:
        token = session.fetch_token(provider.token, client_secret=provider.secrets["machine"])
        assert "refresh_token" not in token
        assert session.get(provider.api).json() == {"user": None, "client": "machine"}


@pytest.mark.spec("rfc6749", "5.2")
def test_client_without_the_grant_is_unauthorized_client(provider: Provider) -> None:
    with (
        new_session(BackendApplicationClient("web")) as session,
        pytest.raises(errors.UnauthorizedClientError),
    ):
        session.fetch_token(provider.token, client_secret=provider.secrets["web"])


@pytest.mark.spec("rfc7009", "2.1")
def test_revocation(provider: Provider) -> None:
    auth = "web", provider.secrets["web"]
    with connect(provider, client_secret=auth[1]) as session:
        url, headers, body = session._client.prepare_token_revocation_request(
            provider.revocation, session.token["refresh_token"], "refresh_token"
        )
        assert session.post(url, body, headers=headers, auth=auth, withhold_token=True).status_code == 200
        assert session.get(provider.api).status_code == 401
        with pytest.raises(errors.InvalidGrantError):
            session.refresh_token(provider.token, auth=auth)
