"""Which views have a guard, and which have not."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import flask
import pytest
from flask.views import MethodView, View

from flask_oauth2 import MemoryStore, OAuth2Provider
from flask_oauth2.testing import unguarded


@pytest.fixture
def app() -> flask.Flask:
    app = flask.Flask("policy")
    app.config["SECRET_KEY"] = "a secret key of the tests"
    OAuth2Provider(app, store=MemoryStore())
    return app


@pytest.fixture
def guard(oauth_provider: OAuth2Provider) -> Any:
    return oauth_provider.require_oauth("profile")


def test_nothing_of_ours_and_no_static_files(app: flask.Flask) -> None:
    app.register_blueprint(flask.Blueprint("shop", __name__, static_folder="static", url_prefix="/shop"))
    assert "shop.static" in app.view_functions
    assert unguarded(app) == []


def test_views(app: flask.Flask, guard: Any, oauth_provider: OAuth2Provider) -> None:
    def logged(view: Callable[[], str]) -> Callable[[], str]:
        @wraps(view)
        def wrapper() -> str:
            return view()

        return wrapper

    app.add_url_rule("/a", "open", lambda: "")
    app.add_url_rule("/b", "guarded", guard(lambda: ""))
    app.add_url_rule("/c", "bare", oauth_provider.require_oauth(lambda: ""))
    app.add_url_rule("/d", "optional", oauth_provider.require_oauth(optional=True)(lambda: ""))
    app.add_url_rule("/e", "outside", logged(guard(lambda: "")))
    app.add_url_rule("/f", "inside", guard(logged(lambda: "")))

    async def asynchronous() -> str:
        return ""

    app.add_url_rule("/g", "asynchronous", guard(asynchronous))
    app.add_url_rule("/h", "asynchronous-open", asynchronous)
    assert unguarded(app) == ["asynchronous-open", "open"]


def test_classes_of_views(app: flask.Flask, guard: Any) -> None:
    class Open(View):
        def dispatch_request(self) -> str:
            return ""

    @guard
    class Decorated(Open):
        pass

    class Listed(Open):
        decorators = [guard]

    class Inside(View):
        @guard
        def dispatch_request(self) -> str:
            return ""

    class Each(MethodView):
        @guard
        def get(self) -> str:
            return ""

        @guard
        def post(self) -> str:
            return ""

    class Half(Each):
        def delete(self) -> str:
            return ""

    for kind in (Open, Decorated, Listed, Inside, Each, Half):
        app.add_url_rule(f"/{kind.__name__}", view_func=kind.as_view(kind.__name__))
    assert unguarded(app) == ["Half", "Open"]


def test_blueprints(app: flask.Flask, guard: Any) -> None:
    def new_blueprint(name: str) -> flask.Blueprint:
        blueprint = flask.Blueprint(name, __name__, url_prefix=f"/{name}")
        blueprint.add_url_rule("/", "view", lambda: "")
        return blueprint

    guarded = guard(new_blueprint("guarded"))
    guarded.register_blueprint(new_blueprint("within"))
    around = new_blueprint("around")
    around.register_blueprint(guard(new_blueprint("inner")))
    app.register_blueprint(guarded)
    app.register_blueprint(around)
    assert unguarded(app) == ["around.view"]


def test_the_whole_application(app: flask.Flask, guard: Any) -> None:
    app.add_url_rule("/a", "open", lambda: "")
    app.before_request(lambda: None)
    assert unguarded(app) == ["open"]
    app.before_request(guard.check)
    assert unguarded(app) == []
