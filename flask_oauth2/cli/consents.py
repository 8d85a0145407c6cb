"""The commands ``flask oauth2 consent …``, for operators.

"[Let] resource owners and administrators" see and revoke authorizations, oauth-v2-1 section 7.9.
"""

from __future__ import annotations

from copy import copy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from flask.cli import AppGroup

from ..clients import lookup
from ..people.consents import revoke_consent
from ..server import AuthorizationServer
from . import oauth2
from .base import find_server, json_option, one_line, print_json, print_table

if TYPE_CHECKING:
    from ..records import Consent
    from ..stores.base import ConsentStore

consent_group = AppGroup("consent", help="List and revoke the consents of users.")
oauth2.add_command(consent_group)


@consent_group.command("list")
@click.argument("user_id")
@json_option
def list_consents(user_id: str, as_json: bool) -> None:
    """List the consents of a user, most recently used first."""
    server, consents = _find()
    described = [_describe(server, consent) for consent in consents.list_consents(user_id)]
    if as_json:
        print_json(described)
    elif described:
        shown = [entry | {name: _day(entry[name]) for name in ("granted_at", "used_at")} for entry in described]
        print_table([tuple(shown[0]), *(tuple(entry.values()) for entry in shown)])
    else:
        click.echo(f"User {user_id!r} has not authorized any clients.", err=True)


@consent_group.command("revoke", short_help="Revoke consents of a user.")
@click.argument("user_id")
@click.argument("client_id", required=False)
@click.option("--yes", is_flag=True, help="Skip the confirmation.")
def revoke(user_id: str, client_id: str | None, yes: bool) -> None:
    """Revoke the consent of a user to one client or to all clients, with every code and token issued under it."""
    server, consents = _find()
    found = [consent for consent in consents.list_consents(user_id) if client_id in (None, consent.client_id)]
    if not found:
        raise click.ClickException(
            f"User {one_line(user_id)!r} has no such consent. Run 'flask oauth2 consent list USER_ID' to list consents."
        )
    if not yes:
        names = ", ".join(one_line(consent.client_id) for consent in found)
        click.confirm(f"Revoke the consents of user {one_line(user_id)} to {names}?", abort=True)
    revoked = [consent for consent in found if revoke_consent(server, consents, user_id, consent.client_id)]
    click.echo(
        f"Revoked {len(revoked)} consent{'' if len(revoked) == 1 else 's'} and the tokens issued under "
        f"{'it' if len(revoked) == 1 else 'them'}."
    )


_end = copy(revoke)
_end.hidden = True
consent_group.add_command(_end, "end")  # the earlier name of the command


def _find() -> tuple[AuthorizationServer, ConsentStore]:
    server = find_server()
    if server.consents is None:
        raise click.ClickException("This store does not save consents.")
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
