"""``private_key_jwt``: clients that prove themselves with a signature."""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from document_server import JSON, DocumentServer, serve_documents
from keys.tokens import Local, encode, key_of
from werkzeug.test import TestResponse

from flask_oauth2.clients.authentication import assertion
from flask_oauth2.clients.authentication.assertion import ASSERTION_TYPE, MAX_LIFETIME
from flask_oauth2.keys import jose
from flask_oauth2.keys.jwk import Key
from oauth_site import CALLBACK, NOW, Site

NewSite = Callable[..., Site]
ISSUER = "https://login.example"


def jwks_of(*keys: Key) -> dict[str, Any]:
    return {"keys": [key.public_jwk for key in keys]}


def add(site: Site, *keys: Key, client_id: str = "web", **metadata: Any) -> None:
    """Save a client with these public keys."""
    jwks = {"jwks": jwks_of(*keys)} if keys else {}
    site.add_client(client_id, None, auth_method="private_key_jwt", metadata=jwks | metadata, resource_server=True)


def sign(key: Key | None = None, typ: str | None = "client-authentication+jwt", **claims: Any) -> str:
    """Return an assertion of the client ``web``. None leaves a claim out."""
    standard = {"iss": "web", "sub": "web", "aud": ISSUER, "exp": NOW + 60, "jti": "1"}
    present = {name: value for name, value in {**standard, **claims}.items() if value is not None}
    return jose.sign(present, Local(key or key_of("ES256")), typ, NOW)


def send(site: Site, text: str, path: str = "/token", **form: Any) -> TestResponse:
    fields = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": text, **form}
    site.server.clock = site.clock
    return site.post(path, grant_type="client_credentials", **fields)


def is_rejected(answer: TestResponse) -> bool:
    return (answer.status_code, answer.get_json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "EdDSA"])
@pytest.mark.spec("rfc7523", "2.2")
@pytest.mark.spec("rfc7523", "5")
@pytest.mark.spec("rfc7523", "3")
def test_a_client_authenticates_with_its_key(site: Site, algorithm: str) -> None:
    add(site, key_of(algorithm))
    assert send(site, sign(key_of(algorithm)), client_id="web").status_code == 200


@pytest.mark.parametrize("typ", ["client-authentication+jwt", "application/client-authentication+jwt", "JWT", None])
@pytest.mark.spec("rfc7523", "3")
def test_the_type_may_be_missing(site: Site, typ: str | None) -> None:
    add(site, key_of("ES256"))
    assert send(site, sign(typ=typ)).status_code == 200


@pytest.mark.parametrize("typ", ["at+jwt", "dpop+jwt", "oauth-authz-req+jwt", "oauth-id-jag+jwt"])
@pytest.mark.spec("rfc7523", "3")
def test_the_type_of_another_kind_of_token_is_rejected(site: Site, typ: str) -> None:
    add(site, key_of("ES256"))
    assert is_rejected(send(site, sign(typ=typ)))


