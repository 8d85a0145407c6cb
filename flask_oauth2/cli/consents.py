"""``flask oauth2 consent …``: what people let clients do, for whoever runs the site.

"[Let] resource owners and administrators" see and end it, oauth-v2-1 section 7.9.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from flask.cli import AppGroup

from ..clients import lookup
from ..people.consents import end_consent
from ..server import AuthorizationServer
from . import oauth2
from .base import find_server, json_option, one_line, print_json, print_table

if TYPE_CHECKING:
    from ..records import Consent
    from ..stores.base import ConsentStore

consent_group = AppGroup("consent", help="What people let clients do.")
oauth2.add_command(consent_group)


@consent_group.command("list")
@click.argument("user_id")
@json_option
def list_consents(user_id: str, as_json: bool) -> None:
    """List what a person let clients do, the last used first."""
    server, consents = _find()
    described = [_describe(server, consent) for consent in consents.list_consents(user_id)]
    if as_json:
        print_json(described)
    elif described:
        shown = [entry | {name: _day(entry[name]) for name in ("granted_at", "used_at")} for entry in described]
        print_table([tuple(shown[0]), *(tuple(entry.values()) for entry in shown)])
    else:
        click.echo(f"{one_line(user_id)} has let no client do anything.", err=True)


@consent_group.command("end", short_help="End what a person let clients do.")
@click.argument("user_id")
@click.argument("client_id", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
def end(user_id: str, client_id: str | None, yes: bool) -> None:
    """End what a person let a client do, or all clients, and all codes and tokens that came of it."""
    server, consents = _find()
    found = [consent for consent in consents.list_consents(user_id) if client_id in (None, consent.client_id)]
    if not found:
        raise click.ClickException("there is nothing to end: flask oauth2 consent list USER_ID names what there is")
    if not yes:
        names = ", ".join(one_line(consent.client_id) for consent in found)
        click.confirm(f"End what {one_line(user_id)} let {names} do?", abort=True)
    ended = [consent for consent in found if end_consent(server, consents, user_id, consent.client_id)]
    click.echo(f"{len(ended)} ended, and the tokens with {'it' if len(ended) == 1 else 'them'}.")


def _find() -> tuple[AuthorizationServer, ConsentStore]:
    server = find_server()
    if server.consents is None:
        raise click.ClickException("this store does not remember what people let clients do")
    return server, server.consents


def _describe(server: AuthorizationServer, consent: Consent) -> dict[str, Any]:
    client = lookup.find_known_client(server, consent.client_id)
    return {
        "client_id": consent.client_id,
        "client_name": client.name if client else "",
        "scope": " ".join(consent.scope),
        "granted_at": consent.granted_at,
        "used_at": consent.used_at,
    }


def _day(time: int) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d}"
