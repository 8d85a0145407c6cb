"""Checks of the registered clients. Their rows may be older than the current rules, or written by other software."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from ...clients import rules
from ...http import redirects
from ...http.urls import LOOPBACK_HOSTS
from ...records import Client
from ...stores.base import collect
from .base import Examined, Finding, error, note, summarize, warning

_MANY = 1000
"""The number of clients without a token above which the doctor warns."""


def listed(examined: Examined) -> Iterator[Finding]:
    """Report clients that the doctor cannot list."""
    if examined.server.callbacks.clientgetter is not None:
        yield note(
            "the application's clientgetter returns the clients, and the doctor cannot list them",
            hint="call flask_oauth2.clients.rules.check for each client in a test of your application",
        )
    elif examined.store is not None and collect(examined.store).listing is None:
        yield note("this store cannot list its clients, so the doctor cannot check them")


def redirect_uris(examined: Examined) -> Iterator[Finding]:
    """Report risky redirect URIs, :rfc:`9700#section-2.1`."""
    found: dict[tuple[Callable[..., Finding], str, str], list[str]] = defaultdict(list)
    for client in _clients(examined):
        for uri in client.redirect_uris:
            for said, fault, rule in find_risks(uri, client):
                found[said, fault, rule].append(f"{client.client_id} ({uri})")
    for (said, fault, rule), of in found.items():
        yield said(
            f"a redirect URI {fault}: {summarize(of)}",
            rule,
            "flask oauth2 client update ID --redirect-uri URI, with one option for each URI to register",
        )


Risk = tuple[Callable[..., Finding], str, str]


def find_risks(uri: str, client: Client) -> Iterator[Risk]:
    """Yield the risks of a redirect URI: the level, the problem and the violated rule."""
    if not redirects.is_harmless(uri.replace("*", "x").partition("#")[0]):
        yield error, "runs code in the name of this site, or is not a URI", "rfc9700 4.11"
        return
    parts = urlsplit(uri)
    if "*" in uri:
        yield error, "has a wildcard, which may match the host of an attacker", "rfc9700 2.1"
    if "#" in uri:
        yield error, "has a fragment, which loses the authorization response", "rfc6749 3.1.2"
    if parts.scheme not in ("http", "https"):
        yield from _app_risks(parts.scheme, client)
    elif _is_loopback(parts.hostname or ""):
        if not client.is_public and client.application_type == "web":
            yield warning, "of a client with a secret leads to the user's own machine", "rfc8252 8.3"
    else:
        yield from _web_risks(parts.scheme, parts.hostname or "")


def _app_risks(scheme: str, client: Client) -> Iterator[Risk]:
    """Yield the risks of a redirect URI with a private-use scheme."""
    if "." not in scheme:
        yield warning, "has a private-use scheme that is not a reversed domain, so any app can claim it", "rfc8252 7.1"
    if not client.is_public and client.registered_by not in ("open", "token"):  # each copy of these has its own secret
        yield warning, "leads to an app, which reveals its secret to everyone who has the app", "rfc8252 8.5"


def _web_risks(scheme: str, host: str) -> Iterator[Risk]:
    """Yield the risks of a redirect URI that leads to another machine."""
    if scheme == "http":
        yield error, "uses http, which exposes the code to the network", "rfc9700 2.6"
    if _is_address(host):
        yield warning, "contains an IP address, which can be assigned to another owner", "rfc9700 4.1"


def _is_loopback(host: str) -> bool:
    return host in LOOPBACK_HOSTS or host.endswith(".localhost") or host.startswith("127.")


def grants(examined: Examined) -> Iterator[Finding]:
    """Report clients that use a grant type that :rfc:`9700` discourages."""
    offered = examined.server.capabilities.grant_types
    for name, rule in (("implicit", "rfc9700 2.1.2"), ("password", "rfc9700 2.4")):
        of = [client.client_id for client in _clients(examined) if name in client.grant_types]
        if of and name in offered:
            yield warning(
                f"{_count(of)} the grant type {name}: {summarize(of)}",
                rule,
                "switch the clients to authorization_code with PKCE, then run flask oauth2 client update ID "
                "--grant-type …",
            )


def pkce(examined: Examined) -> Iterator[Finding]:
    """Report clients without mandatory PKCE, :rfc:`9700#section-2.1.1`."""
    without = [client for client in _clients(examined) if client.pkce_required is False]
    public = [client.client_id for client in without if not client.is_confidential]
    others = [client.client_id for client in without if client.is_confidential]
    if public:
        yield error(
            "PKCE is not required of these public or native clients, although the provider requires it: "
            f"{summarize(public)}",
            "rfc9700 2.1.1",
            "flask oauth2 client update ID --pkce",
        )
    if others:
        yield note(
            f"PKCE is not required of these clients with a secret: {summarize(others)}",
            "rfc9700 2.1.1",
            "run flask oauth2 client update ID --pkce, once they support it",
        )


def metadata(examined: Examined) -> Iterator[Finding]:
    """Report clients that the current registration rules reject."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for client in _clients(examined):
        for rule in rules.rules():
            try:
                rule(client, examined.server)
            except rules.InvalidMetadata as fault:
                if fault.field not in ("redirect_uris", "pkce_required"):  # which other checks report
                    found[fault.field, fault.reason].append(client.client_id)
    for (field, reason), of in found.items():
        yield warning(
            f"the current rules would reject {summarize(of)}: {field} {reason}",
            "rfc7591 2",
            "flask oauth2 client update ID",
        )


def names(examined: Examined) -> Iterator[Finding]:
    """Report clients that users cannot identify on the consent page, :rfc:`7591#section-5`."""
    seen = [client for client in _clients(examined) if client.redirect_uris]
    nameless = [client.client_id for client in seen if not client.name]
    if nameless:
        yield warning(
            f"clients without a name, which users cannot recognize on the consent page: {summarize(nameless)}",
            "rfc7591 2",
            "flask oauth2 client update ID --name …",
        )
    unknown = [
        client.client_id for client in seen if not client.metadata.get("client_uri") and not client.is_unverified
    ]
    if unknown:
        yield note(
            f"clients without a home page on which users could learn about them: {summarize(unknown)}",
            "rfc7591 2",
            "flask oauth2 client update ID --client-uri …",
        )


def unused(examined: Examined) -> Iterator[Finding]:
    """Report self-registered clients that never received a token."""
    now, never = examined.now, [client for client in _clients(examined) if client.expires_at is not None]
    over = [client.client_id for client in never if client.expires_at is not None and client.expires_at <= now]
    if len(over) > _MANY:
        yield warning(
            f"{len(over)} self-registered clients never received a token and have expired",
            "rfc7591 5",
            "run flask oauth2 purge once a day",
        )
    elif len(never) > _MANY:
        yield warning(
            f"{len(never)} self-registered clients have not received a token yet",
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
