"""The protocols of stores: a core that can be written for a new database in an afternoon, and capabilities.

Every store passes :class:`flask_oauth2.testing.StoreContract`. The rules:

* A store never sees a secret: it finds everything by digests (:mod:`flask_oauth2.values`).
* ``issue`` is the only method that spends anything. It spends and saves in one step.
* A revocation is a record that every read of a grant or a token looks at. It names the ID of an authorization (the
  family), the text of an access key (one token), the ID of a consent (everything issued for it), or a client_id
  (everything issued to the client).
* The revocation of a user is another such record. It names the last authorization that it covers: IDs of
  authorizations and consents (:func:`flask_oauth2.values.new_authorization_id`) sort by time. A user who signs in
  again gets later ones.
* A store that is called lasting does not lose what it has acknowledged when the process dies.

A store that cannot be reached raises :exc:`~flask_oauth2.errors.TemporarilyUnavailable`. Times are seconds since the
epoch, UTC, and always arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from .. import values
from ..records import AccessToken, Authorization, Client, Consent, Grant, Session, SigningKey, Token
from ..scopes import Scope

SIBLINGS = 2
"""The number of further tokens that one refresh token may give within the grace period."""

LASTING = frozenset({"registration"})
"""Kinds of grants that live for days or years: initial access tokens. A store for short-lived grants leaves them to the
store behind it."""

GRANT_MEMORY = 86400
"""Seconds for which a spent or expired code stays, so that a late replay still revokes its family."""


LONGEST_ISSUER_ID = 64
"""Characters that the ID of an issuer may have."""


class Store(Protocol):
    """The core, which every store has."""

    def get_client(self, client_id: str) -> Client | None:
        """Return the client with this ID, or None."""
        ...

    def set_client(self, client: Client) -> None:
        """Add a client, or replace the one with its ID."""
        ...

    def delete_client(self, client_id: str, expires_at: int) -> bool:
        """Delete a client and revoke everything issued to it. Return whether the client existed.

        :param expires_at: when the revocation may be purged.
        """
        ...

    def get_grant(self, key: bytes, kind: str) -> Grant | None:
        """Return the grant with this key and kind, also a spent or expired one. Return None if it is revoked."""
        ...

    def get_access(self, key: bytes) -> AccessToken | None:
        """Return the access token with this key, also an expired one. Return None if it is revoked."""
        ...

    def get_refresh(self, key: bytes) -> Token | None:
        """Return the token whose refresh token has this key, also a spent or expired one.

        Return None if it is revoked.
        """
        ...

    def issue(self, spend: Grant | Token | None, records: Iterable[Grant | Token], now: int, leeway: int = 0) -> bool:
        """Spend a grant or a refresh token and save what is issued for it: both or neither. Return whether it was done.

        Spend nothing twice, and then save nothing. One exception: a refresh token that was spent less than ``leeway``
        seconds before ``now``, or after it (clocks differ and are set back), gives up to :data:`SIBLINGS` further
        tokens, until one of its children is spent. A duplicate key raises an error, which leaves everything as it was.
        """
        ...

    def revoke(self, revoked_id: str, expires_at: int) -> None:
        """Revoke an authorization, a token, a client or a consent.

        :param expires_at: when the revocation may be purged. It must outlive every token that it covers.
        """
        ...

    def revoke_user(self, user_id: str, last_id: str, expires_at: int) -> None:
        """Revoke the grants, tokens and consents of a user whose authorization or consent has an ID up to ``last_id``.

        Every read of them looks at the record until ``expires_at``. Of two records the later ``last_id`` holds.
        """
        ...

    def revoked(self, *ids: str, user: tuple[str, str] | None = None) -> bool:
        """Return whether any of the IDs is revoked, for tokens that have no row.

        :param user: the user of the token and the ID of its authorization, see :meth:`revoke_user`.
        """
        ...

    def count(self, key: bytes, expires_at: int, by: int = 1) -> int:
        """Add to the counter with this key, which begins at zero and expires at ``expires_at``. Return the new count.

        Keys of counters and those of :meth:`remember` are different: derive them for different purposes.
        """
        ...

    def remember(self, key: bytes, expires_at: int) -> bool:
        """Remember a key until ``expires_at``. Return True the first time only, however many ask at once.

        The replay memory of proofs and assertions, such as the ``jti`` of :rfc:`9449#section-11.1`.
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
    """A store that keeps the rows of several issuers apart.

    The store itself is that of the issuer whose ID is empty.
    """

    def for_issuer(self, issuer_id: str) -> Store:
        """Return a view that sees and changes the rows of one issuer only, and shares connections with this store.

        It has the same capabilities. ``purge``, ``purgeable`` and health checks are those of all issuers. Views are
        cheap, so that an application may have thousands. Raises :exc:`ValueError` like :func:`verify_issuer_id`.
        """
        ...


