"""The key sets of other parties, such as clients and issuers: inline, or fetched from their ``jwks_uri``.

A set is fetched once for all requests that wait for it, and again when it is stale or lacks a key, at a bounded rate.
A stale set is used while the other server is unavailable, for a bounded time.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.util import find_spec
from threading import Lock
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError, FetchError
from ..http import urls
from ..http.fetch_limits import Bounded, FetchRate
from ..http.freshness import find_lifetime
from ..processes import OfProcess
from .encoding import JOSEError
from .jose import FindKeys
from .jwk import MAX_SET_SIZE, Key, KeySet, read_set

if TYPE_CHECKING:
    from ..http.fetch import Fetched

log = logging.getLogger("flask_oauth2")

MAX_SETS = 1000
"""The maximum number of cached sets. A new one replaces the least recently used one."""

USUAL_LIFETIME = 900
SHORTEST_LIFETIME = 60
LONGEST_LIFETIME = 3600
"""The freshness lifetime of a set in seconds, within limits. A withdrawn key is accepted at most that long."""

MAX_STALE = 86400
"""Further seconds for which a stale set is used if its server is unavailable."""

REFETCH_AFTER = 30
"""Minimum seconds between two fetches of one set. Unknown ``kid`` values do not shorten it."""

MAX_AT_ONCE = 8
"""The maximum number of concurrent fetches of a process."""

MAX_OF_HOST = 60
"""The maximum number of fetches from one host in a minute."""

DEADLINE = 5.0
"""Seconds after which a fetch fails."""


class KeysUnavailable(JOSEError):
    """The keys of a party cannot be fetched now. The token may be good."""


@dataclass(frozen=True, slots=True)
class _Copy:
    keys: KeySet
    fresh_until: float


class _Fetching:
    """The fetches of one process."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.under_way: dict[str, Future[None]] = {}


class RemoteKeys:
    """The key sets behind URLs."""

    def __init__(self) -> None:
        self.fetch: Callable[[str, bool], Fetched] = _fetch
        self._copies: Bounded[str, _Copy] = Bounded(MAX_SETS)
        self._tried: Bounded[str, tuple[float, str]] = Bounded(MAX_SETS)
        """The time of the last fetch of each URL, and why it failed; empty if it did not."""
        self._rate = FetchRate(MAX_AT_ONCE, MAX_OF_HOST, MAX_SETS)
        self._fetching = OfProcess(_Fetching)

    def source(self, url: str, now: float, *, may_be_own: bool = False) -> FindKeys:
        """Return the ``keys`` of a policy for the party with this ``jwks_uri``.

        :param may_be_own: whether the host may be on this machine or its network, see :func:`~.http.fetch.fetch`.
        """
        return partial(self.find_keys, url, now, may_be_own)

    def find_keys(self, url: str, now: float, may_be_own: bool, kid: str | None, algorithm: str) -> list[Key]:
        """Return the keys of a party that may have made a signature.

        Raises :exc:`KeysUnavailable` if its set cannot be fetched, and :exc:`.JOSEError` for an invalid URL.
        """
        copy = self._find_copy(url, now)
        found = [] if copy is None else copy.keys.find(kid, algorithm)
        if copy is None or now >= copy.fresh_until:
            copy = self._renew(url, now, may_be_own, copy, has_key=bool(found))
            found = copy.keys.find(kid, algorithm)
        if found or not self._may_refetch(url, now):
            return found
        return self._renew(url, now, may_be_own, copy, has_key=False).keys.find(kid, algorithm)

    def _find_copy(self, url: str, now: float) -> _Copy | None:
        with self._fetching.own.lock:
            copy = self._copies.get(url)
            if copy is None or now >= copy.fresh_until + MAX_STALE:
                return None
            self._copies.move_to_end(url)
            return copy

    def _may_refetch(self, url: str, now: float) -> bool:
        tried_at, _ = self._tried.get(url, (float("-inf"), ""))
        return not 0 <= now - tried_at < REFETCH_AFTER

    def _renew(self, url: str, now: float, may_be_own: bool, copy: _Copy | None, *, has_key: bool) -> _Copy:
        """Return a new copy, or the previous one if the other server is unavailable.

        :param has_key: whether the previous copy has the key, so that this thread need not wait for another one.
        """
        try:
            self._fetch_once(url, now, may_be_own, waits=not has_key)
        except KeysUnavailable:
            if copy is None:
                raise
        found = self._find_copy(url, now) or copy
        if found is None:
            _, failure = self._tried.get(url, (0.0, ""))
            raise KeysUnavailable(f"the key set of the party cannot be used: {failure}")
        return found

    def _fetch_once(self, url: str, now: float, may_be_own: bool, *, waits: bool) -> None:
        """Fetch a set, or wait for the thread that fetches it."""
        fetching = self._fetching.own
        with fetching.lock:
            awaited = fetching.under_way.get(url)
            if awaited is None:
                if not self._may_refetch(url, now):
                    return
                if not self._rate.admit(url, now, len(fetching.under_way)):
                    raise KeysUnavailable("too many key sets are being fetched")
                mine = fetching.under_way[url] = Future()
        if awaited is not None:
            if waits:
                awaited.result()  # the fetch ends at its deadline
            return
        failure = "the fetch was interrupted"
        try:
            failure = self._fetch(url, now, may_be_own)
        finally:
            with fetching.lock:
                self._tried.put(url, (now, failure))
                del fetching.under_way[url]
            mine.set_result(None)

    def _fetch(self, url: str, now: float, may_be_own: bool) -> str:
        """Fetch a set and save a copy. Return why that failed, or an empty text."""
        try:
            check_url(url, may_be_own=may_be_own)
            fetched = self.fetch(url, may_be_own)
            keys = read_set(fetched.body)
        except (FetchError, JOSEError) as error:
            log.warning("the key set of %s cannot be used: %s", urls.host_of(url), error.reason)
            return error.reason
        lifetime = find_lifetime(
            fetched.headers, now, usual=USUAL_LIFETIME, shortest=SHORTEST_LIFETIME, longest=LONGEST_LIFETIME
        )
        with self._fetching.own.lock:
            self._copies.put(url, _Copy(keys, now + lifetime))
        return ""


def read_inline(jwks: Mapping[str, Any]) -> KeySet:
    """Return the keys of a ``jwks`` that is part of metadata. Raises :exc:`.JOSEError`. Equal sets are parsed once."""
    return _read_text(json.dumps(jwks, sort_keys=True))


@lru_cache(MAX_SETS)
def _read_text(text: str) -> KeySet:
    return read_set(text.encode())


def check_url(url: str, *, may_be_own: bool = False) -> None:
    """Raise :exc:`.JOSEError` for a ``jwks_uri`` from which nothing is fetched.

    :param may_be_own: also accept http on this machine.
    """
    parts = urls.parse(url)
    is_allowed = urls.is_https(url) or (may_be_own and urls.is_loopback(url))
    if parts is None or not is_allowed or "@" in parts.netloc or "#" in url or urls.find_host_fault(url) is not None:
        raise JOSEError("the jwks_uri is not an https URL without user name and fragment")


def _fetch(url: str, may_be_own: bool) -> Fetched:
    if find_spec("httpcore") is None:
        raise ConfigurationError("fetching the keys of other parties needs httpcore: install flask_oauth2[jose]")
    from ..http.fetch import fetch  # needs httpcore, an optional dependency

    return fetch(url, may_be_own=may_be_own, deadline=DEADLINE, max_bytes=MAX_SET_SIZE)
