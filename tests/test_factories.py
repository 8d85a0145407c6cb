"""Application factories: what is registered while an application is being set up belongs to that application."""

from __future__ import annotations

import gc
import importlib
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import flask
import pytest

from flask_oauth2 import Client, ConfigurationError, MemoryStore, OAuth2Provider, TokenGrant, current_token
from flask_oauth2.testing import issue_token, register_client

provider = OAuth2Provider(store=MemoryStore())
"""As in a module of extensions, shared by all tests of this one."""


def new_app(name: str = "app") -> flask.Flask:
    app = flask.Flask(name)
    app.config.update(SECRET_KEY="a secret key of the tests", OAUTH2_ISSUER="https://login.example", TESTING=True)
    return app


def create_app(name: str = "app", mcp: bool = False, before: bool = False) -> flask.Flask:
    """Callbacks are closures over what belongs to this application."""
    app = new_app(name)
    clients = {name: Client(client_id=name, auth_method="none", redirect_uris=("https://a.example/",), scope=("x",))}
    if not before:
        provider.init_app(app)

    @provider.clientgetter
    def find_client(client_id: str) -> Client | None:
        return clients.get(client_id)

    @provider.current_user
    def current_user() -> str:
        return f"user of {name}"

    @provider.grant_type("urn:example:own")
    def grant(request: Any) -> Any:
        raise NotImplementedError

    if mcp:

        def echo(environ: Any, start: Any) -> list[bytes]:
            start("200 OK", [])
            return [name.encode()]

        provider.protect_mcp("/mcp", ["x"], wsgi_app=echo)
    if before:
        provider.init_app(app)

    @app.get("/api")
    @provider.require_oauth("x")
    def api() -> str:
        return f"{current_token.client_id} {current_token.client.client_id}"

    return app


