"""The protocols of stores: a small core, and capabilities that a store may add.

Every store passes :class:`flask_oauth2.testing.StoreContract`. The rules:

* A store never sees a secret: it finds everything by digests (:mod:`flask_oauth2.values`).
* ``issue`` is the only method that consumes a grant or a refresh token. It consumes and saves atomically.
* A revocation is a record that every read of a grant or a token checks. It contains the ID of an authorization (all
  its codes and tokens), the ID of an access token (one token), the ID of a consent (everything issued for it), or a
  client ID (everything issued to the client).
* The revocation of a user contains the last authorization that it covers: IDs of authorizations and consents
  (:func:`flask_oauth2.values.new_authorization_id`) sort by time. If the user signs in again, later IDs are valid.
* A durable store does not lose acknowledged data when the process dies.

An unavailable store raises :exc:`~flask_oauth2.errors.TemporarilyUnavailable`. Times are arguments, in seconds since
the epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from .. import values
from ..records import AccessToken, Authorization, Client, Consent, Grant, Session, SigningKey, Token, TokenStatus
from ..scopes import Scope

SIBLINGS = 2
"""The number of further tokens that one refresh token may yield within the grace period."""

LASTING = frozenset({"registration"})
"""The kinds of grants that are valid for days or years: initial access tokens. A store for short-lived grants passes
them to the store behind it.
"""

GRANT_MEMORY = 86400
"""Seconds for which the store retains a used or expired code, so that a late replay still revokes its authorization."""


LONGEST_ISSUER_ID = 64
"""The maximum length of the ID of an issuer, in characters."""


class Store(Protocol):
    """The methods that every store has."""

    def get_client(self, client_id: str) -> Client | None:
        """Return the client with this ID, or None."""
        ...

    def set_client(self, client: Client) -> None:
        """Save a client. Replace a client with the same ID."""
        ...

    def delete_client(self, client_id: str, expires_at: int) -> bool:
        """Delete a client and revoke everything issued to it. Return whether the client existed.

        :param expires_at: when the revocation may be purged.
        """
        ...

    def get_grant(self, key: bytes, kind: str) -> Grant | None:
        """Return the grant with this hash and kind, even if it is used or expired. Return None if it is revoked."""
        ...

    def get_access(self, key: bytes) -> AccessToken | None:
        """Return the access token with this hash, even if it has expired. Return None if it is revoked."""
        ...

    def get_refresh(self, key: bytes) -> Token | None:
        """Return the token with this refresh token hash, even if it is used or expired.

        Return None if it is revoked.
        """
        ...

    def issue(
        self, spend: Grant | Token | None, records: Iterable[Grant | Token], now: int, grace_period: int = 0
    ) -> bool:
        """Consume a grant or a refresh token and save the records issued for it, atomically. Return whether it changed.

        If the credential was consumed before, save nothing. One exception: a refresh token that was consumed less than
        ``grace_period`` seconds before or after ``now`` (clocks differ) yields up to :data:`SIBLINGS` further tokens,
        until one of its children is consumed. A duplicate key raises an error, and the store does not change.
        """
        ...

    def revoke(self, revoked_id: str, expires_at: int) -> None:
        """Revoke an authorization, a token, a client or a consent.

        :param expires_at: when the revocation may be purged. It must outlive every token that it covers.
        """
        ...

    def revoke_user(self, user_id: str, last_id: str, expires_at: int) -> None:
        """Revoke the grants, tokens and consents of a user whose authorization or consent has an ID up to ``last_id``.

        Every read of them checks the record until ``expires_at``. If there are several records, the latest ``last_id``
        applies.
        """
        ...

    def revoked(self, *ids: str, user: tuple[str, str] | None = None) -> bool:
        """Return whether any of the IDs is revoked. Guards call this for tokens without a row.

        :param user: the user of the token and the ID of its authorization, see :meth:`revoke_user`.
        """
        ...

    def count(self, key: bytes, expires_at: int, by: int = 1) -> int:
        """Increase the counter with this key and return the new count. A counter starts at zero.

        Keys of counters must differ from those of :meth:`remember`: derive them for different purposes.
        """
        ...

    def remember(self, key: bytes, expires_at: int) -> bool:
        """Save a key until ``expires_at``. Return True the first time only, even for simultaneous calls.

        This prevents the replay of proofs and assertions, such as the ``jti`` of :rfc:`9449#section-11.1`.
        """
        ...

    def purge(self, now: int) -> Iterator[int]:
        """Delete expired rows of all issuers, in small batches. Yield the number of rows of each batch."""
        ...

    def purgeable(self, now: int) -> int:
        """Return the number of rows that :meth:`purge` would delete now."""
        ...


@runtime_checkable
class IssuerStore(Protocol):
    """A store that separates the rows of several issuers. The store itself serves the issuer with the empty ID."""

    def for_issuer(self, issuer_id: str) -> Store:
        """Return a view of the rows of one issuer, which shares connections with this store.

        It has the same capabilities. ``purge``, ``purgeable`` and health checks apply to all issuers. An application
        may have thousands of views. Raise :exc:`ValueError` like :func:`verify_issuer_id`.
        """
        ...


def verify_issuer_id(issuer_id: str) -> None:
    """Raise :exc:`ValueError` if the ID of an issuer is too long or has characters other than printable ASCII."""
    if len(issuer_id) > LONGEST_ISSUER_ID or not (issuer_id.isascii() and issuer_id.isprintable()):
        raise ValueError(f"the ID of an issuer must have at most {LONGEST_ISSUER_ID} printable ASCII characters")


@runtime_checkable
class ConsentStore(Protocol):
    """A store that saves consent. Without one, every authorization request requires a consent page."""

    def get_consent(self, user_id: str, client_id: str) -> Consent | None:
        """Return the consent of a user for a client, or None."""
        ...

    def list_consents(self, user_id: str) -> Iterator[Consent]:
        """Return the consents of a user, the last used first."""
        ...

    def set_consent(self, consent: Consent, before: Consent | None) -> bool:
        """Save a consent. Return False if the stored consent is not ``before``, because another request changed it.

        :param before: the consent to replace, with the same ID, or None for a new consent.
        """
        ...

    def use_consent(self, user_id: str, client_id: str, now: int) -> None:
        """Record that the client received something for the consent."""
        ...

    def delete_consent(self, user_id: str, client_id: str, expires_at: int) -> bool:
        """Delete a consent and revoke everything issued for it. Return whether the consent existed.

        :param expires_at: when the revocation may be purged.
        """
        ...


@runtime_checkable
class DeviceStore(Protocol):
    """A store for device codes, :rfc:`8628`.

    The store saves a user code atomically with its grant. A user code of another grant is a duplicate key.
    """

    def find_device(self, user_code_key: bytes) -> Grant | None:
        """Return the grant with this user code, even if it is decided, used, expired or revoked."""
        ...

    def decide(self, grant: Grant, authorization: Authorization | None, now: int) -> bool:
        """Save the decision of the user. Return False if the grant is decided, used or expired.

        :param authorization: the authorization by the user, or None if the user denied the request.
        """
        ...

    def poll(self, grant: Grant, now: int, interval: int) -> bool:
        """Save the time of a poll and the new interval. Return False if another poll has changed the grant."""
        ...


@runtime_checkable
class ListingStore(Protocol):
    """A store that lists its clients."""

    def list_clients(self) -> Iterator[Client]:
        """Return all clients, the oldest first."""
        ...


class HealthIssue(NamedTuple):
    """A problem of the database or server that a store uses.

    ``level`` is ``error``, ``warning`` or ``note``. ``what`` describes the problem, ``hint`` its fix. ``rule`` is the
    section of a specification that the problem violates, if any.
    """

    level: str
    what: str
    hint: str
    rule: str = ""


@runtime_checkable
class HealthCheckStore(Protocol):
    """A store whose health ``flask oauth2 doctor`` checks."""

    def check_health(self, now: int) -> Iterator[HealthIssue]:
        """Return the problems of the database or server, without changes to it."""
        ...


@runtime_checkable
class RegistrationStore(Protocol):
    """A store in which several parties register clients at the same time.

    ``purge`` deletes clients whose ``expires_at`` has passed, with their consents. It saves no revocation, because such
    clients never received a token. It does not delete a client whose expiry :meth:`retain_client` has changed.
    """

    def add_client(self, client: Client) -> bool:
        """Add a client, unless its ID is taken. Return whether the client was added."""
        ...

    def retain_client(self, client_id: str, expires_at: int | None = None) -> bool:
        """Remove the expiry of a client, or extend it to ``expires_at``. Return whether the client exists."""
        ...

    def change_client(self, client: Client, before: Client) -> bool:
        """Replace a client except for ``expires_at``, which :meth:`retain_client` changes. Return whether it changed.

        It does not change if it was deleted, or if its ``registration_key``, ``secret``, ``scope`` or ``grant_types``
        differ from those of ``before``.
        """
        ...

    def list_owned(self, owner_id: str) -> Iterator[Client]:
        """Return the clients of a developer, the oldest first."""
        ...


@runtime_checkable
class OriginStore(Protocol):
    """A store with an index of the web origins of clients, for CORS.

    ``origins_of()`` of ``flask_oauth2.http.redirects`` defines the origins of a client. The store saves, changes and
    deletes them atomically with the client. Without such a store, the request of a page must contain a client ID.
    """

    def has_origin(self, *origins: str) -> bool:
        """Return whether any of the origins belongs to a client."""
        ...


@runtime_checkable
class ImportStore(Store, Protocol):
    """A store to which tokens of another provider can be imported repeatedly."""

    def find_known(self, keys: Iterable[bytes]) -> set[bytes]:
        """Return the hashes that belong to an access token or refresh token, even if it is revoked or expired."""
        ...


@runtime_checkable
class ExpiringStore(Protocol):
    """A store whose grants and counters expire by themselves, so that ``purge`` need not delete them."""

    expires_by_itself: bool


@runtime_checkable
class PubSubStore(Protocol):
    """A store that publishes revocations to all processes, so that they can remove tokens from their caches.

    ``revoke``, ``revoke_user`` and ``delete_client`` publish automatically.
    """

    def publish(self, revoked_id: str) -> None:
        """Publish a revocation to the subscribers in all processes. Raise no error if the message cannot be sent."""
        ...

    def subscribe(self, on_revoked: Callable[[str | None], None]) -> None:
        """Call ``on_revoked`` in another thread with each ID that is revoked after this call.

        Call it with None when messages may have been lost: at first, and after a reconnection.
        """
        ...


@runtime_checkable
class KeyStore(Protocol):
    """A store for signing keys. ``purge`` deletes expired keys.

    Every worker derives the state of a key from the times in its row, so that workers need no coordination.
    """

    def list_keys(self) -> list[SigningKey]:
        """Return all keys, sorted by algorithm and number."""
        ...

    def add_key(self, key: SigningKey) -> bool:
        """Add a key, unless its algorithm has a key with the same number. Return whether the key was added.

        If two workers add a key at the same time, one of them fails and must read the key of the other.
        """
        ...

    def change_key(self, key: SigningKey, before: SigningKey) -> bool:
        """Change the times and the encryption of a key. Return False if the stored key is not ``before``."""
        ...

    def delete_key(self, key: SigningKey) -> bool:
        """Delete a key. Return whether it existed."""
        ...


NEVER = 253_402_300_799
"""The end of the year 9999, in seconds since the epoch, UTC."""


@runtime_checkable
class StatusStore(Protocol):
    """A store for the status of self-contained tokens. ``purge`` deletes the status of expired tokens."""

    def reserve_statuses(self, size: int) -> int:
        """Return the first of ``size`` consecutive numbers that no other call returns. They begin at 0."""
        ...

    def add_status(self, status: TokenStatus) -> None:
        """Save the status of a token. A duplicate number raises an error."""
        ...

    def find_revoked_statuses(self, first: int, last: int) -> list[int] | None:
        """Return the numbers from ``first`` to ``last`` of revoked tokens. Return None if no token has such a number.

        A token is revoked if it, its authorization, client or consent is revoked, or its user, see
        :meth:`Store.revoke_user`.
        """
        ...


@runtime_checkable
class SessionStore(Protocol):
    """A store for the sessions of users at the authorization server and the clients that each signed in to.

    ``purge`` deletes a session and its clients when the session expires, even if it has ended before.
    """

    def add_session(self, session: Session) -> None:
        """Add a session. A duplicate ID raises an error."""
        ...

    def get_session(self, session_id: str) -> Session | None:
        """Return the session with this ID (``sid``), even if it has ended or expired."""
        ...

    def list_sessions(self, user_id: str) -> list[Session]:
        """Return all sessions of a user, including ended and expired sessions, the oldest first."""
        ...

    def end_session(self, session_id: str, now: int) -> bool:
        """End a session. Return True exactly once, so that only one request notifies the clients."""
        ...

    def add_session_client(self, session_id: str, client_id: str) -> None:
        """Record that a session signed in to a client."""
        ...

    def list_session_clients(self, session_id: str) -> list[str]:
        """Return the IDs of the clients that a session signed in to."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """A store and its capabilities, collected once. A missing capability is None.

    ``health`` contains the stores of the chain that have a health check.
    """

    core: Store
    consents: ConsentStore | None
    devices: DeviceStore | None
    listing: ListingStore | None
    registration: RegistrationStore | None
    origins: OriginStore | None
    imports: ImportStore | None
    pubsub: PubSubStore | None
    keys: KeyStore | None
    sessions: SessionStore | None
    statuses: StatusStore | None
    issuers: IssuerStore | None
    health: tuple[HealthCheckStore, ...]


def collect(store: Store) -> Stores:
    """Return a store with its capabilities. The store ``behind`` it provides the capabilities that it lacks."""
    chain: list[Any] = []
    behind: Any = store
    while behind is not None:
        chain.append(behind)
        behind = getattr(behind, "behind", None)

    def find(capability: Any) -> Any:
        return next((one for one in chain if isinstance(one, capability)), None)

    has_own_clients = getattr(store, "has_own_clients", False)
    return Stores(
        core=store,
        consents=find(ConsentStore),
        devices=find(DeviceStore),
        listing=find(ListingStore),
        registration=None if has_own_clients else find(RegistrationStore),
        origins=None if has_own_clients else find(OriginStore),
        imports=find(ImportStore),
        pubsub=find(PubSubStore),
        keys=find(KeyStore),
        sessions=find(SessionStore),
        statuses=find(StatusStore),
        issuers=find(IssuerStore) if all(isinstance(one, IssuerStore) for one in chain) else None,
        health=tuple(one for one in chain if isinstance(one, HealthCheckStore)),
    )


MOST_DETAILS = 100
"""The maximum number of authorization details of a consent; the oldest make room."""


def widened(
    before: Consent | None,
    user_id: str,
    client_id: str,
    scope: Scope,
    now: float,
    resource: tuple[str, ...] = (),
    details: tuple[dict[str, Any], ...] = (),
) -> Consent:
    """Return the previous consent of a user with additional scope and authorization details.

    It retains the ID, so one revocation covers both.
    """
    known = before.authorization_details if before else ()
    held = before.at_each if before else {}
    at_each = {**held, **{name: _union(held.get(name, ()), scope) for name in resource or ("",)}}
    return Consent(
        id=before.id if before else values.new_authorization_id(now),
        user_id=user_id,
        client_id=client_id,
        scope=_union(before.scope if before else (), scope),
        granted_at=before.granted_at if before else int(now),
        used_at=int(now),
        by_resource={} if set(at_each) == {""} else at_each,
        authorization_details=(*known, *(detail for detail in details if detail not in known))[-MOST_DETAILS:],
    )


def _union(one: Scope, other: Scope) -> Scope:
    return tuple(dict.fromkeys((*one, *other)))
