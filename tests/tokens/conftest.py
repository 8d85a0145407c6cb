"""The Redis server of the stores' tests."""

from stores.conftest import redis_client, redis_server, redis_url  # noqa: F401
