"""Verifies tokens with the authorization server of the same application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from .. import addresses
from ..answering import find_hints
from ..errors import InvalidToken, OAuth2Error
from ..http.messages import Request, Response
from ..people import users
from ..records import AccessToken
from ..server import AuthorizationServer
from ..tokens.bindings import verify
from ..tokens.bindings.base import ProofContext
from ..tokens.read import explain_missing, find_access
from .token_cache import TokenCache
from .verify import Alternatives, Verified, challenge, read_value, verify_audience

_NO_HEADERS: Mapping[str, str] = {}


class ServerVerifier:
    """The :class:`~.verify.TokenVerifier` of a provider.

    :param cache: remembers tokens, ``OAUTH2_TOKEN_CACHE_TTL``.
    """

    def __init__(self, server: AuthorizationServer, cache: TokenCache | None = None) -> None:
        self.server = server
        self.cache = cache

    def verify(self, request: Request) -> Verified:
        """See :meth:`.verify.TokenVerifier.verify`."""
        server = self.server
        scheme, value = read_value(request, server.capabilities.token_types)
        now = server.clock()
        if self.cache is None:
            access = find_access(server, value, now, server.opening.guards_read)
        else:
            access = self.cache.get(value) or self._find_and_remember(self.cache, value, now)
        if access is None:
            received, hint = explain_missing(server, value, "access_token")
            raise InvalidToken("the token is unknown, revoked or too old", received=received, hint=hint)
        if access.expires_at <= now:
            raise InvalidToken(
                "the token has expired",
                hint="let the client refresh the token; OAUTH2_ACCESS_TOKEN_LIFETIME sets its lifetime",
            )
        if access.type.lower() != scheme:
            raise InvalidToken(
                "the token is of another type",
                expected=access.type,
                received=scheme,
                hint="let the client use the scheme that token_type of its token response names",
            )
        headers = _NO_HEADERS
        if access.confirmation:
            context = ProofContext(settings=server.settings, now=now, remember=server.store.remember, token=value)
            verify(server.capabilities.bindings, access, request, context)
            headers = context.headers
        user_id = access.user_id
        if server.settings.guard_checks_user and user_id is not None and not users.is_active(server, user_id):
            raise InvalidToken("the user is not active", received=f"user {user_id}")
        resource = None
        if server.described:
            resource = addresses.find_resources(server, request.mount).at(request.path)
        if access.audience or resource is not None:
            verify_audience(access, resource)
        return Verified(access, resource, headers, now)

    def _find_and_remember(self, cache: TokenCache, value: str, now: float) -> AccessToken | None:
        read_at = cache.clock()
        access = find_access(self.server, value, now, self.server.opening.guards_read)
        if access is None or cache.is_revoked(access):  # the replica may not have the revocation yet
            return None
        cache.put(value, access, read_at)
        return access

    def refuse(self, error: OAuth2Error, request: Request, required: Sequence[Alternatives]) -> Response:
        """Return the response to a rejected request, see :meth:`.verify.TokenVerifier.refuse`."""
        server = self.server
        server.events.report(error, request, partial(find_hints, server, error, request))
        resource = None
        if server.described:
            resource = addresses.find_resources(server, request.mount).at(request.path)
        if resource is not None:
            required = [(resource.scopes,), *required] if resource.scopes else required
        return challenge(
            error,
            required,
            realm=server.settings.realm,
            schemes=[token_type.name for token_type in server.capabilities.token_types.values()],
            metadata_url=None if resource is None else resource.metadata_url,
        )
