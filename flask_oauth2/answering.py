"""Errors are raised anywhere; here they are caught, reported and turned into an answer, once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from .errors import InvalidClient, OAuth2Error
from .http.challenges import write_challenge
from .http.deployment import find_mistakes
from .http.messages import NO_STORE, Request, Response
from .server import AuthorizationServer

T = TypeVar("T")


def answer(
    server: AuthorizationServer,
    request: Request,
    respond: Callable[..., T],
    refuse: Callable[[OAuth2Error, str], T],
    *arguments: Any,
) -> T:
    """Return what ``respond`` returns, or what ``refuse`` makes of the error that it raised.

    :param refuse: receives the error and the ID under which the log has it.
    """
    try:
        return respond(*arguments)
    except OAuth2Error as error:
        return refuse(error, server.events.report(error, request, partial(find_hints, server, error, request)))


def find_hints(server: AuthorizationServer, error: OAuth2Error, request: Request) -> list[str]:
    """Return what can be done about an error: for developers, never for strangers."""
    hint = error.hint
    if hint and "flask oauth2 client update http" in hint.replace("'", "") and server.documents is not None:
        hint = (
            "the client is what the document at its client_id says: correct it there; the scope of all such "
            "clients is that of the protected resources and OAUTH2_DEFAULT_SCOPE"
        )
    elif hint and "flask oauth2 client" in hint and server.callbacks.clientgetter is not None:
        hint = f"in place of the command change the client where the application's clientgetter finds it: {hint}"
    return [
        *([hint] if hint else ()),
        *find_mistakes(server.settings.issuer, request, is_path_mount=not server.issuer_id),
    ]


def refuse(server: AuthorizationServer, error: OAuth2Error, _: str) -> Response:
    """Return the answer of an endpoint that programs call, :rfc:`6749#section-5.2`."""
    headers = {**NO_STORE, **error.headers}
    if isinstance(error, InvalidClient):
        realm = server.settings.realm
        headers["WWW-Authenticate"] = ", ".join(
            write_challenge(scheme.title(), {"realm": realm}) for scheme in server.capabilities.auth_schemes
        )
    return Response(error.status, error.parameters, headers)
