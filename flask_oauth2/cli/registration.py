"""``flask oauth2 registration-token …``: initial access tokens, with which others register clients.

:rfc:`7591#section-3`. A token is shown once, by the command that made it; only its digest is kept.
"""

from __future__ import annotations

import click
from flask.cli import AppGroup

from .. import values
from ..endpoints.registration import GRANT_KIND
from ..records import Grant
from ..server import AuthorizationServer
from . import oauth2
from .base import find_server, json_option, print_json

token_group = AppGroup("registration-token", help="With which others register clients.")
oauth2.add_command(token_group)

_TEN_YEARS = 315_360_000


@token_group.command("create", short_help="Make an initial access token.")
@click.option(
    "--lifetime", type=click.IntRange(1, _TEN_YEARS), default=86400, help="Seconds that it may wait: at first a day."
)
@click.option("--reusable", is_flag=True, help="For as many clients as OAUTH2_REGISTRATIONS_PER_HOUR lets pass.")
@json_option
def create(lifetime: int, reusable: bool, as_json: bool) -> None:
    """Make an initial access token and print it: for one client, unless it is reusable."""
    server = _find_open_server()
    now = server.clock()
    token, key = values.generate(server.settings.token_prefixes["initial_access_token"], values.timestamp(now))
    expires_at = int(now) + lifetime
    parameters = {"reusable": True} if reusable else {}
    server.store.issue(None, [Grant(key=key, kind=GRANT_KIND, expires_at=expires_at, parameters=parameters)], int(now))
    if as_json:
        print_json({"initial_access_token": token, "expires_at": expires_at, "reusable": reusable})
    else:
        click.echo(token)
        click.echo("\nKeep the token now: it is not shown again, and only a digest of it is kept here.", err=True)


@token_group.command("revoke")
def revoke() -> None:
    """End an initial access token, which is asked for. Clients that it has registered stay."""
    server = _find_open_server()
    now = int(server.clock())
    token = click.prompt("Token", hide_input=True, err=True)
    grant = server.store.get_grant(values.key(token.strip()), GRANT_KIND)
    if grant is None or grant.is_expired(now) or not server.store.issue(grant, [], now):
        raise click.ClickException("there is no such token, or it has ended already")
    click.echo("The token has ended.")


def _find_open_server() -> AuthorizationServer:
    server = find_server()
    if server.registration == "off":
        raise click.ClickException(
            "no clients are registered from outside: set OAUTH2_DYNAMIC_REGISTRATION to token or open"
        )
    return server
