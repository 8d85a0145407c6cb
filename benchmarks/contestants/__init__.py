"""Those that are measured: each module has ``open_site(place)``, and runs in an environment that has what it needs."""

from __future__ import annotations

from typing import NamedTuple


class Contestant(NamedTuple):
    """Where a contestant is written, what it needs beside the standard library, and its database.

    What needs nothing runs in the environment that runs the benchmark. ``floor`` is whom it is compared with.
    """

    module: str
    needs: tuple[str, ...] = ()
    database: str = "sqlite"
    floor: str = "floor"


CONTESTANTS = {
    "floor": Contestant("floor"),
    "bare": Contestant("bare"),
    "flask_oauth2": Contestant("provider"),
    "floor-postgresql": Contestant("floor_postgresql", database="postgresql", floor="floor-postgresql"),
    "flask_oauth2-postgresql": Contestant("provider", database="postgresql", floor="floor-postgresql"),
    "authlib": Contestant("authlib_site", ("authlib", "flask", "flask-sqlalchemy")),
    "django_oauth_toolkit": Contestant("django_site", ("django", "django-oauth-toolkit")),
}
"""By the name that tables show."""
