"""The ``redirect_uri`` parameter, :rfc:`6749#section-3.1.2`.

Matching is by exact string (:rfc:`9700#section-2.1`); only the port of a native application's loopback URI is free
(:rfc:`8252#section-7.3`).
"""

from __future__ import annotations

import shlex

from ..errors import InvalidGrant, InvalidRequest, update_client
from ..http import redirects, urls
from ..records import Client, Grant
from ..server import AuthorizationServer
from .request import AuthorizationRequest


def check(draft: AuthorizationRequest, _: AuthorizationServer) -> AuthorizationRequest:
    """Set the redirect URI, see :func:`choose`."""
    return draft._replace(redirect_uri=choose(draft.client, draft.params.get("redirect_uri")))


def choose(client: Client, requested: str | None) -> str:
    """Return the requested redirect URI, or the only one that the client has registered.

    Raise :exc:`InvalidRequest` if the URI is missing or not registered. The user sees this error.
    """
    registered = client.redirect_uris
    if requested is None:
        # with several or no registered URIs, "the client MUST include a redirection URI", RFC 6749 3.1.2.3
        if len(registered) == 1:
            return registered[0]
        raise InvalidRequest(
            "redirect_uri is missing",
            rule="rfc6749 3.1.2.3",
            expected=f"one of {len(registered)} registered URIs",
            hint="let the client send the redirect URI that it has registered",
        )
    # "authorization servers MUST utilize exact string matching except for port numbers in localhost redirection URIs
    # of native apps", RFC 9700 2.1
    is_native = client.application_type == "native"
    if requested in registered or (is_native and redirects.differs_by_port(requested, registered)):
        return requested
    raise InvalidRequest(
        "redirect_uri is not registered for this client",
        rule="rfc9700 2.1",
        expected=" or ".join(registered) or "a registered URI; the client has none",
        received=requested,
        hint=_hint(client, requested),
    )


def verify(grant: Grant, redirect_uri: str | None) -> None:
    """Verify that the token request has the redirect URI of the authorization request, :rfc:`6749#section-4.1.3`.

    A client may omit it if PKCE binds the code, oauth-v2-1 section 10.2. Raise :exc:`InvalidGrant` if the URIs differ.
    """
    if redirect_uri is None and grant.challenge is not None:
        return
    # "if the "redirect_uri" parameter was included in the initial authorization request [...] ensure that their values
    # are identical", section 4.1.3
    if redirect_uri != grant.redirect_uri:
        raise InvalidGrant(
            "redirect_uri differs from that of the authorization request",
            rule="rfc6749 4.1.3",
            expected=grant.redirect_uri or "no redirect_uri, as in the authorization request",
            received=redirect_uri,
        )


def _hint(client: Client, requested: str) -> str:
    """Return the hint for an unregistered URI, with its difference from a similar registered one."""
    known = "".join(f"--redirect-uri {shlex.quote(uri)} " for uri in client.redirect_uris)
    register = f"{update_client(client.client_id, f'{known}--redirect-uri URI')}, if URI is one of the client"
    for uri in client.redirect_uris:
        difference = _find_difference(requested, uri)
        if difference:
            return f"the received URI differs from {uri} by {difference}; let the client send this URI, or {register}"
    return f"register it: {register}"


def _find_difference(requested: str, registered: str) -> str | None:
    """Return the only part in which two URIs differ, or None if they differ in several parts."""
    if requested.rstrip("/") == registered.rstrip("/"):
        return "a slash at the end"
    if requested.lower() == registered.lower():
        return "upper and lower case"
    one, other = urls.parse(requested), urls.parse(registered)
    if one is None or other is None:
        return None
    if one.hostname == other.hostname and one._replace(netloc="") == other._replace(netloc=""):
        return "its port; only loopback URIs of native clients (--native) may have any port"
    for part, name in (("scheme", "its scheme"), ("query", "its query"), ("netloc", "its host")):
        if one._replace(**{part: ""}) == other._replace(**{part: ""}):
            return name
    return None
