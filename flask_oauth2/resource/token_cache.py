"""The cache of access tokens that guards have verified, ``OAUTH2_TOKEN_CACHE_TTL``.

Its size is limited. A token is removed when this process receives its revocation.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from os import getpid
from threading import Lock

from .. import values
from ..processes import OfProcess
from ..records import AccessToken

MOST = 10_000
"""The maximum number of cached tokens. The oldest entry is removed first."""


class TokenCache:
    """Access tokens by token value. The values never leave the process; hashing them would double the guard's cost.

    :param seconds: the lifetime of an entry.
    :param clock: returns the time of a monotonic clock in seconds.
    """

    def __init__(self, seconds: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._seconds = seconds
        self._tokens: dict[str, tuple[float, AccessToken]] = {}
        self._revoked: dict[str, float] = {}
        self._users: dict[str, str] = {}
        self._lock = OfProcess(Lock)
        self._pid = getpid()
        self._listen: Callable[[], None] | None = None

    def subscribe(self, listen: Callable[[], None]) -> None:
        """Call ``listen`` now and after each fork. It subscribes :meth:`on_published` to the published revocations.

        A forked process does not have the listening thread of its parent.
        """
        self._listen = listen
        listen()

    def _begin_in_process(self) -> None:
        """Remove the tokens of the parent process: this process received no revocations since the fork."""
        self._tokens = {}
        self._pid = getpid()
        if self._listen is not None:
            self._listen()

    def get(self, value: str) -> AccessToken | None:
        """Return the cached token for a value, or None if it is missing, too old or revoked."""
        if self._pid != getpid():
            self._begin_in_process()
        until, access = self._tokens.get(value, _NOTHING)
        if access is None or until <= self.clock():
            return None
        return None if self._revoked and self.is_revoked(access) else access

    def put(self, value: str, access: AccessToken, read_at: float) -> None:
        """Cache a token that was read from the store at ``read_at``, a time of the same clock."""
        if self._pid != getpid():
            self._begin_in_process()
        with self._lock.own:
            if len(self._tokens) >= MOST and value not in self._tokens:
                del self._tokens[next(iter(self._tokens))]
            self._tokens[value] = read_at + self._seconds, access

    def on_revoked(self, revoked_id: str) -> None:
        """Remove the tokens that a revocation covers. Remember it for as long as an older entry can stay cached."""
        revoked = self._revoked
        user = values.read_user_revocation_id(revoked_id)
        with self._lock.own:
            now = self.clock()
            while revoked and revoked[first := next(iter(revoked))] <= now:
                del revoked[first]
                if (expired := values.read_user_revocation_id(first)) is not None:
                    self._users.pop(expired[0], None)
            if user is not None:
                last_id = max(user[1], self._users.get(user[0], ""))
                self._users[user[0]] = last_id
                for before in [known for known in revoked if _is_of_user(known, user[0])]:
                    del revoked[before]
            revoked.pop(revoked_id, None)  # so that a repeated revocation moves to the end
            revoked[revoked_id] = now + self._seconds

    def clear(self) -> None:
        """Remove all tokens, because this process may have missed revocations of other processes."""
        with self._lock.own:
            self._tokens = {}

    def on_published(self, revoked_id: str | None) -> None:
        """Handle a revocation of another process, or None if this process may have missed revocations."""
        if revoked_id is None:
            self.clear()
        else:
            self.on_revoked(revoked_id)

    def is_revoked(self, access: AccessToken) -> bool:
        """Return whether a revocation that this process has received recently covers the token."""
        ids = access.authorization_id, access.client_id, access.consent_id, values.text(access.token_hash)
        if not self._revoked.keys().isdisjoint(ids):
            return True
        return access.user_id is not None and access.authorization_id <= self._users.get(access.user_id, "")


def _is_of_user(revoked_id: str, user_id: str) -> bool:
    found = values.read_user_revocation_id(revoked_id)
    return found is not None and found[0] == user_id


_NOTHING: tuple[float, None] = 0.0, None
