"""The resource server, :rfc:`6750`: read the access token of a request, verify it, and challenge invalid requests."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Protocol, TypeAlias

from ..errors import InsufficientScope, InvalidRequest, InvalidToken, OAuth2Error
from ..http.challenges import write_challenge
from ..http.messages import Request, Response
from ..record import record
from ..records import AccessToken
from ..resources import Resource
from ..scopes import Scope
from ..tokens.types import Bearer, TokenType

Alternatives: TypeAlias = tuple[Scope, ...]
"""The scopes that a guard accepts: a token must have all scope values of at least one of them."""


class NoToken(OAuth2Error):
    """The request has no token. The challenge contains no error code, :rfc:`6750#section-3.1`."""

    code = "no_token"
    status = 401
    rule = "rfc6750 3.1"
    log_level = logging.DEBUG


@record(frozen=True, slots=True)
class Verified:
    """The valid access token of a request."""

    access: AccessToken
    resource: Resource | None = None
    """The protected resource of the request, or None if the application does not describe it."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers for the response."""
    now: float | None = None
    """The time of the request, in seconds since the epoch, UTC. None: that of the system."""


class TokenVerifier(Protocol):
    """An object that verifies tokens for guards, such as the authorization server of the same application."""

    def verify(self, request: Request) -> Verified:
        """Return the valid token of a request. The guard checks its scope.

        Raise :exc:`NoToken` or :exc:`~flask_oauth2.InvalidToken`.
        """
        ...

    def refuse(self, error: OAuth2Error, request: Request, required: Sequence[Alternatives]) -> Response:
        """Return the response to a rejected request, such as that of :func:`challenge`.

        :param required: the scopes that each guard of the view accepts.
        """
        ...


_BEARER: Mapping[str, TokenType] = {"bearer": Bearer()}


def read_value(request: Request, token_types: Mapping[str, TokenType] = _BEARER) -> tuple[str, str]:
    """Return the authentication scheme, in lower case, and the value of the token of a request.

    Raise :exc:`NoToken` if there is no token, :exc:`InvalidRequest` if there are several, and :exc:`InvalidToken` if it
    is malformed.
    """
    scheme, _, credentials = request.authorization.partition(" ")
    name = scheme.lower()
    token_type = token_types.get(name)
    # "Clients MUST NOT use more than one method to transmit the token in each request", RFC 6750 section 2
    value = None if request.body is None else request.form.get("access_token")
    if token_type is None:
        if value is None:
            raise NoToken("the request has no access token")
        return "bearer", token_types["bearer"].read(value)
    if value is not None:
        raise InvalidRequest(
            "the token was sent with more than one method",
            rule="rfc6750 2",
            hint="let the client send the token in the Authorization header alone",
        )
    return name, token_type.read(credentials.strip())


def verify_audience(access: AccessToken, resource: Resource | None) -> None:
    """Raise :exc:`InvalidToken` unless a token is for a resource; None is what belongs to no described resource.

    "[The] protected resource MUST validate [...] that the access token was issued for it", oauth-v2-1 section 5.2.
    """
    wanted = () if resource is None else (resource.identifier,)
    if access.audience == wanted or (resource is not None and resource.identifier in access.audience):
        return
    raise InvalidToken(
        "the token is for another resource",
        rule="rfc8707 2",
        expected=f"a token for {resource.identifier}" if resource else "a token for no resource in particular",
        received=" ".join(access.audience) or "one for no resource in particular",
        hint="let the client name the resource by the parameter resource, in its authorization and token requests",
    )


def verify_scope(access: AccessToken, required: Alternatives) -> None:
    """Raise :exc:`InsufficientScope` unless a token has all scope values of one of the alternatives."""
    held = access.scope
    for scope in required:
        if set(scope).issubset(held):
            return
    if required:
        raise InsufficientScope(
            "the scope of the token is insufficient",
            expected=" or ".join(map(" ".join, required)),
            received=" ".join(held),
            hint="let the client request the missing scope values, and register them for the client",
        )


def challenge(
    error: OAuth2Error,
    required: Iterable[Alternatives],
    *,
    realm: str = "oauth2",
    schemes: Iterable[str] = ("Bearer",),
    metadata_url: str | None = None,
) -> Response:
    """Return a response with the challenge of :rfc:`6750#section-3` for each scheme, and the error as JSON.

    :param required: the scopes that each guard accepts. The challenge lists the first one of every guard.
    :param metadata_url: the URL of the protected resource metadata, :rfc:`9728#section-5.1`.
    """
    wanted = " ".join(dict.fromkeys(value for guard in required for scope in guard[:1] for value in scope))
    # without a token, "the resource server SHOULD NOT include an error code or other error information", section 3.1
    parameters = {} if isinstance(error, NoToken) else error.parameters
    members = {"realm": realm, **parameters}
    if wanted and error.status != 400:
        members["scope"] = wanted
    if metadata_url is not None:
        members["resource_metadata"] = metadata_url
    headers = {
        "WWW-Authenticate": ", ".join(write_challenge(scheme, members) for scheme in schemes),
        "Cache-Control": "no-store",
        **error.headers,
    }
    return Response(error.status, parameters or "", headers)
