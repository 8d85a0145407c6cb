"""DPoP: proofs at the token endpoint and at protected resources, and the tokens that they bind."""

from __future__ import annotations

import sys
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from proofs import Prover, encode, key_of, make_proof

from flask_oauth2 import AccessToken, ConfigurationError, InvalidDPoPProof, MemoryStore, ProofContext, Request
from flask_oauth2.nonces import SLOT, Nonces
from flask_oauth2.settings import Settings
from flask_oauth2.tokens.bindings.dpop import DPoP, is_same_target
from oauth_site import CALLBACK, NOW, VERIFIER, Site, Statements, make_site

TOKEN_URL = "https://login.example/oauth/token"
API_URL = "https://login.example/api/me"


@pytest.fixture
def dpop(new_site: Callable[..., Site]) -> Site:
    """Return an application whose clients may use DPoP without nonces."""
    return new_site(OAUTH2_DPOP="optional", OAUTH2_DPOP_NONCES=False)


@pytest.fixture
def nonces(new_site: Callable[..., Site]) -> Site:
    """Return an application whose clients may use DPoP with nonces, which is the default."""
    return new_site(OAUTH2_DPOP="optional")


def ask(site: Site, proof: str | None, auth: Any, **form: str) -> Any:
    """Send a token request with a proof."""
    headers = {} if proof is None else {"DPoP": proof}
    return site.http.post("/oauth/token", data={"grant_type": "client_credentials", **form}, auth=auth, headers=headers)


def call(site: Site, token: str, proof: str | None, scheme: str = "DPoP", path: str = "/api/me") -> Any:
    headers = {"Authorization": f"{scheme} {token}", **({} if proof is None else {"DPoP": proof})}
    return site.http.get(path, headers=headers)


@pytest.mark.spec("rfc9449", "5")
@pytest.mark.spec("rfc9449", "4.1")
@pytest.mark.spec("rfc9449", "7.1")
@pytest.mark.parametrize("token_format", ["opaque", "signed", "jwt"])
def test_a_proof_binds_the_access_token(new_site: Callable[..., Site], token_format: str) -> None:
    site = new_site(
        OAUTH2_DPOP="optional", OAUTH2_ACCESS_TOKEN_FORMAT=token_format, OAUTH2_SIGNING_ALGORITHMS=["ES256"]
    )
    client = Prover(site)
    auth = ("web", site.add_client())
    tokens = client.token(auth=auth, scope="profile").get_json()
    assert tokens["token_type"] == "DPoP"
    assert client.call(tokens["access_token"]).get_json() == {"user": None, "client": "web", "scope": ["profile"]}
    stolen = Prover(site, key_of(2))
    answer = stolen.call(tokens["access_token"])
    assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_token")
    assert "another key" in answer.get_json()["error_description"]


@pytest.mark.spec("rfc9449", "5")
def test_a_client_without_a_proof_receives_bearer_tokens(dpop: Site) -> None:
    tokens = dpop.token("client_credentials", ("web", dpop.add_client()), scope="profile").get_json()
    assert tokens["token_type"] == "Bearer"
    assert dpop.is_alive(tokens["access_token"])


@pytest.mark.spec("rfc9449", "6.2")
@pytest.mark.spec("rfc9449", "6")
@pytest.mark.parametrize("token_format", ["opaque", "signed", "jwt"])
def test_introspection_names_the_key(new_site: Callable[..., Site], token_format: str) -> None:
    site = new_site(
        OAUTH2_DPOP="optional", OAUTH2_ACCESS_TOKEN_FORMAT=token_format, OAUTH2_SIGNING_ALGORITHMS=["ES256"]
    )
    auth = ("web", site.add_client())
    token = Prover(site).token(auth=auth).get_json()["access_token"]
    described = site.post("/introspect", auth, token=token).get_json()
    assert (described["token_type"], described["cnf"]) == ("DPoP", {"jkt": key_of().thumbprint})
    bearer = site.token("client_credentials", auth).get_json()["access_token"]
    described = site.post("/introspect", auth, token=bearer).get_json()
    assert described["token_type"] == "Bearer"
    assert "cnf" not in described


