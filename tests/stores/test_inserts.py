"""A grant or token is spent and a row is added: in one statement on PostgreSQL, in one transaction elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa
from stores.conftest import OpenStore
from stores.test_sqlalchemy import TAKEN

from benchmarks.statements import watch
from flask_oauth2 import Grant, Token
from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore, declare
from flask_oauth2.stores.sqlalchemy.inserts import Inserts
from flask_oauth2.stores.sqlalchemy.statements import Statements
from flask_oauth2.testing.samples import NOW, new_grant, new_token, refreshed, save_record, spent


@pytest.fixture(params=["sqlite", "psycopg", "psycopg2", "mariadb", "mysql"])
def store(request: pytest.FixtureRequest, open_store: OpenStore) -> Iterator[SQLAlchemyStore]:
    if request.param.startswith("psycopg"):
        url = request.getfixturevalue("postgresql_url").replace("+psycopg", f"+{request.param}")
    else:
        url = request.getfixturevalue(f"{request.param}_url")
    return open_store(url)


@pytest.mark.spec("rfc6749", "4.1.2")
@pytest.mark.parametrize("new_record", [new_token, new_grant, lambda: new_grant(kind="request_uri")])
@pytest.mark.parametrize("kind", ["code", "request_uri"])
def test_a_grant_is_spent_once(store: SQLAlchemyStore, new_record: Callable[[], Any], kind: str) -> None:
    grant, first, second = save_record(store, new_grant(kind=kind)), new_record(), new_record()
    assert store.issue(grant, [first], NOW)
    assert not store.issue(grant, [second], NOW)
    assert store.get_grant(grant.key, kind) == spent(grant)
    assert find(store, first) == first
    assert find(store, second) is None


@pytest.mark.spec("rfc9700", "4.14.2")
def test_a_refresh_token_is_spent_once(store: SQLAlchemyStore) -> None:
    token = save_record(store, new_token())
    child = refreshed(store, token)
    assert child is not None
    assert find(store, child) == child
    assert find(store, token) == spent(token)
    assert refreshed(store, token) is None


def test_a_sibling_is_added_within_the_grace_period_only(store: SQLAlchemyStore) -> None:
    token = save_record(store, new_token())
    assert refreshed(store, token, NOW)
    sibling = refreshed(store, token, NOW + 9, grace_period=10)
    assert sibling is not None
    assert find(store, sibling) == sibling
    assert refreshed(store, token, NOW + 10, grace_period=10) is None
    assert refreshed(store, sibling, NOW + 9)
    assert refreshed(store, token, NOW + 9, grace_period=10) is None  # a child has been used


@pytest.mark.parametrize("new_record", [new_grant, new_token])
def test_a_taken_key_spends_nothing(store: SQLAlchemyStore, new_record: Callable[[], Any]) -> None:
    record, other = save_record(store, new_record()), save_record(store, new_token())
    for taken in ([other], [new_token(), other]):
        with pytest.raises((*TAKEN, psycopg2.IntegrityError)):
            store.issue(record, taken, NOW)
        assert find(store, record) == record
    assert store.issue(record, [new_token()], NOW)


def test_a_spent_record_reports_no_taken_key(store: SQLAlchemyStore) -> None:
    grant, other = save_record(store, new_grant()), save_record(store, new_token())
    assert store.issue(grant, [], NOW)
    assert not store.issue(grant, [other], NOW)


@pytest.mark.parametrize("number", [0, 2])
def test_other_numbers_of_records_are_saved(store: SQLAlchemyStore, number: int) -> None:
    grant, records = save_record(store, new_grant()), [new_token() for _ in range(number)]
    assert store.issue(grant, records, NOW)
    assert [find(store, record) for record in records] == records
    assert not store.issue(grant, [late := new_token()], NOW)
    assert find(store, late) is None


def test_another_issuer_spends_nothing(store: SQLAlchemyStore) -> None:
    grant, token = save_record(store, new_grant()), save_record(store, new_token())
    other = store.for_issuer("other")
    assert not other.issue(grant, [new_token()], NOW)
    assert not other.issue(token, [new_token()], NOW, 10)
    assert (find(store, grant), find(store, token)) == (grant, token)


def find(store: SQLAlchemyStore, record: Grant | Token) -> Grant | Token | None:
    """Return the saved grant or token."""
    if isinstance(record, Grant):
        return store.get_grant(record.key, record.kind)
    assert record.refresh_token_hash is not None
    return store.get_refresh(record.refresh_token_hash)


def test_postgresql_needs_one_statement(postgresql_url: str, open_store: OpenStore) -> None:
    store = open_store(postgresql_url)
    grant, token = save_record(store, new_grant()), save_record(store, new_token())
    with watch() as sent:
        assert store.issue(grant, [new_token()], NOW)
        assert refreshed(store, token)
    assert [statement.split(" ")[0] for statement in sent] == ["WITH", "WITH"]
    with watch() as sent:
        assert refreshed(store, token, grace_period=10)
    assert [statement.split(" ")[0] for statement in sent] == ["WITH", "WITH"]


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql+psycopg", "postgresql+psycopg2", "mysql+pymysql"])
def test_an_insert_of_all_columns_is_that_of_sqlalchemy(dialect: str) -> None:
    engine, tables = sa.create_mock_engine(f"{dialect}://", lambda *_: None), declare(sa.MetaData())
    statements = Statements(tables, engine.dialect)
    for table, inserts in ((tables.token, statements.add_token), (tables.grant, statements.add_grant)):
        names = tuple(table.columns.keys())
        assert isinstance(inserts, Inserts)
        assert inserts[names] == statements._compile(
            sa.insert(table).values({name: sa.bindparam(name) for name in names})
        )


def test_nothing_to_save_is_saved(store: SQLAlchemyStore) -> None:
    assert store.issue(None, [], NOW)
