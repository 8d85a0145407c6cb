"""``attest_jwt_client_auth``: an attester vouches for an instance of a client, which proves its key."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from keys.tokens import key_of, token_of

from flask_oauth2.clients.authentication.attestation import CHALLENGE_HEADER, HEADER, PROOF_HEADER
from flask_oauth2.http.fetch import Fetched
from flask_oauth2.keys import jose
from oauth_site import CALLBACK, VERIFIER, Site

ISSUER = "https://login.example"
ATTESTER, INSTANCE, OTHER = key_of("ES256", 1), key_of("ES256", 2), key_of("ES256", 3)
METHOD = "attest_jwt_client_auth"

_numbers = count()


class Wallet:
    """An instance of a client, with its key and the attestation that it received."""

    def __init__(self, site: Site, key: Any = INSTANCE, client_id: str = "wallet") -> None:
        assert site.server.clock is site.clock  # reading the server sets its clock
        self.site = site
        self.key = key
        self.client_id = client_id

    def attest(self, header: Any = None, key: Any = ATTESTER, **claims: Any) -> str:
        now = int(self.site.clock.now)
        public = {name: self.key.public_jwk[name] for name in ("kty", "crv", "x", "y")}
        content = {"sub": self.client_id, "iat": now, "exp": now + 86400, "cnf": {"jwk": public}, **claims}
        return self._sign(content, {"typ": "oauth-client-attestation+jwt", **(header or {})}, key)

    def prove(self, header: Any = None, key: Any = None, **claims: Any) -> str:
        now = int(self.site.clock.now)
        content = {"aud": ISSUER, "jti": f"proof-{next(_numbers)}", "iat": now, "challenge": self.challenge(), **claims}
        return self._sign(content, {"typ": "oauth-client-attestation-pop+jwt", **(header or {})}, key or self.key)

    @staticmethod
    def _sign(content: dict[str, Any], header: dict[str, Any], key: Any) -> str:
        return token_of({name: value for name, value in content.items() if value is not None}, header, key)

    def challenge(self) -> str:
        return str(self.site.post("/attestation_challenge").get_json()["attestation_challenge"])

    def headers(self, attestation: str | None = None, proof: str | None = None) -> dict[str, str]:
        return {HEADER: attestation or self.attest(), PROOF_HEADER: proof or self.prove()}

    def send(self, headers: Any = None, path: str = "token", **form: Any) -> Any:
        data = form or {"grant_type": "client_credentials", "scope": "profile"}
        return self.site.http.post(f"/oauth/{path}", data=data, headers=self.headers() if headers is None else headers)

    def tokens(self) -> dict[str, Any]:
        """Run the authorization code flow."""
        code = self.site.authorize(client_id=self.client_id)["code"]
        answer = self.send(grant_type="authorization_code", code=code, code_verifier=VERIFIER, redirect_uri=CALLBACK)
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json())


@pytest.fixture
def make(new_site: Callable[..., Site]) -> Callable[..., Wallet]:
    def make(**options: Any) -> Wallet:
        site = new_site(**{"OAUTH2_CLIENT_ATTESTERS": [{"keys": [ATTESTER.public_jwk]}], **options})
        site.add_client("wallet", None, auth_method=METHOD)
        return Wallet(site)

    return make


@pytest.fixture
def wallet(make: Callable[..., Wallet]) -> Wallet:
    return make()


def error_of(answer: Any) -> tuple[int, str]:
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.status_code, answer.get_json()["error"]


@pytest.mark.spec("attestation-client-auth", "4")
@pytest.mark.spec("attestation-client-auth", "5.1")
def test_an_attested_instance_is_authenticated(wallet: Wallet) -> None:
    answer = wallet.send()
    assert answer.status_code == 200, answer.text
    token = answer.get_json()["access_token"]
    assert wallet.send(path="introspect", token=token).get_json()["active"] is True
    assert wallet.send(path="revoke", token=token).status_code == 200
    assert not wallet.site.is_alive(token)


ATTESTATIONS: dict[str, Any] = {
    "of an unknown attester": lambda one: one.attest(key=OTHER),
    "signed by the instance": lambda one: one.attest(key=INSTANCE),
    "of another type": lambda one: one.attest({"typ": "oauth-client-attestation-pop+jwt"}),
    "without type": lambda one: one.attest({"typ": None}),
    "without algorithm": lambda one: one.attest({"alg": "none"}),
    "of another client": lambda one: one.attest(sub="web"),
    "of an unknown client": lambda one: one.attest(sub="nobody"),
    "without sub": lambda one: one.attest(sub=None),
    "without exp": lambda one: one.attest(exp=None),
    "for years": lambda one: one.attest(exp=int(one.site.clock.now) + 10**8),
    "issued in the future": lambda one: one.attest(iat=int(one.site.clock.now) + 1000),
    "without a key": lambda one: one.attest(cnf=None),
    "with a thumbprint": lambda one: one.attest(cnf={"jkt": "x"}),
    "with text for a key": lambda one: one.attest(cnf={"jwk": "x"}),
    "with a private key": lambda one: one.attest(cnf={"jwk": INSTANCE.jwk}),
    "no token": lambda one: "x",
    "two": lambda one: f"{one.attest()}, {one.attest()}",
    "not ASCII": lambda one: "é",
}


@pytest.mark.spec("attestation-client-auth", "7.1")
@pytest.mark.parametrize("attestation", ATTESTATIONS.values(), ids=ATTESTATIONS)
def test_other_attestations_are_rejected(wallet: Wallet, attestation: Callable[[Wallet], str]) -> None:
    wallet.site.add_client()
    assert error_of(wallet.send(wallet.headers(attestation(wallet)))) == (401, "invalid_client")
    assert wallet.send().status_code == 200


PROOFS: dict[str, Any] = {
    "of another key": lambda one: one.prove(key=OTHER),
    "of the attester": lambda one: one.prove(key=ATTESTER),
    "of another type": lambda one: one.prove({"typ": "oauth-client-attestation+jwt"}),
    "without algorithm": lambda one: one.prove({"alg": "none"}),
    "with a key of its own": lambda one: one.prove({"jwk": OTHER.public_jwk}, key=OTHER),
    "for the token endpoint": lambda one: one.prove(aud=f"{ISSUER}/oauth/token"),
    "for another server": lambda one: one.prove(aud="https://other.example"),
    "for two servers": lambda one: one.prove(aud=[ISSUER, "https://other.example"]),
    "without aud": lambda one: one.prove(aud=None),
    "without jti": lambda one: one.prove(jti=None),
    "with an empty jti": lambda one: one.prove(jti=""),
    "without iat": lambda one: one.prove(iat=None),
    "made long ago": lambda one: one.prove(iat=int(one.site.clock.now) - 400),
    "made in the future": lambda one: one.prove(iat=int(one.site.clock.now) + 400),
    "no token": lambda one: "x",
    "two": lambda one: f"{one.prove()}, {one.prove()}",
}


@pytest.mark.spec("attestation-client-auth", "7.2")
@pytest.mark.parametrize("proof", PROOFS.values(), ids=PROOFS)
def test_other_proofs_are_rejected(wallet: Wallet, proof: Callable[[Wallet], str]) -> None:
    assert error_of(wallet.send(wallet.headers(proof=proof(wallet)))) == (401, "invalid_client")


@pytest.mark.spec("attestation-client-auth", "4")
def test_the_attestation_alone_is_not_enough(wallet: Wallet) -> None:
    """It travels in logs."""
    assert error_of(wallet.send({HEADER: wallet.attest()})) == (401, "invalid_client")
    assert error_of(wallet.send({PROOF_HEADER: wallet.prove()})) == (401, "invalid_client")
    assert error_of(wallet.send({}, grant_type="client_credentials", client_id="wallet")) == (401, "invalid_client")


@pytest.mark.spec("attestation-client-auth", "9.7")
def test_a_proof_is_used_once(wallet: Wallet) -> None:
    headers = wallet.headers()
    assert wallet.send(headers).status_code == 200
    assert error_of(wallet.send(headers)) == (401, "invalid_client")


@pytest.mark.spec("attestation-client-auth", "7.4")
def test_an_expired_attestation_must_be_renewed(wallet: Wallet) -> None:
    attestation = wallet.attest(exp=int(wallet.site.clock.now) + 10)
    wallet.site.clock.forward(80)
    assert error_of(wallet.send(wallet.headers(attestation))) == (400, "use_fresh_attestation")


@pytest.mark.spec("attestation-client-auth", "6.1")
@pytest.mark.spec("attestation-client-auth", "7.4")
@pytest.mark.parametrize("challenge", [None, "", "other", 7, "é"])
def test_the_challenge_of_the_server_is_required(wallet: Wallet, challenge: Any) -> None:
    answer = wallet.send(wallet.headers(proof=wallet.prove(challenge=challenge)))
    assert error_of(answer) == (400, "use_attestation_challenge")
    supplied = answer.headers[CHALLENGE_HEADER]
    assert wallet.send(wallet.headers(proof=wallet.prove(challenge=supplied))).status_code == 200


@pytest.mark.spec("attestation-client-auth", "6.1")
def test_a_challenge_is_valid_for_minutes(wallet: Wallet) -> None:
    challenge = wallet.challenge()
    wallet.site.clock.forward(120)
    assert wallet.send(wallet.headers(proof=wallet.prove(challenge=challenge))).status_code == 200
    wallet.site.clock.forward(120)
    assert error_of(wallet.send(wallet.headers(proof=wallet.prove(challenge=challenge))))[0] == 400
    answer = wallet.site.post("/attestation_challenge")
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.spec("attestation-client-auth", "7.1")
def test_the_client_id_of_the_body_is_the_same(wallet: Wallet) -> None:
    form = {"grant_type": "client_credentials", "scope": "profile"}
    assert wallet.send(**form, client_id="wallet").status_code == 200
    assert error_of(wallet.send(**form, client_id="web"))[0] == 400


@pytest.mark.spec("attestation-client-auth", "9.3")
class TestInstances:
    """What one instance received is of no use to another."""

    def test_a_refresh_token_is_bound_to_the_instance(self, wallet: Wallet) -> None:
        tokens = wallet.tokens()
        form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        other = Wallet(wallet.site, OTHER)
        assert error_of(other.send(**form)) == (400, "invalid_grant")
        again = wallet.send(**form)
        assert again.status_code == 200, again.text
        form["refresh_token"] = again.get_json()["refresh_token"]
        assert error_of(other.send(**form)) == (400, "invalid_grant")
        assert wallet.send(**form).status_code == 200

    def test_a_new_attestation_of_the_same_key_is_the_same_instance(self, wallet: Wallet) -> None:
        form = {"grant_type": "refresh_token", "refresh_token": wallet.tokens()["refresh_token"]}
        wallet.site.clock.forward(1000)
        assert wallet.send(**form).status_code == 200

    def test_another_authentication_method_does_not_free_it(self, wallet: Wallet) -> None:
        tokens = wallet.tokens()
        secret = wallet.site.add_client("wallet")
        answer = wallet.site.refresh(tokens["refresh_token"], secret, client_id="wallet")
        assert error_of(answer) == (400, "invalid_grant")

    def test_the_access_token_is_a_bearer_token(self, wallet: Wallet) -> None:
        assert wallet.site.is_alive(wallet.tokens()["access_token"])


@pytest.mark.spec("attestation-client-auth", "8")
def test_the_metadata_describe_it(wallet: Wallet, site: Site) -> None:
    document = wallet.site.http.get("/.well-known/oauth-authorization-server").get_json()
    assert METHOD in document["token_endpoint_auth_methods_supported"]
    assert document["challenge_endpoint"] == f"{ISSUER}/oauth/attestation_challenge"
    for name in ("client_attestation_signing_alg", "client_attestation_pop_signing_alg"):
        assert "ES256" in document[f"{name}_values_supported"]
        assert "none" not in document[f"{name}_values_supported"]
    plain = site.http.get("/.well-known/oauth-authorization-server").get_json()
    assert METHOD not in plain["token_endpoint_auth_methods_supported"]
    assert "challenge_endpoint" not in plain
    assert site.post("/attestation_challenge").status_code == 404


@pytest.mark.spec("attestation-client-auth", "9.8")
def test_keys_of_an_attester_behind_a_url(make: Callable[..., Wallet]) -> None:
    url = "https://attester.example/jwks"
    wallet = make(OAUTH2_CLIENT_ATTESTERS=[url, {"keys": [OTHER.public_jwk]}])
    asked: list[str] = []

    def fetch(url: str, may_be_own: bool) -> Fetched:
        asked.append(url)
        return Fetched({}, jose.encode_json({"keys": [ATTESTER.public_jwk]}))

    wallet.site.server.remote_keys.fetch = fetch
    assert [wallet.send().status_code for _ in range(2)] == [200, 200]
    assert asked == [url]


@pytest.mark.spec("attestation-client-auth", "9.8")
def test_an_attester_that_is_away_does_not_stop_the_others(make: Callable[..., Wallet]) -> None:
    away = "http://127.0.0.1:1/jwks"
    wallet = make(OAUTH2_CLIENT_ATTESTERS=[away, {"keys": [ATTESTER.public_jwk]}])
    assert wallet.send().status_code == 200
    other = Wallet(wallet.site, INSTANCE)
    assert error_of(other.send(other.headers(other.attest(key=OTHER)))) == (401, "invalid_client")


@pytest.mark.spec("attestation-client-auth", "7.4")
def test_wrong_attestations_are_throttled(make: Callable[..., Wallet]) -> None:
    wallet = make(OAUTH2_MAX_FAILED_ATTEMPTS=3)
    for _ in range(3):
        assert wallet.send(wallet.headers(wallet.attest(key=OTHER))).status_code == 401
    assert wallet.send(wallet.headers(wallet.attest(key=OTHER))).status_code == 429


def test_a_page_may_send_and_read_the_headers(make: Callable[..., Wallet]) -> None:
    wallet = make(OAUTH2_CORS_ORIGINS=["https://app.example"])
    origin = {"Origin": "https://app.example"}
    answer = wallet.site.http.options("/oauth/token", headers={**origin, "Access-Control-Request-Method": "POST"})
    assert {HEADER, PROOF_HEADER} <= set(answer.headers["Access-Control-Allow-Headers"].split(", "))
    answer = wallet.send({**wallet.headers(), **origin})
    assert CHALLENGE_HEADER in answer.headers["Access-Control-Expose-Headers"]
