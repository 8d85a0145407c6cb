"""The extension: factories, several applications, databases, callbacks, mistakes at start."""

from __future__ import annotations

import gc
import stat
import weakref
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask
import flask_login
import pytest
from flask_sqlalchemy import SQLAlchemy
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_oauth2 import ConfigurationError, MemoryStore, OAuth2Provider, User, current_token
from flask_oauth2.testing import issue_token
from oauth_site import Site, answer_of, make_site

WELL_KNOWN = "/.well-known/oauth-authorization-server"
FORM = {"grant_type": "client_credentials", "client_id": "nobody"}


def new_app(tmp_path: Path, **config: Any) -> flask.Flask:
    app = flask.Flask("shop", instance_path=str(tmp_path / "instance"))
    app.config.update(SECRET_KEY="secret", PROPAGATE_EXCEPTIONS=True, **config)
    return app


def dispose(app: flask.Flask, provider: OAuth2Provider) -> None:
    with app.app_context():
        store: Any = provider.server.store
        store.engine.dispose()


def test_one_line_makes_a_provider_on_a_file_in_the_instance_folder(tmp_path: Path) -> None:
    app = new_app(tmp_path)
    provider = OAuth2Provider(app)
    assert app.test_client().post("/oauth/token", data=FORM).status_code == 401
    file = tmp_path / "instance" / "oauth2.sqlite"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    dispose(app, provider)


def test_a_factory_and_several_applications(tmp_path: Path) -> None:
    provider = OAuth2Provider(url_prefix="/auth/")
    provider.current_user(lambda: flask.session.get("user"))
    apps = []
    for name in ("one", "two"):
        app = new_app(tmp_path / name, OAUTH2_ISSUER=f"https://{name}.example")
        provider.init_app(app)
        app.add_url_rule("/me", "me", provider.require_oauth()(lambda: current_token.client_id))
        apps.append(app)
    one, two = (Site(app, provider, lambda: 1_800_000_000.0) for app in apps)  # type: ignore[arg-type]
    secret = one.add_client()
    form = {"grant_type": "client_credentials"}
    token = one.http.post("/auth/token", data=form, auth=("web", secret)).get_json()["access_token"]
    assert one.call(token, "/me").text == "web"
    assert two.call(token, "/me").status_code == 401
    assert two.http.post("/auth/token", data=form, auth=("web", secret)).status_code == 401
    assert one.http.get(WELL_KNOWN).get_json()["token_endpoint"] == "https://one.example/auth/token"
    assert two.http.get(WELL_KNOWN).get_json()["token_endpoint"] == "https://two.example/auth/token"
    for app in apps:
        dispose(app, provider)


def test_one_application_has_one_provider(tmp_path: Path) -> None:
    app = new_app(tmp_path)
    OAuth2Provider(app)
    with pytest.raises(ConfigurationError, match="already has an OAuth2Provider: remove the second"):
        OAuth2Provider(app)


def test_an_application_without_init_app_is_told(tmp_path: Path) -> None:
    app, provider = new_app(tmp_path), OAuth2Provider()
    app.add_url_rule("/me", "me", provider.require_oauth()(lambda: "me"))
    with pytest.raises(ConfigurationError, match="init_app"):
        app.test_client().get("/me")


def test_the_prefix_may_be_empty(tmp_path: Path) -> None:
    app = new_app(tmp_path)
    OAuth2Provider(app, store=MemoryStore(), url_prefix="/")
    assert app.test_client().get(WELL_KNOWN).get_json()["token_endpoint"] == "http://localhost/token"


def test_the_applications_own_database(tmp_path: Path) -> None:
    db = SQLAlchemy()
    site = make_site(tmp_path, db=db, SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'app.sqlite'}")
    assert "oauth2_token" in db.metadata.tables, "migrations see the tables"
    with site.app.app_context():
        with pytest.raises(ConfigurationError, match=r"lacks the tables oauth2_client, .*create_tables\(\)"):
            _ = site.provider.server.store
        db.create_all()
    secret = site.add_client()
    tokens = site.tokens(secret)
    assert site.is_alive(tokens["access_token"])
    assert not (tmp_path / "instance" / "oauth2.sqlite").exists()
    models = site.provider.models
    with site.app.app_context():
        row = db.session.execute(db.select(models["OAuth2Client"])).scalar_one()
        assert row.redirect_uris == list(site.store.get_client("web").redirect_uris)
        token = db.session.execute(db.select(models["OAuth2Token"])).scalar_one()
        assert (token.user_id, token.scope) == ("ada", "profile")
        db.session.remove()
        db.engine.dispose()


