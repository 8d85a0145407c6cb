"""Grants, response types, token types and formats from outside: one class or function, and one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from flask_oauth2 import (
    AccessToken,
    Approval,
    Client,
    ConfigurationError,
    InvalidGrant,
    InvalidToken,
    Issue,
    TokenRequest,
    current_token,
    values,
)
from oauth_site import NOW, Site, answer_of

KEYS = {"k1": "ada"}


def add_api_key(site: Site, **issue: Any) -> None:
    @site.provider.grant_type("urn:example:api-key")
    def api_key(request: TokenRequest) -> Issue:
        owner = KEYS.get(request.form.require("api_key"))
        if owner is None:
            raise InvalidGrant("unknown api_key")
        return Issue(request.authorization(user_id=owner, claims={"tenant": 7}), **issue)


def ask(site: Site, **form: Any) -> Any:
    secret = site.add_client(grant_types=("urn:example:api-key", "refresh_token"))
    return site.token("urn:example:api-key", ("web", secret), **form)


@pytest.mark.spec("rfc6749", "4.5")
def test_an_extension_grant(site: Site) -> None:
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
    def api_key(request: TokenRequest) -> Issue:
        return Issue(request.authorization(user_id="ada", claims={"tenants": [7]}), format=token_format)

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


def test_what_an_issue_may_say(site: Site) -> None:
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


def test_a_grant_returns_an_issue_and_names_whom_it_is_of(site: Site) -> None:
    results: list[Any] = []
    site.provider.grant_type("urn:example:nothing")(lambda request: results.pop(0)(request))
    auth = ("web", site.add_client(grant_types=("urn:example:nothing",)))
    results.append(lambda request: None)
    with pytest.raises(TypeError, match="urn:example:nothing must return an Issue"):
        site.token("urn:example:nothing", auth)
    results.append(lambda request: Issue(request.authorization(user_id=request.form.get("missing"))))
    with pytest.raises(TypeError, match="a user needs"):
        site.token("urn:example:nothing", auth)


def test_a_format_that_files_under_the_wrong_key_is_said(site: Site) -> None:
    class Wrong(Short):
        name = "wrong"

        def mint(self, access: AccessToken) -> tuple[str, bytes]:
            return "value", access.key

    site.provider.register_token_format(Wrong())
    auth = ("web", site.add_client(token_format="wrong"))
    with pytest.raises(ConfigurationError, match="wrong returned the wrong key"):
        site.token("client_credentials", auth)


def test_a_response_type_has_one_name(site: Site) -> None:
    both = Nothing()
    both.name = "none code"
    with pytest.raises(ConfigurationError, match="one name"):
        site.provider.register_response_type(both)


def test_whom_an_authorization_is_of(site: Site) -> None:
    class User:
        id = 7

    seen: list[Any] = []

    @site.provider.grant_type("urn:example:who")
    def who(request: TokenRequest) -> Issue:
        seen.append(request.authorization(user_id=User(), scope="profile mail"))
        with pytest.raises(TypeError):
            request.authorization(user_id=True)
        for unkeepable in ("", "x" * 256, "a\0b", "\ud800"):
            with pytest.raises(ValueError, match="printable"):
                request.authorization(user_id=unkeepable)
        return Issue(seen[0], lifetime=0)

    secret = site.add_client(grant_types=("urn:example:who",))
    answer = site.token("urn:example:who", ("web", secret)).get_json()
    assert (seen[0].user_id, seen[0].scope) == ("7", ("profile", "mail"))
    assert answer["expires_in"] == 0
    assert not site.is_alive(answer["access_token"])


def test_a_format_that_is_gone_is_said(site: Site) -> None:
    answer = site.token("client_credentials", ("web", site.add_client(token_format="gone")))
    assert (answer.status_code, answer.get_json()["error"]) == (400, "unauthorized_client")


def test_nothing_is_registered_over_what_is_built_in(site: Site) -> None:
    provider = site.provider
    for register, part, name in [
        (provider.register_response_type, Nothing(), "code"),
        (provider.register_token_type, Knock(), "bearer"),
        (provider.register_token_format, Plain(), "opaque"),
        (provider.register_client_auth_method, Badge(), "client_secret_basic"),
    ]:
        part.name = name  # type: ignore[attr-defined]
        with pytest.raises(ConfigurationError, match="registered already"):
            register(part)


def test_a_lifetime_only_shortens(site: Site) -> None:
    add_api_key(site, lifetime=10**9)
    assert ask(site, api_key="k1").get_json()["expires_in"] == 3600


def test_names_and_times_of_registration_are_checked(site: Site) -> None:
    with pytest.raises(ConfigurationError, match="absolute URI"):
        site.provider.grant_type("api_key")
    add_api_key(site)
    add_api_key(site)  # the same function again
    with pytest.raises(ConfigurationError, match="registered already"):
        site.provider.grant_type("urn:example:api-key")(lambda request: Issue(request.authorization()))
    site.http.get("/.well-known/oauth-authorization-server")
    with pytest.raises(ConfigurationError, match="too late"):
        site.provider.grant_type("urn:example:other")(lambda request: Issue(request.authorization()))
    for register in (site.provider.usergetter, site.provider.current_user, site.provider.userloader):
        with pytest.raises(ConfigurationError, match=r"too late|registered already"):
            register(lambda: None)


class Nothing:
    """``response_type=none`` of Multiple Response Types, section 4."""

    name = "none"
    grant_type = "authorization_code"
    mode = "query"

    def respond(self, server: Any, approval: Approval, answer: Mapping[str, str]) -> Any:
        return {}, ()


@pytest.mark.spec("oauth-v2-multiple-response-types-1_0", "4")
def test_a_response_type_from_outside(site: Site) -> None:
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

    def mint(self, access: AccessToken) -> tuple[str, bytes]:
        return f"plain.{values.text(access.key)}.{'.'.join(access.scope)}", access.key

    def read(self, value: str) -> AccessToken | None:
        word, _, rest = value.partition(".")
        if word != "plain":
            return None
        key, *scope = rest.split(".")
        return AccessToken(
            key=values.from_text(key),
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

    def mint(self, access: AccessToken) -> tuple[str, bytes]:
        value = values.text(access.key)
        return value, values.key(value)


def test_a_reference_from_outside(site: Site) -> None:
    site.provider.register_token_format(Short())
    auth = ("web", site.add_client(token_format="short"))
    token = site.token("client_credentials", auth, scope="profile").get_json()["access_token"]
    assert len(token) == 22
    assert site.is_alive(token)
    assert not site.is_alive(token[:-1])
    site.post("/revoke", auth, token=token)
    assert not site.is_alive(token)


def test_a_format_from_outside(site: Site) -> None:
    site.provider.register_token_format(Plain())
    auth = ("web", site.add_client(token_format="plain"))
    token = site.token("client_credentials", auth, scope="profile").get_json()["access_token"]
    assert token.startswith("plain.")
    assert site.is_alive(token)
    site.post("/revoke", auth, token=token)
    assert not site.is_alive(token), "the mark is looked at whatever the format"


class Knock:
    """A token type: the token is good only together with the knock it was issued to."""

    name = "Knock"

    def bind(self, request: Any, client: Client) -> dict[str, Any] | None:
        knock = request.headers.get("Knock", "")
        return {"knock": knock} if knock else None

    def read(self, credentials: str) -> str:
        return credentials

    def verify(self, access: AccessToken, request: Any) -> None:
        if (access.confirmation or {}).get("knock") != request.headers.get("Knock", ""):
            raise InvalidToken("the knock is another")


@pytest.mark.spec("rfc6749", "8.1")
def test_a_token_type_from_outside(site: Site) -> None:
    site.provider.register_token_type(Knock())
    auth = ("web", site.add_client())
    answer = site.http.post(
        "/oauth/token", data={"grant_type": "client_credentials"}, auth=auth, headers={"Knock": "tock"}
    ).get_json()
    assert answer["token_type"] == "Knock"
    token = answer["access_token"]

    def call(scheme: str, knock: str) -> int:
        headers = {"Authorization": f"{scheme} {token}", "Knock": knock}
        return site.http.get("/api/me", headers=headers).status_code

    assert call("Knock", "tock") == 200
    assert call("Knock", "tick") == 401
    assert call("Bearer", "tock") == 401, "a bound token is no bearer token"
    challenge = site.http.get("/api/me").headers["WWW-Authenticate"]
    assert challenge == 'Knock realm="oauth2", scope="profile", Bearer realm="oauth2", scope="profile"'
    assert site.token("client_credentials", auth).get_json()["token_type"] == "Bearer"


class Badge:
    """A client authentication method: a header."""

    name = "badge"
    scheme = None
    accepts = frozenset({"badge"})

    def present(self, request: Any, form: Any) -> Any:
        from flask_oauth2.clients.base import Credentials

        badge = request.headers.get("Badge", "")
        return Credentials(form.require("client_id"), badge) if badge else None

    def verify(self, server: Any, client: Client | None, credentials: Any, now: float) -> None:
        from flask_oauth2 import InvalidClient

        if credentials.proof != "gold":
            raise InvalidClient("client authentication failed")


class ApiKey(Badge):
    """The same in an Authorization header of a scheme of its own."""

    name = "api_key"
    scheme = "ApiKey"
    accepts = frozenset({"api_key"})

    def present(self, request: Any, form: Any) -> Any:
        from flask_oauth2.clients.base import Credentials

        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        return Credentials(key, "gold") if scheme.lower() == "apikey" else None


@pytest.mark.spec("rfc6749", "2.3.2")
def test_a_scheme_from_outside(site: Site) -> None:
    site.provider.register_client_auth_method(ApiKey())
    site.add_client(auth_method="api_key")
    form = {"grant_type": "client_credentials"}
    for scheme, status in [("ApiKey", 200), ("apikey", 200), ("OtherKey", 401), ("Basic", 401)]:
        answer = site.http.post("/oauth/token", data=form, headers={"Authorization": f"{scheme} web"})
        assert answer.status_code == status
    # "include the "WWW-Authenticate" response header field matching the authentication scheme used by the client"
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="oauth2", Apikey realm="oauth2"'


@pytest.mark.spec("rfc6749", "2.3.2")
def test_a_client_authentication_method_from_outside(site: Site) -> None:
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
