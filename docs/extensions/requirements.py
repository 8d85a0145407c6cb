"""What each specification asks for, the tests that hold it, and what is not covered and why.

A requirement is a line of ``requirements/<document>.toml``: ``section``, ``level`` and ``says``, then nothing where the
tests hold it whose ``spec`` marks name the section, ``tests`` (the ends of their names) where only some of these do or
others do too, or ``not_covered``, the reason.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
REQUIREMENTS = ROOT / "docs" / "requirements"

LEVELS = ("MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "INFO")
"""The words of :rfc:`2119`, and what a document merely says."""


@dataclass(frozen=True)
class Test:
    """A test function and the sections that its marks name, as pairs of document and section."""

    name: str
    marks: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Requirement:
    """One line of a document."""

    number: str
    section: str
    level: str
    says: str
    tests: tuple[str, ...]
    not_covered: str

    @property
    def sections(self) -> list[str]:
        """A requirement may be said in several places."""
        return self.section.split(", ")


@dataclass(frozen=True)
class Document:
    """A specification; ``note`` says which part of it, where it is not all."""

    name: str
    title: str
    url: str
    note: str
    requirements: tuple[Requirement, ...]


def read_documents() -> list[Document]:
    """All documents, the RFCs by number first."""
    paths = sorted(REQUIREMENTS.glob("*.toml"), key=lambda path: (not path.stem.startswith("rfc"), path.stem))
    return [_read_document(path) for path in paths]


def _read_document(path: Path) -> Document:
    content = tomllib.loads(path.read_text())
    requirements = tuple(
        Requirement(
            number=number,
            section=line.pop("section"),
            level=line.pop("level"),
            says=line.pop("says"),
            tests=tuple(line.pop("tests", ())),
            not_covered=line.pop("not_covered", ""),
        )
        for number, line in content["requirements"].items()
    )
    return Document(path.stem, content["title"], content["url"], content.get("note", ""), requirements)


def read_tests() -> list[Test]:
    """Every test function of the project."""
    files = [*sorted((ROOT / "tests").rglob("test_*.py")), ROOT / "flask_oauth2" / "testing" / "contract.py"]
    return [test for file in files for test in _read_file(file)]


def _read_file(file: Path) -> Iterator[Test]:
    tree = ast.parse(file.read_text())
    ours = set()
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "pytestmark":
            ours |= _find_marks(statement.value)
    yield from _read_body(tree.body, file.relative_to(ROOT).as_posix(), ours)


def _read_body(body: list[ast.stmt], name: str, marks: set[tuple[str, str]]) -> Iterator[Test]:
    for statement in body:
        if not isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        own = marks.union(*map(_find_marks, statement.decorator_list))
        if isinstance(statement, ast.ClassDef):
            yield from _read_body(statement.body, f"{name}::{statement.name}", own)
        elif statement.name.startswith("test_"):
            yield Test(f"{name}::{statement.name}", frozenset(own))


def _find_marks(expression: ast.expr) -> set[tuple[str, str]]:
    """The marks in a decorator, those of single parameters too."""
    found = set()
    for node in ast.walk(expression):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("pytest.mark.spec", "spec"):
            document, section = (ast.literal_eval(argument) for argument in node.args)
            found.add((document, section))
    return found


def find_holding(document: Document, requirement: Requirement, tests: list[Test]) -> list[Test]:
    """The tests that hold a requirement. Raises :exc:`LookupError` for a name that no test has."""
    if requirement.not_covered:
        return []
    if not requirement.tests:
        wanted = {(document.name, section) for section in requirement.sections}
        return [test for test in tests if test.marks & wanted]
    holding: list[Test] = []
    for name in requirement.tests:
        found = [test for test in tests if test.name.endswith(f"::{name}") or test.name.endswith(f"/{name}")]
        if not found:
            raise LookupError(f"{document.name} {requirement.number} names {name}, which is no test")
        holding += [test for test in found if test not in holding]
    return holding