@pytest.mark.parametrize("path", ["/token", "/revoke", "/introspect", "/device_authorization"])
@pytest.mark.spec("rfc7523", "3")
def test_every_endpoint_of_clients_accepts_an_assertion_once(new_site: NewSite, path: str) -> None:
    device_code = "urn:ietf:params:oauth:grant-type:device_code"
    site = new_site(OAUTH2_GRANT_TYPES=["client_credentials", device_code])
    add(site, key_of("ES256"))
    site.change_client(grant_types=("client_credentials", device_code))
    assert send(site, sign(), path, token="unknown").status_code == 200
    assert is_rejected(send(site, sign(), path, token="unknown"))
    assert send(site, sign(jti="2"), path, token="unknown").status_code == 200


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "other"}, "unknown client_id other"),
        ({"iss": None}, "the claim iss is missing"),
        ({"iss": ""}, "the claim iss is missing"),
        ({"sub": "other"}, "the claim sub is not the client_id"),
        ({"sub": None}, "the claim sub is missing"),
        ({"aud": None}, "the claim aud is missing"),
        ({"aud": "https://other.example"}, "the claim aud does not name this server"),
        ({"aud": f"{ISSUER}/oauth/token"}, "the claim aud does not name this server"),
        ({"aud": [ISSUER, "https://other.example"]}, "the claim aud also names other parties"),
        ({"exp": None}, "the claim exp is missing"),
        ({"exp": NOW - 61}, "the token has expired"),
        ({"exp": NOW + MAX_LIFETIME + 61}, "the token does not expire within 3600 seconds"),
        ({"exp": str(NOW + 60)}, "the claim exp is not a time"),
        ({"exp": True}, "the claim exp is not a time"),
        ({"nbf": NOW + 61}, "the token is not valid yet, or its clock is wrong"),
        ({"iat": NOW + 61}, "the token is not valid yet, or its clock is wrong"),
        ({"jti": None}, "the claim jti is missing"),
        ({"jti": ""}, "the claim jti is empty or not text"),
        ({"jti": 7}, "the claim jti is empty or not text"),
    ],
)
@pytest.mark.spec("rfc7523", "3")
@pytest.mark.spec("rfc7523", "3.2")
def test_claims_that_are_rejected(
    site: Site, caplog: pytest.LogCaptureFixture, claims: dict[str, Any], reason: str
) -> None:
    add(site, key_of("ES256"))
    with caplog.at_level(logging.DEBUG, "flask_oauth2"):
        assert is_rejected(send(site, sign(**claims)))
    assert reason in caplog.text
    assert send(site, sign()).status_code == 200


@pytest.mark.parametrize(
    "claims",
    [{"aud": [ISSUER]}, {"exp": NOW - 59}, {"exp": NOW + MAX_LIFETIME}, {"nbf": NOW + 60}, {"more": {"a": 1}}],
)
@pytest.mark.spec("rfc7523", "3")
def test_claims_at_the_limits_are_accepted(site: Site, claims: dict[str, Any]) -> None:
    add(site, key_of("ES256"))
    assert send(site, sign(**claims)).status_code == 200


@pytest.mark.spec("rfc7523", "3")
def test_the_token_endpoint_is_an_audience_if_the_settings_allow_it(new_site: NewSite) -> None:
    site = new_site(OAUTH2_CLIENT_ASSERTION_ENDPOINT_AUDIENCE=True)
    add(site, key_of("ES256"))
    for jti, audience in enumerate((ISSUER, f"{ISSUER}/oauth/token")):
        assert send(site, sign(aud=audience, jti=str(jti))).status_code == 200
    assert is_rejected(send(site, sign(aud=f"{ISSUER}/oauth/other", jti="3")))


@pytest.mark.spec("rfc7523", "3")
def test_a_key_of_another_party_is_rejected(site: Site) -> None:
    add(site, key_of("ES256"))
    add(site, key_of("ES256", 2), client_id="other")
    assert is_rejected(send(site, sign(key_of("ES256", 2))))
    assert send(site, sign(key_of("ES256", 2), iss="other", sub="other")).status_code == 200


@pytest.mark.spec("rfc7523", "3")
def test_a_public_key_is_no_secret_of_an_hmac(site: Site) -> None:
    key = key_of("RS256")
    add(site, key)
    payload = sign(key).split(".")[1]
    for alg in ("HS256", "none"):
        header = encode(json.dumps({"alg": alg}).encode())
        assert is_rejected(send(site, f"{header}.{payload}.{'c2ln' if alg == 'HS256' else ''}"))


@pytest.mark.spec("rfc7523", "3")
def test_a_registered_algorithm_excludes_others(site: Site) -> None:
    add(site, key_of("ES256"), key_of("RS256"), token_endpoint_auth_signing_alg="RS256")
    assert is_rejected(send(site, sign()))
    assert send(site, sign(key_of("RS256"))).status_code == 200