@pytest.mark.spec("rfc9449", "6.1")
def test_a_json_web_token_contains_the_thumbprint(new_site: Callable[..., Site]) -> None:
    site = new_site(OAUTH2_DPOP="optional", OAUTH2_ACCESS_TOKEN_FORMAT="jwt", OAUTH2_SIGNING_ALGORITHMS=["ES256"])
    token = Prover(site).token(auth=("web", site.add_client())).get_json()["access_token"]
    claims = (
        site.server.capabilities.formats["jwt"]
        ._jose.verify(token, site.server.capabilities.formats["jwt"]._policy, NOW)
        .claims
    )
    assert claims["cnf"] == {"jkt": key_of().thumbprint}


def bad_proofs() -> dict[str, Callable[[], str]]:
    """Return proofs for a token request that each break one rule."""

    def make(**options: Any) -> Callable[[], str]:
        return lambda: make_proof(TOKEN_URL, **{"method": "POST", **options})

    def altered() -> str:
        head, payload, _ = make_proof(TOKEN_URL).split(".")
        return f"{head}.{payload}.{encode(b'0' * 64)}"

    def private() -> str:
        return make_proof(TOKEN_URL, header={"jwk": key_of().jwk})

    def hmac_proof() -> str:
        return make_proof(TOKEN_URL, header={"alg": "HS256"})

    return {
        "no JWT": lambda: "x",
        "two": lambda: f"{make_proof(TOKEN_URL)},{make_proof(TOKEN_URL)}",
        "JSON of another kind": lambda: f"{encode(b'[]')}.{encode(b'[]')}.",
        "no jti": make(jti=None),
        "no htm": make(htm=None),
        "no htu": make(htu=None),
        "no iat": make(iat=None),
        "empty jti": make(jti=""),
        "typ": make(header={"typ": "JWT"}),
        "no typ": make(header={"typ": None}),
        "none": make(header={"alg": "none"}),
        "HMAC": hmac_proof,
        "unknown alg": make(header={"alg": "ES257"}),
        "no jwk": make(header={"jwk": None}),
        "private jwk": private,
        "symmetric jwk": make(header={"jwk": {"kty": "oct", "k": encode(b"k" * 32)}}),
        "key of another": make(header={"jwk": key_of(2).public_jwk}),
        "signature": altered,
        "method": make(method="GET"),
        "method in lower case": make(method="post"),
        "URL": make(htu="https://login.example/oauth/revoke"),
        "host": make(htu="https://evil.example/oauth/token"),
        "scheme": make(htu="http://login.example/oauth/token"),
        "no URL": make(htu=7),
        "old": make(iat=int(NOW) - 121),
        "from the future": make(iat=int(NOW) + 61),
        "no time": make(iat="now"),
        "expired": make(exp=int(NOW) - 61),
        "large": make(more="x" * 9000),
        "many values": make(more=list(range(200))),
        "crit": make(header={"crit": ["b64"], "b64": False}),
        "jku": make(header={"jku": "https://evil.example"}),
    }


@pytest.mark.spec("rfc9449", "4.2")
@pytest.mark.spec("rfc9449", "4.3")
@pytest.mark.spec("rfc9449", "11.1")
@pytest.mark.spec("rfc9449", "11.6")
@pytest.mark.parametrize("name", bad_proofs())
def test_an_invalid_proof_is_rejected(dpop: Site, name: str) -> None:
    auth = ("web", dpop.add_client())
    answer = ask(dpop, bad_proofs()[name](), auth)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_dpop_proof")
    assert "DPoP-Nonce" not in answer.headers
    assert "WWW-Authenticate" not in answer.headers
    assert ask(dpop, make_proof(TOKEN_URL), auth).status_code == 200


