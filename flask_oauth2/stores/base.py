"""What a store must do: a core small enough to write for a new database in an afternoon.

Every store passes :class:`flask_oauth2.testing.StoreContract`, and ours its races of threads and processes. Its rules:

* A store never sees a secret: everything is filed under keys (:mod:`flask_oauth2.values`).
* ``issue`` is the one place where something is spent, and it spends and files in one step.
* Revocation is a mark, which every read of a grant or a token looks at. A mark is the id of an authorization (the
  family), the text of an access key (one token), the id of a consent (all that a user let a client have), or a
  client_id (all that the client has).
* The revocation of a user is another such record. It names the last authorization that it covers: ids of authorizations
  and consents (:func:`flask_oauth2.values.new_family`) sort by time. A user who signs in again gets later ones.
* What was acknowledged survives the death of the process, where the store claims to be lasting.

A store that cannot be reached raises :exc:`~flask_oauth2.errors.TemporarilyUnavailable`. Times are seconds since the
epoch, UTC, and always passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol, runtime_checkable

from .. import values
from ..records import AccessToken, Authorization, Client, Consent, Grant, Token
from ..scopes import Scope

SIBLINGS = 2
"""How many further tokens one refresh token may give within the leeway."""

LASTING = frozenset({"registration"})
"""Kinds of grants that live for days or years: initial access tokens. A store for short-lived grants leaves them to the
store behind it."""

GRANT_MEMORY = 86400
"""Seconds that a spent or expired code is remembered, so that a late replay still ends its family."""


class Store(Protocol):
    """The core."""

    def get_client(self, client_id: str) -> Client | None:
        """The client of that id."""
        ...

    def set_client(self, client: Client) -> None:
        """Add a client, or replace the one of its id."""
        ...

    def delete_client(self, client_id: str, expires_at: int) -> bool:
        """Take a client away together with all it has: its id is marked until ``expires_at``. Whether it was there."""
        ...

    def get_grant(self, key: bytes, kind: str) -> Grant | None:
        """The grant of that key and kind, spent and expired ones too; None where it is revoked."""
        ...

    def get_access(self, key: bytes) -> AccessToken | None:
        """The access token of that key, expired ones too; None where it is revoked."""
        ...

    def get_refresh(self, key: bytes) -> Token | None:
        """The row whose refresh token has that key, spent and expired ones too; None where it is revoked."""
        ...

    def issue(self, spend: Grant | Token | None, filed: Iterable[Grant | Token], now: int, leeway: int = 0) -> bool:
        """Spend a grant or a refresh token and file what is issued for it, both or neither. Whether that was done.

        What was spent before is not spent again, and nothing is filed; but a refresh token that was spent less than
        ``leeway`` seconds before ``now`` (or after it: clocks differ and are set back) gives up to :data:`SIBLINGS`
        siblings more, as long as no child of it has been spent.
        A key that is taken already is an error, which leaves all as it was.
        """
        ...

    def revoke(self, mark: str, expires_at: int) -> None:
        """File a mark; it is looked at until ``expires_at``, which must outlive every token that it ends."""
        ...

    def revoke_user(self, user_id: str, last_id: str, expires_at: int) -> None:
        """Revoke all grants and tokens of a user whose authorization has an id up to ``last_id``, and such consents.

        Every read of a grant, a token or a consent looks at it until ``expires_at``. The later ``last_id`` holds.
        """
        ...

    def revoked(self, *marks: str, user: tuple[str, str] | None = None) -> bool:
        """Whether any of the marks is filed: for tokens that have no row.

        :param user: the user of the token and the id of its authorization, for :meth:`revoke_user`.
        """
        ...

    def count(self, key: bytes, expires_at: int, by: int = 1) -> int:
        """Add to the counter of that key, which begins at zero and ends at ``expires_at``. The new count."""
        ...

    def purge(self, now: int) -> Iterator[int]:
        """Take away what has expired, in small batches. Yields how many rows each batch took."""
        ...

    def purgeable(self, now: int) -> int:
        """How many rows :meth:`purge` would take now."""
        ...


@runtime_checkable
class ConsentStore(Protocol):
    """A store that remembers consent. With another, users are asked each time."""

    def get_consent(self, user_id: str, client_id: str) -> Consent | None:
        """What the user let the client have."""
        ...

    def list_consents(self, user_id: str) -> Iterator[Consent]:
        """All that the user let clients have, the last used first."""
        ...

    def set_consent(self, consent: Consent, before: Consent | None) -> bool:
        """Remember a consent in place of ``before``, whose id it keeps; None: where there is none yet.

        Whether that was done; it is not where somebody else has changed it or taken it away meanwhile.
        """
        ...

    def use_consent(self, user_id: str, client_id: str, now: int) -> None:
        """Note that the client got something for it."""
        ...

    def delete_consent(self, user_id: str, client_id: str, expires_at: int) -> bool:
        """Forget a consent, and end what rests on it: its id is marked until ``expires_at``. Whether it was there."""
        ...


@runtime_checkable
class DeviceStore(Protocol):
    """A store whose device codes people decide about while clients poll, :rfc:`8628`.

    A user code is filed with its grant, in the same step; where another grant has its key that is an error.
    """

    def find_device(self, user_code_key: bytes) -> Grant | None:
        """The grant of that user code; one that is decided, spent, expired or revoked too."""
        ...

    def decide(self, grant: Grant, authorization: Authorization | None, now: int) -> bool:
        """Say what the user decided; None: no. Whether that was done: what is decided, spent or expired stays so."""
        ...

    def poll(self, grant: Grant, now: int, interval: int) -> bool:
        """Note that the client polled, and the interval from now on.

        Whether that was done; it is not where another poll has changed ``polled_at`` or ``interval`` meanwhile.
        """
        ...


@runtime_checkable
class ListingStore(Protocol):
    """A store whose clients can be listed."""

    def list_clients(self) -> Iterator[Client]:
        """All clients, the oldest first."""
        ...


class Fault(NamedTuple):
    """What is wrong with the database or the server that a store rests on.

    ``level`` is ``error``, ``warning`` or ``note``; ``rule`` the section that asks for it, where one does.
    """

    level: str
    what: str
    cure: str
    rule: str = ""


@runtime_checkable
class ExaminedStore(Protocol):
    """A store that ``flask oauth2 doctor`` can ask how it is."""

    def examine(self, now: int) -> Iterator[Fault]:
        """What is wrong with what it rests on. Nothing is changed."""
        ...


@runtime_checkable
class RegistrationStore(Protocol):
    """A store in which clients can be registered from outside, at the same time from several sides.

    Its ``purge`` takes clients away whose ``expires_at`` has come, with what users let them have, and leaves no mark:
    they never got a token. One that was kept meanwhile stays.
    """

    def add_client(self, client: Client) -> bool:
        """Add a client, unless there is one of its id. Whether that was done."""
        ...

    def keep_client(self, client_id: str, expires_at: int | None = None) -> bool:
        """Let a client stay for good, or at least until ``expires_at``. Whether it is there."""
        ...

    def change_client(self, client: Client, before: Client) -> bool:
        """Change all of a client but ``expires_at``, which :meth:`keep_client` alone changes. Whether that was done.

        It is not where the client is gone, or has another ``registration_key``, ``secret``, ``scope`` or other
        ``grant_types`` than ``before``.
        """
        ...

    def list_owned(self, owner_id: str) -> Iterator[Client]:
        """The clients that a user develops, the oldest first."""
        ...


@runtime_checkable
class OriginStore(Protocol):
    """A store that knows the origins of the pages of clients without a look at each client.

    Those of a client are what ``flask_oauth2.uris.origins_of`` says, and are filed, changed and taken away with it, in
    the same step. With another store, a page may call where the request names its client.
    """

    def has_origin(self, *origins: str) -> bool:
        """Whether any of them is one of a client."""
        ...


@runtime_checkable
class ImportStore(Store, Protocol):
    """A store in which tokens of another provider can be filed, however often that is tried."""

    def find_known(self, keys: Iterable[bytes]) -> set[bytes]:
        """Those of the keys that an access or a refresh token has, revoked and expired ones too."""
        ...


@runtime_checkable
class ExpiringStore(Protocol):
    """A store whose grants and counters end by themselves, so that ``purge`` need not take them."""

    ends_by_itself: bool


@runtime_checkable
class AnnouncingStore(Protocol):
    """A store that tells all processes what has ended, so that none of them need ask it about what it remembers.

    ``revoke``, ``revoke_user`` and ``delete_client`` announce by themselves.
    """

    def announce(self, mark: str) -> None:
        """Tell those who listen that a mark was filed. Where they cannot be told, that is no error."""
        ...

    def listen(self, hear: Callable[[str | None], None]) -> None:
        """Call ``hear``, in a thread of its own, with each mark that is announced from now on.

        It is called with None when some may have been missed: at first, and when the connection has come back.
        """
        ...


def widened(
    before: Consent | None, user_id: str, client_id: str, scope: Scope, now: float, resource: tuple[str, ...] = ()
) -> Consent:
    """What a user lets a client have from now on; it keeps its id and its first day, so that one ending ends all."""
    held = before.at_each if before else {}
    at_each = {**held, **{name: _union(held.get(name, ()), scope) for name in resource or ("",)}}
    return Consent(
        id=before.id if before else values.new_family(now),
        user_id=user_id,
        client_id=client_id,
        scope=_union(before.scope if before else (), scope),
        granted_at=before.granted_at if before else int(now),
        used_at=int(now),
        by_resource={} if set(at_each) == {""} else at_each,
    )


def _union(one: Scope, other: Scope) -> Scope:
    return tuple(dict.fromkeys((*one, *other)))


def find_consents(store: object) -> ConsentStore | None:
    """The store, or the one behind it, that remembers consent."""
    found: ConsentStore | None = _find(store, ConsentStore)
    return found


def find_devices(store: object) -> DeviceStore | None:
    """The store, or the one behind it, whose device codes can be decided about."""
    found: DeviceStore | None = _find(store, DeviceStore)
    return found


def find_listing(store: object) -> ListingStore | None:
    """The store, or the one behind it, whose clients can be listed."""
    found: ListingStore | None = _find(store, ListingStore)
    return found


def find_registration(store: object) -> RegistrationStore | None:
    """The store, or the one behind it, in which clients can be registered; None where the application keeps its own."""
    if getattr(store, "has_own_clients", False):
        return None
    found: RegistrationStore | None = _find(store, RegistrationStore)
    return found


def find_origins(store: object) -> OriginStore | None:
    """The store, or the one behind it, that knows the origins of clients; None where the application keeps its own."""
    if getattr(store, "has_own_clients", False):
        return None
    found: OriginStore | None = _find(store, OriginStore)
    return found


def find_examined(store: object) -> Iterator[ExaminedStore]:
    """The store and those behind it, as far as they can say how they are."""
    while store is not None:
        if isinstance(store, ExaminedStore):
            yield store
        store = getattr(store, "behind", None)


def find_import(store: object) -> ImportStore | None:
    """The store, or the one behind it, that takes tokens of another provider."""
    found: ImportStore | None = _find(store, ImportStore)
    return found


def find_announcing(store: object) -> AnnouncingStore | None:
    """The store, or the one behind it, that tells all processes what has ended."""
    found: AnnouncingStore | None = _find(store, AnnouncingStore)
    return found


def _find(store: object, capability: Any) -> Any:
    while store is not None and not isinstance(store, capability):
        store = getattr(store, "behind", None)
    return store
