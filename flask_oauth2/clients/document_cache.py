"""The cache of client ID metadata documents, which separate threads fetch.

Requests for a document that is being fetched share one response. A stale copy is used while a new one is fetched,
draft-ietf-oauth-client-id-metadata-document section 4.4.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from threading import Lock, Thread
from typing import TYPE_CHECKING, TypeVar

from .. import values
from ..errors import ConfigurationError, FetchError, TemporarilyUnavailable
from ..http import freshness, redirects, urls
from ..processes import OfProcess
from ..records import Client
from ..server import AuthorizationServer
from .documents import GRANT_TYPES, ORIGIN, RULE, find_fault, is_own, read
from .validators import InvalidMetadata

if TYPE_CHECKING:
    from ..http.fetch import Fetched

log = logging.getLogger("flask_oauth2")

MOST = 1000
"""Cached documents, and remembered failures. The least recently used one makes room."""

SHORTEST = 300
LONGEST = 86400
"""Bounds of the seconds for which a document is fresh, whatever its server says."""

_USUAL = 3600
"""Seconds for which a document is fresh if its server does not say."""

MOST_STALE = 86400
"""Further seconds for which a stale document is used if its server is unreachable."""

DEADLINE = 5.0
"""Seconds after which a fetch fails."""

FAILED_FOR = 30
"""Seconds after a failure in which a document is not fetched again: a limit of the rate, not a cached response."""

MOST_AT_ONCE = 8
"""Documents that one process fetches at a time."""

MOMENT = 0.5
"""Seconds that every request may wait for a document."""

MOST_WAITING = 2
"""Requests of one process that may wait longer. The other threads of a worker answer other requests."""

MOST_OF_HOST = 30
"""Documents of one host that are fetched in a minute, so that no host is flooded."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no client behind a URL: ``reason`` for the client, ``came`` and ``hint`` for the log only."""

    reason: str
    rule: str
    received: str | None = None
    hint: str | None = None
    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class _Copy:
    client: Client
    fresh_until: float


def can_fetch() -> bool:
    """Return whether the library that fetches documents is installed."""
    return find_spec("httpcore") is not None


def check_installed() -> None:
    """Raise :exc:`ConfigurationError` if documents cannot be fetched."""
    if not can_fetch():
        raise ConfigurationError("OAUTH2_CLIENT_ID_METADATA_DOCUMENTS needs httpcore: install flask_oauth2[documents]")


