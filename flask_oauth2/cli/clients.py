"""``flask oauth2 client …``: register, show, change and take away clients.

A secret is shown once, by the command that made it; nothing shows what is kept of it.
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
from ..clients import registration, rules
from ..clients.deletion import delete_client
from ..clients.secrets import check_secret, generate_secret, hash_secret
from ..records import Client
from ..server import AuthorizationServer
from ..settings import full_grant_type
from . import oauth2
from .base import find_server, json_option, one_line, print_json, print_table

Command = TypeVar("Command", bound=Callable[..., Any])

OPTIONS = {
    "client_name": "NAME",
    "grant_types": "--grant-type",
    "pkce_required": "--no-pkce",
    "redirect_uris": "--redirect-uri",
    "response_types": "--response-type",
    "token_endpoint_auth_method": "--auth-method",
    "application_type": "--native",
    "client_secret": "--secret",
}
"""Where the option has not the name of its field."""

_FIELDS = (
    "name",
    "redirect_uris",
    "grant_types",
    "response_types",
    "auth_method",
    "token_format",
    "pkce_required",
    "resource_server",
)
"""The attributes of a client that an option gives as they are."""

_EMPTY: dict[str, tuple[str, Any]] = {
    "pkce": ("pkce_required", None),
    "redirect-uri": ("redirect_uris", ()),
    "scope": ("scope", ()),
    "token-format": ("token_format", None),
}
"""What ``--clear`` empties, beside the pages."""

_PAGES = {
    "client-uri": "Its home page, for users to follow.",
    "logo-uri": "Its logo, for users to see.",
    "policy-uri": "Its privacy policy, for users to read.",
    "tos-uri": "Its terms of service, for users to read.",
}
"""The options that name a page, which is metadata of the same name."""


client_group = AppGroup("client", help="Who may ask for tokens.")
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
    """The options that say what a client is, each None or empty where it is not given."""
    for option in reversed(
        [
            click.option(
                "--redirect-uri",
                "redirect_uris",
                multiple=True,
                metavar="URI",
                help="Where answers go, in full; repeatable.",
            ),
            click.option("--scope", multiple=True, metavar="WORDS", help='What it may ask for: "a b", or repeated.'),
            click.option(
                "--grant-type",
                "grant_types",
                multiple=True,
                help="How it gets tokens, such as device_code; repeatable.",
            ),
            click.option("--response-type", "response_types", multiple=True, help="Default: those of the grant types."),
            click.option("--auth-method", help="client_secret_basic (at first), client_secret_post or none."),
            click.option("--public", is_flag=True, help="It keeps no secret: --auth-method none."),
            click.option("--native/--web", "native", default=None, help="What kind of application: at first web."),
            click.option("--token-format", help="opaque or signed, in place of OAUTH2_ACCESS_TOKEN_FORMAT."),
            click.option("--pkce/--no-pkce", "pkce_required", default=None, help="In place of OAUTH2_PKCE_REQUIRED."),
            click.option("--resource-server/--no-resource-server", default=None, help="It may introspect all tokens."),
            *(click.option(f"--{option}", metavar="URL", help=purpose) for option, purpose in _PAGES.items()),
            *secret_options,
            json_option,
        ]
    ):
        command = option(command)
    return command


@client_group.command("create")
@click.argument("name")
@click.option("--client-id", metavar="ID", help="An id of your own choice.")
@client_options
def create(name: str, client_id: str | None, as_json: bool, **given: Any) -> None:
    """Register a client and print its id and its secret.

    With a redirect URI its users sign in (authorization_code, refresh_token); without one it acts for itself
    (client_credentials).
    """
    server = _find_server_of_clients()
    client_id = rules.new_client_id() if client_id is None else client_id
    rules.check_client_id(client_id)
    blank = Client(client_id=client_id, name=name, grant_types=(), response_types=(), created_at=int(server.clock()))
    if server.store.get_client(client_id) is not None:
        raise click.ClickException(f"there is a client {client_id!r} already: take another id, or change it by update")
    if server.store.revoked(client_id):
        days = -(-server.longest_lifetime // 86400)
        raise click.ClickException(
            f"{client_id!r} was the id of a client that was deleted, and all its tokens with it: take another id, or "
            f"run flask oauth2 purge {days} days after the deletion, which frees it"
        )
    client = _changed(blank, server, given)
    if not client.grant_types:
        client = _with_default_grants(client, server)
    _keep(server, client, signals.client_created, given, as_json)


@client_group.command("list")
@json_option
def list_clients(as_json: bool) -> None:
    """List the clients, the oldest first."""
    store = _find_server_of_clients().stores.listing
    if store is None:
        raise click.ClickException("this store cannot list its clients: show them one by one by their id")
    described = [_describe(client) for client in store.list_clients()]
    if as_json:
        print_json(described)
    elif described:
        columns = ["client_id", "client_name", "token_endpoint_auth_method", "grant_types", "scope"]
        columns += [name for name in ("registered_by", "expires_at") if any(entry[name] for entry in described)]
        shown = (entry | _times(entry) for entry in described)
        print_table([columns, *([entry[name] or "" for name in columns] for entry in shown)])
    else:
        click.echo("There are no clients yet: flask oauth2 client create", err=True)


@client_group.command("show")
@click.argument("client_id")
@json_option
def show(client_id: str, as_json: bool) -> None:
    """Show a client."""
    _print_client(_describe(_find(find_server(), client_id)), as_json)


@client_group.command("update", short_help="Change a client.")
@click.argument("client_id")
@click.option("--name", help="What users know it by.")
@client_options
@click.option("--clear", multiple=True, type=click.Choice([*_EMPTY, *_PAGES]), help="Take away; repeatable.")
def update(client_id: str, clear: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Change a client: what is given replaces what was there, all else stays."""
    server = _find_server_of_clients()
    before = _find(server, client_id)
    client = registration.withhold(_changed(before, server, given, clear), before)
    _keep(server, client, signals.client_updated, given, as_json)


