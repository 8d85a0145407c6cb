"""The commands ``flask oauth2 …``: manage clients, consents, users and signing keys, import from other libraries, purge
expired rows, list endpoints, diagnose an application and simulate clients.

Each command is imported when it runs, not with every application.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click
from flask.cli import AppGroup

from ..errors import ConfigurationError, OAuth2Error

MODULES = {
    "client": "clients",
    "consent": "consents",
    "create-tables": "maintenance",
    "doctor": "doctor",
    "import": "importing",
    "keys": "keys",
    "purge": "maintenance",
    "registration-token": "registration",
    "routes": "maintenance",
    "simulate": "simulate",
    "user": "users",
}
"""The module of each command, which adds the command to the group."""


class Commands(AppGroup):
    """A group of commands that prints errors as one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return sorted({*MODULES, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command, and return the command."""
        if cmd_name in MODULES:
            import_module(f".{MODULES[cmd_name]}", __package__)
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and print errors of the extension without a traceback."""
        from ..clients.rules import InvalidMetadata
        from .clients import OPTIONS

        try:
            return super().invoke(ctx)
        except InvalidMetadata as error:
            option = OPTIONS.get(error.field) or "--" + error.field.replace("_", "-")
            raise click.BadParameter(error.reason, param_hint=option) from error
        except (ConfigurationError, OAuth2Error) as error:
            raise click.ClickException(str(error)) from error


oauth2 = Commands(
    "oauth2",
    help="Manage clients, tokens and routes of the OAuth 2.0 provider.",
    params=[click.Option(["--issuer"], metavar="URL", help="The issuer to work on, if the application has several.")],
)