class _Fetching:
    """The fetches of one process. A forked process has none of the threads of its parent."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.under_way: dict[str, Future[Client | Failure]] = {}
        self.waiting = 0
        """Requests that wait for longer than a moment."""


class Documents:
    """The clients behind URLs, for one server."""

    def __init__(self, server: AuthorizationServer) -> None:
        self.fetch: Callable[[str, bool], Fetched] = _fetch
        self._server = server
        self._own_hosts = frozenset(server.settings.client_id_metadata_document_allowed_hosts)
        self._copies: OrderedDict[str, _Copy] = OrderedDict()
        self._failures: OrderedDict[str, tuple[float, Failure]] = OrderedDict()
        self._visits: OrderedDict[tuple[str, int], int] = OrderedDict()
        self._fetching = OfProcess(_Fetching)

    @property
    def _lock(self) -> Lock:
        return self._fetching.own.lock

    @property
    def _under_way(self) -> dict[str, Future[Client | Failure]]:
        return self._fetching.own.under_way

    def find(self, client_id: str) -> Client | Failure:
        """Return the client behind a URL, or why there is none.

        Raises :exc:`TemporarilyUnavailable` if too many others are being fetched, or awaited for long.
        """
        fault = self._find_fault(client_id)
        if fault is not None:
            return fault
        now = self._server.clock()
        with self._lock:
            copy = self._find_copy(client_id, now)
            if copy is not None and now < copy.fresh_until:
                return copy.client
            failed_until, failure = self._failures.get(client_id, (0.0, None))
            if failure is not None and now < failed_until:
                return copy.client if copy is not None else failure
            awaited = self._under_way.get(client_id)
            if awaited is None:
                if not self._may_fetch(client_id, now):
                    if copy is not None:
                        return copy.client
                    raise _too_many()
                awaited = self._begin_fetch(client_id)
        if copy is not None:
            return copy.client
        return self._await(awaited)

    def _await(self, awaited: Future[Client | Failure]) -> Client | Failure:
        with suppress(TimeoutError):
            return awaited.result(MOMENT)
        fetching = self._fetching.own
        with fetching.lock:
            if fetching.waiting >= MOST_WAITING:
                raise _too_many()
            fetching.waiting += 1
        try:
            return awaited.result(DEADLINE + 1 - MOMENT)
        except TimeoutError:  # of the name resolver, which has no deadline
            return _fail_to_fetch(FetchError("no answer in time"))
        finally:
            with fetching.lock:
                fetching.waiting -= 1

    def _find_fault(self, client_id: str) -> Failure | None:
        fault = find_fault(client_id, self._own_hosts)
        if fault is not None:
            return Failure(f"client_id {fault}", f"{RULE} 3", received=client_id)
        if redirects.web_origin(client_id) == redirects.web_origin(self._server.issuer):
            reason = "client_id is a document of this very site, which may hold what others have brought here"
            return Failure(reason, f"{RULE} 6", received=client_id)
        return None

    def presume(self, client_id: str) -> Client | None:
        """Return the client that an unread document may describe; None if the URL is not valid.

        If the user of a device allows it at this moment, it receives a refresh token. The token is usable only if the
        document names the grant.
        """
        if self._find_fault(client_id) is not None:
            return None
        return Client(
            client_id=client_id,
            auth_method="none",
            grant_types=GRANT_TYPES,
            scope=self._server.open_scopes,
            created_at=int(self._server.clock()),
            registered_by=ORIGIN,
        )

    def find_cached(self, client_id: str) -> Client | None:
        """Return the client behind a URL if its document is cached."""
        with self._lock:
            copy = self._find_copy(client_id, self._server.clock())
        return copy.client if copy is not None else None

    def _find_copy(self, client_id: str, now: float) -> _Copy | None:
        """Return the copy of a document unless it is too old, and mark it as recently used."""
        copy = self._copies.get(client_id)
        if copy is None or now >= copy.fresh_until + MOST_STALE:
            return None
        self._copies.move_to_end(client_id)
        return copy

    def _may_fetch(self, client_id: str, now: float) -> bool:
        visit = (urls.host_of(client_id), int(now) // 60)
        count = self._visits.get(visit, 0)
        if len(self._under_way) >= MOST_AT_ONCE or count >= MOST_OF_HOST:
            return False
        _put(self._visits, visit, count + 1)
        return True

    def _begin_fetch(self, client_id: str) -> Future[Client | Failure]:
        awaited: Future[Client | Failure] = Future()
        thread = Thread(target=self._fetch_one, args=(client_id, awaited), name="flask_oauth2 document", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system cannot start another thread
            raise _too_many() from None
        self._under_way[client_id] = awaited
        return awaited

    def _fetch_one(self, client_id: str, awaited: Future[Client | Failure]) -> None:
        """Fetch a document in a separate thread, cache it, and wake the waiting requests."""
        found: Client | Failure = Failure("the metadata document of the client cannot be read", f"{RULE} 4")
        try:
            found, lifetime = self._read(client_id)
            stays = False
            with self._lock:
                now = self._server.clock()
                if isinstance(found, Client):
                    _put(self._copies, client_id, _Copy(found, now + lifetime))
                    self._failures.pop(client_id, None)
                elif found.is_gone:  # removing the document withdraws the client
                    self._copies.pop(client_id, None)
                    _put(self._failures, client_id, (now + lifetime, found))
                else:  # errors and wrong documents "MUST NOT" be cached, section 4.4: a copy of before stays
                    _put(self._failures, client_id, (now + lifetime, found))
                    stays = self._find_copy(client_id, now) is not None
            if stays and isinstance(found, Failure):
                received = values.mask(str(found.received)[:200])  # text of an unverified party
                log.warning("%s stays as it was: %s; received %r", values.mask(client_id), found.reason, received)
        finally:
            with self._lock:
                self._under_way.pop(client_id, None)
            awaited.set_result(found)

    def _read(self, client_id: str) -> tuple[Client | Failure, float]:
        """Return a client or a failure, and the seconds for which it is fresh or remembered."""
        try:
            fetched = self.fetch(client_id, is_own(client_id, self._own_hosts))
            return read(fetched, client_id, self._server), find_lifetime(fetched.headers, self._server.clock())
        except FetchError as error:
            return _fail_to_fetch(error), FAILED_FOR
        except InvalidMetadata as error:
            # the reason may contain text of an unverified party, which this site does not show as its own
            reason = f"the metadata document of the client is wrong: see {error.field}"
            return Failure(reason, f"{RULE} 4.1", received=str(error), hint="correct the document"), FAILED_FOR


def _fetch(url: str, may_be_own: bool) -> Fetched:
    from ..http.fetch import fetch  # needs httpcore, an optional dependency

    return fetch(url, may_be_own=may_be_own, deadline=DEADLINE)


def _too_many() -> TemporarilyUnavailable:
    return TemporarilyUnavailable(
        "too many metadata documents are being fetched",
        retry_after=5,
        rule=f"{RULE} 6.6",
        hint="nothing, if it stays rare: the client may try again after Retry-After",
    )


def _fail_to_fetch(error: FetchError) -> Failure:
    hint = error.hint or "see that the client_id answers by status 200 with JSON"
    reason = "the metadata document of the client cannot be fetched"
    return Failure(reason, f"{RULE} 4", received=error.reason, hint=hint, is_gone=error.is_gone)


_K = TypeVar("_K")
_V = TypeVar("_V")


def _put(entries: OrderedDict[_K, _V], key: _K, value: _V) -> None:
    entries[key] = value
    entries.move_to_end(key)
    if len(entries) > MOST:
        entries.popitem(last=False)


def find_lifetime(headers: Mapping[str, str], now: float) -> float:
    """Return the seconds for which a response is fresh, :rfc:`9111#section-4.2`, within bounds (section 4.4)."""
    return freshness.find_lifetime(headers, now, usual=_USUAL, shortest=SHORTEST, longest=LONGEST)
