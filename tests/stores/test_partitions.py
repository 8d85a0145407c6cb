"""A token table that is cut by time, by what docs/howto/partitions.rst says, and what is done with its pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from doc_page import ROOT, read_blocks
from stores.conftest import database

from flask_oauth2 import values
from flask_oauth2.records import Token
from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore
from flask_oauth2.stores.sqlalchemy.partitions import AHEAD, SETTLED, Span, find_partitions
from flask_oauth2.testing import StoreContract
from flask_oauth2.testing.samples import FAR, NOW, filed, new_token, refreshed, spent
from oauth_site import make_site

PAGE = ROOT / "docs/howto/partitions.rst"
CUT = {
    "postgresql": ("postgresql_prepare", "postgresql_cut"),
    "mariadb": ("mariadb_cut",),
    "mysql": ("mariadb_cut",),
}
BACK = {"postgresql": ("postgresql_back",), "mariadb": ("mariadb_back",), "mysql": ("mariadb_back",)}
RUN = {name for names in (*CUT.values(), *BACK.values()) for name in names}

DAY = 86400
FIRST_END = 1800230400
"""The time in the page: days after NOW."""

BLOCKS = {block.name: block.code for block in read_blocks(PAGE)}


def run_page(store: SQLAlchemyStore, names: dict[str, tuple[str, ...]]) -> None:
    with store.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        for name in names[store.engine.dialect.name]:
            for statement in filter(None, map(str.strip, BLOCKS[name].split(";"))):
                connection.exec_driver_sql(statement)


def remake(store: SQLAlchemyStore) -> None:
    store.tables.token.drop(store.engine)
    store.tables.token.create(store.engine)
    run_page(store, CUT)


def parts(store: SQLAlchemyStore) -> list[Span]:
    found = find_partitions(store.engine, store.tables.token)
    return [partition.span for partition in found.find()] if found else []


def names(store: SQLAlchemyStore) -> list[str]:
    found = find_partitions(store.engine, store.tables.token)
    return [partition.name for partition in found.find()] if found else []


def execute(store: SQLAlchemyStore, statement: str, **parameters: Any) -> list[Any]:
    with store.engine.begin() as connection:
        result = connection.execute(sa.text(statement), parameters)
        return list(result) if result.returns_rows else []


@pytest.fixture(params=["postgresql", "mariadb", "mysql"])
def whole(request: pytest.FixtureRequest, open_store: Callable[[str], SQLAlchemyStore]) -> SQLAlchemyStore:
    """A store whose table is in one piece still."""
    return open_store(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def store(whole: SQLAlchemyStore, open_store: Callable[[str], SQLAlchemyStore]) -> SQLAlchemyStore:
    """One whose table was cut before it was opened."""
    run_page(whole, CUT)
    return open_store(whole.engine.url.render_as_string(hide_password=False))


@pytest.fixture(params=["postgresql", "mariadb", "mysql"], scope="module")
def kept(request: pytest.FixtureRequest) -> Iterator[SQLAlchemyStore]:
    """A store for many tests."""
    with ExitStack() as stack:
        server = request.getfixturevalue(f"{request.param}_server")
        if request.param == "postgresql":
            url = stack.enter_context(database(server, "cut"))
        else:
            server.run("DROP DATABASE IF EXISTS cut", "CREATE DATABASE cut")
            url = server.url("cut")
        store = SQLAlchemyStore.open(url)
        stack.callback(store.engine.dispose)
        run_page(store, CUT)
        store.check()
        yield store


class TestContract(StoreContract):
    """Whatever holds for a table in one piece."""

    @pytest.fixture
    def store(self, kept: SQLAlchemyStore) -> Iterator[SQLAlchemyStore]:
        before = names(kept)
        assert len(before) == 3
        assert kept._layout.by_time
        yield kept
        for table in kept.tables:
            with kept.engine.begin() as connection:
                connection.execute(table.delete())
        if names(kept) != before:
            remake(kept)


def test_what_the_doctor_sees_of_its_indexes(whole: SQLAlchemyStore, store: SQLAlchemyStore) -> None:
    is_postgresql = store.engine.dialect.name == "postgresql"
    assert list(store.check_health(NOW)) == []
    for table in ("oauth2_token", "oauth2_client"):
        name = "parent" if table == "oauth2_token" else "owner_id"
        execute(store, f"DROP INDEX ix_{table}_{name}" + ("" if is_postgresql else f" ON {table}"))
    client, token = store.check_health(NOW)
    assert client.what.startswith("the index of owner_id of the table oauth2_client is missing")
    assert token.what.startswith("the index of parent of the table oauth2_token is missing")
    assert "partitions" in token.hint
    execute(store, client.hint.replace(" CONCURRENTLY", ""))
    assert list(store.check_health(NOW)) == [token]


class TestRecipe:
    """There and back, with tokens that live on."""

    def test_live_tokens_work_before_and_after(
        self, whole: SQLAlchemyStore, open_store: Callable[[str], SQLAlchemyStore]
    ) -> None:
        ages = [filed(whole, new_token(now=NOW + day * DAY)) for day in (-40, -3, 0, 1)]
        ended, used = filed(whole, new_token()), filed(whole, new_token())
        whole.revoke(ended.authorization.id, FAR)
        assert refreshed(whole, used)
        run_page(whole, CUT)
        assert parts(whole)[:2] == [Span(None, FIRST_END), Span(FIRST_END, FIRST_END + DAY)]
        assert parts(whole)[2].until is None
        fresh = open_store(whole.engine.url.render_as_string(hide_password=False))
        for store in (whole, fresh):  # the workers of before, and those that were started anew
            for token in ages:
                assert store.get_access(token.access.key) == token.access
                assert store.get_refresh(token.refresh_key) == token
            assert store.get_access(ended.access.key) is None
            assert store.get_refresh(used.refresh_key) == spent(used)
            assert not refreshed(store, used)
        child = refreshed(whole, ages[2])
        other = refreshed(fresh, ages[3])
        assert child
        assert other
        assert not refreshed(fresh, ages[2])
        run_page(fresh, BACK)
        assert parts(whole) == []
        again = open_store(whole.engine.url.render_as_string(hide_password=False))
        for store in (whole, fresh, again):
            assert store.get_refresh(child.refresh_key) == child
            assert store.get_refresh(ages[2].refresh_key) == spent(ages[2])
            assert store.get_access(ended.access.key) is None
        assert refreshed(again, other)
        taken = replace(new_token(), refresh_key=child.refresh_key)
        with pytest.raises(Exception, match=r"(?i)duplicate"):
            again.issue(None, [taken], NOW)

    @pytest.mark.parametrize("whole", ["postgresql"], indirect=True)
    def test_nothing_is_built_while_the_table_is_locked(self, whole: SQLAlchemyStore) -> None:
        listed = "SELECT indexrelid FROM pg_index WHERE indrelid = CAST('{}' AS regclass)"
        run_page(whole, {"postgresql": ("postgresql_prepare",)})
        before = {row[0] for row in execute(whole, listed.format("oauth2_token"))}
        file = "SELECT pg_relation_filenode('{}')"
        rows = execute(whole, file.format("oauth2_token"))
        run_page(whole, {"postgresql": ("postgresql_cut",)})
        after = {row[0] for row in execute(whole, listed.format("oauth2_token_first"))}
        assert len(after) == 3
        assert after < before
        assert execute(whole, file.format("oauth2_token_first")) == rows

    def test_the_schema_is_what_it_was(self, whole: SQLAlchemyStore) -> None:
        def look() -> Any:
            inspector = sa.inspect(whole.engine)
            indexes = sorted(
                (i["name"], i["column_names"], bool(i["unique"])) for i in inspector.get_indexes("oauth2_token")
            )
            columns = [(c["name"], str(c["type"]), c["nullable"]) for c in inspector.get_columns("oauth2_token")]
            return inspector.get_pk_constraint("oauth2_token")["constrained_columns"], indexes, columns

        before = look()
        run_page(whole, CUT)
        assert look() != before
        whole.check()
        run_page(whole, BACK)
        assert look() == before

    def test_a_table_that_is_cut_otherwise_is_left_alone(self, whole: SQLAlchemyStore) -> None:
        if whole.engine.dialect.name != "postgresql":
            execute(whole, "ALTER TABLE oauth2_token DROP INDEX ix_oauth2_token_refresh_key")
            execute(whole, "ALTER TABLE oauth2_token PARTITION BY KEY (access_key) PARTITIONS 2")
        else:
            execute(whole, "ALTER TABLE oauth2_token RENAME TO before")
            execute(
                whole,
                "CREATE TABLE oauth2_token (LIKE before INCLUDING DEFAULTS, PRIMARY KEY (access_key)) "
                "PARTITION BY HASH (access_key)",
            )
            execute(whole, "CREATE TABLE a PARTITION OF oauth2_token FOR VALUES WITH (MODULUS 1, REMAINDER 0)")
        token = filed(whole, new_token(now=NOW - 100 * DAY))
        whole.check()
        assert parts(whole) == []
        assert whole.get_refresh(token.refresh_key) == token
        assert sum(whole.purge(NOW)) == 1


def touched(store: SQLAlchemyStore, statement: str, parameters: dict[str, Any]) -> set[str]:
    """The partitions that the server would look into."""
    with store.engine.connect() as connection:
        if store.engine.dialect.name != "postgresql":
            explain = "EXPLAIN PARTITIONS" if store.engine.dialect.name == "mariadb" else "EXPLAIN FORMAT=TRADITIONAL"
            rows = connection.exec_driver_sql(f"{explain} {statement}", parameters).mappings()
            return {name for row in rows if row["table"] == "oauth2_token" for name in row["partitions"].split(",")}
        plan = "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters))
        return {name for name in names(store) if f" on {name}" in plan}


class TestLookUps:
    """One partition is looked into, wherever the key says which."""

    def test_by_key_one_partition_is_touched(self, store: SQLAlchemyStore) -> None:
        token = filed(store, new_token(now=FIRST_END + 5))
        sql, plain = store._layout.by_time, store._sql
        assert sql is not None
        found = {"issued_at": token.access.issued_at, "issuer_id": ""}
        key, spent = found | {"key": token.access.key}, found | {"spent_key": token.access.key}
        mark, now = {"token_id": values.text(token.access.key)}, {"now": NOW}
        refresh = {"key": token.refresh_key, "issued_at": token.access.issued_at, "issuer_id": ""}
        only = {names(store)[1]}
        assert touched(store, sql.get_access, key | mark) == only
        assert touched(store, sql.get_refresh, refresh) == only
        assert touched(store, sql.spend_token, spent | now) == only
        assert touched(store, sql.expired[0].deletions[0], key | now) == only
        assert touched(store, plain.get_access, key | mark) == set(names(store))

    def test_requests_ask_for_that_partition(self, store: SQLAlchemyStore) -> None:
        sent: list[Any] = []
        fetch, run = store._database.fetch, store._database.run
        store._database.fetch = lambda sql, **named: sent.append(sql) or fetch(sql, **named)  # type: ignore[method-assign, func-returns-value]
        store._database.run = lambda *steps: sent.extend(step.statement for step in steps) or run(*steps)  # type: ignore[method-assign, func-returns-value]
        token = filed(store, new_token())
        sent.clear()
        store.get_access(token.access.key)
        store.get_refresh(token.refresh_key)
        assert refreshed(store, token)
        assert refreshed(store, token, NOW, 30)
        sql = store._layout.by_time
        assert sql is not None
        assert {sql.get_access, sql.get_refresh, sql.spend_token, sql.add_sibling} < set(sent)
        assert len(sent) == 2 + 2 + 4

    def test_keys_without_a_time_are_found(self, store: SQLAlchemyStore) -> None:
        for now in (NOW, FIRST_END + 5, NOW + 100 * DAY):
            token = new_token(now=now)
            bare = replace(token, access=replace(token.access, key=values.key(f"a value of {now}")))
            filed(store, bare)
            assert bare.access.key.startswith(values.NO_TIMESTAMP)
            assert store.get_access(bare.access.key) == bare.access
            assert store.get_refresh(bare.refresh_key) == bare
            assert refreshed(store, bare, now)
            assert not refreshed(store, bare, now)
            imported = replace(bare, access=replace(bare.access, key=values.key(f"{now}, imported")))
            imported = replace(imported, refresh_key=values.key(f"{now}, of a refresh token"))
            filed(store, imported)
            assert store.get_refresh(imported.refresh_key) == imported
            assert store.find_known([imported.refresh_key, b"other"]) == {imported.refresh_key}
        assert store.get_access(values.key("another value")) is None

    def test_a_store_that_nobody_checked_looks_by_itself(self, store: SQLAlchemyStore) -> None:
        token = filed(store, new_token())
        attached = SQLAlchemyStore.attach(store.engine.url.render_as_string(hide_password=False))
        assert attached._layout.by_time is None
        assert attached.get_access(token.access.key) == token.access
        assert attached._layout.by_time is not None
        attached.engine.dispose()

    def test_a_whole_flow(self, store: SQLAlchemyStore, tmp_path: Path) -> None:
        site = make_site(tmp_path, OAUTH2_DATABASE_URI=store.engine.url.render_as_string(hide_password=False))
        assert site.store._layout.by_time is not None
        secret = site.add_client()
        tokens = site.tokens(secret)
        assert site.is_alive(tokens["access_token"])
        assert site.refresh(tokens["refresh_token"], secret).status_code == 200
        assert site.post("/revoke", ("web", secret), token=tokens["access_token"]).status_code == 200
        assert not site.is_alive(tokens["access_token"])
        site.store.engine.dispose()


class TestPurge:
    """Partitions come and go."""

    def test_those_ahead_are_made_once(self, store: SQLAlchemyStore) -> None:
        assert sum(store.purge(NOW)) == 0
        assert len(parts(store)) == 3
        assert sum(store.purge(FIRST_END)) == 0
        ends = [span.until for span in parts(store)]
        assert ends == [FIRST_END, *(FIRST_END + day * DAY for day in (1, 2, 3)), None]
        assert sum(span.since is not None and span.since > FIRST_END for span in parts(store)[:-1]) == AHEAD
        assert sum(store.purge(FIRST_END)) == 0
        assert [span.until for span in parts(store)] == ends
        token = filed(store, new_token(now=FIRST_END + 2 * DAY + 5))
        assert store._layout.by_time is not None
        key = {"key": token.access.key, "issued_at": token.access.issued_at, "token_id": "", "issuer_id": ""}
        assert touched(store, store._layout.by_time.get_access, key) == {names(store)[3]}
        assert store.get_refresh(token.refresh_key) == token

    def test_after_a_long_time_without_a_purge(self, store: SQLAlchemyStore) -> None:
        late = FIRST_END + 30 * DAY + 5
        token = filed(store, new_token(now=late))
        assert sum(store.purge(late)) == 0
        assert store.get_refresh(token.refresh_key) == token
        closed = [span for span in parts(store) if span.until is not None]
        assert sum(span.since is not None and span.since > late for span in closed) >= AHEAD
        assert closed[-1].until == FIRST_END + 33 * DAY
        follower = filed(store, new_token(now=late + DAY))
        assert store.get_access(follower.access.key) == follower.access

    def test_a_dead_one_is_dropped_whole(self, store: SQLAlchemyStore, monkeypatch: pytest.MonkeyPatch) -> None:
        dead = [filed(store, new_token(now=NOW + second)) for second in range(5)]
        alive = filed(store, new_token(now=FIRST_END + 5))
        now = NOW + 4 + 30 * DAY
        assert store.purgeable(now) == 5
        deleted: list[Any] = []
        monkeypatch.setattr(store._database, "run", lambda *steps: deleted.append(steps))
        assert sum(store.purge(now)) == 5
        assert not deleted
        assert FIRST_END not in [span.until for span in parts(store)]
        assert store.purgeable(now) == sum(store.purge(now)) == 0
        assert store.get_access(dead[0].access.key) is None
        assert store.get_refresh(alive.refresh_key) == alive

    def test_what_was_filed_since_the_look_keeps_its_own(self, store: SQLAlchemyStore) -> None:
        if store.engine.dialect.name != "postgresql":
            pytest.skip("MariaDB and MySQL drop without another look, as the page says")
        token = filed(store, new_token())
        found = find_partitions(store.engine, store.tables.token)
        assert found is not None
        partition = found.find()[0]
        assert not found._drop(partition, NOW)
        assert store.get_access(token.access.key) == token.access
        assert found._drop(partition, FAR + 1)
        assert partition not in found.find()

    def test_a_token_that_lives_on_keeps_its_own(self, store: SQLAlchemyStore) -> None:
        dead = filed(store, new_token())
        alive = filed(store, new_token(refresh_expires_at=FAR))
        now = FIRST_END + 60 * DAY
        assert now < FAR
        assert store.purgeable(now) == sum(store.purge(now)) == 0
        assert store.get_refresh(alive.refresh_key) == alive
        assert store.get_refresh(dead.refresh_key) == dead
        assert store.purgeable(FAR) == sum(store.purge(FAR)) == 2
        assert store.get_refresh(alive.refresh_key) is None

    def test_what_is_filed_into_still_is_purged_row_by_row(self, store: SQLAlchemyStore) -> None:
        dead = filed(store, new_token(refresh_key=None, refresh_expires_at=None))
        assert store.purgeable(NOW + 3600) == sum(store.purge(NOW + 3600)) == 1
        assert store.get_access(dead.access.key) is None
        rest = filed(store, new_token(now=FIRST_END + 10 * DAY, refresh_key=None, refresh_expires_at=None))
        assert store.purgeable(FIRST_END + 11 * DAY) == sum(store.purge(FIRST_END + 11 * DAY)) == 1
        assert store.get_access(rest.access.key) is None

    def test_one_that_has_just_ended_may_be_filed_into(self, store: SQLAlchemyStore) -> None:
        store.engine.dispose()
        assert sum(store.purge(FIRST_END)) == 0
        assert sum(store.purge(FIRST_END + SETTLED - 1)) == 0
        assert parts(store)[0].until == FIRST_END
        assert sum(store.purge(FIRST_END + SETTLED)) == 0
        assert parts(store)[0].until == FIRST_END + DAY

    def test_more_than_one_batch(self, store: SQLAlchemyStore) -> None:
        tokens: list[Token] = [new_token(refresh_key=None, refresh_expires_at=None) for _ in range(501)]
        assert store.issue(None, tokens, NOW)
        assert sum(store.purge(NOW + 3600)) == 501
        assert store.purgeable(NOW + 3600) == 0

    def test_a_table_in_use_is_left_for_the_next_time(
        self, store: SQLAlchemyStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        filed(store, new_token())
        now = FIRST_END + 40 * DAY
        for complaint in ("made no new partition", "in which nothing lives"):
            before = names(store)
            with store.engine.connect() as backup:
                backup.execute(sa.text("BEGIN" if store.engine.dialect.name != "postgresql" else "SELECT 1"))
                backup.execute(sa.text("SELECT count(*) FROM oauth2_token"))
                assert sum(store.purge(now)) == 0
                backup.rollback()
            assert names(store) == before
            assert complaint in caplog.text
            found = find_partitions(store.engine, store.tables.token)
            assert found
            found.add_ahead(now)
        assert store.purgeable(now) == sum(store.purge(now)) == 1
        assert before[0] not in names(store)

    def test_without_a_last_one(self, store: SQLAlchemyStore) -> None:
        if store.engine.dialect.name != "postgresql":
            execute(store, "ALTER TABLE oauth2_token DROP PARTITION rest")
        else:
            execute(store, "DROP TABLE oauth2_token_rest")
        assert sum(store.purge(FIRST_END + 5 * DAY)) == 0
        token = filed(store, new_token(now=FIRST_END + 5 * DAY))
        assert store.get_refresh(token.refresh_key) == token

    def test_where_none_says_how_long_one_is(self, store: SQLAlchemyStore, caplog: pytest.LogCaptureFixture) -> None:
        if store.engine.dialect.name != "postgresql":
            execute(store, "ALTER TABLE oauth2_token DROP PARTITION p1800230400")
        else:
            execute(store, "DROP TABLE oauth2_token_1800230400")
        assert sum(store.purge(FIRST_END + 5 * DAY)) == 0
        assert "no partition with a beginning and an end" in caplog.text
        assert len(parts(store)) == 2
