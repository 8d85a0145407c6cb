"""Chromium before a real provider, and a client that shows what comes back to it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlencode

import flask
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright
from servers import PATIENCE
from turns import exclusive_lock
from werkzeug.serving import make_server

from flask_oauth2 import Client, MemoryStore, OAuth2Provider, User, hash_secret, values
from flask_oauth2.records import Consent
from flask_oauth2.settings import DEVICE_CODE
from oauth_site import CHALLENGE

HERE = Path(__file__).parent
CHROMIUM = Path("/usr/bin/chromium")
AXE = HERE.parent.parent / "build" / "axe"
"""Where the accessibility engine is kept between runs; git ignores it."""

DAYS = 86400
SPRING = 1_772_000_000
"""A day in February 2026: since when things were allowed."""


def lacks(what: str) -> Any:
    """Skip the test; where all must run, fail it."""
    return (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(what)


@contextmanager
def serve(app: Any) -> Iterator[str]:
    """The URL of an application that is served meanwhile."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class RunningSite:
    """A provider that is served, and the client that it knows best."""

    app: flask.Flask
    provider: OAuth2Provider
    store: MemoryStore
    url: str
    client_url: str

    def ask(self, client_id: str = "notes", **parameters: str) -> str:
        """The URL of an authorization request."""
        query = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": f"{self.client_url}/back",
            "scope": "profile notes",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        return f"{self.url}/oauth/authorize?{urlencode(query | parameters)}"

    def start_device(self, client_id: str = "television") -> dict[str, Any]:
        """The codes of a device that waits."""
        answer = self.app.test_client().post(
            "/oauth/device_authorization",
            data={"client_id": client_id, "scope": "profile notes"},
            base_url=self.url,
            environ_overrides={"SERVER_NAME": "127.0.0.1", "SERVER_PORT": self.url.rpartition(":")[2]},
        )
        return dict(answer.get_json())

    def sign_in(self, page: Page, name: str = "Ada Lovelace") -> None:
        """Without the login page, which is the application's: its cookie is what counts."""
        page.request.post(f"{self.url}/login?next=/", form={"name": name}, max_redirects=0)


LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 56 56"><rect width="56" height="56" fill="#f4a934"/>'
    '<path d="M17 14h22v28H17z" fill="#fff"/><path d="M22 22h12M22 28h12M22 34h7" stroke="#b36b00" '
    'stroke-width="2.5"/></svg>'
)

APPLICATION = "cursor://anysphere.cursor-mcp/oauth/callback"


def build_client(onward: str = "") -> flask.Flask:
    """The client's site: a page that shows the answer, and callbacks that lead on with it.

    ``onward`` is another site of the client, at another port.
    """
    app = flask.Flask("client", static_folder=None)

    @app.route("/onward", methods=["GET", "POST"])
    def lead_on() -> Any:
        return flask.redirect(f"{onward}/back?{urlencode(flask.request.values)}", 303)

    @app.route("/application", methods=["GET", "POST"])
    def open_application() -> Any:
        return flask.redirect(f"{APPLICATION}?{urlencode(flask.request.values)}", 303)

    @app.route("/back", methods=["GET", "POST"])
    def back() -> Any:
        answer = flask.request.form if flask.request.method == "POST" else flask.request.args
        return flask.render_template_string(
            '<!doctype html><html lang="en"><title>Client</title><link rel="icon" href="data:,"><main><h1>Back</h1><ul>'
            "{% for name in answer %}<li>{{ name }}</li>{% endfor %}</ul></main></html>",
            answer=answer,
        )

    return app


LOGIN = """<!doctype html><html lang="en"><title>Sign in</title><link rel="icon" href="data:,">
<main><h1>Sign in</h1><form method="post"><label>Name <input name="name" autofocus></label>
<button>Sign in</button></form></main></html>"""


