"""``flask oauth2 import``: from flask-oauthlib or Authlib, so that nobody is logged out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import flask

from ..server import AuthorizationServer
from ..tools.importing import SOURCES
from ..tools.importing.base import Tables
from ..tools.importing.run import Count, Finding, Options, Report
from ..tools.importing.transfer import Transfer
from . import oauth2
from .base import find_server, json_option, one_line, print_json, print_table

if TYPE_CHECKING:
    from ..stores.sqlalchemy.foreign_tables import ForeignDatabase

_SOURCES = {source.name: source for source in SOURCES}


@oauth2.command("import", short_help="Take over from flask-oauthlib or Authlib.")
@click.argument("library", type=click.Choice(list(_SOURCES)))
@click.option("--dry-run", is_flag=True, help="Write nothing, and say what would be done.")
@click.option("--database", metavar="URI", help="Where its tables are. Default: the application's own database.")
@click.option("--client-table", default="", metavar="NAME", help="Default: client, or oauth2_client.")
@click.option("--token-table", default="", metavar="NAME", help="Default: token, or oauth2_token.")
@click.option("--code-table", default="", metavar="NAME", help="Default: grant, or oauth2_code.")
@click.option("--column", "columns", multiple=True, metavar="FIELD=NAME", help="A column of another name; repeatable.")
@click.option("--in-place", is_flag=True, help="Put keys in place of the tokens in its table, see above.")
@click.option("--no-pkce", is_flag=True, help="Let the confidential clients that are taken go on without PKCE.")
@json_option
def import_from(
    library: str,
    dry_run: bool,
    database: str | None,
    client_table: str,
    token_table: str,
    code_table: str,
    columns: Sequence[str],
    in_place: bool,
    no_pkce: bool,
    as_json: bool,
) -> None:
    """File the clients and the live tokens of flask-oauthlib or Authlib here.

    Tokens that clients hold keep working: access tokens to their end, refresh tokens as if they were new. Secrets keep
    working too, and are hashed. Tables of the library are read as they are, by the names in its documentation.

    Rows that cannot be taken are listed with the reason, and all others are taken. Change what is wrong and run the
    command again, as often as needed: what is here already stays as it is. When all is taken, drop the tables that
    nothing reads any more, or leave them and do not run the command again: they do not know what was revoked here, and
    once "flask oauth2 purge" has forgotten a revoked token, a run takes it for a new one.

    People see what was imported among their connected applications, and end it there.

    With --in-place the columns of access and refresh tokens in the library's own table are rewritten to the keys under
    which the tokens are filed here. It is for applications that keep that table and a tokengetter, which is called with
    keys, as are the setters; and it takes away tokens in plain text. The old library cannot read the table then.

    Ends with 0 when all was taken, with 1 when rows were left.
    """
    server = find_server()
    options = Options(
        tables=Tables(client_table, token_table, code_table),
        columns=dict(_split(column) for column in columns),
        dry_run=dry_run,
        in_place=in_place,
        pkce_required=False if no_pkce else None,
    )
    transfer = Transfer(server, _SOURCES[library](), _find_database(database), options)
    if sys.stderr.isatty() and not as_json:
        with click.progressbar(length=len(transfer), label="Importing", file=sys.stderr) as bar:
            for rows in transfer.run():
                bar.update(rows)
    else:
        for _ in transfer.run():
            pass
    report = transfer.report
    if as_json:
        print_json({"dry_run": dry_run, **_describe(report)})
    else:
        _print(report, server, options)
    if report.left:
        sys.exit(1)


def _split(column: str) -> tuple[str, str]:
    field, _, name = column.partition("=")
    if not field or not name:
        raise click.BadParameter(f"{column!r} is not FIELD=NAME", param_hint="--column")
    return field, name


def _find_database(uri: str | None) -> ForeignDatabase:
    from ..stores.sqlalchemy.foreign_tables import ForeignDatabase

    if uri is not None:
        database = ForeignDatabase.open(uri)
        click.get_current_context().call_on_close(database.engine.dispose)
        return database
    db = flask.current_app.extensions.get("sqlalchemy")
    if db is None:
        raise click.UsageError("the application has no database of its own: say by --database where the tables are")
    return ForeignDatabase(db.engine)


def _describe(report: Report) -> dict[str, object]:
    return {
        "clients": asdict(report.clients),
        "tokens": {
            **asdict(report.tokens),
            "shortened": report.shortened,
            "final": report.final,
            "rewritten": report.rewritten,
        },
        "codes": {"left": report.codes},
        "left": [finding._asdict() for finding in report.left],
        "notes": [finding._asdict() for finding in report.notes],
    }


def _print(report: Report, server: AuthorizationServer, options: Options) -> None:
    if options.dry_run:
        click.echo("A dry run: nothing was written. This is what would be done.\n")
    counts = {"clients": report.clients, "tokens": report.tokens}
    print_table([("", *(name.replace("_", " ") for name in Count.__slots__)), *map(_count_row, counts.items())])
    for sentence in _sentences(report, server, options):
        click.echo(f"\n{sentence}")
    _list("To know:", report.notes)
    _list("Left:", report.left)
    if report.left:
        click.echo(f"\n{_number(len(report.left), 'row')} left. Change what is wrong and run the command again.")
    else:
        click.echo("\nAll was taken.")


def _sentences(report: Report, server: AuthorizationServer, options: Options) -> Iterator[str]:
    if report.shortened:
        ends_at = datetime.fromtimestamp(server.clock() + server.longest_lifetime, UTC)
        yield (
            f"{_number(report.shortened, 'access token')} would have lived longer; here the settings let them end on "
            f"{ends_at:%Y-%m-%d %H:%M} UTC."
        )
        if report.final:
            yield (
                f"{report.final} of them came without a refresh token, so their clients must ask again then. To give "
                "such tokens longer, set OAUTH2_ACCESS_TOKEN_LIFETIME before you import; what is here stays as it is."
            )
    if options.in_place:
        yield f"{_number(report.rewritten, 'row')} of the library's tokens rewritten to keys."
    elif server.callbacks.tokengetter is not None:
        yield "The application has a tokengetter, which is called with keys: add --in-place, or it finds no token."
    if report.codes:
        yield f"{_number(report.codes, 'code')} not taken: they live for seconds, and their clients ask again."


def _count_row(counted: tuple[str, Count]) -> tuple[object, ...]:
    name, count = counted
    return (name, *asdict(count).values())


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _list(title: str, findings: Sequence[Finding]) -> None:
    if findings:
        click.echo(f"\n{title}")
        print_table([(f"  {finding.table}", finding.id, one_line(finding.reason)) for finding in findings])