def test_no_change_of_a_proof_is_accepted_or_fails(dpop: Site) -> None:
    auth, chance = ("web", dpop.add_client()), Random(9449)
    for _ in range(200):
        proof = make_proof(TOKEN_URL)
        letters = list(proof)
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(letters))
            letters[place] = chance.choice([*'AZaz09-_.=+/{"', "", "\u00ff", letters[place] * 2])
        changed = "".join(letters)
        assert ask(dpop, changed, auth).status_code == (200 if changed == proof else 400), changed


@pytest.mark.spec("rfc9449", "4.2")
@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512", "RS256", "PS256", "EdDSA"])
def test_every_asymmetric_algorithm_is_accepted(dpop: Site, algorithm: str) -> None:
    proof = make_proof(TOKEN_URL, key=key_of(1, algorithm), header={"kid": "1"}, more="unknown claims are ignored")
    answer = ask(dpop, proof, ("web", dpop.add_client()))
    assert answer.get_json()["token_type"] == "DPoP"


@pytest.mark.spec("rfc9449", "4.3")
@pytest.mark.spec("rfc9449", "11.1")
def test_a_proof_is_accepted_for_a_short_time(dpop: Site) -> None:
    auth = ("web", dpop.add_client())
    for iat in (int(NOW) - 119, int(NOW) + 59, NOW - 0.5):
        assert ask(dpop, make_proof(TOKEN_URL, iat=iat), auth).status_code == 200
    proof = make_proof(TOKEN_URL)
    dpop.clock.forward(121)
    assert ask(dpop, proof, auth).status_code == 400


@pytest.mark.spec("rfc9449", "11.1")
def test_a_proof_is_accepted_once(dpop: Site) -> None:
    auth, proof = ("web", dpop.add_client()), make_proof(TOKEN_URL)
    assert [ask(dpop, proof, auth).status_code for _ in range(3)] == [200, 400, 400]
    token = ask(dpop, make_proof(TOKEN_URL), auth, scope="profile").get_json()["access_token"]
    proof = make_proof(API_URL, "GET", token=token, jti="x" * 5000)
    assert [call(dpop, token, proof).status_code for _ in range(2)] == [200, 401]


@pytest.mark.spec("rfc9449", "11.1")
def test_only_a_valid_signature_fills_the_replay_memory(dpop: Site) -> None:
    auth = ("web", dpop.add_client())
    forged = make_proof(TOKEN_URL, jti="1", header={"jwk": key_of(2).public_jwk})
    assert ask(dpop, forged, auth).status_code == 400
    assert ask(dpop, make_proof(TOKEN_URL, jti="1", htm="GET"), auth).status_code == 400
    assert ask(dpop, make_proof(TOKEN_URL, jti="1", key=key_of(2)), auth).status_code == 200
    assert ask(dpop, make_proof(TOKEN_URL, jti="1"), auth).status_code == 200


@pytest.mark.spec("rfc9449", "4.3")
@pytest.mark.parametrize(
    ("htu", "url", "is_same"),
    [
        ("https://a.example/token", "https://a.example/token", True),
        ("HTTPS://A.example:443/token", "https://a.example/token", True),
        ("http://a.example:80/token", "http://a.example/token", True),
        ("https://a.example/token?x=1#y", "https://a.example/token", True),
        ("https://a.example", "https://a.example/", True),
        ("https://a.example/%74oken/%C3%BC", "https://a.example/token/%c3%bc", True),
        ("https://a.example/x/../token/.", "https://a.example/token/", True),
        ("https://a.example/../../token", "https://a.example/token", True),
        ("https://a.example/a/..", "https://a.example/", True),
        ("https://a.example//token", "https://a.example/token", False),
        ("https://a.example/Token", "https://a.example/token", False),
        ("https://a.example/token/", "https://a.example/token", False),
        ("https://a.example:8443/token", "https://a.example/token", False),
        ("https://a.example.evil.example/token", "https://a.example/token", False),
        ("/token", "https://a.example/token", False),
        ("urn:token", "https://a.example/token", False),
        ("https://a.example/token ", "https://a.example/token", False),
        (None, "https://a.example/token", False),
        (["https://a.example/token"], "https://a.example/token", False),
    ],
)
def test_htu_is_compared_in_normal_form(htu: Any, url: str, is_same: bool) -> None:
    assert is_same_target(htu, url) is is_same


