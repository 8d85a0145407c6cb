"""The companion of the page about flask-oauthlib: one client cannot be taken, as the exit code says."""

from __future__ import annotations

from doc_page import Block, Page


def run_import(page: Page, block: Block) -> None:
    """Each command ends with 1, since a row is left."""
    commands = "\n".join(f"{command} || test $? = 1" for command in block.code.splitlines())
    page.run_commands(commands)
