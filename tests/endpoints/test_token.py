"""The token endpoint: the request, the client, the answer."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from typing import Any

import flask
import pytest

from flask_oauth2 import values
from oauth_site import NOW, Site


@pytest.fixture
def secret(site: Site) -> str:
    return site.add_client()


@pytest.mark.spec("rfc6749", "5.1")
def test_the_response_is_json_with_no_store(site: Site, secret: str) -> None:
    answer = site.token("client_credentials", ("web", secret), scope="mail")
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    assert {name: type(value) for name, value in answer.get_json().items()} == {
        "access_token": str,
        "token_type": str,
        "expires_in": int,
        "scope": str,
    }
    assert answer.get_json()["token_type"] == "Bearer"
    assert answer.get_json()["scope"] == "mail"


@pytest.mark.spec("oauth-v2-1", "C.3")
def test_absent_members_are_omitted(new_site: Any) -> None:
    site = new_site(OAUTH2_SCOPES={}, OAUTH2_DYNAMIC_REGISTRATION="open")
    auth = ("web", site.add_client(scope=(), grant_types=("client_credentials",)))
    tokens = site.token("client_credentials", auth)
    assert set(tokens.get_json()) == {"access_token", "token_type", "expires_in"}
    for answer in (
        tokens,
        site.token("client_credentials", auth, scope="unknown"),
        site.post("/introspect", auth, token=tokens.get_json()["access_token"]),
        site.http.post("/oauth/register", json={"redirect_uris": ["https://client.example/"]}),
        site.http.get("/.well-known/oauth-authorization-server"),
    ):
        assert None not in answer.get_json().values()


@pytest.mark.spec("rfc6749", "5.2")
@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({}, "invalid_request"),
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "nonsense"}, "unsupported_grant_type"),
        ({"grant_type": "password", "username": "a", "password": "b"}, "unsupported_grant_type"),
        ({"grant_type": "implicit"}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, "invalid_request"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": ["client_credentials", "client_credentials"]}, "invalid_request"),
        ({"grant_type": "client_credentials", "scope": ["a", "b"]}, "invalid_request"),
        ({"grant_type": "client_credentials", "unread": ["a", "b"]}, "invalid_request"),
        ({"grant_type": "client_credentials", "scope": "unknown"}, "invalid_scope"),
        ({"grant_type": "client_credentials", "scope": 'pro"file'}, "invalid_scope"),
    ],
)
def test_errors_have_their_code_and_status(site: Site, secret: str, form: dict[str, Any], code: str) -> None:
    answer = site.http.post("/oauth/token", data=form, auth=("web", secret))
    assert (answer.status_code, answer.get_json()["error"]) == (400, code)
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.spec("rfc6749", "3.2")
def test_unknown_parameters_are_ignored(site: Site, secret: str) -> None:
    assert site.token("client_credentials", ("web", secret), foo="bar").status_code == 200


@pytest.mark.spec("rfc6749", "5.2")
def test_a_client_without_the_grant_is_unauthorized(site: Site, secret: str) -> None:
    site.change_client(grant_types=("authorization_code",))
    answer = site.token("client_credentials", ("web", secret))
    assert (answer.status_code, answer.get_json()["error"]) == (400, "unauthorized_client")


@pytest.mark.spec("rfc6749", "4.4")
def test_client_credentials_are_for_confidential_clients(site: Site) -> None:
    site.add_client("app", None)
    answer = site.token("client_credentials", client_id="app")
    assert (answer.status_code, answer.get_json()["error"]) == (400, "unauthorized_client")


@pytest.mark.spec("rfc6749", "4.4.3")
def test_client_credentials_give_no_refresh_token(site: Site, secret: str) -> None:
    assert "refresh_token" not in site.token("client_credentials", ("web", secret)).get_json()


@pytest.mark.spec("rfc6749", "2.3.1")
def test_the_secret_is_accepted_with_basic_and_in_the_body(site: Site, secret: str) -> None:
    assert site.token("client_credentials", ("web", secret)).status_code == 200
    assert site.token("client_credentials", client_id="web", client_secret=secret).status_code == 200
    assert site.token("client_credentials", ("web", secret), client_id="web").status_code == 200


@pytest.mark.spec("rfc6749", "5.2")
@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic d2Vi",  # web, without a colon
        "Basic Og==",  # a colon alone
        "Basic d2ViOg==",  # an empty secret
        "Basic /////w==",  # not UTF-8
        "Bearer abc",
        "Digest username=web",
        "secretwithoutscheme",
    ],
)
def test_failed_basic_authentication_is_401_with_a_challenge(site: Site, secret: str, header: str) -> None:
    answer = site.http.post(
        "/oauth/token", data={"grant_type": "client_credentials"}, headers={"Authorization": header}
    )
    assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_client")
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="oauth2"'


@pytest.mark.spec("rfc6749", "2.3.1")
def test_basic_credentials_are_form_encoded(site: Site) -> None:
    site.add_client("billing:eu", "p@ss word+100%")
    header = {"Authorization": "Basic YmlsbGluZyUzQWV1OnAlNDBzcyt3b3JkJTJCMTAwJTI1"}
    answer = site.http.post("/oauth/token", data={"grant_type": "client_credentials"}, headers=header)
    assert answer.status_code == 200
    raw = {"Authorization": "Basic " + b64encode(b"billing%3Aeu:p@ss word+100%").decode()}
    answer = site.http.post("/oauth/token", data={"grant_type": "client_credentials"}, headers=raw)
    assert answer.status_code == 401


@pytest.mark.spec("rfc6749", "2.3")
@pytest.mark.parametrize(
    ("headers", "form"),
    [
        ({"Authorization": "Basic d2ViOng="}, {"client_id": "web", "client_secret": "x"}),
        ({"Authorization": "Basic d2ViOng=,Basic d2ViOng="}, {}),
        ({"Authorization": "Basic d2ViOng=, Bearer x"}, {}),
        ({"Authorization": "Basic d2ViOng="}, {"client_id": "another"}),
        ({}, {"client_secret": "x"}),
        ({}, {"client_id": ["web", "web"], "client_secret": "x"}),
    ],
)
def test_several_authentication_methods_are_rejected(site: Site, headers: dict[str, str], form: dict[str, Any]) -> None:
    answer = site.http.post("/oauth/token", data={"grant_type": "client_credentials", **form}, headers=headers)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_request")


@pytest.mark.spec("rfc6749", "2.3.1")
def test_a_secret_in_the_url_is_ignored(site: Site, secret: str) -> None:
    query = {"client_id": "web", "client_secret": secret}
    answer = site.http.post("/oauth/token", query_string=query, data={"grant_type": "client_credentials"})
    assert answer.status_code == 401


@pytest.mark.spec("rfc6749", "3.2.1")
def test_missing_credentials_are_rejected(site: Site, secret: str) -> None:
    for form in ({"client_id": "web"}, {"client_id": "web", "client_secret": ""}, {}):
        answer = site.token("client_credentials", **form)
        assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_client")


@pytest.mark.spec("rfc7591", "2")
def test_an_unregistered_authentication_method_is_rejected(site: Site, secret: str) -> None:
    site.add_client("app", None)
    answer = site.token("client_credentials", client_id="app", client_secret=secret)
    assert answer.get_json()["error"] == "invalid_client"
    site.change_client("web", auth_method="private_key_jwt")
    assert site.token("client_credentials", ("web", secret)).get_json()["error"] == "invalid_client"


@pytest.mark.spec("rfc6749", "5.2")
def test_an_unknown_client_and_a_wrong_secret_get_the_same_response(site: Site, secret: str) -> None:
    wrong = values.new("ocs", values.timestamp(NOW))
    for guess in ("guess", wrong):
        answers = [site.token("client_credentials", (client_id, guess)) for client_id in ("web", "nobody")]
        assert answers[0].data == answers[1].data
        assert answers[0].status_code == answers[1].status_code == 401
        assert dict(answers[0].headers) == dict(answers[1].headers)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/token", "/revoke", "/introspect"])
@pytest.mark.spec("rfc6749", "3.2")
def test_only_post_is_allowed(site: Site, method: str, path: str) -> None:
    answer = site.http.open(f"/oauth{path}", method=method)
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/token", "/revoke", "/introspect"])
@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x", "text/plain", ""])
@pytest.mark.spec("rfc6749", "3.2")
def test_only_a_form_body_is_accepted(site: Site, path: str, content_type: str) -> None:
    body = b'{"grant_type": "client_credentials", "token": "x"}'
    answer = site.http.post(f"/oauth{path}", data=body, content_type=content_type)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_request")


def test_the_content_type_may_have_parameters_and_uppercase(site: Site, secret: str) -> None:
    answer = site.http.post(
        "/oauth/token",
        data=b"grant_type=client_credentials",
        content_type="Application/X-WWW-Form-Urlencoded; charset=UTF-8",
        auth=("web", secret),
    )
    assert answer.status_code == 200


def test_a_body_read_by_the_application_is_still_parsed(site: Site, secret: str) -> None:
    site.app.before_request(lambda: flask.request.form.get("x") and None)
    assert site.token("client_credentials", ("web", secret)).status_code == 200
    assert site.token("client_credentials", ("web", secret), scope=["a", "b"]).status_code == 400


class Trickle(BytesIO):
    """A body that arrives in pieces, and ends early if ``fails`` is true."""

    def __init__(self, body: bytes, fails: bool = False) -> None:
        super().__init__(body)
        self._fails = fails

    def read(self, size: int | None = -1) -> bytes:
        """Return up to seven bytes."""
        part = super().read(7 if size is None or size < 0 else min(size, 7))
        if not part and self._fails:
            raise ConnectionResetError
        return part


def test_a_body_received_in_chunks_is_parsed(site: Site, secret: str) -> None:
    body = b"grant_type=client_credentials&scope=mail"
    request = {"auth": ("web", secret), "content_type": "application/x-www-form-urlencoded"}
    answer = site.http.post("/oauth/token", input_stream=Trickle(body), **request)
    assert answer.get_json()["scope"] == "mail"


@pytest.mark.parametrize("fails", [True, False])
def test_a_body_that_ends_early_is_rejected(site: Site, secret: str, fails: bool) -> None:
    body = b"grant_type=client_credentials&scope=mail"
    request = {"auth": ("web", secret), "content_type": "application/x-www-form-urlencoded"}
    longer = {"CONTENT_LENGTH": str(len(body) + 1)}
    answer = site.http.post("/oauth/token", input_stream=Trickle(body, fails), environ_overrides=longer, **request)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_request")


def test_the_application_can_read_the_body_afterwards(site: Site, secret: str) -> None:
    seen = []
    site.app.after_request(lambda response: seen.append(flask.request.form.to_dict()) or response)
    assert site.token("client_credentials", ("web", secret), scope="mail").status_code == 200
    assert seen == [{"grant_type": "client_credentials", "scope": "mail"}]


def test_a_body_that_is_too_long_is_413(site: Site) -> None:
    answer = site.http.post("/oauth/token", data={"grant_type": "x" * 70_000})
    assert (answer.status_code, answer.get_json()["error"]) == (413, "invalid_request")


@pytest.mark.spec("rfc6749", "3.3")
def test_a_request_without_scope_receives_the_default_scope(site: Site, new_site: Any, secret: str) -> None:
    assert site.token("client_credentials", ("web", secret)).get_json()["scope"] == "profile mail write"
    other = new_site(OAUTH2_DEFAULT_SCOPE="profile")
    auth = ("web", other.add_client())
    assert other.token("client_credentials", auth).get_json()["scope"] == "profile"
    site.change_client(scope=())
    assert "scope" not in site.token("client_credentials", ("web", secret)).get_json()


@pytest.mark.spec("rfc6749", "3.3")
def test_a_default_scope_not_allowed_for_the_client_is_invalid_scope(new_site: Any) -> None:
    site = new_site(OAUTH2_DEFAULT_SCOPE="profile")
    auth = ("web", site.add_client(scope=("mail",)))
    assert site.token("client_credentials", auth).get_json()["error"] == "invalid_scope"
    assert site.token("client_credentials", auth, scope="mail").status_code == 200


@pytest.mark.spec("rfc6749", "3.3")
def test_a_scope_removed_from_the_settings_is_not_granted(site: Site, secret: str) -> None:
    site.change_client(scope=("profile", "dropped"))
    assert site.token("client_credentials", ("web", secret)).get_json()["scope"] == "profile"
    assert site.token("client_credentials", ("web", secret), scope="dropped").get_json()["error"] == "invalid_scope"


@pytest.mark.spec("rfc6749", "2.3.1")
def test_an_empty_basic_password_is_no_secret(site: Site, secret: str) -> None:
    site.add_client("app", None)
    refresh = site.tokens(client_id="app")["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": refresh}
    header = {"Authorization": "Basic " + b64encode(b"app:").decode()}
    answer = site.http.post("/oauth/token", data={**form, "client_id": "web"}, headers=header)
    assert answer.get_json()["error"] == "invalid_request"
    assert site.http.post("/oauth/token", data=form, headers=header).status_code == 200
    confidential = {"Authorization": "Basic " + b64encode(b"web:").decode()}
    answer = site.http.post("/oauth/token", data={"grant_type": "client_credentials"}, headers=confidential)
    assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_client")
