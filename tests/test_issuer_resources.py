"""Protected resources with variables in their path: each issuer has its own."""

from __future__ import annotations

from typing import Any

import flask
import pytest
from tenants import KEY

from flask_oauth2 import ConfigurationError, InvalidTarget, Issuer, MemoryStore, OAuth2Provider, current_token
from flask_oauth2.resources import Resource, innermost
from flask_oauth2.testing import issue_token, unguarded
from flask_oauth2.tools.simulation import PROFILES, open_sandbox
from simulated import lines_of, notes_of

ORIGIN = "https://login.example"
WELL_KNOWN = "/.well-known/oauth-protected-resource"


def make_site(path: str = "/<tenant>/api", **arguments: str) -> Any:
    """Return an application with the resource ``path`` of the issuers acme and umbrella."""
    app = flask.Flask("site")
    app.config.update(
        SECRET_KEY=KEY,
        TESTING=True,
        OAUTH2_SCOPES={"notes": "Read notes", "mail": "Read mail"},
        OAUTH2_LOGIN_VIEW="/login",
        OAUTH2_GRANT_TYPES=["authorization_code", "client_credentials", "refresh_token"],
    )
    provider = OAuth2Provider(app, store=MemoryStore(), url_prefix="/<tenant>/oauth")
    known = {name: Issuer(id=name, url=f"{ORIGIN}/{name}", arguments=arguments) for name in ("acme", "umbrella")}

    @provider.issuergetter
    def find_issuer() -> Issuer | None:
        return known.get((flask.request.view_args or {}).get("tenant", ""))

    provider.current_user(lambda: flask.session.get("user"))
    provider.protect_resource(path, ["notes"])

    @app.get("/login")
    def login() -> str:
        return "sign in"

    @app.get("/<tenant>/api")
    def index(tenant: str) -> Any:
        return tenant

    @app.get("/<tenant>/api/notes")
    def notes(tenant: str) -> Any:
        return {"tenant": tenant, "audience": current_token.audience}

    @app.get("/<tenant>/api/mail")
    @provider.require_oauth("mail")
    def mail(tenant: str) -> Any:
        return tenant

    return app


def token_of(app: flask.Flask, name: str, scope: str = "notes", resource: str | None = None) -> str:
    provider = app.extensions["flask_oauth2"].provider
    with app.app_context(), provider.issuer_context(f"{ORIGIN}/{name}"):
        return issue_token(app, "ada", scope, resource=resource)


def get(app: flask.Flask, path: str, token: str | None = None) -> Any:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return app.test_client().get(path, base_url=ORIGIN, headers=headers)


@pytest.mark.spec("rfc9728", "5.1")
@pytest.mark.parametrize("name", ["acme", "umbrella"])
def test_a_view_without_a_guard_is_guarded_and_names_the_document_of_its_issuer(name: str) -> None:
    app = make_site()
    answer = get(app, f"/{name}/api/notes")
    assert answer.status_code == 401
    url = answer.www_authenticate.parameters["resource_metadata"]
    assert url == f"{ORIGIN}{WELL_KNOWN}/{name}/api"
    document = get(app, url.removeprefix(ORIGIN)).get_json()
    assert document["resource"] == f"{ORIGIN}/{name}/api"
    assert document["authorization_servers"] == [f"{ORIGIN}/{name}"]
    assert document["scopes_supported"] == ["notes", "mail"]
    assert get(app, f"{url.removeprefix(ORIGIN)}/").get_json() == document
    server = get(app, f"/.well-known/oauth-authorization-server/{name}").get_json()
    assert server["protected_resources"] == [f"{ORIGIN}/{name}/api"]
    assert unguarded(app) == ["login"]


@pytest.mark.spec("rfc8707", "2")
def test_a_token_is_for_the_resource_of_its_issuer() -> None:
    app = make_site()
    for token in (token_of(app, "acme"), token_of(app, "acme", resource="/acme/api")):
        answer = get(app, "/acme/api/notes", token)
        assert answer.get_json() == {"tenant": "acme", "audience": [f"{ORIGIN}/acme/api"]}
        assert get(app, "/umbrella/api/notes", token).status_code == 401
        assert get(app, "/acme/api/mail", token).status_code == 403
    assert get(app, "/acme/api/mail", token_of(app, "acme", "notes mail")).text == "acme"
    with pytest.raises(InvalidTarget):
        token_of(app, "acme", resource="/umbrella/api")


@pytest.mark.parametrize(
    "path",
    ["/nobody/api/notes", "/nobody/api/missing", f"{WELL_KNOWN}/nobody/api", f"{WELL_KNOWN}/acme/other", WELL_KNOWN],
)
def test_a_path_of_no_issuer_is_not_found(path: str) -> None:
    app = make_site()
    assert get(app, path).status_code == 404


