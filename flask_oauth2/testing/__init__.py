"""Tools for tests of applications: real clients and tokens in the real store, and a clock that tests set.

With pytest, add ``pytest_plugins = ["flask_oauth2.testing"]`` to ``conftest.py``, with a fixture ``app`` that returns
the application. The functions and classes work without pytest. Names that need pytest raise :exc:`ImportError` if it
is missing.

PYTEST_DONT_REWRITE (a conftest may import this module before pytest loads it as a plugin)
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from .application import Clock, RegisteredClient, http_with_token, issue_token, register_client, stop_clock
from .policy import unguarded

if TYPE_CHECKING or find_spec("pytest"):
    from .fixtures import as_token, oauth_client, oauth_clock, oauth_http, oauth_provider, token_for

if TYPE_CHECKING:
    from .contract import StoreContract

__all__ = [
    "Clock",
    "RegisteredClient",
    "StoreContract",
    "as_token",
    "http_with_token",
    "issue_token",
    "oauth_client",
    "oauth_clock",
    "oauth_http",
    "oauth_provider",
    "register_client",
    "stop_clock",
    "token_for",
    "unguarded",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if find_spec("pytest") is None:
        raise ImportError(f"flask_oauth2.testing.{name} needs pytest: pip install pytest")
    import pytest

    pytest.register_assert_rewrite(
        "flask_oauth2.testing.contract", "flask_oauth2.testing.races"
    )  # to show the values of failed assertions
    from .contract import StoreContract

    return StoreContract