def test_a_database_in_memory(tmp_path: Path) -> None:
    db = SQLAlchemy()
    site = make_site(tmp_path, db=db, SQLALCHEMY_DATABASE_URI="sqlite://")
    with site.app.app_context():
        db.create_all()
    assert site.is_alive(site.tokens(site.add_client())["access_token"])
    with site.app.app_context():
        db.engine.dispose()


def test_an_application_with_a_database_is_asked_which_it_means(tmp_path: Path) -> None:
    app = new_app(tmp_path, SQLALCHEMY_DATABASE_URI="sqlite://")
    SQLAlchemy(app)
    OAuth2Provider(app)
    with pytest.raises(ConfigurationError, match=r"Pass db=db to OAuth2Provider.*OAUTH2_DATABASE_URI"):
        app.test_client().get(WELL_KNOWN)


def test_it_may_say_that_it_means_one_of_their_own(tmp_path: Path) -> None:
    own = tmp_path / "own.sqlite"
    app = new_app(tmp_path, SQLALCHEMY_DATABASE_URI="sqlite://", OAUTH2_DATABASE_URI=f"sqlite:///{own}")
    SQLAlchemy(app)
    provider = OAuth2Provider(app)
    assert app.test_client().post("/oauth/token", data=FORM).status_code == 401
    assert own.exists()
    dispose(app, provider)


def test_models_are_those_of_the_applications_database(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="db=db"):
        _ = OAuth2Provider(new_app(tmp_path), store=MemoryStore()).models


def test_db_and_store_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not both"):
        OAuth2Provider(db=SQLAlchemy(), store=MemoryStore())


def test_a_wrong_option_fails_at_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="OAUTH2_AUTHORIZATION_CODE_LIFETIME"):
        OAuth2Provider(new_app(tmp_path, OAUTH2_AUTHORIZATION_CODE_LIFETIME=6000))


def test_a_secret_key_is_needed(tmp_path: Path) -> None:
    app = new_app(tmp_path)
    app.config["SECRET_KEY"] = None
    OAuth2Provider(app)
    with pytest.raises(ConfigurationError, match="SECRET_KEY"):
        app.test_client().get(WELL_KNOWN)


@pytest.mark.spec("rfc8414", "2")
@pytest.mark.parametrize(
    ("name", "port", "config", "issuer"),
    [
        ("127.0.0.1", "5000", {}, "http://127.0.0.1:5000"),
        ("localhost", "80", {}, "http://localhost"),
        ("::1", "5000", {}, "http://[::1]:5000"),
        ("0.0.0.0", "5000", {"DEBUG": True}, "http://localhost:5000"),
        ("0.0.0.0", "5000", {"OAUTH2_ISSUER": "https://login.example"}, "https://login.example"),
        ("0.0.0.0", "5000", {}, None),
        ("shop.example", "443", {}, None),
    ],
)
def test_the_issuer_is_required_outside_debug_and_loopback(
    tmp_path: Path, name: str, port: str, config: dict[str, Any], issuer: str | None
) -> None:
    app = new_app(tmp_path, **config)
    OAuth2Provider(app, store=MemoryStore())
    environ = {"SERVER_NAME": name, "SERVER_PORT": port, "HTTP_HOST": "evil.example"}
    if issuer is None:
        with pytest.raises(ConfigurationError, match="OAUTH2_ISSUER"):
            app.test_client().get(WELL_KNOWN, environ_overrides=environ)
    else:
        document = app.test_client().get(WELL_KNOWN, environ_overrides=environ).get_json()
        assert document["issuer"] == issuer


