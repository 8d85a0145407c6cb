"""``.. oauth2-options::``: every option, from :mod:`flask_oauth2.settings`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from docutils.nodes import Node
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from flask_oauth2.settings import OPTIONS, default


class OptionsDirective(SphinxDirective):
    """One ``confval`` for each option, with the sections that justify it."""

    def run(self) -> list[Node]:
        """See the module."""
        return self.parse_text_to_nodes("\n".join(_lines()))


def _lines() -> Iterator[str]:
    for name, option in OPTIONS.items():
        yield from (f".. confval:: OAUTH2_{name.upper()}", f"   :default: ``{default(name)!r}``", "")
        yield from (f"   {option.metadata['doc']}", "")
        if option.metadata["rule"]:
            yield from (f"   Why: {_link(option.metadata['rule'])}.", "")


def _link(rule: str) -> str:
    """The sections of a rule such as ``rfc9700 2.1.2, 2.4``."""
    document, _, sections = rule.partition(" ")
    if not document.startswith("rfc"):
        return f"{document} §{sections}"
    number = document.removeprefix("rfc")
    links = [f":rfc:`§{section} <{number}#section-{section}>`" for section in sections.split(", ")]
    return f"RFC {number} {', '.join(links)}"


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx asks for it."""
    app.add_directive("oauth2-options", OptionsDirective)
    return {"parallel_read_safe": True}
