"""Those that are measured: each module has ``open_site(place)``, and runs in an environment that has what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Contestant(NamedTuple):
    """Where a contestant is written, what it needs beside the standard library, and its database.

    What needs nothing runs in the environment that runs the benchmark. ``floor`` is whom it is compared with,
    ``options`` what it sets beside the defaults, ``works`` what it takes part in, where that is not all. What is no
    provider is not probed.
    """

    module: str
    needs: tuple[str, ...] = ()
    database: str = "sqlite"
    floor: str = "floor"
    options: Mapping[str, Any] = {}
    works: tuple[str, ...] = ()
    is_provider: bool = True


CONTESTANTS = {
    "floor": Contestant("floor"),
    "bare": Contestant("bare", is_provider=False),
    "flask_oauth2": Contestant("provider"),
    "flask_oauth2-token_cache": Contestant("provider", options={"OAUTH2_TOKEN_CACHE": 5}, works=("guard",)),
    "floor-postgresql": Contestant("floor_postgresql", database="postgresql", floor="floor-postgresql"),
    "flask_oauth2-postgresql": Contestant("provider", database="postgresql", floor="floor-postgresql"),
    "authlib": Contestant("authlib_site", ("authlib", "flask", "flask-sqlalchemy", "gunicorn")),
    "django_oauth_toolkit": Contestant("django_site", ("django", "django-oauth-toolkit", "gunicorn")),
}
"""By the name that tables show."""