@pytest.mark.spec("rfc8414", "2")
@pytest.mark.parametrize(
    ("host", "issuer"),
    [
        ("localhost:5000", "http://localhost:5000"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("LOCALHOST:5000", "http://localhost:5000"),
        ("[::1]:5000", "http://[::1]:5000"),
        ("localhost:8080", "http://localhost:8080"),
        ("localhost", "http://localhost"),
        ("localhost:80", "http://localhost"),
        ("localhost.evil.example:5000", "http://127.0.0.1:5000"),
        ("evil.example", "http://127.0.0.1:5000"),
        ("evil@localhost:5000", "http://127.0.0.1:5000"),
        ("localhost:99999", "http://127.0.0.1:5000"),
        ("localhost:x", "http://127.0.0.1:5000"),
        ("[", "http://127.0.0.1:5000"),
        ("", "http://127.0.0.1:5000"),
    ],
)
def test_on_loopback_the_issuer_follows_the_host_header(tmp_path: Path, host: str, issuer: str) -> None:
    app = new_app(tmp_path)
    provider = OAuth2Provider(app, store=MemoryStore())
    provider.protect_resource("/api", ["profile"])
    http = app.test_client()
    socket = {"SERVER_NAME": "127.0.0.1", "SERVER_PORT": "5000"}
    for name in ("127.0.0.1:5000", host, "localhost:5000", host):
        document = http.get(WELL_KNOWN, environ_overrides={**socket, "HTTP_HOST": name}).get_json()
    assert document["issuer"] == issuer
    assert document["token_endpoint"] == f"{issuer}/oauth/token"
    challenge = http.get("/api", environ_overrides={**socket, "HTTP_HOST": host}).headers["WWW-Authenticate"]
    assert f'resource_metadata="{issuer}/.well-known/' in challenge


@pytest.mark.spec("rfc8707", "2")
def test_on_loopback_a_token_is_for_the_host_that_the_client_named(tmp_path: Path) -> None:
    app = new_app(tmp_path, TESTING=True)
    provider = OAuth2Provider(app, store=MemoryStore())
    provider.protect_resource("/api", ["profile"])
    app.add_url_rule("/api", "api", dict)
    headers = {"Authorization": f"Bearer {issue_token(app, 'ada', 'profile')}"}
    assert app.test_client().get("/api", headers=headers).status_code == 200
    assert app.test_client().get("/api", base_url="http://127.0.0.1", headers=headers).status_code == 401


def test_many_names_of_this_machine_are_not_kept(tmp_path: Path) -> None:
    app = new_app(tmp_path)
    OAuth2Provider(app, store=MemoryStore())
    for port in range(5000, 5100):
        document = app.test_client().get(WELL_KNOWN, base_url=f"http://localhost:{port}").get_json()
        assert document["issuer"] == f"http://localhost:{port}"
    with app.app_context():
        assert len(app.extensions["flask_oauth2"].servers._by_url) == 16


@pytest.mark.spec("rfc8414", "2")
def test_the_issuer_is_not_taken_from_a_header_behind_a_proxy(tmp_path: Path) -> None:
    """``ProxyFix`` makes SERVER_NAME of X-Forwarded-Host, which is whatever the first stranger says."""
    app = new_app(tmp_path)
    OAuth2Provider(app, store=MemoryStore())
    app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1)  # type: ignore[method-assign]
    headers = {"X-Forwarded-Host": "localhost:6666", "X-Forwarded-Proto": "https"}
    environ = {"SERVER_NAME": "10.0.0.5", "SERVER_PORT": "8000"}
    with pytest.raises(ConfigurationError, match="OAUTH2_ISSUER"):
        app.test_client().get(WELL_KNOWN, headers=headers, environ_overrides=environ)


@pytest.mark.spec("rfc8414", "2")
@pytest.mark.parametrize("address", ["203.0.113.9", "::ffff:203.0.113.9", ""])
def test_nor_by_a_server_that_is_called_what_the_host_header_says(tmp_path: Path, address: str) -> None:
    """As Apache is at first, and gunicorn at a Unix socket. Nobody from elsewhere connects to a loopback address."""
    app = new_app(tmp_path)
    OAuth2Provider(app, store=MemoryStore())
    environ = {"SERVER_NAME": "localhost", "SERVER_PORT": "6666", "REMOTE_ADDR": address}
    with pytest.raises(ConfigurationError, match="OAUTH2_ISSUER"):
        app.test_client().get(WELL_KNOWN, environ_overrides=environ)


