"""Resource servers in an application without a provider, and a provider that they reach by HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from threading import Thread
from typing import Any

import flask
import pytest
from joserfc import jwe
from joserfc.jwk import import_key
from keys.tokens import key_of, token_of
from servers import reserve_port
from werkzeug.serving import make_server

from flask_oauth2 import ConfigurationError, MemoryStore, ResourceServer, User, current_token
from flask_oauth2.errors import FetchError
from flask_oauth2.http.fetch import Fetched
from flask_oauth2.keys import library
from flask_oauth2.resource.sources import read_token
from oauth_site import answer_of, make_site

FILES = "https://files.example"


class Issuer:
    """A provider with its own HTTP server, which counts requests and can be stopped."""

    def __init__(self, folder: Any, **options: Any) -> None:
        self.port = reserve_port()
        self.url = f"http://127.0.0.1:{self.port}"
        keys = [key_of("ES256").jwk, key_of("RS256").jwk]
        self.site = make_site(
            folder,
            store=MemoryStore(),
            OAUTH2_ISSUER=self.url,
            OAUTH2_SIGNING_KEYS=keys,
            OAUTH2_RESOURCES={
                FILES: {"scopes": ["profile", "write"], "format": "jwt", **options},
                f"{FILES}/mcp": {"scopes": ["mail"], "format": "jwt"},
            },
        )
        folder = self.site.provider.authorization_details("folder", required={"identifier": str})
        folder(lambda detail, client: "Read a folder")
        self.requests: list[str] = []
        self.site.app.before_request(lambda: self.requests.append(flask.request.path))
        self.secret = self.site.add_client()
        self._server: Any = None

    def start(self) -> None:
        self._server = make_server("127.0.0.1", self.port, self.site.app, threaded=True)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    def token(self, resource: str = FILES, scope: str = "profile") -> str:
        """Return an access token of the client for itself."""
        answer = self.site.token("client_credentials", ("web", self.secret), scope=scope, resource=resource)
        assert answer.status_code == 200, answer.text
        return str(answer.get_json()["access_token"])


@pytest.fixture
def issuer(tmp_path: Any) -> Iterator[Issuer]:
    issuer = Issuer(tmp_path)
    issuer.start()
    yield issuer
    issuer.stop()


class Files:
    """An application without a provider."""

    def __init__(self, issuer: Issuer, /, **options: Any) -> None:
        self.app = flask.Flask("files")
        self.guards = ResourceServer(self.app, **{"issuer": issuer.url, "audience": FILES, **options})
        self.verifier: Any = self.guards.verifier
        self.verifier.clock = issuer.site.clock
        if self.verifier.cache is not None:
            self.verifier.cache.clock = issuer.site.clock

        @self.app.get("/me")
        @self.guards.require_oauth("profile")
        def me() -> Any:
            return {
                "user": current_token.user_id,
                "client": current_token.client_id,
                "scope": current_token.scope,
                "claims": current_token.claims,
            }

    def call(self, token: str | None, path: str = "/me") -> Any:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self.app.test_client().get(path, headers=headers)


def changed(token: str, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """Return a token with other claims and a good signature of the same key. None removes a claim."""
    content = {**json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "==")), **claims}
    return token_of({name: value for name, value in content.items() if value is not None}, header)


INTROSPECTION = {"introspection": True, "client_id": "files", "client_secret": "a secret: %&=+ of 24"}


@pytest.fixture(params=[{}, INTROSPECTION], ids=["keys", "introspection"])
def files(request: pytest.FixtureRequest, issuer: Issuer) -> Files:
    issuer.site.add_client("files", INTROSPECTION["client_secret"], resource_server=True)
    return Files(issuer, **request.param)


@pytest.mark.spec("rfc9068", "4")
def test_the_view_knows_the_token(files: Files, issuer: Issuer) -> None:
    assert files.call(issuer.token()).get_json() == {
        "user": None,
        "client": "web",
        "scope": ["profile"],
        "claims": {},
    }
    user = issuer.site.tokens(issuer.secret, scope="profile write", resource=FILES)["access_token"]
    assert files.call(user).get_json()["user"] == "ada"
    assert files.call(user).get_json()["scope"] == ["profile", "write"]


def test_a_token_is_verified_once(files: Files, issuer: Issuer) -> None:
    token, other = issuer.token(), issuer.token()
    issuer.requests.clear()
    assert [files.call(one).status_code for one in (token, token, other, token)] == [200] * 4
    kinds = [path.rpartition("/")[2] for path in issuer.requests]
    assert kinds in (
        ["oauth-authorization-server", "jwks"],
        ["oauth-authorization-server", "introspect", "introspect"],
    )


@pytest.mark.spec("rfc9068", "4")
def test_other_tokens_are_rejected_with_a_challenge(files: Files, issuer: Issuer) -> None:
    def challenge_of(token: str | None, status: int = 401) -> str:
        answer = files.call(token)
        assert answer.status_code == status
        return str(answer.headers["WWW-Authenticate"])

    document = f'resource_metadata="{FILES}/.well-known/oauth-protected-resource"'
    for token in (None, "x", issuer.token(f"{FILES}/mcp", "mail"), issuer.token()[:-4] + "AAAA"):
        found = challenge_of(token)
        assert document in found
        assert ("invalid_token" in found) is (token is not None)
    assert "insufficient_scope" in challenge_of(issuer.token(scope="write"), 403)
    token = issuer.token()
    assert files.call(token).status_code == 200
    issuer.site.clock.forward(3600)
    assert "invalid_token" in challenge_of(token)
    assert "invalid_token" in challenge_of(issuer.token() + "x")


@pytest.mark.spec("rfc9068", "4")
def test_a_key_set_verifies_what_the_issuer_means_as_access_token(issuer: Issuer) -> None:
    files, token = Files(issuer), issuer.token()
    assert files.call(changed(token)).status_code == 200
    assert files.call(changed(token, aud=["https://other.example", f"{FILES}/"])).status_code == 200
    assert files.call(changed(token, sub="ada")).get_json()["user"] == "ada"
    assert files.call(changed(token, sub="web")).get_json()["user"] is None
    assert files.call(changed(token, groups=["a"])).get_json()["claims"] == {"groups": ["a"]}
    for forged in (
        changed(token, {"typ": "JWT"}),
        changed(token, iss="https://other.example"),
        changed(token, aud=None),
        changed(token, aud=f"{FILES}/other"),
        changed(token, client_id=None),
        changed(token, scope=["profile"]),
        changed(token, cnf="x"),
        changed(token, cnf={"jkt": "x"}),
        changed(token, token_type="DPoP"),
        token_of(json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "==")), key=key_of("ES256", 2)),
    ):
        assert files.call(forged).status_code == 401


def test_the_issuer_may_be_away(issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    files, tokens = Files(issuer), [issuer.token() for _ in range(3)]
    issuer.stop()
    answer = files.call(tokens[0])
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert "cannot be used" in caplog.text
    issuer.start()
    assert files.call(tokens[0]).status_code == 503  # the issuer is not contacted again for 30 seconds
    issuer.site.clock.forward(31)
    assert files.call(tokens[0]).status_code == 200
    issuer.stop()
    assert files.call(tokens[1]).status_code == 200
    issuer.site.clock.forward(3000)  # the copies are stale
    assert files.call(tokens[2]).status_code == 200


def test_introspection_needs_the_issuer(issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    issuer.site.add_client("files", INTROSPECTION["client_secret"], resource_server=True)
    files, token = Files(issuer, **INTROSPECTION), issuer.token()
    wrong = Files(issuer, **{**INTROSPECTION, "client_secret": "wrong"})
    assert wrong.call(token).status_code == 503
    assert "check client_id and client_secret" in caplog.text
    assert files.call(token).status_code == 200
    issuer.site.post("/revoke", ("web", issuer.secret), token=token)
    assert files.call(token).status_code == 200  # for 30 seconds at most
    issuer.site.clock.forward(31)
    assert files.call(token).status_code == 401
    issuer.stop()
    assert files.call(issuer.token()).status_code == 503


def test_without_a_cache_each_request_is_introspected(issuer: Issuer) -> None:
    issuer.site.add_client("files", INTROSPECTION["client_secret"], resource_server=True)
    url = f"{issuer.url}/oauth/introspect"
    files = Files(issuer, **INTROSPECTION, cache_ttl=0, introspection_endpoint=url)
    token = issuer.token()
    assert files.call(token).status_code == 200
    issuer.site.post("/revoke", ("web", issuer.secret), token=token)
    assert files.call(token).status_code == 401
    assert "/.well-known/oauth-authorization-server" not in issuer.requests


def test_a_jwks_uri_replaces_the_metadata(issuer: Issuer) -> None:
    files = Files(issuer, jwks_uri=f"{issuer.url}/oauth/jwks")
    issuer.requests.clear()
    token = issuer.token()
    assert files.call(token).status_code == 200
    assert "/.well-known/oauth-authorization-server" not in issuer.requests


def test_an_answer_of_introspection_from_another_issuer_is_rejected(issuer: Issuer) -> None:
    files = Files(issuer, **INTROSPECTION)
    members = {"active": True, "aud": FILES, "scope": "profile", "client_id": "web", "tenant": "t"}
    files.verifier.source.post = lambda *_: Fetched({}, json.dumps(members).encode())
    assert files.call("a").get_json()["claims"] == {"tenant": "t"}
    members["iss"] = "https://other.example"
    assert files.call("b").status_code == 401
    files.verifier.source.post = lambda *_: Fetched({}, b"[]")
    assert files.call("c").status_code == 503


@pytest.mark.parametrize("path", ["", "/tenants/a"])
def test_openid_connect_discovery_is_the_second_choice(issuer: Issuer, path: str) -> None:
    url = f"https://login.example{path}"
    files = Files(issuer, issuer=url)
    asked: list[str] = []
    document = {"issuer": url, "jwks_uri": f"{issuer.url}/oauth/jwks"}

    def fetch(place: str) -> Fetched:
        asked.append(place)
        if "openid" not in place:
            raise FetchError("there is none", is_gone=True)
        return Fetched({}, json.dumps(document).encode())

    metadata = files.verifier.source._metadata
    metadata.fetch = fetch
    assert files.call(changed(issuer.token(), iss=url)).status_code == 200
    assert asked == [
        f"https://login.example/.well-known/oauth-authorization-server{path}",
        f"{url}/.well-known/openid-configuration",
    ]


@pytest.mark.spec("rfc8414", "3.3")
@pytest.mark.parametrize(
    "body", [b'{"issuer": "https://other.example", "jwks_uri": "https://a.example"}', b"[]", b"{}"]
)
def test_metadata_of_another_issuer_are_not_used(issuer: Issuer, body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    files = Files(issuer)
    files.verifier.source._metadata.fetch = lambda _: Fetched({}, body)
    assert files.call(issuer.token()).status_code == 503
    assert "cannot be used" in caplog.text


@pytest.mark.parametrize("uri", [None, 7, "ftp://a.example"])
def test_metadata_without_a_jwks_uri_are_incomplete(issuer: Issuer, uri: Any) -> None:
    files = Files(issuer)
    body = json.dumps({"issuer": issuer.url, "jwks_uri": uri}).encode()
    files.verifier.source._metadata.fetch = lambda _: Fetched({}, body)
    assert files.call(issuer.token()).status_code == 503


@pytest.mark.spec("rfc9728", "3")
def test_the_document_names_the_issuer(issuer: Issuer) -> None:
    files = Files(issuer, scopes=["write"], name="Files")
    document = files.call(None, "/.well-known/oauth-protected-resource")
    assert document.get_json() == {
        "resource": FILES,
        "authorization_servers": [issuer.url],
        "scopes_supported": ["write", "profile"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Files",
    }
    assert document.headers["Access-Control-Allow-Origin"] == "*"
    assert files.call(None, "/.well-known/oauth-protected-resource/other").status_code == 404


@pytest.mark.spec("rfc9728", "3")
def test_an_mcp_server_of_the_application(issuer: Issuer) -> None:
    files = Files(issuer)
    files.guards.protect_mcp("/mcp", "mail")
    files.app.add_url_rule("/mcp/tools", "tools", lambda: {"client": current_token.client_id})
    refused = files.call(None, "/mcp/tools")
    url = f"{FILES}/.well-known/oauth-protected-resource/mcp"
    assert refused.status_code == 401
    assert f'scope="mail", resource_metadata="{url}"' in refused.headers["WWW-Authenticate"]
    document = files.call(None, url.removeprefix(FILES)).get_json()
    assert (document["resource"], document["scopes_supported"]) == (f"{FILES}/mcp", ["mail"])
    inside, outside = issuer.token(f"{FILES}/mcp", "mail"), issuer.token()
    assert files.call(inside, "/mcp/tools").get_json() == {"client": "web"}
    assert files.call(outside, "/mcp/tools").status_code == 401
    assert [files.call(one).status_code for one in (inside, outside)] == [401, 200]


def test_an_application_below_a_path(issuer: Issuer) -> None:
    files = Files(issuer, audience=f"{FILES}/mcp/")
    document = files.call(None, "/.well-known/oauth-protected-resource/mcp").get_json()
    assert document["resource"] == f"{FILES}/mcp"
    assert files.call(issuer.token(f"{FILES}/mcp", "profile")).status_code == 200
    assert files.call(issuer.token()).status_code == 401


@pytest.mark.parametrize("path", ["/<tenant>/api", "/", "/mcp"])
def test_a_path_is_described_once(issuer: Issuer, path: str) -> None:
    files = Files(issuer)
    files.guards.protect_mcp("/mcp")
    with pytest.raises(ConfigurationError, match=f"^{path} is described already, or has variables"):
        files.guards.protect_resource(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"issuer": None}, "needs issuer="),
        ({"issuer": "login.example"}, "needs issuer="),
        ({"issuer": "http://login.example"}, "needs issuer="),
        ({"audience": None}, "needs audience="),
        ({"audience": f"{FILES}?a"}, "needs audience="),
        ({"introspection": True}, "needs client_id= and client_secret="),
        ({"introspection": True, "client_id": "files"}, "needs client_id= and client_secret="),
    ],
)
def test_wrong_arguments_are_errors_at_the_start(issuer: Issuer, options: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Files(issuer, **options)


def test_a_custom_verifier_describes_nothing(issuer: Issuer) -> None:
    verifier = Files(issuer).verifier
    guards = ResourceServer(verifier)
    assert guards.verifier is verifier
    with pytest.raises(ConfigurationError, match="need ResourceServer"):
        guards.protect_mcp("/mcp")


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": [7]},
        {"exp": "1"},
        {"sub": 7},
        {"aud": {}},
        {"acr": 7},
        {"auth_time": "1"},
        {"authorization_details": [7]},
    ],
)
def test_members_of_another_type_are_no_token(claims: Any) -> None:
    from flask_oauth2 import InvalidToken

    with pytest.raises(InvalidToken, match="wrong type"):
        read_token("value", {"exp": 1, "iat": 1, **claims})


def test_without_httpcore_the_error_names_the_package(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_oauth2.resource.issuer_metadata.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"install flask_oauth2\[jose\]"):
        Files(issuer)


def test_stale_copies_are_used_for_a_day(issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    files = Files(issuer)
    first, *others = (
        changed(issuer.token(), jti=str(number), exp=issuer.site.clock() + 200_000) for number in range(3)
    )
    assert files.call(first).status_code == 200
    issuer.stop()
    issuer.site.clock.forward(80_000)
    assert files.call(others[0]).status_code == 200
    assert "cannot be used" in caplog.text
    issuer.site.clock.forward(20_000)
    assert files.call(others[1]).status_code == 503


def test_the_key_set_may_be_away(issuer: Issuer) -> None:
    files = Files(issuer, jwks_uri="http://127.0.0.1:1/jwks")
    assert files.call(issuer.token()).status_code == 503


def test_a_new_key_is_fetched(issuer: Issuer) -> None:
    files = Files(issuer)
    content = json.loads(base64.urlsafe_b64decode(issuer.token().split(".")[1] + "=="))
    new = [token_of({**content, "jti": str(number)}, key=key_of("ES256", 7)) for number in range(3)]
    assert files.call(issuer.token()).status_code == 200
    issuer.site.clock.forward(31)
    issuer.requests.clear()
    assert [files.call(token).status_code for token in new] == [401] * 3
    assert issuer.requests == ["/oauth/jwks"]  # unknown keys are looked for at a bounded rate


def test_the_document_of_the_only_resource_is_at_the_root_too(issuer: Issuer) -> None:
    files = Files(issuer, audience=f"{FILES}/mcp")
    assert files.call(None, "/.well-known/oauth-protected-resource").get_json()["resource"] == f"{FILES}/mcp"


def encryption_key(kind: str, **members: Any) -> dict[str, Any]:
    """Return a private key to which tokens can be encrypted."""
    curve = {"EC": "P-256", "OKP": "X25519"}.get(kind)
    return {**library.generate_jwk(kind, curve), "use": "enc", "kid": f"enc-{kind}", **members}


def public_of(jwk: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in jwk.items() if name in ("kty", "crv", "x", "y", "n", "e", "use", "kid", "alg")
    }


@pytest.mark.spec("rfc9068", "4")
@pytest.mark.spec("rfc7519", "5.2")
@pytest.mark.spec("rfc7519", "11.2")
@pytest.mark.parametrize("kind", ["RSA", "EC", "OKP"])
@pytest.mark.parametrize("algorithm", [None, "ECDH-ES+A256KW", "RSA-OAEP"])
def test_a_token_is_encrypted_to_the_key_of_the_resource(tmp_path: Any, kind: str, algorithm: str | None) -> None:
    key = encryption_key(kind)
    if algorithm is not None and ("RSA" in algorithm) is (kind == "RSA"):
        key["alg"] = algorithm
    issuer = Issuer(tmp_path, encryption_key=public_of(key))
    issuer.start()
    try:
        token = issuer.token()
        header = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
        usual = "RSA-OAEP-256" if kind == "RSA" else "ECDH-ES"
        assert (header["alg"], header["cty"], header["kid"]) == (key.get("alg", usual), "JWT", key["kid"])
        assert token.count(".") == 4
        files, other = (Files(issuer, decryption_keys=[one]) for one in (key, encryption_key(kind)))
        assert files.call(token).get_json()["client"] == "web"
        assert other.call(token).status_code == 401
        assert Files(issuer).call(token).status_code == 401
        plain = jwe.decrypt_compact(token, import_key(key), algorithms=[header["alg"], "A256GCM"]).plaintext or b""
        assert files.call(plain.decode()).status_code == 401
        assert Files(issuer).call(plain.decode()).status_code == 200
    finally:
        issuer.stop()


def test_encrypted_content_of_another_type_is_no_token(issuer: Issuer) -> None:
    key = encryption_key("EC")
    files = Files(issuer, decryption_keys=[key])
    header = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": key["kid"]}
    for members, status in (({"cty": "JWT"}, 200), ({}, 401), ({"cty": "at+jwt"}, 401)):
        token = jwe.encrypt_compact({**header, **members}, issuer.token().encode(), import_key(public_of(key)))
        assert files.call(token).status_code == status
    garbage = jwe.encrypt_compact({**header, "cty": "JWT"}, b"\xff", import_key(public_of(key)))
    assert files.call(garbage).status_code == 401


def test_a_decryption_key_that_cannot_be_used_is_an_error_at_the_start(issuer: Issuer) -> None:
    with pytest.raises(ConfigurationError, match="a key of decryption_keys cannot be used: the key has an unknown kty"):
        Files(issuer, decryption_keys=[{}])


def test_the_document_at_the_root_is_that_of_the_whole_application(issuer: Issuer) -> None:
    files = Files(issuer, audience=f"{FILES}/v1")
    files.guards.protect_mcp("/mcp", "mail")
    found = [
        files.call(None, f"/.well-known/oauth-protected-resource{path}").get_json()["resource"]
        for path in ("", "/v1", "/v1/mcp")
    ]
    assert found == [f"{FILES}/v1", f"{FILES}/v1", f"{FILES}/v1/mcp"]


@pytest.mark.spec("rfc9470", "6.1")
@pytest.mark.spec("rfc9470", "6.2")
@pytest.mark.parametrize("introspection", [{}, INTROSPECTION])
def test_a_guard_may_require_how_and_when_the_user_signed_in(issuer: Issuer, introspection: Any) -> None:
    files, site, users = Files(issuer, **introspection), issuer.site, [User(id="ada")]
    site.add_client("files", INTROSPECTION["client_secret"], resource_server=True)
    site.provider._current_user = lambda: users[-1]

    @files.app.get("/pay")
    @files.guards.require_oauth("write", acr="urn:example:two-factor", max_age=60)
    def pay() -> Any:
        return [current_token.acr, current_token.auth_time]

    def token_of(user: User) -> str:
        users.append(user)
        page = site.ask(scope="write", resource=FILES)
        code = answer_of(site.allow(page) if page.status_code == 200 else page)["code"]
        return str(site.redeem(code, ("web", issuer.secret)).get_json()["access_token"])

    now = int(site.clock.now)
    token = token_of(User(id="ada", acr="urn:example:two-factor", auth_time=now))
    assert files.call(token, "/pay").get_json() == ["urn:example:two-factor", now]
    assert files.call(token_of(User(id="ada", auth_time=now)), "/pay").status_code == 401
    site.clock.forward(61)
    challenge = files.call(token, "/pay").www_authenticate
    assert challenge["error"] == "insufficient_user_authentication"
    assert (challenge["acr_values"], challenge["max_age"]) == ("urn:example:two-factor", "60")


@pytest.mark.spec("rfc9396", "9.1")
@pytest.mark.spec("rfc9396", "9.2")
@pytest.mark.parametrize("introspection", [{}, INTROSPECTION])
def test_a_resource_server_elsewhere_reads_authorization_details(issuer: Issuer, introspection: Any) -> None:
    files, site, detail = Files(issuer, **introspection), issuer.site, {"type": "folder", "identifier": "7"}
    site.add_client("files", INTROSPECTION["client_secret"], resource_server=True)
    issuer.secret = site.add_client(metadata={"authorization_details_types": ["folder"]})

    @files.app.get("/details")
    @files.guards.require_oauth
    def details() -> Any:
        return current_token.authorization_details

    form = {"resource": FILES, "authorization_details": json.dumps([detail])}
    token = site.token("client_credentials", ("web", issuer.secret), **form).get_json()["access_token"]
    assert files.call(token, "/details").get_json() == [detail]
    assert files.call(issuer.token(), "/details").get_json() == []
