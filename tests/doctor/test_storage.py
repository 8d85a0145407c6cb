"""The doctor's checks of stores, on real databases and servers."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from doctor.conftest import NewPatient, Patient
from flask_sqlalchemy import SQLAlchemy
from servers import PostgreSQLServer, RedisServer

from flask_oauth2 import MemoryStore, values
from flask_oauth2.testing.samples import new_token
from flask_oauth2.tools.doctor import diagnose

DAY = 86400


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQLServer]:
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = PostgreSQLServer(Path(folder))
        yield server
        server.stop_immediately()


@pytest.fixture
def of_postgresql(postgresql: PostgreSQLServer, new_patient: NewPatient) -> Patient:
    patient = new_patient(OAUTH2_DATABASE_URI=postgresql.url)
    with patient.store.engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    patient.store.engine.dispose()
    return new_patient(OAUTH2_DATABASE_URI=postgresql.url)


def execute(patient: Patient, *statements: str) -> None:
    with patient.store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def test_memory_is_gone_with_the_process(new_patient: NewPatient) -> None:
    (finding,) = new_patient({"store": MemoryStore()}).found("storage.examination")
    assert finding.level == "warning"
    (finding,) = new_patient(OAUTH2_DATABASE_URI="sqlite://").found("storage.examination")
    assert finding.level == "warning"
    assert "memory of one process" in finding.what


def test_a_file_that_others_may_open(patient: Patient) -> None:
    path = patient.store.engine.url.database
    os.chmod(path, 0o644)
    (finding,) = patient.found("storage.examination")
    assert (finding.level, finding.rule, finding.hint) == ("warning", "rfc6819 5.1.4.1.1", f"chmod 600 {path}")
    assert "mode 0644" in finding.what


def test_a_file_that_is_not_in_wal_mode(new_patient: NewPatient, tmp_path: Path) -> None:
    path = tmp_path / "app.sqlite"
    os.close(os.open(path, os.O_CREAT, 0o600))
    db = SQLAlchemy()
    patient = new_patient({"db": db}, SQLALCHEMY_DATABASE_URI=f"sqlite:///{path}")
    with patient.app.app_context():
        db.create_all()
    assert patient.diagnose() == [], "it is put into WAL mode"
    with patient.app.app_context():
        db.engine.dispose()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    (finding,) = patient.diagnose()
    assert (finding.check, finding.level) == ("storage.examination", "note")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    with patient.app.app_context():
        db.engine.dispose()
    assert patient.diagnose() == []


def test_tables_that_are_missing(new_patient: NewPatient, tmp_path: Path) -> None:
    db = SQLAlchemy()
    patient = new_patient({"db": db}, SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'app.sqlite'}")
    (finding,) = patient.found("storage.opened")
    assert finding.level == "error"
    assert finding.what == (
        "the database lacks the tables oauth2_client, oauth2_grant, oauth2_token, oauth2_revocation, oauth2_consent, "
        "oauth2_counter, oauth2_origin, oauth2_user_revocation, oauth2_signing_key, oauth2_session, "
        "oauth2_session_client, oauth2_token_status: run your migrations (flask db migrate, flask db "
        "upgrade) or create them with provider.create_tables() (flask oauth2 create-tables)"
    )


def test_a_column_that_is_missing(patient: Patient) -> None:
    execute(patient, "ALTER TABLE oauth2_token DROP COLUMN siblings")
    (finding,) = patient.found("storage.examination")
    assert "the database lacks the column siblings of oauth2_token" in finding.what


def test_an_index_of_sqlite_that_is_missing(patient: Patient) -> None:
    execute(patient, "DROP INDEX ix_oauth2_token_refresh_key")
    (finding,) = patient.found("storage.examination")
    assert finding.level == "error"
    assert "the index of refresh_key of the table oauth2_token is missing" in finding.what
    execute(patient, finding.hint)
    assert patient.diagnose() == []


def test_the_table_of_origins(patient: Patient) -> None:
    execute(patient, "DROP INDEX ix_oauth2_origin_client_id")
    (finding,) = patient.found("storage.examination")
    assert "the index of client_id of the table oauth2_origin is missing" in finding.what
    execute(patient, finding.hint)
    assert patient.diagnose() == []
    execute(patient, "DROP TABLE oauth2_origin")
    (finding,) = patient.found("storage.examination")
    assert "the database lacks the table oauth2_origin" in finding.what


def test_indexes_of_postgresql(of_postgresql: Patient) -> None:
    patient = of_postgresql
    assert patient.diagnose() == []
    execute(patient, "DROP INDEX ix_oauth2_token_refresh_key", "DROP INDEX ix_oauth2_client_owner_id")
    owner, refresh = patient.found("storage.examination")
    assert "owner_id of the table oauth2_client" in owner.what
    assert refresh.hint == (
        "CREATE UNIQUE INDEX CONCURRENTLY ix_oauth2_token_refresh_key ON oauth2_token (refresh_key) WHERE refresh_key "
        "IS NOT NULL"
    )
    execute(patient, owner.hint, refresh.hint)
    assert patient.diagnose() == []


def test_an_index_under_another_name_will_do_but_must_be_unique(of_postgresql: Patient) -> None:
    patient = of_postgresql
    execute(patient, "ALTER INDEX ix_oauth2_token_refresh_key RENAME TO mine")
    assert patient.diagnose() == []
    execute(patient, "DROP INDEX mine", "CREATE INDEX mine ON oauth2_token (refresh_key)")
    (finding,) = patient.found("storage.examination")
    assert finding.level == "warning"
    assert "is not unique" in finding.what


def test_an_index_of_postgresql_that_was_never_finished(of_postgresql: Patient) -> None:
    patient = of_postgresql
    assert patient.diagnose() == []
    execute(patient, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_oauth2_token_parent'::regclass")
    (finding,) = patient.found("storage.examination")
    assert "ix_oauth2_token_parent" in finding.what
    execute(patient, finding.hint)
    assert patient.diagnose() == []


def test_a_table_that_postgresql_has_never_analyzed(of_postgresql: Patient) -> None:
    patient = of_postgresql
    assert patient.diagnose() == []
    execute(
        patient,
        "ALTER TABLE oauth2_counter SET (autovacuum_enabled = false)",
        "INSERT INTO oauth2_counter SELECT '', decode(md5(n::text), 'hex'), 1, 4000000000 "
        "FROM generate_series(1, 10050) n",
        "SELECT pg_stat_force_next_flush()",
    )
    patient.store.engine.dispose()
    (finding,) = patient.found("storage.examination")
    assert finding.level == "warning"
    assert "oauth2_counter" in finding.what
    execute(patient, "ANALYZE oauth2_counter", "SELECT pg_stat_force_next_flush()")
    patient.store.engine.dispose()
    assert patient.diagnose() == []


def test_rows_that_are_not_purged(patient: Patient) -> None:
    now = int(values.clock())
    patient.store.issue(None, [new_token(now=now - 8 * DAY, refresh_expires_at=now - 6 * DAY)], now)
    assert patient.diagnose() == []
    patient.store.issue(None, [new_token(now=now - 40 * DAY, refresh_expires_at=now - 9 * DAY)], now)
    (finding,) = patient.found("storage.examination")
    assert finding.level == "warning"
    assert "issued 40 days ago and expired 9 days ago" in finding.what
    for _ in patient.store.purge(now):
        pass
    assert patient.diagnose() == []


def test_many_expired_rows(patient: Patient) -> None:
    with patient.store.engine.begin() as connection:
        connection.execute(
            patient.store.tables.counter.insert(),
            [{"key": number.to_bytes(4, "big"), "count": 1, "expires_at": 5} for number in range(10_001)],
        )
    (finding,) = patient.found("storage.expired")
    assert finding.what == "10001 expired rows have not been purged"
    assert "flask oauth2 purge" in finding.hint
    for _ in patient.store.purge(6):
        break
    assert patient.diagnose() == []


def test_a_database_that_is_away(new_patient: NewPatient) -> None:
    patient = new_patient(OAUTH2_DATABASE_URI="postgresql+psycopg://ada:secret@127.0.0.1:1/none?connect_timeout=2")
    (finding,) = patient.found("storage.opened")
    assert finding.level == "error"
    assert "the database cannot be reached" in finding.what
    assert "secret" not in str(finding)


def test_a_database_that_goes_away(postgresql: PostgreSQLServer, of_postgresql: Patient) -> None:
    patient = of_postgresql
    assert patient.diagnose() == []
    postgresql.stop_immediately()
    try:
        findings = patient.diagnose()
        assert {finding.level for finding in findings} == {"error"}
        assert all("the database cannot be reached" in finding.what for finding in findings)
    finally:
        postgresql.start()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


def test_redis(redis_server: RedisServer, new_patient: NewPatient) -> None:
    patient = new_patient(OAUTH2_REDIS_URL=redis_server.url)
    assert patient.diagnose() == []
    with redis.Redis(port=redis_server.port) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendonly", "no")
    error, note = patient.found("storage.examination")
    assert (error.level, note.level) == ("error", "note")
    assert "maxmemory-policy is allkeys-lru" in error.what
    redis_server.kill()
    (finding,) = patient.found("storage.examination")
    assert "the Redis server cannot be reached" in finding.what


def test_a_redis_without_configuration_access(redis_server: RedisServer, new_patient: NewPatient) -> None:
    with redis.Redis(port=redis_server.port) as client:
        client.acl_setuser(
            "doctor", enabled=True, passwords=["+secret"], keys=["*"], channels=["*"], commands=["+@all", "-info"]
        )
    patient = new_patient(OAUTH2_REDIS_URL=f"redis://doctor:secret@127.0.0.1:{redis_server.port}/0")
    (finding,) = patient.found("storage.examination")
    assert (finding.level, finding.hint) == ("note", "allow the command INFO")


def test_an_application_without_a_provider() -> None:
    import flask

    (finding,) = diagnose(flask.Flask("plain"), offline=True)
    assert "no OAuth2Provider" in finding.what


def test_a_check_that_breaks_is_a_finding(new_patient: NewPatient, monkeypatch: Any) -> None:
    class Broken(MemoryStore):
        def purgeable(self, now: int) -> int:
            raise KeyError("oat_" + "A" * 60)

    findings = [f for f in new_patient({"store": Broken()}).diagnose() if f.level == "error"]
    assert [finding.check for finding in findings] == ["storage.expired"]
    assert "A" * 20 not in findings[0].what