@pytest.mark.spec("rfc8414", "3")
@pytest.mark.parametrize(
    ("issuer", "mount", "is_seen"),
    [
        ("https://login.example/notes", "", False),
        ("https://login.example/notes", "/other", False),
        ("https://login.example/notes", "/notes", True),
        ("https://login.example/notes/", "/notes", True),
        ("https://login.example", "/notes", True),
        ("https://login.example", "", True),
    ],
)
def test_an_issuer_whose_path_the_application_does_not_see_is_logged(
    tmp_path: Path, issuer: str, mount: str, is_seen: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = new_app(tmp_path, OAUTH2_ISSUER=issuer)
    OAuth2Provider(app, store=MemoryStore())
    for _ in range(2):
        app.test_client().get(WELL_KNOWN, environ_overrides={"SCRIPT_NAME": mount})
    logged = [record.getMessage() for record in caplog.records if "OAUTH2_ISSUER has the path" in record.getMessage()]
    assert len(logged) == (0 if is_seen else 1)
    assert is_seen or "X-Forwarded-Prefix: /notes" in logged[0]


class Person(flask_login.UserMixin):  # type: ignore[misc]
    def __init__(self, person_id: str) -> None:
        self.id = person_id
        self.name = person_id.title()


def test_an_application_that_nobody_holds_is_freed(tmp_path: Path) -> None:
    site = login_site(tmp_path)
    site.sign_in()
    assert site.app.test_client().get(WELL_KNOWN).status_code == 200
    app = weakref.ref(site.app)
    del site
    gc.collect()
    assert app() is None


def login_site(tmp_path: Path) -> Site:
    app = new_app(tmp_path, OAUTH2_ISSUER="https://login.example")
    manager = flask_login.LoginManager(app)
    manager.login_view = "login"
    manager.user_loader(Person)
    provider = OAuth2Provider(app, store=MemoryStore())

    @app.route("/login", methods=["GET", "POST"])
    def login() -> Any:
        flask_login.login_user(Person(flask.request.form["user"]))
        return ""

    @app.get("/api/me")
    @provider.require_oauth()
    def me() -> Any:
        return {"name": current_token.user.name}

    return Site(app, provider, lambda: 1_800_000_000.0)  # type: ignore[arg-type]


def test_flask_login_needs_no_callback(tmp_path: Path) -> None:
    site = login_site(tmp_path)
    secret = site.add_client()
    assert site.ask().location.startswith("/login?next=")
    site.sign_in("ada")
    page = site.ask()
    assert "Ada" in page.text
    code = answer_of(site.allow(page))["code"]
    token = site.redeem(code, ("web", secret)).get_json()["access_token"]
    assert site.call(token).get_json() == {"name": "Ada"}


def test_flask_login_knows_when_somebody_signed_in(tmp_path: Path) -> None:
    site = login_site(tmp_path)
    now = [1_800_000_000.0]
    site.clock = lambda: now[0]  # type: ignore[assignment]
    site.add_client()
    site.sign_in("ada")
    now[0] += 100
    back = parse_qs(urlsplit(site.ask(prompt="login").location).query)["next"][0]
    assert "sign in once more" in site.browser.get(back).text
    site.sign_in("ada")
    assert "Allow web?" in site.browser.get(back).text
    with site.browser.session_transaction() as session:
        session["_fresh"] = False  # as for whoever is only remembered
    assert "sign in once more" in site.browser.get(back).text


def test_without_flask_login_what_is_missing_is_named(tmp_path: Path) -> None:
    app = new_app(tmp_path)
    provider = OAuth2Provider(app, store=MemoryStore())
    with app.test_request_context(), pytest.raises(ConfigurationError, match="current_user"):
        provider.get_current_user()
    with app.test_request_context(), pytest.raises(ConfigurationError, match="userloader"):
        provider.load_user("ada")
    with app.test_request_context(), pytest.raises(ConfigurationError, match="OAUTH2_LOGIN_VIEW"):
        provider.login_url("/back")


def test_flask_login_without_a_user_loader(tmp_path: Path) -> None:
    app = new_app(tmp_path)
    flask_login.LoginManager(app)
    provider = OAuth2Provider(app, store=MemoryStore())
    with app.test_request_context(), pytest.raises(ConfigurationError, match="userloader"):
        provider.load_user("ada")


def test_flask_login_without_a_login_view(tmp_path: Path) -> None:
    app = new_app(tmp_path)
    flask_login.LoginManager(app)
    provider = OAuth2Provider(app, store=MemoryStore())
    with app.test_request_context(), pytest.raises(ConfigurationError, match="OAUTH2_LOGIN_VIEW"):
        provider.login_url("/back")


def test_the_login_view_may_be_an_endpoint_or_a_path(tmp_path: Path) -> None:
    for view, expected in [("/sign-in", "/sign-in?next=%2Fa%3Fb%3Dc"), ("/s?x=1", "/s?x=1&next=%2Fa%3Fb%3Dc")]:
        app = new_app(tmp_path, OAUTH2_LOGIN_VIEW=view)
        provider = OAuth2Provider(app, store=MemoryStore())
        with app.test_request_context():
            assert provider.login_url("/a?b=c") == expected


@pytest.mark.parametrize(
    ("returned", "user_id", "name"),
    [
        ("ada", "ada", "ada"),
        (7, "7", "7"),
        (User(id="7", name="Ada"), "7", "Ada"),
        (Person("ada"), "ada", "Ada"),
        (type("Row", (), {"id": 7, "username": "ada"})(), "7", "ada"),
    ],
)
def test_what_current_user_may_return(tmp_path: Path, returned: Any, user_id: str, name: str) -> None:
    provider = OAuth2Provider(new_app(tmp_path), store=MemoryStore())
    provider.current_user(lambda: returned)
    assert provider.get_current_user() == User(id=user_id, name=name)


@pytest.mark.parametrize("nobody", [None, False, "", flask_login.AnonymousUserMixin()])
def test_who_is_nobody(tmp_path: Path, nobody: Any) -> None:
    provider = OAuth2Provider(new_app(tmp_path), store=MemoryStore())
    provider.current_user(lambda: nobody)
    assert provider.get_current_user() is None


def test_flask_logins_current_user_may_be_returned_as_it_is(tmp_path: Path) -> None:
    site = login_site(tmp_path)
    site.provider.current_user(lambda: flask_login.current_user)
    site.add_client()
    assert site.ask().location.startswith("/login?next=")
    site.sign_in("ada")
    assert "Ada" in site.ask().text


def test_a_user_without_an_id_is_named(tmp_path: Path) -> None:
    provider = OAuth2Provider(new_app(tmp_path), store=MemoryStore())
    provider.current_user(object)
    with pytest.raises(TypeError, match=r"get_id\(\) or an id"):
        provider.get_current_user()


def test_flask_wtf_does_not_stand_in_the_way(tmp_path: Path) -> None:
    from flask_wtf import CSRFProtect

    app = new_app(tmp_path, OAUTH2_ISSUER="https://login.example")
    CSRFProtect(app)
    provider = OAuth2Provider(app, store=MemoryStore())
    provider.current_user(lambda: "ada")
    app.post("/transfer", endpoint="transfer")(lambda: "done")
    site = Site(app, provider, lambda: 1_800_000_000.0)  # type: ignore[arg-type]
    secret = site.add_client()
    assert site.token("client_credentials", ("web", secret)).status_code == 200
    assert "code" in answer_of(site.allow(site.ask()))
    assert site.http.post("/transfer").status_code == 400, "the application's own forms stay protected"


def test_flask_wtf_may_run_before_the_first_request_of_ours(tmp_path: Path) -> None:
    from flask_wtf import CSRFProtect

    app = new_app(tmp_path)
    provider = OAuth2Provider(store=MemoryStore())
    provider.init_app(app)
    csrf = CSRFProtect()
    csrf.init_app(app)
    site = Site(app, provider, lambda: 1_800_000_000.0)  # type: ignore[arg-type]
    assert app.test_client().post("/oauth/token").get_json()["error"] == "invalid_request"
    assert site.http.post("/oauth/token").status_code == 400


def test_current_token_is_false_outside(tmp_path: Path) -> None:
    app = new_app(tmp_path)
    with app.test_request_context(), pytest.raises(RuntimeError, match="require_oauth"):
        _ = current_token.user_id


def test_the_login_page_may_say_who_asks(site: Site) -> None:
    @site.app.get("/who")
    def who() -> dict[str, Any]:
        client = site.provider.requesting_client()
        return {"client": client and client.name}

    site.add_client(name="Shop")
    back = parse_qs(urlsplit(site.ask().location).query)["next"][0]

    def ask(back: str) -> Any:
        return site.http.get("/who", query_string={"next": back}).get_json()["client"]

    assert ask(back) == "Shop"
    for other in (
        "",
        "//[",
        "/oauth/applications",
        "/oauth/authorize",
        f"https://evil.example{back}",
        "/oauth/authorize?client_id=x",
    ):
        assert ask(other) is None


def test_tables_of_other_names(tmp_path: Path) -> None:
    db = SQLAlchemy()
    app = new_app(tmp_path, SQLALCHEMY_DATABASE_URI="sqlite://")
    db.init_app(app)
    provider = OAuth2Provider(app, db=db, table_prefix="provider_")
    with app.app_context():
        db.create_all()
        assert provider.server.store is not None
        assert provider.models["OAuth2Client"].__table__.name == "provider_client"


def test_an_error_inside_a_property_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = new_app(tmp_path)
    provider = OAuth2Provider(app, store=MemoryStore())
    monkeypatch.setattr("flask_oauth2.provider.servers.build", lambda *_, **__: object().nothing)  # type: ignore[attr-defined]
    with app.app_context(), pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = provider.server