@pytest.mark.spec("rfc7523", "2.2")
def test_a_client_id_in_the_body_must_be_the_same(site: Site) -> None:
    add(site, key_of("ES256"))
    answer = send(site, sign(), client_id="other")
    assert answer.get_json()["error"] == "invalid_request"
    assert send(site, sign(), client_id="web").status_code == 200


@pytest.mark.spec("rfc7523", "2.2")
def test_two_methods_in_one_request_are_rejected(site: Site) -> None:
    add(site, key_of("ES256"))
    header = {"Authorization": f"Basic {b64encode(b'web:secret').decode()}"}
    fields = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": sign(), "grant_type": "client_credentials"}
    assert site.http.post("/oauth/token", data=fields, headers=header).status_code == 400
    assert send(site, sign(), client_secret="secret", client_id="web").status_code == 400
    assert send(site, sign()).status_code == 200


@pytest.mark.parametrize("text", ["x", "a.b.c", "a.b", "..", "x" * 20_000])
@pytest.mark.spec("rfc7523", "2.2")
@pytest.mark.spec("rfc7523", "3")
def test_text_that_is_no_jwt_is_rejected(site: Site, text: str) -> None:
    add(site, key_of("ES256"))
    assert is_rejected(send(site, text))


@pytest.mark.spec("rfc7523", "2.2")
def test_an_assertion_is_required_once(site: Site) -> None:
    add(site, key_of("ES256"))
    form: dict[str, Any] = {"client_assertion_type": ASSERTION_TYPE, "grant_type": "client_credentials"}
    assert site.post("/token", **form).get_json()["error"] == "invalid_request"
    twice = site.post("/token", **form, client_assertion=[sign(), sign(jti="2")])
    assert twice.get_json()["error"] == "invalid_request"
    other = send(site, sign(), client_assertion_type="urn:example:other", client_id="web")
    assert is_rejected(other)


def test_a_client_of_another_method_is_rejected(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    secret = site.add_client(metadata={"jwks": jwks_of(key_of("ES256"))})
    with caplog.at_level(logging.DEBUG, "flask_oauth2"):
        assert is_rejected(send(site, sign()))
    assert "client_secret_basic, as client web is registered" in caplog.text
    assert site.token("client_credentials", ("web", secret)).status_code == 200


def test_a_client_with_a_key_needs_it(site: Site) -> None:
    add(site, key_of("ES256"))
    assert is_rejected(site.token("client_credentials", client_id="web"))
    assert is_rejected(site.token("client_credentials", ("web", "secret")))


def test_a_client_without_keys_is_rejected(site: Site) -> None:
    add(site)
    assert is_rejected(send(site, sign()))


@pytest.mark.spec("rfc7523", "3")
def test_a_rejected_assertion_does_not_use_up_its_jti(site: Site) -> None:
    add(site, key_of("ES256"))
    assert is_rejected(send(site, sign(key_of("ES256", 2))))
    assert is_rejected(send(site, sign(aud="https://other.example")))
    assert send(site, sign()).status_code == 200


@pytest.mark.spec("rfc7523", "3")
def test_clients_have_separate_jti_values(site: Site) -> None:
    for client_id in ("web", "other"):
        add(site, key_of("ES256"), client_id=client_id)
        assert send(site, sign(iss=client_id, sub=client_id)).status_code == 200


@pytest.mark.spec("rfc7523", "3")
def test_a_jti_is_remembered_for_as_long_as_the_assertion_is_valid(site: Site) -> None:
    add(site, key_of("ES256"))
    text = sign()
    assert send(site, text).status_code == 200
    site.clock.forward(119)
    list(site.store.purge(int(site.clock.now)))
    assert is_rejected(send(site, text))


@pytest.mark.spec("rfc7523", "3")
def test_of_simultaneous_requests_one_succeeds(sql_site: Site) -> None:
    add(sql_site, key_of("ES256"))
    text = sign()

    def post(_: int) -> int:
        fields = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": text}
        form = {"grant_type": "client_credentials", **fields}
        return sql_site.app.test_client().post("/oauth/token", data=form).status_code

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(post, range(4))) == [200, 401, 401, 401]


