"""Protected resources: described, guarded, and named as the audience of tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import flask
import pytest
from flask.views import MethodView
from flask_cors import CORS

from flask_oauth2 import ConfigurationError, MemoryStore, OAuth2Provider, current_token
from flask_oauth2.resources import Resource, Resources
from flask_oauth2.testing import issue_token, unguarded
from oauth_site import Site

NewSite = Callable[..., Site]

API = "https://login.example/api"
WELL_KNOWN = "/.well-known/oauth-protected-resource"


def challenge_of(answer: Any) -> dict[str, str]:
    """The parameters of the challenge."""
    return dict(answer.www_authenticate.parameters)


@pytest.fixture
def api(new_site: NewSite) -> Site:
    """The site's /api, a resource, with one view that needs more and one that needs nothing."""
    return make_api(new_site())


@pytest.fixture
def apis(new_site: NewSite) -> Site:
    """The same, with another resource beside it."""
    site = new_site()
    site.provider.protect_resource("/files")

    @site.app.get("/files")
    def files() -> Any:
        return {"audience": current_token.audience}

    return make_api(site)


def make_api(site: Site) -> Site:
    site.provider.protect_resource("/api", ["profile"], name="Notes", documentation="https://docs.example")

    @site.app.get("/api/mail")
    @site.provider.require_oauth("mail")
    def mail() -> Any:
        return {"scope": current_token.scope}

    @site.app.get("/api/plain")
    def plain() -> Any:
        return {"user": current_token.user_id}

    @site.app.get("/api/news")
    @site.provider.require_oauth(optional=True)
    def news() -> Any:
        return {"user": current_token.user_id if current_token else None}

    @site.app.get("/elsewhere")
    @site.provider.require_oauth()
    def elsewhere() -> Any:
        return {}

    @site.app.get("/apis")
    def apis() -> Any:
        return {}

    site.add_client(secret=None)
    return site