def build_provider(client_url: str, **options: Any) -> tuple[flask.Flask, OAuth2Provider, MemoryStore]:
    """An application with a login page, the provider, and its store."""
    store = MemoryStore()
    app = flask.Flask("running_site", static_folder=None, **options)
    app.config.update(
        SECRET_KEY="a secret key of the tests",
        OAUTH2_SCOPES={
            "profile": "See your name and your picture",
            "notes": "Read your notes",
            "write": "Write, change and delete notes",
        },
        OAUTH2_LOGIN_VIEW="login",
        OAUTH2_GRANT_TYPES=["authorization_code", "client_credentials", "refresh_token", "device_code"],
        OAUTH2_DEVELOPER_PAGES=True,
        OAUTH2_REGISTRATION_SCOPES=["profile", "notes"],
    )
    provider = OAuth2Provider(app, store=store)

    @app.get("/logo.svg")
    def logo() -> Any:
        return flask.Response(LOGO, mimetype="image/svg+xml")

    @app.get("/")
    def home() -> Any:
        return '<!doctype html><html lang="en"><title>Home</title><link rel="icon" href="data:,"></html>'

    @app.route("/login", methods=["GET", "POST"])
    def login() -> Any:
        if flask.request.method == "POST":
            flask.session["user"] = flask.request.form["name"]
            return flask.redirect(flask.request.args["next"], 303)
        return LOGIN

    @provider.current_user
    def current_user() -> Any:
        name = flask.session.get("user")
        return name and User(id=name, name=name, auth_time=SPRING)

    pages = {
        "client_uri": "https://notes.example/",
        "policy_uri": "https://notes.example/privacy",
        "tos_uri": "https://notes.example/terms",
    }
    leading_on = (f"{client_url}/onward", f"{client_url}/application", APPLICATION)
    redirect_uris = (f"{client_url}/back", "https://notes.example/back", *leading_on)
    fields: dict[str, Any] = {
        "auth_method": "none",
        "redirect_uris": redirect_uris,
        "scope": ("profile", "notes", "write"),
    }
    only = {"redirect_uris": ("https://notes.example/back",)}
    store.set_client(Client(client_id="notes-web", name="Notes", **fields | only))
    long = "Thesecondbrainthatnobodyeverasksforbuteverybody needs, in its most recent and most complete edition"
    store.set_client(Client(client_id="notes", name="Notes for phones", metadata=pages, **fields))
    store.set_client(Client(client_id="plain", name="Weekly summary", **fields))
    store.set_client(Client(client_id="long", name=long, metadata=pages, **fields))
    agent = "https://agent.example/client.json"
    anywhere = {"redirect_uris": ("http://127.0.0.1:3456/back", "https://notes.example/back")}
    store.set_client(Client(client_id=agent, name="Agent", registered_by="document", **fields | anywhere))
    device: dict[str, Any] = {"grant_types": (DEVICE_CODE,), "redirect_uris": (), "response_types": ()}
    store.set_client(Client(client_id="television", name="Notes on the television", metadata=pages, **fields | device))
    own: dict[str, Any] = {"registered_by": "developer", "owner_id": "Ada Lovelace"}
    of_server: dict[str, Any] = {
        "auth_method": "client_secret_basic",
        "secret": hash_secret(values.new("ocs", values.timestamp(SPRING))),
        "scope": ("notes",),
        "created_at": SPRING,
        "metadata": pages,
    }
    store.set_client(Client(client_id="6f1e2ab09c3d7745", name="Notes for teams", **own, **fields | only | of_server))
    phone: dict[str, Any] = {
        "redirect_uris": ("com.example.notes:/back",),
        "application_type": "native",
        "created_at": SPRING + 30 * DAYS,
    }
    store.set_client(Client(client_id="0b9d41c7e85a2f36", name="Notes by voice", **own, **fields | phone))
    for client_id, scope, granted_at, used_at in (
        ("notes", ("profile", "notes"), SPRING, SPRING + 200 * DAYS),
        ("plain", ("notes",), SPRING + 30 * DAYS, SPRING + 31 * DAYS),
    ):
        for user_id in ("Ada Lovelace", "Grace Hopper"):
            store.set_consent(
                Consent(
                    id=f"{client_id} {user_id}",
                    user_id=user_id,
                    client_id=client_id,
                    scope=scope,
                    granted_at=granted_at,
                    used_at=used_at,
                ),
                None,
            )
    return app, provider, store


@pytest.fixture(scope="module")
def client_url() -> Iterator[str]:
    with serve(build_client()) as onward, serve(build_client(onward)) as url:
        yield url


@pytest.fixture(scope="module")
def run_site(client_url: str) -> Iterator[Callable[..., RunningSite]]:
    """Serves providers with options of the test's own."""
    with ExitStack() as stack:

        def run_site(debug: bool = False, **options: Any) -> RunningSite:
            app, provider, store = build_provider(client_url, **options)
            app.debug = debug
            url = stack.enter_context(serve(app))
            for client in list(store.list_clients()):
                if client.metadata:  # a logo is shown if it is on the site of the provider
                    store.set_client(replace(client, metadata={**client.metadata, "logo_uri": f"{url}/logo.svg"}))
            return RunningSite(app, provider, store, url, client_url)

        yield run_site


@pytest.fixture(scope="module")
def running_site(run_site: Callable[..., RunningSite]) -> RunningSite:
    return run_site()


@pytest.fixture(scope="module")
def debug_site(run_site: Callable[..., RunningSite]) -> RunningSite:
    return run_site(debug=True)


@pytest.fixture(scope="module")
def chromium(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """Debian's Chromium."""
    if not CHROMIUM.exists():
        lacks(f"no {CHROMIUM}: apt-get install chromium")
    fonts = {"FONTCONFIG_FILE": str(HERE / "fonts.conf")} if request.config.getoption("--screenshots") else {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"], env={**os.environ, **fonts}
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Opens windows. What their console calls an error, such as a broken content security policy, fails the test."""
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # a page that is answered with 400 is called an error too
        if message.type == "error" and "the server responded with a status of" not in message.text:
            errors.append(message.text)

    with ExitStack() as stack:

        def open_page(**options: Any) -> Page:
            context = chromium.new_context(**options)
            context.set_default_timeout(PATIENCE * 1000)
            stack.callback(context.close)
            page = context.new_page()
            page.on("console", note)
            page.on("pageerror", lambda error: errors.append(str(error)))
            return page

        yield open_page
    assert errors == []


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of the accessibility engine, in the version that ``package.json`` names."""
    npm = shutil.which("npm")
    if npm is None:
        lacks("no npm: apt-get install npm")
    wanted = (HERE / "package.json").read_text()
    kept, engine = AXE / "package.json", AXE / "node_modules" / "axe-core" / "axe.min.js"
    with exclusive_lock(AXE):
        if not engine.exists() or kept.read_text() != wanted:
            AXE.mkdir(parents=True, exist_ok=True)
            kept.write_text(wanted)
            command = [str(npm), "install", "--no-package-lock", "--no-audit", "--no-fund"]
            installed = subprocess.run(command, cwd=AXE, capture_output=True, text=True)
            if installed.returncode:
                kept.unlink()
                lacks(f"npm could not install axe-core: {installed.stderr}")
    return engine.read_text()
