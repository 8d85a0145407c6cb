"""A token table that is cut by time: ``PARTITION BY RANGE (issued_at)``, made by whoever runs the database.

Keys begin with the time at which their token was issued, so whoever has a key knows the partition of its row. Nobody
files into a partition that is over, so what has expired there need not be deleted: the partition goes as a whole once
nothing in it lives.

A change of the table needs all of it for a moment, for which all requests wait. It is waited for half a second at most,
or a second on MariaDB and MySQL, since requests queue behind it: behind a long backup it is left to the next purge.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, Table, exc

from .engines import alone
from .unavailable import retry_lost

log = logging.getLogger("flask_oauth2")

AHEAD = 2
"""How many partitions begin in the future."""

SETTLED = 3600
"""Seconds after its end in which a partition is still filed into: by a clock that is slow, or a transaction."""

_GONE = "expires_at <= :now AND (refresh_expires_at IS NULL OR refresh_expires_at <= :now)"
_LIVES = "expires_at > :now OR refresh_expires_at > :now"
_BATCH = 500


class Span(NamedTuple):
    """From a second to before another."""

    since: int | None
    until: int | None


class Partition(NamedTuple):
    """One of them. The one without an end takes what fits no other."""

    name: str
    rows: str
    """What stands for its rows after FROM."""
    span: Span


class Partitions:
    """The partitions of a table, the oldest first."""

    _listed: str

    def __init__(self, engine: Engine, table: Table) -> None:
        self.engine = engine
        self._name = table.name
        quote = engine.dialect.identifier_preparer
        self._quote = quote.quote
        self._schema = quote.quote_schema(table.schema) + "." if table.schema else ""
        self._table = quote.format_table(table)
        self._named: dict[str, str | None] = {"table": self._table}

    def is_there(self) -> bool:
        """Whether the table is cut so."""
        return bool(self.find())

    def find(self) -> list[Partition]:
        """Those that there are now."""

        def read() -> list[Partition]:
            with self.engine.connect() as connection:
                return self._find(connection)

        return retry_lost(self.engine, read)

    def _find(self, connection: Connection) -> list[Partition]:
        rows = connection.execute(sa.text(self._listed), self._named)
        return sorted(self._read(rows), key=lambda partition: (partition.span.until is None, partition.span.until))

    def _read(self, rows: Iterable[Any]) -> Iterator[Partition]:
        raise NotImplementedError

    def add_ahead(self, now: int) -> None:
        """Make those that are missing, each as long as the newest."""
        with self._trying("made no new partition"), alone(self.engine) as connection:
            partitions = self._find(connection)
            newest = next((span for _, _, span in reversed(partitions) if span.until is not None), None)
            if newest is None or newest.since is None or newest.until is None:
                log.warning("%s has no partition with a beginning and an end, so none is made ahead", self._name)
                return
            rest = next((partition for partition in partitions if partition.span.until is None), None)
            spans = list(_missing(newest.since, newest.until, self._last(connection, rest), now))
            if spans:
                self._add(connection, spans, rest)

    def _last(self, connection: Connection, rest: Partition | None) -> int | None:
        """The second of the youngest row that no new partition can take."""
        raise NotImplementedError

    def _add(self, connection: Connection, spans: list[Span], rest: Partition | None) -> None:
        raise NotImplementedError

    def drop_dead(self, now: int) -> Iterator[int]:
        """Drop those that are over and in which nothing lives: how many rows each had.

        The newest two stay, which say how long a new one is: where those ahead could not be made, it may be them.
        """
        newest = [partition for partition in self.find() if partition.span.until is not None][-2:]
        for partition in self._over(now):
            if partition in newest:
                continue
            rows = self._count_dead(partition, now)
            is_gone = False
            if rows is not None:
                with self._trying(f"left {partition.name}, in which nothing lives"):
                    is_gone = self._drop(partition, now)
            if is_gone:
                yield rows or 0

    def _drop(self, partition: Partition, now: int) -> bool:
        """Whether it was dropped; not where something lives there after all."""
        raise NotImplementedError

    def list_expired(self, now: int) -> Iterator[list[tuple[bytes, int]]]:
        """Keys and seconds of expired rows, in batches, where partitions are not over."""
        over = {partition.name for partition in self._over(now)}
        for partition in self.find():
            after = b""
            while partition.name not in over:
                condition = f"WHERE {_GONE} AND access_key > :after ORDER BY access_key LIMIT {_BATCH}"
                batch = self._select("access_key, issued_at", partition, condition, now=now, after=after)
                if not batch:
                    break
                yield [(bytes(key), issued_at) for key, issued_at in batch]
                after = bytes(batch[-1][0])

    def count_expired(self, now: int) -> int:
        """How many rows would go."""
        over = self._over(now)
        open_ = [partition for partition in self.find() if partition not in over]
        gone = sum(int(self._select("count(*)", partition, f"WHERE {_GONE}", now=now)[0][0]) for partition in open_)
        return gone + sum(self._count_dead(partition, now) or 0 for partition in over)

    def _over(self, now: int) -> list[Partition]:
        """Those that nobody files into."""
        return [part for part in self.find() if part.span.until is not None and part.span.until + SETTLED <= now]

    def _count_dead(self, partition: Partition, now: int) -> int | None:
        """How many rows it has; None where one lives, which is most likely the youngest."""
        if self._select("1", partition, f"WHERE {_LIVES} ORDER BY access_key DESC LIMIT 1", now=now):
            return None
        ((rows, alive),) = self._select(f"count(*), count(CASE WHEN {_LIVES} THEN 1 END)", partition, now=now)
        return None if alive else rows

    def _select(self, what: str, partition: Partition, condition: str = "", **parameters: Any) -> list[Any]:
        statement = sa.text(f"SELECT {what} FROM {partition.rows} {condition}")  # noqa: S608

        def read() -> list[Any]:
            with self.engine.connect() as connection:
                return list(connection.execute(statement, parameters))

        return retry_lost(self.engine, read)

    @contextmanager
    def _trying(self, otherwise: str) -> Iterator[None]:
        """A change that the next purge can make just as well."""
        try:
            yield
        except exc.SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or type(error).__name__).partition("\n")[0]
            log.warning("flask oauth2 purge %s of %s this time: %s", otherwise, self._name, reason)


def _missing(since: int, until: int, last: int | None, now: int) -> Iterator[Span]:
    """What is to follow the newest partition: nothing of the past, and not the time of rows that are elsewhere."""
    width = until - since
    start = until + max(0, (now - until) // width, 0 if last is None else (last - until) // width + 1) * width
    while start <= now + AHEAD * width:
        yield Span(start, start + width)
        start += width


class PostgreSQLPartitions(Partitions):
    """Each is a table, and what fits none is in the default partition."""

    _listed = """
        SELECT n.nspname, c.relname, pg_get_expr(c.relpartbound, c.oid)
        FROM pg_partitioned_table p
        JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
        JOIN pg_inherits i ON i.inhparent = p.partrelid
        JOIN pg_class c ON c.oid = i.inhrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE p.partrelid = to_regclass(:table) AND p.partstrat = 'r' AND p.partnatts = 1 AND a.attname = 'issued_at'
    """
    _patience = "SET LOCAL lock_timeout = '500ms'"  # less than deadlock_timeout: of two who wait, requests go on

    def _read(self, rows: Iterable[Any]) -> Iterator[Partition]:
        for schema, name, bound in rows:
            found = re.search(r"FROM \('?(-?\w+)'?\) TO \('?(-?\w+)'?\)", bound)
            span = Span(*(None if word.endswith("VALUE") else int(word) for word in found.groups())) if found else None
            yield Partition(name, f"{self._quote(schema)}.{self._quote(name)}", span or Span(None, None))

    def _last(self, connection: Connection, rest: Partition | None) -> int | None:
        youngest = sa.text(f"SELECT max(issued_at) FROM {rest.rows}") if rest else None  # noqa: S608
        return None if youngest is None else connection.scalar(youngest)

    def _add(self, connection: Connection, spans: list[Span], rest: Partition | None) -> None:
        """Attach tables that are made first, which keeps others from the default partition alone."""
        connection.execute(sa.text(self._patience))
        for since, until in spans:
            name = f"{self._schema}{self._quote(f'{self._name}_{since}')}"
            for statement in (
                f"CREATE TABLE {name} (LIKE {self._table} INCLUDING DEFAULTS INCLUDING STORAGE)",
                f"ALTER TABLE {self._table} ATTACH PARTITION {name} FOR VALUES FROM ({since}) TO ({until})",
            ):
                connection.execute(sa.text(statement))

    def _drop(self, partition: Partition, now: int) -> bool:
        """Nobody files into it between the look and the end of it; who reads goes on until then."""
        lives = sa.text(f"SELECT 1 FROM {partition.rows} WHERE {_LIVES} LIMIT 1")  # noqa: S608
        with self.engine.begin() as connection:
            connection.execute(sa.text(self._patience))
            connection.execute(sa.text(f"LOCK TABLE {partition.rows} IN SHARE ROW EXCLUSIVE MODE"))
            if connection.scalar(lives, {"now": now}):
                return False
            connection.execute(sa.text(f"DROP TABLE {partition.rows}"))
        return True


class MySQLPartitions(Partitions):
    """Each begins where the one before ends, and what fits none is before MAXVALUE."""

    _listed = """
        SELECT partition_name, partition_description FROM information_schema.partitions
        WHERE table_schema = COALESCE(:schema, DATABASE()) AND table_name = :name
        AND partition_method = 'RANGE' AND REPLACE(partition_expression, '`', '') = 'issued_at'
        ORDER BY partition_ordinal_position
    """

    def __init__(self, engine: Engine, table: Table) -> None:
        super().__init__(engine, table)
        self._named = {"name": table.name, "schema": table.schema}

    def _read(self, rows: Iterable[Any]) -> Iterator[Partition]:
        since = None
        for name, bound in rows:
            until = None if bound == "MAXVALUE" else int(bound)
            yield Partition(name, f"{self._table} PARTITION ({self._quote(name)})", Span(since, until))
            since = until

    def _last(self, connection: Connection, rest: Partition | None) -> int | None:
        """None: the server moves the rows to where they belong."""

    def _add(self, connection: Connection, spans: list[Span], rest: Partition | None) -> None:
        parts = [f"PARTITION p{since} VALUES LESS THAN ({until})" for since, until in spans]
        change = "ADD PARTITION"
        if rest:
            change = f"REORGANIZE PARTITION {self._quote(rest.name)} INTO"
            parts.append(f"PARTITION {self._quote(rest.name)} VALUES LESS THAN MAXVALUE")
        self._alter(connection, f"{change} ({', '.join(parts)})")

    def _drop(self, partition: Partition, now: int) -> bool:
        with self.engine.connect() as connection:
            self._alter(connection, f"DROP PARTITION {self._quote(partition.name)}")
        return True

    def _alter(self, connection: Connection, change: str) -> None:
        """Change the table, and wait for others for a second at most."""
        before = connection.scalar(sa.text("SELECT @@lock_wait_timeout"))
        connection.execute(sa.text("SET lock_wait_timeout = 1"))
        try:
            connection.execute(sa.text(f"ALTER TABLE {self._table} {change}"))
        finally:
            connection.execute(sa.text(f"SET lock_wait_timeout = {before}"))


class MariaDBPartitions(MySQLPartitions):
    """The same, with the time to wait in the statement."""

    def _alter(self, connection: Connection, change: str) -> None:
        connection.execute(sa.text(f"ALTER TABLE {self._table} WAIT 1 {change}"))


_BY_DIALECT = {"postgresql": PostgreSQLPartitions, "mariadb": MariaDBPartitions, "mysql": MySQLPartitions}


def find_partitions(engine: Engine, table: Table) -> Partitions | None:
    """The partitions of a table; None where it is one piece."""
    of_dialect = _BY_DIALECT.get(engine.dialect.name)
    partitions = of_dialect(engine, table) if of_dialect else None
    return partitions if partitions and partitions.is_there() else None
