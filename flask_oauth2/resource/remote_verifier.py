"""The token verifier of a resource server whose authorization server is another application."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ..errors import InvalidToken, OAuth2Error
from ..events import Events
from ..http.messages import Request, Response
from ..records import AccessToken
from ..resources import Resource, Resources, is_same
from .sources import TokenSource
from .token_cache import TokenCache
from .verify import Alternatives, Verified, challenge, read_value


class RemoteVerifier:
    """A :class:`~.verify.TokenVerifier`.

    :param find_resources: returns the protected resources of the application.
    :param cache: remembers verified tokens, or None.
    """

    def __init__(
        self,
        source: TokenSource,
        find_resources: Callable[[], Resources],
        *,
        cache: TokenCache | None,
        events: Events,
        realm: str = "oauth2",
    ) -> None:
        self.source = source
        self.cache = cache
        self.clock: Callable[[], float] = time.time
        self._find_resources = find_resources
        self._events = events
        self._realm = realm

    def verify(self, request: Request) -> Verified:
        """See :meth:`.verify.TokenVerifier.verify`."""
        _, value = read_value(request)
        now = self.clock()
        access = self._find(value, now)
        if access.expires_at <= now:
            raise InvalidToken("the token has expired", hint="let the client refresh the token")
        if access.confirmation or access.type.lower() != "bearer":
            raise InvalidToken(
                "the token is bound to a key, which this server cannot verify",
                hint="let the client request a bearer token",
            )
        resource = self._find_resources().at(request.path)
        # "MUST validate [...] that the access token was issued for it", oauth-v2-1 section 5.2
        if resource is None or not any(is_same(name, resource.identifier) for name in access.audience):
            raise InvalidToken(
                "the token is for another resource",
                rule="rfc9068 4",
                expected=resource.identifier if resource else None,
                received=" ".join(access.audience) or "no audience",
                hint="let the client send this URL as resource, and add it to the authorization server",
            )
        return Verified(access, resource, now=now)

    def refuse(self, error: OAuth2Error, request: Request, required: Sequence[Alternatives]) -> Response:
        """See :meth:`.verify.TokenVerifier.refuse`."""
        self._events.report(error, request, lambda: [error.hint] if error.hint else [])
        resource: Resource | None = self._find_resources().at(request.path)
        if resource is not None and resource.scopes:
            required = [(resource.scopes,), *required]
        url = None if resource is None else resource.metadata_url
        return challenge(error, required, realm=self._realm, metadata_url=url)

    def _find(self, value: str, now: float) -> AccessToken:
        cache = self.cache
        if cache is None:
            return self.source.find(value, now)
        access = cache.get(value)
        if access is None:
            read_at = cache.clock()
            access = self.source.find(value, now)
            cache.put(value, access, read_at)
        return access