def verify_issuer_id(issuer_id: str) -> None:
    """Raise :exc:`ValueError` for an ID of an issuer that not every store can save."""
    if len(issuer_id) > LONGEST_ISSUER_ID or not (issuer_id.isascii() and issuer_id.isprintable()):
        raise ValueError(f"the ID of an issuer must have at most {LONGEST_ISSUER_ID} printable ASCII characters")


@runtime_checkable
class ConsentStore(Protocol):
    """A store that remembers consent. Without one, users are asked each time."""

    def get_consent(self, user_id: str, client_id: str) -> Consent | None:
        """Return the consent of a user for a client, or None."""
        ...

    def list_consents(self, user_id: str) -> Iterator[Consent]:
        """Return the consents of a user, the last used first."""
        ...

    def set_consent(self, consent: Consent, before: Consent | None) -> bool:
        """Save a consent in place of ``before``, whose ID it has. None means that there is none yet.

        Return whether it was saved: not if somebody else has changed or deleted the consent meanwhile.
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
    """A store for device codes, which users decide about while clients poll, :rfc:`8628`.

    A user code is saved with its grant, in the same step. A user code that another grant has is a duplicate key.
    """

    def find_device(self, user_code_key: bytes) -> Grant | None:
        """Return the grant with this user code, also one that is decided, spent, expired or revoked."""
        ...

    def decide(self, grant: Grant, authorization: Authorization | None, now: int) -> bool:
        """Save the decision of the user; None denies. Return whether it was saved.

        A grant that is decided, spent or expired does not change any more.
        """
        ...

    def poll(self, grant: Grant, now: int, interval: int) -> bool:
        """Record a poll of the client, and the interval from now on. Return whether it was recorded.

        It is not if another poll has changed ``polled_at`` or ``interval`` meanwhile.
        """
        ...


@runtime_checkable
class ListingStore(Protocol):
    """A store that lists its clients."""

    def list_clients(self) -> Iterator[Client]:
        """Return all clients, the oldest first."""
        ...


class HealthIssue(NamedTuple):
    """A problem of the database or server that a store uses.

    ``level`` is ``error``, ``warning`` or ``note``; ``rule`` is the section that requires otherwise, if one does.
    """

    level: str
    what: str
    hint: str
    rule: str = ""


@runtime_checkable
class HealthCheckStore(Protocol):
    """A store whose health ``flask oauth2 doctor`` checks."""

    def check_health(self, now: int) -> Iterator[HealthIssue]:
        """Return the problems of the database or server. Change nothing."""
        ...


@runtime_checkable
class RegistrationStore(Protocol):
    """A store in which several parties register clients at the same time.

    Its ``purge`` deletes clients whose ``expires_at`` has passed, with their consents. It leaves no revocation, since
    such a client never received a token. A client that :meth:`keep_client` has kept meanwhile stays.
    """

    def add_client(self, client: Client) -> bool:
        """Add a client, unless its ID is taken. Return whether the client was added."""
        ...

    def keep_client(self, client_id: str, expires_at: int | None = None) -> bool:
        """Keep a client for good, or at least until ``expires_at``. Return whether the client exists."""
        ...

    def change_client(self, client: Client, before: Client) -> bool:
        """Replace all of a client but ``expires_at``, which :meth:`keep_client` changes. Return whether it was done.

        It is not if the client is gone, or has another ``registration_key``, ``secret``, ``scope`` or other
        ``grant_types`` than ``before``.
        """
        ...

    def list_owned(self, owner_id: str) -> Iterator[Client]:
        """Return the clients of a developer, the oldest first."""
        ...


@runtime_checkable
class OriginStore(Protocol):
    """A store that finds the origins of the pages of clients without reading each client.

    ``origins_of()`` of ``flask_oauth2.http.redirects`` defines the origins of a client. The store saves, changes and
    deletes them with the client, in the same step. Without such a store, a page may call only if its request names the
    client.
    """

    def has_origin(self, *origins: str) -> bool:
        """Return whether any of the origins is one of a client."""
        ...


@runtime_checkable
class ImportStore(Store, Protocol):
    """A store to which tokens of another provider can be imported repeatedly."""

    def find_known(self, keys: Iterable[bytes]) -> set[bytes]:
        """Return those of the keys that an access or a refresh token has, also a revoked or expired one."""
        ...


@runtime_checkable
class ExpiringStore(Protocol):
    """A store whose grants and counters expire by themselves, so that ``purge`` need not delete them."""

    expires_by_itself: bool


@runtime_checkable
class PubSubStore(Protocol):
    """A store that tells all processes about revocations, so that none of them reads again what it remembers.

    ``revoke``, ``revoke_user`` and ``delete_client`` publish by themselves.
    """

    def publish(self, revoked_id: str) -> None:
        """Tell the subscribers of all processes about a revocation. It is no error if they cannot be told."""
        ...

    def subscribe(self, on_revoked: Callable[[str | None], None]) -> None:
        """Call ``on_revoked``, in another thread, with each ID that is revoked from now on.

        It is called with None when revocations may have been missed: at first, and after a lost connection.
        """
        ...


@runtime_checkable
class KeyStore(Protocol):
    """A store for signing keys. A removed key is purged.

    Every worker derives the state of a key from the times in its row, so that workers need not coordinate.
    """

    def list_keys(self) -> list[SigningKey]:
        """Return all keys, by algorithm and number."""
        ...

    def add_key(self, key: SigningKey) -> bool:
        """Add a key, unless its algorithm has a key with that number. Return whether it was added.

        Two workers that both find no key add the same number, so one of them fails and reads the key of the other.
        """
        ...

    def change_key(self, key: SigningKey, before: SigningKey) -> bool:
        """Change the times and the encryption of a key. Return whether it was done.

        It is not if the key is gone, or has other times or another encryption than ``before``.
        """
        ...

    def delete_key(self, key: SigningKey) -> bool:
        """Delete a key. Return whether it existed."""
        ...


@runtime_checkable
class SessionStore(Protocol):
    """A store for the sessions of users at the authorization server and the clients that each signed in to.

    A session and its clients are purged when it expires. They outlive the end of the session until then.
    """

    def add_session(self, session: Session) -> None:
        """Add a session. A duplicate ID raises an error."""
        ...

    def get_session(self, session_id: str) -> Session | None:
        """Return the session with this ID (``sid``), also an ended or expired one."""
        ...

    def list_sessions(self, user_id: str) -> list[Session]:
        """Return the sessions of a user, the oldest first, also ended and expired ones."""
        ...

    def end_session(self, session_id: str, now: int) -> bool:
        """End a session. Return True exactly once, so that one of several ends notifies the clients."""
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

    ``health`` are the stores of the chain that have a health check.
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
    issuers: IssuerStore | None
    health: tuple[HealthCheckStore, ...]


def collect(store: Store) -> Stores:
    """Return a store with its capabilities. A store that lacks one leaves it to the store ``behind`` it, if any."""
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
        issuers=find(IssuerStore) if all(isinstance(one, IssuerStore) for one in chain) else None,
        health=tuple(one for one in chain if isinstance(one, HealthCheckStore)),
    )


def widened(
    before: Consent | None, user_id: str, client_id: str, scope: Scope, now: float, resource: tuple[str, ...] = ()
) -> Consent:
    """Return the consent that a user gives in addition to the one before.

    It keeps the ID and the first day of that one, so that one revocation covers both.
    """
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
    )


def _union(one: Scope, other: Scope) -> Scope:
    return tuple(dict.fromkeys((*one, *other)))
