"""The introspection endpoint, :rfc:`7662`, with signed responses for callers that ask for them, :rfc:`9701`."""

from __future__ import annotations

from typing import Any

from .. import values
from ..http.messages import NO_STORE, Response
from ..people import users
from ..records import AccessToken, Client, Token
from ..server import AuthorizationServer
from ..tokens.read import find_token
from .base import Call

TYPE = "token-introspection+jwt"
"""The ``typ`` of signed responses."""

MEDIA_TYPE = f"application/{TYPE}"


def respond(call: Call) -> Response:
    """Describe a token to its client. A resource server receives the description of every access token.

    All other tokens are inactive, section 2.2.
    """
    described = _describe(call.server, call.client, call.form.require("token"), call.now)
    if MEDIA_TYPE in call.request.headers.get("Accept", "").lower() and call.server.capabilities.needs_keys:
        return Response(200, _sign(call, described), {**NO_STORE, "Content-Type": MEDIA_TYPE})
    return Response(200, described, NO_STORE)


def find_signing_algorithms(server: AuthorizationServer) -> list[str]:
    """Return the algorithm of signed responses: RS256 if there is such a key, :rfc:`9701#section-6`."""
    algorithms = server.keys.algorithms if server.capabilities.needs_keys else []
    return ["RS256"] if "RS256" in algorithms else list(algorithms[:1])


def _sign(call: Call, described: dict[str, Any]) -> str:
    """Return the response as a JSON Web Token, :rfc:`9701#section-5`."""
    from ..keys.jose import sign  # few servers need keys, and it takes long to load

    server = call.server
    # sub and exp are inside, so that the response cannot be taken for an access token, RFC 9701 section 5
    claims = {
        "iss": server.issuer,
        "aud": call.client.client_id,
        "iat": int(call.now),
        "token_introspection": described,
    }
    (algorithm,) = find_signing_algorithms(server)
    return sign(claims, server.keys.find_signer(call.now, algorithm), TYPE, call.now)


def _describe(server: AuthorizationServer, client: Client, value: str, now: float) -> dict[str, Any]:
    # if the token "is not active, does not exist on this server, or the protected resource is not allowed to introspect
    # this particular token", the server "MUST return" that it is not active, section 2.2
    found = find_token(server, value, now)
    if isinstance(found, AccessToken):
        is_visible = found.client_id == client.client_id or client.resource_server
        is_alive = is_visible and found.expires_at > now and _is_of_active_user(server, found.user_id)
        return _access(server, found) if is_alive else {"active": False}
    if found is None or found.refresh_expires_at is None or found.used_at is not None:
        return {"active": False}
    is_visible = found.authorization.client_id == client.client_id
    is_alive = is_visible and found.refresh_expires_at > now
    is_alive = is_alive and _is_of_active_user(server, found.authorization.user_id)
    return _refresh(server, found) if is_alive else {"active": False}


def _is_of_active_user(server: AuthorizationServer, user_id: str | None) -> bool:
    return user_id is None or users.is_active(server, user_id)


def _access(server: AuthorizationServer, access: AccessToken) -> dict[str, Any]:
    members = {
        **access.context.claims,
        "active": True,
        "scope": " ".join(access.scope),
        "client_id": access.client_id,
        "token_type": access.type,
        "exp": access.expires_at,
        "iat": access.issued_at,
        "sub": access.user_id,
        "aud": access.audience[0] if len(access.audience) == 1 else list(access.audience) or None,
        "iss": server.issuer,
        "jti": values.text(access.token_hash),
        "auth_time": access.context.auth_time,  # RFC 9470 6.2
        "acr": access.context.acr,
        "cnf": dict(access.confirmation) if access.confirmation else None,  # RFC 7800, RFC 9449 6.2
    }
    if access.context.authorization_details:
        members["authorization_details"] = list(access.context.details)  # RFC 9396 9.2
    return _present(members)


def _refresh(server: AuthorizationServer, token: Token) -> dict[str, Any]:
    """Return the description of a refresh token. Its ``token_type`` distinguishes it from an access token."""
    authorization = token.authorization
    members = {
        "active": True,
        "scope": " ".join(authorization.scope),
        "client_id": authorization.client_id,
        "token_type": "refresh_token",
        "exp": token.refresh_expires_at,
        "iat": token.access.issued_at,
        "sub": authorization.user_id,
        "iss": server.issuer,
    }
    return _present(members)


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value not in (None, "", [])}
