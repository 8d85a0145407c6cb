"""Which module may import which: the core knows no framework, and nothing imports from a layer above it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import flask_oauth2

ROOT = Path(flask_oauth2.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

LAYERS = (
    "errors",
    "scopes",
    "values",
    "processes",
    "signals",
    "record",
    "context",
    "records",
    "http",
    "metrics",
    "settings",
    "resources",
    "authorization_details",
    "stores",
    "keys",
    "capabilities",
    "events",
    "server",
    "addresses",
    "revocation",
    "answering",
    "clients",
    "people",
    "checks",
    "tokens",
    "grants",
    "endpoints",
    "web",
    "resource",
    "assembly",
    "pages",
    "web.routes",
    "web.choose_store",
    "cli",
    "provider",
    "testing",
    "tools",
    *(f"cli.{name.stem}" for name in sorted((ROOT / "cli").glob("[a-z]*.py"))),
    "",
)
"""The rooms from the lowest to the highest. A module is in the longest name that it begins with; the last is the
package itself. ``cli`` is the group of commands, which loads its commands when one runs."""

FLASK = ("provider", "web", "pages", "cli", "resource", "testing", "tools")
"""The rooms that may import flask, Werkzeug's request classes and click."""

NO_FLASK = (
    "resource.verify",
    "resource.server_verifier",
    "resource.token_cache",
    "resource.issuer_metadata",
    "resource.remote_verifier",
    "resource.sources",
    "tools.importing",
)
"""Parts of these rooms that need no framework, and know none."""

THIRD_PARTIES = {
    "sqlalchemy": ("stores.sqlalchemy",),
    "redis": ("stores.redis",),
    "httpcore": ("http.fetch",),
    "joserfc": ("keys.library",),
    "cryptography": ("keys.library",),
    "httpx": ("tools.doctor",),
    "flask": FLASK,
    "flask_login": FLASK,
    "click": FLASK,
}
"""Where each of these packages may be imported."""


def name_of(module: Path) -> str:
    """Return the dotted name of a module below the package; empty for the package itself."""
    parts = module.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(module) for module in MODULES}


def find_imports(module: Path, text: str | None = None, *, deferred: bool = True) -> Iterator[str]:
    """Yield the absolute name of each module that a module imports, for type checking too.

    ``from .. import x`` is ``x`` if that is a module. With ``deferred``, imports inside functions count.
    """
    package = name_of(module) if module.name == "__init__.py" else name_of(module).rpartition(".")[0]
    skipped = () if deferred else (ast.FunctionDef, ast.AsyncFunctionDef)
    pending: list[ast.AST] = [ast.parse(module.read_text() if text is None else text)]
    while pending:
        node = pending.pop()
        pending.extend(child for child in ast.iter_child_nodes(node) if not isinstance(child, skipped))
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                above = ["flask_oauth2", *(package.split(".") if package else [])]
                source = ".".join([*above[: len(above) - node.level + 1], *([source] if source else [])])
            for alias in node.names:
                full = f"{source}.{alias.name}"
                yield full if full.removeprefix("flask_oauth2.") in NAMES else source


def layer_of(name: str) -> int:
    """Return the layer of a module. Raises :exc:`LookupError` for one of an unknown room."""
    rooms = [room for room in LAYERS if name == room or name.startswith(f"{room}.")]
    if not rooms:
        raise LookupError(f"{name} is in no room of LAYERS: add its room")
    return LAYERS.index(max(rooms, key=len))


def is_below(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def own_modules(found: Iterator[str]) -> set[str]:
    return {name.removeprefix("flask_oauth2.") for name in found if name.startswith("flask_oauth2.")}


def find_upward(module: Path, text: str | None = None) -> set[str]:
    """Return what a module imports from a layer above it."""
    name = name_of(module)
    found = own_modules(find_imports(module, text, deferred=name != "cli"))
    return {other for other in found if layer_of(other) > layer_of(name)}


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_nothing_imports_from_a_layer_above(module: Path) -> None:
    assert not find_upward(module)


def test_a_planted_import_is_found() -> None:
    grant = ROOT / "grants" / "password.py"
    for planted in ("from .. import web", "from ..web import read", "from ..endpoints.token import respond"):
        for text in (planted, f"def late():\n    {planted}", f"if TYPE_CHECKING:\n    {planted}"):
            assert find_upward(grant, text)
    assert not find_upward(grant, "from .. import values\nfrom ..server import AuthorizationServer")


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_third_parties_are_imported_where_they_belong(module: Path) -> None:
    name = name_of(module)
    for imported in find_imports(module):
        rooms = THIRD_PARTIES.get(imported.partition(".")[0])
        assert rooms is None or is_below(name, rooms), imported
        assert not (rooms == FLASK and is_below(name, NO_FLASK)), imported


def test_no_modules_import_each_other() -> None:
    """In any number of steps. Imports for type checking count; those inside functions do not."""
    edges = {name_of(module): own_modules(find_imports(module, deferred=False)) & NAMES for module in MODULES}
    left = dict(edges)
    while left:
        leaves = {name for name, imported in left.items() if not (imported & left.keys()) - {name}}
        assert leaves, f"these import each other: {sorted(left)}"
        left = {name: imported for name, imported in left.items() if name not in leaves}


def test_errors_are_caught_where_they_leave_and_nowhere_else() -> None:
    found = [
        name_of(module)
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.ExceptHandler) and node.type is not None and "OAuth2Error" in ast.unparse(node.type)
    ]
    assert found == ["answering", "cli", "resource.current_token", "resource.guard"]


def test_no_object_is_cast_to_its_own_subclass() -> None:
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "cast":
                assert ast.unparse(node.args[1]) != "self", module


OAUTHLIB = (
    "provider.flask_oauthlib",
    "tools.flask_oauthlib",
    "tools.importing",
    "cli.importing",
    "stores.callbacks",
    "clients.from_object",
)
"""Modules that know flask-oauthlib. The first one has its names and conventions."""


def test_only_the_adapter_knows_flask_oauthlib() -> None:
    found = {name_of(module) for module in MODULES if "oauthlib" in module.read_text().lower()}
    others = {name for name in found if not is_below(name, OAUTHLIB)}
    assert others == {"provider"}, "only the provider class uses the adapter"


def test_no_module_is_named_for_nothing() -> None:
    assert not {module.stem for module in MODULES} & {"utils", "util", "helpers", "handlers", "manager", "common"}


def test_the_core_loads_without_flask() -> None:
    script = (
        "import importlib.util, sys, types\n"
        f"package = types.ModuleType('flask_oauth2'); package.__path__ = [{str(ROOT)!r}]\n"
        "sys.modules['flask_oauth2'] = package\n"
        "import flask_oauth2.endpoints, flask_oauth2.stores.memory, flask_oauth2.resource.verify\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "assert not loaded & {'flask', 'sqlalchemy', 'click'}, loaded\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
