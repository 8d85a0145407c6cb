"""The guard: RFC 6750 on every kind of view."""

from __future__ import annotations

from typing import Any

import flask
import pytest
from flask.views import MethodView

from flask_oauth2 import current_token, values
from oauth_site import NOW, Site


@pytest.fixture
def secret(site: Site) -> str:
    return site.add_client()


def issue_token(site: Site, secret: str, scope: str = "profile") -> str:
    return str(site.token("client_credentials", ("web", secret), scope=scope).get_json()["access_token"])


@pytest.fixture
def token(site: Site, secret: str) -> str:
    return issue_token(site, secret)


def challenge(site: Site, path: str = "/api/me", **headers: str) -> tuple[int, str | None]:
    answer = site.http.get(path, headers=headers)
    return answer.status_code, answer.headers.get("WWW-Authenticate")


@pytest.mark.spec("rfc6750", "3.1")
def test_a_request_without_a_token_is_challenged_without_an_error(site: Site) -> None:
    answer = site.http.get("/api/me")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="oauth2", scope="profile"'
    assert answer.data == b""


@pytest.mark.spec("rfc6750", "3.1")
@pytest.mark.parametrize("header", ["Basic d2ViOng=", "Digest x", "Bearer2 x", "", " ", "nonsense"])
def test_another_authorization_scheme_is_ignored(site: Site, header: str) -> None:
    assert challenge(site, Authorization=header) == (401, 'Bearer realm="oauth2", scope="profile"')


@pytest.mark.spec("rfc6750", "3.1")
@pytest.mark.parametrize(
    "value", ["x", "oat_" + "A" * 50, "", "a b", 'a"b', "é", "a=b", "x" * 8000, "ost_x.y", "ort_x"]
)
def test_an_invalid_token_is_401(site: Site, value: str) -> None:
    status, header = challenge(site, Authorization=f"Bearer {value}")
    assert status == 401
    assert header is not None
    assert header.startswith('Bearer realm="oauth2", error="invalid_token", error_description="')


@pytest.mark.spec("oauth-v2-1", "5.1.1")
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  ", "beaRER   "])
def test_the_scheme_is_case_insensitive_and_spaces_may_follow(site: Site, token: str, scheme: str) -> None:
    assert challenge(site, Authorization=f"{scheme} {token}") == (200, None)


@pytest.mark.spec("rfc6750", "2")
def test_two_headers_are_a_bad_request(site: Site, token: str) -> None:
    status, header = challenge(site, Authorization=f"Bearer {token}, Bearer {token}")
    assert status == 400
    assert header is not None
    assert 'error="invalid_request"' in header


@pytest.mark.spec("rfc6750", "3.1")
def test_an_expired_token_is_401(site: Site, token: str) -> None:
    site.clock.forward(3599)
    assert site.call(token).status_code == 200
    site.clock.forward(1)
    answer = site.call(token)
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.spec("rfc6750", "3.1")
def test_a_token_without_the_scope_is_403(site: Site, secret: str) -> None:
    token = site.token("client_credentials", ("web", secret), scope="mail").get_json()["access_token"]
    answer = site.call(token)
    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
    assert 'scope="profile"' in answer.headers["WWW-Authenticate"]
    assert answer.get_json()["error"] == "insufficient_scope"


@pytest.mark.spec("oauth-v2-1", "5.1")
def test_a_token_in_the_query_is_ignored(site: Site, token: str) -> None:
    assert challenge(site, f"/api/me?access_token={token}") == (401, 'Bearer realm="oauth2", scope="profile"')


@pytest.mark.spec("rfc6750", "2.2")
def test_a_token_in_the_body_is_read_if_enabled(site: Site, new_site: Any, token: str) -> None:
    assert site.http.post("/post", data={"access_token": token}).status_code == 404
    other = new_site(OAUTH2_TOKEN_IN_BODY=True)

    @other.app.route("/post", methods=["GET", "POST"])
    @other.provider.require_oauth("profile")
    def post() -> Any:
        return flask.request.form.get("title", "no title")

    auth = ("web", other.add_client())
    good = other.token("client_credentials", auth).get_json()["access_token"]
    form = {"access_token": good, "title": "Spring"}
    assert other.http.post("/post", data=form).text == "Spring"
    assert other.http.post("/post", data={"title": "Spring"}).status_code == 401
    assert other.http.post("/post", data=form, headers={"Authorization": f"Bearer {good}"}).status_code == 400
    assert other.http.post("/post", data=form, content_type="multipart/form-data").status_code == 401
    assert other.http.post("/post", json=form).status_code == 401
    assert other.http.get("/post", data=form).status_code == 401
    assert other.http.get("/post", headers={"Authorization": f"Bearer {good}"}).status_code == 200
    assert other.http.post(f"/post?access_token={good}", data={"title": "x"}).status_code == 401
    header = {"Authorization": f"Bearer {good}"}
    assert other.http.post(f"/post?access_token={good}", data={"title": "x"}, headers=header).status_code == 200
    assert other.http.post("/post", data={"access_token": [good, good]}).status_code == 400
    many = {f"field{number}": "x" * 300 for number in range(300)}
    assert other.http.post("/post", data=many, headers=header).status_code == 200, "the view's own form is its own"
    latin = f"access_token={good}&title=\xe9".encode("latin-1")
    assert other.http.post("/post", data=latin, content_type="application/x-www-form-urlencoded").status_code == 401