@pytest.mark.spec("rfc7523", "3")
def test_wrong_signatures_are_counted_like_wrong_secrets(new_site: NewSite) -> None:
    site = new_site(OAUTH2_MAX_FAILED_ATTEMPTS=2)
    add(site, key_of("ES256"))
    answers = [send(site, sign(key_of("ES256", 2))) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [401, 401, 429, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    # the client itself is not locked out
    assert send(site, sign()).status_code == 200
    assert [send(site, sign(iss="unknown", sub="unknown")).status_code for _ in range(3)] == [401, 401, 429]


@pytest.mark.spec("rfc7523", "3")
def test_a_server_without_an_issuer_rejects_assertions(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    add(site, key_of("ES256"))
    site.server.issuer = ""
    with caplog.at_level(logging.DEBUG, "flask_oauth2"):
        assert is_rejected(send(site, sign()))
    assert "no issuer identifier" in caplog.text


@pytest.fixture
def served() -> Iterator[DocumentServer]:
    with serve_documents() as server:
        yield server


@pytest.mark.spec("rfc7523", "3")
def test_keys_behind_a_url_are_fetched_once_and_again_for_a_new_key(new_site: NewSite, served: DocumentServer) -> None:
    site = new_site(OAUTH2_CLIENT_ID_METADATA_DOCUMENT_ALLOWED_HOSTS=["127.0.0.1:*"])
    served.answers["/jwks"] = (200, JSON, json.dumps(jwks_of(key_of("ES256"))).encode())
    add(site, jwks_uri=served.url("/jwks"))
    assert [send(site, sign(jti=str(number))).status_code for number in range(3)] == [200, 200, 200]
    assert served.count("/jwks") == 1
    served.answers["/jwks"] = (200, JSON, json.dumps(jwks_of(key_of("ES256", 2))).encode())
    site.clock.forward(31)
    assert send(site, sign(key_of("ES256", 2), jti="4")).status_code == 200
    assert served.count("/jwks") == 2


def test_keys_that_cannot_be_fetched_are_temporarily_unavailable(new_site: NewSite, served: DocumentServer) -> None:
    site = new_site(OAUTH2_CLIENT_ID_METADATA_DOCUMENT_ALLOWED_HOSTS=["127.0.0.1:*"])
    add(site, jwks_uri=served.url("/jwks"))
    answer = send(site, sign())
    assert (answer.status_code, answer.get_json()["error"]) == (503, "temporarily_unavailable")
    assert answer.headers["Retry-After"] == "30"


def test_an_address_of_this_network_is_not_fetched(site: Site, served: DocumentServer) -> None:
    add(site, jwks_uri=served.url("/jwks"))
    assert send(site, sign()).status_code == 503
    assert served.count("/jwks") == 0


@pytest.mark.spec("rfc7523", "3")
def test_metadata_lists_the_method_and_its_algorithms(site: Site) -> None:
    described = site.http.get("/.well-known/oauth-authorization-server").get_json()
    for endpoint in ("token_endpoint", "revocation_endpoint", "introspection_endpoint"):
        assert "private_key_jwt" in described[f"{endpoint}_auth_methods_supported"]
        algorithms = described[f"{endpoint}_auth_signing_alg_values_supported"]
        assert {"RS256", "PS256", "ES256", "EdDSA"} <= set(algorithms)
        assert not {"none", "HS256"} & set(algorithms)


@pytest.mark.spec("rfc7523", "3")
def test_without_the_libraries_the_method_is_not_offered(new_site: NewSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assertion, "find_spec", lambda name: None)
    described = new_site().http.get("/.well-known/oauth-authorization-server").get_json()
    assert "private_key_jwt" not in described["token_endpoint_auth_methods_supported"]
    assert "token_endpoint_auth_signing_alg_values_supported" not in described


def register(site: Site, **members: Any) -> TestResponse:
    sent = {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "private_key_jwt", **members}
    return site.http.post("/oauth/register", json=sent)


def test_a_client_registers_its_keys(new_site: NewSite) -> None:
    site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_REGISTRATION_SCOPES="profile")
    jwks = jwks_of(key_of("ES256"))
    answer = register(site, jwks=jwks, token_endpoint_auth_signing_alg="ES256")
    made = answer.get_json()
    assert answer.status_code == 201
    assert (made["jwks"], made["token_endpoint_auth_signing_alg"]) == (jwks, "ES256")
    assert "client_secret" not in made
    client_id = made["client_id"]
    answer = send(site, sign(iss=client_id, sub=client_id), "/revoke", token="unknown")
    assert answer.status_code == 200
    assert register(site, jwks_uri="https://client.example/jwks").status_code == 201


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"jwks": {"keys": []}},
        {"jwks": {}},
        {"jwks": {"keys": {}}},
        {"jwks": {"keys": [7]}},
        {"jwks": {"keys": [{"kty": "unknown"}]}},
        {"jwks": {"keys": [key_of("ES256").jwk]}},
        {"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0"}]}},
        {"jwks": jwks_of(key_of("ES256")), "token_endpoint_auth_signing_alg": "RS256"},
        {"jwks": jwks_of(key_of("ES256")), "token_endpoint_auth_signing_alg": "none"},
        {"jwks": jwks_of(key_of("ES256")), "jwks_uri": "https://client.example/jwks"},
        {"jwks_uri": "http://client.example/jwks"},
        {"jwks_uri": "https://client.example/jwks#x"},
        {"jwks_uri": "https://user@client.example/jwks"},
    ],
)
@pytest.mark.spec("rfc7523", "3")
def test_keys_that_cannot_be_registered(new_site: NewSite, members: dict[str, Any]) -> None:
    site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_REGISTRATION_SCOPES="profile")
    answer = register(site, **members)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_client_metadata")


