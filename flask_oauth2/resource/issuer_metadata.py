"""The metadata of an authorization server elsewhere, :rfc:`8414`, for resource servers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import ConfigurationError, FetchError, TemporarilyUnavailable
from ..http import urls
from ..http.freshness import find_lifetime
from ..http.json import parse_object
from ..processes import Once

if TYPE_CHECKING:
    from ..http.fetch import Fetched

log = logging.getLogger("flask_oauth2")

LIFETIME = 3600
"""Seconds for which a copy is used if its server does not say how long."""

SHORTEST_LIFETIME = 60
LONGEST_LIFETIME = 86400

MAX_STALE = 86400
"""Further seconds for which a copy is used if the server is unavailable."""

RETRY_AFTER = 30
"""Seconds after a failure in which the server is not contacted again."""

MAX_SIZE = 64 * 1024
DEADLINE = 5.0


class IssuerMetadata:
    """The metadata document of one issuer, which is fetched when it is first needed.

    :param issuer: the issuer identifier, which the document must contain.
    """

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.fetch: Callable[[str], Fetched] = fetch_json
        self._members: Mapping[str, Any] | None = None
        self._fresh_until = 0.0
        self._retry_at = 0.0
        self._once = Once()

    def find_url(self, name: str, now: float) -> str:
        """Return a member that is a URL, such as ``jwks_uri``.

        Raises :exc:`~flask_oauth2.errors.TemporarilyUnavailable` if the document has none or cannot be fetched.
        """
        url = self._once.run(lambda: self._find_fresh(now), lambda: self._load(now)).get(name)
        if not isinstance(url, str) or not urls.is_web(url):
            raise TemporarilyUnavailable(
                "the metadata of the authorization server are incomplete",
                retry_after=RETRY_AFTER,
                hint=f"the metadata of {self.issuer} need the member {name}",
            )
        return url

    def _find_fresh(self, now: float) -> Mapping[str, Any] | None:
        is_usable = now < self._fresh_until or (now < self._retry_at and now < self._fresh_until + MAX_STALE)
        return self._members if is_usable else None

    def _load(self, now: float) -> Mapping[str, Any]:
        if now < self._retry_at <= now + RETRY_AFTER:
            raise _unavailable(self.issuer, self._retry_at - now)
        try:
            fetched = self._fetch_first()
            members = self._read(fetched)
        except FetchError as error:
            log.warning("the metadata of %s cannot be used: %s", self.issuer, error.reason)
            self._retry_at = now + RETRY_AFTER
            if self._members is None or now >= self._fresh_until + MAX_STALE:
                raise _unavailable(self.issuer, RETRY_AFTER) from error
            return self._members
        lifetime = find_lifetime(
            fetched.headers, now, usual=LIFETIME, shortest=SHORTEST_LIFETIME, longest=LONGEST_LIFETIME
        )
        self._members, self._fresh_until = members, now + lifetime
        return members

    def _fetch_first(self) -> Fetched:
        """Fetch the document of :rfc:`8414#section-3` or, if there is none, that of OpenID Connect Discovery 1.0."""
        origin = urls.origin(self.issuer)
        path = urlsplit(self.issuer).path.rstrip("/")
        try:
            return self.fetch(f"{origin}/.well-known/oauth-authorization-server{path}")
        except FetchError as error:
            if not error.is_gone:
                raise
            return self.fetch(f"{origin}{path}/.well-known/openid-configuration")

    def _read(self, fetched: Fetched) -> Mapping[str, Any]:
        try:
            members = parse_object(fetched.body)
        except ValueError:
            raise FetchError("the document is not a JSON object") from None
        # "MUST be identical to the authorization server's issuer identifier value", RFC 8414 section 3.3
        if members.get("issuer") != self.issuer:
            raise FetchError("the document has another issuer")
        return members


def _unavailable(issuer: str, seconds: float) -> TemporarilyUnavailable:
    return TemporarilyUnavailable(
        "the authorization server is unavailable",
        retry_after=max(1, int(seconds)),
        hint=f"its metadata, {issuer}, cannot be fetched: see the warning in the log",
    )


def fetch_json(url: str) -> Fetched:
    """Fetch a document of a trusted server, which may be on this machine or in a private network."""
    fetched: Fetched = load_fetch()(url, deadline=DEADLINE, may_be_own=True, max_bytes=MAX_SIZE)
    return fetched


def load_fetch() -> Any:
    """Return :func:`.http.fetch.fetch`. Raises :exc:`ConfigurationError` if httpcore is not installed."""
    if find_spec("httpcore") is None:
        raise ConfigurationError("a resource server needs httpcore: install flask_oauth2[jose]")
    from ..http.fetch import fetch  # needs httpcore, an optional dependency

    return fetch
