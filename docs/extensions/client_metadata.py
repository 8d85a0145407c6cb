"""``.. oauth2-client-metadata::``: every member of a client, from :mod:`flask_oauth2.clients.metadata`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from docutils.nodes import Node
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from flask_oauth2.clients import metadata


class ClientMetadataDirective(SphinxDirective):
    """A table with a row for each member."""

    def run(self) -> list[Node]:
        """See the module."""
        return self.parse_text_to_nodes("\n".join(_lines()))


def _lines() -> Iterator[str]:
    yield from (".. list-table::", "   :header-rows: 1", "")
    rows = [("Member", "Type", "Description", "Set by", "Option"), *metadata.reference_rows()]
    for row in rows:
        for number, cell in enumerate(row):
            yield f"   {'*' if number == 0 else ' '} - {cell}"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("oauth2-client-metadata", ClientMetadataDirective)
    return {"parallel_read_safe": True}
