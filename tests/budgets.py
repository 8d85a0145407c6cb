"""The budgets of operations in SQL statements and commits, which are the same for every database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oauth_site import Site

BUDGETS = [
    ("client_credentials", 2, 1),
    ("authorize", 3, 1),
    ("code", 4, 1),
    ("refresh", 4, 1),
    ("introspection", 2, 0),
    ("revocation", 3, 1),
    ("guard", 1, 0),
    ("preflight", 1, 0),
    ("page", 4, 0),
]
"""The operation, the maximum number of statements, and the number of commits."""


def prepare_operations(site: Site) -> dict[str, Callable[[], Any]]:
    """Return the operations by name. Each can be called several times."""
    secret = site.add_client()
    auth = ("web", secret)
    site.authorize()
    codes = [site.authorize()["code"] for _ in range(4)]
    refresh = [site.tokens(secret)["refresh_token"] for _ in range(4)]
    revocable = [site.tokens(secret)["access_token"] for _ in range(4)]
    access = site.tokens(secret)["access_token"]
    site.add_client("spa", secret=None)
    cross_origin = {"Origin": "http://localhost:5000"}
    return {
        "client_credentials": lambda: site.token("client_credentials", auth),
        "authorize": lambda: site.ask(),
        "code": lambda: site.redeem(codes.pop(), auth),
        "refresh": lambda: site.refresh(refresh.pop(), secret),
        "introspection": lambda: site.post("/introspect", auth, token=access),
        "revocation": lambda: site.post("/revoke", auth, token=revocable.pop()),
        "guard": lambda: site.call(access),
        "preflight": lambda: site.http.options("/oauth/token", headers=cross_origin),
        "page": lambda: site.http.post("/oauth/revoke", headers=cross_origin, data={"client_id": "spa", "token": "x"}),
    }