@client_group.command("rotate-secret")
@click.argument("client_id")
@secret_options[0]
@secret_options[1]
@json_option
def rotate_secret(client_id: str, as_json: bool, **given: Any) -> None:
    """Give a client a new secret. The old one ends at once; tokens stay."""
    server = _find_server_of_clients()
    client = _find(server, client_id)
    if not rules.needs_secret(client, server):
        raise click.ClickException(f"client {client_id!r} has no secret: it authenticates by {client.auth_method}")
    _keep(server, replace(client, secret=None), signals.secret_rotated, given, as_json)


@client_group.command("delete")
@click.argument("client_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(client_id: str, yes: bool) -> None:
    """Take a client away, and all its codes and tokens with it."""
    server = _find_server_of_clients()
    client = _find(server, client_id)
    if not yes:
        click.confirm(f"Delete {one_line(client.name or client_id)!r} and end all its tokens?", abort=True)
    delete_client(server, client)
    click.echo(f"{one_line(client_id)} is deleted, and its tokens have ended.")


def _find_server_of_clients() -> AuthorizationServer:
    server = find_server()
    if server.callbacks.clientgetter is not None:
        raise click.ClickException("the application keeps its clients itself: look where its clientgetter finds them")
    return server


def _find(server: AuthorizationServer, client_id: str) -> Client:
    client = server.store.get_client(client_id) if client_id.isprintable() else None
    if client is None:
        raise click.ClickException(f"there is no client {client_id!r}: flask oauth2 client list names those there are")
    return client


def _changed(client: Client, server: AuthorizationServer, given: dict[str, Any], clear: Sequence[str] = ()) -> Client:
    """The client as the options say; what no option names stays."""
    changes = {name: given[name] for name in _FIELDS if given.get(name) not in (None, ())}
    if given["scope"]:
        changes["scope"] = tuple(dict.fromkeys(" ".join(given["scope"]).split()))
    if "grant_types" in changes:
        changes["grant_types"] = tuple(dict.fromkeys(map(full_grant_type, changes["grant_types"])))
    if given["native"] is not None:
        changes["application_type"] = "native" if given["native"] else "web"
    if given["public"]:
        if changes.get("auth_method", "none") != "none":
            raise click.UsageError("--public says --auth-method none: give one of the two")
        changes["auth_method"] = "none"
    if "grant_types" in changes and "response_types" not in changes:
        changes["response_types"] = rules.default_response_types(changes["grant_types"], server)
    pages = {page: given[page] for page in rules.PAGES if given[page] is not None}
    for option in clear:
        field, empty = _EMPTY.get(option, (option.replace("-", "_"), None))
        if field in changes or field in pages:
            raise click.UsageError(f"--clear {option} contradicts the --{option} beside it")
        if option in _PAGES:
            pages[field] = None
        else:
            changes[field] = empty
    metadata = {name: value for name, value in {**client.metadata, **pages}.items() if value is not None}
    return replace(client, **changes, metadata=metadata)


def _with_default_grants(client: Client, server: AuthorizationServer) -> Client:
    wanted: tuple[str, ...] = ()
    if client.redirect_uris:
        wanted = ("authorization_code", "refresh_token")
    elif client.is_public:
        raise click.UsageError("a public client acts for users only: give it a --redirect-uri, or name a --grant-type")
    elif not client.resource_server:
        wanted = ("client_credentials",)
    grant_types = tuple(name for name in wanted if name in server.capabilities.grant_types)
    response_types = client.response_types or rules.default_response_types(grant_types, server)
    return replace(client, grant_types=grant_types, response_types=response_types)


def _keep(
    server: AuthorizationServer, client: Client, signal: NamedSignal, given: dict[str, Any], as_json: bool
) -> None:
    """Give the client the secret that it lacks, save it, and print it with the generated secret."""
    made = None
    is_chosen = given["chosen"] or given["secret_file"] is not None
    if client.is_public:
        if is_chosen:
            raise click.UsageError("a public client has no secret: leave --secret and --secret-file out")
        client = replace(client, secret=None)
    elif is_chosen:
        secret = _read_secret(given)
        check_secret(secret)
        client = replace(client, secret=hash_secret(secret))
    elif rules.needs_secret(client, server) and client.secret is None:
        made, stored = generate_secret(server, server.clock())
        client = replace(client, secret=stored)
    client = replace(client, expires_at=None)  # whoever sees to it by hand wants it to stay, used or not
    rules.check(client, server)
    server.store.set_client(client)
    told = {} if signal is signals.secret_rotated else {"registered_by": client.registered_by}
    server.events.emit(signal, client_id=client.client_id, **told)
    _print_client(_describe(client) | ({"client_secret": made} if made else {}), as_json)
    if made:
        click.echo("\nKeep the secret now: it is not shown again, and only a hash of it is kept here.", err=True)


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


def _describe(client: Client) -> dict[str, Any]:
    """A client by the names of :rfc:`7591#section-3.2.1`, without what is kept of its secret."""
    return {
        **registration.describe(client),
        "client_name": client.name,
        "token_format": client.token_format,
        "pkce_required": client.pkce_required,
        "resource_server": client.resource_server,
        "registered_by": client.registered_by,
        "expires_at": client.expires_at,
        "withheld": {name: " ".join(words) for name, words in client.denied.items()} or None,
    }


def _times(described: dict[str, Any]) -> dict[str, str]:
    """Those of its members that are times, for people to read."""
    times = {name: described[name] for name in ("client_id_issued_at", "expires_at") if described[name] is not None}
    return {name: f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M} UTC" for name, time in times.items()}


def _print_client(described: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(described)
    else:
        shown = described | _times(described)
        print_table([(name, value) for name, value in shown.items() if value not in (None, "", [])])