def test_the_url_with_a_slash_at_the_end_is_guarded_too() -> None:
    app = make_site()
    assert get(app, "/acme/api/").status_code == 401
    assert get(app, "/acme/api/", token_of(app, "acme")).text == "acme"


def test_a_path_without_a_view_is_guarded_too() -> None:
    app = make_site()
    for path in ("/acme/api/missing", "/acme//api/missing"):
        answer = get(app, path)
        assert answer.status_code == 401
        assert answer.www_authenticate.parameters["resource_metadata"] == f"{ORIGIN}{WELL_KNOWN}/acme/api"
    assert get(app, "/acme/api/missing", token_of(app, "acme")).status_code == 404
    assert app.test_client().post("/acme/api/notes", base_url=ORIGIN).status_code == 401


def test_values_of_another_issuer_are_not_found() -> None:
    """The issuer has one path, even if its application finds it at others."""
    app = make_site(path="/<tenant>/api", tenant="acme")
    assert get(app, "/acme/api/notes", token_of(app, "acme")).status_code == 200
    assert get(app, "/umbrella/api/notes").status_code == 404


def test_a_mounted_application_sees_the_path_of_its_issuer() -> None:
    app = make_site()

    def mounted(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{environ['SCRIPT_NAME']} {environ['PATH_INFO']} {environ['REMOTE_USER']}".encode()]

    app.extensions["flask_oauth2"].provider.protect_resource("/<tenant>/files", ["mail"], wsgi_app=mounted)
    token = token_of(app, "umbrella", "mail", "/umbrella/files")
    assert get(app, "/umbrella/files/a/b", token).text == "/umbrella/files /a/b ada"
    assert get(app, "/umbrella/files", token).text == "/umbrella/files / ada"
    assert get(app, "/acme/files/a/b", token).status_code == 401
    assert get(app, "/umbrella/api/notes", token).status_code == 401
    assert get(app, f"{WELL_KNOWN}/acme/files").get_json()["resource"] == f"{ORIGIN}/acme/files"


def test_a_simulated_client_uses_the_resource_of_the_issuer() -> None:
    app = make_site()
    with open_sandbox(app, "eve", f"{ORIGIN}/acme") as sandbox:
        simulation = PROFILES["server"](sandbox)
        steps = list(simulation.play())
    notes_of(steps)
    assert simulation.resource == f"{ORIGIN}/acme/api"
    assert "GET /acme/api → 200" in lines_of(steps)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "the issuer acme has no value for a variable of the resource /<org>/api"),
        ({"tenant": "acme", "org": "a/b"}, "that is no segment of a path"),
        ({"tenant": "acme", "org": ".."}, "that is no segment of a path"),
        ({"tenant": "acme", "org": "a b"}, "that is no segment of a path"),
    ],
)
def test_an_issuer_needs_a_segment_for_each_variable(arguments: dict[str, str], sentence: str) -> None:
    app = make_site("/<org>/api", **arguments)
    with pytest.raises(ConfigurationError, match=sentence):
        get(app, "/.well-known/oauth-authorization-server/acme")


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/<tenant>", "would contain every path"),
        ("/<a>/<b>", "would contain every path"),
        ("<tenant>/api", "is not the path of a protected resource"),
        ("/<path:tenant>/api", "is not the path of a protected resource"),
        ("/x<tenant>/api", "is not the path of a protected resource"),
        ("/<tenant>/api/", "is not the path of a protected resource"),
    ],
)
def test_a_variable_is_a_segment_below_which_another_is_fixed(path: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        make_site(path)


def test_an_application_with_one_issuer_has_no_variables_in_paths() -> None:
    app = flask.Flask("site")
    app.config.update(SECRET_KEY=KEY, TESTING=True, OAUTH2_ISSUER=ORIGIN)
    provider = OAuth2Provider(app, store=MemoryStore())
    provider.protect_resource("/<tenant>/api")
    with pytest.raises(ConfigurationError, match="this application has one issuer: register an issuergetter"):
        get(app, "/.well-known/oauth-authorization-server")


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("/acme/api", "/acme/api"),
        ("/umbrella/api/x", "/<tenant>/api"),
        ("//umbrella//api", "/<tenant>/api"),
        ("/umbrella/api/v2/x", "/<tenant>/api/<version>"),
        ("/umbrella/api/", "/<tenant>/api"),
        ("/umbrella/apis", "/"),
        ("/umbrella", "/"),
    ],
)
def test_the_innermost_resource_has_the_most_segments(path: str, owner: str) -> None:
    described = [Resource(path=path) for path in ("/", "/<tenant>/api", "/acme/api", "/<tenant>/api/<version>")]
    if path == "/umbrella/api/x":
        described.pop()
    found = innermost(described, path)
    assert found is not None
    assert found.path == owner
