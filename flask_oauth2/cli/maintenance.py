"""The commands ``flask oauth2 purge``, ``create-tables`` and ``routes``."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click
import flask

from ..endpoints import ENDPOINTS
from . import oauth2
from .base import NO_PROVIDER, find_server, json_option, print_json, print_table

_SPECIFICATIONS = {
    "authorize": "RFC 6749 section 3.1",
    "consent": "RFC 6749 section 4.1.1",
    "device": "RFC 8628 section 3.3",
    "applications": "RFC 6819 section 5.1.3",
    "developer": "RFC 6749 section 2",
    "developer_new": "RFC 6749 section 2",
    "developer_client": "RFC 6749 section 2",
    "developer_secret": "RFC 6749 section 2.3.1",
    "developer_delete": "RFC 6749 section 2",
    **{endpoint.name: endpoint.specification for endpoint in ENDPOINTS},
}


@oauth2.command("purge", short_help="Delete expired rows.")
@json_option
def purge(as_json: bool) -> None:
    """Delete expired rows in small batches. The application can run meanwhile."""
    server = find_server()
    now = int(server.clock())
    batches = server.store.purge(now)
    if sys.stderr.isatty() and not as_json:
        deleted = 0
        with click.progressbar(length=server.store.purgeable(now), label="Purging", file=sys.stderr) as bar:
            for rows in batches:
                deleted += rows
                bar.update(rows)
    else:
        deleted = _count_with_progress(batches)
    if as_json:
        print_json({"purged": deleted})
    else:
        click.echo(f"Deleted {deleted} expired {'row' if deleted == 1 else 'rows'}.")


@oauth2.command("create-tables", short_help="Create missing tables.")
def create_tables() -> None:
    """Create missing tables. Several processes can run this command at once."""
    if "flask_oauth2" not in flask.current_app.extensions:
        raise click.ClickException(NO_PROVIDER)
    flask.current_app.extensions["flask_oauth2"].provider.create_tables()
    click.echo("All tables exist.")


def _count_with_progress(batches: Iterable[int]) -> int:
    """Return the number of deleted rows, and print progress for a log."""
    deleted, reported = 0, 0
    for rows in batches:
        deleted += rows
        if deleted >= reported + _REPORT_EVERY:
            reported = deleted
            click.echo(f"Deleted {deleted} expired rows so far.", err=True)
    return deleted


_REPORT_EVERY = 10_000


@oauth2.command("routes", short_help="List the endpoints.")
@json_option
def routes(as_json: bool) -> None:
    """List the endpoints and the specification of each."""
    app = flask.current_app
    rows = [
        {
            "endpoint": rule.endpoint,
            "methods": sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}),
            "path": rule.rule,
            "specification": _SPECIFICATIONS.get(rule.endpoint.removeprefix("oauth2."), ""),
        }
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("oauth2.") and rule.endpoint != "oauth2.static"
    ]
    if not rows:
        raise click.ClickException(NO_PROVIDER)
    issuer = app.config.get("OAUTH2_ISSUER")
    if as_json:
        print_json({"issuer": issuer, "routes": rows})
        return
    print_table([tuple(rows[0]), *(tuple(row.values()) for row in rows)])
    click.echo(f"\nIssuer: {issuer or 'not set. Set OAUTH2_ISSUER to the public URL of this application'}")