def test_the_command_line_registers_keys(sql_site: Site, tmp_path: Path) -> None:
    runner = sql_site.app.test_cli_runner()
    file = tmp_path / "keys.json"

    def run(*arguments: str, ends: int = 0) -> str:
        result = runner.invoke(args=["oauth2", "client", *arguments])
        assert result.exit_code == ends, result.output
        return result.output

    jwks = jwks_of(key_of("ES256"))
    file.write_text(json.dumps(jwks))
    made = json.loads(run("create", "Robot", "--client-id", "web", "--jwks", str(file), "--json"))
    assert (made["token_endpoint_auth_method"], made["jwks"]) == ("private_key_jwt", jwks)
    assert "client_secret" not in made
    assert send(sql_site, sign()).status_code == 200
    run("update", "web", "--clear", "jwks", "--jwks-uri", "https://client.example/jwks")
    assert sql_site.store.get_client("web").metadata == {"jwks_uri": "https://client.example/jwks"}
    assert "excludes jwks_uri" in run("update", "web", "--jwks", str(file), ends=2)
    assert "has no secret" in run("update", "web", "--secret", ends=2)
    assert "has no secret" in run("rotate-secret", "web", ends=1)
    for text in ("{", '{"keys": 7}', json.dumps({"keys": [key_of("ES256").jwk]})):
        file.write_text(text)
        assert "--jwks" in run("create", "Robot", "--jwks", str(file), ends=2)
    file.write_text(json.dumps(jwks))
    run("create", "Web", "--client-id", "old", "--redirect-uri", CALLBACK)
    assert sql_site.store.get_client("old").secret
    run("update", "old", "--auth-method", "private_key_jwt", "--jwks", str(file))
    assert sql_site.store.get_client("old").secret is None
    run("create", "Page", "--client-id", "page", "--public", "--redirect-uri", CALLBACK, "--jwks", str(file))
    assert sql_site.store.get_client("page").auth_method == "none"