@pytest.mark.spec("rfc9449", "4.3")
def test_the_host_header_is_not_trusted(dpop: Site) -> None:
    auth = ("web", dpop.add_client())
    for host, status in [("evil.example", 400), ("login.example", 200)]:
        answer = dpop.http.post(
            "/oauth/token",
            data={"grant_type": "client_credentials"},
            auth=auth,
            headers={"DPoP": make_proof(f"https://{host}/oauth/token"), "Host": "evil.example"},
        )
        assert answer.status_code == status


@pytest.mark.spec("rfc9449", "7.2")
def test_a_bound_token_is_no_bearer_token_and_the_reverse(dpop: Site) -> None:
    auth = ("web", dpop.add_client())
    client = Prover(dpop)
    bound = client.token(auth=auth, scope="profile").get_json()["access_token"]
    bearer = dpop.token("client_credentials", auth, scope="profile").get_json()["access_token"]
    assert client.call(bound).status_code == 200
    assert dpop.call(bearer).status_code == 200
    for token, scheme in [(bound, "Bearer"), (bearer, "DPoP")]:
        answer = client.call(token, scheme=scheme)
        assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_token")
    assert dpop.call(bound).status_code == 401


@pytest.mark.spec("rfc9449", "7")
@pytest.mark.spec("rfc9449", "7.1")
@pytest.mark.spec("rfc9449", "4.2")
@pytest.mark.spec("rfc9449", "4.3")
def test_a_request_with_a_bound_token_needs_a_proof_for_it(dpop: Site) -> None:
    auth = ("web", dpop.add_client())
    token, other = (
        ask(dpop, make_proof(TOKEN_URL), auth, scope="profile").get_json()["access_token"] for _ in range(2)
    )
    for proof, error in [
        (None, "invalid_dpop_proof"),
        ("x", "invalid_dpop_proof"),
        (make_proof(API_URL, "GET"), "invalid_dpop_proof"),
        (make_proof(API_URL, "GET", token=other), "invalid_dpop_proof"),
        (make_proof(API_URL, "POST", token=token), "invalid_dpop_proof"),
        (make_proof(TOKEN_URL, "GET", token=token), "invalid_dpop_proof"),
        (make_proof(API_URL, "GET", token=token, key=key_of(2)), "invalid_token"),
    ]:
        answer = call(dpop, token, proof)
        assert (answer.status_code, answer.get_json()["error"]) == (401, error)
    assert call(dpop, token, make_proof(API_URL, "GET", token=token)).status_code == 200
    assert call(dpop, token, make_proof(f"{API_URL}?a=b", "GET", token=token), path="/api/me?c=d").status_code == 200


@pytest.mark.spec("rfc9449", "7.1")
@pytest.mark.spec("rfc9449", "7.2")
def test_the_challenges(dpop: Site) -> None:
    algorithms = "ES256 ES384 ES512 RS256 RS384 RS512 PS256 PS384 PS512 EdDSA Ed25519"
    answer = dpop.http.get("/api/me")
    assert answer.headers["WWW-Authenticate"] == (
        f'Bearer realm="oauth2", scope="profile", DPoP realm="oauth2", scope="profile", algs="{algorithms}"'
    )
    bearer, bound = call(dpop, "x", None, "Bearer"), call(dpop, "x", None)
    for answer, scheme in [(bearer, "Bearer"), (bound, "DPoP")]:
        challenges = answer.headers["WWW-Authenticate"].replace("DPoP realm", "|DPoP realm").split("|")
        for challenge in challenges:
            assert ("invalid_token" in challenge) is challenge.startswith(scheme)
    assert "Proxy-Authenticate" not in bound.headers


