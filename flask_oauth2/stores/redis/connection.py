"""Connections to a Redis server: a few, with short timeouts, and one error for an unavailable server."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.retry import Retry

from ...errors import ConfigurationError, TemporarilyUnavailable
from ..base import HealthIssue
from .scripts import Script

log = logging.getLogger("flask_oauth2")

_RETRY_AFTER = 1
_PATIENCE = 2.0
"""Seconds to wait for a connection, and for an answer."""

_MOST_CONNECTIONS = 50
"""The most connections of one process. If all are in use, a thread waits."""

_LEAST_VERSION = 5, 0

_SAYS_NOTHING = "the Redis server does not answer INFO, so its persistence cannot be verified"

_ABSENCES = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    exceptions.TryAgainError,
)
_ABSENCES_WITHOUT_CLASS = "BUSY", "MISCONF", "NOREPLICAS"
"""The first word of further errors of a server that is unavailable for now."""


def connect(url: str) -> redis.Redis:
    """Return a client for a URL. It connects on first use, and again in each forked process.

    It repeats no command: a script whose answer was lost may have run. Raises :exc:`ConfigurationError` for text that
    is no URL of a Redis server.
    """
    try:
        pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=_MOST_CONNECTIONS,
            timeout=_PATIENCE,
            socket_connect_timeout=_PATIENCE,
            socket_timeout=_PATIENCE,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
    except (ValueError, TypeError) as error:  # its message may hold the password
        raise ConfigurationError(
            "OAUTH2_REDIS_URL is no URL that redis-py knows: use redis://host:6379/0, rediss://… or unix://…"
        ) from error
    return redis.Redis(connection_pool=pool)


class Connection:
    """Commands to the server, each one round trip. Raises :exc:`TemporarilyUnavailable` if it is unavailable."""

    def __init__(self, client: redis.Redis) -> None:
        self.client: Any = client
        self._is_known = False

    def read(self, name: str, *fields: str) -> Sequence[Any]:
        """Return the fields of a hash."""
        with self._reached():
            found: Sequence[Any] = self.client.hmget(name, fields)
        return found

    def run(self, script: Script, names: Sequence[str], *arguments: Any) -> int:
        """Run a script and return its result."""
        with self._reached():
            try:
                result = self.client.evalsha(script.digest, len(names), *names, *arguments)
            except NoScriptError:  # the first time, and after each start of the server
                result = self.client.eval(script.text, len(names), *names, *arguments)
        return int(result)

    def publish(self, channel: str, text: str) -> None:
        """Publish a message to the subscribers."""
        with self._reached():
            self.client.publish(channel, text.encode("utf-8", "surrogatepass"))

    def check_health(self) -> Iterator[HealthIssue]:
        """Return the reasons for which the server may lose data."""
        with self._reached():
            try:
                info = self.client.info()
            except ResponseError as error:
                if is_absence(error):
                    raise
                yield HealthIssue("note", f"{_SAYS_NOTHING} ({type(error).__name__})", "allow the command INFO")
                return
            yield from find_issues(info)
            if not info.get("aof_enabled"):
                yield HealthIssue(
                    "note",
                    "the Redis server has no append-only file: after a crash it brings back spent codes, or has lost "
                    "unspent ones",
                    "set appendonly to yes, and appendfsync to always",
                )

    def get_to_know(self) -> None:
        """Check the server, unless that was done."""
        with self._reached():
            pass

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            if not self._is_known:
                self._get_to_know()
            yield
        except RedisError as error:
            if is_absence(error):
                raise TemporarilyUnavailable(
                    "the Redis server cannot be reached", retry_after=_RETRY_AFTER, received=type(error).__name__
                ) from error
            raise

    def _get_to_know(self) -> None:
        try:
            info = self.client.info()
        except ResponseError as error:
            if is_absence(error):
                raise
            log.warning("%s (%s): allow the command INFO", _SAYS_NOTHING, type(error).__name__)
        else:
            verify(info)
        self._is_known = True


def is_absence(error: RedisError) -> bool:
    """Return whether an error says that the server is unavailable for now."""
    return isinstance(error, _ABSENCES) or str(error).split(" ")[0] in _ABSENCES_WITHOUT_CLASS


def verify(info: Mapping[str, Any]) -> None:
    """Raise :exc:`ConfigurationError` for a server that is too old. Log a warning for one that may lose data."""
    version = str(info.get("redis_version", ""))
    numbers = tuple(int(number) for number in version.split(".")[:2] if number.isdecimal())
    if numbers and numbers < _LEAST_VERSION:
        raise ConfigurationError(
            f"the Redis server of OAUTH2_REDIS_URL is {version}, which is too old: flask_oauth2 needs "
            f"{'.'.join(map(str, _LEAST_VERSION))} or newer"
        )
    for issue in find_issues(info):
        log.warning("%s: %s", issue.what, issue.hint)


def find_issues(info: Mapping[str, Any]) -> Iterator[HealthIssue]:
    """Return the reasons for which a server with this INFO may lose data."""
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield HealthIssue(
            "error",
            f"the Redis server may evict keys (maxmemory-policy is {policy}), and a spent code or a counter that is "
            "gone can be used again",
            "set maxmemory-policy to noeviction, or use a server of its own",
            "rfc6749 4.1.2",
        )
