"""The introspection endpoint, :rfc:`7662`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import values
from ..clients import authenticate
from ..errors import InvalidClient
from ..messages import NO_STORE, Request, Response
from ..records import AccessToken, Client, Token
from ..tokens.read import find_token

if TYPE_CHECKING:
    from ..server import Server


def respond(server: Server, request: Request) -> Response:
    """A client may ask about its own tokens, a resource server about all access tokens (section 2.1)."""
    form, now = request.form, server.clock()
    client = authenticate(server, request, form, now)
    if not client.is_confidential:
        raise InvalidClient(
            "client authentication failed",
            rule="rfc7662 2.1",
            expected="a client that proves who it is",
            came="a public client" if client.is_public else "a native application, as public as its secret",
        )
    return Response(200, _describe(server, client, form.require("token"), now), NO_STORE)


def _describe(server: Server, client: Client, value: str, now: float) -> dict[str, Any]:
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


def _is_of_active_user(server: Server, user_id: str | None) -> bool:
    return user_id is None or server.is_active(user_id)


def _access(server: Server, access: AccessToken) -> dict[str, Any]:
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
        "jti": values.text(access.key),
    }
    return _present(members)


def _refresh(server: Server, token: Token) -> dict[str, Any]:
    """Told to its own client only, and named for what it is, so that nobody takes it for an access token."""
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
    return {name: value for name, value in members.items() if value not in (None, "")}