def test_bearer_is_the_only_challenge_without_dpop(site: Site) -> None:
    assert "DPoP" not in site.http.get("/api/me").headers["WWW-Authenticate"]
    answer = ask(site, "nonsense", ("web", site.add_client()))
    assert answer.get_json()["token_type"] == "Bearer"


def redeem(client: Prover, code: str, auth: Any = None, **form: Any) -> Any:
    return client.token("authorization_code", auth, code=code, code_verifier=VERIFIER, redirect_uri=CALLBACK, **form)


@pytest.mark.spec("rfc9449", "5")
def test_the_refresh_token_of_a_public_client_is_bound(dpop: Site) -> None:
    dpop.add_client("spa", secret=None)
    client, thief = Prover(dpop), Prover(dpop, key_of(2))
    code = dpop.authorize(client_id="spa")["code"]
    refresh = redeem(client, code, client_id="spa").get_json()["refresh_token"]
    form = {"client_id": "spa", "refresh_token": refresh}
    assert dpop.token("refresh_token", **form).get_json()["error"] == "invalid_grant"
    assert thief.token("refresh_token", **form).get_json()["error"] == "invalid_grant"
    again = client.token("refresh_token", **form)
    assert again.get_json()["token_type"] == "DPoP"
    form["refresh_token"] = again.get_json()["refresh_token"]
    assert thief.token("refresh_token", **form).get_json()["error"] == "invalid_grant"
    assert client.token("refresh_token", **form).status_code == 200


@pytest.mark.spec("rfc9449", "5")
def test_a_confidential_client_may_change_its_key(dpop: Site) -> None:
    auth = ("web", dpop.add_client())
    refresh = redeem(Prover(dpop), dpop.authorize()["code"], auth).get_json()["refresh_token"]
    tokens = Prover(dpop, key_of(2)).token("refresh_token", auth, refresh_token=refresh).get_json()
    assert Prover(dpop, key_of(2)).call(tokens["access_token"]).status_code == 200
    assert Prover(dpop).call(tokens["access_token"]).status_code == 401


@pytest.mark.spec("rfc9449", "10")
@pytest.mark.parametrize("secret", [None, "generated"])
def test_dpop_jkt_binds_the_code(dpop: Site, secret: str | None) -> None:
    auth = ("web", dpop.add_client(secret=secret)) if secret else None
    if auth is None:
        dpop.add_client(secret=None)
    client_id = None if auth else "web"
    code = dpop.authorize(dpop_jkt=key_of().thumbprint)["code"]
    for prover in (Prover(dpop, key_of(2)), None):
        answer = (
            redeem(prover, code, auth, client_id=client_id) if prover else dpop.redeem(code, auth, client_id=client_id)
        )
        assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_grant")
    assert redeem(Prover(dpop), code, auth, client_id=client_id).get_json()["token_type"] == "DPoP"


@pytest.mark.spec("rfc9449", "10")
def test_a_malformed_dpop_jkt_is_an_invalid_request(dpop: Site, site: Site) -> None:
    dpop.add_client()
    for wrong in ("x", "a" * 44, "ü" * 43):
        assert dpop.authorize(dpop_jkt=wrong)["error"] == "invalid_request"
    site.add_client()
    assert "code" in site.authorize(dpop_jkt="x"), "a server without DPoP ignores the parameter"


@pytest.mark.spec("rfc9449", "8")
@pytest.mark.spec("rfc9449", "8.1")
@pytest.mark.spec("rfc9449", "11.2")
def test_the_token_endpoint_needs_a_nonce(nonces: Site) -> None:
    auth, client = ("web", nonces.add_client()), Prover(nonces)
    answer = client.token(auth=auth, retries=False)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "use_dpop_nonce")
    assert answer.headers.getlist("DPoP-Nonce") == [client.nonce]
    assert answer.headers["Cache-Control"] == "no-store"
    assert client.nonce
    assert set(client.nonce) <= {chr(code) for code in (0x21, *range(0x23, 0x5C), *range(0x5D, 0x7F))}
    answer = client.token(auth=auth, retries=False)
    assert answer.get_json()["token_type"] == "DPoP"
    assert "DPoP-Nonce" not in answer.headers


