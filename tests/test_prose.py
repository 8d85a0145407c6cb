"""Docstrings and messages use plain technical English."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import flask_oauth2

ROOT = Path(flask_oauth2.__file__).parent
MODULES = {path.relative_to(ROOT).as_posix(): path for path in sorted(ROOT.rglob("*.py"))}

BAD_OPENING = re.compile(
    r"\W*(?:What|Whatever|Whether|Who|Whoever|Whom|Whose|How|Where|Why|The same|Such|That|Those|These|It|They|"
    r"Somebody|Nobody|Anybody|In place of|Instead of|Beside|Of|By|With|For|As|At|So that|Else)\b"
)
"""A docstring begins with an imperative verb or a noun phrase."""

NO_VERB = re.compile(
    r"(?:The|A|An|One|Some|All|Every|Each|Any|No|Return(?:ed|s)|Raises|Yields|Makes|Takes|Gives|Reads|Writes|Sends|"
    r"Checks|Says|Tells)\b"
)
"""The docstring of a function begins with an imperative verb."""

BANNED = (
    *("somebody", "nobody", "anybody", "whoever", "whomever", "whatever"),
    *("beside", "of your own", "of ours", "of theirs", "of one's own"),
    *("is asked", "are asked", "is told", "are told", "is said", "comes to", "came back"),
    *("take away", "takes away", "taken away", "took away"),
    *("by name of", "that there is", "is none of", "are none of", "who has no", "a stranger", "strangers"),
)
"""Phrases that make a message or a docstring read like a riddle."""

_BANNED = re.compile("|".join(rf"\b{phrase}\b" for phrase in BANNED), re.IGNORECASE)

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DOCUMENTED = (ast.Module, ast.ClassDef, *_FUNCTIONS)
_LOG_METHODS = frozenset({"debug", "info", "warning", "error", "critical", "exception", "log", "echo", "confirm"})
_FINDINGS = frozenset({"error", "warning", "note", "report", "Finding", "Stop", "stop_at", "Unreachable"})
_MESSAGE_ARGUMENTS = frozenset({"help", "short_help", "epilog", "hint", "expected", "shown", "reason"})


def docstrings(scope: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the kind and the text of each docstring of a public object, attributes included."""
    if isinstance(scope, _DOCUMENTED) and (text := ast.get_docstring(scope)):
        is_function = isinstance(scope, _FUNCTIONS) and not _is_property(scope)
        yield "function" if is_function else "object", text
    if isinstance(scope, _FUNCTIONS):
        return
    before: ast.AST | None = None
    for node in getattr(scope, "body", ()):
        if isinstance(node, _DOCUMENTED) and _is_public(node.name):
            yield from docstrings(node)
        elif isinstance(before, ast.Assign | ast.AnnAssign) and _is_text(node) and _is_public(_target(before)):
            yield "object", node.value.value.strip()
        before = node


def messages(tree: ast.Module) -> Iterator[str]:
    """Yield the texts of errors, log records, command output and command help."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and node.exc is not None:
            yield from _texts(node.exc)
        elif isinstance(node, ast.Call):
            if _is_message(node.func):
                for argument in node.args:
                    yield from _texts(argument)
            for keyword in node.keywords:
                if keyword.arg in _MESSAGE_ARGUMENTS:
                    yield from _texts(keyword.value)
        elif isinstance(node, ast.FunctionDef) and any("command(" in ast.unparse(d) for d in node.decorator_list):
            yield ast.get_docstring(node) or ""


def _is_message(function: ast.expr) -> bool:
    """Return whether a call logs, prints, or makes a finding of a tool."""
    if isinstance(function, ast.Attribute):
        return function.attr in _LOG_METHODS
    return isinstance(function, ast.Name) and function.id in _FINDINGS


def _is_property(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("property" in ast.unparse(d) or "cached" in ast.unparse(d) for d in function.decorator_list)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _target(node: ast.Assign | ast.AnnAssign) -> str:
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    return ast.unparse(target)


def _is_public(name: str) -> bool:
    return not name.startswith("_")


def _texts(node: ast.AST) -> Iterator[str]:
    """Yield the string literals below a node. An f-string is one text without its values."""
    if isinstance(node, ast.JoinedStr):
        yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    else:
        for child in ast.iter_child_nodes(node):
            yield from _texts(child)


def faults(text: str) -> list[str]:
    """Return the openings of docstrings and the phrases of messages that a module should not have."""
    tree = ast.parse(text)
    found = []
    for kind, docstring in docstrings(tree):
        first = docstring.splitlines()[0]
        if BAD_OPENING.match(docstring) or (kind == "function" and NO_VERB.match(docstring)):
            found.append(first)
        found += [f"{match[0]}: {first}" for match in _BANNED.finditer(docstring)]
    found += [f"{match[0]}: {text}" for text in messages(tree) for match in _BANNED.finditer(text)]
    return found


def test_faults_are_found() -> None:
    text = '''
"""What a module is."""

LIMIT = 1
"""How many there are."""

_LIMIT = 1
"""How many there are, in private."""

class Token:
    """The same."""

    @property
    def is_live(self):
        """Whether it is."""

    def save(self):
        """Writes it.

        Whoever has it may do so.
        """
        raise ValueError(f"nobody is {self}" if self else "somebody else")

    def _hide(self):
        """Who hides."""

@group.command("run", help="Take away.")
def run():
    """Run what is told."""
    log.warning("the client %s is asked", 1)
    click.echo("beside", err="nobody")
    yield warning("whoever")
'''
    assert sorted(faults(text)) == [
        "How many there are.",
        "Take away: Take away.",
        "The same.",
        "What a module is.",
        "Whether it is.",
        "Whoever: Writes it.",
        "Writes it.",
        "beside: beside",
        "is asked: the client %s is asked",
        "is told: Run what is told.",
        "is told: Run what is told.",
        "nobody: nobody is …",
        "somebody: somebody else",
        "whoever: whoever",
    ]


def test_plain_english_passes() -> None:
    text = '''
"""Access tokens."""

class Token:
    """An access token."""

    @property
    def is_live(self):
        """Return whether the token has not expired."""

    def save(self):
        """Save the token.

        What follows an opening may begin as it likes.
        """
        raise ValueError(f"unknown scope {self}; known scopes: profile")
'''
    assert faults(text) == []


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_in_plain_english(name: str) -> None:
    assert list(faults(MODULES[name].read_text())) == []
