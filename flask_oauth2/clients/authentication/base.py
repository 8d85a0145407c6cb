"""The protocol of a client authentication method."""

from __future__ import annotations

from dataclasses import field
from typing import Protocol

from ...errors import InvalidClient
from ...http.messages import Params, Request
from ...record import record
from ...records import Client
from ...server import AuthorizationServer
from ..validators import is_vschar as is_vschar


@record(frozen=True, slots=True)
class Credentials:
    """The client that a request names, and the proof it contains."""

    client_id: str
    proof: str = field(default="", repr=False)
    address: str = ""
    """The address that sent the request."""
    mount: str = ""
    """The path at which the application is mounted, for methods that compare URLs of the server."""


def unknown_client(client_id: str) -> InvalidClient:
    """Return the error for a client that does not exist."""
    return InvalidClient(
        "client authentication failed",
        received=f"unknown client_id {client_id}",
        hint="register the client with flask oauth2 client create; if flask oauth2 client list shows it, the command "
        "uses another database than the application",
    )


class ClientAuthMethod(Protocol):
    """A client authentication method, :rfc:`6749#section-2.3`.

    Register your own with :meth:`~flask_oauth2.OAuth2Provider.register_client_auth_method`. Clients can then be
    registered with its name as ``token_endpoint_auth_method``, on the command line and by dynamic registration, and the
    authorization server metadata lists it.
    """

    name: str
    """The name in ``token_endpoint_auth_methods_supported``, :rfc:`8414#section-2`."""

    scheme: str | None
    """The scheme of an Authorization header that this method reads, in lower case."""

    parameter: str | None = None
    """The parameter of the body that each request with this method has. Requests without it skip the method. Optional.
    """

    accepts: frozenset[str]
    """The registered methods of clients that may authenticate with this method, its own name among them."""

    needs_secret: bool = False
    """True if a client needs a secret, which is then generated when the client is registered. Optional."""

    needs_keys: bool = False
    """True if a client needs public keys, its ``jwks`` or ``jwks_uri``. Optional."""

    signing_algorithms: tuple[str, ...] = ()
    """The values of ``token_endpoint_auth_signing_alg``, if the client signs a JSON Web Token. Optional."""

    is_registrable: bool = True
    """True if a client may choose this method in dynamic registration, :rfc:`7591`. Optional.

    Set it to False if the operator must prepare something for each client, such as a certificate or an API key.
    """

    def present(self, request: Request, form: Params) -> Credentials | None:
        """Return the credentials of this method in a request, or None if there are none.

        Any other value raises :exc:`~flask_oauth2.errors.ConfigurationError`.
        """
        ...

    def verify(self, server: AuthorizationServer, client: Client | None, credentials: Credentials, now: float) -> None:
        """Raise :exc:`~flask_oauth2.errors.InvalidClient` unless the credentials are those of ``client``.

        ``client`` is None if no client has this ID: do the same work, so that neither the answer nor its time tells.
        Return None. Any other value, such as False, raises :exc:`~flask_oauth2.errors.ConfigurationError`.
        """
        ...
