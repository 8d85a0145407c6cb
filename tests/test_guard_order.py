"""A guard above its route guards nothing: the application does not answer, and the doctor says why."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial, wraps
from pathlib import Path
from textwrap import dedent
from typing import Any

import flask
import pytest
from flask.views import MethodView, View

from flask_oauth2 import ConfigurationError, MemoryStore, OAuth2Provider
from flask_oauth2.tools.doctor import diagnose

Made = tuple[flask.Flask, OAuth2Provider]


@pytest.fixture
def made() -> Made:
    app = flask.Flask("notes")
    app.config.update(SECRET_KEY="secret", OAUTH2_ISSUER="https://login.example", PROPAGATE_EXCEPTIONS=True)
    return app, OAuth2Provider(app, store=MemoryStore())


def refuse(app: flask.Flask, *words: str) -> None:
    """Every request gets the error, also one for another view, and the doctor has an error."""
    http = app.test_client()
    for path in ("/notes", "/other", "/oauth/token", "/notes"):
        with pytest.raises(ConfigurationError) as caught:
            http.get(path)
        for word in words:
            assert word in str(caught.value)
    findings = [found for found in diagnose(app, offline=True) if found.check == "guards.misplaced"]
    assert [found.level for found in findings] == ["error"]


def accept(app: flask.Flask, **statuses: int) -> None:
    """The application answers, and nothing of ours stays before each request."""
    for name, status in statuses.items():
        assert app.test_client().get(f"/{name}").status_code == status
    assert not [found for found in diagnose(app, offline=True) if found.check == "guards.misplaced"]
    assert not [hook for hook in app.before_request_funcs[None] if "check_guards" in repr(hook)]


FIX = ("Put @app.get or @app.route above @provider.require_oauth", "test_guard_order.py:")


def keep(view: Any) -> Any:
    @wraps(view)
    def kept(*args: Any, **named: Any) -> Any:
        return view(*args, **named)

    return kept


def hide(view: Any) -> Any:
    """A decorator that does not say what it wraps."""
    return lambda *args, **named: view(*args, **named)


class Hold:
    """One that is an object."""

    def __init__(self, view: Any) -> None:
        self.view = view
        self.__name__ = "held"

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self.view(*args, **named)


def test_a_guard_inside_a_hook_is_none_above_it(made: Made) -> None:
    app, provider = made

    @app.before_request
    @provider.require_oauth("notes")
    def check() -> None:
        return None

    app.add_url_rule("/notes", "notes", lambda: "all")
    accept(app, notes=401)


class TestMisplaced:
    @pytest.mark.parametrize("decorate", [keep, hide])
    def test_above_another_decorator_in_a_factory(self, made: Made, decorate: Any) -> None:
        app, provider = made

        def register_views() -> None:
            @provider.require_oauth("notes")
            @decorate
            @app.get("/notes")
            def notes() -> str:
                return "all"

        register_views()
        refuse(app, "the view notes (/notes, endpoint 'notes')", *FIX)

    def test_above_a_hook(self, made: Made) -> None:
        app, provider = made
        blueprint = flask.Blueprint("api", __name__, url_prefix="/api")

        @provider.require_oauth("notes")
        @blueprint.before_request
        def check() -> None:
            return None

        blueprint.add_url_rule("/notes", "notes", lambda: "all")
        app.register_blueprint(blueprint)
        refuse(app, "the hook check (before_request: check)", *FIX)

    def test_above_the_route(self, made: Made) -> None:
        app, provider = made

        @provider.require_oauth("notes")
        @app.get("/notes")
        def notes() -> str:
            return "all"

        refuse(app, "the view notes (/notes, endpoint 'notes')", *FIX)

    def test_without_a_scope(self, made: Made) -> None:
        app, provider = made

        @provider.require_oauth
        @app.get("/notes")
        def notes() -> str:
            return "all"

        refuse(app, "the view notes", *FIX)

    def test_of_an_asynchronous_view(self, made: Made) -> None:
        app, provider = made

        @provider.require_oauth()
        @app.get("/notes")
        async def notes() -> str:
            return "all"

        refuse(app, "the view notes", *FIX)

    @pytest.mark.parametrize("other", [keep, lambda view: view])
    def test_with_another_decorator_in_between(self, made: Made, other: Any) -> None:
        app, provider = made

        @provider.require_oauth("notes")
        @other
        @app.get("/notes")
        @keep
        def notes() -> str:
            return "all"

        refuse(app, "the view notes", *FIX)

    def test_above_a_route_with_a_guard_below(self, made: Made) -> None:
        app, provider = made

        @provider.require_oauth("admin")
        @app.get("/notes")
        @provider.require_oauth("notes")
        def notes() -> str:
            return "all"

        refuse(app, "the view notes", *FIX)

    def test_in_a_blueprint(self, made: Made) -> None:
        app, provider = made
        blueprint = flask.Blueprint("api", __name__, url_prefix="/api")

        @provider.require_oauth("notes")
        @blueprint.route("/notes")
        def notes() -> str:
            return "all"

        app.register_blueprint(blueprint)
        refuse(app, "/api/notes, endpoint 'api.notes'", *FIX)

    def test_whose_result_is_dropped(self, made: Made) -> None:
        app, provider = made

        def notes() -> str:
            return "all"

        app.add_url_rule("/notes", view_func=notes)
        provider.require_oauth("notes")(notes)
        refuse(app, "the view notes", *FIX)

    def test_that_is_held_by_a_closure(self, made: Made) -> None:
        app, provider = made

        @provider.require_oauth("notes")
        @app.get("/notes")
        def notes() -> str:
            return "all"

        app.extensions["kept"] = lambda: notes
        refuse(app, "the view notes", *FIX)

    def test_at_two_endpoints(self, made: Made) -> None:
        app, provider = made

        @provider.require_oauth("notes")
        @app.get("/notes", endpoint="one")
        @app.get("/all", endpoint="two")
        def notes() -> str:
            return "all"

        refuse(app, "(/all, /notes, endpoint 'one', 'two')")

    def test_of_a_class_after_its_view_was_made(self, made: Made) -> None:
        app, provider = made

        class Notes(MethodView):
            def get(self) -> str:
                return "all"

        app.add_url_rule("/notes", view_func=Notes.as_view("notes"))
        provider.require_oauth("notes")(Notes)
        refuse(app, "the view Notes (endpoint 'notes')", "before Notes.as_view()")

    def test_of_the_view_of_a_class(self, made: Made) -> None:
        app, provider = made

        class Notes(View):
            def dispatch_request(self) -> str:
                return "all"

        view = Notes.as_view("notes")
        app.add_url_rule("/notes", view_func=view)
        provider.require_oauth("notes")(view)
        refuse(app, "the view notes")


MODULE = """
    import flask
    from flask_oauth2 import MemoryStore, OAuth2Provider

    app = flask.Flask("notes")
    app.config.update(SECRET_KEY="secret", OAUTH2_ISSUER="https://login.example", PROPAGATE_EXCEPTIONS=True)
    provider = OAuth2Provider(app, store=MemoryStore())

    def notes():
        return "all"

    app.add_url_rule("/notes", view_func=notes)
    {line}
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], flask.Flask]]:
    def load(line: str) -> flask.Flask:
        (tmp_path / "ordered_notes.py").write_text(dedent(MODULE).format(line=line))
        monkeypatch.syspath_prepend(str(tmp_path))
        import ordered_notes

        app: flask.Flask = ordered_notes.app
        return app

    yield load
    sys.modules.pop("ordered_notes", None)