def test_a_token_in_the_body_is_ignored_by_default(site: Site, secret: str) -> None:
    @site.app.post("/upload")
    @site.provider.require_oauth("profile")
    def upload() -> Any:
        return flask.request.stream.read()

    token = issue_token(site, secret)
    answer = site.http.post("/upload", data=b"raw", headers={"Authorization": f"Bearer {token}"})
    assert answer.data == b"raw"
    assert site.http.post("/upload", data={"access_token": token}).status_code == 401


def test_required_scopes_all_any_and_none(site: Site, secret: str) -> None:
    require = site.provider.require_oauth
    guards = {
        "all": require("profile mail"),
        "list": require(["profile", "mail"]),
        "several": require("profile", "mail"),
        "any": require(any_of=["mail", "write profile"]),
        "bare": require,
        "empty": require(),
    }
    for name, guard in guards.items():
        site.app.add_url_rule(f"/{name}", name, guard(lambda: "in"))

    def entered(scope: str) -> set[str]:
        token = site.token("client_credentials", ("web", secret), scope=scope).get_json()["access_token"]
        return {name for name in guards if site.call(token, f"/{name}").status_code == 200}

    assert entered("profile mail") == {"all", "list", "several", "any", "bare", "empty"}
    assert entered("profile") == {"bare", "empty"}
    assert entered("mail") == {"any", "bare", "empty"}
    assert entered("write") == {"bare", "empty"}
    assert entered("write profile") == {"any", "bare", "empty"}
    assert site.http.get("/bare").status_code == 401


def test_an_empty_scope_requirement_is_rejected(site: Site) -> None:
    require = site.provider.require_oauth
    with pytest.raises(TypeError, match="not both"):
        require("a", any_of=["b"])
    with pytest.raises(TypeError, match="list of alternatives"):
        require(any_of="admin superuser")
    with pytest.raises(ValueError, match="is not a scope value"):
        require('"')
    for empty in ({"scope": ""}, {"scope": []}, {"any_of": []}, {"any_of": ["a", ""]}):
        with pytest.raises(ValueError, match="empty scope"):
            require(**empty)


@pytest.mark.spec("rfc6749", "7")
def test_the_current_token_belongs_to_one_request(site: Site, token: str) -> None:
    with site.app.app_context():  # pushed before the requests, as scripts and tests do: they share its ``g``
        assert site.http.get("/api/me").status_code == 401
        assert site.call(token).status_code == 200
        assert site.http.get("/api/me").status_code == 401
        assert site.call("nonsense").status_code == 401
        assert site.call(token).status_code == 200


def test_options_is_answered_without_a_token(site: Site) -> None:
    blueprint = flask.Blueprint("api", __name__, url_prefix="/v2")
    site.provider.require_oauth("profile")(blueprint)
    blueprint.add_url_rule("/read", "read", lambda: "read")
    blueprint.add_url_rule("/own", "own", lambda: "own", methods=["OPTIONS"], provide_automatic_options=False)
    site.app.register_blueprint(blueprint)
    assert site.http.options("/v2/read").status_code == 200
    assert site.http.options("/v2/own").status_code == 401, "a view that answers OPTIONS itself is guarded"


def test_an_optional_token(site: Site, secret: str) -> None:
    @site.app.get("/optional")
    @site.provider.require_oauth("profile", optional=True)
    def optional() -> Any:
        return current_token.client_id if current_token else f"nobody has {current_token}"

    token = issue_token(site, secret)
    assert site.http.get("/optional").text == "nobody has None"
    assert site.call(token, "/optional").text == "web"
    assert site.call("nonsense", "/optional").status_code == 401, "a bad token is not no token"


