"""The operations that are timed. Each is a generator of requests, which is sent their answers.

What comes before the first ``yield`` prepares it, and like all else between requests it is not timed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from .site import Answer, Environ, Site, expect

Steps = Generator[Environ, Answer, None]


def client_credentials(site: Site) -> Steps:
    """A token for the client itself."""
    expect((yield site.ask_for_itself()), 200)


def authorize_and_code(site: Site) -> Steps:
    """A signed-in user who has consented before is sent back with a code, which is redeemed with PKCE."""
    answer = expect((yield site.ask_authorization()), 302, 303)
    expect((yield site.redeem(answer.parameters()["code"])), 200)


def refresh(site: Site) -> Steps:
    """A refresh token is spent for the next."""
    token = site.token_to_refresh()
    expect((yield site.refresh(token)), 200)


def introspection(site: Site) -> Steps:
    """The client asks about a token of its own."""
    token = site.some_token()
    expect((yield site.client_post("introspect", {"token": token})), 200)


def revocation(site: Site) -> Steps:
    """An access token ends."""
    token = site.token_to_revoke()
    expect((yield site.client_post("revoke", {"token": token})), 200)


def guard(site: Site) -> Steps:
    """A route that asks for a token."""
    token = site.some_token()
    expect((yield site.call(token)), 200)


def metadata(site: Site) -> Steps:
    """What the server can do, RFC 8414."""
    expect((yield site.get("metadata")), 200)


OPERATIONS: dict[str, tuple[str, Callable[[Site], Steps]]] = {
    "client_credentials": ("client credentials", client_credentials),
    "code": ("authorize, then code + PKCE", authorize_and_code),
    "refresh": ("refresh with rotation", refresh),
    "introspection": ("introspection", introspection),
    "revocation": ("revocation", revocation),
    "guard": ("guarded route, opaque token", guard),
    "metadata": ("metadata", metadata),
}
"""By name: what tables call it, and how it is done."""
