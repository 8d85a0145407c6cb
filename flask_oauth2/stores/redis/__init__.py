"""Short-lived data in Redis, before a store for everything else. Needs ``flask_oauth2[redis]``."""

from .store import RedisStore

__all__ = ["RedisStore"]
