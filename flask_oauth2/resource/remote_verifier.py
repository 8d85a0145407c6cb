"""The token verifier of a resource server whose authorization server is another application."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from ..errors import InvalidToken, OAuth2Error
from ..events import Events
from ..http import urls
from ..http.messages import Request, Response
from ..records import AccessToken
from ..resources import Resource, Resources, is_same
from ..settings import Settings
from ..tokens.bindings import make_bindings, verify
from ..tokens.bindings.base import ProofContext
from ..tokens.types import make_types
from .replay_memory import ReplayMemory
from .sources import TokenSource
from .status_lists import StatusLists
from .token_cache import TokenCache
from .verify import Alternatives, Verified, challenge, read_value, wrong_type


class RemoteVerifier:
    """A :class:`~.verify.TokenVerifier`.

    :param find_resources: returns the protected resources of the application.
    :param cache: remembers verified tokens, or None.
    :param statuses: the status lists that tokens name, or None to ignore them.
    :param audience: the public URL of the application.
    :param settings: the options of proofs of possession.
    :param remember: the replay memory of proofs. Default: one for this process.
    """

    def __init__(
        self,
        source: TokenSource,
        find_resources: Callable[[], Resources],
        *,
        cache: TokenCache | None,
        events: Events,
        statuses: StatusLists | None = None,
        realm: str = "oauth2",
        audience: str = "",
        settings: Settings | None = None,
        remember: Callable[[bytes, int], bool] | None = None,
    ) -> None:
        self.source = source
        self.statuses = statuses
        self.cache = cache
        self.clock: Callable[[], float] = time.time
        self._find_resources = find_resources
        self._events = events
        self._realm = realm
        self._origin, self._path = urls.origin(audience), urlsplit(audience).path.rstrip("/")
        self._settings = settings or Settings()
        self._remember = remember or ReplayMemory(lambda: self.clock()).remember
        self.bindings = make_bindings(self._settings)
        self._types = {one.name.lower(): one for one in make_types(self._settings)}

    def verify(self, request: Request) -> Verified:
        """See :meth:`.verify.TokenVerifier.verify`."""
        scheme, value = read_value(request, self._types)
        now = self.clock()
        access = self._find(value, now)
        if access.expires_at <= now:
            raise InvalidToken("the token has expired", hint="let the client refresh the token")
        if access.status is not None and self.statuses is not None:
            self.statuses.verify(access.status, now)
        # "MUST reject" a bound token that was sent as a bearer token, RFC 9449 section 7.2
        if access.type.lower() != scheme:
            raise wrong_type(access, scheme)
        headers: Mapping[str, str] = {}
        if access.confirmation:
            context = ProofContext(
                settings=self._settings, now=now, remember=self._remember, token=value, url=self._find_url(request)
            )
            verify(self.bindings, access, request, context)
            headers = context.headers
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
        return Verified(access, resource, headers, now)

    def refuse(self, error: OAuth2Error, request: Request, required: Sequence[Alternatives]) -> Response:
        """See :meth:`.verify.TokenVerifier.refuse`."""
        self._events.report(error, request, lambda: [error.hint] if error.hint else [])
        resource: Resource | None = self._find_resources().at(request.path)
        if resource is not None and resource.scopes:
            required = [(resource.scopes,), *required]
        url = None if resource is None else resource.metadata_url
        return challenge(
            error,
            required,
            realm=self._realm,
            schemes={one.name: getattr(one, "parameters", {}) for one in self._types.values()},
            metadata_url=url,
            attempted=request.authorization.partition(" ")[0],
        )

    def _find_url(self, request: Request) -> str:
        """Return the public URL of a request. A proxy may hide the path of the audience from the application."""
        path = f"{request.mount}{request.path}/"
        return request.url_at(self._origin + ("" if path.startswith(f"{self._path}/") else self._path))

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
