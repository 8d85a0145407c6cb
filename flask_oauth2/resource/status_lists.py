"""Status lists of an authorization server elsewhere, draft-ietf-oauth-status-list section 8.3, for resource servers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from ..errors import FetchError, InvalidToken, TemporarilyUnavailable
from ..http import urls
from ..http.fetch_limits import Bounded
from ..processes import OfProcess, Once
from ..records import CLOCKS_DIFFER
from ..settings import SIGNING_ALGORITHMS
from ..status_list import MAX_BYTES, TYPE, StatusList
from .issuer_metadata import DEADLINE, RETRY_AFTER, load_fetch

if TYPE_CHECKING:
    from ..http.fetch import Fetched
    from ..keys.jose import FindKeys

log = logging.getLogger("flask_oauth2")

USUAL_TTL = 300
SHORTEST_TTL = 15
LONGEST_TTL = 3600
"""Seconds for which a list is used: its ``ttl`` within these limits."""

LONGEST_LIFETIME = 86400
"""Seconds for which a list is used at most if no newer one can be fetched."""

MOST = 100
"""The maximum number of lists in memory."""


@dataclass(slots=True)
class _Copy:
    statuses: StatusList
    fresh_until: float
    expires_at: float


class StatusLists:
    """The lists that tokens of one issuer name. Each is fetched when a token first needs it.

    :param find_keys: returns the keys of the issuer, which sign its lists too.
    """

    def __init__(self, find_keys: Callable[[float], FindKeys]) -> None:
        self.fetch: Callable[[str], Fetched] = _fetch
        self._find_keys = find_keys
        self._copies: Bounded[str, _Copy] = Bounded(MOST)
        self._retry_at: Bounded[str, float] = Bounded(MOST)
        self._once: Bounded[str, Once] = Bounded(MOST)
        self._lock = OfProcess(Lock)

    def verify(self, reference: object, now: float) -> None:
        """Raise :exc:`InvalidToken` unless the list says that the token of this ``status_list`` claim is valid.

        Raise :exc:`~flask_oauth2.errors.TemporarilyUnavailable` if there is no list that may be used.
        """
        members = reference if isinstance(reference, Mapping) else {}
        uri, index = members.get("uri"), members.get("idx")
        if not isinstance(uri, str) or not isinstance(index, int) or isinstance(index, bool):
            raise InvalidToken("the token has a malformed status")
        with self._lock.own:
            once = self._once.get(uri) or Once()
            self._once.put(uri, once)
        copy = once.run(lambda: self._find_fresh(uri, now), lambda: self._load(uri, now))
        try:
            status = copy.statuses.find(index)
        except ValueError as error:
            raise InvalidToken("the status of the token is not in the list", received=f"the index {index}") from error
        if status != 0:
            raise InvalidToken(
                "the token is revoked", rule="draft-ietf-oauth-status-list 8.3", received=f"the status {status}"
            )

    def _find_fresh(self, uri: str, now: float) -> _Copy | None:
        copy = self._copies.get(uri)
        is_due = copy is not None and now >= copy.fresh_until and now >= self._retry_at.get(uri, 0.0)
        return None if copy is None or is_due or now >= copy.expires_at else copy

    def _load(self, uri: str, now: float) -> _Copy:
        """Return a new copy, or the previous one if the list cannot be fetched."""
        from ..keys.jose import JOSEError

        reason = "the last attempt failed"
        if not now < self._retry_at.get(uri, 0.0) <= now + RETRY_AFTER:
            try:
                copy = self._read(uri, self.fetch(uri).body, now)
            except (FetchError, JOSEError) as error:
                reason = error.reason
                log.warning("the status list of %s cannot be used: %s", urls.host_of(uri), reason)
                with self._lock.own:
                    self._retry_at.put(uri, now + RETRY_AFTER)
            else:
                with self._lock.own:
                    self._copies.put(uri, copy)
                return copy
        previous = self._copies.get(uri)
        if previous is None or now >= previous.expires_at:
            raise TemporarilyUnavailable(
                "the authorization server is unavailable",
                retry_after=RETRY_AFTER,
                hint=f"the status list {uri} cannot be used: {reason}",
            )
        return previous

    def _read(self, uri: str, body: bytes, now: float) -> _Copy:
        """Return the content of a signed list. Raise :exc:`.JOSEError` unless it is one of this URI, section 8.3."""
        from ..keys import jose  # loaded with the first token

        policy = jose.Policy(
            algorithms=SIGNING_ALGORITHMS,
            types=(TYPE,),
            issuers=None,  # "iss" is not part of a list; the keys are those of the issuer
            audience=None,
            keys=self._find_keys(now),
            required=("sub", "iat", "status_list"),
            leeway=CLOCKS_DIFFER,
            max_size=MAX_BYTES,
        )
        claims = jose.verify(body.decode("ascii", "replace"), policy, now).claims
        if claims["sub"] != uri:
            raise jose.JOSEError("the list has another URI")
        try:
            statuses = StatusList(claims["status_list"])
        except ValueError as error:
            raise jose.JOSEError(str(error)) from error
        ttl, expires_at = claims.get("ttl", USUAL_TTL), claims.get("exp", now + LONGEST_LIFETIME)
        if isinstance(ttl, bool) or not isinstance(ttl, int | float):
            raise jose.JOSEError("ttl is not a number")
        fresh_until = now + min(max(ttl, SHORTEST_TTL), LONGEST_TTL)
        return _Copy(statuses, fresh_until, min(expires_at, now + LONGEST_LIFETIME))


def _fetch(uri: str) -> Fetched:
    fetched: Fetched = load_fetch()(uri, deadline=DEADLINE, may_be_own=True, max_bytes=MAX_BYTES)
    return fetched
