"""Functions that all commands share: they find the server and print results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import click
import flask

from ..server import AuthorizationServer

NO_PROVIDER = "This application has no OAuth2Provider. Call OAuth2Provider(app)."

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def find_server() -> AuthorizationServer:
    """Return the authorization server of the application that ``flask --app`` names."""
    if "flask_oauth2" not in flask.current_app.extensions:
        raise click.ClickException(NO_PROVIDER)
    try:
        server: AuthorizationServer = flask.current_app.extensions["flask_oauth2"].provider.server
        _ = server.store  # opens it
    except Exception as error:  # including the errors of database drivers
        reason = one_line(str(error).partition("\n")[0])
        raise click.ClickException(f"The provider cannot start: {reason}") from error
    return server


def print_json(content: object) -> None:
    """Print indented ASCII JSON, which every terminal can display."""
    click.echo(json.dumps(content, indent=2))


def print_table(rows: Iterable[Sequence[object]]) -> None:
    """Print aligned columns."""
    texts = [[one_line(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def one_line(value: object) -> str:
    """Return a value as one line without control characters, because names may come from other people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    line = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return "".join(character if character.isprintable() else "?" for character in line)