def call(app: flask.Flask, name: str, path: str = "/api") -> tuple[int, str]:
    token = issue_token(app, "ada", "x", client=name, resource="/mcp" if path == "/mcp" else None)
    answer = app.test_client().get(path, headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, answer.text


@pytest.fixture(params=[False, True], ids=["init_app first", "init_app last"])
def before(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def app(before: bool) -> flask.Flask:
    """The fixture of nearly every project: a new application for each test."""
    return create_app("tested", mcp=True, before=before)


@pytest.mark.parametrize("number", range(3))
def test_each_test_has_an_application(app: flask.Flask, number: int) -> None:
    assert call(app, "tested") == (200, "tested tested")
    assert call(app, "tested", "/mcp") == (200, "tested")


def test_each_has_its_own_in_turn(before: bool) -> None:
    one, two = create_app("one", mcp=True, before=before), create_app("two", before=before)
    for _ in range(2):
        assert call(one, "one") == (200, "one one")
        assert call(two, "two") == (200, "two two")
        with pytest.raises(ValueError, match="there is no client 'one'"):
            issue_token(two, "ada", "x", client="one")
        with one.app_context():
            assert provider.get_current_user().id == "user of one"  # type: ignore[union-attr]
        with two.app_context():
            assert provider.get_current_user().id == "user of two"  # type: ignore[union-attr]
    assert call(one, "one", "/mcp") == (200, "one")
    three = create_app("three", before=before)
    assert call(three, "three") == (200, "three three")
    assert call(one, "one") == (200, "one one")


def test_a_resource_of_one_is_none_of_the_next(before: bool) -> None:
    one, two = create_app("one", mcp=True, before=before), create_app("two", before=before)
    assert two.test_client().get("/mcp").status_code == 404
    assert one.test_client().get("/mcp").status_code == 401
    assert two.test_client().get("/.well-known/oauth-protected-resource/mcp").status_code == 404


def test_the_same_resource_twice_is_no_error() -> None:
    own = OAuth2Provider(store=MemoryStore())
    app = new_app()
    own.protect_resource("/files", "x")
    own.init_app(app)
    own.protect_resource("/files", "x")
    with pytest.raises(ConfigurationError, match="the resource /files is registered already"):
        own.protect_resource("/files", "y")
    assert app.test_client().get("/files").status_code == 401


def test_helpers_may_set_it_up() -> None:
    own = OAuth2Provider(store=MemoryStore())

    def register_extensions(app: flask.Flask) -> None:
        own.init_app(app)

    def register_callbacks(app: flask.Flask, user: str) -> None:
        own.current_user(lambda: user)

    def create(user: str) -> flask.Flask:
        app = new_app()
        register_extensions(app)
        register_callbacks(app, user)
        return app

    apps = {user: create(user) for user in ("ada", "bob")}
    for user, app in apps.items():
        with app.app_context():
            assert own.get_current_user().id == user  # type: ignore[union-attr]


MODULES = {
    "factory_extensions": """
        from flask_oauth2 import MemoryStore, OAuth2Provider

        provider = OAuth2Provider(store=MemoryStore())

        @provider.current_user
        def current_user():
            return "of the module"
    """,
    "factory_callbacks": """
        from factory_extensions import provider

        @provider.userloader
        def load_user(user_id):
            return {"id": user_id, "name": "by the module"}

        provider.protect_resource("/files", "x")
    """,
    "factory_app": """
        import flask
        from factory_extensions import provider

        def create_app():
            app = flask.Flask("app")
            app.config.update(SECRET_KEY="secret", OAUTH2_ISSUER="https://login.example")
            provider.init_app(app)
            import factory_callbacks
            return app
    """,
}


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    for name, code in MODULES.items():
        (tmp_path / f"{name}.py").write_text(dedent(code))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module
    for name in MODULES:
        sys.modules.pop(name, None)


def test_a_module_registers_for_all(modules: Callable[[str], Any]) -> None:
    """It runs once, however many applications import it while they are set up."""
    create = modules("factory_app").create_app
    shared = modules("factory_extensions").provider
    for _ in range(3):
        app = create()
        assert app.test_client().get("/files").status_code == 401
        with app.app_context():
            assert shared.get_current_user().id == "of the module"
            assert shared.load_user("7") == {"id": "7", "name": "by the module"}


def test_a_module_that_is_read_again_registers_again(modules: Callable[[str], Any]) -> None:
    create = modules("factory_app").create_app
    app = create()
    importlib.reload(sys.modules["factory_callbacks"])
    assert app.test_client().get("/files").status_code == 401


def test_a_module_that_comes_after_the_first_request_is_too_late(modules: Callable[[str], Any]) -> None:
    shared = modules("factory_extensions").provider
    app = new_app()
    shared.init_app(app)
    assert app.test_client().post("/oauth/token").status_code == 400
    with pytest.raises(ConfigurationError, match="userloader must be registered before the first request"):
        modules("factory_callbacks")


def test_two_in_one_application_are_one_too_many() -> None:
    own = OAuth2Provider(new_app(), store=MemoryStore())
    own.userloader(lambda user_id: None)
    with pytest.raises(ConfigurationError, match="userloader is registered already"):
        own.userloader(lambda user_id: {"id": user_id})


def test_after_the_first_request_it_is_too_late(before: bool) -> None:
    app = create_app("late", before=before)
    assert call(app, "late") == (200, "late late")
    with pytest.raises(ConfigurationError, match="userloader must be registered before the first request"):
        provider.userloader(lambda user_id: None)
    with pytest.raises(ConfigurationError, match="the resource /files must be registered before the first request"):
        provider.protect_resource("/files", "x")
    assert call(create_app("later", before=before), "later") == (200, "later later")


def test_an_application_that_nobody_uses_is_let_go(before: bool) -> None:
    app = create_app("gone", before=before)
    assert call(app, "gone")[0] == 200
    known = weakref.ref(app)
    del app
    create_app("next", before=before)
    gc.collect()
    assert known() is None


def test_functions_that_only_register() -> None:
    """The application is there already, and gets its provider later."""
    own = OAuth2Provider(store=MemoryStore())

    def configure(app: flask.Flask, user: str) -> None:
        own.current_user(lambda: user)

    one, two = new_app("one"), new_app("two")
    configure(one, "ada")
    own.init_app(one)
    configure(two, "bob")
    own.init_app(two)
    for app, user in ((one, "ada"), (two, "bob")):
        with app.app_context():
            assert own.get_current_user().id == user  # type: ignore[union-attr]


def test_one_that_is_made_by_hand_after_a_factory() -> None:
    one = create_app("one", before=True)
    by_hand = new_app("by hand")
    provider.init_app(by_hand)
    with by_hand.app_context():
        assert not provider.has_users
    assert call(one, "one") == (200, "one one")


def test_another_application_may_be_at_hand() -> None:
    """Such as one that is mounted, and has no provider."""
    own = OAuth2Provider(store=MemoryStore())
    app = new_app()
    own.init_app(app)

    def configure() -> None:
        inner = new_app("inner")
        own.protect_mcp("/mcp", wsgi_app=inner)

    kept, app = [app], None  # type: ignore[assignment]
    configure()
    assert kept[0].test_client().get("/mcp").status_code == 401


class Maker:
    """The application is an attribute."""

    def __init__(self, own: OAuth2Provider, user: str) -> None:
        self.app = new_app()
        self.own = own
        own.init_app(self.app)
        own.current_user(lambda: user)


def test_the_application_may_be_an_attribute() -> None:
    own = OAuth2Provider(store=MemoryStore())
    for maker, user in [(Maker(own, user), user) for user in ("ada", "bob")]:
        with maker.app.app_context():
            assert own.get_current_user().id == user  # type: ignore[union-attr]


class Site:
    """The application is an attribute, and methods of their own set it up and register."""

    def __init__(self, own: OAuth2Provider, user: str) -> None:
        self.own, self.user = own, user
        self.app = new_app()
        self.init_extensions()
        self.register_callbacks()

    def init_extensions(self) -> None:
        self.own.init_app(self.app)

    def register_callbacks(self) -> None:
        self.own.current_user(lambda: self.user)


@pytest.mark.parametrize("is_in_use", [False, True])
def test_an_older_application_at_hand_is_not_meant(is_in_use: bool) -> None:
    own = OAuth2Provider(store=MemoryStore())
    one = Site(own, "ada").app
    if is_in_use:
        one.test_client().get("/oauth/authorize")
    two = Site(own, "bob").app
    for app, user in ((one, "ada"), (two, "bob")):
        with app.app_context():
            assert own.get_current_user().id == user  # type: ignore[union-attr]


def test_an_own_part_of_each() -> None:
    own = OAuth2Provider(store=MemoryStore())

    class Format:
        name = "own"

        def generate(self, timestamp: bytes, client: Any, resource: Any) -> str:
            raise NotImplementedError

    def create(before: bool) -> flask.Flask:
        app = new_app()
        if before:
            own.register_token_format(Format())
        own.init_app(app)
        if not before:
            own.register_token_format(Format())
        return app

    for before in (False, True, True, False):
        with create(before).app_context():
            assert "own" in own.server.capabilities.formats
    with pytest.raises(ConfigurationError, match="opaque is registered already"):
        own.register_token_format(type("Opaque", (Format,), {"name": "opaque"})())


def test_the_helpers_of_tests_find_the_right_one() -> None:
    own = OAuth2Provider(store=MemoryStore())
    apps = []
    for name in ("one", "two"):
        app = new_app(name)
        own.init_app(app)
        own.current_user(lambda name=name: name)
        apps.append(app)
    for app in apps:
        assert register_client(app, scope="x").client.scope == ("x",)
        with app.app_context():
            assert own.get_current_user().id == app.name  # type: ignore[union-attr]


def test_a_grant_of_one_application_is_none_of_another() -> None:
    shared = OAuth2Provider(store=MemoryStore())

    def create(name: str) -> flask.Flask:
        app = new_app(name)
        shared.init_app(app)
        shared.grant_type(f"urn:example:{name}")(lambda request: TokenGrant(request.authorization()))
        return app

    def offered(app: flask.Flask) -> set[str]:
        metadata = app.test_client().get("/.well-known/oauth-authorization-server").get_json()
        return {name for name in metadata["grant_types_supported"] if name.startswith("urn:example:")}

    apps = {name: create(name) for name in ("first", "second")}
    assert {name: offered(app) for name, app in apps.items()} == {
        "first": {"urn:example:first"},
        "second": {"urn:example:second"},
    }


def test_what_was_registered_before_init_app_is_not_replaced_after_it() -> None:
    shared = OAuth2Provider(store=MemoryStore())

    def create(replaces: bool) -> flask.Flask:
        app = new_app()
        shared.userloader(lambda user_id: {"id": user_id})
        shared.init_app(app)
        if replaces:
            shared.userloader(lambda user_id: {"id": user_id, "name": "another"})
        return app

    create(False)
    with pytest.raises(ConfigurationError, match="userloader is registered already"):
        create(True)
