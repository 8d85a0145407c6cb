"""``.. oauth2-requirements::``: the page that :mod:`requirements` makes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from docutils.nodes import Node
from requirements import REQUIREMENTS, ROOT, Document, Test, find_holding, read_documents, read_tests
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class SpecDirective(SphinxDirective):
    """A section for each document."""

    def run(self) -> list[Node]:
        """See the module."""
        tests = read_tests()
        for path in (*REQUIREMENTS.glob("*.toml"), *(ROOT / "tests").rglob("test_*.py")):
            self.env.note_dependency(str(path))
        documents = read_documents()
        text = "\n".join(
            [*_summary(documents), *(line for document in documents for line in _section(document, tests))]
        )
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def _summary(documents: list[Document]) -> Iterator[str]:
    yield from (".. list-table::", "   :header-rows: 1", "")
    yield from ("   * - Document", "     - Requirements", "     - Held by tests", "     - Not covered")
    for document in documents:
        held = sum(not requirement.not_covered for requirement in document.requirements)
        yield f"   * - `{_label(document)} <#{document.name.replace('_', '-')}>`__"
        yield f"     - {len(document.requirements)}"
        yield f"     - {held}"
        yield f"     - {len(document.requirements) - held}"
    yield ""


def _label(document: Document) -> str:
    return f"RFC {document.name[3:]}" if document.name.startswith("rfc") else document.title


def _section(document: Document, tests: list[Test]) -> Iterator[str]:
    title = f"{_label(document)}: {document.title}" if document.name.startswith("rfc") else document.title
    yield from (f".. _{document.name}:", "", title, "-" * len(title), "", f"The `whole text <{document.url}>`__.", "")
    yield from (document.note, "")
    yield from (".. list-table::", "   :header-rows: 1", "   :widths: 6 10 8 38 38", "")
    yield from ("   * - No.", "     - Section", "     - Level", "     - It says", "     - Held by")
    for requirement in document.requirements:
        yield f"   * - {requirement.number}"
        yield f"     - {', '.join(_link(document, section) for section in requirement.sections)}"
        yield f"     - {requirement.level}"
        yield f"     - {requirement.says}"
        if requirement.not_covered:
            yield f"     - *Not covered:* {requirement.not_covered}"
        else:
            names = [f"| ``{test.name.removeprefix('tests/')}``" for test in find_holding(document, requirement, tests)]
            yield from (f"     - {names[0]}", *(f"       {name}" for name in names[1:]))
    yield ""


def _link(document: Document, section: str) -> str:
    if not document.name.startswith("rfc"):
        return f"§{section}"
    anchor = "section" if section[0].isdigit() else "appendix"
    return f":rfc:`§{section} <{document.name[3:]}#{anchor}-{section}>`"


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx asks for it."""
    app.add_directive("oauth2-requirements", SpecDirective)
    return {"parallel_read_safe": True}
