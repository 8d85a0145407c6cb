"""The resource side: which token came, is it good, does it reach far enough, :rfc:`6750`."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ..errors import InsufficientScope, InvalidRequest, InvalidToken, OAuth2Error
from ..messages import Request, Response
from ..records import AccessToken
from ..resources import Resource
from ..scopes import Scope
from ..tokens.bindings import verify
from ..tokens.bindings.base import ProofContext
from ..tokens.read import explain_missing, find_access, find_for_cache

if TYPE_CHECKING:
    from ..server import Server

Alternatives = tuple[Scope, ...]
"""What a guard demands: all the words of any one of these."""


class NoToken(OAuth2Error):
    """Nothing came that says who calls: a challenge and no error, :rfc:`6750#section-3.1`."""

    code = "no_token"
    status = 401
    rule = "rfc6750 3.1"
    log_level = logging.DEBUG


_NO_HEADERS: Mapping[str, str] = {}


def read_token(server: Server, request: Request) -> tuple[AccessToken, Mapping[str, str]]:
    """Return the valid token of a request, whatever its scope, and headers for the response.

    Raises :exc:`NoToken`, or an error as in section 3.1.
    """
    token_type, value = _presented(server, request)
    now, cache = server.clock(), server.token_cache
    if cache is None:
        access = find_access(server, value, now, server.opening.guards_read)
    else:
        access = cache.get(value) or find_for_cache(server, cache, value, now)
    if access is None:
        came, cure = explain_missing(server, value, "access_token")
        raise InvalidToken("the token is unknown, revoked or too old", came=came, cure=cure)
    if access.expires_at <= now:
        raise InvalidToken(
            "the token has expired",
            cure="let the client refresh the token; OAUTH2_ACCESS_TOKEN_LIFETIME sets its lifetime",
        )
    if access.type.lower() != token_type:
        raise InvalidToken(
            "the token is of another type",
            expected=access.type,
            came=token_type,
            cure="let the client use the scheme that token_type of its token response names",
        )
    headers: Mapping[str, str] = _NO_HEADERS
    if access.confirmation:
        context = ProofContext(settings=server.settings, now=now, remember=server.store.remember, token=value)
        verify(server.offer.bindings, access, request, context)
        headers = context.headers
    if server.settings.guard_checks_user and access.user_id is not None and not server.is_active(access.user_id):
        raise InvalidToken("the user is not active", came=f"user {access.user_id}")
    return access, headers


def verify_audience(access: AccessToken, resource: Resource | None) -> None:
    """Raise :exc:`InvalidToken` unless the token is for the resource; None is what belongs to none.

    "[The] protected resource MUST validate [...] that the access token was issued for it", oauth-v2-1 section 5.2.
    """
    wanted = () if resource is None else (resource.identifier,)
    if access.audience == wanted or (resource is not None and resource.identifier in access.audience):
        return
    raise InvalidToken(
        "the token is for another resource",
        rule="rfc8707 2",
        expected=f"a token for {resource.identifier}" if resource else "a token for no resource in particular",
        came=" ".join(access.audience) or "one for no resource in particular",
        cure="let the client name the resource by the parameter resource, in its authorization and token requests",
    )


def verify_scope(access: AccessToken, demanded: Alternatives) -> None:
    """Raise :exc:`InsufficientScope` unless the token has all the words of one of the alternatives."""
    held = access.scope
    for words in demanded:
        if set(words).issubset(held):
            return
    if demanded:
        raise InsufficientScope(
            "the token lacks scope for this",
            expected=" or ".join(map(" ".join, demanded)),
            came=" ".join(held),
            cure="let the client request the missing scope values, and register them for the client",
        )


def refuse(
    server: Server, error: OAuth2Error, demanded: Iterable[Alternatives], resource: Resource | None = None
) -> Response:
    """The challenge, :rfc:`6750#section-3`, for the types that are registered; and the error as JSON beside it.

    It names all that the request needs, ``demanded`` by one guard after the other, and where the resource is
    described, :rfc:`9728#section-5.1`.
    """
    wanted = " ".join(dict.fromkeys(word for guard in demanded for words in guard[:1] for word in words))
    scope = {"scope": wanted} if wanted and error.status != 400 else {}
    if resource is not None:
        scope["resource_metadata"] = resource.metadata_url
    # "the resource server SHOULD NOT include an error code or other error information"
    parameters = {} if isinstance(error, NoToken) else error.parameters
    challenge = {"realm": server.settings.realm, **parameters, **scope}
    names = [token_type.name for token_type in server.offer.token_types.values()]
    headers = {
        "WWW-Authenticate": ", ".join(f"{name} {_auth_params(challenge.items())}" for name in names),
        "Cache-Control": "no-store",
        **error.headers,
    }
    return Response(error.status, parameters or "", headers)


def _presented(server: Server, request: Request) -> tuple[str, str]:
    """The type and the value of the one token that came."""
    scheme, _, credentials = request.authorization.partition(" ")
    name = scheme.lower()
    token_type = server.offer.token_types.get(name)
    # "Clients MUST NOT use more than one method to transmit the token in each request."
    value = None if request.body is None else request.form.get("access_token")
    if token_type is None:
        if value is None:
            raise NoToken("no token came")
        return "bearer", server.offer.token_types["bearer"].read(value)
    if value is not None:
        raise InvalidRequest(
            "the token came by more than one method",
            rule="rfc6750 2",
            cure="let the client send the token in the Authorization header alone",
        )
    return name, token_type.read(credentials.strip())


def _auth_params(parameters: Iterable[tuple[str, str]]) -> str:
    return ", ".join([f'{name}="{value}"' for name, value in parameters])
