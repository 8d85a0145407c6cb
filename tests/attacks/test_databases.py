"""The same odd things against the databases and Redis themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from devices import Device, Person, add_device_client
from servers import PostgreSQLServer, RedisServer
from stores.mariadb_server import MariaDBServer, find_mariadbd
from stores.mysql_server import MySQLServer, require_mysqld

from oauth_site import Site, make_site

OPTIONS: dict[str, Any] = {
    "store": None,
    "OAUTH2_DYNAMIC_REGISTRATION": "open",
    "OAUTH2_DEFAULT_SCOPE": "profile mail",
    "OAUTH2_REGISTRATIONS_PER_HOUR": 1_000_000,
    "OAUTH2_GRANT_TYPES": ["authorization_code", "refresh_token", "client_credentials", "device_code"],
}


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="hostile-"))
    server = PostgreSQLServer(folder)
    yield server.url
    server.kill()


@pytest.fixture(scope="module")
def mariadb() -> Iterator[str]:
    program = find_mariadbd()
    assert program
    with MariaDBServer(program) as server:
        server.run("CREATE DATABASE store CHARACTER SET utf8mb4")
        yield f"mariadb+pymysql://root@127.0.0.1:{server.port}/store"


@pytest.fixture(scope="module")
def mysql() -> Iterator[str]:
    with MySQLServer(require_mysqld()) as server:
        server.run("CREATE DATABASE store CHARACTER SET utf8mb4")
        yield server.url("store")


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server.url
    server.kill()


@pytest.fixture(params=["postgresql", "mariadb", "mysql", "redis"])
def site(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Site]:
    url = request.getfixturevalue(request.param)
    named = {"OAUTH2_REDIS_URL": url} if request.param == "redis" else {"OAUTH2_DATABASE_URI": url}
    site = make_site(tmp_path, **OPTIONS, **named)
    site.provider.protect_resource("/api", ["profile"])
    site.provider.protect_resource("/admin", ["mail"])
    yield site
    store = site.store
    (getattr(store, "behind", store)).engine.dispose()
    if hasattr(store, "close"):
        store.close()


def test_odd_registrations(site: Site) -> None:
    from attacks.test_registration import CODE, NAMES, SERVER, VALUES

    for name in NAMES:
        for value in [*VALUES, "😀" * 100, ["😀" * 255] * 20, "x" * 255, ["https://a.example/" + "x" * 2030] * 2]:
            for base in (CODE, SERVER):
                answer = site.http.post(
                    "/oauth/register", data=json.dumps({**base, name: value}), content_type="application/json"
                )
                assert answer.status_code in (201, 400), (name, value, answer.status_code, answer.text)
    big = {
        **CODE,
        "redirect_uris": [f"https://a.example/{n}/" + "x" * 2000 for n in range(20)],
        "contacts": ["😀" * 255] * 4,
    }
    assert (
        site.http.post(
            "/oauth/register", data=json.dumps(big, ensure_ascii=False).encode(), content_type="application/json"
        ).status_code
        == 201
    )
    for client_id in ("%00", "%F0%9F%98%80", "x" * 3000, "X ", "x%20"):
        for method in ("GET", "PUT", "DELETE"):
            answer = site.http.open(
                f"/oauth/register/{client_id}",
                method=method,
                headers={"Authorization": "Bearer x"},
                json={} if method == "PUT" else None,
            )
            assert answer.status_code in (401, 400, 404, 429), answer.status_code


def test_a_token_of_registration_is_good_for_one_answer_though_many_ask_at_once(site: Site) -> None:
    from attacks.test_registration import SERVER

    made = site.http.post("/oauth/register", json=SERVER).get_json()
    uri, first = (
        made["registration_client_uri"].removeprefix("https://login.example"),
        made["registration_access_token"],
    )

    def ask(token: str, name: str = "") -> Any:
        http = site.app.test_client()
        headers = {"Authorization": f"Bearer {token}"}
        if name:
            return http.put(uri, json={**SERVER, "client_id": made["client_id"], "client_name": name}, headers=headers)
        return http.get(uri, headers=headers)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: ask(first, f"N{number}" if number % 2 else ""), range(16)))
    assert {answer.status_code for answer in answers} <= {200, 503}, [answer.status_code for answer in answers]
    tokens = {answer.get_json()["registration_access_token"] for answer in answers if answer.status_code == 200}
    assert len(tokens) == 1
    (second,) = tokens
    third = ask(second).get_json()["registration_access_token"]
    assert ask(first).status_code == 401
    assert ask(second).get_json()["registration_access_token"] == third
    assert ask(third).status_code == 200
    assert ask(second).status_code == 401


def test_one_registration_of_many_at_once(site: Site) -> None:
    from attacks.test_registration import CODE

    body = {**CODE, "client_name": "Together", "redirect_uris": ["http://127.0.0.1:1/x"]}

    def one(port: int) -> Any:
        return site.app.test_client().post(
            "/oauth/register", json={**body, "redirect_uris": [f"http://127.0.0.1:{port}/x"]}
        )

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(one, range(1, 40)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.get_json()["client_id"] for answer in answers}) == 1


def test_devices(site: Site) -> None:
    add_device_client(site)
    device, person = Device(site, resource="https://login.example/api"), Person(site)
    with ThreadPoolExecutor(8) as pool:
        polls = [answer.get_json()["error"] for answer in pool.map(lambda _: device.poll(), range(8))]
    assert polls.count("authorization_pending") <= 1, polls
    assert set(polls) <= {"authorization_pending", "slow_down"}
    page = person.type(device.user_code)
    with ThreadPoolExecutor(4) as pool:
        pressed = [answer.status_code for answer in pool.map(lambda _: person.press(page), range(1))]
    assert pressed == [303]
    assert person.press(page, "deny").status_code == 410
    person.open()  # which says once what was decided
    assert person.type(device.user_code).status_code == 400
    with ThreadPoolExecutor(8) as pool:
        won = [answer for answer in pool.map(lambda _: device.poll(), range(8)) if answer.status_code == 200]
    assert len(won) == 1
    assert won[0].get_json()["scope"]


def test_a_device_that_was_denied_or_is_too_late(site: Site) -> None:
    add_device_client(site)
    denied, late, person = Device(site, scope="profile"), Device(site, scope="profile"), Person(site)
    person.decide(denied.user_code, "deny")
    assert denied.error() == "access_denied"
    assert person.type(denied.user_code).status_code == 400
    page = person.type(late.user_code)
    site.clock.forward(site.server.settings.device_code_lifetime)
    assert person.press(page).status_code == 410
    assert late.error() == "expired_token"


def test_odd_devices(site: Site) -> None:
    add_device_client(site)
    for name, value in (("device_code", "\0"), ("device_code", "x" * 5000), ("device_code", "odc_" + "x" * 50), ("client_id", "\0"),
                        ("client_id", "x" * 5000), ("scope", "é"), ("scope", "x" * 5000), ("resource", "\0")):  # fmt: skip
        for path in ("/token", "/device_authorization", "/revoke"):
            form = {
                "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
                "client_id": "tv",
                "token": "x",
                name: value,
            }
            answer = site.http.post(f"/oauth{path}", data=form, headers={"Origin": "https://x.example"})
            assert answer.status_code in (200, 400, 401), (path, name, answer.status_code)
