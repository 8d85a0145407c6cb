"""``flask_oauth2`` in a database that :mod:`benchmarks.growth` has filled, at the time when it was filled."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from flask_oauth2 import values

from ..site import Place, Site
from . import provider


@dataclass
class Grown(Site):
    """A site with existing tokens: some to introspect, some to refresh and some to revoke."""

    readable: Iterator[str] = field(default_factory=lambda: iter(()))
    refreshable: Iterator[str] = field(default_factory=lambda: iter(()))
    revocable: Iterator[str] = field(default_factory=lambda: iter(()))

    def some_token(self) -> str:
        """Return an existing access token."""
        return next(self.readable)

    def token_to_refresh(self) -> str:
        """Return an unused refresh token. A small database runs out of them, so a new one is issued."""
        return next(self.refreshable, None) or super().token_to_refresh()

    def token_to_revoke(self) -> str:
        """Return an access token that was not revoked yet."""
        return next(self.revocable, None) or super().token_to_revoke()


def open_site(place: Place) -> Site:
    """Return the site, without the tokens that earlier runs have used."""
    site = provider.open_site(place)
    app: Any = site.wsgi
    server = app.extensions["flask_oauth2"].servers.first
    samples = json.loads((place.folder / "samples.json").read_text())
    behind = time.time() - samples["made_at"]
    server.clock = lambda: time.time() - behind
    pairs, store = samples["values"], server.store
    half, rest = len(pairs) // 2, len(pairs) * 3 // 4
    return Grown(
        site.wsgi,
        site.expire,
        readable=cycle([access for access, _ in pairs[:half]]),
        refreshable=(refresh for _, refresh in pairs[half:rest] if _is_unused(store, refresh)),
        revocable=(access for access, _ in pairs[rest:] if store.get_access(values.key(access))),
    )


def _is_unused(store: Any, refresh: str) -> bool:
    found = store.get_refresh(values.key(refresh))
    return found is not None and found.used_at is None
