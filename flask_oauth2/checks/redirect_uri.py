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
    """Find the URI that the answer goes to, see :func:`choose`."""
    return draft._replace(redirect_uri=choose(draft.client, draft.params.get("redirect_uri")))


def choose(client: Client, requested: str | None) -> str:
    """Return the URI that the answer goes to: the requested one, or the only one that the client has registered.

    Raise :exc:`InvalidRequest`, which the user sees and the client does not receive.
    """
    registered = client.redirect_uris
    if requested is None:
        # "the client MUST include a redirection URI" if it has registered several or none, :rfc:`6749#section-3.1.2.3`
        if len(registered) == 1:
            return registered[0]
        raise InvalidRequest(
            "redirect_uri is missing",
            rule="rfc6749 3.1.2.3",
            expected=f"one of {len(registered)} registered URIs",
            hint="let the client send the redirect URI that it has registered",
        )
    # "authorization servers MUST utilize exact string matching except for port numbers in localhost redirection URIs
    # of native apps", :rfc:`9700#section-2.1`
    is_native = client.application_type == "native"
    if requested in registered or (is_native and redirects.differs_by_port(requested, registered)):
        return requested
    raise InvalidRequest(
        "redirect_uri is not registered for this client",
        rule="rfc9700 2.1",
        expected=" or ".join(registered) or "a registered URI; the client has none",
        received=requested,
        hint=_advise(client, requested),
    )


def verify(grant: Grant, redirect_uri: str | None) -> None:
    """Verify that the token request names the URI of the authorization request, :rfc:`6749#section-4.1.3`.

    A client may leave it out if PKCE binds the code, oauth-v2-1 section 10.2. Raise :exc:`InvalidGrant`.
    """
    if redirect_uri is None and grant.challenge is not None:
        return
    # "if the "redirect_uri" parameter was included in the initial authorization request [...] ensure that their values
    # are identical"
    if redirect_uri != grant.redirect_uri:
        raise InvalidGrant(
            "redirect_uri differs from that of the authorization request",
            rule="rfc6749 4.1.3",
            expected=grant.redirect_uri or "none, as none was sent before",
            received=redirect_uri,
        )


def _advise(client: Client, requested: str) -> str:
    """Return how to correct a URI that is not registered, with its difference from the nearest registered one."""
    known = "".join(f"--redirect-uri {shlex.quote(uri)} " for uri in client.redirect_uris)
    register = f"{update_client(client.client_id, f'{known}--redirect-uri URI')}, if URI is one of the client"
    for uri in client.redirect_uris:
        difference = _find_difference(requested, uri)
        if difference:
            return f"the URI that came differs from {uri} by {difference}; let the client send that one, or {register}"
    return f"register it: {register}"


def _find_difference(requested: str, registered: str) -> str | None:
    """Return the name of the one part in which two URIs differ; None if they differ in more."""
    if requested.rstrip("/") == registered.rstrip("/"):
        return "a slash at the end"
    if requested.lower() == registered.lower():
        return "upper and lower case"
    one, other = urls.parse(requested), urls.parse(registered)
    if one is None or other is None:
        return None
    if one.hostname == other.hostname and one._replace(netloc="") == other._replace(netloc=""):
        return "its port; only the loopback URIs of native applications (--native) may have any"
    for part, name in (("scheme", "its scheme"), ("query", "its query"), ("netloc", "its host")):
        if one._replace(**{part: ""}) == other._replace(**{part: ""}):
            return name
    return None