class TestDocument:
    @pytest.mark.spec("rfc9728", "2")
    @pytest.mark.spec("rfc9728", "3")
    @pytest.mark.spec("rfc9728", "3.2")
    @pytest.mark.parametrize("path", [WELL_KNOWN, f"{WELL_KNOWN}/api"])
    def test_it_is_at_both_well_known_places(self, api: Site, path: str) -> None:
        answer = api.http.get(path)
        assert answer.status_code == 200
        assert answer.mimetype == "application/json"
        assert answer.headers["Cache-Control"] == "public, max-age=3600"
        assert answer.get_json() == {
            "resource": API,
            "authorization_servers": ["https://login.example"],
            "scopes_supported": ["profile", "mail"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Notes",
            "resource_documentation": "https://docs.example",
        }
        assert api.http.get(path).data == answer.data

    @pytest.mark.spec("rfc9728", "3.2")
    @pytest.mark.parametrize("path", ["/other", "/api/mail", "/apis", "/API"])
    def test_another_path_has_none(self, api: Site, path: str) -> None:
        answer = api.http.get(f"{WELL_KNOWN}{path}")
        assert answer.status_code == 404
        assert answer.data == b""

    def test_without_resources_there_is_none(self, site: Site) -> None:
        assert site.http.get(WELL_KNOWN).status_code == 404
        assert "protected_resources" not in site.http.get("/.well-known/oauth-authorization-server").get_json()

    @pytest.mark.spec("rfc9728", "4")
    def test_the_authorization_server_names_it(self, api: Site) -> None:
        document = api.http.get("/.well-known/oauth-authorization-server").get_json()
        assert document["protected_resources"] == [API]

    @pytest.mark.spec("rfc9728", "3")
    def test_of_several_each_has_its_own_and_the_root_has_none(self, apis: Site) -> None:
        assert apis.http.get(f"{WELL_KNOWN}/files").get_json()["resource"] == "https://login.example/files"
        assert apis.http.get(f"{WELL_KNOWN}/api").get_json()["resource"] == API
        assert apis.http.get(WELL_KNOWN).status_code == 404

    @pytest.mark.spec("rfc9728", "3.1")
    def test_one_at_the_root_is_the_origin_itself(self, new_site: NewSite) -> None:
        site = new_site()
        site.provider.protect_resource("/", policy_uri="https://x.example/p", tos_uri="https://x.example/t")
        assert site.http.get(WELL_KNOWN).get_json() == {
            "resource": "https://login.example",
            "authorization_servers": ["https://login.example"],
            "scopes_supported": ["profile"],
            "bearer_methods_supported": ["header"],
            "resource_policy_uri": "https://x.example/p",
            "resource_tos_uri": "https://x.example/t",
        }

    @pytest.mark.spec("rfc9728", "2")
    def test_what_is_empty_is_left_out(self, new_site: NewSite) -> None:
        site = new_site(OAUTH2_TOKEN_IN_BODY=True)
        site.provider.protect_resource("/files")
        assert site.http.get(f"{WELL_KNOWN}/files").get_json() == {
            "resource": "https://login.example/files",
            "authorization_servers": ["https://login.example"],
            "bearer_methods_supported": ["header", "body"],
        }

    @pytest.mark.spec("mcp-authorization", "O Scope")
    def test_the_document_names_what_each_request_needs(self, new_site: NewSite) -> None:
        """MCP clients ask for all that it names."""
        site = new_site()
        site.provider.protect_mcp(
            "/mcp", ["profile"], step_up=["write"], name="Notes", documentation="https://x.example"
        )

        @site.app.post("/mcp")
        @site.provider.require_oauth("mail")
        def mcp() -> Any:
            return {}

        for path in ("", "/mcp"):
            document = site.http.get(f"{WELL_KNOWN}{path}").get_json()
            assert document["resource"] == "https://login.example/mcp"
            assert document["scopes_supported"] == ["profile"]
        assert site.server.open_scopes == ("profile", "write", "mail")

    @pytest.mark.spec("rfc9728", "3")
    def test_below_a_mount_point_its_name_is_below_it(self, api: Site) -> None:
        answer = api.app.test_client().get(f"{WELL_KNOWN}/api", base_url="https://login.example/eu")
        assert answer.get_json()["resource"] == "https://login.example/eu/api"

    @pytest.mark.spec("rfc9728", "3.1")
    @pytest.mark.parametrize("path", ["", "/api", "/eu/api", "/eu/api/"])
    def test_below_a_mount_point_it_is_below_the_root_of_the_host(self, api: Site, path: str) -> None:
        http, mounted = api.app.test_client(), {"SCRIPT_NAME": "/eu"}
        answer = http.get(f"{WELL_KNOWN}{path}", environ_overrides=mounted)
        assert answer.get_json()["resource"] == "https://login.example/eu/api"
        assert http.get(f"{WELL_KNOWN}/europe/api", environ_overrides=mounted).status_code == 404
        assert http.get(f"{WELL_KNOWN}/eu/api").status_code == 404, "nobody has mounted it"

    def test_scopes_are_those_of_all_kinds_of_guards(self, new_site: NewSite) -> None:
        site = new_site()
        site.provider.protect_resource("/v1")
        blueprint = flask.Blueprint("v1", "v1", url_prefix="/v1")

        class Notes(MethodView):
            @site.provider.require_oauth(any_of=["mail", "write"])
            def get(self) -> str:
                return ""

        blueprint.add_url_rule("/notes", view_func=Notes.as_view("notes"))
        site.provider.require_oauth("profile")(blueprint)
        site.app.register_blueprint(blueprint)
        assert site.http.get(f"{WELL_KNOWN}/v1").get_json()["scopes_supported"] == ["mail", "write", "profile"]


class TestGuard:
    @pytest.mark.spec("rfc9728", "5.1")
    @pytest.mark.spec("rfc6750", "3")
    @pytest.mark.parametrize(
        ("path", "scope"), [("/api", "profile"), ("/api/plain", "profile"), ("/api/mail", "profile mail")]
    )
    def test_a_request_without_a_token_is_shown_the_way(self, api: Site, path: str, scope: str) -> None:
        answer = api.http.get(path)
        assert answer.status_code == 401
        assert challenge_of(answer) == {
            "realm": "oauth2",
            "scope": scope,
            "resource_metadata": f"https://login.example{WELL_KNOWN}/api",
        }

    @pytest.mark.spec("rfc9728", "5.1")
    def test_a_token_of_too_little_scope_too(self, api: Site) -> None:
        token = issue_token(api.app, "ada", "profile", client="web", resource="/api")
        answer = api.call(token, "/api/mail")
        assert answer.status_code == 403
        parameters = challenge_of(answer)
        assert parameters["error"] == "insufficient_scope"
        assert parameters["scope"] == "profile mail"
        assert parameters["resource_metadata"] == f"https://login.example{WELL_KNOWN}/api"

    def test_a_guard_that_is_in_no_resource_names_none(self, api: Site) -> None:
        answer = api.http.get("/elsewhere")
        assert answer.status_code == 401
        assert "resource_metadata" not in challenge_of(answer)

    def test_every_request_below_needs_the_scope_of_the_resource(self, api: Site) -> None:
        token = issue_token(api.app, "ada", "mail", client="web", resource="/api")
        assert api.call(token, "/api/plain").status_code == 403
        assert api.call(token, "/api/mail").status_code == 403
        token = issue_token(api.app, "ada", "profile mail", client="web", resource="/api")
        assert api.call(token, "/api/plain").get_json() == {"user": "ada"}
        assert api.call(token, "/api/mail").status_code == 200
        assert api.call(token, "/api/nothing").status_code == 404

    def test_a_view_whose_guard_is_optional_answers_everybody(self, api: Site) -> None:
        assert api.http.get("/api/news").get_json() == {"user": None}
        token = issue_token(api.app, "ada", "profile", client="web", resource="/api")
        assert api.call(token, "/api/news").get_json() == {"user": "ada"}
        token = issue_token(api.app, "ada", "mail", client="web", resource="/api")
        assert api.call(token, "/api/news").status_code == 403
        assert api.call(issue_token(api.app, "ada", "", client="web"), "/api/news").status_code == 401

    def test_a_path_that_only_begins_alike_is_not_in_it(self, api: Site) -> None:
        assert api.http.get("/apis").status_code == 200

    def test_a_preflight_needs_no_token(self, api: Site) -> None:
        assert api.http.options("/api/plain").status_code == 200
        assert api.http.options("/api/nothing").status_code == 401

    def test_at_the_root_only_guards_guard(self, new_site: NewSite) -> None:
        site = new_site()
        site.provider.protect_resource("/", ["profile"])
        assert site.http.get("/login").status_code == 200
        answer = site.http.get("/api/me")
        assert answer.status_code == 401
        assert challenge_of(answer)["resource_metadata"] == f"https://login.example{WELL_KNOWN}"

    def test_our_own_endpoints_stay_open(self, new_site: NewSite) -> None:
        site = new_site()
        site.provider.protect_resource("/oauth")
        assert site.http.post("/oauth/token", data={}).status_code == 400

    def test_its_views_count_as_guarded(self, api: Site) -> None:
        assert unguarded(api.app) == ["apis", "login"]

    def test_scopes_may_be_demanded_inside_a_view(self, api: Site) -> None:
        @api.app.post("/api/tools")
        def tools() -> Any:
            current_token.require(flask.request.form["needs"])
            return {}

        token = issue_token(api.app, "ada", "profile", client="web", resource="/api")
        headers = {"Authorization": f"Bearer {token}"}
        assert api.http.post("/api/tools", data={"needs": "profile"}, headers=headers).status_code == 200
        answer = api.http.post("/api/tools", data={"needs": "write"}, headers=headers)
        assert answer.status_code == 403
        assert challenge_of(answer)["scope"] == "profile write"
        assert answer.get_json()["error"] == "insufficient_scope"


class TestAudience:
    @pytest.mark.spec("mcp-authorization", "O Token handling")
    @pytest.mark.spec("oauth-v2-1", "5.2")
    def test_a_token_is_good_at_its_own_resource_alone(self, apis: Site) -> None:
        api = apis
        of_files = issue_token(api.app, "ada", "profile", client="web", resource="/files")
        of_api = issue_token(api.app, "ada", "profile", client="web", resource="/api")
        assert api.call(of_files, "/files").get_json() == {"audience": ["https://login.example/files"]}
        assert api.call(of_api, "/api/plain").status_code == 200
        for token, path in ((of_files, "/api/plain"), (of_api, "/files"), (of_api, "/elsewhere")):
            answer = api.call(token, path)
            assert answer.status_code == 401
            assert challenge_of(answer)["error"] == "invalid_token"

    def test_a_token_for_none_is_good_where_none_is(self, api: Site) -> None:
        token = issue_token(api.app, "ada", "", client="web")
        assert api.call(token, "/elsewhere").status_code == 200
        assert api.call(token, "/api/plain").status_code == 401

    def test_it_stays_bound_where_the_resource_is_described_no_more(self, new_site: NewSite) -> None:
        store = MemoryStore()
        first, second = new_site(store=store), new_site(store=store)
        first.provider.protect_resource("/api", ["profile"])
        first.add_client(secret=None)
        token = issue_token(first.app, "ada", "profile", client="web", resource="/api")
        assert first.is_alive(token)
        assert not second.is_alive(token)

    @pytest.mark.spec("rfc8707", "2")
    @pytest.mark.spec("rfc7662", "2.2")
    def test_introspection_names_it(self, api: Site) -> None:
        secret = api.add_client("rs", resource_server=True)
        token = issue_token(api.app, "ada", "profile", client="web", resource="/api")
        assert api.post("/introspect", ("rs", secret), token=token).get_json()["aud"] == API
        token = issue_token(api.app, "ada", "", client="web")
        assert "aud" not in api.post("/introspect", ("rs", secret), token=token).get_json()

    @pytest.mark.spec("rfc8707", "2")
    def test_a_signed_token_carries_it(self, new_site: NewSite) -> None:
        site = new_site(OAUTH2_ACCESS_TOKEN_FORMAT="signed")
        site.provider.protect_resource("/api", ["profile"])
        site.add_client(secret=None)
        assert site.is_alive(issue_token(site.app, "ada", "profile", client="web", resource="/api"))
        assert not site.is_alive(issue_token(site.app, "ada", "mail", client="web"))


class TestMistakes:
    @pytest.mark.parametrize("path", ["api", "", "/api/", "/a b", "/é", "https://login.example/api", "/a?b", "/a#b"])
    def test_a_path_that_is_none_is_refused(self, site: Site, path: str) -> None:
        with pytest.raises(ConfigurationError, match="is not the path of a protected resource"):
            site.provider.protect_resource(path)

    @pytest.mark.parametrize("path", ["//api", "/api//me", "/api/../api", "/./api", "/api/.."])
    def test_a_path_that_no_request_has_is_refused(self, site: Site, path: str) -> None:
        """What is below it would be open, and nothing would say so."""
        with pytest.raises(ConfigurationError, match="is not the path of a protected resource"):
            site.provider.protect_resource(path)

    def test_one_path_is_one_resource(self, site: Site) -> None:
        site.provider.protect_resource("/api")
        with pytest.raises(ConfigurationError, match="the resource /api is registered already"):
            site.provider.protect_mcp("/api")

    def test_not_after_the_first_request(self, site: Site) -> None:
        site.http.get("/api/me")
        with pytest.raises(ConfigurationError, match="the resource /files must be registered before the first request"):
            site.provider.protect_resource("/files")

    def test_scopes_that_nobody_described(self, new_site: NewSite) -> None:
        site = new_site()
        site.provider.protect_mcp("/mcp", ["tools"])
        with pytest.raises(ConfigurationError, match="/mcp needs the scope tools, which OAUTH2_SCOPES does not"):
            site.http.get("/mcp")

    def test_scopes_by_their_grammar(self, site: Site) -> None:
        with pytest.raises(ValueError, match="is not a scope value"):
            site.provider.protect_resource("/files", ['a"b'])


def echo(environ: Any, start_response: Any) -> Iterable[bytes]:
    """A WSGI application that says where it was called."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    text = f"{environ['REQUEST_METHOD']} {environ['SCRIPT_NAME']} {environ['PATH_INFO']} {current_token.user_id}"
    return [text.encode(), b" ", environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))]


class TestMounted:
    """A WSGI application as a resource."""

    @pytest.mark.parametrize("path", ["/mcp", "/mcp/", "/mcp/a/b"])
    def test_it_answers_behind_the_guard(self, new_site: NewSite, path: str) -> None:
        site = new_site()
        site.provider.protect_mcp("/mcp", ["profile"], wsgi_app=echo)
        site.add_client(secret=None)
        assert site.http.post(path, data=b"body").status_code == 401
        token = issue_token(site.app, "ada", "profile", client="web", resource="/mcp")
        answer = site.http.post(path, data=b"body", headers={"Authorization": f"Bearer {token}"})
        assert answer.text == f"POST /mcp {path.removeprefix('/mcp') or '/'} ada body"
        assert site.http.options(path).status_code == 401

    def test_a_preflight_is_answered_before_it_and_no_other_request(self, new_site: NewSite) -> None:
        site = new_site()
        CORS(site.app, origins=["https://page.example"], expose_headers=["WWW-Authenticate"])
        site.provider.protect_mcp("/mcp", ["profile"], wsgi_app=echo)
        site.add_client(secret=None)
        asks = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
        answer = site.http.options("/mcp", headers=asks)
        assert (answer.status_code, answer.text) == (200, "")
        assert answer.headers["Access-Control-Allow-Origin"] == "https://page.example"
        elsewhere = site.http.options("/mcp", headers=asks | {"Origin": "https://evil.example"})
        assert "Access-Control-Allow-Origin" not in elsewhere.headers
        refused = site.http.post("/mcp", headers={"Origin": "https://page.example"})
        assert refused.status_code == 401
        assert refused.headers["Access-Control-Expose-Headers"] == "WWW-Authenticate"
        for some in ({}, {"Origin": "https://page.example"}, {"Access-Control-Request-Method": "POST"}):
            assert site.http.options("/mcp", headers=some).status_code == 401
        token = issue_token(site.app, "ada", "profile", client="web", resource="/mcp")
        assert site.http.options("/mcp", headers={"Authorization": f"Bearer {token}"}).text == "OPTIONS /mcp / ada "

    def test_below_a_mount_point_of_the_application(self, new_site: NewSite) -> None:
        site = new_site()
        site.provider.protect_resource("/files", wsgi_app=echo)
        site.add_client(secret=None)
        token = issue_token(site.app, "ada", "profile", client="web", resource="/files")
        headers = {"Authorization": f"Bearer {token}"}
        assert site.http.get("/files/x", headers=headers).text == "GET /files /x ada "
        # there it is another resource, by another name
        assert site.http.get("/files/x", headers=headers, base_url="https://login.example/eu").status_code == 401

    def test_several_applications_of_one_provider(self) -> None:
        provider = OAuth2Provider(store=MemoryStore())
        apps = [flask.Flask(name) for name in ("first", "second")]
        for app in apps:
            app.config.update(SECRET_KEY="secret", OAUTH2_ISSUER="https://login.example")
        provider.protect_mcp("/mcp", wsgi_app=echo)
        for app in apps:
            provider.init_app(app)
        for app in apps:
            assert app.test_client().get("/mcp").status_code == 401
            token = issue_token(app, "ada", resource="/mcp")
            answer = app.test_client().get("/mcp", headers={"Authorization": f"Bearer {token}"})
            assert answer.text == "GET /mcp / ada "


ROOT = "https://api.example"


def resources(*paths: str, outside_scopes: Iterable[str] = ()) -> Resources:
    described = [Resource(path=path, scopes=(path.strip("/") or "root", "shared")) for path in paths]
    return Resources(described, ROOT, outside_scopes=outside_scopes)


class TestNames:
    @pytest.mark.spec("mcp-authorization", "O Resource")
    @pytest.mark.parametrize(
        "name",
        [f"{ROOT}/mcp", f"{ROOT}/mcp/", "https://API.example/mcp", "HTTPS://api.example:443/mcp", ROOT, f"{ROOT}/"],
    )
    def test_spellings_of_one_name(self, name: str) -> None:
        found = resources("/mcp").named(name)
        assert found is not None
        assert found.identifier == f"{ROOT}/mcp"

    @pytest.mark.parametrize(
        "name",
        [
            f"{ROOT}/MCP",
            f"{ROOT}/mcp/x",
            f"{ROOT}/mcp?x=1",
            f"{ROOT}:8443/mcp",
            "http://api.example/mcp",
            "https://api.example.evil.example/mcp",
            "https://evil@api.example.evil/mcp",
            "https://api.example:x/mcp",
            "https://[/mcp",
            "urn:x:y",
        ],
    )
    def test_other_names(self, name: str) -> None:
        assert resources("/mcp").named(name) is None

    def test_the_origin_alone_says_nothing_where_there_are_several(self) -> None:
        assert resources("/mcp", "/api").named(ROOT) is None
        root = resources("/", "/api").named(f"{ROOT}/")
        assert root is not None
        assert root.identifier == ROOT

    def test_the_innermost_is_meant(self) -> None:
        found = resources("/api", "/api/v2", "/")
        for path, name in {"/api": "/api", "/api/v2/x": "/api/v2", "/api/v22": "/api", "/x": "/"}.items():
            resource = found.at(path)
            assert resource is not None
            assert resource.path == name
        assert resources("/api").at("/x") is None

    def test_of_a_scope(self) -> None:
        found = resources("/a", "/b")
        assert [resource.path for resource in found.of_scope(("a",))] == ["/a"]
        assert [resource.path for resource in found.of_scope(("shared",))] == ["/a", "/b"]
        assert [resource.path for resource in found.of_scope(("a", "b"))] == []
        assert list(found.of_scope(())) == []
        assert list(resources("/a", outside_scopes=["a"]).of_scope(("a",))) == []
        assert len(resources("/a", outside_scopes=["a"]).of_scope(("a", "shared"))) == 1

    def test_an_address_as_host(self) -> None:
        found = Resources([Resource(path="/mcp")], "http://[::1]:5000").named("http://[::1]:5000/mcp")
        assert found is not None

    def test_what_the_root_names(self) -> None:
        assert resources("/a", "/b").of_root is None
        mcp = Resources([Resource(path="/a"), Resource(path="/mcp", is_mcp=True)], ROOT).of_root
        assert mcp is not None
        assert mcp.path == "/mcp"


@pytest.mark.parametrize("route", ["/mcp", "/mcp/"])
@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
def test_a_view_answers_with_and_without_a_slash_at_the_end(new_site: NewSite, route: str, path: str) -> None:
    site = new_site()
    site.provider.protect_mcp("/mcp", ["write"])
    site.app.add_url_rule(route, "mcp", lambda: {"user": current_token.user_id}, methods=["POST"])
    assert site.http.post(path).status_code == 401
    headers = {"Authorization": f"Bearer {issue_token(site.app, 'ada', 'write')}"}
    assert site.http.post(path, headers=headers).get_json() == {"user": "ada"}
    assert site.http.post(f"{path.rstrip('/')}/nothing/", headers=headers).status_code == 404
    assert site.http.delete(path, headers=headers).status_code == 405


@pytest.mark.parametrize("route", ["/mcp", "/mcp/"])
@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
def test_an_optional_guard_holds_with_and_without_a_slash_at_the_end(new_site: NewSite, route: str, path: str) -> None:
    site = new_site()
    site.provider.protect_mcp("/mcp", ["write"])
    view = site.provider.require_oauth(optional=True)(lambda: {"user": current_token.user_id if current_token else ""})
    site.app.add_url_rule(route, "mcp", view)
    assert site.http.get(path).get_json() == {"user": ""}
    assert site.http.get(f"{path.rstrip('/')}/nothing").status_code == 401
    assert site.call(issue_token(site.app, "ada", "write"), path).get_json() == {"user": "ada"}


@pytest.mark.spec("rfc8707", "2.1")
@pytest.mark.parametrize("path", ["/open/inside", "/outside"])
def test_only_a_guard_outside_of_all_resources_takes_tokens_for_none(new_site: NewSite, path: str) -> None:
    site = new_site()
    site.provider.protect_resource("/open")
    site.app.add_url_rule(path, "view", site.provider.require_oauth()(dict))
    site.add_client(secret=None, scope=())
    token = site.tokens(scope=None)["access_token"]
    assert site.call(token, path).status_code == 200
