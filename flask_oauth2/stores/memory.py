"""A store in the memory of one process, for tests and examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import replace
from threading import RLock
from typing import Any, NamedTuple

from .. import values
from ..http import redirects
from ..processes import OfProcess
from ..records import AccessToken, Authorization, Client, Consent, Grant, Session, SigningKey, Token
from .base import GRANT_MEMORY, SIBLINGS, HealthIssue, verify_issuer_id


class MemoryStore:
    """A store in dicts under one lock. Its data is lost when the process ends. Each issuer has separate dicts."""

    def __init__(self) -> None:
        self._locks = OfProcess(RLock)
        self._issuers: dict[str, MemoryStore] = {"": self}
        self._clear()

    def _clear(self) -> None:
        self._clients: dict[str, Client] = {}
        self._origins: Counter[str] = Counter()
        self._grants: dict[bytes, Grant] = {}
        self._user_codes: dict[bytes, bytes] = {}
        self._tokens: dict[bytes, Token] = {}
        self._refresh: dict[bytes, bytes] = {}
        self._children: dict[bytes, list[bytes]] = {}
        self._revocations: dict[str, int] = {}
        self._users: dict[str, tuple[str, int]] = {}
        self._counters: dict[bytes, tuple[int, int]] = {}
        self._remembered: dict[bytes, int] = {}
        self._consents: dict[tuple[str, str], Consent] = {}
        self._keys: dict[tuple[str, int], SigningKey] = {}
        self._sessions: dict[str, Session] = {}
        self._session_clients: dict[str, set[str]] = {}

    @property
    def _lock(self) -> Any:
        """The lock of this process, which the views of all issuers share."""
        return self._locks.own

    def for_issuer(self, issuer_id: str) -> MemoryStore:
        """See :meth:`.base.IssuerStore.for_issuer`."""
        verify_issuer_id(issuer_id)
        with self._lock:
            view = self._issuers.get(issuer_id)
            if view is None:
                view = copy(self)
                view._clear()
                self._issuers[issuer_id] = view
            return view

    def get_client(self, client_id: str) -> Client | None:
        """See :meth:`.base.Store.get_client`."""
        return self._clients.get(client_id)

    def set_client(self, client: Client) -> None:
        """See :meth:`.base.Store.set_client`."""
        with self._lock:
            self._save_client(client)

    def delete_client(self, client_id: str, expires_at: int) -> bool:
        """See :meth:`.base.Store.delete_client`."""
        with self._lock:
            self.revoke(client_id, expires_at)
            for key in [key for key in self._consents if key[1] == client_id]:
                del self._consents[key]
            client = self._clients.pop(client_id, None)
            self._count_origins(client, None)
            return client is not None

    def list_clients(self) -> Iterator[Client]:
        """See :meth:`.base.ListingStore.list_clients`."""
        return iter(sorted(self._clients.values(), key=lambda client: (client.created_at, client.client_id)))

    def add_client(self, client: Client) -> bool:
        """See :meth:`.base.RegistrationStore.add_client`."""
        with self._lock:
            is_new = client.client_id not in self._clients
            if is_new:
                self._save_client(client)
            return is_new

    def retain_client(self, client_id: str, expires_at: int | None = None) -> bool:
        """See :meth:`.base.RegistrationStore.retain_client`."""
        with self._lock:
            client = self._clients.get(client_id)
            if client is not None and client.expires_at is not None:
                later = None if expires_at is None else max(expires_at, client.expires_at)
                self._clients[client_id] = replace(client, expires_at=later)
            return client is not None

    def change_client(self, client: Client, before: Client) -> bool:
        """See :meth:`.base.RegistrationStore.change_client`."""
        with self._lock:
            found = self._clients.get(client.client_id)
            if found is None or _permissions(found) != _permissions(before):
                return False
            self._save_client(replace(client, expires_at=found.expires_at))
            return True

    def list_owned(self, owner_id: str) -> Iterator[Client]:
        """See :meth:`.base.RegistrationStore.list_owned`."""
        return (client for client in self.list_clients() if client.owner_id == owner_id)

    def has_origin(self, *origins: str) -> bool:
        """See :meth:`.base.OriginStore.has_origin`."""
        return any(origin in self._origins for origin in origins)

    def check_health(self, now: int) -> Iterator[HealthIssue]:
        """See :meth:`.base.HealthCheckStore.check_health`."""
        yield HealthIssue(
            "warning",
            "clients and tokens are in the memory of one process: they are lost with it, and no other worker sees them",
            "leave store= out, or give OAuth2Provider a database with db=",
        )

    def get_grant(self, key: bytes, kind: str) -> Grant | None:
        """See :meth:`.base.Store.get_grant`."""
        grant = self._grants.get(key)
        if grant is None or grant.kind != kind:
            return None
        owner = grant.authorization
        return None if owner and self._is_authorization_revoked(owner) else grant

    def get_access(self, key: bytes) -> AccessToken | None:
        """See :meth:`.base.Store.get_access`."""
        token = self._tokens.get(key)
        return None if token is None or self._is_revoked(token) else token.access

    def get_refresh(self, key: bytes) -> Token | None:
        """See :meth:`.base.Store.get_refresh`."""
        with self._lock:
            access_key = self._refresh.get(key)
            token = None if access_key is None else self._tokens[access_key]
        return None if token is None or self._is_authorization_revoked(token.authorization) else token

    def issue(
        self, spend: Grant | Token | None, records: Iterable[Grant | Token], now: int, grace_period: int = 0
    ) -> bool:
        """See :meth:`.base.Store.issue`."""
        saved = list(records)
        with self._lock:
            if spend is not None and not self._may_spend(spend, now, grace_period):
                return False
            self._check_new(saved)
            if isinstance(spend, Grant):
                self._grants[spend.key] = replace(self._grants[spend.key], used_at=now)
            elif isinstance(spend, Token):
                token = self._tokens[spend.access.token_hash]
                self._tokens[spend.access.token_hash] = replace(
                    token, used_at=now if token.used_at is None else token.used_at
                )
            for record in saved:
                if isinstance(record, Token):
                    self._save_token(record)
                    continue
                self._grants[record.key] = record
                if record.user_code_key is not None:
                    self._user_codes[record.user_code_key] = record.key
            return True

    def find_device(self, user_code_key: bytes) -> Grant | None:
        """See :meth:`.base.DeviceStore.find_device`."""
        with self._lock:
            key = self._user_codes.get(user_code_key)
            return None if key is None else self._grants[key]

    def decide(self, grant: Grant, authorization: Authorization | None, now: int) -> bool:
        """See :meth:`.base.DeviceStore.decide`."""
        with self._lock:
            found = self._grants.get(grant.key)
            if found is None or found.authorization or found.is_denied or found.expires_at <= now:
                return False
            if found.used_at is not None:
                return False
            self._grants[grant.key] = replace(found, authorization=authorization, is_denied=authorization is None)
            return True

    def poll(self, grant: Grant, now: int, interval: int) -> bool:
        """See :meth:`.base.DeviceStore.poll`."""
        with self._lock:
            found = self._grants.get(grant.key)
            if found is None or (found.polled_at, found.interval) != (grant.polled_at, grant.interval):
                return False
            self._grants[grant.key] = replace(found, polled_at=now, interval=interval)
            return True

    def find_known(self, keys: Iterable[bytes]) -> set[bytes]:
        """See :meth:`.base.ImportStore.find_known`."""
        with self._lock:
            return {key for key in keys if key in self._tokens or key in self._refresh}

    def revoke(self, revoked_id: str, expires_at: int) -> None:
        """See :meth:`.base.Store.revoke`."""
        with self._lock:
            self._revocations[revoked_id] = max(expires_at, self._revocations.get(revoked_id, 0))

    def revoke_user(self, user_id: str, last_id: str, expires_at: int) -> None:
        """See :meth:`.base.Store.revoke_user`."""
        with self._lock:
            before = self._users.get(user_id, ("", 0))
            self._users[user_id] = max(last_id, before[0]), max(expires_at, before[1])
            self._delete_revoked_consents(user_id)

    def revoked(self, *ids: str, user: tuple[str, str] | None = None) -> bool:
        """See :meth:`.base.Store.revoked`."""
        is_revoked = any(one in self._revocations for one in ids)
        return is_revoked or (user is not None and self._is_of_revoked_user(*user))

    def _delete_revoked_consents(self, user_id: str) -> None:
        for key, consent in list(self._consents.items()):
            if consent.user_id == user_id and self._is_of_revoked_user(user_id, consent.id):
                del self._consents[key]

    def _is_of_revoked_user(self, user_id: str | None, authorization_id: str) -> bool:
        return user_id in self._users and authorization_id <= self._users[user_id][0]

    def count(self, key: bytes, expires_at: int, by: int = 1) -> int:
        """See :meth:`.base.Store.count`."""
        with self._lock:
            before, ends_at = self._counters.get(key, (0, expires_at))
            self._counters[key] = before + by, ends_at
            return before + by

    def remember(self, key: bytes, expires_at: int) -> bool:
        """See :meth:`.base.Store.remember`."""
        with self._lock:
            is_new = key not in self._remembered
            self._remembered[key] = max(expires_at, self._remembered.get(key, 0))
            return is_new

    def get_consent(self, user_id: str, client_id: str) -> Consent | None:
        """See :meth:`.base.ConsentStore.get_consent`."""
        return self._find_consent(user_id, client_id)

    def _find_consent(self, user_id: str, client_id: str) -> Consent | None:
        consent = self._consents.get((user_id, client_id))
        return None if consent and self._is_of_revoked_user(user_id, consent.id) else consent

    def list_consents(self, user_id: str) -> Iterator[Consent]:
        """See :meth:`.base.ConsentStore.list_consents`."""
        with self._lock:
            own = [
                consent
                for consent in self._consents.values()
                if consent.user_id == user_id and not self._is_of_revoked_user(user_id, consent.id)
            ]
        return iter(sorted(own, key=lambda consent: (-consent.used_at, consent.client_id)))

    def set_consent(self, consent: Consent, before: Consent | None) -> bool:
        """See :meth:`.base.ConsentStore.set_consent`."""
        key = consent.user_id, consent.client_id
        with self._lock:
            found = self._find_consent(*key)
            is_as_before = _content(found) == _content(before)
            if is_as_before:
                self._consents[key] = consent
            return is_as_before

    def use_consent(self, user_id: str, client_id: str, now: int) -> None:
        """See :meth:`.base.ConsentStore.use_consent`."""
        with self._lock:
            consent = self._consents.get((user_id, client_id))
            if consent is not None:
                self._consents[user_id, client_id] = replace(consent, used_at=max(now, consent.used_at))

    def delete_consent(self, user_id: str, client_id: str, expires_at: int) -> bool:
        """See :meth:`.base.ConsentStore.delete_consent`."""
        with self._lock:
            consent = self._consents.pop((user_id, client_id), None)
            if consent is not None:
                self.revoke(consent.id, expires_at)
            return consent is not None

    def list_keys(self) -> list[SigningKey]:
        """See :meth:`.base.KeyStore.list_keys`."""
        with self._lock:
            return [self._keys[place] for place in sorted(self._keys)]

    def add_key(self, key: SigningKey) -> bool:
        """See :meth:`.base.KeyStore.add_key`."""
        with self._lock:
            is_new = (key.algorithm, key.number) not in self._keys
            if is_new:
                self._keys[key.algorithm, key.number] = key
            return is_new

    def change_key(self, key: SigningKey, before: SigningKey) -> bool:
        """See :meth:`.base.KeyStore.change_key`."""
        with self._lock:
            found = self._keys.get((key.algorithm, key.number))
            if found is None or found.id != key.id or _changing(found) != _changing(before):
                return False
            self._keys[key.algorithm, key.number] = replace(
                found,
                encrypted=key.encrypted,
                activates_at=key.activates_at,
                retires_at=key.retires_at,
                expires_at=key.expires_at,
            )
            return True

    def delete_key(self, key: SigningKey) -> bool:
        """See :meth:`.base.KeyStore.delete_key`."""
        with self._lock:
            found = self._keys.get((key.algorithm, key.number))
            is_there = found is not None and found.id == key.id
            if is_there:
                del self._keys[key.algorithm, key.number]
            return is_there

    def add_session(self, session: Session) -> None:
        """See :meth:`.base.SessionStore.add_session`."""
        with self._lock:
            if session.id in self._sessions:
                raise ValueError("a duplicate key")
            self._sessions[session.id] = session

    def get_session(self, session_id: str) -> Session | None:
        """See :meth:`.base.SessionStore.get_session`."""
        return self._sessions.get(session_id)

    def list_sessions(self, user_id: str) -> list[Session]:
        """See :meth:`.base.SessionStore.list_sessions`."""
        with self._lock:
            own = [session for session in self._sessions.values() if session.user_id == user_id]
        return sorted(own, key=lambda session: (session.created_at, session.id))

    def end_session(self, session_id: str, now: int) -> bool:
        """See :meth:`.base.SessionStore.end_session`."""
        with self._lock:
            session = self._sessions.get(session_id)
            if session is None or session.ended_at is not None:
                return False
            self._sessions[session_id] = replace(session, ended_at=now)
            return True

    def add_session_client(self, session_id: str, client_id: str) -> None:
        """See :meth:`.base.SessionStore.add_session_client`."""
        with self._lock:
            self._session_clients.setdefault(session_id, set()).add(client_id)

    def list_session_clients(self, session_id: str) -> list[str]:
        """See :meth:`.base.SessionStore.list_session_clients`."""
        with self._lock:
            return sorted(self._session_clients.get(session_id, ()))

    def purge(self, now: int) -> Iterator[int]:
        """See :meth:`.base.Store.purge`."""
        with self._lock:
            count = sum(view._purge(now) for view in self._issuers.values())
        yield count

    def purgeable(self, now: int) -> int:
        """See :meth:`.base.Store.purgeable`."""
        with self._lock:
            return sum(len(keys) for view in self._issuers.values() for keys in view._expired(now))

    def _purge(self, now: int) -> int:
        """Delete what has expired of this issuer. Return the number of records."""
        expired = self._expired(now)
        for key in expired.tokens:
            token = self._tokens.pop(key)
            if token.refresh_token_hash is not None:
                del self._refresh[token.refresh_token_hash]
            self._children.pop(key, None)
        for key in expired.grants:
            user_code_key = self._grants.pop(key).user_code_key
            if user_code_key is not None:
                del self._user_codes[user_code_key]
        for user_id in expired.users:
            self._delete_revoked_consents(user_id)  # consents that were saved at the moment of the revocation
            del self._users[user_id]
        for client_id in expired.clients:
            self._count_origins(self._clients.pop(client_id), None)
        for owned in [owned for owned in self._consents if owned[1] in expired.clients]:
            del self._consents[owned]
        for session_id in expired.sessions:
            del self._sessions[session_id]
            self._session_clients.pop(session_id, None)
        for held, keys in (
            (self._revocations, expired.revocations),
            (self._counters, expired.counters),
            (self._remembered, expired.remembered),
            (self._keys, expired.keys),
        ):
            _delete_all(held, keys)
        return sum(len(keys) for keys in expired)

    def _save_client(self, client: Client) -> None:
        before = self._clients.get(client.client_id)
        self._clients[client.client_id] = client
        self._count_origins(before, client)

    def _count_origins(self, before: Client | None, after: Client | None) -> None:
        """Keep the number of clients that have each origin, if any has it."""
        gone, come = (redirects.origins_of(client) if client else set() for client in (before, after))
        self._origins.update(come - gone)
        for origin in gone - come:
            self._origins[origin] -= 1
            if not self._origins[origin]:
                del self._origins[origin]

    def _may_spend(self, spend: Grant | Token, now: int, grace_period: int) -> bool:
        if isinstance(spend, Grant):
            grant = self._grants.get(spend.key)
            return grant is not None and grant.used_at is None
        token = self._tokens.get(spend.access.token_hash)
        if token is None or token.used_at is None:
            return token is not None
        children = self._children.get(spend.access.token_hash, [])
        return (
            grace_period > 0
            and abs(now - token.used_at) < grace_period  # a clock that was set back does not renew a grace period
            and len(children) <= SIBLINGS
            and all(self._tokens[child].used_at is None for child in children if child in self._tokens)
        )

    def _check_new(self, records: list[Grant | Token]) -> None:
        """Raise :exc:`ValueError` for a duplicate key, as a database would."""
        keys = [record.key if isinstance(record, Grant) else record.access.token_hash for record in records]
        keys += [
            record.refresh_token_hash for record in records if isinstance(record, Token) and record.refresh_token_hash
        ]
        keys += [record.user_code_key for record in records if isinstance(record, Grant) and record.user_code_key]
        if len(set(keys)) < len(keys) or any(
            key in saved for key in keys for saved in (self._grants, self._tokens, self._refresh, self._user_codes)
        ):
            raise ValueError("a duplicate key")

    def _save_token(self, token: Token) -> None:
        self._tokens[token.access.token_hash] = token
        if token.refresh_token_hash is not None:
            self._refresh[token.refresh_token_hash] = token.access.token_hash
        if token.parent is not None:
            self._children.setdefault(token.parent, []).append(token.access.token_hash)

    def _is_authorization_revoked(self, owner: Authorization) -> bool:
        is_revoked = self.revoked(owner.id, owner.client_id) or owner.consent_id in self._revocations
        return is_revoked or self._is_of_revoked_user(owner.user_id, owner.id)

    def _is_revoked(self, token: Token) -> bool:
        return self._is_authorization_revoked(token.authorization) or self.revoked(values.text(token.access.token_hash))

    def _expired(self, now: int) -> _Expired:
        tokens, grants, clients = self._tokens.items(), self._grants.items(), self._clients.items()
        keys, sessions = self._keys.items(), self._sessions.items()
        return _Expired(
            [key for key, one in tokens if max(one.access.expires_at, one.refresh_expires_at or 0) <= now],
            [key for key, one in grants if one.expires_at + GRANT_MEMORY <= now],
            [one for one, expires_at in self._revocations.items() if expires_at <= now],
            [user_id for user_id, (_, expires_at) in self._users.items() if expires_at <= now],
            [key for key, (_, expires_at) in self._counters.items() if expires_at <= now],
            [key for key, expires_at in self._remembered.items() if expires_at <= now],
            {client_id for client_id, one in clients if one.expires_at is not None and one.expires_at <= now},
            [session_id for session_id, one in sessions if one.expires_at <= now],
            [place for place, one in keys if one.expires_at is not None and one.expires_at <= now],
        )


class _Expired(NamedTuple):
    """The keys of what has expired, by kind."""

    tokens: list[bytes]
    grants: list[bytes]
    revocations: list[str]
    users: list[str]
    counters: list[bytes]
    remembered: list[bytes]
    clients: set[str]
    sessions: list[str]
    keys: list[tuple[str, int]]


def _delete_all(held: dict[Any, Any], keys: Iterable[Any]) -> None:
    for key in keys:
        del held[key]


def _changing(key: SigningKey) -> object:
    """Return the part of a signing key that changes."""
    return key.encrypted, key.activates_at, key.retires_at, key.expires_at


def _permissions(client: Client) -> object:
    """Return the fields of a client that detect a concurrent change."""
    return client.registration_key, client.secret, client.scope, client.grant_types


def _content(consent: Consent | None) -> object:
    """Return the fields of a consent that detect a concurrent change."""
    return consent and (consent.id, consent.scope, consent.by_resource, consent.authorization_details)
