"""``flask oauth2 …``: clients are registered, shown, changed and taken away; what has expired is taken away; the
endpoints are listed. A secret is shown once, by the command that made it, and nothing shows what is kept of it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click
import flask
from flask.cli import AppGroup

from . import endpoints
from .clients import rules
from .clients.rules import InvalidMetadata
from .clients.secret import hash_secret
from .errors import ConfigurationError, OAuth2Error
from .records import Client
from .stores.base import ListingStore

if TYPE_CHECKING:
    from .server import Server

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = {
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

_SPECIFICATIONS = {
    "authorize": "RFC 6749 section 3.1",
    "consent": "RFC 6749 section 4.1.1",
    **{endpoint.name: endpoint.specification for endpoint in (*endpoints.ENDPOINTS, *endpoints.WELL_KNOWN)},
}

_PAGES = {page.replace("_", "-"): page for page in rules.PAGES}


class Commands(AppGroup):
    """A group that says in one sentence what went wrong."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except InvalidMetadata as error:
            option = _OPTIONS.get(error.field) or "--" + error.field.replace("_", "-")
            raise click.BadParameter(error.reason, param_hint=option) from error
        except (ConfigurationError, OAuth2Error) as error:
            raise click.ClickException(str(error)) from error


oauth2 = Commands("oauth2", help="Clients, tokens and routes of the OAuth 2 provider.")


@oauth2.group("client")
def client_commands() -> None:
    """Who may ask for tokens."""


def client_options(command: Command) -> Command:
    """The options that say what a client is, each None or empty where it is not given."""
    for option in reversed(
        [
            click.option("--redirect-uri", "redirect_uris", multiple=True, metavar="URI", help="Repeatable, exact."),
            click.option("--scope", multiple=True, metavar="WORDS", help='What it may ask for: "a b", or repeated.'),
            click.option("--grant-type", "grant_types", multiple=True, help="Repeatable."),
            click.option("--response-type", "response_types", multiple=True, help="Default: those of the grant types."),
            click.option("--auth-method", help="How it authenticates.  [default: client_secret_basic]"),
            click.option("--public", is_flag=True, help="It keeps no secret: --auth-method none."),
            click.option("--native/--web", "native", default=None, help="What kind of application.  [default: web]"),
            click.option("--token-format", help="Of its access tokens, in place of OAUTH2_ACCESS_TOKEN_FORMAT."),
            click.option("--pkce/--no-pkce", "pkce_required", default=None, help="In place of OAUTH2_PKCE_REQUIRED."),
            click.option("--resource-server/--no-resource-server", default=None, help="It may introspect all tokens."),
            *(click.option(f"--{option}", metavar="URL") for option in _PAGES),
            click.option("--secret", "chosen", is_flag=True, help="Ask for a secret in place of making one."),
            json_option,
        ]
    ):
        command = option(command)
    return command


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, with the names of RFC 7591.")


