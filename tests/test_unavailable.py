"""A store that is away: 503 with Retry-After on whatever asks it, at start too, and service returns by itself."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flask_oauth2 import MemoryStore, TemporarilyUnavailable
from flask_oauth2.stores.lazy import PAUSE
from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore
from oauth_site import Site, make_site

FORM = {"grant_type": "client_credentials", "client_id": "web"}


def requests(site: Site) -> list[Any]:
    return [
        site.http.post("/oauth/token", data=FORM),
        site.http.post("/oauth/revoke", data={"token": "x", "client_id": "web"}),
        site.http.post("/oauth/introspect", data={"token": "x"}, auth=("web", "secret")),
        site.http.get("/oauth/authorize?client_id=web"),
        site.http.post("/oauth/authorize", data={"client_id": "web"}),
        site.call("x"),
    ]


def test_a_database_that_is_away_at_start(tmp_path: Path) -> None:
    site = make_site(tmp_path, OAUTH2_DATABASE_URI="postgresql+psycopg://nobody@127.0.0.1:1/none?connect_timeout=2")
    for answer in requests(site):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1
    assert site.http.get("/.well-known/oauth-authorization-server").status_code == 200, "which asks no store"


def test_those_who_wait_for_a_failing_start_are_told_at_once(tmp_path: Path) -> None:
    opened: list[float] = []
    site = make_site(tmp_path, store=MemoryStore())
    opening, now = site.server.opening, [100.0]

    def open_store() -> Any:
        opened.append(now[0])
        raise TemporarilyUnavailable("the database cannot be reached", retry_after=1)

    opening._open_store, opening._clock = open_store, lambda: now[0]
    with ThreadPoolExecutor(8) as pool:
        posts = [pool.submit(site.app.test_client().post, "/oauth/token", data=FORM) for _ in range(8)]
        assert {post.result().status_code for post in posts} == {503}
    assert len(opened) == 1
    opening._open_store = MemoryStore
    assert site.http.post("/oauth/token", data=FORM).status_code == 503, "it is not tried again at once"
    now[0] += PAUSE
    assert site.http.post("/oauth/token", data=FORM).status_code == 401, "it came back"


def test_the_store_is_opened_once_by_many_first_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    original = SQLAlchemyStore.open.__func__  # type: ignore[attr-defined]

    def counted(cls: Any, uri: str, options: Any) -> Any:
        opened.append(uri)
        return original(cls, uri, options)

    monkeypatch.setattr(SQLAlchemyStore, "open", classmethod(counted))
    site = make_site(tmp_path)
    clients = [site.app.test_client() for _ in range(20)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda http: http.post("/oauth/token", data=FORM).status_code, clients))
    assert answers == [401] * 20
    assert len(opened) == 1
    site.store.engine.dispose()


def test_a_driver_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flask_oauth2 import ConfigurationError

    monkeypatch.setitem(sys.modules, "psycopg2", None)
    site = make_site(tmp_path, OAUTH2_DATABASE_URI="postgresql+psycopg2://127.0.0.1/none")
    with pytest.raises(ConfigurationError, match=r"psycopg2.*flask_oauth2\[postgresql\]"):
        site.http.post("/oauth/token", data=FORM)
    with pytest.raises(ConfigurationError, match="SQLite, PostgreSQL, MariaDB or MySQL, not in oracle"):
        make_site(tmp_path, OAUTH2_DATABASE_URI="oracle://127.0.0.1/none")
    monkeypatch.setitem(sys.modules, "pymysql", None)
    for name in ("mariadb", "mysql"):
        with pytest.raises(ConfigurationError, match=rf"begin the URI with {name}\+pymysql://"):
            make_site(tmp_path, OAUTH2_DATABASE_URI=f"{name}+mysqldb://127.0.0.1/none")
        site = make_site(tmp_path, OAUTH2_DATABASE_URI=f"{name}+pymysql://127.0.0.1/none")
        with pytest.raises(ConfigurationError, match=rf"pymysql.*flask_oauth2\[{name}\]"):
            site.http.post("/oauth/token", data=FORM)
    with pytest.raises(ConfigurationError, match="OAUTH2_DATABASE_URI"):
        make_site(tmp_path, OAUTH2_DATABASE_URI="nonsense")
