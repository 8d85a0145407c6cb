"""``.. oauth2-commands::``: every command of ``flask oauth2``, from its help."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import click
from docutils.nodes import Node
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from flask_oauth2.cli import oauth2


class CommandsDirective(SphinxDirective):
    """A section for each command, with its arguments and options."""

    def run(self) -> list[Node]:
        """See the module."""
        context = click.Context(oauth2, info_name="flask oauth2")
        return self.parse_text_to_nodes("\n".join(_lines(context)), allow_section_headings=True)


def _lines(context: click.Context) -> Iterator[str]:
    command = context.command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            part = command.get_command(context, name)
            if part is not None:
                yield from _lines(click.Context(part, info_name=name, parent=context))
        return
    path = context.command_path
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield from (path, "-" * len(path), "", f"``{usage}``", "", inspect.cleandoc(command.help or ""), "")
    yield from (f".. program:: {path}", "")
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if isinstance(parameter, click.Option) and record is not None and "--help" not in parameter.opts:
            signature, purpose = record
            yield from (
                f".. option:: {signature.replace(' / ', ', ')}",
                "",
                f"   {purpose.replace('*', chr(92) + '*')}",
                "",
            )


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx asks for it."""
    app.add_directive("oauth2-commands", CommandsDirective)
    return {"parallel_read_safe": True}
