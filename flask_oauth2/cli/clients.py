"""``flask oauth2 client …``: register, show, change and delete clients.

Only the command that generates a secret shows it. No command shows its hash.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
from blinker import NamedSignal
from flask.cli import AppGroup

from .. import signals
from ..clients import metadata, registration, rules
from ..clients.deletion import delete_client
from ..clients.metadata import Member, Party
from ..clients.secrets import check_secret, generate_secret, hash_secret
from ..clients.value_types import Time
from ..records import Client
from ..server import AuthorizationServer
from . import oauth2
from .base import find_server, json_option, one_line, print_json, print_table

Command = TypeVar("Command", bound=Callable[..., Any])

OPTIONS = {
    **{member.name: member.option_name.partition("/")[0] for member in metadata.settable_by(Party.OPERATOR)},
    "client_name": "NAME",
    "pkce_required": "--no-pkce",
    "client_secret": "--secret",
}
"""The option of each member, for error messages."""


client_group = AppGroup("client", help="Manage clients.")
oauth2.add_command(client_group)


secret_options = (
    click.option("--secret", "chosen", is_flag=True, help="Ask for a secret instead of generating one."),
    click.option(
        "--secret-file",
        type=click.File("r", encoding="utf-8"),
        metavar="FILE",
        help="Read a known secret from a file, for scripts; - reads standard input.",
    ),
)


def client_options(command: Command) -> Command:
    """Add an option for each member that the operator may set. An option that is not given is None or empty."""
    members = [member for member in metadata.settable_by(Party.OPERATOR) if member.name != "client_name"]
    public = click.option("--public", is_flag=True, help="A client without a secret: --auth-method none.")
    for option in reversed([*map(_member_option, members), public, *secret_options, json_option]):
        command = option(command)
    return command


def _member_option(member: Member) -> Callable[[Command], Command]:
    """Return the option of a member."""
    if member.type.is_flag:
        return click.option(member.option_name, member.name, default=None, help=member.description)
    return click.option(
        member.option_name,
        member.name,
        multiple=member.type.is_list,
        metavar=member.metavar or member.type.metavar,
        type=click.File("r", encoding="utf-8") if member.type.is_file else None,
        help=member.description,
    )


def _clearable() -> dict[str, Member]:
    """Return the members that ``--clear`` empties, by their option without hyphens."""
    members = [member for member in metadata.settable_by(Party.OPERATOR) if member.is_clearable]
    return {member.option_name.partition("/")[0].removeprefix("--"): member for member in members}


@client_group.command("create")
@click.argument("name")
@click.option("--client-id", metavar="ID", help="Use this client_id instead of a generated one.")
@client_options
def create(name: str, client_id: str | None, as_json: bool, **given: Any) -> None:
    """Register a client and print its client_id and its secret.

    A client with a redirect URI uses authorization_code and refresh_token; one without uses client_credentials.
    """
    server = _find_server_of_clients()
    client_id = rules.new_client_id() if client_id is None else client_id
    rules.check_client_id(client_id)
    blank = Client(client_id=client_id, name=name, grant_types=(), response_types=(), created_at=int(server.clock()))
    if server.store.get_client(client_id) is not None:
        raise click.ClickException(f"client {client_id!r} exists already: choose another id, or change it with update")
    if server.store.revoked(client_id):
        days = -(-server.longest_lifetime // 86400)
        raise click.ClickException(
            f"{client_id!r} was the id of a deleted client, and its tokens stay revoked: choose another id, or run "
            f"flask oauth2 purge {days} days after the deletion, which frees it"
        )
    if (given["jwks"] or given["jwks_uri"]) and not given["public"]:
        given["token_endpoint_auth_method"] = given["token_endpoint_auth_method"] or "private_key_jwt"
    client = _change(blank, server, given)
    if not client.grant_types:
        client = _with_default_grants(client, server)
    _save(server, client, signals.client_created, given, as_json)


@client_group.command("list")
@json_option
def list_clients(as_json: bool) -> None:
    """List the clients, oldest first."""
    store = _find_server_of_clients().stores.listing
    if store is None:
        raise click.ClickException("this store cannot list its clients: show each with its id")
    described = [metadata.describe_all(client) for client in store.list_clients()]
    if as_json:
        print_json(described)
    elif described:
        columns = [
            member.name
            for member in metadata.MEMBERS
            if member.column == "always" or (member.column and any(entry.get(member.name) for entry in described))
        ]
        shown = (entry | _times(entry) for entry in described)
        print_table([columns, *([entry.get(name) or "" for name in columns] for entry in shown)])
    else:
        click.echo("There are no clients yet. Register one with flask oauth2 client create.", err=True)


@client_group.command("show")
@click.argument("client_id")
@json_option
def show(client_id: str, as_json: bool) -> None:
    """Show a client."""
    _print_client(metadata.describe_all(_find(find_server(), client_id)), as_json)


@client_group.command("update", short_help="Change a client.")
@click.argument("client_id")
@click.option("--name", "client_name", help="Name that users see.")
@client_options
@click.option("--clear", multiple=True, type=click.Choice(list(_clearable())), help="Empty an option; repeatable.")
def update(client_id: str, clear: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Change a client. Options replace its values; all other values stay."""
    server = _find_server_of_clients()
    before = _find(server, client_id)
    client = registration.deny_removed(_change(before, server, given, clear), before)
    _save(server, client, signals.client_updated, given, as_json)


