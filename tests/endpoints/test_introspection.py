"""The introspection endpoint."""

from __future__ import annotations

from typing import Any

import pytest
from keys.tokens import key_of

from flask_oauth2.keys import jose
from flask_oauth2.keys.jwk import read_set
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


MEDIA_TYPE = "application/token-introspection+jwt"


@pytest.fixture
def signing(new_site: Any) -> Site:
    """An application with signing keys."""
    site: Site = new_site(OAUTH2_SIGNING_KEYS=[key_of(name).jwk for name in ("ES256", "RS256")])
    return site


def introspect_signed(site: Site, secret: str, token: str, accept: str = MEDIA_TYPE, client_id: str = "web") -> Any:
    headers, form = {"Accept": accept}, {"token": token}
    return site.http.post("/oauth/introspect", data=form, headers=headers, auth=(client_id, secret))


def claims_of(site: Site, text: str, audience: str = "web", algorithm: str = "RS256") -> dict[str, Any]:
    """Return the claims of a signed response, which is verified with the JWK set."""
    keys = read_set(site.http.get("/oauth/jwks").get_data())
    policy = jose.Policy(
        algorithms=(algorithm,),
        types=("token-introspection+jwt",),
        issuers=("https://login.example",),
        audience=audience,
        keys=keys.find,
        required=("iss", "aud", "iat", "token_introspection"),
    )
    return dict(jose.verify(text, policy, NOW).claims)


@pytest.mark.spec("rfc9701", "4")
@pytest.mark.spec("rfc9701", "5")
@pytest.mark.spec("rfc9701", "6")
@pytest.mark.parametrize("accept", [MEDIA_TYPE, f"application/json, {MEDIA_TYPE.upper()};q=0.9"])
def test_a_resource_server_receives_a_signed_response(signing: Site, accept: str) -> None:
    secret = signing.add_client("api", resource_server=True)
    token = signing.tokens(signing.add_client())["access_token"]
    answer = introspect_signed(signing, secret, token, accept, "api")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, MEDIA_TYPE)
    assert answer.headers["Cache-Control"] == "no-store"
    claims = claims_of(signing, answer.text, "api")
    plain = signing.post("/introspect", ("api", secret), token=token).get_json()
    assert claims == {
        "iss": "https://login.example",
        "aud": "api",
        "iat": NOW,
        "token_introspection": plain,
    }
    assert plain["active"] is True


@pytest.mark.spec("rfc9701", "5")
def test_a_signed_response_says_nothing_of_an_inactive_token(signing: Site) -> None:
    secret, other = signing.add_client(), signing.add_client("other")
    token = signing.tokens(secret)["access_token"]
    for value, client_id, credentials in (("oat_unknown", "web", secret), (token, "other", other)):
        answer = introspect_signed(signing, credentials, value, client_id=client_id)
        assert claims_of(signing, answer.text, client_id)["token_introspection"] == {"active": False}


@pytest.mark.spec("rfc9701", "5")
@pytest.mark.spec("rfc9701", "8.2")
def test_a_signed_response_needs_authentication(signing: Site) -> None:
    token = signing.tokens(signing.add_client())["access_token"]
    assert introspect_signed(signing, "wrong", token).status_code == 401
    headers = {"Accept": MEDIA_TYPE}
    assert signing.http.post("/oauth/introspect", data={"token": token}, headers=headers).status_code == 401


@pytest.mark.spec("rfc9701", "8.1")
def test_a_signed_response_is_no_access_token(signing: Site) -> None:
    secret = signing.add_client(token_format="jwt")
    token = signing.tokens(secret)["access_token"]
    assert signing.is_alive(token)
    assert not signing.is_alive(introspect_signed(signing, secret, token).text)


@pytest.mark.spec("rfc9701", "7")
def test_metadata_name_the_algorithm_of_signed_responses(signing: Site, new_site: Any) -> None:
    other = new_site(OAUTH2_SIGNING_KEYS=[key_of("ES256").jwk])
    name = "introspection_signing_alg_values_supported"
    described = [one.http.get("/.well-known/oauth-authorization-server").get_json() for one in (signing, other)]
    assert [one[name] for one in described] == [["RS256"], ["ES256"]]
    secret = other.add_client()
    answer = introspect_signed(other, secret, other.tokens(secret)["access_token"])
    assert claims_of(other, answer.text, algorithm="ES256")["token_introspection"]["active"] is True


def test_without_keys_responses_are_not_signed(site: Site, secret: str) -> None:
    answer = introspect_signed(site, secret, "oat_unknown")
    assert (answer.mimetype, answer.get_json()) == ("application/json", {"active": False})
    described = site.http.get("/.well-known/oauth-authorization-server").get_json()
    assert "introspection_signing_alg_values_supported" not in described
