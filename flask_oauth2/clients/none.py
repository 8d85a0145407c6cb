"""``none``: a public client only says who it is, :rfc:`6749#section-3.2.1`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..messages import Params, Request
from ..records import Client
from .base import Credentials

if TYPE_CHECKING:
    from ..server import Server


class NoAuthentication:
    """The ``client_id`` alone, which proves nothing."""

    name = "none"
    accepts = frozenset({"none"})

    def present(self, request: Request, form: Params) -> Credentials | None:
        """A ``client_id`` in the body."""
        client_id = form.get("client_id")
        return Credentials(client_id) if client_id else None

    def verify(self, server: Server, client: Client | None, credentials: Credentials, now: float) -> None:
        """Nothing was shown, nothing can be wrong."""
