"""The libraries to compare: each module has ``open_site(place)`` and runs in an environment with its requirements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Library(NamedTuple):
    """A library to measure.

    :param module: the module with its application.
    :param needs: the requirements of its environment. Without any, it runs in the environment of the benchmark.
    :param database: ``sqlite`` or ``postgresql``.
    :param baseline: the name of the library that its times are divided by.
    :param options: settings of the application.
    :param operations: the operations that it supports, if not all.
    :param is_provider: whether it must pass the probe.
    """

    module: str
    needs: tuple[str, ...] = ()
    database: str = "sqlite"
    baseline: str = "baseline"
    options: Mapping[str, Any] = {}
    operations: tuple[str, ...] = ()
    is_provider: bool = True


LIBRARIES = {
    "baseline": Library("baseline"),
    "bare": Library("bare", is_provider=False),
    "flask_oauth2": Library("provider"),
    "flask_oauth2-token_cache": Library("provider", options={"OAUTH2_TOKEN_CACHE_TTL": 5}, operations=("guard",)),
    "baseline-postgresql": Library("baseline_postgresql", database="postgresql", baseline="baseline-postgresql"),
    "flask_oauth2-postgresql": Library("provider", database="postgresql", baseline="baseline-postgresql"),
    "authlib": Library("authlib_site", ("authlib", "flask", "flask-sqlalchemy", "gunicorn")),
    "django_oauth_toolkit": Library("django_site", ("django", "django-oauth-toolkit", "gunicorn")),
}
"""The libraries, by the name in the tables."""