@client_group.command("rotate-secret")
@click.argument("client_id")
@secret_options[0]
@secret_options[1]
@json_option
def rotate_secret(client_id: str, as_json: bool, **given: Any) -> None:
    """Give a client a new secret. The old one stops working at once; tokens stay valid."""
    server = _find_server_of_clients()
    client = _find(server, client_id)
    if not rules.needs_secret(client, server):
        raise click.ClickException(f"client {client_id!r} has no secret: it authenticates with {client.auth_method}")
    _save(server, replace(client, secret=None), signals.secret_rotated, given, as_json)


@client_group.command("delete")
@click.argument("client_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(client_id: str, yes: bool) -> None:
    """Delete a client and revoke everything issued to it."""
    server = _find_server_of_clients()
    client = _find(server, client_id)
    if not yes:
        click.confirm(f"Delete {one_line(client.name or client_id)!r} and revoke all its tokens?", abort=True)
    delete_client(server, client)
    click.echo(f"{one_line(client_id)} is deleted, and its tokens are revoked.")


def _find_server_of_clients() -> AuthorizationServer:
    server = find_server()
    if server.callbacks.clientgetter is not None:
        raise click.ClickException("the application stores its clients itself: look where its clientgetter finds them")
    return server


def _find(server: AuthorizationServer, client_id: str) -> Client:
    client = server.store.get_client(client_id) if client_id.isprintable() else None
    if client is None:
        raise click.ClickException(f"there is no client {client_id!r}: flask oauth2 client list shows all clients")
    return client


def _change(client: Client, server: AuthorizationServer, given: dict[str, Any], clear: Sequence[str] = ()) -> Client:
    """Return the client with the values of the options. All other values stay."""
    values = {
        member.name: member.type.parse_option(given[member.name])
        for member in metadata.settable_by(Party.OPERATOR)
        if given.get(member.name) not in (None, ())
    }
    if given["public"]:
        if values.get("token_endpoint_auth_method", "none") != "none":
            raise click.UsageError("--public means --auth-method none: give one of the two")
        values["token_endpoint_auth_method"] = "none"
    if "grant_types" in values and "response_types" not in values:
        values["response_types"] = rules.default_response_types(tuple(values["grant_types"]), server)
    clearable = _clearable()
    for option in clear:
        name = clearable[option].name
        if name in values:
            raise click.UsageError(f"--clear {option} contradicts --{option}: give one of the two")
        values[name] = None
    return metadata.assign(client, [member for member in metadata.MEMBERS if member.name in values], values)


def _with_default_grants(client: Client, server: AuthorizationServer) -> Client:
    wanted: tuple[str, ...] = ()
    if client.redirect_uris:
        wanted = ("authorization_code", "refresh_token")
    elif client.is_public:
        raise click.UsageError("a public client acts for users only: give it a --redirect-uri or a --grant-type")
    elif not client.resource_server:
        wanted = ("client_credentials",)
    grant_types = tuple(name for name in wanted if name in server.capabilities.grant_types)
    response_types = client.response_types or rules.default_response_types(grant_types, server)
    return replace(client, grant_types=grant_types, response_types=response_types)


def _save(
    server: AuthorizationServer, client: Client, signal: NamedSignal, given: dict[str, Any], as_json: bool
) -> None:
    """Save the client with the secret that it needs, and print it with the generated secret."""
    generated = None
    is_chosen = given["chosen"] or given["secret_file"] is not None
    if client.is_public:
        if is_chosen:
            raise click.UsageError("a public client has no secret: remove --secret and --secret-file")
        client = replace(client, secret=None)
    elif client.auth_method in rules.key_methods(server):
        if is_chosen:
            raise click.UsageError(f"a client with {client.auth_method} has no secret: remove --secret")
        client = replace(client, secret=None)
    elif is_chosen:
        secret = _read_secret(given)
        check_secret(secret)
        client = replace(client, secret=hash_secret(secret))
    elif rules.needs_secret(client, server) and client.secret is None:
        generated, stored = generate_secret(server, server.clock())
        client = replace(client, secret=stored)
    client = replace(client, expires_at=None)  # a client that the operator saves stays, used or not
    rules.check(client, server)
    server.store.set_client(client)
    details = {} if signal is signals.secret_rotated else {"registered_by": client.registered_by}
    server.events.emit(signal, client_id=client.client_id, **details)
    _print_client(metadata.describe_all(client) | ({"client_secret": generated} if generated else {}), as_json)
    if generated:
        click.echo("\nSave the secret now: it is not shown again, and the server stores only its hash.", err=True)


def _read_secret(given: dict[str, Any]) -> str:
    """Read a known secret from a file, or ask for one."""
    if given["secret_file"] is None:
        return str(click.prompt("Secret", hide_input=True, confirmation_prompt=True, err=True))
    if given["chosen"]:
        raise click.UsageError("--secret asks for a secret and --secret-file reads one: give one of the two")
    try:
        return str(given["secret_file"].read()).rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.UsageError("the file of --secret-file is not text in UTF-8") from None


def _times(described: dict[str, Any]) -> dict[str, str]:
    """Return the times among the members as dates."""
    names = [member.name for member in metadata.MEMBERS if isinstance(member.type, Time)]
    times = {name: described[name] for name in names if described.get(name) is not None}
    return {name: f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M} UTC" for name, time in times.items()}


def _print_client(described: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(described)
    else:
        shown = described | _times(described)
        print_table([(name, value) for name, value in shown.items() if value not in (None, "", [])])
