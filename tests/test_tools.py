"""The tools are only imported by the commands and calls that use them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import click
import pytest

import flask_oauth2
from flask_oauth2.cli import MODULES, oauth2

ROOT = Path(flask_oauth2.__file__).parent
TOOLS = "flask_oauth2.tools"

REQUESTS = """
import sys
import flask
from flask_oauth2 import Client, MemoryStore, OAuth2Provider, hash_secret

app = flask.Flask("site")
app.config.update(
    SECRET_KEY="a secret key of the tests",
    OAUTH2_ISSUER="https://login.example",
    OAUTH2_GRANT_TYPES=["authorization_code", "refresh_token", "client_credentials"],
    OAUTH2_SCOPES={"profile": "See your profile"},
    OAUTH2_LOGIN_VIEW="login",
)
store = MemoryStore()
provider = OAuth2Provider(app, store=store)
store.set_client(
    Client(
        client_id="robot",
        secret=hash_secret("a secret of the tests"),
        auth_method="client_secret_post",
        grant_types=("client_credentials",),
        scope=("profile",),
    )
)

provider.current_user(lambda: None)
app.get("/login", endpoint="login")(lambda: "sign in")

@app.get("/me")
@provider.require_oauth("profile")
def me():
    return "guarded"

http = app.test_client()
form = {"grant_type": "client_credentials", "client_id": "robot", "client_secret": "a secret of the tests"}
answer = http.post("/oauth/token", data=form, base_url="https://login.example")
assert answer.status_code == 200, answer.text
token = answer.json["access_token"]
view = http.get("/me", headers={"Authorization": f"Bearer {token}"}, base_url="https://login.example")
assert view.text == "guarded", view.text
assert http.get("/oauth/authorize", base_url="https://login.example").status_code == 400
"""

COMMAND = """
result = app.test_cli_runner().invoke(args=["oauth2", *sys.argv[1:]])
assert result.exit_code == 0, result.output
"""

REPORT = """
print(*sorted(name for name in sys.modules if name.startswith("flask_oauth2.tools")))
"""


def run(script: str, *arguments: str) -> list[str]:
    """Run a script in a process of its own. Return the modules of the tools that it has imported."""
    command = [sys.executable, "-c", script + REPORT, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_no_request_imports_the_tools() -> None:
    assert run(REQUESTS) == []


def test_other_commands_do_not_import_the_tools() -> None:
    assert run(REQUESTS + COMMAND, "routes", "--json") == []


def test_a_command_imports_its_tool() -> None:
    assert f"{TOOLS}.simulation" in run(REQUESTS + COMMAND, "simulate", "server", "--json")


@pytest.mark.parametrize("name", MODULES)
def test_a_module_adds_its_command(name: str) -> None:
    command = oauth2.get_command(click.Context(oauth2), name)
    assert command is not None
    assert command.name == name


def test_every_command_is_listed() -> None:
    context = click.Context(oauth2)
    names = oauth2.list_commands(context)
    assert names == sorted(MODULES)
    assert {name for name in names if oauth2.get_command(context, name)} == set(oauth2.commands)
    assert oauth2.get_command(context, "unknown") is None


def imported(module: Path) -> set[str]:
    """Return the absolute names that a module imports at any place, for type checking too."""
    found: set[str] = set()
    package = ["flask_oauth2", *module.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            found.update(f"{prefix}.{alias.name}" for alias in node.names)
    return found


@pytest.mark.parametrize("module", sorted(ROOT.rglob("*.py")), ids=lambda module: module.relative_to(ROOT).as_posix())
def test_only_commands_and_tools_import_the_tools(module: Path) -> None:
    if module.relative_to(ROOT).parts[0] not in ("cli", "tools"):
        assert {name for name in imported(module) if name == TOOLS or name.startswith(f"{TOOLS}.")} == set()
