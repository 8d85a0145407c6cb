"""JSON Web Tokens as access tokens, RFC 9068."""

from __future__ import annotations

import base64
import json
import logging
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import flask
import pytest
from keys.tokens import key_of, token_of
from tenants import make_tenants, path_of

from flask_oauth2 import ConfigurationError, MemoryStore, OAuth2Provider, TokenGrant, values
from flask_oauth2.clients.secrets import hash_secret
from flask_oauth2.context import Context
from flask_oauth2.keys import library
from flask_oauth2.provider import find_provider
from flask_oauth2.testing.samples import new_authorization, new_client, new_context, new_token
from flask_oauth2.tokens.formats.jwt import MAX_LENGTH, RESERVED, JSONWebToken
from flask_oauth2.tokens.verified_tokens import VerifiedTokens
from oauth_site import NOW, Clock, Site, make_site

ISSUER = "https://login.example"

ALGORITHMS = ("ES256", "RS256", "PS256", "EdDSA")


@pytest.fixture
def site(new_site: Any) -> Site:
    """An application whose signing keys the tests know."""
    site: Site = new_site(
        OAUTH2_ACCESS_TOKEN_FORMAT="jwt", OAUTH2_SIGNING_KEYS=[key_of(name).jwk for name in ALGORITHMS]
    )
    return site


def client_token(site: Site, client_id: str = "web", scope: str = "profile", **fields: Any) -> str:
    """Return a token that a client has for itself."""
    auth = (client_id, site.add_client(client_id, **fields))
    answer = site.token("client_credentials", auth, scope=scope)
    assert answer.status_code == 200, answer.text
    return str(answer.get_json()["access_token"])


def parts_of(token: str) -> list[Any]:
    """Return the header and the claims of a token."""
    return [json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2]]


