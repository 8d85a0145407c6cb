"""``none``: a public client only says who it is, :rfc:`6749#section-3.2.1`."""

from __future__ import annotations

from ..errors import InvalidRequest
from ..http.messages import Params, Request
from ..records import Client
from ..server import AuthorizationServer
from .base import Credentials
from .secret import read_basic


class NoAuthentication:
    """The ``client_id`` alone, which proves nothing.

    Some clients send it by Basic with an empty secret, which "MAY be omitted", :rfc:`6749#section-2.3.1`.
    """

    name = "none"
    scheme: str | None = None
    accepts = frozenset({"none"})

    def present(self, request: Request, form: Params) -> Credentials | None:
        """A ``client_id`` in the body, or alone in a header."""
        in_body, in_header = form.get("client_id"), read_basic(request)
        if in_header is None:
            return Credentials(in_body) if in_body else None
        if in_body not in (None, in_header.client_id):
            raise InvalidRequest("client_id differs from that of the header", rule="rfc6749 3.2.1")
        return in_header

    def verify(self, server: AuthorizationServer, client: Client | None, credentials: Credentials, now: float) -> None:
        """Nothing was shown, nothing can be wrong."""
