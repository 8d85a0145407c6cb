"""The short-lived things in Redis, for many workers on many machines: grants, counters, and word of what has ended.

Two stores have no common transaction. What is short-lived is spent first, by one script of the server, and then the
store behind files what is issued for it. Where that store is lost between the two, the code is spent for nothing; it is
never spent twice.

A grant is kept for as long as it lives, and :data:`~flask_oauth2.stores.base.GRANT_MEMORY` longer, counted from the
moment at which it is filed, so that no clock but that of whoever files it decides. A counter ends at a time that only
its caller's clock knows: the server keeps it five minutes longer, by which the two clocks may differ. So nothing need
be purged here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeGuard

import redis as redis_py

from ... import values
from ...context import decode_context, encode_context
from ...errors import TemporarilyUnavailable
from ...records import AccessToken, Authorization, Client, Grant, Token
from ..base import GRANT_MEMORY, LASTING, Fault, Store
from .announcements import Announcements
from .connection import Connection, connect
from .scripts import COUNT, DECIDE, POLL, SPEND_AND_FILE, SPENT, TAKE_BACK, TAKEN

log = logging.getLogger("flask_oauth2")

_CLOCKS_DIFFER = 300
"""Seconds that a counter is kept longer than it was said to last."""


class RedisStore:
    """A :class:`~.base.Store` whose grants and counters are in Redis.

    :param behind: the store that keeps the rest, and the marks of what was revoked.
    :param redis: the URL of the server, or a client of redis-py, whose timeouts are then its own.
    :param prefix: what the names of its keys and of its channel begin with.
    """

    ends_by_itself = True
    """See :class:`.base.ExpiringStore`."""

    def __init__(self, behind: Store, redis: str | redis_py.Redis, prefix: str = "oauth2:") -> None:
        client = connect(redis) if isinstance(redis, str) else redis
        self._is_own = client is not redis
        self.behind = behind
        self._prefix = prefix
        self._redis = Connection(client)
        self._channel = f"{prefix}ended"
        self._announcements = Announcements(client, self._channel)

    @classmethod
    def open(cls, open_behind: Callable[[], Store], url: str, prefix: str = "oauth2:") -> RedisStore:
        """A store before the one that ``open_behind`` opens. A server that is away may come later.

        Raises :exc:`ConfigurationError` for a server that is too old, and warns of one that may drop keys.
        """
        client = connect(url)
        store = cls(open_behind(), client, prefix)
        store._is_own = True
        with suppress(TemporarilyUnavailable):  # whoever needs it is told, and it is looked at then
            store._redis.get_to_know()
        return store

    def close(self) -> None:
        """End the thread that listens, and the connections, but for those of a client that was given."""
        self._announcements.close()
        if self._is_own:
            self._redis.client.close()
            self._redis.client.connection_pool.disconnect()

    def examine(self, now: int) -> Iterator[Fault]:
        """See :meth:`.base.ExaminedStore.examine`."""
        return self._redis.examine()

    def get_client(self, client_id: str) -> Client | None:
        """From the store behind."""
        return self.behind.get_client(client_id)

    def set_client(self, client: Client) -> None:
        """In the store behind."""
        self.behind.set_client(client)

    def delete_client(self, client_id: str, expires_at: int) -> bool:
        """In the store behind; and all are told."""
        was_there = self.behind.delete_client(client_id, expires_at)
        self.announce(client_id)
        return was_there

    def get_grant(self, key: bytes, kind: str) -> Grant | None:
        """Return the grant from Redis, unless it is revoked in the store behind; a lasting one from that store."""
        if kind in LASTING:
            return self.behind.get_grant(key, kind)
        grant = self._read(key)
        if grant is None or grant.kind != kind:
            return None
        owner = grant.authorization
        marks = filter(None, (owner.id, owner.client_id, owner.consent_id)) if owner else ()
        user = (owner.user_id, owner.id) if owner and owner.user_id is not None else None
        return None if owner and self.behind.revoked(*marks, user=user) else grant

    def find_device(self, user_code_key: bytes) -> Grant | None:
        """See :meth:`.base.DeviceStore.find_device`."""
        (key,) = self._redis.read(self._name("user_code", user_code_key), "grant")
        return None if key is None else self._read(values.from_text(key.decode() if isinstance(key, bytes) else key))

    def decide(self, grant: Grant, authorization: Authorization | None, now: int) -> bool:
        """See :meth:`.base.DeviceStore.decide`."""
        if grant.expires_at <= now or grant.authorization is not None or grant.is_denied:
            return False  # none of these changes back
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
        """From the store behind."""
        return self.behind.get_access(key)

    def get_refresh(self, key: bytes) -> Token | None:
        """From the store behind."""
        return self.behind.get_refresh(key)

    def issue(self, spend: Grant | Token | None, filed: Iterable[Grant | Token], now: int, leeway: int = 0) -> bool:
        """Spend and file grants here, then what the store behind keeps there.

        What that one refuses is taken back here. Where it is lost nobody knows what it did, and the grant stays spent.
        """
        grants: list[Grant] = []
        tokens: list[Grant | Token] = []
        for record in filed:
            if _is_short_lived(record):
                grants.append(record)
            else:
                tokens.append(record)
        is_ours = _is_short_lived(spend)
        if not is_ours and not grants:
            return self.behind.issue(spend, tokens, now, leeway)
        names = [self._name("grant", grant.key) for grant in ([spend, *grants] if _is_short_lived(spend) else grants)]
        names += [self._name("user_code", grant.user_code_key) for grant in grants if grant.user_code_key]
        used_at = str(now) if is_ours else ""
        if not self._spend_and_file(names, used_at, grants, now):
            return False
        if not tokens and (is_ours or spend is None):
            return True
        try:
            is_done = self.behind.issue(None if is_ours else spend, tokens, now, leeway)
        except TemporarilyUnavailable:
            raise
        except Exception:
            if not self._is_filed(tokens):
                self._take_back(names, used_at)
            raise
        if not is_done:
            self._take_back(names, used_at)
        return is_done

    def _spend_and_file(self, names: Sequence[str], used_at: str, grants: Sequence[Grant], now: int) -> bool:
        contents: list[Any] = []
        user_codes: list[Any] = []
        for grant in grants:
            kept = max(grant.expires_at - now, 0) + GRANT_MEMORY
            contents += _write_grant(grant), "" if grant.used_at is None else grant.used_at, kept
            if grant.user_code_key:
                user_codes += values.text(grant.key), "", kept
        contents += user_codes
        result = TAKEN
        if len(set(names)) == len(names):
            result = self._redis.run(SPEND_AND_FILE, names, used_at, *contents)
        if result == TAKEN:
            raise ValueError("a duplicate key")
        return result != SPENT

    def _is_filed(self, tokens: Iterable[Grant | Token]) -> bool:
        """Whether they are there after all, or that cannot be seen. They are filed together or not at all."""
        try:
            return all(
                self.behind.get_access(record.access.key)
                if isinstance(record, Token)
                else self.behind.get_grant(record.key, record.kind)
                for record in tokens
            )
        except Exception:
            return True

    def _take_back(self, names: Sequence[str], used_at: str) -> None:
        with suppress(TemporarilyUnavailable):  # then it stays spent
            self._redis.run(TAKE_BACK, names, used_at)

    def revoke(self, mark: str, expires_at: int) -> None:
        """In the store behind; and all are told."""
        self.behind.revoke(mark, expires_at)
        self.announce(mark)

    def revoke_user(self, user_id: str, last_id: str, expires_at: int) -> None:
        """In the store behind; and all are told."""
        self.behind.revoke_user(user_id, last_id, expires_at)
        self.announce(values.user_mark(user_id, last_id))

    def revoked(self, *marks: str, user: tuple[str, str] | None = None) -> bool:
        """In the store behind."""
        return self.behind.revoked(*marks, user=user)

    def count(self, key: bytes, expires_at: int, by: int = 1) -> int:
        """See :meth:`.base.Store.count`."""
        return self._redis.run(COUNT, [self._name("count", key)], by, expires_at, _CLOCKS_DIFFER)

    def purge(self, now: int) -> Iterator[int]:
        """In the store behind."""
        return self.behind.purge(now)

    def purgeable(self, now: int) -> int:
        """In the store behind."""
        return self.behind.purgeable(now)

    def announce(self, mark: str) -> None:
        """See :meth:`.base.AnnouncingStore.announce`. Where the server is away, nobody is told: the mark is filed."""
        try:
            self._redis.publish(self._channel, mark)
        except TemporarilyUnavailable as error:
            log.warning("nobody was told of a revocation, as the Redis server is away (%s)", error.came)

    def listen(self, hear: Callable[[str | None], None]) -> None:
        """See :meth:`.base.AnnouncingStore.listen`."""
        self._announcements.listen(hear)

    def _name(self, kind: str, key: bytes) -> str:
        return f"{self._prefix}{kind}:{values.text(key)}"


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
    """The grant as it was filed, and what has become of it."""
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
