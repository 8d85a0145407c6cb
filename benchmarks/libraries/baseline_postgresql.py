"""The baseline on PostgreSQL: the same application and statements with psycopg, prepared at the first use.

A code or refresh token is used up and the token row added in one statement, so in one round trip.
"""

from __future__ import annotations

from time import time
from typing import Any

import psycopg

from ..site import Place, Site
from . import baseline
from . import baseline_sql as sql


class Connection(psycopg.Connection[Any]):
    """A connection for the statements of the baseline, which have question marks for parameters."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        """Run one statement."""
        return self.cursor().execute(_translated[query], params)


class _Translated(dict[str, str]):
    """The statements for psycopg, each translated once."""

    def __missing__(self, query: str) -> str:
        self[query] = text = query.replace("?", "%s").replace("BLOB", "BYTEA")
        return text


_translated = _Translated()
_TOKEN_TYPES = ["BYTEA", "BYTEA", "TEXT", "TEXT", "TEXT", "TEXT", "TEXT", "BIGINT", "BIGINT", "BIGINT"]
_VALUES = ", ".join(f"?::{name}" for name in _TOKEN_TYPES)
_SPEND_AND_ADD = {
    spend: f"WITH spent AS ({spend} RETURNING 1) INSERT INTO token SELECT {_VALUES}, NULL FROM spent"
    for spend in (sql.SPEND_CODE, sql.SPEND_REFRESH)
}


def spend_and_add(connection: Any, spend: str, key: bytes, row: tuple[Any, ...]) -> bool:
    """Use up a code or refresh token and add the token row. If it was used before, revoke its family: False."""
    now = int(time())
    if connection.execute(_SPEND_AND_ADD[spend], (now, key, *row)).rowcount:
        return True
    connection.execute(sql.ADD_MARK, (row[2], now + sql.REFRESH_LIFETIME))
    return False


def open_site(place: Place) -> Site:
    """Use one connection for each thread."""
    assert place.url is not None
    url = place.url.replace("+psycopg", "")

    def connect() -> Any:
        return Connection.connect(url, autocommit=True, prepare_threshold=0)

    connection = connect()
    if not connection.execute("SELECT 1 FROM pg_tables WHERE tablename = 'token'").fetchone():
        with psycopg.connect(url) as making:
            making.execute(sql.TABLES.replace("BLOB", "BYTEA"))
        sql.fill(connection)
    return Site(baseline.make_app(connect, place.issuer, spend_and_add), lambda: sql.expire(connection))
