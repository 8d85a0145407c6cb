"""The token table with the partitions that docs/howto/partitions.rst describes. The store does not know about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from doc_page import ROOT, read_blocks
from stores.conftest import OpenStore, database

from flask_oauth2 import values
from flask_oauth2.stores.base import Store
from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore
from flask_oauth2.testing import StoreContract
from flask_oauth2.testing.samples import FAR, NOW, new_token, refreshed, save_record, spent
from oauth_site import make_site

PAGE = ROOT / "docs/howto/partitions.rst"
BLOCKS = {block.name: block.code for block in read_blocks(PAGE) if block.name}
RUN = set(BLOCKS)

DAY = 86400
SECOND_BEGINS = 1_800_230_400
"""The first boundary of the page, 18 January 2027. NOW is some days before it."""


def run_page(store: SQLAlchemyStore, *steps: str) -> list[Any]:
    """Run blocks of the page. Return the rows of the last statement."""
    rows: list[Any] = []
    dialect = "postgresql" if store.engine.dialect.name == "postgresql" else "mariadb"
    with store.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        for step in steps:
            for statement in filter(None, map(str.strip, BLOCKS.get(f"{dialect}_{step}", "").split(";"))):
                result = connection.exec_driver_sql(statement)
                rows = list(result) if result.returns_rows else []
    return rows


def execute(store: SQLAlchemyStore, statement: str) -> list[Any]:
    with store.engine.begin() as connection:
        return list(connection.execute(sa.text(statement)))


@pytest.fixture(params=["postgresql", "mariadb", "mysql"])
def store(request: pytest.FixtureRequest, open_store: OpenStore) -> SQLAlchemyStore:
    """Return a store with a plain table."""
    return open_store(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def partitioned(store: SQLAlchemyStore) -> SQLAlchemyStore:
    run_page(store, "prepare", "cut")
    return store


@pytest.fixture(params=["postgresql", "mariadb", "mysql"], scope="module")
def lasting(request: pytest.FixtureRequest) -> Iterator[SQLAlchemyStore]:
    """Return a store with partitions for many tests."""
    with ExitStack() as stack:
        server = request.getfixturevalue(f"{request.param}_server")
        if request.param == "postgresql":
            url = stack.enter_context(database(server, "partitioned"))
        else:
            server.run("DROP DATABASE IF EXISTS partitioned", "CREATE DATABASE partitioned")
            url = server.url("partitioned")
        store = SQLAlchemyStore.open(url)
        stack.callback(store.engine.dispose)
        run_page(store, "prepare", "cut")
        store.check()
        assert list(store.check_health(NOW)) == []
        yield store


class Partitioned:
    """Runs a part of the contract, as far as it concerns tokens, on a table with partitions."""

    @pytest.fixture
    def store(self, lasting: SQLAlchemyStore) -> Iterator[SQLAlchemyStore]:
        yield lasting
        with lasting.engine.begin() as connection:
            for table in lasting.tables:
                connection.execute(table.delete())


class TestIssue(Partitioned, StoreContract.TestIssue):
    @pytest.mark.parametrize("duplicate", ["access key", "grant key"])
    def test_a_failed_save_leaves_the_grant_unspent(self, store: Store, duplicate: str) -> None:
        super().test_a_failed_save_leaves_the_grant_unspent(store, duplicate)


class TestTokens(Partitioned, StoreContract.TestTokens):
    pass


class TestGracePeriod(Partitioned, StoreContract.TestGracePeriod):
    pass


class TestRevocation(Partitioned, StoreContract.TestRevocation):
    pass


class TestPurge(Partitioned, StoreContract.TestPurge):
    pass


def test_a_refresh_token_is_unique_in_a_plain_table_only(store: SQLAlchemyStore) -> None:
    token = save_record(store, new_token())
    with pytest.raises(Exception, match=r"(?i)duplicate"):
        save_record(store, new_token(refresh_token_hash=token.refresh_token_hash))
    run_page(store, "prepare", "cut")
    assert save_record(store, new_token(refresh_token_hash=token.refresh_token_hash))


def find_touched(store: SQLAlchemyStore, statement: str, **parameters: Any) -> int:
    """Return in how many partitions the server looks."""
    with store.engine.connect() as connection:
        if store.engine.dialect.name != "postgresql":
            explain = "EXPLAIN PARTITIONS" if store.engine.dialect.name == "mariadb" else "EXPLAIN FORMAT=TRADITIONAL"
            plan = connection.exec_driver_sql(f"{explain} {statement}", parameters).mappings()
            return sum(len(row["partitions"].split(",")) for row in plan if row["table"] == "oauth2_token")
        lines = [row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)]
    return sum(f" on oauth2_token_{name} " in line for line in lines for name in ("first", "20270118", "rest"))


def test_the_key_of_an_access_token_leads_to_one_partition(partitioned: SQLAlchemyStore) -> None:
    token = save_record(partitioned, new_token(now=SECOND_BEGINS + 5))
    sql, key = partitioned._sql, token.access.token_hash
    assert find_touched(partitioned, sql.get_access, key=key, issuer_id="", token_id="") == 1
    assert (
        find_touched(partitioned, sql.expired[0].deletions[0], key=key, issuer_id="", now=NOW) <= 2
    )  # DELETE and scan
    assert find_touched(partitioned, sql.get_refresh, key=token.refresh_token_hash, issuer_id="") == 3


def test_tokens_work_before_and_after(store: SQLAlchemyStore, open_store: OpenStore) -> None:
    tokens = [save_record(store, new_token(now=NOW + day * DAY)) for day in (-40, -3, 0, 1)]
    ended, used = save_record(store, new_token()), save_record(store, new_token())
    store.revoke(ended.authorization.id, FAR)
    assert refreshed(store, used)
    run_page(store, "prepare", "cut", "next")
    fresh = open_store(store.engine.url.render_as_string(hide_password=False))
    for worker in (store, fresh):
        for token in tokens:
            assert worker.get_access(token.access.token_hash) == token.access
            assert worker.get_refresh(token.refresh_token_hash) == token
        assert worker.get_access(ended.access.token_hash) is None
        assert worker.get_refresh(used.refresh_token_hash) == spent(used)
        assert not refreshed(worker, used)
    children = [refreshed(store, tokens[2], SECOND_BEGINS + 5), refreshed(fresh, tokens[3], SECOND_BEGINS + DAY)]
    assert all(children)
    assert not refreshed(fresh, tokens[2])
    run_page(fresh, "back")
    again = open_store(store.engine.url.render_as_string(hide_password=False))
    for worker in (store, again):
        for child in children:
            assert child is not None
            assert worker.get_refresh(child.refresh_token_hash) == child
        assert worker.get_refresh(tokens[2].refresh_token_hash) == spent(tokens[2], SECOND_BEGINS + 5)
        assert worker.get_access(ended.access.token_hash) is None
    taken = replace(new_token(), refresh_token_hash=tokens[0].refresh_token_hash)
    with pytest.raises(Exception, match=r"(?i)duplicate"):
        again.issue(None, [taken], NOW)


def test_a_partition_is_dropped_when_its_tokens_have_expired(partitioned: SQLAlchemyStore) -> None:
    store, lifetime = partitioned, {"expires_at": 1_000_000_000, "refresh_expires_at": FAR * 2}
    others = [save_record(store, new_token(now=now)) for now in (NOW, SECOND_BEGINS + DAY)]
    long_ago = new_token(now=SECOND_BEGINS + 5, refresh_expires_at=lifetime["expires_at"])
    dead = save_record(store, replace(long_ago, access=replace(long_ago.access, expires_at=lifetime["expires_at"])))
    assert run_page(store, "count") == [(0,)]
    alive = save_record(store, new_token(now=SECOND_BEGINS + 5, refresh_expires_at=lifetime["refresh_expires_at"]))
    assert run_page(store, "count") == [(1,)]
    run_page(store, "drop")
    assert store.get_access(dead.access.token_hash) is None
    assert store.get_access(alive.access.token_hash) is None
    assert [store.get_access(token.access.token_hash) for token in others] == [token.access for token in others]


def test_tokens_without_a_timestamp_are_found(partitioned: SQLAlchemyStore) -> None:
    for now in (NOW, SECOND_BEGINS + 5, NOW + 100 * DAY):
        token = new_token(now=now)
        imported = replace(
            token,
            access=replace(token.access, token_hash=values.key(f"a value of {now}")),
            refresh_token_hash=values.key(f"a refresh token of {now}"),
        )
        save_record(partitioned, imported)
        assert imported.access.token_hash.startswith(values.NO_TIMESTAMP)
        assert partitioned.get_access(imported.access.token_hash) == imported.access
        assert partitioned.get_refresh(imported.refresh_token_hash) == imported
        assert refreshed(partitioned, imported, now)
        assert not refreshed(partitioned, imported, now)


def test_the_schema_is_the_same_afterwards(store: SQLAlchemyStore) -> None:
    def look() -> Any:
        inspector = sa.inspect(store.engine)
        indexes = sorted(
            (one["name"], one["column_names"], bool(one["unique"])) for one in inspector.get_indexes("oauth2_token")
        )
        columns = [(one["name"], str(one["type"]), one["nullable"]) for one in inspector.get_columns("oauth2_token")]
        return inspector.get_pk_constraint("oauth2_token")["constrained_columns"], indexes, columns

    before = look()
    run_page(store, "prepare", "cut")
    assert look() != before
    store.check()
    run_page(store, "back")
    assert look() == before


def test_postgresql_builds_nothing_while_it_locks_the_table(postgresql_url: str, open_store: OpenStore) -> None:
    store = open_store(postgresql_url)
    indexes = "SELECT indexrelid FROM pg_index WHERE indrelid = CAST('{}' AS regclass)"
    rows = "SELECT pg_relation_filenode('{}')"
    run_page(store, "prepare")
    before = {row[0] for row in execute(store, indexes.format("oauth2_token"))}
    file = execute(store, rows.format("oauth2_token"))
    run_page(store, "cut")
    after = {row[0] for row in execute(store, indexes.format("oauth2_token_first"))}
    assert len(after) == 3
    assert after < before
    assert execute(store, rows.format("oauth2_token_first")) == file


def test_the_doctor_sees_a_missing_index(partitioned: SQLAlchemyStore) -> None:
    is_postgresql = partitioned.engine.dialect.name == "postgresql"
    with partitioned.engine.begin() as connection:
        connection.execute(sa.text("DROP INDEX ix_oauth2_token_parent" + ("" if is_postgresql else " ON oauth2_token")))
    (issue,) = partitioned.check_health(NOW)
    assert issue.what.startswith("the index of parent of the table oauth2_token is missing")


def test_a_whole_flow(partitioned: SQLAlchemyStore, tmp_path: Path) -> None:
    site = make_site(tmp_path, OAUTH2_DATABASE_URI=partitioned.engine.url.render_as_string(hide_password=False))
    secret = site.add_client()
    tokens = site.tokens(secret)
    assert site.is_alive(tokens["access_token"])
    assert site.refresh(tokens["refresh_token"], secret).status_code == 200
    assert site.post("/revoke", ("web", secret), token=tokens["access_token"]).status_code == 200
    assert not site.is_alive(tokens["access_token"])
    site.store.engine.dispose()
