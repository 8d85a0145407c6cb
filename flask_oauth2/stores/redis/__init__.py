"""Codes, kept requests and counters in Redis, before a store that keeps the rest. Needs ``flask_oauth2[redis]``."""

from .store import RedisStore

__all__ = ["RedisStore"]
