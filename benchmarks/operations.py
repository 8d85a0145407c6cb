"""The operations to time. Each is a generator that yields requests and receives their responses.

Code before the first ``yield`` and between requests is not timed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from .site import Answer, Environ, Site, expect

Steps = Generator[Environ, Answer, None]


def client_credentials(site: Site) -> Steps:
    """Issue a token with the client credentials grant."""
    expect((yield site.client_credentials_request()), 200)


def authorize_and_code(site: Site) -> Steps:
    """Authorize for a user who has consented before, then redeem the code with PKCE."""
    answer = expect((yield site.authorization_request()), 302, 303)
    expect((yield site.redeem(answer.parameters()["code"])), 200)


def refresh(site: Site) -> Steps:
    """Redeem a refresh token."""
    token = site.token_to_refresh()
    expect((yield site.refresh(token)), 200)


def introspection(site: Site) -> Steps:
    """Introspect a token of the client."""
    token = site.some_token()
    expect((yield site.client_post("introspect", {"token": token})), 200)


def revocation(site: Site) -> Steps:
    """Revoke an access token."""
    token = site.token_to_revoke()
    expect((yield site.client_post("revoke", {"token": token})), 200)


def guard(site: Site) -> Steps:
    """Call a guarded route."""
    token = site.some_token()
    expect((yield site.call(token)), 200)


def metadata(site: Site) -> Steps:
    """Read the server metadata, RFC 8414."""
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
"""The title in tables and the function of each operation, by name."""
