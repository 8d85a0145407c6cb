"""``flask oauth2 …``: register clients, take away what has expired, list the endpoints."""

from __future__ import annotations

import sys
from typing import Any

import click
import flask
from flask.cli import AppGroup

from ..clients.rules import InvalidMetadata
from ..endpoints import ENDPOINTS, WELL_KNOWN
from ..errors import ConfigurationError, OAuth2Error
from .base import find_server, json_option, print_json, print_table
from .clients import OPTIONS, client_group

_SPECIFICATIONS = {
    "authorize": "RFC 6749 section 3.1",
    "consent": "RFC 6749 section 4.1.1",
    **{endpoint.name: endpoint.specification for endpoint in (*ENDPOINTS, *WELL_KNOWN)},
}


class Commands(AppGroup):
    """A group that says in one sentence what went wrong."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except InvalidMetadata as error:
            option = OPTIONS.get(error.field) or "--" + error.field.replace("_", "-")
            raise click.BadParameter(error.reason, param_hint=option) from error
        except (ConfigurationError, OAuth2Error) as error:
            raise click.ClickException(str(error)) from error


oauth2 = Commands("oauth2", help="Clients, tokens and routes of the OAuth 2 provider.")
oauth2.add_command(client_group)


@oauth2.command("purge")
@json_option
def purge(as_json: bool) -> None:
    """Take away what has expired, in small batches, while the application runs."""
    server = find_server()
    now = int(server.clock())
    batches = server.store.purge(now)
    if sys.stderr.isatty() and not as_json:
        taken = 0
        with click.progressbar(length=server.store.purgeable(now), label="Purging", file=sys.stderr) as bar:
            for rows in batches:
                taken += rows
                bar.update(rows)
    else:
        taken = sum(batches)
    if as_json:
        print_json({"purged": taken})
    else:
        click.echo(f"{taken} expired {'row' if taken == 1 else 'rows'} taken away.")


@oauth2.command("routes")
@json_option
def routes(as_json: bool) -> None:
    """List the endpoints and the specification that each answers to."""
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
    issuer = app.config.get("OAUTH2_ISSUER")
    if as_json:
        print_json({"issuer": issuer, "routes": rows})
        return
    print_table([tuple(rows[0]), *(tuple(row.values()) for row in rows)])
    click.echo(f"\nIssuer: {issuer or 'not set: give OAUTH2_ISSUER the public URL of this application'}")
