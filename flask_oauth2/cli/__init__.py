"""``flask oauth2 …``: register clients, let others do so, import those of other libraries, end what people let them do,
take away what has expired, list endpoints, say what is wrong, and play clients.

The commands are loaded when one is asked for, not with every application.
"""

from __future__ import annotations

from typing import Any

import click
from flask.cli import AppGroup

from ..errors import ConfigurationError, OAuth2Error


class Commands(AppGroup):
    """A group that says in one sentence what went wrong."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands."""
        self._load()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name."""
        self._load()
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        from ..clients.rules import InvalidMetadata
        from .clients import OPTIONS

        try:
            return super().invoke(ctx)
        except InvalidMetadata as error:
            option = OPTIONS.get(error.field) or "--" + error.field.replace("_", "-")
            raise click.BadParameter(error.reason, param_hint=option) from error
        except (ConfigurationError, OAuth2Error) as error:
            raise click.ClickException(str(error)) from error

    def _load(self) -> None:
        # they add their commands
        from . import clients, consents, doctor, importing, maintenance, registration, simulate, users  # noqa: F401


oauth2 = Commands("oauth2", help="Clients, tokens and routes of the OAuth 2 provider.")
