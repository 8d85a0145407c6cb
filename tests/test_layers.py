"""Who may import whom: the core knows no framework, and nothing calls back up."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import flask_oauth2

ROOT = Path(flask_oauth2.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

FLASK = (
    "provider.py",
    "protection.py",
    "routes.py",
    "ownership.py",
    "registry.py",
    "guard.py",
    "guard_order.py",
    "web.py",
    "login.py",
    "cli/",
    "doctor/",
    "pages/",
    "simulation/",
    "testing/",
)
"""The files that may import flask, marked (F) in the design."""


def imports(module: Path) -> set[str]:
    """The absolute names that a module imports, those for type checking left out."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ["flask_oauth2", *module.relative_to(ROOT).parts[:-1]]
            base = package[: len(package) - node.level + 1] if node.level else []
            found.add(".".join([*base, *([node.module] if node.module else [])]))
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(module.read_text()))
    return found


def name(module: Path) -> str:
    return module.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_only_the_marked_files_import_flask(module: Path) -> None:
    if not name(module).startswith(FLASK) and name(module) != "__init__.py":
        assert not {top for top in imports(module) if top.split(".")[0] in ("flask", "flask_login", "click")}


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_only_the_sqlalchemy_store_imports_sqlalchemy(module: Path) -> None:
    if not name(module).startswith("stores/sqlalchemy/"):
        assert not {top for top in imports(module) if top.split(".")[0] == "sqlalchemy"}


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_only_the_redis_store_imports_redis(module: Path) -> None:
    if not name(module).startswith("stores/redis/"):
        assert not {top for top in imports(module) if top.split(".")[0] == "redis"}


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_only_what_fetches_imports_httpcore(module: Path) -> None:
    if name(module) != "fetch.py":
        assert not {top for top in imports(module) if top.split(".")[0] == "httpcore"}


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_only_what_visits_imports_httpx(module: Path) -> None:
    if name(module) != "tools/doctor/http_client.py":
        assert not {top for top in imports(module) if top.split(".")[0] == "httpx"}


LAYERS = [
    "stores",
    "clients",
    "checks",
    "tokens",
    "grants",
    "endpoints",
    "offer",
    "server",
    "storage",
    "ownership",
    "registry",
    "protection",
    "routes",
    "provider",
]


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_nothing_calls_back_up(module: Path) -> None:
    layer = module.relative_to(ROOT).parts[0].removesuffix(".py")
    if layer in LAYERS:
        above = LAYERS[LAYERS.index(layer) + 1 :]
        assert not {top for top in imports(module) if len(top.split(".")) > 1 and top.split(".")[1] in above}


def test_errors_are_caught_where_they_leave_and_nowhere_else() -> None:
    found = [
        name(module)
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.ExceptHandler) and node.type is not None and "OAuth2Error" in ast.unparse(node.type)
    ]
    assert found == ["cli/__init__.py", "server.py"]


def test_no_module_is_named_for_nothing() -> None:
    assert not {module.stem for module in MODULES} & {"utils", "util", "helpers", "handlers", "manager", "common"}


def test_the_core_loads_without_flask() -> None:
    script = (
        "import importlib.util, sys, types\n"
        f"package = types.ModuleType('flask_oauth2'); package.__path__ = [{str(ROOT)!r}]\n"
        "sys.modules['flask_oauth2'] = package\n"
        "import flask_oauth2.server, flask_oauth2.stores.memory\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "assert not loaded & {'flask', 'sqlalchemy', 'click'}, loaded\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
