"""The pushed authorization request endpoint, RFC 9126."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl

import pytest
from document_server import JSON, DocumentServer, serve_documents
from keys.tokens import Local, key_of
from werkzeug.test import TestResponse

from flask_oauth2 import values
from flask_oauth2.checks.request_uri import PREFIX
from flask_oauth2.clients import authentication
from flask_oauth2.clients.authentication.assertion import ASSERTION_TYPE
from flask_oauth2.endpoints import par
from flask_oauth2.endpoints.authorization import save
from flask_oauth2.endpoints.authorization.saved import LONGEST_SAVED, save_for_browser
from flask_oauth2.http.messages import Params
from flask_oauth2.keys import jose
from oauth_site import CALLBACK, CHALLENGE, NOW, Site, answer_of

NewSite = Callable[..., Site]
PUSHED = {
    "response_type": "code",
    "client_id": "web",
    "redirect_uri": CALLBACK,
    "scope": "profile",
    "state": "st-1",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


def push(site: Site, auth: Any = None, **parameters: Any) -> TestResponse:
    site.server.clock = site.clock
    form = {name: value for name, value in (PUSHED | parameters).items() if value}
    return site.http.post("/oauth/par", data=form, auth=auth)


def visit(site: Site, pushed: TestResponse, client_id: str = "web", **more: str) -> TestResponse:
    query = {"client_id": client_id, "request_uri": pushed.get_json()["request_uri"], **more}
    return site.browser.get("/oauth/authorize", query_string=query)


def error_of(answer: TestResponse) -> tuple[int, str]:
    assert answer.mimetype == "application/json"
    return answer.status_code, answer.get_json()["error"]


@pytest.mark.spec("rfc9126", "2.2")
@pytest.mark.spec("rfc9126", "2")
@pytest.mark.spec("rfc9126", "7.1")
@pytest.mark.spec("rfc9126", "4")
def test_the_response_has_a_request_uri_and_its_lifetime(new_site: NewSite) -> None:
    site = new_site(OAUTH2_PAR_LIFETIME=90)
    secret = site.add_client()
    answer = push(site, ("web", secret))
    assert (answer.status_code, answer.mimetype) == (201, "application/json")
    assert answer.headers["Cache-Control"] == "no-cache, no-store"
    pushed = answer.get_json()
    assert (set(pushed), pushed["expires_in"]) == ({"request_uri", "expires_in"}, 90)
    # a timestamp, and 256 random bits
    assert re.fullmatch(r"urn:ietf:params:oauth:request_uri:oar_[A-Za-z0-9_-]{50}", pushed["request_uri"])
    assert push(site, ("web", secret)).get_json()["request_uri"] != pushed["request_uri"]
    site.sign_in()
    site.clock.forward(89)
    assert visit(site, answer).status_code == 200
    site.clock.forward(1)
    assert "this request has expired" in visit(site, answer).text


@pytest.mark.spec("rfc9126", "2.1")
@pytest.mark.spec("rfc9126", "2")
@pytest.mark.spec("rfc9126", "2.3")
def test_a_client_with_credentials_must_authenticate(site: Site) -> None:
    secret = site.add_client()
    assert error_of(push(site)) == (401, "invalid_client")
    assert error_of(push(site, ("web", "wrong"))) == (401, "invalid_client")
    assert error_of(push(site, client_secret=secret, auth=("web", secret))) == (400, "invalid_request")
    assert push(site, ("web", secret)).status_code == 201


@pytest.mark.spec("rfc9126", "2")
@pytest.mark.spec("rfc9126", "7.2")
def test_a_public_client_pushes_with_its_client_id(site: Site) -> None:
    site.add_client("page", None, auth_method="none")
    pushed = push(site, client_id="page")
    assert pushed.status_code == 201
    site.sign_in()
    assert "code" in answer_of(site.allow(visit(site, pushed, "page")))
    assert error_of(push(site, client_id="page", redirect_uri="https://other.example/")) == (400, "invalid_request")


@pytest.mark.spec("rfc9126", "2")
@pytest.mark.spec("rfc9126", "2.1")
def test_a_client_authenticates_with_its_key_and_the_issuer_as_audience(site: Site) -> None:
    key = key_of("ES256")
    site.add_client("web", None, auth_method="private_key_jwt", metadata={"jwks": {"keys": [key.public_jwk]}})

    def assertion(audience: str, jti: str) -> dict[str, str]:
        claims = {"iss": "web", "sub": "web", "aud": audience, "exp": NOW + 60, "jti": jti}
        signed = jose.sign(claims, Local(key), "client-authentication+jwt", NOW)
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}

    pushed = push(site, **assertion("https://login.example", "1"))
    assert pushed.status_code == 201
    saved = site.store.get_grant(values.key(pushed.get_json()["request_uri"].removeprefix(PREFIX)), "request_uri")
    assert dict(parse_qsl(saved.parameters["query"])) == PUSHED
    assert error_of(push(site, **assertion("https://login.example/oauth/par", "2"))) == (401, "invalid_client")
    assert error_of(push(site)) == (401, "invalid_client")


@pytest.mark.spec("rfc9126", "2.3")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.spec("rfc9126", "2")
def test_other_methods_are_not_allowed(site: Site, method: str) -> None:
    answer = site.http.open("/oauth/par", method=method)
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


@pytest.mark.spec("rfc9126", "2.3")
def test_a_request_that_is_too_long_is_rejected(site: Site) -> None:
    secret = site.add_client()
    assert push(site, ("web", secret), more="x" * (LONGEST_SAVED // 2)).status_code == 201
    assert push(site, ("web", secret), more="x" * LONGEST_SAVED).status_code == 413


@pytest.mark.spec("rfc9126", "2.3")
def test_public_clients_push_a_limited_number_of_requests(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(par, "MOST_PUSHED", 20)
    secret = site.add_client()
    site.add_client("page", None, auth_method="none")
    answers = [push(site, client_id="page") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert [push(site, ("web", secret)).status_code for _ in range(3)] == [201] * 3


@pytest.mark.spec("rfc9126", "4")
@pytest.mark.spec("rfc9126", "2.1")
@pytest.mark.spec("rfc9126", "7.4")
def test_a_request_is_checked_again_when_the_user_arrives(site: Site) -> None:
    secret = site.add_client()
    pushed = push(site, ("web", secret))
    site.change_client(scope=("mail",))
    site.sign_in()
    assert answer_of(visit(site, pushed))["error"] == "invalid_scope"


class TestRequired:
    """Clients that must push their requests, sections 4 to 6."""

    @pytest.mark.spec("rfc9126", "4")
    @pytest.mark.parametrize("where", ["server", "client"])
    @pytest.mark.spec("rfc9126", "6")
    def test_other_requests_are_rejected(self, new_site: NewSite, where: str) -> None:
        site = new_site(OAUTH2_REQUIRE_PUSHED_AUTHORIZATION_REQUESTS=where == "server")
        required = {"require_pushed_authorization_requests": where == "client"}
        secret = site.add_client(metadata=required)
        site.sign_in()
        assert answer_of(site.ask())["error"] == "invalid_request"
        assert answer_of(site.ask(request_uri="https://client.example/request"))["error"] == "invalid_request"
        pushed = push(site, ("web", secret))
        assert "code" in answer_of(site.allow(visit(site, pushed)))

    @pytest.mark.spec("rfc9126", "4")
    def test_a_long_request_of_a_browser_is_not_a_pushed_one(self, new_site: NewSite) -> None:
        site = new_site(OAUTH2_REQUIRE_PUSHED_AUTHORIZATION_REQUESTS=True)
        site.add_client()
        site.sign_in()
        params = Params(
            "&".join(f"{name}={value}" for name, value in PUSHED.items() if name != "redirect_uri").encode()
        )
        for uri, is_accepted in (
            (save_for_browser(site.server, params, "192.0.2.1"), False),
            (save(site.server, params, 60), True),
        ):
            answer = site.browser.get("/oauth/authorize", query_string={"client_id": "web", "request_uri": uri})
            assert answer.status_code == (200 if is_accepted else 303)

    @pytest.mark.spec("rfc9126", "5")
    def test_other_clients_need_not_push(self, site: Site) -> None:
        site.add_client(metadata={"require_pushed_authorization_requests": False})
        site.sign_in()
        assert "code" in answer_of(site.allow(site.ask()))

    @pytest.mark.spec("rfc9126", "5")
    @pytest.mark.spec("rfc9126", "2")
    def test_the_server_metadata_says_so(self, new_site: NewSite) -> None:
        for is_required in (True, False):
            site = new_site(OAUTH2_REQUIRE_PUSHED_AUTHORIZATION_REQUESTS=is_required)
            document = site.http.get("/.well-known/oauth-authorization-server").get_json()
            assert document["pushed_authorization_request_endpoint"] == "https://login.example/oauth/par"
            assert document.get("require_pushed_authorization_requests", False) is is_required

    @pytest.mark.spec("rfc9126", "6")
    def test_a_client_registers_it(self, new_site: NewSite) -> None:
        site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_REGISTRATION_SCOPES="profile")
        member = {"require_pushed_authorization_requests": True}
        made = site.http.post("/oauth/register", json={"redirect_uris": [CALLBACK], **member}).get_json()
        assert made["require_pushed_authorization_requests"] is True
        wrong = {"redirect_uris": [CALLBACK], "require_pushed_authorization_requests": "yes"}
        assert error_of(site.http.post("/oauth/register", json=wrong)) == (400, "invalid_client_metadata")

    def test_the_command_line_sets_it(self, sql_site: Site) -> None:
        runner = sql_site.app.test_cli_runner()
        runner.invoke(args=["oauth2", "client", "create", "W", "--client-id", "w", "--redirect-uri", CALLBACK])
        for option, value in (("--require-par", True), ("--no-require-par", False)):
            result = runner.invoke(args=["oauth2", "client", "update", "w", option])
            assert result.exit_code == 0, result.output
            assert sql_site.store.get_client("w").metadata == {"require_pushed_authorization_requests": value}


@pytest.mark.spec("rfc9126", "2")
def test_without_response_types_nothing_is_pushed(new_site: NewSite) -> None:
    site = new_site(OAUTH2_GRANT_TYPES=["client_credentials"])
    secret = site.add_client()
    assert error_of(push(site, ("web", secret)))[0] == 400
    document = site.http.get("/.well-known/oauth-authorization-server").get_json()
    assert "pushed_authorization_request_endpoint" not in document


class TestDocuments:
    """Clients with metadata documents, which the server must fetch to check the request."""

    @pytest.fixture
    def served(self) -> Iterator[DocumentServer]:
        with serve_documents() as server:
            yield server

    @pytest.fixture
    def site(self, new_site: NewSite) -> Site:
        hosts = {"OAUTH2_CLIENT_ID_METADATA_DOCUMENT_ALLOWED_HOSTS": ["127.0.0.1:*"]}
        return new_site(OAUTH2_CLIENT_ID_METADATA_DOCUMENTS=True, OAUTH2_DEFAULT_SCOPE="profile", **hosts)

    def serve(self, served: DocumentServer, path: str, **members: Any) -> str:
        client_id = served.url(path)
        document = {"client_id": client_id, "client_name": "Notes", "redirect_uris": [CALLBACK], **members}
        served.answers[path] = (200, JSON, json.dumps(document).encode())
        return client_id

    def test_a_public_client_pushes_before_a_user_signs_in(self, site: Site, served: DocumentServer) -> None:
        client_id = self.serve(served, "/client.json")
        pushed = push(site, client_id=client_id)
        assert pushed.status_code == 201, pushed.text
        site.sign_in()
        assert "code" in answer_of(site.allow(visit(site, pushed, client_id)))
        assert served.count("/client.json") == 1

    @pytest.mark.spec("rfc9126", "2")
    def test_a_client_with_a_key_must_authenticate(self, site: Site, served: DocumentServer) -> None:
        key = key_of("ES256")
        method = {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [key.public_jwk]}}
        client_id = self.serve(served, "/client.json", **method)
        assert error_of(push(site, client_id=client_id)) == (401, "invalid_client")
        claims = {"iss": client_id, "sub": client_id, "aud": "https://login.example", "exp": NOW + 60, "jti": "1"}
        signed = jose.sign(claims, Local(key), None, NOW)
        form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}
        assert push(site, client_id=client_id, **form).status_code == 201

    @pytest.mark.spec("rfc9126", "2.3")
    def test_the_number_of_fetches_is_limited(
        self, site: Site, served: DocumentServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(authentication, "MOST_FETCHES", 20)
        answers = [push(site, client_id=self.serve(served, f"/{number}.json")) for number in range(3)]
        assert [answer.status_code for answer in answers] == [201, 201, 429]
        assert served.count("/2.json") == 0
