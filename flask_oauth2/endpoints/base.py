"""What an endpoint is: a path, what answers there, and what it contributes to the metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ..clients.authentication import authenticate
from ..errors import InvalidClient
from ..http.messages import Params, Request, Response
from ..records import Client
from ..server import AuthorizationServer


@dataclass(slots=True)
class Call:
    """A request to an endpoint that programs call."""

    server: AuthorizationServer
    request: Request
    now: float
    """Seconds since the epoch, UTC."""
    form: Params
    """The parameters of the body; empty if the endpoint authenticates no client."""
    client: Client = field(init=False)
    """The client, which has authenticated. Raises :exc:`LookupError` if the endpoint authenticates no client."""

    def __getattr__(self, name: str) -> Any:
        if name == "client":
            raise LookupError("this endpoint authenticates no client: register it with authentication='client'")
        raise AttributeError(name)


def _always(_: AuthorizationServer) -> bool:
    return True


def _nothing(_: AuthorizationServer, __: str) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An endpoint of the authorization server.

    :param name: its name in Flask, below ``oauth2.``, and in signals and metrics.
    :param path: its path below the provider's ``url_prefix``, or below the host if ``is_well_known``.
    :param specification: what asks for it, for readers.
    :param respond: what answers; None if a page does, as for the authorization endpoint.
    :param authentication: ``client`` if a client must authenticate, ``confidential`` if it must have credentials;
        empty if the endpoint decides.
    :param requires: parameters that must be present before a client authenticates.
    :param cors: which web pages may call it, see ``cross_origin.py``: those of ``clients``, ``any``, or none.
    :param is_offered: whether the settings offer it.
    :param describe: its members of the server metadata, from the server and the URL of the endpoint.
    """

    name: str
    path: str
    specification: str
    respond: Callable[[Call], Response] | None = None
    methods: tuple[str, ...] = ("POST",)
    authentication: str = ""
    requires: frozenset[str] = frozenset()
    cors: str = ""
    is_well_known: bool = False
    is_offered: Callable[[AuthorizationServer], bool] = _always
    describe: Callable[[AuthorizationServer, str], Mapping[str, Any]] = _nothing


_NO_FORM = Params()


def run(server: AuthorizationServer, endpoint: Endpoint, request: Request) -> Response:
    """Return what an endpoint answers to a request, after its client has authenticated."""
    respond = cast("Callable[[Call], Response]", endpoint.respond)  # pages have no route that leads here
    now = server.clock()
    if not endpoint.authentication:
        return respond(Call(server, request, now, _NO_FORM))
    body = request.body
    form = Params(body, once=True) if isinstance(body, bytes) else request.form
    if not endpoint.requires.issubset(form.values):
        for name in sorted(endpoint.requires):
            form.require(name)
    client = authenticate(server, request, form, now)
    if endpoint.authentication == "confidential" and not client.is_confidential:
        raise InvalidClient(
            "client authentication failed",
            rule="rfc7662 2.1",
            expected="a client that proves who it is",
            received="a public client" if client.is_public else "a native application, as public as its secret",
        )
    call = Call(server, request, now, form)
    call.client = client
    return respond(call)