@client_commands.command("create")
@click.argument("name")
@click.option("--client-id", metavar="ID", help="An id of your own choice.")
@client_options
def create(name: str, client_id: str | None, chosen: bool, as_json: bool, **given: Any) -> None:
    """Register a client and print its id and its secret.

    With a redirect URI its users sign in (authorization_code, refresh_token); without one it acts for itself
    (client_credentials).
    """
    server = _server()
    client_id = rules.new_client_id() if client_id is None else client_id
    blank = Client(client_id=client_id, name=name, grant_types=(), response_types=(), created_at=int(server.clock()))
    if server.store.get_client(client_id) is not None:
        raise click.ClickException(f"there is a client {client_id!r} already: take another id, or change it by update")
    if server.store.revoked(client_id):
        days = -(-server.settings.longest_lifetime // 86400)
        raise click.ClickException(
            f"{client_id!r} was the id of a client that was deleted, and all its tokens with it: take another id, or "
            f"run flask oauth2 purge {days} days after the deletion, which frees it"
        )
    client = _changed(blank, server, given)
    if not client.grant_types and not client.resource_server:
        client = _with_default_grants(client, server)
    _keep(server, client, chosen, as_json)


@client_commands.command("list")
@json_option
def list_clients(as_json: bool) -> None:
    """List the clients, the oldest first."""
    store = _server().store
    if not isinstance(store, ListingStore):
        raise click.ClickException("this store cannot list its clients: show them one by one by their id")
    described = [_describe(client) for client in store.list_clients()]
    if as_json:
        _print_json(described)
    elif described:
        columns = ("client_id", "client_name", "token_endpoint_auth_method", "grant_types", "scope")
        _print_table([columns, *([_text(entry[name]) for name in columns] for entry in described)])
    else:
        click.echo("There are no clients yet: flask oauth2 client create", err=True)


@client_commands.command("show")
@click.argument("client_id")
@json_option
def show(client_id: str, as_json: bool) -> None:
    """Show a client."""
    _print_client(_describe(_find(_server(), client_id)), as_json)


@client_commands.command("update")
@click.argument("client_id")
@click.option("--name")
@client_options
@click.option("--clear", multiple=True, type=click.Choice([*_EMPTY, *_PAGES]), help="Take away; repeatable.")
def update(client_id: str, chosen: bool, clear: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Change a client: what is given replaces what was there, all else stays."""
    server = _server()
    _keep(server, _changed(_find(server, client_id), server, given, clear), chosen, as_json)


@client_commands.command("rotate-secret")
@click.argument("client_id")
@click.option("--secret", "chosen", is_flag=True, help="Ask for a secret in place of making one.")
@json_option
def rotate_secret(client_id: str, chosen: bool, as_json: bool) -> None:
    """Give a client a new secret. The old one ends at once; tokens stay."""
    server = _server()
    client = _find(server, client_id)
    if client.auth_method not in rules.SECRET_METHODS:
        raise click.ClickException(f"client {client_id!r} has no secret: it authenticates by {client.auth_method}")
    _keep(server, replace(client, secret=None), chosen, as_json)


@client_commands.command("delete")
@click.argument("client_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(client_id: str, yes: bool) -> None:
    """Take a client away, and all its codes and tokens with it."""
    server = _server()
    client = _find(server, client_id)
    if not yes:
        click.confirm(f"Delete {_printable(client.name or client_id)!r} and end all its tokens?", abort=True)
    server.store.delete_client(client_id, int(server.clock()) + server.settings.longest_lifetime + 1)
    click.echo(f"{_printable(client_id)} is deleted, and its tokens have ended.")


@oauth2.command("purge")
@json_option
def purge(as_json: bool) -> None:
    """Take away what has expired, in small batches, while the application runs."""
    server = _server()
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
        _print_json({"purged": taken})
    else:
        click.echo(f"{taken} expired {'row' if taken == 1 else 'rows'} taken away.")


@oauth2.command("routes")
@json_option
def routes(as_json: bool) -> None:
    """List the endpoints and the specification that each answers to."""
    app = flask.current_app
    blueprint = app.extensions["flask_oauth2"].blueprint.name
    rows = [
        {
            "endpoint": rule.endpoint,
            "methods": sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}),
            "path": rule.rule,
            "specification": _SPECIFICATIONS.get(rule.endpoint.removeprefix(f"{blueprint}."), ""),
        }
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith(f"{blueprint}.") and not rule.endpoint.endswith(".static")
    ]
    issuer = app.config.get("OAUTH2_ISSUER")
    if as_json:
        _print_json({"issuer": issuer, "routes": rows})
        return
    _print_table([tuple(rows[0]), *([_text(value) for value in row.values()] for row in rows)])
    click.echo(f"\nIssuer: {issuer or 'not set: give OAUTH2_ISSUER the public URL of this application'}")


def _server() -> Server:
    try:
        server: Server = flask.current_app.extensions["flask_oauth2"].provider.server
    except OSError as error:
        raise click.ClickException(f"the store cannot be opened: {error}") from error
    return server


def _find(server: Server, client_id: str) -> Client:
    client = server.store.get_client(client_id)
    if client is None:
        raise click.ClickException(f"there is no client {client_id!r}: flask oauth2 client list names those there are")
    return client


def _changed(client: Client, server: Server, given: dict[str, Any], clear: Sequence[str] = ()) -> Client:
    """The client as the options say; what no option names stays."""
    changes = {name: given[name] for name in _FIELDS if given.get(name) not in (None, ())}
    if given["scope"]:
        changes["scope"] = tuple(dict.fromkeys(" ".join(given["scope"]).split()))
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
        field, empty = _EMPTY.get(option, (_PAGES.get(option, ""), None))
        if field in changes or field in pages:
            raise click.UsageError(f"--clear {option} contradicts the --{option} beside it")
        if option in _PAGES:
            pages[field] = None
        else:
            changes[field] = empty
    metadata = {name: value for name, value in {**client.metadata, **pages}.items() if value is not None}
    return replace(client, **changes, metadata=metadata)


def _with_default_grants(client: Client, server: Server) -> Client:
    if client.redirect_uris:
        wanted: tuple[str, ...] = ("authorization_code", "refresh_token")
    else:
        wanted = () if client.is_public else ("client_credentials",)
    if not wanted:
        raise click.UsageError("a public client acts for users only: give it a --redirect-uri, or name a --grant-type")
    grant_types = tuple(name for name in wanted if name in server.grant_type_names)
    response_types = client.response_types or rules.default_response_types(grant_types, server)
    return replace(client, grant_types=grant_types, response_types=response_types)


def _keep(server: Server, client: Client, chosen: bool, as_json: bool) -> None:
    """Give the client the secret that it lacks, file it, and print it with the secret that was made."""
    made = None
    if client.is_public:
        if chosen:
            raise click.UsageError("a public client has no secret: leave --secret out")
        client = replace(client, secret=None)
    elif chosen:
        secret = click.prompt("Secret", hide_input=True, confirmation_prompt=True, err=True)
        rules.check_secret(secret)
        client = replace(client, secret=hash_secret(secret))
    elif client.auth_method in rules.SECRET_METHODS and client.secret is None:
        made = rules.new_secret(server.settings, server.clock())
        client = replace(client, secret=hash_secret(made))
    rules.check(client, server)
    server.store.set_client(client)
    _print_client(_describe(client) | ({"client_secret": made} if made else {}), as_json)
    if made:
        click.echo("\nKeep the secret now: it is not shown again, and only a hash of it is kept here.", err=True)


def _describe(client: Client) -> dict[str, Any]:
    """A client by the names of :rfc:`7591#section-3.2.1`, without what is kept of its secret."""
    return {
        "client_id": client.client_id,
        "client_id_issued_at": client.created_at,
        "client_name": client.name,
        "application_type": client.application_type,
        "token_endpoint_auth_method": client.auth_method,
        "redirect_uris": list(client.redirect_uris),
        "grant_types": list(client.grant_types),
        "response_types": list(client.response_types),
        "scope": " ".join(client.scope),
        "token_format": client.token_format,
        "pkce_required": client.pkce_required,
        "resource_server": client.resource_server,
        **client.metadata,
    }


def _print_client(described: dict[str, Any], as_json: bool) -> None:
    if as_json:
        _print_json(described)
    else:
        issued_at = datetime.fromtimestamp(described["client_id_issued_at"], UTC)
        shown = {**described, "client_id_issued_at": f"{issued_at:%Y-%m-%d %H:%M} UTC"}
        _print_table([(name, _text(value)) for name, value in shown.items() if value not in (None, "", [])])


def _print_json(content: object) -> None:
    click.echo(json.dumps(content, indent=2))


def _print_table(rows: Iterable[Sequence[str]]) -> None:
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _printable(" ".join(value) if isinstance(value, list) else str(value))


def _printable(text: str) -> str:
    """Without what a terminal would take as a command: names may come from elsewhere."""
    return "".join(character if character.isprintable() else "?" for character in text)
