"""Grants, response types, token types and formats from outside: one class or function, and one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from flask_oauth2 import (
    AccessToken,
    Approval,
    Authorization,
    Call,
    Client,
    ConfigurationError,
    Credentials,
    Endpoint,
    InvalidClient,
    InvalidGrant,
    InvalidRequest,
    InvalidToken,
    Issued,
    ProofContext,
    Resource,
    Response,
    Token,
    TokenGrant,
    TokenRequest,
    current_token,
    hash_secret,
    values,
)
from flask_oauth2.testing import register_client
from oauth_site import CALLBACK, NOW, VERIFIER, Site, answer_of

KEYS = {"k1": "ada"}


def add_api_key(site: Site, **issue: Any) -> None:
    @site.provider.grant_type("urn:example:api-key")
    def api_key(request: TokenRequest) -> TokenGrant:
        owner = KEYS.get(request.form.require("api_key"))
        if owner is None:
            raise InvalidGrant("unknown api_key")
        return TokenGrant(request.authorization(user_id=owner, claims={"tenant": 7}), **issue)


def ask(site: Site, **form: Any) -> Any:
    secret = site.add_client(grant_types=("urn:example:api-key", "refresh_token"))
    return site.token("urn:example:api-key", ("web", secret), **form)


@pytest.mark.spec("rfc6749", "4.5")
def test_an_extension_grant_issues_tokens(site: Site) -> None:
    add_api_key(site)
    tokens = ask(site, api_key="k1", scope="profile").get_json()
    assert site.call(tokens["access_token"]).get_json()["user"] == "ada"
    assert "refresh_token" not in tokens
    for form, code in [({"api_key": "k2"}, "invalid_grant"), ({}, "invalid_request")]:
        answer = ask(site, **form)
        assert (answer.status_code, answer.get_json()["error"]) == (400, code)
    assert ask(site, api_key="k1", scope="unknown").get_json()["error"] == "invalid_scope"


@pytest.mark.parametrize("token_format", ["opaque", "signed"])
def test_a_view_that_changes_the_claims_changes_no_other_request(site: Site, token_format: str) -> None:
    @site.provider.grant_type("urn:example:api-key")
    def api_key(request: TokenRequest) -> TokenGrant:
        return TokenGrant(request.authorization(user_id="ada", claims={"tenants": [7]}), format=token_format)

    seen = []

    @site.app.get("/changing")
    @site.provider.require_oauth()
    def view() -> str:
        claims: Any = current_token.claims
        seen.append(str(claims))
        claims["tenants"].append(8)
        claims["admin"] = True
        return ""

    tokens = ask(site).get_json()
    for _ in range(2):
        assert site.call(tokens["access_token"], "/changing").status_code == 200
    assert seen == ["{'tenants': [7]}"] * 2


def test_a_client_needs_the_grant(site: Site) -> None:
    add_api_key(site)
    answer = site.token("urn:example:api-key", ("web", site.add_client()), api_key="k1")
    assert answer.get_json()["error"] == "unauthorized_client"


def test_the_fields_of_a_token_grant(site: Site) -> None:
    add_api_key(site, refresh=True, lifetime=60, scope=("profile",), format="signed", answer={"hint": "x"})
    tokens = ask(site, api_key="k1").get_json()
    assert tokens["expires_in"] == 60
    assert tokens["scope"] == "profile"
    assert tokens["access_token"].startswith("ost_")
    assert tokens["hint"] == "x"
    secret = site.add_client(grant_types=("refresh_token",))
    again = site.refresh(tokens["refresh_token"], secret).get_json()
    assert again["scope"] == "profile mail write"
    described = site.post("/introspect", ("web", secret), token=again["access_token"]).get_json()
    assert described["tenant"] == 7
    described = site.post("/introspect", ("web", secret), token=tokens["access_token"]).get_json()
    assert described["tenant"] == 7


def test_a_grant_must_return_a_token_grant_with_a_user(site: Site) -> None:
    results: list[Any] = []
    site.provider.grant_type("urn:example:nothing")(lambda request: results.pop(0)(request))
    auth = ("web", site.add_client(grant_types=("urn:example:nothing",)))
    results.append(lambda request: None)
    with pytest.raises(ConfigurationError, match="urn:example:nothing must return a TokenGrant"):
        site.token("urn:example:nothing", auth)
    results.append(lambda request: TokenGrant(request.authorization(user_id=request.form.get("missing"))))
    with pytest.raises(TypeError, match="a user needs"):
        site.token("urn:example:nothing", auth)


def without(name: str, kind: type) -> Any:
    """Return a part that lacks a member of its kind."""
    members = {key: value for key, value in vars(kind).items() if key != name and not key.startswith("__")}
    return type(kind.__name__, (), members)()


async def nothing(*args: object) -> None:
    """Accept nothing: the provider does not await parts."""


def asynchronous(kind: type, method: str) -> Any:
    async def run(self: object, *args: object) -> None:
        """Accept nothing: the provider does not await parts."""

    return type(kind.__name__, (kind,), {method: run})()


@pytest.mark.parametrize("answer", [False, True])
def test_a_binding_that_returns_a_value_verifies_no_token(site: Site, answer: bool) -> None:
    class Wrong(KnockBinding):
        def verify(self, *args: Any) -> Any:
            return answer

    site.provider.register_token_type(Knock())
    site.provider.register_binding(Wrong())
    auth, headers = ("web", site.add_client()), {"Knock": "tock"}
    token = site.http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=auth, headers=headers)
    headers = {"Authorization": f"Knock {token.get_json()['access_token']}", "Knock": "tock"}
    with pytest.raises(ConfigurationError, match=r"Wrong.verify\(\) must return None, not bool"):
        site.http.get("/api/me", headers=headers)


@pytest.mark.parametrize(
    ("register", "part", "said"),
    [
        ("register_token_format", lambda: without("generate", Short), r"needs the method generate\(\) of ReferenceF"),
        ("register_token_format", lambda: without("write", Plain), r"needs the method write\(\) of SelfContainedF"),
        ("register_token_format", lambda: without("name", Short), "needs the attribute name of ReferenceFormat"),
        (
            "register_token_format",
            lambda: type("Short", (), {"name": "short", "generate": lambda self, access: ""})(),
            r"generate\(\) must take the arguments \(timestamp, client, resource\)",
        ),
        ("register_token_format", lambda: type("Short", (Short,), {"name": 7})(), "the name of Short must be text"),
        ("register_token_type", lambda: without("read", Knock), r"needs the method read\(\) of TokenType"),
        ("register_binding", lambda: without("members", KnockBinding), "needs the attribute members of Binding"),
        ("register_response_type", lambda: without("mode", Nothing), "needs the attribute mode of ResponseType"),
        ("register_client_auth_method", lambda: without("verify", Badge), r"method verify\(\) of ClientAuthMethod"),
        ("register_endpoint", lambda: Endpoint(name="x", path="/x", specification=""), "x needs a respond function"),
        ("register_client_auth_method", lambda: asynchronous(Badge, "verify"), r"Badge.verify\(\) must not be async"),
        ("register_binding", lambda: asynchronous(KnockBinding, "prove"), r"prove\(\) must not be asynchronous"),
        ("register_token_format", lambda: asynchronous(Short, "generate"), r"generate\(\) must not be asynchronous"),
        (
            "register_endpoint",
            lambda: Endpoint(name="x", path="/x", specification="", respond=nothing),  # type: ignore[arg-type]
            "respond of the endpoint x must not be asynchronous",
        ),
    ],
)
def test_an_incomplete_extension_is_rejected_at_registration(
    site: Site, register: str, part: Callable[[], Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        getattr(site.provider, register)(part())


def test_a_response_type_is_registered_once(site: Site) -> None:
    both = Nothing()
    both.name = "none code"
    with pytest.raises(ConfigurationError, match="must not contain spaces"):
        site.provider.register_response_type(both)


def test_the_user_id_of_an_authorization_is_validated(site: Site) -> None:
    class User:
        id = 7

    seen: list[Any] = []

    @site.provider.grant_type("urn:example:who")
    def who(request: TokenRequest) -> TokenGrant:
        seen.append(request.authorization(user_id=User(), scope="profile mail"))
        with pytest.raises(TypeError):
            request.authorization(user_id=True)
        for unkeepable in ("", "x" * 256, "a\0b", "\ud800"):
            with pytest.raises(ValueError, match="printable"):
                request.authorization(user_id=unkeepable)
        return TokenGrant(seen[0], lifetime=0)

    secret = site.add_client(grant_types=("urn:example:who",))
    answer = site.token("urn:example:who", ("web", secret)).get_json()
    assert (seen[0].user_id, seen[0].scope) == ("7", ("profile", "mail"))
    assert answer["expires_in"] == 0
    assert not site.is_alive(answer["access_token"])


def test_an_unknown_token_format_is_unauthorized_client(site: Site) -> None:
    answer = site.token("client_credentials", ("web", site.add_client(token_format="gone")))
    assert (answer.status_code, answer.get_json()["error"]) == (400, "unauthorized_client")


def test_built_in_names_cannot_be_registered(site: Site) -> None:
    provider = site.provider
    for register, part, name in [
        (provider.register_response_type, Nothing(), "code"),
        (provider.register_token_type, Knock(), "bearer"),
        (provider.register_token_format, Plain(), "opaque"),
        (provider.register_client_auth_method, Badge(), "client_secret_basic"),
    ]:
        part.name = name  # type: ignore[attr-defined]
        part.accepts = frozenset({name})  # type: ignore[attr-defined]
        with pytest.raises(ConfigurationError, match="registered already"):
            register(part)


def test_a_token_grant_cannot_extend_the_lifetime(site: Site) -> None:
    add_api_key(site, lifetime=10**9)
    assert ask(site, api_key="k1").get_json()["expires_in"] == 3600


def test_registrations_are_validated_and_end_with_the_first_request(site: Site) -> None:
    with pytest.raises(ConfigurationError, match="absolute URI"):
        site.provider.grant_type("api_key")
    add_api_key(site)
    add_api_key(site)  # the same function again
    with pytest.raises(ConfigurationError, match="registered already"):
        site.provider.grant_type("urn:example:api-key")(lambda request: TokenGrant(request.authorization()))
    site.http.get("/.well-known/oauth-authorization-server")
    with pytest.raises(ConfigurationError, match="before the first request"):
        site.provider.grant_type("urn:example:other")(lambda request: TokenGrant(request.authorization()))
    for register in (site.provider.usergetter, site.provider.current_user, site.provider.userloader):
        with pytest.raises(ConfigurationError, match=r"before the first request|registered already"):
            register(lambda *_: None)


class Nothing:
    """``response_type=none`` of Multiple Response Types, section 4."""

    name = "none"
    grant_type = "authorization_code"
    mode = "query"

    def respond(self, server: Any, approval: Approval, answer: Mapping[str, str]) -> Any:
        return {}, ()


@pytest.mark.spec("oauth-v2-multiple-response-types-1_0", "4")
def test_a_custom_response_type(site: Site) -> None:
    site.provider.register_response_type(Nothing())
    site.add_client(response_types=("none", "code"))
    site.sign_in()
    answer = site.allow(site.ask(response_type="none", code_challenge=None))
    assert answer_of(answer) == {"shop": "7", "state": "st-1", "iss": "https://login.example"}
    assert answer_of(site.ask(response_type="code none"))["error"] == "unsupported_response_type"
    document = site.http.get("/.well-known/oauth-authorization-server").get_json()
    assert document["response_types_supported"] == ["code", "none"]


class Plain:
    """A self-contained format that only a test would use: the key and the scope in the clear."""

    name = "plain"

    def write(self, access: AccessToken, client: Client, resource: Resource | None) -> str:
        return f"plain.{values.text(access.token_hash)}.{'.'.join(access.scope)}"

    def read(self, value: str) -> AccessToken | None:
        word, _, rest = value.partition(".")
        if word != "plain":
            return None
        key, *scope = rest.split(".")
        return AccessToken(
            token_hash=values.from_text(key),
            authorization_id="family",
            client_id="web",
            user_id=None,
            scope=tuple(scope),
            type="Bearer",
            issued_at=int(NOW),
            expires_at=int(NOW) + 10,
        )


class Short:
    """A reference of another shape."""

    name = "short"

    def generate(self, timestamp: bytes, client: Client, resource: Resource | None) -> str:
        return values.text(values.new_id(NOW))


def test_a_custom_request_uri_resolver(site: Site) -> None:
    site.provider.register_token_format(Short())
    auth = ("web", site.add_client(token_format="short"))
    token = site.token("client_credentials", auth, scope="profile").get_json()["access_token"]
    assert len(token) == 22
    assert site.is_alive(token)
    assert not site.is_alive(token[:-1])
    site.post("/revoke", auth, token=token)
    assert not site.is_alive(token)


def test_a_custom_token_format(site: Site) -> None:
    site.provider.register_token_format(Plain())
    auth = ("web", site.add_client(token_format="plain"))
    token = site.token("client_credentials", auth, scope="profile").get_json()["access_token"]
    assert token.startswith("plain.")
    assert site.is_alive(token)
    site.post("/revoke", auth, token=token)
    assert not site.is_alive(token), "the mark is looked at whatever the format"


class Knock:
    """A token type: an HTTP authentication scheme."""

    name = "Knock"

    def read(self, credentials: str) -> str:
        return credentials


class KnockBinding:
    """A binding: the token is good only with the knock that it was issued to."""

    name = "knock"
    token_type = "Knock"
    members = frozenset({"knock"})

    def prove(self, request: Any, context: ProofContext) -> dict[str, Any] | None:
        knock = request.headers.get("Knock", "")
        if knock == "wrong":
            raise InvalidRequest("the knock is wrong")
        assert context.client is not None
        context.headers["Knock-Heard"] = context.client.client_id
        return {"knock": knock} if knock else None

    def verify(self, access: AccessToken, request: Any, context: ProofContext) -> None:
        assert access.confirmation is not None
        if access.confirmation["knock"] != request.headers.get("Knock", ""):
            raise InvalidToken("the knock is another")
        context.headers["Knock-Heard"] = context.token[:4]


@pytest.mark.spec("rfc6749", "8.1")
def test_a_custom_token_type_and_binding(site: Site) -> None:
    site.provider.register_token_type(Knock())
    site.provider.register_binding(KnockBinding())
    auth = ("web", site.add_client())
    answer = site.http.post(
        "/oauth/token", data={"grant_type": "client_credentials"}, auth=auth, headers={"Knock": "tock"}
    )
    assert answer.headers["Knock-Heard"] == "web"
    token = answer.get_json()["access_token"]
    assert answer.get_json()["token_type"] == "Knock"

    def call(scheme: str, knock: str) -> int:
        headers = {"Authorization": f"{scheme} {token}", "Knock": knock}
        return site.http.get("/api/me", headers=headers).status_code

    description = site.post("/introspect", auth, token=token).get_json()
    assert (description["token_type"], description["cnf"]) == ("Knock", {"knock": "tock"})
    assert call("Knock", "tock") == 200
    assert call("Knock", "tick") == 401
    assert call("Bearer", "tock") == 401, "a bound token is no bearer token"
    headers = {"Authorization": f"Knock {token}", "Knock": "tock"}
    assert site.http.get("/api/me", headers=headers).headers["Knock-Heard"] == "oat_"
    refused = site.http.post(
        "/oauth/token", data={"grant_type": "client_credentials"}, auth=auth, headers={"Knock": "wrong"}
    )
    assert (refused.status_code, refused.get_json()["error"]) == (400, "invalid_request")
    challenge = site.http.get("/api/me").headers["WWW-Authenticate"]
    assert challenge == 'Knock realm="oauth2", scope="profile", Bearer realm="oauth2", scope="profile"'
    unbound = site.token("client_credentials", auth).get_json()
    assert unbound["token_type"] == "Bearer"
    assert "cnf" not in site.post("/introspect", auth, token=unbound["access_token"]).get_json()


class Seal:
    """A binding whose tokens stay bearer tokens, as those that are bound to a certificate do."""

    name = "seal"
    token_type = "Bearer"
    members = frozenset({"seal"})

    def prove(self, request: Any, context: ProofContext) -> dict[str, Any] | None:
        seal = request.headers.get("Seal", "")
        return {"seal": seal} if seal else None

    def verify(self, access: AccessToken, request: Any, context: ProofContext) -> None:
        if not access.confirmation or access.confirmation["seal"] != request.headers.get("Seal", ""):
            raise InvalidToken("the seal is another")


def test_several_bindings_confirm_one_token(site: Site) -> None:
    for binding in (KnockBinding(), Seal()):
        site.provider.register_binding(binding)
    site.provider.register_token_type(Knock())
    auth = ("web", site.add_client())
    both = {"Knock": "tock", "Seal": "s"}
    answer = site.http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=auth, headers=both)
    token = answer.get_json()
    assert token["token_type"] == "Knock"
    for sent, status in [(both, 200), ({"Knock": "tock"}, 401), ({"Seal": "s"}, 401)]:
        headers = {"Authorization": f"Knock {token['access_token']}", **sent}
        assert site.http.get("/api/me", headers=headers).status_code == status


@pytest.mark.parametrize("token_format", ["opaque", "signed"])
def test_a_confirmation_that_no_binding_verifies_rejects_the_token(
    site: Site, token_format: str, caplog: pytest.LogCaptureFixture
) -> None:
    record = AccessToken(
        token_hash=values.new_id(NOW),
        authorization_id=values.new_authorization_id(NOW),
        client_id="web",
        user_id=None,
        scope=("profile",),
        type="Bearer",
        issued_at=int(NOW),
        expires_at=int(NOW) + 10,
        confirmation={"jkt": "thumbprint"},
    )
    if token_format == "signed":
        formats = site.server.capabilities.self_contained_formats
        value = formats["signed"].write(record, Client(client_id="web"), None)
    else:
        value = values.new("oat", values.timestamp(NOW))
        authorization = Authorization(id=record.authorization_id, client_id="web", user_id=None, scope=("profile",))
        row = Token(access=replace(record, token_hash=values.key(value)), authorization=authorization)
        site.server.store.issue(None, [row], int(NOW))
    answer = site.http.get("/api/me", headers={"Authorization": f"Bearer {value}"})
    assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_token")
    assert "a binding for jkt" in caplog.text


@pytest.mark.parametrize(("auth_method", "status"), [("none", 400), ("client_secret_basic", 200)])
def test_a_refresh_token_of_a_public_client_stays_bound(site: Site, auth_method: str, status: int) -> None:
    site.provider.register_binding(Seal())
    secret = site.add_client(secret=None if auth_method == "none" else "generated", auth_method=auth_method)
    form = {"client_id": "web", "client_secret": secret} if secret else {"client_id": "web"}

    def send(seal: str, **fields: str) -> Any:
        return site.http.post("/oauth/token", data=form | fields, headers={"Seal": seal} if seal else {})

    code = {
        "grant_type": "authorization_code",
        "code": site.authorize(client_id="web")["code"],
        "code_verifier": VERIFIER,
    }
    refresh = send("s", **code, redirect_uri=CALLBACK).get_json()["refresh_token"]
    for seal in ("", "other"):
        assert send(seal, grant_type="refresh_token", refresh_token=refresh).status_code == status
        if status == 200:
            return
    again = send("s", grant_type="refresh_token", refresh_token=refresh)
    assert again.status_code == 200, "a wrong proof consumes nothing"


def test_functions_complete_a_token_response(site: Site) -> None:
    seen: list[Issued] = []

    @site.provider.register_answer_members
    def digest(issued: Issued) -> Mapping[str, Any] | None:
        seen.append(issued)
        if issued.client.name == "reject":
            raise InvalidRequest("not for you")
        return {"digest": values.text(values.key(issued.access_token)), "token_type": "Other"}

    @site.provider.register_answer_members
    def nothing(issued: Issued) -> None:
        assert issued.refresh_token is None

    auth = ("web", site.add_client())
    answer = site.token("client_credentials", auth).get_json()
    assert answer["digest"] == values.text(values.key(answer["access_token"])) == values.text(seen[0].access.token_hash)
    assert answer["token_type"] == "Bearer", "what RFC 6749 defines cannot be replaced"
    assert (seen[0].grant_type, seen[0].authorization.client_id) == ("client_credentials", "web")
    auth = ("web", site.add_client(name="reject"))
    assert site.token("client_credentials", auth).get_json()["error"] == "invalid_request"
    assert not site.is_alive(seen[-1].access_token), "nothing was saved"


class TestEndpoint:
    """An endpoint from outside."""

    @pytest.fixture
    def site(self, site: Site) -> Site:
        site.provider.register_endpoint(
            Endpoint(
                name="echo",
                path="/echo",
                specification="example",
                respond=lambda call: Response(200, {"client": call.client.client_id, "text": call.form.get("text")}),
                authentication="confidential",
                requires=frozenset({"text"}),
                cors="clients",
                describe=lambda server, url: {"echo_endpoint": url},
            )
        )
        site.provider.register_endpoint(
            Endpoint(name="open", path="/open", specification="example", methods=("GET",), respond=self.open)
        )
        return site

    @staticmethod
    def open(call: Call) -> Response:
        with pytest.raises(LookupError, match="authenticates no client"):
            _ = call.client
        return Response(200, {"at": int(call.now)})

    def test_a_custom_endpoint_responds_and_is_in_the_metadata(self, site: Site) -> None:
        auth = ("web", site.add_client())
        assert site.post("/echo", auth, text="hello").get_json() == {"client": "web", "text": "hello"}
        assert site.http.get("/oauth/open").get_json() == {"at": int(NOW)}
        document = site.http.get("/.well-known/oauth-authorization-server").get_json()
        assert document["echo_endpoint"] == "https://login.example/oauth/echo"

    def test_a_custom_endpoint_authenticates_its_client(self, site: Site) -> None:
        secret = site.add_client()
        for auth, form, status in [
            (("web", secret), {}, 400),
            (("web", "wrong"), {"text": "hello"}, 401),
            (None, {"text": "hello"}, 401),
        ]:
            assert site.post("/echo", auth, **form).status_code == status
        site.add_client("public", secret=None)
        assert site.post("/echo", None, text="hello", client_id="public").status_code == 401
        assert site.http.get("/oauth/echo").status_code == 405

    def test_a_custom_endpoint_allows_origins_of_clients(self, site: Site) -> None:
        site.add_client("spa", secret=None, redirect_uris=("https://app.example/cb",))
        headers = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
        answer = site.http.options("/oauth/echo", headers=headers)
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"

    def test_a_custom_endpoint_cannot_use_a_built_in_name(self, site: Site) -> None:
        with pytest.raises(ConfigurationError, match="registered already"):
            site.provider.register_endpoint(
                Endpoint(name="token", path="/other", specification="", respond=lambda call: Response(200))
            )


class Badge:
    """A client authentication method: a header."""

    name = "badge"
    scheme = None
    accepts = frozenset({"badge"})

    def present(self, request: Any, form: Any) -> Any:
        badge = request.headers.get("Badge", "")
        return Credentials(form.require("client_id"), badge) if badge else None

    def verify(self, server: Any, client: Client | None, credentials: Any, now: float) -> None:
        if credentials.proof != "gold":
            raise InvalidClient("client authentication failed")


class ApiKey(Badge):
    """The same in an Authorization header of a scheme of its own."""

    name = "api_key"
    scheme = "ApiKey"
    accepts = frozenset({"api_key"})

    def present(self, request: Any, form: Any) -> Any:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        return Credentials(key, "gold") if scheme.lower() == "apikey" else None


@pytest.mark.spec("rfc6749", "2.3.2")
def test_a_custom_authorization_scheme(site: Site) -> None:
    site.provider.register_client_auth_method(ApiKey())
    site.add_client(auth_method="api_key")
    form = {"grant_type": "client_credentials"}
    for scheme, status in [("ApiKey", 200), ("apikey", 200), ("OtherKey", 401), ("Basic", 401)]:
        answer = site.http.post("/oauth/token", data=form, headers={"Authorization": f"{scheme} web"})
        assert answer.status_code == status
    # "include the "WWW-Authenticate" response header field matching the authentication scheme used by the client"
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="oauth2", Apikey realm="oauth2"'


@pytest.mark.spec("rfc6749", "2.3.2")
def test_a_custom_client_authentication_method(site: Site) -> None:
    site.provider.register_client_auth_method(Badge())
    site.add_client(auth_method="badge")
    form = {"grant_type": "client_credentials", "client_id": "web"}

    def ask(badge: str, **more: str) -> int:
        headers = {"Badge": badge} if badge else {}
        return site.http.post("/oauth/token", data=form | more, headers=headers).status_code

    assert ask("gold") == 200
    assert ask("tin") == 401
    assert ask("") == 401
    assert ask("gold", client_secret="x") == 400
    assert "badge" in site.http.get("/.well-known/oauth-authorization-server").text


class PreparedBadge(Badge):
    """A badge that the operator hands out to each client."""

    name = "prepared_badge"
    accepts = frozenset({"prepared_badge"})
    is_registrable = False

    def present(self, request: Any, form: Any) -> Any:
        return None


class SecretHeader(Badge):
    """A secret in a header."""

    name = "secret_header"
    accepts = frozenset({"secret_header"})
    needs_secret = True

    def present(self, request: Any, form: Any) -> Any:
        secret = request.headers.get("Client-Secret", "")
        return Credentials(form.require("client_id"), secret) if secret else None

    def verify(self, server: Any, client: Client | None, credentials: Any, now: float) -> None:
        if client is None or hash_secret(credentials.proof) != client.secret:
            raise InvalidClient("client authentication failed")


@pytest.fixture
def method_site(new_site: Any) -> Site:
    """An application with three registered client authentication methods and open registration."""
    site: Site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_REGISTRATION_SCOPES="profile")
    for method in (Badge(), PreparedBadge(), SecretHeader()):
        site.provider.register_client_auth_method(method)
    return site


def register_with(site: Site, method: str, **more: Any) -> Any:
    metadata = {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": method, **more}
    return site.http.post("/oauth/register", json=metadata)


def test_an_authentication_method_that_returns_false_authenticates_no_client(site: Site) -> None:
    class Wrong(Badge):
        def verify(self, *args: Any) -> Any:
            return False

    site.provider.register_client_auth_method(Wrong())
    site.add_client(auth_method="badge", secret=None)
    form = {"grant_type": "client_credentials", "client_id": "web"}
    with pytest.raises(ConfigurationError, match=r"Wrong.verify\(\) must return None, not bool"):
        site.http.post("/oauth/token", data=form, headers={"Badge": "gold"})


@pytest.mark.spec("rfc7591", "2")
def test_a_client_registers_with_a_registered_method_that_needs_no_secret(method_site: Site) -> None:
    made = register_with(method_site, "badge").get_json()
    assert made["token_endpoint_auth_method"] == "badge"
    assert "client_secret" not in made
    assert method_site.store.get_client(made["client_id"]).secret is None
    form = {"grant_type": "authorization_code", "code": "unknown", "client_id": made["client_id"]}
    for badge, error in (("tin", "invalid_client"), ("gold", "invalid_grant")):
        answer = method_site.http.post("/oauth/token", data=form, headers={"Badge": badge})
        assert answer.get_json()["error"] == error


@pytest.mark.spec("rfc7591", "2")
def test_a_client_registers_with_a_registered_method_that_needs_a_secret(method_site: Site) -> None:
    made = register_with(method_site, "secret_header").get_json()
    assert made["client_secret_expires_at"] == 0
    form = {"grant_type": "authorization_code", "code": "unknown", "client_id": made["client_id"]}
    for secret, error in (("wrong", "invalid_client"), (made["client_secret"], "invalid_grant")):
        answer = method_site.http.post("/oauth/token", data=form, headers={"Client-Secret": secret})
        assert answer.get_json()["error"] == error


@pytest.mark.spec("rfc7592", "2.2")
def test_a_client_that_changes_its_method_loses_or_receives_a_secret(method_site: Site) -> None:
    made = register_with(method_site, "client_secret_basic").get_json()
    url, token = f"/oauth/register/{made['client_id']}", made["registration_access_token"]
    for method, has_secret in (("badge", False), ("secret_header", True), ("none", False)):
        asked = {"client_id": made["client_id"], "redirect_uris": [CALLBACK], "token_endpoint_auth_method": method}
        told = method_site.http.put(url, json=asked, headers={"Authorization": f"Bearer {token}"}).get_json()
        token = told["registration_access_token"]
        assert ("client_secret" in told) is has_secret
        assert (method_site.store.get_client(made["client_id"]).secret is not None) is has_secret


@pytest.mark.spec("rfc7591", "3.2.2")
@pytest.mark.parametrize("method", ["prepared_badge", "unknown", "Badge", ""])
def test_a_method_that_is_not_registrable_is_invalid_client_metadata(method_site: Site, method: str) -> None:
    answer = register_with(method_site, method or "badge,none")
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_client_metadata")
    assert (
        "none, client_secret_basic, client_secret_post, private_key_jwt, badge, secret_header"
        in answer.get_json()["error_description"]
    )


def test_the_command_line_knows_registered_methods(sql_site: Site) -> None:
    for method in (Badge(), PreparedBadge(), SecretHeader()):
        sql_site.provider.register_client_auth_method(method)
    runner = sql_site.app.test_cli_runner()

    def create(method: str) -> Any:
        arguments = ["create", method, "--auth-method", method, "--client-id", method, "--json"]
        return runner.invoke(args=["oauth2", "client", *arguments])

    for method, has_secret in (("badge", False), ("prepared_badge", False), ("secret_header", True)):
        assert ("client_secret" in create(method).output) is has_secret
        assert sql_site.store.get_client(method).auth_method == method
    refused = create("unknown")
    assert refused.exit_code == 2
    assert "client_secret_post, private_key_jwt, badge, prepared_badge, secret_header" in refused.stderr
    rotated = runner.invoke(args=["oauth2", "client", "rotate-secret", "secret_header"])
    assert rotated.exit_code == 0
    assert runner.invoke(args=["oauth2", "client", "rotate-secret", "badge"]).exit_code == 1
    assert "registered method" in runner.invoke(args=["oauth2", "client", "create", "--help"]).output


def test_the_test_kit_registers_clients_with_registered_methods(method_site: Site) -> None:
    for method, has_secret in (("badge", False), ("prepared_badge", False), ("secret_header", True), ("none", False)):
        registered = register_client(method_site.app, auth_method=method)
        assert registered.client.auth_method == method
        assert (registered.secret is not None) is has_secret
    assert register_client(method_site.app, auth_method="none").client.is_public
    with pytest.raises(ValueError, match="'unknown' is not a known method"):
        register_client(method_site.app, auth_method="unknown")
    with pytest.raises(ValueError, match="remove is_public or auth_method"):
        register_client(method_site.app, is_public=True, auth_method="badge")
