"""Tokens that guards have read in the last seconds, ``OAUTH2_TOKEN_CACHE_TTL``.

The cache is bounded. A token leaves it when this process learns of its revocation.
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
"""How many tokens are remembered; the one that was read first makes room."""


class TokenCache:
    """Access tokens by their values, which stay in this process: to digest one costs as much as half of the guard.

    :param seconds: how long one is remembered.
    :param clock: seconds that only count up, whatever is done to the clock on the wall.
    """

    def __init__(self, seconds: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._seconds = seconds
        self._tokens: dict[str, tuple[float, AccessToken]] = {}
        self._ended: dict[str, float] = {}
        self._users: dict[str, str] = {}
        self._lock = OfProcess(Lock)
        self._pid = getpid()
        self._listen: Callable[[], None] | None = None

    def follow(self, listen: Callable[[], None]) -> None:
        """Call ``listen``, which has :meth:`hear` called with what other processes end, and again after each fork.

        The thread that listens does not exist in a forked process.
        """
        self._listen = listen
        listen()

    def _begin_in_process(self) -> None:
        """Forget the tokens of the parent process: since the fork nobody has told this process of revocations."""
        self._tokens = {}
        self._pid = getpid()
        if self._listen is not None:
            self._listen()

    def get(self, value: str) -> AccessToken | None:
        """What was read of a value not long ago; None where that is not known, or has ended since."""
        if self._pid != getpid():
            self._begin_in_process()
        until, access = self._tokens.get(value, _NOTHING)
        if access is None or until <= self.clock():
            return None
        return None if self._ended and self.has_ended(access) else access

    def put(self, value: str, access: AccessToken, asked_at: float) -> None:
        """Remember what was read, and asked for at ``asked_at`` by the same clock."""
        if self._pid != getpid():
            self._begin_in_process()
        with self._lock.own:
            if len(self._tokens) >= MOST and value not in self._tokens:
                del self._tokens[next(iter(self._tokens))]
            self._tokens[value] = asked_at + self._seconds, access

    def end(self, mark: str) -> None:
        """What rests on the mark, which was just filed, has ended. It is kept as long as what was read before it."""
        ended = self._ended
        user = values.read_user_revocation_id(mark)
        with self._lock.own:
            now = self.clock()
            while ended and ended[first := next(iter(ended))] <= now:
                del ended[first]
                if (gone := values.read_user_revocation_id(first)) is not None:
                    self._users.pop(gone[0], None)
            if user is not None:
                last_id = max(user[1], self._users.get(user[0], ""))
                self._users[user[0]] = last_id
                for before in [known for known in ended if _is_of_user(known, user[0])]:
                    del ended[before]
            ended.pop(mark, None)  # a mark that comes again has its place at the end
            ended[mark] = now + self._seconds

    def clear(self) -> None:
        """Forget all: marks may have been filed elsewhere that nobody told of."""
        with self._lock.own:
            self._tokens = {}

    def hear(self, mark: str | None) -> None:
        """What another process has ended; None where some of that may have been missed."""
        if mark is None:
            self.clear()
        else:
            self.end(mark)

    def has_ended(self, access: AccessToken) -> bool:
        """Whether a mark that ends it was filed lately, as far as this process knows."""
        marks = access.authorization_id, access.client_id, access.consent_id, values.text(access.key)
        if not self._ended.keys().isdisjoint(marks):
            return True
        return access.user_id is not None and access.authorization_id <= self._users.get(access.user_id, "")


def _is_of_user(mark: str, user_id: str) -> bool:
    found = values.read_user_revocation_id(mark)
    return found is not None and found[0] == user_id


_NOTHING: tuple[float, None] = 0.0, None