def changed(token: str, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """Return a token with other claims and a good signature of the same key. None removes a claim."""
    content = {**parts_of(token)[1], **claims}
    return token_of({name: value for name, value in content.items() if value is not None}, header)


@pytest.mark.spec("rfc9068", "2.1")
def test_the_header_names_the_type_the_algorithm_and_the_key(site: Site) -> None:
    header, _ = parts_of(client_token(site))
    assert header == {"typ": "at+jwt", "alg": "ES256", "kid": key_of("ES256").kid}
    assert header["kid"] in [key["kid"] for key in site.http.get("/oauth/jwks").get_json()["keys"]]


@pytest.mark.spec("rfc9068", "2.1")
@pytest.mark.spec("rfc9068", "4")
def test_metadata_name_the_keys(site: Site) -> None:
    described = site.http.get("/.well-known/oauth-authorization-server").get_json()
    assert (described["issuer"], described["jwks_uri"]) == (ISSUER, f"{ISSUER}/oauth/jwks")
    assert {key["alg"] for key in site.http.get("/oauth/jwks").get_json()["keys"]} == set(ALGORITHMS)


@pytest.mark.spec("rfc9068", "2.2")
@pytest.mark.spec("rfc9068", "2.2.3")
def test_the_claims_of_a_user(site: Site) -> None:
    token = site.tokens(site.add_client(), scope="profile mail")["access_token"]
    _, claims = parts_of(token)
    assert {name: claims[name] for name in ("iss", "sub", "aud", "client_id", "scope", "iat", "exp")} == {
        "iss": ISSUER,
        "sub": "ada",
        "aud": f"{ISSUER}/resources",
        "client_id": "web",
        "scope": "profile mail",
        "iat": NOW,
        "exp": NOW + 3600,
    }
    assert site.call(token).get_json() == {"user": "ada", "client": "web", "scope": ["profile", "mail"]}
    assert claims.keys() - {"jti", "authorization", "consent"} == {
        *("iss", "sub", "aud", "client_id", "scope", "iat", "exp")
    }


@pytest.mark.spec("rfc9068", "2.2")
@pytest.mark.spec("rfc9068", "5")
@pytest.mark.spec("rfc7519", "4.1.7")
def test_a_client_that_acts_for_itself_is_no_user(site: Site) -> None:
    token, other = client_token(site), client_token(site)
    assert parts_of(token)[1]["sub"] == "client:web"
    assert site.call(token).get_json() == {"user": None, "client": "web", "scope": ["profile"]}
    assert parts_of(token)[1]["jti"] != parts_of(other)[1]["jti"]


@pytest.mark.spec("rfc9068", "2.2.3")
def test_a_refresh_for_less_scope_narrows_the_claim(site: Site) -> None:
    secret = site.add_client()
    tokens = site.tokens(secret, scope="profile mail")
    answer = site.refresh(tokens["refresh_token"], secret, scope="mail").get_json()
    assert parts_of(answer["access_token"])[1]["scope"] == "mail"


@pytest.mark.spec("rfc9068", "2.2.1")
def test_the_authentication_stays_the_same_after_a_refresh(site: Site) -> None:
    signed_in = {"id": "ada", "auth_time": NOW - 60, "acr": "urn:example:two-factor"}

    app = flask.Flask("other")
    app.config.update({**site.app.config, "OAUTH2_ACCESS_TOKEN_FORMAT": "jwt"})
    other = make_site_of_user(app, lambda: signed_in)
    secret = other.add_client()
    tokens = other.tokens(secret)
    signed_in |= {"auth_time": NOW, "acr": "urn:example:password"}
    answer = other.refresh(tokens["refresh_token"], secret).get_json()
    for token in (tokens["access_token"], answer["access_token"]):
        claims = parts_of(token)[1]
        assert (claims["auth_time"], claims["acr"]) == (NOW - 60, "urn:example:two-factor")
    del signed_in["acr"], signed_in["auth_time"]
    assert not {"acr", "auth_time"} & parts_of(other.tokens(secret)["access_token"])[1].keys()


def make_site_of_user(app: flask.Flask, current_user: Callable[[], Any]) -> Site:
    """Return an application with other users."""
    provider = OAuth2Provider(app, store=MemoryStore())
    provider.current_user(current_user)
    app.add_url_rule("/login", "login", lambda: "", methods=["GET", "POST"])
    return Site(app, provider, Clock())


@pytest.mark.spec("rfc9068", "3")
@pytest.mark.spec("rfc9068", "5")
def test_the_audience_of_no_resource_is_an_option(new_site: Any) -> None:
    site = new_site(OAUTH2_ACCESS_TOKEN_FORMAT="jwt", OAUTH2_DEFAULT_AUDIENCE="https://api.example")
    token = client_token(site)
    assert parts_of(token)[1]["aud"] == "https://api.example"
    assert site.is_alive(token)


@pytest.mark.spec("rfc9068", "3")
@pytest.mark.spec("rfc8707", "2")
def test_the_audience_is_the_resource(new_site: Any) -> None:
    site = new_site(OAUTH2_ACCESS_TOKEN_FORMAT="jwt")
    site.provider.protect_resource("/api", "profile")
    site.provider.protect_resource("/files", "mail")

    @site.app.get("/files/one")
    def file() -> str:
        return "…"

    secret = site.add_client()
    at_api, at_files = (site.tokens(secret, scope=scope)["access_token"] for scope in ("profile", "mail"))
    assert [parts_of(token)[1]["aud"] for token in (at_api, at_files)] == [f"{ISSUER}/api", f"{ISSUER}/files"]
    assert [site.call(token).status_code for token in (at_api, at_files)] == [200, 401]
    assert [site.call(token, "/files/one").status_code for token in (at_api, at_files)] == [401, 200]


@pytest.mark.spec("rfc9068", "4")
def test_our_guards_take_only_what_the_server_has_issued(site: Site) -> None:
    token = client_token(site)
    assert site.is_alive(token)
    assert site.is_alive(changed(token))
    assert site.is_alive(changed(token, {"typ": "application/AT+jwt"}))
    for forged in (
        changed(token, {"typ": "JWT"}),
        changed(token, {"typ": None}),
        changed(token, {"typ": "token-introspection+jwt"}),
        changed(token, iss="https://other.example"),
        changed(token, iss=None),
        changed(token, aud="https://other.example"),
        changed(token, aud=[]),
        changed(token, client_id=None),
        changed(token, jti="~"),
        changed(token, jti="a"),
        changed(token, authorization=None),
        changed(token, scope=["profile"]),
        changed(token, cnf="key"),
        changed(token, iat=NOW + 3600),
        changed(token, exp=NOW),
        token_of(parts_of(token)[1], {"kid": key_of("ES256").kid}, key_of("ES256", 2)),
        token_of(parts_of(token)[1], {"alg": "none"}),
        token[:-1] + ("A" if token[-1] != "A" else "Q"),
        token + "A",
        token.rpartition(".")[0],
        token.rpartition(".")[0] + ".",
        "eyJ.eyJ.eyJ",
    ):
        answer = site.call(forged)
        assert answer.status_code == 401, parts_of(forged)
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.spec("rfc9068", "4")
@pytest.mark.spec("rfc6749", "10.3")
def test_the_log_says_why_and_contains_no_token(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "flask_oauth2")
    token = client_token(site)
    foreign, expired = changed(token, iss="https://other.example"), changed(token, exp=NOW)
    for value in (foreign, expired):
        site.call(value)
    assert "the claim iss is not that of the party" in caplog.text
    assert "the token has expired" in caplog.text
    site.post("/revoke", ("web", site.add_client()), token=token)
    site.call(token)
    assert "a JSON Web Token of this server that is revoked or too old" in caplog.text
    site.call("ost_" + token)
    site.post("/token", client_id=token, grant_type="client_credentials")
    assert "eyJ…" in caplog.text
    for value in (token, foreign, expired):
        for part in value.split(".")[1:]:
            assert part not in caplog.text


def test_it_expires(site: Site) -> None:
    token = client_token(site)
    site.clock.forward(3599)
    assert site.is_alive(token)
    site.clock.forward(1)
    assert not site.is_alive(token)


def test_introspection_describes_it_and_revocation_ends_it(site: Site) -> None:
    secret = site.add_client()
    token = site.tokens(secret)["access_token"]
    described = site.post("/introspect", ("web", secret), token=token).get_json()
    claims = parts_of(token)[1]
    assert described["active"] is True
    for name in ("sub", "scope", "client_id", "exp", "iat", "iss", "jti"):
        assert described[name] == claims[name]
    assert "aud" not in described
    assert site.post("/revoke", ("web", secret), token=token).status_code == 200
    assert not site.is_alive(token)
    assert site.post("/introspect", ("web", secret), token=token).get_json() == {"active": False}


def test_it_ends_with_its_authorization_its_user_and_its_client(site: Site) -> None:
    secret = site.add_client()
    first, second, third = (site.tokens(secret) for _ in range(3))
    site.post("/revoke", ("web", secret), token=first["refresh_token"])
    assert [site.is_alive(tokens["access_token"]) for tokens in (first, second, third)] == [False, True, True]
    with site.app.app_context():
        site.provider.revoke_user("ada")
    assert not site.is_alive(second["access_token"])
    own = client_token(site)
    assert site.is_alive(own)
    site.store.delete_client("web", int(NOW) + 10_000)
    assert not site.is_alive(own)


def test_without_a_refresh_token_it_has_no_row(site: Site) -> None:
    assert site.is_alive(client_token(site))
    assert site.store._tokens == {}


def test_a_client_has_its_own_format(new_site: Any) -> None:
    site = new_site(OAUTH2_SIGNING_ALGORITHMS=["ES256"])
    opaque, own = client_token(site), client_token(site, "own", token_format="jwt")
    assert opaque.startswith("oat_")
    assert parts_of(own)[0]["typ"] == "at+jwt"
    assert site.is_alive(own)


def test_a_client_cannot_have_it_without_keys(new_site: Any, caplog: pytest.LogCaptureFixture) -> None:
    site = new_site()
    auth = ("own", site.add_client("own", token_format="jwt"))
    answer = site.token("client_credentials", auth)
    assert answer.get_json()["error"] == "unauthorized_client"
    assert "set OAUTH2_SIGNING_ALGORITHMS, because jwt needs signing keys" in caplog.text
    created = site.app.test_cli_runner().invoke(
        args=["oauth2", "client", "create", "x", "--redirect-uri", "https://a.example", "--token-format", "jwt"]
    )
    assert "'jwt' needs signing keys, which other parties know. Set OAUTH2_SIGNING_ALGORITHMS" in created.output


def test_generated_keys_sign_and_a_retired_one_verifies(new_site: Any) -> None:
    site = new_site(OAUTH2_ACCESS_TOKEN_FORMAT="jwt", OAUTH2_ACCESS_TOKEN_LIFETIME=100_000)
    token = client_token(site)
    with site.app.app_context():
        runner = site.app.test_cli_runner()
        assert runner.invoke(args=["oauth2", "keys", "rotate"]).exit_code == 0
        site.clock.forward(3 * 3600)
        newer = client_token(site)
        kids = [parts_of(one)[0]["kid"] for one in (token, newer)]
        assert kids[0] != kids[1]
        assert [site.is_alive(one) for one in (token, newer)] == [True, True]
        removed = runner.invoke(args=["oauth2", "keys", "retire", "--now", "--yes", kids[0]])
        assert removed.exit_code == 0, removed.output
        site.clock.forward(61)
        assert [site.is_alive(one) for one in (token, newer)] == [False, True]


def test_a_signature_is_verified_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[bytes] = []
    verify = library.verify

    def count(algorithm: str, key: Any, data: bytes, signature: bytes) -> bool:
        verified.append(data)
        return verify(algorithm, key, data, signature)

    monkeypatch.setattr(library, "verify", count)
    token, other = client_token(site), client_token(site)
    assert [site.is_alive(one) for one in (token, token, other, token)] == [True] * 4
    assert len(verified) == 2
    site.post("/revoke", ("web", site.add_client()), token=token)
    assert [site.is_alive(one) for one in (token, other)] == [False, True]


def test_verified_tokens_are_limited_and_belong_to_a_key_set() -> None:
    tokens, keys = VerifiedTokens(most=2), object()
    access = [replace(new_token().access, client_id=name) for name in "abc"]
    assert tokens.get("a", keys) is None
    for name, one in zip("abc", access, strict=True):
        tokens.put(name, one, keys)
    assert [tokens.get(name, keys) for name in "abc"] == [None, access[1], access[2]]
    assert tokens.get("c", object()) is None
    tokens.put("d", access[0], renewed := object())
    assert [tokens.get(name, renewed) for name in "cd"] == [None, access[0]]


@pytest.mark.parametrize("fact", ["claims", "auth_time", "acr"])
def test_facts_come_back(site: Site, fact: str) -> None:
    """The resources that the user allowed are no claim, because each resource server reads the token."""
    token_format = JSONWebToken(site.server)
    known = new_context(fact, "resource")
    access = new_token(new_authorization(context=known)).access
    access = replace(access, token_hash=values.new_id(NOW), issued_at=NOW, expires_at=NOW + 60)
    found = token_format.read(token_format.write(access, site.store.get_client("web"), None))
    assert found == replace(access, context=replace(known, resource=()))


def test_claims_of_a_grant_cannot_replace_those_of_the_server(site: Site) -> None:
    token_format = JSONWebToken(site.server)
    claims = {"sub": "bob", "cnf": {"jkt": "a"}, "acr": "urn:example:top", "nonce": "n"}
    access = new_token(new_authorization(context=Context(claims=claims))).access
    found = parts_of(token_format.write(access, site.store.get_client("web"), None))[1]
    assert (found["sub"], found["nonce"]) == ("user", "n")
    assert not {"cnf", "acr"} & found.keys()


def test_other_token_types_and_confirmations_come_back(site: Site) -> None:
    token_format = JSONWebToken(site.server)
    access = replace(new_token(confirmation={"jkt": "thumbprint"}).access, type="DPoP", issued_at=NOW)
    token = token_format.write(access, site.store.get_client("web"), None)
    assert parts_of(token)[1]["cnf"] == {"jkt": "thumbprint"}
    found = token_format.read(token)
    assert found is not None
    assert (found.type, found.confirmation) == ("DPoP", {"jkt": "thumbprint"})


@pytest.mark.spec("rfc9068", "2.2.2")
@pytest.mark.spec("rfc9068", "2.2.3.1")
def test_the_application_adds_claims(site: Site) -> None:
    @site.provider.access_token_claims
    def claims(access: Any, client: Any) -> dict[str, Any] | None:
        return {"groups": ["staff"], "client_name": client.name} if access.user_id == "ada" else None

    secret = site.add_client()
    token = site.tokens(secret)["access_token"]
    found = parts_of(token)[1]
    assert (found["groups"], found["client_name"]) == (["staff"], "web")
    assert site.post("/introspect", ("web", secret), token=token).get_json()["groups"] == ["staff"]
    assert "groups" not in parts_of(client_token(site))[1]


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        *[({name: "x"}, "reserved claims") for name in sorted(RESERVED)],
        ("text", "no claims"),
        ({"when": object()}, "not JSON"),
        ({"number": float("nan")}, "not JSON"),
        ({"list": list(range(300))}, "not JSON"),
        ({"text": "x" * MAX_LENGTH}, "too long"),
    ],
)
def test_claims_that_cannot_be_issued_are_an_error_of_the_server(
    site: Site, claims: Any, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    site.provider.access_token_claims(lambda access, client: claims)
    secret = site.add_client()
    code = site.authorize()["code"]
    answer = site.redeem(code, ("web", secret))
    assert (answer.status_code, answer.get_json()["error"]) == (503, "server_error")
    assert message in caplog.text
    assert "@provider.access_token_claims" in caplog.text
    assert [record.levelname for record in caplog.records if "server_error" in record.message] == ["ERROR"]
    assert site.store.get_grant(values.key(code), "code").used_at is None


def test_each_issuer_accepts_its_own_tokens_although_the_keys_are_the_same() -> None:
    keys = [key_of("ES256").jwk]
    app, issuers = make_tenants("path", OAUTH2_ACCESS_TOKEN_FORMAT="jwt", OAUTH2_SIGNING_KEYS=keys)
    http, found = app.test_client(), {}
    for name, issuer in issuers.items():
        with app.app_context(), find_provider(app).issuer_context(issuer.url):
            server = find_provider(app).server
            client = new_client(client_id="web", auth_method="client_secret_basic", secret=hash_secret("secret"))
            client = replace(client, grant_types=("client_credentials",), scope=("profile",), token_format=None)
            server.store.set_client(client)
        form = {"grant_type": "client_credentials"}
        answer = http.post(**path_of("path", name, "/oauth/token"), data=form, auth=("web", "secret"))
        found[name] = answer.get_json()["access_token"]
        assert parts_of(found[name])[1]["iss"] == issuer.url
    for name in issuers:
        statuses = [
            http.get(**path_of("path", name, "/api/me"), headers={"Authorization": f"Bearer {token}"}).status_code
            for token in found.values()
        ]
        assert statuses == [200 if other == name else 401 for other in found]


def test_an_issuer_that_follows_the_address_signs_with_its_name(tmp_path: Any) -> None:
    site = make_site(tmp_path, store=MemoryStore(), OAUTH2_ACCESS_TOKEN_FORMAT="jwt", OAUTH2_ISSUER=None)
    site.app.testing = True
    token = client_token(site)
    assert parts_of(token)[1]["iss"] == "http://localhost"
    assert site.is_alive(token)
    elsewhere = site.http.get("/api/me", base_url="http://127.0.0.1", headers={"Authorization": f"Bearer {token}"})
    assert elsewhere.status_code == 401


def test_without_joserfc_the_error_comes_at_the_start(new_site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site = new_site(OAUTH2_ACCESS_TOKEN_FORMAT="jwt")
    monkeypatch.delitem(sys.modules, "flask_oauth2.keys.library")
    monkeypatch.delattr("flask_oauth2.keys.library")
    monkeypatch.setitem(sys.modules, "joserfc", None)
    with pytest.raises(ConfigurationError, match=r"install flask_oauth2\[jose\]"):
        site.http.get("/.well-known/oauth-authorization-server")


def test_the_result_of_a_grant_names_the_format(new_site: Any) -> None:
    site = new_site(OAUTH2_SIGNING_ALGORITHMS=["RS256"])

    @site.provider.grant_type("urn:example:grant")
    def grant(request: Any) -> TokenGrant:
        return TokenGrant(request.authorization("ada", claims={"tenant": "t"}), format="jwt")

    auth = ("web", site.add_client(grant_types=("urn:example:grant",)))
    token = site.token("urn:example:grant", auth, scope="profile").get_json()["access_token"]
    header, claims = parts_of(token)
    assert (header["alg"], claims["sub"], claims["tenant"]) == ("RS256", "ada", "t")
    assert site.is_alive(token)
