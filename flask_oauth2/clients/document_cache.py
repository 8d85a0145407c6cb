"""The cache of client ID metadata documents, draft-ietf-oauth-client-id-metadata-document section 4.4.

Separate threads fetch the documents. Concurrent requests for a document share one fetch. While a thread fetches a new
copy, requests use the stale copy.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from threading import Lock, Thread
from typing import TYPE_CHECKING

from .. import values
from ..errors import ConfigurationError, FetchError, TemporarilyUnavailable
from ..http import freshness, redirects
from ..http.fetch_limits import Bounded, FetchRate
from ..processes import OfProcess
from ..records import Client
from ..server import AuthorizationServer
from .documents import GRANT_TYPES, ORIGIN, RULE, find_fault, is_own, read
from .validators import InvalidMetadata

if TYPE_CHECKING:
    from ..http.fetch import Fetched

log = logging.getLogger("flask_oauth2")

MOST = 1000
"""The maximum number of cached documents and of cached failures. The least recently used one is removed."""

SHORTEST = 300
LONGEST = 86400
"""Limits of the freshness lifetime of a document in seconds. They override its Cache-Control header."""

_USUAL = 3600
"""The freshness lifetime in seconds of a document without caching headers."""

MOST_STALE = 86400
"""Additional seconds for which a stale document is used if its server is unreachable."""

DEADLINE = 5.0
"""The maximum duration of a fetch in seconds."""

FAILED_FOR = 30
"""Seconds after a failure before a document is fetched again. This is a rate limit, not a cached response."""

MOST_AT_ONCE = 8
"""The maximum number of concurrent fetches of a process."""

MOMENT = 0.5
"""Seconds that any request may wait for a document."""

MOST_WAITING = 2
"""The maximum number of requests of a process that wait longer. Its other threads answer other requests."""

MOST_OF_HOST = 30
"""The maximum number of fetches from one host in a minute, so that the server cannot be used to flood a host."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The reason why a URL identifies no client. The client receives ``reason``; the log has all fields."""

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
    """Return whether httpcore, which fetches documents, is installed."""
    return find_spec("httpcore") is not None


def check_installed() -> None:
    """Raise :exc:`ConfigurationError` if httpcore is not installed."""
    if not can_fetch():
        raise ConfigurationError(
            "OAUTH2_CLIENT_ID_METADATA_DOCUMENTS needs httpcore. Install it with: pip install flask_oauth2[documents]"
        )


