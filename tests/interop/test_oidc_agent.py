"""oidc-agent, which many use to get tokens on machines that they reach by ssh: the device grant, then a refresh.

It reads metadata at the path of OpenID Connect Discovery and asks for the scopes ``openid`` and ``offline_access`` by
itself, so the application here answers that path and knows those.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import flask
import pytest
import requests
from servers import PATIENCE
from werkzeug.serving import make_server

from flask_oauth2 import Client, MemoryStore, OAuth2Provider, current_token
from flask_oauth2.endpoints import metadata
from flask_oauth2.settings import DEVICE_CODE

from .browser import Browser

SCOPES = {"films": "Play your films", "openid": "Sign in", "offline_access": "Later too"}


@pytest.fixture
def issuer() -> Iterator[str]:
    app = flask.Flask("agents")
    app.config.update(
        SECRET_KEY="a secret key of the tests",
        OAUTH2_SCOPES=SCOPES,
        OAUTH2_GRANT_TYPES=["device_code", "refresh_token"],
        OAUTH2_DEVICE_INTERVAL=1,
        OAUTH2_LOGIN_VIEW="login",
    )
    store = MemoryStore()
    provider = OAuth2Provider(app, store=store)
    grants = {"grant_types": (DEVICE_CODE, "refresh_token"), "response_types": ()}
    store.set_client(Client(client_id="agent", name="oidc-agent", auth_method="none", scope=tuple(SCOPES), **grants))

    @app.route("/login", methods=["GET", "POST"])
    def login() -> Any:
        if flask.request.method == "POST":
            flask.session["user"] = flask.request.form["name"]
            return flask.redirect(flask.request.args["next"], 303)
        return '<form method="post"><input name="name"><button>Sign in</button></form>'

    @provider.current_user
    def current_user() -> Any:
        return flask.session.get("user")

    @app.get("/.well-known/openid-configuration")
    def discovery() -> Any:
        return metadata.describe(provider.server)

    @app.get("/api/films")
    @provider.require_oauth("films")
    def films() -> Any:
        return {"user": current_token.user_id}

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of an agent that runs."""
    if shutil.which("oidc-agent") is None:
        lacks = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        lacks("no oidc-agent: apt-get install oidc-agent-cli")
    environment = {**os.environ, "HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}
    said = subprocess.run(["oidc-agent"], env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    found = dict(re.findall(r"(OIDC\w+)=([^;\s]+);", said))
    yield environment | found
    os.kill(int(found["OIDCD_PID"]), signal.SIGTERM)


@pytest.mark.spec("rfc8628", "3.4")
@pytest.mark.spec("rfc6749", "6")
def test_somebody_lets_their_agent_in(issuer: str, agent: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    options = [
        "--client-id=agent",
        "--client-secret=",
        "--scope=films",
        "--flow=device",
        "--redirect-uri=http://localhost:4242",
    ]
    command = [
        "oidc-gen",
        "films",
        f"--iss={issuer}",
        *options,
        "--pw-cmd=echo x",
        "--confirm-default",
        "--prompt=none",
    ]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, env=agent, **pipes) as process, Browser() as browser:  # type: ignore[call-overload]
        said, code = "", None
        while code is None:
            line = process.stdout.readline()
            assert line, said
            said += line
            code = re.search(r"[B-Z]{4}-[B-Z]{4}", line)
        assert f"{issuer}/oauth/device" in said
        page = browser.press(browser.open(f"{issuer}/oauth/device"), "Sign in", name="ada")
        page = browser.press(browser.press(page, "Go on", user_code=code[0]), "Allow")
        assert "Go back to your device" in page.text
        said += process.communicate(timeout=PATIENCE)[0]
    assert "Everything setup correctly!" in said
    got = subprocess.run(["oidc-token", "films"], env=agent, capture_output=True, text=True, check=True)
    headers = {"Authorization": f"Bearer {got.stdout.strip()}"}
    assert requests.get(f"{issuer}/api/films", headers=headers).json() == {"user": "ada"}
    again = subprocess.run(["oidc-token", "-f", "films"], env=agent, capture_output=True, text=True, check=True)
    assert again.stdout.strip() != got.stdout.strip(), "refreshed"
