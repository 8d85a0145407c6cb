"""The commands ``flask oauth2 user …``, for operators."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from ..records import identify
from ..revocation import revoke_user
from . import oauth2
from .base import find_server, one_line

user_group = AppGroup("user", help="Revoke the authorizations of users.")
oauth2.add_command(user_group)


@user_group.command("revoke", short_help="Revoke all tokens and consents of a user.")
@click.argument("user_id")
@click.option("--yes", is_flag=True, help="Skip the confirmation.")
def revoke(user_id: str, yes: bool) -> None:
    """Revoke every code, device code, token and consent of a user.

    The user can authorize clients again. End the user's sessions in your application.
    """
    server = find_server()
    try:
        known = identify(user_id)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="USER_ID") from error
    if not yes:
        click.confirm(f"Revoke all tokens and consents of user {one_line(known)}?", abort=True)
    revoke_user(server, known)
    click.echo(f"Revoked all tokens and consents of user {one_line(known)}.")
