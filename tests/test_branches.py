"""No function has more branches than a reader can follow."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import flask_oauth2

ROOT = Path(flask_oauth2.__file__).parent

MOST = 12

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.match_case)


def count_branches(function: ast.AST) -> int:
    """Count the decisions of a function, without those of the functions inside it."""
    found = 0
    for node in ast.iter_child_nodes(function):
        if isinstance(node, _FUNCTIONS):
            continue
        if isinstance(node, _BRANCHES):
            found += 1
        elif isinstance(node, ast.BoolOp):
            found += len(node.values) - 1
        elif isinstance(node, ast.comprehension):
            found += len(node.ifs)
        found += count_branches(node)
    return found


def read_functions(text: str) -> list[tuple[str, int]]:
    return [(node.name, count_branches(node)) for node in ast.walk(ast.parse(text)) if isinstance(node, _FUNCTIONS)]


def test_branches_are_counted() -> None:
    text = """
def outer(a, b):
    if a and b or not a:
        return [x for x in a if x if b]
    for x in a:
        while x:
            x = 1 if b else 2
    try:
        pass
    except ValueError:
        pass
    except KeyError:
        pass
    match a:
        case 1:
            pass
        case _:
            pass
    def inner(c):
        if c:
            pass
    return lambda d: d or c
"""
    assert read_functions(text) == [("outer", 13), ("inner", 1)]


@pytest.mark.parametrize("module", sorted(ROOT.rglob("*.py")), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_function_has_too_many_branches(module: Path) -> None:
    assert [found for found in read_functions(module.read_text()) if found[1] > MOST] == []
