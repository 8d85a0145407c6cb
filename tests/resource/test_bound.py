"""Tokens that are bound by DPoP or to a certificate, at a resource server in an application without a provider."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import flask
import pytest
from certificates import certificate_of, environ_of
from proofs import key_of, make_proof

from flask_oauth2 import ConfigurationError, MemoryStore, ResourceServer, current_token
from flask_oauth2.http.fetch import Fetched
from flask_oauth2.resource.replay_memory import ReplayMemory
from oauth_site import NOW, Site, make_site

FILES = "https://files.example"


class Files:
    """A provider, and an application without one that verifies its tokens."""

    def __init__(
        self, folder: Any, *, introspection: bool = False, resources: tuple[str, ...] | list[str] = (), **options: Any
    ) -> None:
        self.audience = audience = options.get("audience", FILES)
        self.site: Site = make_site(
            folder,
            store=MemoryStore(),
            OAUTH2_DPOP="optional",
            OAUTH2_DPOP_NONCES=False,
            OAUTH2_MUTUAL_TLS=True,
            OAUTH2_SIGNING_ALGORITHMS=["ES256"],
            OAUTH2_RESOURCES={
                url: {"scopes": ["profile"], "format": "opaque" if introspection else "jwt"}
                for url in (audience, *resources)
            },
        )
        self.auth = ("web", self.site.add_client(resource_server=True))
        self.app = flask.Flask("files")
        self.app.config["SECRET_KEY"] = "a secret key of another application"
        if introspection:
            options |= {"introspection": True, "client_id": "web", "client_secret": self.auth[1]}
        self.guards = ResourceServer(
            self.app, **{"issuer": "https://login.example", "audience": audience, "dpop": True, **options}
        )
        verifier: Any = self.guards.verifier
        verifier.clock = self.site.clock
        metadata = self.site.http.get("/.well-known/oauth-authorization-server").get_data()
        verifier.source._metadata.fetch = lambda _: Fetched({}, metadata)
        if introspection:
            verifier.source.post = self._introspect
        else:
            verifier.source.keys.fetch = lambda *_: Fetched({}, self.site.http.get("/oauth/jwks").get_data())

        @self.app.get("/me")
        @self.guards.require_oauth("profile")
        def me() -> Any:
            return {"client": current_token.client_id}

    def _introspect(self, url: str, headers: Any, content: bytes) -> Fetched:
        form = "application/x-www-form-urlencoded"
        headers = {"Authorization": headers["Authorization"]}
        answer = self.site.http.post("/oauth/introspect", data=content, content_type=form, headers=headers)
        return Fetched({}, answer.get_data())

    def token(self, proof: str | None = "valid", environ: dict[str, str] | None = None, **form: str) -> str:
        if proof == "valid":
            proof = make_proof("https://login.example/oauth/token", iat=int(self.site.clock.now))
        answer = self.site.http.post(
            "/oauth/token",
            data={"grant_type": "client_credentials", "scope": "profile", "resource": self.audience, **form},
            auth=self.auth,
            headers={} if proof is None else {"DPoP": proof},
            environ_overrides=environ,
        )
        return str(answer.get_json()["access_token"])

    def call(self, token: str, proof: str | None, scheme: str = "DPoP", **options: Any) -> Any:
        headers = {"Authorization": f"{scheme} {token}", **({} if proof is None else {"DPoP": proof})}
        return self.app.test_client().get("/me", headers=headers, **options)


@pytest.fixture(params=[False, True], ids=["keys", "introspection"])
def files(request: pytest.FixtureRequest, tmp_path: Any) -> Files:
    return Files(tmp_path, introspection=request.param, dpop_nonces=False)


@pytest.mark.spec("rfc9449", "6")
@pytest.mark.spec("rfc9449", "7.1")
@pytest.mark.spec("rfc9449", "7.2")
def test_a_bound_token_needs_a_proof(files: Files) -> None:
    token, bearer, url = files.token(), files.token(None), f"{FILES}/me"
    assert files.call(token, make_proof(url, "GET", token=token)).get_json() == {"client": "web"}
    assert files.call(bearer, None, "Bearer").status_code == 200
    for sent, proof, scheme, error in [
        (token, None, "DPoP", "invalid_dpop_proof"),
        (token, make_proof(url, "GET"), "DPoP", "invalid_dpop_proof"),
        (token, make_proof("https://login.example/me", "GET", token=token), "DPoP", "invalid_dpop_proof"),
        (token, make_proof("http://localhost/me", "GET", token=token), "DPoP", "invalid_dpop_proof"),
        (token, make_proof(url, "GET", token=token, key=key_of(2)), "DPoP", "invalid_token"),
        (token, make_proof(url, "GET", token=token), "Bearer", "invalid_token"),
        (bearer, make_proof(url, "GET", token=bearer), "DPoP", "invalid_token"),
    ]:
        answer = files.call(sent, proof, scheme)
        assert (answer.status_code, answer.get_json()["error"]) == (401, error)
        challenges = answer.headers["WWW-Authenticate"].replace("DPoP realm", "|DPoP realm").split("|")
        assert [f'error="{error}"' in one for one in challenges] == [scheme == "Bearer", scheme == "DPoP"]
    proof = make_proof(url, "GET", token=token)
    assert [files.call(token, proof).status_code for _ in range(2)] == [200, 401]


@pytest.mark.spec("rfc9449", "9")
def test_nonces_are_those_of_the_resource_server(tmp_path: Any) -> None:
    files = Files(tmp_path)
    token = files.token()
    answer = files.call(token, make_proof(f"{FILES}/me", "GET", token=token))
    assert (answer.status_code, answer.get_json()["error"]) == (401, "use_dpop_nonce")
    nonce = answer.headers["DPoP-Nonce"]
    assert files.call(token, make_proof(f"{FILES}/me", "GET", token=token, nonce=nonce)).status_code == 200
    other = files.site.server.capabilities.bindings[0]
    assert other._nonces is None
    assert files.call(token, make_proof(f"{FILES}/me", "GET", token=token, nonce="x")).status_code == 401


def test_its_metadata_name_the_algorithms(files: Files) -> None:
    document = files.app.test_client().get("/.well-known/oauth-protected-resource").get_json()
    assert "ES256" in document["dpop_signing_alg_values_supported"]


@pytest.mark.spec("rfc9449", "7.2")
def test_without_dpop_a_bound_token_is_rejected(tmp_path: Any) -> None:
    files = Files(tmp_path, dpop=False)
    token = files.token()
    for scheme in ("DPoP", "Bearer"):
        assert files.call(token, make_proof(f"{FILES}/me", "GET", token=token), scheme).status_code == 401
    answer = files.app.test_client().get("/me")
    assert "DPoP" not in answer.headers["WWW-Authenticate"]
    document = files.app.test_client().get("/.well-known/oauth-protected-resource").get_json()
    assert not [name for name in document if name.startswith("dpop")]


@pytest.mark.parametrize("base_url", ["http://localhost", "http://localhost/v1"], ids=["hidden", "mounted"])
def test_an_audience_with_a_path(tmp_path: Any, base_url: str) -> None:
    files = Files(tmp_path, audience=f"{FILES}/v1", dpop_nonces=False)
    token = files.token()
    proof = make_proof(f"{FILES}/v1/me", "GET", token=token)
    assert files.call(token, proof, base_url=base_url).status_code == 200
    proof = make_proof(f"{FILES}/me", "GET", token=token)
    assert files.call(token, proof, base_url=base_url).status_code == 401


def test_nonces_need_a_secret_key() -> None:
    with pytest.raises(ConfigurationError, match="dpop_nonces=False"):
        ResourceServer(flask.Flask("files"), issuer="https://login.example", audience=FILES, dpop=True)


def test_a_shared_replay_memory(tmp_path: Any) -> None:
    seen: list[bytes] = []

    def remember(key: bytes, expires_at: int) -> bool:
        assert expires_at > NOW
        seen.append(key)
        return len(seen) == len(set(seen))

    files = Files(tmp_path, dpop_nonces=False, remember=remember)
    token = files.token()
    proof = make_proof(f"{FILES}/me", "GET", token=token)
    assert [files.call(token, proof).status_code for _ in range(2)] == [200, 401]


def test_the_replay_memory_is_bounded() -> None:
    now = [0.0]
    memory = ReplayMemory(lambda: now[0], most=3)
    assert [memory.remember(key, 10) for key in (b"a", b"a", b"b")] == [True, False, True]
    now[0] = 10.0
    assert memory.remember(b"a", 20), "an expired key is forgotten"
    assert [memory.remember(bytes([number]), 30 + number) for number in range(9)] == [True] * 9
    assert len(memory._keys) == len(memory._expiries) <= 4
    assert not memory.remember(bytes([8]), 40)


def test_the_claims_of_another_server_say_that_a_token_is_bound(tmp_path: Any) -> None:
    """A JSON Web Token of :rfc:`9068` has no ``token_type``, as introspection has."""
    files = Files(tmp_path, introspection=True, dpop_nonces=False)
    members = {"active": True, "aud": FILES, "scope": "profile", "client_id": "web"}
    verifier: Any = files.guards.verifier
    verifier.source.post = lambda *_: Fetched({}, json.dumps({**members, "cnf": {"jkt": key_of().thumbprint}}).encode())
    assert files.call("a", make_proof(f"{FILES}/me", "GET", token="a")).status_code == 200
    assert files.call("a", make_proof(f"{FILES}/me", "GET", token="a"), "Bearer").status_code == 401


@pytest.mark.spec("rfc8705", "3")
@pytest.mark.spec("rfc8705", "6.2")
@pytest.mark.parametrize("introspection", [False, True], ids=["keys", "introspection"])
def test_a_resource_server_verifies_certificates(tmp_path: Any, introspection: bool) -> None:
    files = Files(tmp_path, introspection=introspection, dpop=False, mutual_tls=True, certificate_header="X-Cert")
    files.site.change_client(metadata={"tls_client_certificate_bound_access_tokens": True})
    token = files.token(None, environ=environ_of(certificate_of()))

    def call(certificate: bytes | None, token: str = token) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        if certificate is not None:
            headers["X-Cert"] = quote(environ_of(certificate)["SSL_CLIENT_CERT"])
        return int(files.app.test_client().get("/me", headers=headers).status_code)

    assert [call(certificate_of()), call(certificate_of(2)), call(None)] == [200, 401, 401]
    files.site.change_client(metadata={})
    assert call(None, files.token(None)) == 200
    document = files.app.test_client().get("/.well-known/oauth-protected-resource").get_json()
    assert document["tls_client_certificate_bound_access_tokens"] is True
    unaware = Files(tmp_path, introspection=introspection, dpop=False)
    unaware.guards.verifier.source = files.guards.verifier.source  # type: ignore[attr-defined]
    answer = unaware.call(token, None, "Bearer")
    assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_token")


def test_a_mounted_application(tmp_path: Any) -> None:
    def echo(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode()]

    files = Files(tmp_path, dpop_nonces=False, resources=[f"{FILES}/mcp"])
    files.guards.protect_mcp("/mcp", "profile", wsgi_app=echo)
    token = files.token(resource=f"{FILES}/mcp")
    http = files.app.test_client()
    for url, status in [(f"{FILES}/mcp/tools", 200), (f"{FILES}/tools", 401), (f"{FILES}/mcp", 401)]:
        headers = {"Authorization": f"DPoP {token}", "DPoP": make_proof(url, "GET", token=token)}
        assert http.get("/mcp/tools", headers=headers).status_code == status
    answer = http.get("/mcp", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
