"""The baseline on PostgreSQL: the same application and statements, by psycopg in autocommit."""

from __future__ import annotations

from typing import Any

import psycopg

from ..site import Place, Site
from . import baseline, baseline_sql


class Connection(psycopg.Connection[Any]):
    """Takes the statements of the baseline, which have a question mark where psycopg wants another."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        """Run one statement."""
        return super().execute(_written[query], params, **options)


class _Written(dict[str, str]):
    """The statements as psycopg wants them, each written once."""

    def __missing__(self, query: str) -> str:
        self[query] = text = query.replace("?", "%s").replace("BLOB", "BYTEA")
        return text


_written = _Written()


def open_site(place: Place) -> Site:
    """One connection per thread."""
    assert place.url is not None
    url = place.url.replace("+psycopg", "")

    def connect() -> Any:
        return Connection.connect(url, autocommit=True)

    connection = connect()
    if not connection.execute("SELECT 1 FROM pg_tables WHERE tablename = 'token'").fetchone():
        connection.execute(baseline_sql.TABLES)
        baseline_sql.fill(connection)
    return Site(baseline.make_app(connect, place.issuer, "BEGIN"), lambda: baseline_sql.expire(connection))
