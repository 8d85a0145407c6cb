"""What the registered clients may do. Rows may be older than the rules, or written by somebody else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from .. import uris
from ..clients import rules
from ..records import Client
from ..stores.base import collect
from ..urls import LOOPBACK_HOSTS
from .base import Examined, Finding, error, note, several, warning

_MANY = 1000
"""Clients that never got a token: more than people register in a week."""


def listed(examined: Examined) -> Iterator[Finding]:
    """Whether they can be looked at."""
    if examined.server.callbacks.clientgetter is not None:
        yield note(
            "the clients are the application's own, by its clientgetter: nobody has looked at them",
            cure="give flask_oauth2.clients.rules.check one after the other, in a test of your own",
        )
    elif examined.store is not None and collect(examined.store).listing is None:
        yield note("this store cannot list its clients: nobody has looked at them")


def redirect_uris(examined: Examined) -> Iterator[Finding]:
    """Where codes go, :rfc:`9700#section-2.1`."""
    found: dict[tuple[Callable[..., Finding], str, str], list[str]] = defaultdict(list)
    for client in _clients(examined):
        for uri in client.redirect_uris:
            for said, fault, rule in find_risks(uri, client):
                found[said, fault, rule].append(f"{client.client_id} ({uri})")
    for (said, fault, rule), of in found.items():
        yield said(
            f"a redirect URI {fault}: {several(of)}",
            rule,
            "flask oauth2 client update ID --redirect-uri URI, with the option once for each URI that stays registered",
        )


Risk = tuple[Callable[..., Finding], str, str]


def find_risks(uri: str, client: Client) -> Iterator[Risk]:
    """What may go wrong with what is sent to a URI: how bad, what, and by which rule."""
    if not uris.is_harmless(uri.replace("*", "x").partition("#")[0]):
        yield error, "runs in this site's name, or is none", "rfc9700 4.11"
        return
    parts = urlsplit(uri)
    host = parts.hostname or ""
    if "*" in uri:
        yield error, "has a wildcard, behind which somebody else may be", "rfc9700 2.1"
    if "#" in uri:
        yield error, "has a fragment, behind which the answer is lost", "rfc6749 3.1.2"
    if parts.scheme not in ("http", "https"):
        if "." not in parts.scheme:
            yield warning, "has a private-use scheme that is no reversed domain, which any app may take", "rfc8252 7.1"
        if not client.is_public and client.registered_by not in ("open", "token"):  # each copy of which has its own
            yield warning, "leads to an app, whose secret everybody has who has the app", "rfc8252 8.5"
        return
    if host in LOOPBACK_HOSTS or host.endswith(".localhost") or host.startswith("127."):
        if not client.is_public and client.application_type == "web":
            yield warning, "of a client that keeps a secret leads to the machine of whoever signs in", "rfc8252 8.3"
        return
    if parts.scheme == "http":
        yield error, "is http, where others read the code", "rfc9700 2.6"
    if _is_address(host):
        yield warning, "names an address, which may be somebody else's tomorrow", "rfc9700 4.1"


def grants(examined: Examined) -> Iterator[Finding]:
    """Clients that use what :rfc:`9700` advises against."""
    offered = examined.server.capabilities.grant_types
    for name, rule in (("implicit", "rfc9700 2.1.2"), ("password", "rfc9700 2.4")):
        of = [client.client_id for client in _clients(examined) if name in client.grant_types]
        if of and name in offered:
            yield warning(
                f"{_count(of)} the grant {name}: {several(of)}",
                rule,
                "let them use authorization_code with PKCE, then flask oauth2 client update ID --grant-type …",
            )


def pkce(examined: Examined) -> Iterator[Finding]:
    """:rfc:`9700#section-2.1.1`."""
    without = [client for client in _clients(examined) if client.pkce_required is False]
    public = [client.client_id for client in without if not client.is_confidential]
    others = [client.client_id for client in without if client.is_confidential]
    if public:
        yield error(
            f"public or native clients that are let off PKCE, which they are asked for anyway: {several(public)}",
            "rfc9700 2.1.1",
            "flask oauth2 client update ID --pkce",
        )
    if others:
        yield note(
            f"clients with a secret that need not use PKCE: {several(others)}",
            "rfc9700 2.1.1",
            "flask oauth2 client update ID --pkce, when they know it",
        )


def metadata(examined: Examined) -> Iterator[Finding]:
    """All that a client may not be now, by the rules of registration."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for client in _clients(examined):
        for rule in rules.rules():
            try:
                rule(client, examined.server)
            except rules.InvalidMetadata as fault:
                if fault.field not in ("redirect_uris", "pkce_required"):  # of which more is said here
                    found[fault.field, fault.reason].append(client.client_id)
    for (field, reason), of in found.items():
        yield warning(
            f"{several(of)} could not be registered now: {field} {reason}", "rfc7591 2", "flask oauth2 client update ID"
        )


def names(examined: Examined) -> Iterator[Finding]:
    """By what people decide, :rfc:`7591#section-5`."""
    seen = [client for client in _clients(examined) if client.redirect_uris]
    nameless = [client.client_id for client in seen if not client.name]
    if nameless:
        yield warning(
            f"people are asked to trust a client without a name: {several(nameless)}",
            "rfc7591 2",
            "flask oauth2 client update ID --name …",
        )
    unknown = [
        client.client_id for client in seen if not client.metadata.get("client_uri") and not client.is_unverified
    ]
    if unknown:
        yield note(
            f"people cannot look up who is behind {several(unknown)}",
            "rfc7591 2",
            "flask oauth2 client update ID --client-uri …",
        )


def unused(examined: Examined) -> Iterator[Finding]:
    """Those that registered themselves and never got a token."""
    now, never = examined.now, [client for client in _clients(examined) if client.expires_at is not None]
    over = [client.client_id for client in never if client.expires_at is not None and client.expires_at <= now]
    if len(over) > _MANY:
        yield warning(
            f"{len(over)} clients registered themselves, never got a token, and should be gone",
            "rfc7591 5",
            "run flask oauth2 purge once a day",
        )
    elif len(never) > _MANY:
        yield warning(
            f"{len(never)} clients registered themselves lately and have got no token",
            "rfc7591 5",
            "lower OAUTH2_REGISTRATIONS_PER_HOUR and OAUTH2_UNUSED_CLIENT_LIFETIME",
        )


def _clients(examined: Examined) -> Iterable[Client]:
    if examined.store is None or examined.server.callbacks.clientgetter is not None:
        return ()
    if examined.clients is None:
        listing = collect(examined.store).listing
        examined.clients = list(listing.list_clients()) if listing else []
    return examined.clients


def _count(of: list[str]) -> str:
    return "1 client uses" if len(of) == 1 else f"{len(of)} clients use"


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
