"""The command ``flask oauth2 import``: clients and tokens of flask-oauthlib or Authlib."""

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


@oauth2.command("import", short_help="Import clients and tokens from flask-oauthlib or Authlib.")
@click.argument("library", type=click.Choice(list(_SOURCES)))
@click.option("--dry-run", is_flag=True, help="Write nothing. Print what the import would do.")
@click.option(
    "--database", metavar="URI", help="Database of the library's tables. Default: the application's own database."
)
@click.option("--client-table", default="", metavar="NAME", help="Default: client, or oauth2_client.")
@click.option("--token-table", default="", metavar="NAME", help="Default: token, or oauth2_token.")
@click.option("--code-table", default="", metavar="NAME", help="Default: grant, or oauth2_code.")
@click.option("--column", "columns", multiple=True, metavar="FIELD=NAME", help="Column with another name. Repeatable.")
@click.option("--in-place", is_flag=True, help="Replace the tokens in the library's table with digests, see above.")
@click.option("--no-pkce", is_flag=True, help="Don't require PKCE from imported confidential clients.")
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
    """Import the clients and the live tokens of flask-oauthlib or Authlib.

    Tokens keep working: access tokens until they expire, refresh tokens with the lifetime of new ones. Client secrets
    keep working too, and are saved as hashes. The command reads the library's tables with the column names of its
    documentation.

    The command reports each row that cannot be imported with the reason, and imports all others. Correct these rows and
    run the command again: it does not change clients and tokens that the provider already has. When every row is
    imported, drop the tables that nothing reads any more. If you keep them, do not run the command again: the tables do
    not record revocations, so after "flask oauth2 purge" a run would import a revoked token as a new one.

    Users see imported authorizations among their connected applications, and can revoke them there.

    --in-place replaces the access and refresh tokens in the library's own table with the digests that the provider
    stores. Use it if your application keeps that table and a tokengetter: the provider calls the tokengetter and the
    setters with digests. It also removes plain text tokens from the table, so the old library can no longer read it.

    Exit code: 0 if every row was imported, 1 if rows were skipped.
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
        raise click.BadParameter(f"{column!r} must have the form FIELD=NAME", param_hint="--column")
    return field, name


def _find_database(uri: str | None) -> ForeignDatabase:
    from ..stores.sqlalchemy.foreign_tables import ForeignDatabase

    if uri is not None:
        database = ForeignDatabase.open(uri)
        click.get_current_context().call_on_close(database.engine.dispose)
        return database
    db = flask.current_app.extensions.get("sqlalchemy")
    if db is None:
        raise click.UsageError(
            "the application has no database of its own: pass --database with the URI of the library's tables"
        )
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
        click.echo("Dry run: nothing was written. The import would do the following.\n")
    counts = {"clients": report.clients, "tokens": report.tokens}
    print_table([("", *_COLUMNS), *map(_count_row, counts.items())])
    for sentence in _sentences(report, server, options):
        click.echo(f"\n{sentence}")
    _list("Notes:", report.notes)
    _list("Skipped:", report.left)
    if report.left:
        click.echo(f"\n{_number(len(report.left), 'row')} skipped. Correct what is reported and run the command again.")
    else:
        click.echo("\nEvery row was imported.")


_COLUMNS = ("imported", "already present", "expired", "skipped")
"""The headings of the fields of :class:`Count`."""


def _sentences(report: Report, server: AuthorizationServer, options: Options) -> Iterator[str]:
    if report.shortened:
        ends_at = datetime.fromtimestamp(server.clock() + server.longest_lifetime, UTC)
        yield (
            f"{_number(report.shortened, 'access token')} had a longer lifetime. With the current settings it "
            f"ends on {ends_at:%Y-%m-%d %H:%M} UTC."
        )
        if report.final:
            yield (
                f"{report.final} of them had no refresh token, so their clients must then start a new "
                "authorization. To give these tokens more time, set OAUTH2_ACCESS_TOKEN_LIFETIME before you "
                "import; a later run does not change imported tokens."
            )
    if options.in_place:
        yield f"Replaced the tokens with digests in {_number(report.rewritten, 'row')} of the library's table."
    elif server.callbacks.tokengetter is not None:
        yield (
            "The application has a tokengetter, which the provider calls with digests: add --in-place, so that "
            "it finds tokens."
        )
    if report.codes:
        yield (
            f"Skipped {_number(report.codes, 'authorization code')}: codes expire within seconds, and their "
            "clients start again."
        )


def _count_row(counted: tuple[str, Count]) -> tuple[object, ...]:
    name, count = counted
    return (name, *asdict(count).values())


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _list(title: str, findings: Sequence[Finding]) -> None:
    if findings:
        click.echo(f"\n{title}")
        print_table([(f"  {finding.table}", finding.id, one_line(finding.reason)) for finding in findings])
