"""README.rst holds: its commands run, its code works, its list of options is that of the settings."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from threading import Thread
from types import ModuleType
from typing import Any

import pytest
from interop.browser import Browser
from werkzeug.serving import make_server

from flask_oauth2 import Client
from flask_oauth2.settings import OPTIONS, default

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.rst").read_text()


def read_blocks(language: str) -> list[str]:
    pattern = rf"\.\. code-block:: {language}\n\n((?:    .*\n|\n)+)"
    return [dedent(block).strip() + "\n" for block in re.findall(pattern, README)]


QUICKSTART, TESTS, COMMANDS = read_blocks("sh")
APP, SCRIPT, *SHOP = read_blocks("python")


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The host and port on which an application runs."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], ModuleType]]:
    """Saves code as a module in a folder of its own and imports it."""
    modules = []
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load(name: str, code: str) -> ModuleType:
        (tmp_path / f"{name}.py").write_text(code)
        module = importlib.import_module(name)
        modules.append(name)
        return module

    yield load
    for name in modules:
        module = sys.modules.pop(name)
        with module.app.app_context():
            module.provider.server.store.engine.dispose()


def test_the_application_its_client_and_its_token(
    load: Callable[[str, str], ModuleType],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = load("app", APP)
    *commands, run = COMMANDS.splitlines()
    assert run == "flask --app app run"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in commands:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=os.environ | {"PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert "my-script" in done.stdout
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with served(module.app) as address, Browser() as browser:

        def answer(prompt: str) -> str:
            return browser.authorize(prompt.split()[1], name="ada")

        exec(SCRIPT.replace("127.0.0.1:5000", address), {"input": answer})
    assert capsys.readouterr().out == "{'client': 'my-script', 'id': 'ada'}\n"
    with module.app.test_client() as client:
        assert client.get("/api/me").status_code == 401
        assert client.post("/login?next=//evil.example", data={"name": "ada"}).location == "/"


def test_an_own_database_grant_and_format(load: Callable[[str, str], ModuleType]) -> None:
    module = load("shop", "\n\n".join(SHOP))
    module.app.testing = True
    client = Client(client_id="robot", auth_method="none", redirect_uris=(), grant_types=("urn:example:api-key",))
    with module.app.app_context():
        module.provider.server.store.set_client(client)
        assert module.db.session.query(module.provider.models["OAuth2Client"]).one().client_id == "robot"
    ask = {"grant_type": "urn:example:api-key", "client_id": "robot", "api_key": "a key that Ada was given"}
    with module.app.test_client() as http:
        answer = http.post("/oauth/token", data=ask).get_json()
        assert len(answer["access_token"]) == 32
        refused = http.post("/oauth/token", data=ask | {"api_key": "another"})
        assert refused.get_json()["error"] == "invalid_grant"
    with module.app.app_context():
        module.db.engine.dispose()


def test_the_gate_runs_the_command_that_readers_see() -> None:
    assert f"\ntests='{TESTS.strip()}'\n" in (ROOT / ".ci/run").read_text()


def describe_options() -> str:
    """The list of options, as README.rst must have it."""
    return "\n".join(
        f"``OAUTH2_{name.upper()}`` = ``{default(name)!r}``\n    {option.metadata['doc']}\n"
        for name, option in OPTIONS.items()
    )


def test_every_option_is_listed_with_its_default() -> None:
    listed = README.partition("Options\n-------\n")[2].strip()
    assert listed == describe_options().strip()
