"""What a client authentication method is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol

from ..errors import InvalidClient
from ..http.messages import Params, Request
from ..records import Client
from ..server import AuthorizationServer

is_vschar = re.compile(r"[\x20-\x7e]*").fullmatch
"""Match a client_id or a client secret: ``*VSCHAR``, :rfc:`6749#appendix-A`.

Other characters make values equal that are not: HMAC pads its key with NULs, and a database may ignore accents.
"""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who a request says it comes from, and what it shows for it."""

    client_id: str
    proof: str = field(default="", repr=False)
    address: str = ""
    """The address that the request comes from."""


def unknown_client(client_id: str) -> InvalidClient:
    """Return the error for a client that does not exist."""
    return InvalidClient(
        "client authentication failed",
        came=f"unknown client_id {client_id}",
        cure="register the client with flask oauth2 client create; if flask oauth2 client list shows it, the command "
        "uses another database than the application",
    )


class ClientAuthMethod(Protocol):
    """A way for a client to show who it is, :rfc:`6749#section-2.3`."""

    name: str
    """As in ``token_endpoint_auth_methods_supported``, :rfc:`8414#section-2`."""

    scheme: str | None
    """The scheme of an Authorization header that this method reads, in lower case."""

    accepts: frozenset[str]
    """The registered methods that this one may stand in for, its own among them."""

    def present(self, request: Request, form: Params) -> Credentials | None:
        """The credentials of this method in a request; None where it has none."""
        ...

    def verify(self, server: AuthorizationServer, client: Client | None, credentials: Credentials, now: float) -> None:
        """Raise :exc:`~flask_oauth2.errors.InvalidClient` unless the credentials are those of ``client``.

        ``client`` is None where nobody has that id: do the same work, so that neither answer nor time tells.
        """
        ...
