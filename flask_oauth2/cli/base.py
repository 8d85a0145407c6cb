"""Functions that all commands share: they find the server and print results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click
import flask

from ..server import AuthorizationServer

NO_PROVIDER = "This application has no OAuth2Provider. Call OAuth2Provider(app)."

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def find_server() -> AuthorizationServer:
    """Return the authorization server of the application that ``flask --app`` names, and of the issuer if any."""
    provider = _find_provider()
    enter_issuer(provider)
    return _open(lambda: provider.server)


def find_any_server() -> AuthorizationServer:
    """Return a server for work on the rows of all issuers."""
    return _open(_find_provider()._server_of_all_issuers) if find_issuer() is None else find_server()


def _find_provider() -> Any:
    if "flask_oauth2" not in flask.current_app.extensions:
        raise click.ClickException(NO_PROVIDER)
    return flask.current_app.extensions["flask_oauth2"].provider


def _open(find: Callable[[], AuthorizationServer]) -> AuthorizationServer:
    try:
        server = find()
        _ = server.store  # opens it
    except Exception as error:  # including the errors of database drivers
        reason = one_line(str(error).partition("\n")[0])
        raise click.ClickException(f"The provider cannot start: {reason}") from error
    return server


def find_issuer() -> str | None:
    """Return the issuer that ``flask oauth2 --issuer`` names."""
    context = click.get_current_context(silent=True)
    while context is not None:
        if "issuer" in context.params:
            issuer: str | None = context.params["issuer"]
            return issuer
        context = context.parent
    return None


def enter_issuer(provider: Any) -> None:
    """Let the rest of a command run in a request context of the issuer that ``--issuer`` names, if any."""
    issuer = find_issuer()
    if issuer is None or flask.has_request_context():
        return
    click.get_current_context().with_resource(provider.issuer_context(issuer))


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
