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
    """Return the result of ``respond``. If it raises an :exc:`OAuth2Error`, log it and return the result of ``refuse``.

    :param refuse: a function of the error and its ID in the log.
    """
    try:
        return respond(*arguments)
    except OAuth2Error as error:
        return refuse(error, server.events.report(error, request, partial(find_hints, server, error, request)))


def find_hints(server: AuthorizationServer, error: OAuth2Error, request: Request) -> list[str]:
    """Return hints how to fix an error, for the developer of the application. Responses never contain them."""
    hint = error.hint
    if hint and "flask oauth2 client update http" in hint.replace("'", "") and server.documents is not None:
        hint = (
            "correct the metadata document at the client_id of the client; the scope of all such clients is that of "
            "the protected resources and OAUTH2_DEFAULT_SCOPE"
        )
    elif hint and "flask oauth2 client" in hint and server.callbacks.clientgetter is not None:
        hint = f"change the client in the database of the application's clientgetter, not with the command: {hint}"
    return [
        *([hint] if hint else ()),
        *find_mistakes(
            server.settings.issuer,
            request,
            is_path_mount=not server.issuer_id,
            other_origin=server.settings.mutual_tls_origin,
        ),
    ]


def refuse(server: AuthorizationServer, error: OAuth2Error, _: str) -> Response:
    """Return the JSON error response of an endpoint, :rfc:`6749#section-5.2`."""
    headers = {**NO_STORE, **error.headers}
    if isinstance(error, InvalidClient):
        realm = server.settings.realm
        headers["WWW-Authenticate"] = ", ".join(
            write_challenge(scheme.title(), {"realm": realm}) for scheme in server.capabilities.auth_schemes
        )
    return Response(error.status, error.parameters, headers)