@pytest.mark.spec("rfc9449", "9")
@pytest.mark.spec("rfc9449", "11.3")
def test_a_protected_resource_needs_a_nonce(nonces: Site) -> None:
    auth, client = ("web", nonces.add_client()), Prover(nonces)
    token = client.token(auth=auth, scope="profile").get_json()["access_token"]
    client.nonce = None
    answer = client.call(token, retries=False)
    assert answer.status_code == 401
    assert 'DPoP realm="oauth2", error="use_dpop_nonce"' in answer.headers["WWW-Authenticate"]
    assert answer.headers.getlist("DPoP-Nonce") == [client.nonce]
    assert client.call(token, retries=False).status_code == 200


@pytest.mark.spec("rfc9449", "8")
@pytest.mark.spec("rfc9449", "8.2")
def test_nonces_expire_and_the_next_one_is_supplied_in_time(nonces: Site) -> None:
    auth, client = ("web", nonces.add_client()), Prover(nonces)
    assert client.token(auth=auth).status_code == 200
    first = client.nonce
    nonces.clock.forward(SLOT)
    answer = client.token(auth=auth, retries=False)
    assert answer.status_code == 200
    assert client.nonce == answer.headers["DPoP-Nonce"] != first
    token = client.token(auth=auth, retries=False, scope="profile").get_json()["access_token"]
    nonces.clock.forward(SLOT)
    answer = client.call(token, retries=False)
    assert (answer.status_code, answer.headers["DPoP-Nonce"]) == (200, client.nonce)
    client.nonce = first
    assert client.token(auth=auth, retries=False).get_json()["error"] == "use_dpop_nonce"
    for wrong in ("x", 7, "ü"):
        answer = client.token(auth=auth, retries=False, changes={"nonce": wrong})
        assert answer.get_json()["error"] == "use_dpop_nonce"


@pytest.mark.spec("rfc9449", "4.3")
def test_with_a_nonce_the_clock_of_the_client_may_be_wrong(nonces: Site) -> None:
    auth, client = ("web", nonces.add_client()), Prover(nonces)
    for difference, status in [(-590, 200), (290, 200), (-610, 400), (310, 400)]:
        answer = client.token(auth=auth, changes={"iat": int(NOW) + difference})
        assert answer.status_code == status


def test_every_worker_has_the_same_nonces() -> None:
    old, new = Nonces([b"old"], "dpop nonce"), Nonces([b"old", b"new"], "dpop nonce")
    assert old.current(NOW) != new.current(NOW) == Nonces([b"new"], "dpop nonce").current(NOW)
    assert new.is_recent(old.current(NOW), NOW), "the fallback of SECRET_KEY"
    assert not old.is_recent(new.current(NOW), NOW)
    assert new.is_recent(new.current(NOW + SLOT), NOW), "another worker whose clock is ahead"
    assert not new.is_recent(new.current(NOW + 2 * SLOT), NOW)
    assert new.is_recent(new.current(NOW), NOW + SLOT)
    assert not new.is_recent(new.current(NOW), NOW + 2 * SLOT)


def test_a_replayed_proof_with_a_nonce_is_remembered_until_its_nonce_expires(nonces: Site) -> None:
    auth, client = ("web", nonces.add_client()), Prover(nonces)
    assert client.token(auth=auth).status_code == 200
    proof = client.proof("/oauth/token", "POST")
    assert ask(nonces, proof, auth).status_code == 200
    assert ask(nonces, proof, auth).get_json()["error"] == "invalid_dpop_proof"
    nonces.clock.forward(2 * SLOT - 1)
    assert nonces.store.purgeable(int(nonces.clock.now)) == 0
    assert ask(nonces, proof, auth).status_code == 400