class _Fetching:
    """The fetches of one process. A forked process has none of the threads of its parent."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.under_way: dict[str, Future[Client | Failure]] = {}
        self.waiting = 0
        """The number of requests that wait longer than :data:`MOMENT`."""


class Documents:
    """The clients that are identified by URLs, for one authorization server."""

    def __init__(self, server: AuthorizationServer) -> None:
        self.fetch: Callable[[str, bool], Fetched] = _fetch
        self._server = server
        self._own_hosts = frozenset(server.settings.client_id_metadata_document_allowed_hosts)
        self._copies: Bounded[str, _Copy] = Bounded(MOST)
        self._failures: Bounded[str, tuple[float, Failure]] = Bounded(MOST)
        self._rate = FetchRate(MOST_AT_ONCE, MOST_OF_HOST, MOST)
        self._fetching = OfProcess(_Fetching)

    @property
    def _lock(self) -> Lock:
        return self._fetching.own.lock

    @property
    def _under_way(self) -> dict[str, Future[Client | Failure]]:
        return self._fetching.own.under_way

    def find(self, client_id: str) -> Client | Failure:
        """Return the client that a URL identifies, or a failure.

        Raise :exc:`TemporarilyUnavailable` if too many fetches are in progress or too many requests wait for one.
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
                if not self._rate.admit(client_id, now, len(self._under_way)):
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
        except TimeoutError:  # the name resolver has no timeout
            return _fail_to_fetch(FetchError("the response timed out"))
        finally:
            with fetching.lock:
                fetching.waiting -= 1

    def _find_fault(self, client_id: str) -> Failure | None:
        fault = find_fault(client_id, self._own_hosts)
        if fault is not None:
            return Failure(f"client_id {fault}", f"{RULE} 3", received=client_id)
        if redirects.web_origin(client_id) == redirects.web_origin(self._server.issuer):
            reason = "client_id is a URL of the authorization server, which could serve content that users uploaded"
            return Failure(reason, f"{RULE} 6", received=client_id)
        return None

    def presume(self, client_id: str) -> Client | None:
        """Return a client for a URL whose document has not been read, or None if the URL is not valid.

        A device of this client may receive a refresh token. The token is usable only if the document lists the grant
        type.
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
        """Return the client that a URL identifies if its document is cached, or None."""
        with self._lock:
            copy = self._find_copy(client_id, self._server.clock())
        return copy.client if copy is not None else None

    def _find_copy(self, client_id: str, now: float) -> _Copy | None:
        """Return the copy of a document unless it is too old, and move it to the end of the removal order."""
        copy = self._copies.get(client_id)
        if copy is None or now >= copy.fresh_until + MOST_STALE:
            return None
        self._copies.move_to_end(client_id)
        return copy

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
        """Fetch a document and cache it. Then wake the waiting requests. Runs in a separate thread."""
        found: Client | Failure = Failure("the server cannot read the metadata document of the client", f"{RULE} 4")
        try:
            found, lifetime = self._read(client_id)
            stays = False
            with self._lock:
                now = self._server.clock()
                if isinstance(found, Client):
                    self._copies.put(client_id, _Copy(found, now + lifetime))
                    self._failures.pop(client_id, None)
                elif found.is_gone:  # the owner of a client removes the document to delete the client
                    self._copies.pop(client_id, None)
                    self._failures.put(client_id, (now + lifetime, found))
                else:  # errors and invalid documents "MUST NOT" be cached, section 4.4: the older copy stays
                    self._failures.put(client_id, (now + lifetime, found))
                    stays = self._find_copy(client_id, now) is not None
            if stays and isinstance(found, Failure):
                received = values.mask(str(found.received)[:200])  # unverified text
                log.warning(
                    "Using the cached metadata document of client %s: %s; received %r",
                    values.mask(client_id),
                    found.reason,
                    received,
                )
        finally:
            with self._lock:
                self._under_way.pop(client_id, None)
            awaited.set_result(found)

    def _read(self, client_id: str) -> tuple[Client | Failure, float]:
        """Return a client or a failure, and the seconds for which it may be cached."""
        try:
            fetched = self.fetch(client_id, is_own(client_id, self._own_hosts))
            return read(fetched, client_id, self._server), find_lifetime(fetched.headers, self._server.clock())
        except FetchError as error:
            return _fail_to_fetch(error), FAILED_FOR
        except InvalidMetadata as error:
            # the message may contain unverified text, which a page must not show as text of this site
            reason = f"the metadata document of the client is not valid: check {error.field}"
            return Failure(reason, f"{RULE} 4.1", received=str(error), hint="correct the document"), FAILED_FOR


def _fetch(url: str, may_be_own: bool) -> Fetched:
    from ..http.fetch import fetch  # needs httpcore, an optional dependency

    return fetch(url, may_be_own=may_be_own, deadline=DEADLINE)


def _too_many() -> TemporarilyUnavailable:
    return TemporarilyUnavailable(
        "the server is fetching too many metadata documents",
        retry_after=5,
        rule=f"{RULE} 6.6",
        hint="let the client try again after the time in Retry-After",
    )


def _fail_to_fetch(error: FetchError) -> Failure:
    hint = error.hint or "let the URL of the client_id respond with status 200 and JSON"
    reason = "the server cannot fetch the metadata document of the client"
    return Failure(reason, f"{RULE} 4", received=error.reason, hint=hint, is_gone=error.is_gone)


def find_lifetime(headers: Mapping[str, str], now: float) -> float:
    """Return the freshness lifetime of a response in seconds, :rfc:`9111#section-4.2`, within :data:`SHORTEST` and
    :data:`LONGEST`.
    """
    return freshness.find_lifetime(headers, now, usual=_USUAL, shortest=SHORTEST, longest=LONGEST)
