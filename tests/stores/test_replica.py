"""Guards read a replica, which may lag behind, be away, or be somewhere else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from pytest_postgresql.executors import PostgreSQLExecutor
from servers import reserve_port
from stores.conftest import find_pg_ctl
from stores.postgresql_replica import Replica

from flask_oauth2 import ConfigurationError, MemoryStore, TemporarilyUnavailable
from flask_oauth2.stores.replica import PAUSE, ReplicatedReader
from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore
from flask_oauth2.testing.samples import FAR, NOW, new_key, new_token, save_record
from flask_oauth2.tools.doctor import Finding, diagnose
from oauth_site import Site, make_site


@pytest.fixture(scope="module")
def server(postgresql_server: PostgreSQLExecutor, postgresql_database: str) -> Iterator[Replica]:
    pg_ctl = find_pg_ctl()
    assert pg_ctl is not None
    with Replica(postgresql_server, pg_ctl.parent) as replica:
        yield replica


@pytest.fixture
def replica(server: Replica, postgresql_url: str) -> Replica:
    """It knows that the database is empty."""
    server.catch_up()
    return server


@pytest.fixture
def make(tmp_path: Path, postgresql_url: str) -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def make(**options: Any) -> Site:
        site = make_site(tmp_path, OAUTH2_DATABASE_URI=postgresql_url, **options)
        sites.append(site)
        return site

    yield make
    for site in sites:
        site.server.own_store.engine.dispose()
        if site.server.opening.replica is not None:
            site.server.opening.replica.engine.dispose()


def is_active(site: Site, secret: str, token: str) -> bool:
    return bool(site.post("/introspect", ("web", secret), token=token).get_json()["active"])


def test_a_guard_asks_the_replica_and_introspection_the_primary(make: Callable[..., Site], replica: Replica) -> None:
    site = make(OAUTH2_READ_REPLICA=replica.url("opened"))
    secret = site.add_client()
    token = site.tokens(secret)["access_token"]
    replica.catch_up()
    replica.pause()
    with site.store.engine.begin() as connection:
        connection.execute(site.store.tables.token.delete())
    assert site.is_alive(token)
    assert not is_active(site, secret, token)
    replica.catch_up()
    assert not site.is_alive(token)


@pytest.mark.parametrize("token_format", ["opaque", "signed"])
@pytest.mark.spec("rfc7009", "2.1")
def test_a_revocation_comes_with_the_lag_and_a_new_token_without(
    make: Callable[..., Site], replica: Replica, token_format: str
) -> None:
    site = make(OAUTH2_READ_REPLICA=replica.url("opened"), OAUTH2_ACCESS_TOKEN_FORMAT=token_format)
    secret = site.add_client()
    tokens = site.tokens(secret)
    replica.catch_up()
    replica.pause()
    fresh = site.tokens(secret)["access_token"]
    assert site.is_alive(fresh)
    assert site.post("/revoke", ("web", secret), token=tokens["refresh_token"]).status_code == 200
    assert site.is_alive(tokens["access_token"])
    assert not is_active(site, secret, tokens["access_token"])
    assert site.refresh(tokens["refresh_token"], secret).status_code == 400
    replica.catch_up()
    assert not site.is_alive(tokens["access_token"])
    assert site.is_alive(fresh)


def test_without_the_option_a_revocation_is_known_at_once(make: Callable[..., Site], replica: Replica) -> None:
    site = make()
    secret = site.add_client()
    tokens = site.tokens(secret)
    replica.pause()
    assert site.post("/revoke", ("web", secret), token=tokens["refresh_token"]).status_code == 200
    assert not site.is_alive(tokens["access_token"])
    replica.catch_up()


def test_one_that_goes_away_is_no_error(
    make: Callable[..., Site], replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    site = make(OAUTH2_READ_REPLICA=replica.url("opened"))
    token = site.tokens(site.add_client())["access_token"]
    replica.catch_up()
    assert site.is_alive(token)
    assert not caplog.records
    replica.stop()
    try:
        assert [site.is_alive(token) for _ in range(5)] == [True] * 5
    finally:
        replica.start()
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "OAUTH2_READ_REPLICA cannot be read" in warnings[0]
    replica.catch_up()


def test_the_doctor_sees_one_that_stands_still_or_is_away(
    make: Callable[..., Site], replica: Replica, postgresql_url: str
) -> None:
    def found() -> list[Finding]:
        return [found for found in diagnose(site.app, offline=True) if found.check == "storage.replica"]

    site = make(OAUTH2_READ_REPLICA=replica.url("opened"))
    secret = site.add_client()
    site.tokens(secret)
    replica.catch_up()
    assert found() == []
    replica.pause()
    site.clock.forward(1)
    site.tokens(secret)
    assert found() == [], "it may be a moment behind"
    site.clock.forward(61)
    (finding,) = found()
    assert (finding.level, finding.rule) == ("error", "rfc7009 2.1")
    replica.catch_up()
    assert found() == []
    site = make(OAUTH2_READ_REPLICA=postgresql_url.replace("/opened", "/postgres"))
    (finding,) = found()
    assert finding.level == "error"
    assert finding.what.startswith(
        "OAUTH2_READ_REPLICA is not a replica of the store: the database lacks the tables oauth2_"
    )
    site = make(OAUTH2_READ_REPLICA=f"postgresql+psycopg://127.0.0.1:{reserve_port()}/opened")
    (finding,) = found()
    assert (finding.level, finding.what) == (
        "warning",
        "OAUTH2_READ_REPLICA cannot be reached, so guards read from the primary database",
    )


@pytest.mark.parametrize("address", ["nowhere", "several"])
def test_one_that_is_away_at_start(make: Callable[..., Site], replica: Replica, address: str) -> None:
    user, port = sa.make_url(replica.url("opened")).username, reserve_port()
    several = f"postgresql+psycopg://{user}@/opened?host=127.0.0.1:{port}&host=127.0.0.1:{replica.port}"
    nowhere = f"postgresql+psycopg://{user}@127.0.0.1:{port}/opened"
    site = make(OAUTH2_READ_REPLICA=several if address == "several" else nowhere)
    token = site.tokens(site.add_client())["access_token"]
    replica.catch_up()
    replica.pause()
    with site.store.engine.begin() as connection:
        connection.execute(site.store.tables.token.delete())
    assert site.is_alive(token) is (address == "several"), "the first of them that answers"
    replica.catch_up()


def test_a_bind_of_the_applications(tmp_path: Path, postgresql_url: str, replica: Replica) -> None:
    db = SQLAlchemy()
    binds = {"copy": replica.url("opened")}
    site = make_site(
        tmp_path, db=db, SQLALCHEMY_DATABASE_URI=postgresql_url, SQLALCHEMY_BINDS=binds, OAUTH2_READ_REPLICA="copy"
    )
    with site.app.app_context():
        db.create_all(bind_key=None)
    token = site.tokens(site.add_client())["access_token"]
    replica.catch_up()
    replica.pause()
    with site.app.app_context():
        db.session.execute(sa.delete(site.store.tables.token))
        db.session.commit()
        assert site.is_alive(token)
        replica.catch_up()
        assert not site.is_alive(token)
        for engine in db.engines.values():
            engine.dispose()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"OAUTH2_READ_REPLICA": "copy"}, "must be a database URI or, with db="),
        ({"OAUTH2_READ_REPLICA": ""}, "must be a database URI"),
        ({"OAUTH2_READ_REPLICA": "nonsense://"}, "OAUTH2_READ_REPLICA is no database URI"),
        ({"OAUTH2_READ_REPLICA": "sqlite://", "store": MemoryStore()}, "only with the tables of flask_oauth2"),
    ],
)
def test_what_is_no_replica(tmp_path: Path, options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        make_site(tmp_path, **options).server  # noqa: B018


def test_a_tokengetter_is_asked_as_before(make: Callable[..., Site], replica: Replica) -> None:
    site = make(OAUTH2_READ_REPLICA=replica.url("opened"))
    known: list[bool] = [True]
    site.provider.tokengetter(lambda access_token=None, refresh_token=None: known[-1])
    token = site.tokens(site.add_client())["access_token"]
    replica.catch_up()
    assert site.is_alive(token)
    known.append(False)
    assert not site.is_alive(token)


class Seldom(MemoryStore):
    """A copy, or a primary, that a test takes away."""

    asked, is_away = 0, False

    def get_access(self, key: bytes) -> Any:
        self.asked += 1
        if self.is_away:
            raise TemporarilyUnavailable("away", retry_after=1)
        return super().get_access(key)


def test_it_is_asked_again_after_a_while() -> None:
    primary, replica, now = MemoryStore(), Seldom(), [0.0]
    reader = ReplicatedReader(primary, replica, lambda: now[0])
    token = save_record(primary, new_token())
    replica.is_away = True
    for _ in range(3):
        assert reader.get_access(token.access.token_hash) == token.access
    assert replica.asked == 1
    primary.revoke("mark", FAR)
    assert reader.revoked("mark"), "the primary is asked for marks too"
    now[0], replica.is_away = PAUSE, False
    assert reader.get_access(new_key()) is None
    assert replica.asked == 2
    assert not reader.revoked("mark"), "which the replica does not know yet"


def test_a_copy_without_tables_is_no_error(tmp_path: Path) -> None:
    primary = MemoryStore()
    token = save_record(primary, new_token())
    copy = SQLAlchemyStore.attach(f"sqlite:///{tmp_path / 'empty.sqlite'}")
    assert ReplicatedReader(primary, copy).get_access(token.access.token_hash) == token.access
    copy.engine.dispose()


def test_while_the_primary_is_away_what_the_replica_knows_goes_on() -> None:
    primary, replica = Seldom(), MemoryStore()
    token = save_record(replica, new_token())
    primary.is_away = True
    reader = ReplicatedReader(primary, replica)
    assert reader.get_access(token.access.token_hash) == token.access
    with pytest.raises(TemporarilyUnavailable):
        reader.get_access(new_key())


def test_a_purge_between_two_questions_is_no_lag(tmp_path: Path) -> None:
    primary, replica = (SQLAlchemyStore.open(f"sqlite:///{tmp_path / name}.sqlite") for name in ("one", "two"))
    save_record(primary, new_token())
    late = NOW + 10**8
    assert len(list(primary.check_replica(replica, late))) == 1

    @sa.event.listens_for(replica.engine, "before_cursor_execute")
    def purge(*_: Any) -> None:
        list(primary.purge(late))

    assert list(primary.check_replica(replica, late)) == []
    for store in (primary, replica):
        store.engine.dispose()
