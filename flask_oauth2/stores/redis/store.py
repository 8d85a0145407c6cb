"""Short-lived data in Redis, for many workers on many machines: grants, counters, replay memory and revocations.

Two stores have no common transaction. One script of the server spends the short-lived grant first, and then the store
behind saves the tokens issued for it. If that store is lost between the two, the code is spent for nothing; it is never
spent twice.

A grant stays until :data:`~flask_oauth2.stores.base.GRANT_MEMORY` seconds after its expiry, counted from the moment at
which it is saved, so that only the clock of the worker that saves it decides. A counter expires at a time of its
caller's clock: the server keeps it five minutes longer, by which the two clocks may differ. Nothing needs a purge.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from copy import copy
from functools import partial
from typing import Any, TypeGuard

import redis as redis_py

from ... import values
from ...context import decode_context, encode_context
from ...errors import TemporarilyUnavailable
from ...records import AccessToken, Authorization, Client, Grant, Token
from ..base import GRANT_MEMORY, LASTING, HealthIssue, IssuerStore, Store
from .connection import Connection, connect
from .pubsub import PubSub
from .scripts import COUNT, DECIDE, POLL, REMEMBER, SPEND_AND_SAVE, SPENT, TAKEN, UNDO

log = logging.getLogger("flask_oauth2")

_CLOCKS_DIFFER = 300
"""Seconds for which a counter stays after its expiry."""


class RedisStore:
    """A :class:`~.base.Store` whose grants, counters and replay memory are in Redis.

    :param behind: the store for everything else, revocations too.
    :param redis: the URL of the server, or a client of redis-py with timeouts of its own.
    :param prefix: the prefix of the names of its keys and of its channel.
    """

    expires_by_itself = True
    """See :class:`.base.ExpiringStore`."""

    def __init__(self, behind: Store, redis: str | redis_py.Redis, prefix: str = "oauth2:") -> None:
        client = connect(redis) if isinstance(redis, str) else redis
        self._is_own = client is not redis
        self.behind = behind
        self._prefix = prefix
        self._redis = Connection(client)
        self._issuer_id = ""
        self._pubsub = PubSub(client, f"{prefix}revocations")

    @classmethod
    def open(cls, open_behind: Callable[[], Store], url: str, prefix: str = "oauth2:") -> RedisStore:
        """Open a store before the one that ``open_behind`` opens. The server may be unavailable until later.

        Raises :exc:`ConfigurationError` for a server that is too old, and warns of one that may drop keys.
        """
        client = connect(url)
        store = cls(open_behind(), client, prefix)
        store._is_own = True
        with suppress(TemporarilyUnavailable):  # the first request that needs it looks at it
            store._redis.get_to_know()
        return store

    def close(self) -> None:
        """Stop the thread of the subscriptions, and close the connections unless the application opened them."""
        self._pubsub.close()
        if self._is_own:
            self._redis.client.close()
            self._redis.client.connection_pool.disconnect()

    def for_issuer(self, issuer_id: str) -> RedisStore:
        """See :meth:`.base.IssuerStore.for_issuer`. Raises :exc:`TypeError` if the store behind has no views."""
        if not isinstance(self.behind, IssuerStore):
            raise TypeError("the store behind Redis is of one issuer only")
        view = copy(self)
        view._issuer_id, view.behind = issuer_id, self.behind.for_issuer(issuer_id)
        return view

    def check_health(self, now: int) -> Iterator[HealthIssue]:
        """See :meth:`.base.HealthCheckStore.check_health`."""
        return self._redis.check_health()

    def get_client(self, client_id: str) -> Client | None:
        """See :meth:`.base.Store.get_client`."""
        return self.behind.get_client(client_id)

    def set_client(self, client: Client) -> None:
        """See :meth:`.base.Store.set_client`."""
        self.behind.set_client(client)

    def delete_client(self, client_id: str, expires_at: int) -> bool:
        """Delete the client in the store behind, and publish it."""
        was_there = self.behind.delete_client(client_id, expires_at)
        self.publish(client_id)
        return was_there

    def get_grant(self, key: bytes, kind: str) -> Grant | None:
        """Return the grant from Redis, unless it is revoked in the store behind; a lasting one from that store."""
        if kind in LASTING:
            return self.behind.get_grant(key, kind)
        grant = self._read(key)
        if grant is None or grant.kind != kind:
            return None
        owner = grant.authorization
        if owner is None:
            return grant
        user = None if owner.user_id is None else (owner.user_id, owner.id)
        ids = filter(None, (owner.id, owner.client_id, owner.consent_id))
        return None if self.behind.revoked(*ids, user=user) else grant

    def find_device(self, user_code_key: bytes) -> Grant | None:
        """See :meth:`.base.DeviceStore.find_device`."""
        (key,) = self._redis.read(self._name("user_code", user_code_key), "grant")
        return None if key is None else self._read(values.from_text(key.decode() if isinstance(key, bytes) else key))

    def decide(self, grant: Grant, authorization: Authorization | None, now: int) -> bool:
        """See :meth:`.base.DeviceStore.decide`."""
        if grant.expires_at <= now or grant.authorization is not None or grant.is_denied:
            return False  # none of these is ever undone
        decision = json.dumps(_write_authorization(authorization), separators=(",", ":"))
        return bool(self._redis.run(DECIDE, [self._name("grant", grant.key)], decision))

    def poll(self, grant: Grant, now: int, interval: int) -> bool:
        """See :meth:`.base.DeviceStore.poll`."""
        before, after = f"{grant.polled_at} {grant.interval}", f"{now} {interval}"
        return bool(self._redis.run(POLL, [self._name("grant", grant.key)], before, after))

    def _read(self, key: bytes) -> Grant | None:
        content, *changes = self._redis.read(self._name("grant", key), "grant", "used_at", "decision", "polled")
        return None if content is None else _read_grant(key, content, *changes)

    def get_access(self, key: bytes) -> AccessToken | None:
        """See :meth:`.base.Store.get_access`."""
        return self.behind.get_access(key)

    def get_refresh(self, key: bytes) -> Token | None:
        """See :meth:`.base.Store.get_refresh`."""
        return self.behind.get_refresh(key)

    def issue(
        self, spend: Grant | Token | None, records: Iterable[Grant | Token], now: int, grace_period: int = 0
    ) -> bool:
        """Consume and save grants in Redis first, then save all other records in the store behind.

        If that store rejects the records, restore the grants. If its connection is lost, its result is unknown, and the
        grant stays consumed.
        """
        grants: list[Grant] = []
        others: list[Grant | Token] = []
        for record in records:
            if _is_short_lived(record):
                grants.append(record)
            else:
                others.append(record)
        if not _is_short_lived(spend):
            if not grants:
                return self.behind.issue(spend, others, now, grace_period)
            names, used_at = [], ""
        else:
            names, used_at, spend = [self._name("grant", spend.key)], str(now), None
        names += [self._name("grant", grant.key) for grant in grants]
        names += [self._name("user_code", grant.user_code_key) for grant in grants if grant.user_code_key]
        if not self._spend_and_save(names, used_at, grants, now):
            return False
        if spend is None and not others:
            return True
        return self._issue_behind(spend, others, now, grace_period, partial(self._undo, names, used_at))

    def _issue_behind(
        self,
        spend: Grant | Token | None,
        records: Sequence[Grant | Token],
        now: int,
        grace_period: int,
        undo: Callable[[], None],
    ) -> bool:
        """Consume and save in the store behind. If it rejects, undo the changes in Redis."""
        try:
            is_done = self.behind.issue(spend, records, now, grace_period)
        except TemporarilyUnavailable:
            raise
        except Exception:
            if not self._is_saved(records):
                undo()
            raise
        if not is_done:
            undo()
        return is_done

    def _spend_and_save(self, names: Sequence[str], used_at: str, grants: Sequence[Grant], now: int) -> bool:
        contents: list[Any] = []
        user_codes: list[Any] = []
        for grant in grants:
            lifetime = max(grant.expires_at - now, 0) + GRANT_MEMORY
            contents += _write_grant(grant), "" if grant.used_at is None else grant.used_at, lifetime
            if grant.user_code_key:
                user_codes += values.text(grant.key), "", lifetime
        contents += user_codes
        result = TAKEN
        if len(set(names)) == len(names):
            result = self._redis.run(SPEND_AND_SAVE, names, used_at, *contents)
        if result == TAKEN:
            raise ValueError("a duplicate key")
        return result != SPENT

    def _is_saved(self, tokens: Iterable[Grant | Token]) -> bool:
        """Return whether the records exist after all, or that is unknown. They are saved together or not at all."""
        try:
            return all(
                self.behind.get_access(record.access.token_hash)
                if isinstance(record, Token)
                else self.behind.get_grant(record.key, record.kind)
                for record in tokens
            )
        except Exception:
            return True

    def _undo(self, names: Sequence[str], used_at: str) -> None:
        with suppress(TemporarilyUnavailable):  # then it stays spent
            self._redis.run(UNDO, names, used_at)

    def revoke(self, revoked_id: str, expires_at: int) -> None:
        """Revoke an ID in the store behind, and publish it."""
        self.behind.revoke(revoked_id, expires_at)
        self.publish(revoked_id)

    def revoke_user(self, user_id: str, last_id: str, expires_at: int) -> None:
        """Revoke a user in the store behind, and publish it."""
        self.behind.revoke_user(user_id, last_id, expires_at)
        self.publish(values.user_revocation_id(user_id, last_id))

    def revoked(self, *ids: str, user: tuple[str, str] | None = None) -> bool:
        """See :meth:`.base.Store.revoked`."""
        return self.behind.revoked(*ids, user=user)

    def count(self, key: bytes, expires_at: int, by: int = 1) -> int:
        """See :meth:`.base.Store.count`."""
        return self._redis.run(COUNT, [self._name("count", key)], by, expires_at, _CLOCKS_DIFFER)

    def remember(self, key: bytes, expires_at: int) -> bool:
        """See :meth:`.base.Store.remember`."""
        return bool(self._redis.run(REMEMBER, [self._name("seen", key)], expires_at, _CLOCKS_DIFFER))

    def purge(self, now: int) -> Iterator[int]:
        """See :meth:`.base.Store.purge`. Only the store behind needs it."""
        return self.behind.purge(now)

    def purgeable(self, now: int) -> int:
        """See :meth:`.base.Store.purgeable`."""
        return self.behind.purgeable(now)

    def publish(self, revoked_id: str) -> None:
        """See :meth:`.base.PubSubStore.publish`. An unavailable server is no error: the revocation is saved."""
        try:
            self._redis.publish(self._pubsub.channel, self._pubsub.write(self._issuer_id, revoked_id))
        except TemporarilyUnavailable as error:
            log.warning("a revocation was not published, because the Redis server is unavailable (%s)", error.received)

    def subscribe(self, on_revoked: Callable[[str | None], None]) -> None:
        """See :meth:`.base.PubSubStore.subscribe`."""
        self._pubsub.subscribe(on_revoked, self._issuer_id)

    def _name(self, kind: str, key: bytes) -> str:
        """Return the name of a Redis key. No text of a key has a colon, so no two issuers share a name."""
        suffix = f":{self._issuer_id}" if self._issuer_id else ""
        return f"{self._prefix}{kind}:{values.text(key)}{suffix}"


def _is_short_lived(record: Grant | Token | None) -> TypeGuard[Grant]:
    return isinstance(record, Grant) and record.kind not in LASTING


def _write_grant(grant: Grant) -> str:
    members = {
        "kind": grant.kind,
        "expires_at": grant.expires_at,
        "redirect_uri": grant.redirect_uri,
        "challenge": grant.challenge,
        "parameters": dict(grant.parameters),
        "user_code_key": grant.user_code_key and values.text(grant.user_code_key),
        "is_denied": grant.is_denied,
        "interval": grant.interval,
        "polled_at": grant.polled_at,
        "confirmation": grant.confirmation and dict(grant.confirmation),
        "authorization": _write_authorization(grant.authorization),
    }
    return json.dumps(members, separators=(",", ":"))


def _write_authorization(owner: Authorization | None) -> dict[str, Any] | None:
    if owner is None:
        return None
    return {
        "id": owner.id,
        "client_id": owner.client_id,
        "user_id": owner.user_id,
        "scope": owner.scope,
        "consent_id": owner.consent_id,
        "context": encode_context(owner.context),
    }


def _read_authorization(members: dict[str, Any] | None) -> Authorization | None:
    if members is None:
        return None
    return Authorization(
        id=members["id"],
        client_id=members["client_id"],
        user_id=members["user_id"],
        scope=tuple(members["scope"]),
        consent_id=members["consent_id"],
        context=decode_context(members.get("context")),
    )


def _read_grant(
    key: bytes,
    content: bytes | str,
    used_at: bytes | str | None,
    decision: bytes | str | None,
    polled: bytes | str | None,
) -> Grant:
    """Return a grant as it was saved, with the changes since."""
    members = json.loads(content)
    owner, user_code_key = members.pop("authorization"), members.pop("user_code_key", None)
    if user_code_key is not None:
        members["user_code_key"] = values.from_text(user_code_key)
    if decision is not None:
        owner = json.loads(decision)
        members["is_denied"] = owner is None
    if polled is not None:
        members["polled_at"], members["interval"] = map(int, polled.split())
    return Grant(
        key=key, authorization=_read_authorization(owner), used_at=None if used_at is None else int(used_at), **members
    )
