"""The fields of a named tuple say what they are, not which number they have."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx


def drop_number(app: Sphinx, what: str, name: str, field: Any, options: Any, lines: list[str]) -> None:
    """Of a field without words of its own, Python says its number."""
    if lines and lines[0].startswith("Alias for field number"):
        lines.clear()


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx asks for it."""
    app.connect("autodoc-process-docstring", drop_number)
    return {"parallel_read_safe": True}