@pytest.mark.spec("rfc9449", "5.1")
def test_metadata_name_the_algorithms(dpop: Site, site: Site) -> None:
    path = "/.well-known/oauth-authorization-server"
    algorithms = dpop.http.get(path).get_json()["dpop_signing_alg_values_supported"]
    assert {"ES256", "EdDSA", "PS256"} <= set(algorithms)
    assert not {"none", "HS256"} & set(algorithms)
    assert "dpop_signing_alg_values_supported" not in site.http.get(path).get_json()


def test_resource_metadata_say_what_the_resource_accepts(new_site: Callable[..., Site]) -> None:
    for option, is_required in [("optional", None), ("required", True)]:
        site = new_site(OAUTH2_DPOP=option)
        site.provider.protect_resource("/api")
        document = site.http.get("/.well-known/oauth-protected-resource/api").get_json()
        assert "ES256" in document["dpop_signing_alg_values_supported"]
        assert document.get("dpop_bound_access_tokens_required") is is_required


@pytest.mark.spec("rfc9449", "5.2")
def test_proofs_can_be_required(new_site: Callable[..., Site]) -> None:
    site = new_site(OAUTH2_DPOP="required")
    auth = ("web", site.add_client())
    answer = site.token("client_credentials", auth)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_dpop_proof")
    assert Prover(site).token(auth=auth).status_code == 200


@pytest.mark.spec("rfc9449", "7.1")
def test_pages_may_send_proofs_and_read_nonces(nonces: Site, site: Site) -> None:
    nonces.add_client("spa", secret=None, redirect_uris=("https://spa.example/",))
    origin = {"Origin": "https://spa.example"}
    preflight = nonces.http.options("/oauth/token", headers=origin)
    assert "DPoP" in preflight.headers["Access-Control-Allow-Headers"].split(", ")
    headers = {**origin, "DPoP": make_proof(TOKEN_URL)}
    answer = nonces.http.post("/oauth/token", data={"grant_type": "refresh_token", "client_id": "spa"}, headers=headers)
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"DPoP-Nonce", "WWW-Authenticate"} <= set(exposed)
    site.add_client("spa", secret=None, redirect_uris=("https://spa.example/",))
    assert "DPoP" not in site.http.options("/oauth/token", headers=origin).headers["Access-Control-Allow-Headers"]


def test_a_mounted_application(new_site: Callable[..., Site]) -> None:
    def echo(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode()]

    site = new_site(OAUTH2_DPOP="optional")
    site.provider.protect_resource("/files", "profile", wsgi_app=echo)
    auth, client = ("web", site.add_client()), Prover(site)
    resource = "https://login.example/files"
    token = client.token(auth=auth, scope="profile", resource=resource).get_json()["access_token"]
    assert client.call(token, "/files/a b/c").text == "/a b/c"
    assert call(site, token, client.proof("/a", "GET", token=token), path="/files/a").status_code == 401
    assert client.call(token, "/files/a", scheme="Bearer").status_code == 401


def test_an_application_below_a_path(tmp_path: Any) -> None:
    site = make_site(tmp_path, store=MemoryStore(), OAUTH2_DPOP="optional", OAUTH2_ISSUER="https://login.example/notes")
    auth = ("web", site.add_client())

    def send(url: str) -> Any:
        client = Prover(site)
        client.nonce = site.server.capabilities.bindings[0]._nonces.current(NOW)
        return site.http.post(
            "/oauth/token",
            base_url="https://login.example/notes",
            data={"grant_type": "client_credentials"},
            auth=auth,
            headers={"DPoP": make_proof(url, nonce=client.nonce)},
        )

    assert send("https://login.example/notes/oauth/token").status_code == 200
    assert send("https://login.example/oauth/token").status_code == 400


