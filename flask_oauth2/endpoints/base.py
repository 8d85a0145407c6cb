"""Endpoints: a path, a function that responds, and members of the server metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ..clients.authentication import authenticate
from ..errors import ConfigurationError, InvalidClient
from ..http.messages import Params, Request, Response
from ..records import Client
from ..server import AuthorizationServer


@dataclass(slots=True)
class Call:
    """A request to an endpoint that clients call without a browser."""

    server: AuthorizationServer
    request: Request
    now: float
    """Seconds since the epoch, UTC."""
    form: Params
    """The parameters of the body. Empty if the endpoint authenticates no client."""
    client: Client = field(init=False)
    """The authenticated client. Reading it raises :exc:`LookupError` if the endpoint authenticates no client."""

    def __getattr__(self, name: str) -> Any:
        if name == "client":
            raise LookupError("this endpoint authenticates no client: register it with authentication='client'")
        raise AttributeError(name)


def _always(_: AuthorizationServer) -> bool:
    """Offer an endpoint with all settings."""
    return True


def _nothing(_: AuthorizationServer, __: str) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An endpoint of the authorization server.

    :param name: the name in signals, metrics and, after ``oauth2.``, in Flask. It is an identifier.
    :param path: the path below the provider's ``url_prefix``, or below the host's root if ``is_well_known``.
    :param specification: the section that defines the endpoint.
    :param respond: a function that returns the response, or None if a page responds.
    :param authentication: ``client`` if the client must identify itself, ``confidential`` if it must have credentials,
        empty if ``respond`` decides.
    :param requires: parameters that must be present. They are checked before client authentication.
    :param cors: the web pages that may call the endpoint: ``clients`` (see ``cross_origin.py``), ``any``, or empty.
    :param is_offered: a function that returns True if the settings enable the endpoint, otherwise False. A disabled
        endpoint that the application registered answers 404.
    :param describe: a function that returns members of the server metadata from the server and the endpoint's URL.
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


def is_offered(server: AuthorizationServer, endpoint: Endpoint) -> bool:
    """Return whether the settings enable an endpoint.

    Raise :exc:`ConfigurationError` if its function returns something else, such as a coroutine, which would count as
    true.
    """
    offered: object = endpoint.is_offered(server)
    if not isinstance(offered, bool):
        raise ConfigurationError(
            f"is_offered of the endpoint {endpoint.name} must return True or False, not {type(offered).__name__}"
        )
    return offered


def respond_with(endpoint: Endpoint, call: Call) -> Response:
    """Return the response of an endpoint. Raise :exc:`ConfigurationError` if it returns something else."""
    response: object = cast("Callable[[Call], Response]", endpoint.respond)(call)
    if not isinstance(response, Response):
        raise ConfigurationError(
            f"respond of the endpoint {endpoint.name} must return a Response, not {type(response).__name__}"
        )
    return response


def run(server: AuthorizationServer, endpoint: Endpoint, request: Request) -> Response:
    """Authenticate the client if the endpoint requires it, and return the response of the endpoint."""
    respond = cast("Callable[[Call], Response]", endpoint.respond)  # the routes of pages do not call this function
    now = server.clock()
    if not endpoint.authentication:
        return respond(Call(server, request, now, _NO_FORM))
    body = request.body
    form = Params(body, once=True) if isinstance(body, bytes) else request.form
    if not endpoint.requires.issubset(form.values):
        for name in sorted(endpoint.requires):
            form.require(name)
    client = authenticate(server, request, form, now)
    # "To prevent token scanning attacks, the endpoint MUST also require some form of authorization", RFC 7662 2.1
    if endpoint.authentication == "confidential" and not client.is_confidential:
        raise InvalidClient(
            "client authentication failed",
            rule="rfc7662 2.1",
            expected="a client with credentials",
            received="a public client" if client.is_public else "a native client, whose secret is not confidential",
        )
    call = Call(server, request, now, form)
    call.client = client
    return respond(call)