def test_one_that_takes_the_name_of_the_view(load: Callable[[str], flask.Flask]) -> None:
    refuse(load('notes = provider.require_oauth("notes")(notes)'), "the view notes")


def test_one_with_a_name_of_its_own(load: Callable[[str], flask.Flask]) -> None:
    """Other code of the application calls it."""
    accept(load('for_clients = provider.require_oauth("notes")(notes)'), notes=200)


class TestDeliberate:
    @pytest.mark.parametrize("outer", [keep, hide, Hold, partial])
    @pytest.mark.parametrize("inner", [keep, hide])
    def test_below_other_decorators(self, made: Made, outer: Any, inner: Any) -> None:
        app, provider = made

        @outer
        @provider.require_oauth("notes")
        @inner
        def notes() -> str:
            return "all"

        app.add_url_rule("/notes", "notes", notes)
        accept(app, notes=401)

    @pytest.mark.parametrize("outer", [keep, hide, Hold, partial])
    def test_open_at_one_path_and_guarded_at_another(self, made: Made, outer: Any) -> None:
        app, provider = made

        @app.get("/open")
        def notes() -> str:
            return "all"

        app.add_url_rule("/notes", "guarded", outer(provider.require_oauth("notes")(notes)))
        accept(app, open=200, notes=401)

    def test_called_by_another_view(self, made: Made) -> None:
        app, provider = made

        @app.get("/open")
        def notes() -> str:
            return "all"

        guarded = provider.require_oauth("notes")(notes)
        app.add_url_rule("/notes", "other", lambda: guarded())
        accept(app, open=200, notes=401)

    def test_in_another_application(self, made: Made) -> None:
        app, provider = made
        other = flask.Flask("other")
        other.config.update(app.config)
        provider.init_app(other)

        def notes() -> str:
            return "all"

        app.add_url_rule("/open", "notes", notes)
        other.add_url_rule("/notes", "notes", provider.require_oauth("notes")(notes))
        accept(app, open=200)
        accept(other, notes=401)

    def test_that_is_no_view(self, made: Made) -> None:
        app, provider = made

        @provider.require_oauth("notes")
        def check() -> str:
            return "all"

        app.add_url_rule("/notes", "notes", lambda: check())
        provider.require_oauth("notes")(lambda: "nothing")
        accept(app, notes=401)

    @pytest.mark.parametrize("kind", [MethodView, View])
    def test_of_classes(self, made: Made, kind: Any) -> None:
        app, provider = made

        @provider.require_oauth("notes")
        class Notes(kind):  # type: ignore[misc]
            decorators = (keep, hide)

            def get(self) -> str:
                return "all"

            def dispatch_request(self, **named: Any) -> Any:
                return self.get()

        class Other(Notes):
            pass

        class Method(MethodView):
            @provider.require_oauth("notes")
            def get(self) -> str:
                return "all"

        class Open(Notes):
            decorators = ()

        for view in (Notes, Other, Method, Open):
            app.add_url_rule(f"/{view.__name__}", view_func=view.as_view(view.__name__))
        accept(app, Notes=401, Other=401, Method=401, Open=200)

    def test_of_a_blueprint(self, made: Made) -> None:
        app, provider = made
        blueprint = provider.require_oauth("notes")(flask.Blueprint("api", __name__))
        blueprint.add_url_rule("/notes", "notes", lambda: "all")
        app.register_blueprint(blueprint)
        accept(app, notes=401)

    def test_objects_that_no_weak_reference_names(self, made: Made) -> None:
        app, provider = made

        class Slotted:
            __slots__ = ()
            __name__ = "slotted"

            def __call__(self) -> str:
                return "all"

        app.add_url_rule("/notes", "notes", provider.require_oauth("notes")(Slotted()))
        accept(app, notes=401)