def test_a_token_in_the_cache_needs_a_proof_too(new_site: Callable[..., Site]) -> None:
    site = new_site(OAUTH2_DPOP="optional", OAUTH2_TOKEN_CACHE_TTL=60)
    auth, client = ("web", site.add_client()), Prover(site)
    token = client.token(auth=auth, scope="profile").get_json()["access_token"]
    assert client.call(token).status_code == 200
    assert call(site, token, None).status_code == 401
    assert Prover(site, key_of(2)).call(token).status_code == 401
    assert client.call(token).status_code == 200


def test_dpop_needs_the_extra(new_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> None:
    import flask_oauth2.keys

    site = new_site(OAUTH2_DPOP="optional")
    monkeypatch.delitem(sys.modules, "flask_oauth2.keys.library")
    monkeypatch.delattr(flask_oauth2.keys, "library")
    monkeypatch.setitem(sys.modules, "joserfc", None)
    with pytest.raises(ConfigurationError, match=r"flask_oauth2\[jose\]"):
        _ = site.server


def test_nonces_need_a_secret_key() -> None:
    with pytest.raises(ConfigurationError, match="OAUTH2_DPOP_NONCES"):
        DPoP(Settings(dpop="optional"))
    assert DPoP(Settings(dpop="optional", dpop_nonces=False))


def test_a_code_exchange_needs_one_statement_more(sql_site: Site, statements: Statements) -> None:
    sql_site.app.config["OAUTH2_DPOP"] = "optional"
    sql_site.app.config["OAUTH2_ACCESS_TOKEN_FORMAT"] = "jwt"
    auth, client = ("web", sql_site.add_client()), Prover(sql_site)
    redeem(client, sql_site.authorize()["code"], auth)
    code = sql_site.authorize()["code"]
    statements.clear()
    assert redeem(client, code, auth, retries=False).status_code == 200
    assert len(statements.work()) <= 5, statements


PUBLISHED_KEY = (
    '{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",'
    '"y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"}}'
)
TOKEN_PROOF = (
    encode(PUBLISHED_KEY.encode())
    + ".eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwia"
    "WF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)
RESOURCE_PROOF = (
    encode(PUBLISHED_KEY.encode())
    + ".eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0Z"
    "WRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9"
    "RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)
THUMBPRINT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


@pytest.mark.spec("rfc9449", "12")
@pytest.mark.spec("rfc9449", "4.2")
@pytest.mark.spec("rfc9449", "6.1")
def test_the_published_proofs_are_valid() -> None:
    """The samples of sections 4.1, 5 and 7.1."""
    binding = DPoP(Settings(dpop="optional", dpop_nonces=False))
    seen: set[bytes] = set()

    def context_of(url: str, token: str = "") -> ProofContext:
        return ProofContext(
            settings=Settings(),
            now=1562262616,
            remember=lambda key, _: key not in seen and not seen.add(key),
            url=url,
            token=token,
        )

    request = Request("POST", "/token", {"DPoP": TOKEN_PROOF}, b"", b"")
    assert binding.prove(request, context_of("https://server.example.com/token")) == {"jkt": THUMBPRINT}
    with pytest.raises(InvalidDPoPProof, match="htu"):
        binding.prove(request, context_of("https://server.example.com/other"))
    request = Request("GET", "/protectedresource", {"DPoP": RESOURCE_PROOF}, b"", None)
    url, token = "https://resource.example.org/protectedresource", "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
    access = AccessToken(
        token_hash=b"",
        authorization_id="",
        client_id="",
        user_id=None,
        scope=(),
        type="DPoP",
        issued_at=0,
        expires_at=0,
        confirmation={"jkt": THUMBPRINT},
    )
    binding.verify(access, request, context_of(url, token))
    with pytest.raises(InvalidDPoPProof, match="ath"):
        binding.verify(access, request, context_of(url, token + "x"))
    with pytest.raises(InvalidDPoPProof, match="used before"):
        binding.verify(access, request, context_of(url, token))
