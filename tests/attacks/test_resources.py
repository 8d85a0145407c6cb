"""Protected resources and what is mounted there, read by somebody who wants in. Each fails where the hole is open."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

import flask
import pytest

from flask_oauth2 import current_token
from flask_oauth2.testing import issue_token
from oauth_site import Site

NewSite = Callable[..., Site]
API = "https://login.example/api"


def echo(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    text = f"user={environ.get('REMOTE_USER')!r} script={environ['SCRIPT_NAME']} path={environ['PATH_INFO']} "
    text += f"authorization={environ.get('HTTP_AUTHORIZATION')} body="
    ends_by_itself = "HTTP_TRANSFER_ENCODING" in environ
    return [
        text.encode(),
        environ["wsgi.input"].read(-1 if ends_by_itself else int(environ.get("CONTENT_LENGTH") or 0)),
    ]


def token_for(site: Site, resource: str, scope: str = "profile") -> str:
    site.add_client()
    site.add_client("app", None)
    tokens = site.tokens(client_id="app", scope=scope, resource=resource)
    return str(tokens["access_token"])


@pytest.mark.parametrize("kind", ["protect_mcp", "protect_resource"])
def test_an_application_mounted_at_the_root_is_guarded(new_site: NewSite, kind: str) -> None:
    site = new_site()
    getattr(site.provider, kind)("/", ["profile"], wsgi_app=echo)
    answer = site.http.post("/tools/call", data=b"x")
    assert answer.status_code == 401, answer.text


def test_an_optional_guard_does_not_take_the_scope_of_the_resource_away(new_site: NewSite) -> None:
    site = new_site()

    @site.app.get("/api/feed")
    @site.provider.require_oauth(optional=True)
    def feed() -> Any:
        return {"is_in": bool(current_token)}

    site.provider.protect_resource("/api", ["mail"])
    token = token_for(site, API, "profile")
    assert site.call(token).status_code == 403  # the resource needs mail, says the guard of another view
    answer = site.call(token, "/api/feed")
    assert answer.status_code == 403 or answer.get_json() == {"is_in": False}, answer.text


def test_a_mounted_application_does_not_get_the_token_itself(new_site: NewSite) -> None:
    site = new_site()
    site.provider.protect_mcp("/mcp", ["profile"], wsgi_app=echo)
    token = token_for(site, "https://login.example/mcp")
    answer = site.call(token, "/mcp/x")
    assert answer.status_code == 200
    assert token not in answer.text


@pytest.mark.spec("rfc9700", "4.9.3")
def test_a_mounted_application_does_not_get_the_token_of_a_form(new_site: NewSite) -> None:
    site = new_site(OAUTH2_TOKEN_IN_BODY=True)
    site.provider.protect_resource("/files", ["profile"], wsgi_app=echo)
    token = token_for(site, "https://login.example/files")
    answer = site.http.post("/files/x", data={"a": "b", "access_token": token})
    assert answer.status_code == 200
    assert answer.text.endswith("body=a=b"), answer.text


@pytest.mark.spec("rfc6750", "2.2")
@pytest.mark.parametrize("body", ["a=b", "a=é"])
def test_a_mounted_application_gets_the_body_of_a_form(new_site: NewSite, body: str) -> None:
    """Where no token can be in it, as it is not ASCII, the guard has read it all the same."""
    site = new_site(OAUTH2_TOKEN_IN_BODY=True)
    site.provider.protect_resource("/files", ["profile"], wsgi_app=echo)
    token = token_for(site, "https://login.example/files")
    headers, kind = {"Authorization": f"Bearer {token}"}, "application/x-www-form-urlencoded"
    answer = site.http.post("/files/x", data=body.encode(), content_type=kind, headers=headers)
    assert answer.status_code == 200
    assert answer.text.endswith(f"body={body}"), answer.text


def test_a_mounted_application_gets_a_form_that_was_read_before(new_site: NewSite) -> None:
    """An extension that looks into each form leaves nothing to read."""
    site = new_site(OAUTH2_TOKEN_IN_BODY=True)
    site.app.before_request(lambda: flask.request.form.get("csrf_token") and None)
    site.provider.protect_resource("/files", ["profile"], wsgi_app=echo)
    token = token_for(site, "https://login.example/files")
    for headers, named in (({"Authorization": f"Bearer {token}"}, {}), ({}, {"access_token": token})):
        answer = site.http.post("/files/x", data={"a": "é b"} | named, headers=headers)
        assert answer.text.endswith("body=a=%C3%A9%20b"), answer.text


@pytest.mark.parametrize("part", ["data", "form"])
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "application/json"])
def test_a_mounted_application_gets_a_body_that_was_read_before(new_site: NewSite, part: str, kind: str) -> None:
    """A hook looks into each request, and the guard into none."""
    site = new_site()

    @site.app.before_request
    def look() -> None:
        getattr(flask.request, part)

    site.provider.protect_resource("/files", ["profile"], wsgi_app=echo)
    headers = {"Authorization": f"Bearer {token_for(site, 'https://login.example/files')}"}
    body = b'{"a": 1}' if kind == "application/json" else b"a=b&access_token=c"
    answer = site.http.post("/files/x", data=body, content_type=kind, headers=headers)
    assert answer.text.endswith(f"body={body.decode()}"), answer.text
    chunked = {"Transfer-Encoding": "chunked", **headers}
    environ = {"wsgi.input": BytesIO(body), "wsgi.input_terminated": True}
    answer = site.http.post("/files/x", content_type=kind, headers=chunked, environ_overrides=environ)
    assert answer.text.endswith(f"body={body.decode()}"), answer.text


@pytest.mark.parametrize("how", ["get_data", "stream"])
def test_a_mounted_application_gets_a_body_that_was_put_back(new_site: NewSite, how: str) -> None:
    site = new_site()

    @site.app.before_request
    def look() -> None:
        data = flask.request.get_data(cache=False) if how == "get_data" else flask.request.stream.read()
        flask.request.environ["wsgi.input"] = BytesIO(data)

    site.provider.protect_resource("/files", ["profile"], wsgi_app=echo)
    site.add_client("app", None)
    token = issue_token(site.app, "ada", "profile", client="app", resource="https://login.example/files")
    headers = {"Authorization": f"Bearer {token}"}
    answer = site.http.post("/files/x", data=b'{"a": 1}', content_type="application/json", headers=headers)
    assert answer.text.endswith('body={"a": 1}'), answer.text


@pytest.mark.parametrize("part", ["form", "values", "stream"])
def test_an_upload_to_a_mounted_application_is_not_read_before(new_site: NewSite, part: str) -> None:
    """Where a hook looks for a field of a form in every request."""
    site = new_site()

    @site.app.before_request
    def look() -> None:
        getattr(flask.request, part)

    body, read = Endless(), []

    def take(environ: Any, start_response: Any) -> Iterable[bytes]:
        read.append(body.read_bytes)
        return echo(environ | {"CONTENT_LENGTH": "1"}, start_response)

    site.provider.protect_resource("/files", ["profile"], wsgi_app=take)
    headers = {"Authorization": f"Bearer {token_for(site, 'https://login.example/files')}"}
    environ = {"wsgi.input": body, "CONTENT_LENGTH": str(64 << 20)}
    answer = site.http.post(
        "/files/x", content_type="application/octet-stream", headers=headers, environ_overrides=environ
    )
    assert answer.text.endswith("body=a")
    assert read == [0]


class Endless:
    """A body that never ends, and how much of it was read."""

    def __init__(self) -> None:
        self.read_bytes = 0

    def read(self, size: int = -1) -> bytes:
        size = 1 << 16 if size < 0 else size
        self.read_bytes += size
        return b"a" * size


def test_a_guard_does_not_read_what_strangers_send_without_end(new_site: NewSite) -> None:
    """It looks for a token before it knows who sends it."""
    site = new_site(OAUTH2_TOKEN_IN_BODY=True)

    @site.app.post("/api/notes")
    @site.provider.require_oauth("profile")
    def notes() -> Any:
        return ""

    body = Endless()
    environ = {"wsgi.input": body, "CONTENT_LENGTH": str(200 << 20)}
    answer = site.http.post("/api/notes", content_type="application/x-www-form-urlencoded", environ_overrides=environ)
    assert answer.status_code in (401, 413)
    assert body.read_bytes < 1 << 20, body.read_bytes


def test_a_mounted_application_sees_its_own_paths_alone(new_site: NewSite) -> None:
    """The path of the request begins with two slashes, which routing takes for one."""
    site = new_site()
    site.provider.protect_resource("/files", ["profile"], wsgi_app=echo)
    token = token_for(site, "https://login.example/files")
    headers = {"Authorization": f"Bearer {token}"}
    answer = site.http.get("/", headers=headers, environ_overrides={"PATH_INFO": "//files/x"})
    assert answer.status_code != 200 or "path=/x " in answer.text, answer.text


@pytest.mark.spec("rfc8707", "2")
@pytest.mark.parametrize("path", ["/files/admin/x", "/files//admin/x", "/files///admin//x", "//files/admin/x"])
def test_superfluous_slashes_lead_to_no_other_resource(new_site: NewSite, path: str) -> None:
    """A mounted application may read several slashes as one."""
    site = new_site()
    site.provider.protect_resource("/files", ["profile"], wsgi_app=echo)
    site.provider.protect_resource("/files/admin", ["mail"])
    token = token_for(site, "https://login.example/files")
    headers = {"Authorization": f"Bearer {token}"}
    answer = site.http.get("/", headers=headers, environ_overrides={"PATH_INFO": path})
    assert answer.status_code in (401, 404), answer.text
    assert "path=" not in answer.text
    assert site.call(token, "/files/x").status_code == 200


def test_a_mounted_application_of_flask_can_demand_more(new_site: NewSite) -> None:
    inner = flask.Flask("inner")

    @inner.get("/tools")
    def tools() -> str:
        current_token.require("mail")
        return "done"

    site = new_site()
    site.provider.protect_mcp("/mcp", ["profile"], step_up=["mail"], wsgi_app=inner)
    token = token_for(site, "https://login.example/mcp")
    answer = site.call(token, "/mcp/tools")
    assert answer.status_code == 403, answer.text


def test_a_client_that_acts_for_itself_is_no_user_of_a_mounted_application(new_site: NewSite) -> None:
    site = new_site()
    site.provider.protect_resource("/files", ["profile"], wsgi_app=echo)
    secret = site.add_client()
    answer = site.token("client_credentials", ("web", secret), scope="profile", resource="https://login.example/files")
    answer = site.call(answer.get_json()["access_token"], "/files/x")
    assert "user=None" in answer.text, answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/api/me",
        "//api/me",
        "/api//me",
        "/api/./me",
        "/api/../api/me",
        "/api/me/",
        "/API/me",
        "/api/me;x",
        "/api/x/../me",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "TRACE", "POST", "PROPFIND", "get"])
def test_no_spelling_of_a_path_passes_the_guard(new_site: NewSite, path: str, method: str) -> None:
    site = new_site()

    @site.app.route("/api/secret/<path:rest>", methods=["GET", "TRACE", "POST", "PROPFIND"])
    @site.app.route("/api/plain", methods=["GET", "TRACE", "POST", "PROPFIND"])
    def plain(rest: str = "") -> str:
        return "secret"

    site.provider.protect_resource("/api", ["profile"])
    for tried in (path, path.replace("me", "plain"), path.replace("me", "secret/x")):
        answer = site.http.open("/", method=method, environ_overrides={"PATH_INFO": tried})
        assert answer.status_code in (401, 404, 405, 308), (tried, answer.status_code)
        assert "secret" not in answer.text or answer.status_code == 308
        assert answer.status_code != 500
