"""``flask oauth2 keys …``: the signing keys of an issuer, :rfc:`7517`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import IO, Any

import click
from flask.cli import AppGroup

from ..errors import ConfigurationError
from ..keys import changes, states
from ..keys.signing import StoredKeys, check_configured
from ..records import SigningKey
from ..server import AuthorizationServer
from . import oauth2
from .base import find_server, json_option, print_json, print_table

keys_group = AppGroup("keys", help="Manage signing keys.")
oauth2.add_command(keys_group)

_OWN = "OAUTH2_SIGNING_KEYS names the keys of this application, so none is stored. Change that option instead."


@keys_group.command("list", short_help="List signing keys.")
@json_option
def list_keys(as_json: bool) -> None:
    """List the signing keys, the state of each, and the progress of a rotation."""
    server = find_server()
    now = server.clock()
    if not isinstance(server.keys, StoredKeys):
        given = [{"kid": key.kid, "algorithm": key.alg} for key in server.keys.find_published(now).keys.keys]
        if as_json:
            print_json(given)
        else:
            print_table([("kid", "algorithm"), *(tuple(entry.values()) for entry in given)])
            click.echo(f"\n{_OWN}")
        return
    rows = states.keys_only(_open(server).store.list_keys())
    described = [_describe(row, now) for row in rows]
    if as_json:
        print_json(described)
        return
    if not described:
        click.echo("There are no signing keys yet. They are created on first use.")
        return
    shown = [entry | {name: _time(entry[name]) for name in _TIMES} for entry in described]
    print_table([tuple(shown[0]), *(tuple(entry.values()) for entry in shown)])
    for line in _progress(rows, now):
        click.echo(line)


@keys_group.command("rotate", short_help="Publish the next key.")
@click.option("--algorithm", metavar="NAME", help="The algorithm. Default: each that OAUTH2_SIGNING_ALGORITHMS names.")
@json_option
def rotate(algorithm: str | None, as_json: bool) -> None:
    """Publish the next key of each algorithm. It signs an hour later, when all other parties can know it."""
    server = find_server()
    keys, now = _open(server), server.clock()
    names = keys.algorithms if algorithm is None else check_configured(keys.algorithms, algorithm)
    rotated = [_describe(changes.rotate(keys, name, now), now) for name in names]
    if as_json:
        print_json(rotated)
        return
    for entry in rotated:
        click.echo(
            f"{entry['algorithm']}: key {entry['kid']} is published and signs from {_time(entry['signs_from'])}."
        )


@keys_group.command("retire", short_help="Retire a key.")
@click.argument("kid")
@click.option("--now", "at_once", is_flag=True, help="Stop signing and publishing at once, after a disclosure.")
@click.option("--yes", is_flag=True, help="Skip the confirmation.")
@json_option
def retire(kid: str, at_once: bool, yes: bool, as_json: bool) -> None:
    """Retire a key as soon as another one signs. Tokens that it has signed stay valid until they expire.

    With --now the key is removed at once, and the tokens that it has signed become invalid.
    """
    server = find_server()
    if at_once and not yes:
        click.confirm(f"Remove the key {kid}? All tokens that it has signed become invalid", abort=True, err=True)
    now = server.clock()
    done = changes.retire(_open(server), kid, now, at_once=at_once)
    if as_json:
        successor = None if done.successor is None else done.successor.id
        print_json(_describe(done.key, now) | {"successor": successor})
        return
    if at_once:
        click.echo(f"The key {kid} is removed. Workers stop using it within {states.RELOAD_AFTER} seconds.")
    else:
        until = _time(done.key.retires_at)
        click.echo(f"The key {kid} signs until {until}, and is published until {_time(done.key.expires_at)}.")
    if done.successor is not None:
        begins_at = max(done.successor.activates_at, states.starts_at(done.successor))
        click.echo(f"The key {done.successor.id} signs from {_time(begins_at)}.")
        if at_once and begins_at > now:
            click.echo(f"Nothing can be signed with {done.key.algorithm} until then.", err=True)


@keys_group.command("import", short_help="Import a private key.")
@click.argument("file", type=click.File("rb"))
@click.option(
    "--algorithm", metavar="NAME", help="The signature algorithm. Default: that of the file, or a fitting one."
)
@json_option
def import_key(file: IO[bytes], algorithm: str | None, as_json: bool) -> None:
    """Import a private key from a PEM or JWK file, or from standard input (-), as the next key of its algorithm."""
    server = find_server()
    keys, now = _open(server), server.clock()
    key = changes.read_file(file.read(), algorithm, tuple(keys.algorithms))
    entry = _describe(changes.import_key(keys, key, now), now)
    if as_json:
        print_json(entry)
    else:
        click.echo(f"{entry['algorithm']}: key {entry['kid']} is imported and signs from {_time(entry['signs_from'])}.")
        if entry["algorithm"] not in keys.algorithms:
            click.echo(f"OAUTH2_SIGNING_ALGORITHMS does not name {entry['algorithm']}, so nothing uses it.", err=True)


@keys_group.command("export", short_help="Print the keys as a JWK set.")
@click.option("--private", is_flag=True, help="Print private keys. Everyone who sees them can sign tokens.")
def export(private: bool) -> None:
    """Print the public keys as a JWK set, or the private keys with --private."""
    server = find_server()
    now = server.clock()
    if not private:
        print_json({"keys": [key.public_jwk for key in server.keys.find_published(now).keys.keys]})
        return
    keys = _open(server)
    rows = [row for row in states.keys_only(keys.read_rows(now)) if not states.is_removed(row, now)]
    click.echo("These keys are private. Everyone who sees them can sign tokens of this issuer.", err=True)
    print_json({"keys": [keys.open_key(row).jwk for row in rows]})


@keys_group.command("reencrypt", short_help="Encrypt the keys with the current SECRET_KEY.")
@json_option
def reencrypt(as_json: bool) -> None:
    """Encrypt stored keys with the current SECRET_KEY, so that SECRET_KEY_FALLBACKS no longer needs the one before."""
    count = changes.reencrypt(_open(find_server()))
    if as_json:
        print_json({"reencrypted": count})
    else:
        click.echo(f"Encrypted {count} {'key' if count == 1 else 'keys'} with the current SECRET_KEY.")


def _open(server: AuthorizationServer) -> StoredKeys:
    if not isinstance(server.keys, StoredKeys):
        raise ConfigurationError(_OWN)
    return server.keys


_TIMES = ("created_at", "signs_from", "signs_until", "published_until")


def _describe(row: SigningKey, now: float) -> dict[str, Any]:
    return {
        "kid": row.id,
        "algorithm": row.algorithm,
        "state": states.state_of(row, now),
        "created_at": row.created_at,
        "signs_from": max(row.activates_at, states.starts_at(row)),
        "signs_until": row.retires_at,
        "published_until": row.expires_at,
    }


def _progress(rows: list[SigningKey], now: float) -> list[str]:
    """Return a line for each rotation in progress."""
    lines = []
    for algorithm in sorted({row.algorithm for row in rows}):
        coming = states.find_next(rows, algorithm, now)
        if coming is not None:
            signing = states.find_signing(rows, algorithm, now)
            until = f"{signing.id} signs until then" if signing else "no key signs until then"
            lines.append(f"\n{algorithm}: {coming.id} signs from {_time(states.starts_at(coming))}; {until}.")
    return lines


def _time(time: int | None) -> str:
    return "" if time is None else f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M} UTC"
