"""Client authentication, :rfc:`6749#section-2.3`: the methods, one line each, and the function that runs them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from ... import signals
from ...errors import InvalidClient, InvalidRequest
from ...http.messages import Params, Request
from ...records import Client
from ...server import AuthorizationServer
from .. import lookup
from .assertion import PrivateKeyJWT
from .base import ClientAuthMethod, Credentials, is_vschar, unknown_client
from .certificate import CertificateOrNone
from .none import NoAuthentication
from .secret import ClientSecretBasic, ClientSecretPost
from .throttle import spend_quota

METHODS: tuple[type[ClientAuthMethod], ...] = (ClientSecretBasic, ClientSecretPost, PrivateKeyJWT)
"""The built-in methods. ``none`` is not among them: it applies to a request that uses no other."""

MOST_FETCHES = 1000
"""The maximum number of metadata documents per hour that clients without user, code and token make the server fetch; a
tenth of it per network.
"""

NO_AUTHENTICATION: ClientAuthMethod = NoAuthentication()


def authenticate(server: AuthorizationServer, request: Request, form: Params, now: float) -> Client:
    """Return the client that sent a request.

    Raises :exc:`InvalidClient` with one answer for every reason, :rfc:`6749#section-5.2`.
    """
    scheme = request.authorization.partition(" ")[0].lower()
    if scheme not in ("", *server.capabilities.auth_schemes):
        raise InvalidClient(
            "client authentication failed",
            expected=f"one of {', '.join(server.capabilities.auth_schemes)}",
            received=f"the scheme {scheme}",
            hint="let the client authenticate with a method that token_endpoint_auth_methods_supported names",
        )
    found = _find_credentials(server, request, form)
    method: Any  # that of an application may return a value from verify()
    if len(found) != 1:
        method, credentials = _resolve(found, request, form)
    else:
        method, credentials = found[0]
        if form.get("client_id") not in (None, credentials.client_id):
            raise InvalidRequest(
                "client_id differs from the client that authenticates",
                rule="rfc6749 3.2.1",
                hint="let the client send its client_id once, or the same in the Authorization header and in the body",
            )
    client_id = credentials.client_id
    if not is_vschar(client_id):
        raise InvalidClient(
            "client authentication failed",
            rule="rfc6749 A.1",
            expected="a client_id of printable ASCII characters",
            received=client_id,
            hint="let the client send its client_id as flask oauth2 client list shows it",
        )
    client = server.store.get_client(client_id) or lookup.find_caller(
        server,
        client_id,
        form,
        partial(spend_quota, server, "metadata documents", MOST_FETCHES, now, address=request.address),
    )
    if not credentials.address:
        credentials = replace(credentials, address=request.address)
    method.verify(server, client, credentials, now)
    if client is None:
        raise unknown_client(client_id)
    if client.auth_method not in method.accepts:
        raise _wrong_method(client, method)
    if signals.client_authenticated.has_receivers_for(server.events.sender):
        server.events.emit(signals.client_authenticated, client_id=client.client_id, method=method.name)
    return client


def _find_credentials(server: AuthorizationServer, request: Request, form: Params) -> list[tuple[Any, Credentials]]:
    """Return the methods that a request uses, with its credentials."""
    found = []
    for method in server.capabilities.auth_methods:
        parameter = getattr(method, "parameter", None)
        if parameter is not None and parameter not in form.values:
            continue
        credentials = method.present(request, form)
        if credentials is not None:
            found.append((method, credentials))
    return found


def _wrong_method(client: Client, method: ClientAuthMethod) -> InvalidClient:
    return InvalidClient(
        "client authentication failed",
        rule="rfc7591 2",
        expected=f"{client.auth_method}, as client {client.client_id} is registered",
        received=method.name,
        hint=f"let the client authenticate with {client.auth_method}, or register the method it uses: "
        f"flask oauth2 client update {client.client_id} --auth-method {method.name}",
    )


def _resolve(
    found: list[tuple[ClientAuthMethod, Credentials]], request: Request, form: Params
) -> tuple[ClientAuthMethod, Credentials]:
    """Return ``none`` with its credentials for a request that uses no other method; reject one that uses several."""
    if found:
        # "The client MUST NOT use more than one authentication method in each request.", section 2.3
        raise InvalidRequest(
            "more than one client authentication method",
            rule="rfc6749 2.3",
            received=[method.name for method, _ in found],
            hint="let the client send its secret in one place: the Authorization header or the body",
        )
    credentials = NO_AUTHENTICATION.present(request, form)
    if credentials is None:
        raise InvalidClient(
            "client authentication failed",
            expected="a client_id",
            received="none",
            hint="let the client send client_id in the body, or its ID and secret in an Authorization header",
        )
    return CertificateOrNone(request) if request.certificate_text else NO_AUTHENTICATION, credentials