def test_async_views_are_guarded(site: Site, secret: str) -> None:
    @site.app.get("/async")
    @site.provider.require_oauth("profile")
    async def view() -> Any:
        return {"client": current_token.client_id}

    token = issue_token(site, secret)
    assert site.call(token, "/async").get_json() == {"client": "web"}
    assert site.http.get("/async").status_code == 401


def test_class_based_views_are_guarded(site: Site, secret: str) -> None:
    require = site.provider.require_oauth

    @require("profile")
    class Whole(MethodView):
        def get(self) -> str:
            return current_token.client_id

    class Listed(MethodView):
        decorators = [require("mail")]

        def get(self) -> str:
            return current_token.client_id

    class Part(MethodView):
        @require("profile")
        def get(self, name: str) -> str:
            return name

        def post(self, name: str) -> str:
            return "open"

    site.app.add_url_rule("/whole", view_func=Whole.as_view("whole"))
    site.app.add_url_rule("/listed", view_func=Listed.as_view("listed"))
    site.app.add_url_rule("/part/<name>", view_func=Part.as_view("part"))
    token = issue_token(site, secret)
    assert site.call(token, "/whole").text == "web"
    assert site.http.get("/whole").status_code == 401
    assert site.call(token, "/listed").status_code == 403
    assert site.call(token, "/part/x").text == "x"
    assert site.http.get("/part/x").status_code == 401
    assert site.http.post("/part/x").text == "open"


def test_blueprints_are_guarded(site: Site, secret: str) -> None:
    blueprint = flask.Blueprint("api", __name__, url_prefix="/v2")
    site.provider.require_oauth("profile")(blueprint)

    @blueprint.get("/read")
    def read() -> str:
        return current_token.client_id

    @blueprint.get("/write")
    @site.provider.require_oauth("write")
    def write() -> str:
        return "written"

    site.app.register_blueprint(blueprint)
    token = issue_token(site, secret)
    assert site.call(token, "/v2/read").text == "web"
    assert site.http.get("/v2/read").status_code == 401
    assert site.call(token, "/v2/write").status_code == 403, "an inner guard is asked too"


def test_a_blueprint_may_be_guarded_without_a_scope(site: Site, secret: str) -> None:
    blueprint = flask.Blueprint("any", __name__, url_prefix="/any")
    site.provider.require_oauth(blueprint)
    blueprint.add_url_rule("/read", "read", lambda: "read")
    site.app.register_blueprint(blueprint)
    assert site.http.get("/any/read").status_code == 401
    assert site.call(issue_token(site, secret), "/any/read").text == "read"


def test_current_token(site: Site) -> None:
    seen: dict[str, Any] = {}

    @site.app.get("/seen")
    @site.provider.require_oauth("profile")
    def view() -> str:
        seen.update(
            user_id=current_token.user_id,
            client_id=current_token.client_id,
            scope=current_token.scope,
            expires_at=current_token.expires_at,
            user=current_token.user,
            client=current_token.client,
            claims=current_token.claims,
        )
        return ""

    tokens = site.tokens(site.add_client())
    site.call(tokens["access_token"], "/seen")
    assert seen["user_id"] == "ada"
    assert seen["user"] == {"id": "ada", "name": "Ada"}
    assert seen["client"].client_id == "web"
    assert seen["scope"] == ("profile",)
    assert seen["expires_at"] == NOW + 3600
    assert seen["claims"] == {}
    assert "prof" not in seen["scope"], "part of a word is no word"


def test_a_client_credentials_token_has_no_user(site: Site, secret: str) -> None:
    @site.app.get("/user")
    @site.provider.require_oauth()
    def view() -> Any:
        return {"user": current_token.user}

    token = issue_token(site, secret)
    assert site.call(token, "/user").get_json() == {"user": None}


def test_without_a_guard_there_is_no_current_token(site: Site) -> None:
    @site.app.get("/open")
    def view() -> str:
        return current_token.client_id

    with pytest.raises(RuntimeError, match="require_oauth"), site.app.test_request_context():
        view()


def test_a_token_of_a_deleted_client_is_rejected(site: Site, token: str) -> None:
    assert site.is_alive(token)
    site.store.delete_client("web", int(NOW) + 10_000)
    assert not site.is_alive(token)


def test_an_imported_token_is_valid(site: Site, token: str) -> None:
    from dataclasses import replace

    old = site.store._tokens[values.key(token)]
    imported = replace(old, access=replace(old.access, token_hash=values.key("imported-token")))
    site.store.issue(None, [imported], int(NOW))
    assert site.is_alive("imported-token")
    assert not site.is_alive("imported-token2")
