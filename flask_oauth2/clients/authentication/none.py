"""``none``: a public client only sends its client_id, :rfc:`6749#section-3.2.1`."""

from __future__ import annotations

from ...errors import InvalidRequest
from ...http.messages import Params, Request
from ...records import Client
from ...server import AuthorizationServer
from .base import Credentials
from .secret import read_basic


class NoAuthentication:
    """The ``client_id`` alone, which proves nothing.

    Some clients send it with Basic authentication and an empty secret, which "MAY be omitted",
    :rfc:`6749#section-2.3.1`.
    """

    name = "none"
    scheme: str | None = None
    parameter: str | None = None
    accepts = frozenset({"none"})
    needs_secret = False
    needs_keys = False
    signing_algorithms: tuple[str, ...] = ()
    is_registrable = True

    def present(self, request: Request, form: Params) -> Credentials | None:
        """Return the ``client_id`` of the body, or of a header without a secret."""
        in_body, in_header = form.get("client_id"), read_basic(request)
        if in_header is None:
            return Credentials(in_body) if in_body else None
        if in_body not in (None, in_header.client_id):
            raise InvalidRequest("client_id differs from that of the header", rule="rfc6749 3.2.1")
        return in_header

    def verify(self, server: AuthorizationServer, client: Client | None, credentials: Credentials, now: float) -> None:
        """Accept every client: there is no proof to verify."""
