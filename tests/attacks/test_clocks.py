"""The clock of the server is set back: what was spent or has expired stays so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from servers import RedisServer

from flask_oauth2 import MemoryStore
from oauth_site import Site, make_site


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(params=["memory", "sqlite", "redis"])
def site(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Site]:
    options: dict[str, Any] = {"OAUTH2_REFRESH_TOKEN_GRACE_PERIOD": 30, "OAUTH2_REFRESH_TOKEN_GRACE_PERIOD_PUBLIC": 30}
    if request.param == "memory":
        options["store"] = MemoryStore()
    elif request.param == "redis":
        options["OAUTH2_REDIS_URL"] = request.getfixturevalue("redis_server").url
    site = make_site(tmp_path, **options)
    yield site
    if request.param != "memory":
        getattr(site.store, "behind", site.store).engine.dispose()
    if request.param == "redis":
        site.store.close()


@pytest.mark.spec("rfc9700", "4.14.2")
def test_a_spent_refresh_token_is_refused_and_ends_its_family(site: Site) -> None:
    secret = site.add_client()
    tokens = site.tokens(secret)
    rotated = site.refresh(tokens["refresh_token"], secret).get_json()
    site.clock.forward(-3600)
    assert site.refresh(tokens["refresh_token"], secret).get_json()["error"] == "invalid_grant"
    assert site.refresh(rotated["refresh_token"], secret).get_json()["error"] == "invalid_grant"


def test_clocks_of_two_machines_may_differ(site: Site) -> None:
    secret = site.add_client()
    tokens = site.tokens(secret)
    assert site.refresh(tokens["refresh_token"], secret).status_code == 200
    site.clock.forward(-5)
    assert site.refresh(tokens["refresh_token"], secret).status_code == 200, "within the grace period"
    code = site.authorize()["code"]
    site.clock.forward(-5)
    assert site.redeem(code, ("web", secret)).status_code == 200


@pytest.mark.spec("rfc6749", "4.1.2")
def test_an_expired_code_stays_expired(site: Site) -> None:
    secret = site.add_client()
    code, untried = site.authorize()["code"], site.authorize()["code"]
    site.clock.forward(3600)
    assert site.redeem(code, ("web", secret)).get_json()["error"] == "invalid_grant"
    site.clock.forward(-3600)
    assert site.redeem(code, ("web", secret)).get_json()["error"] == "invalid_grant", "it was seen to be too old"
    site.clock.forward(-3600)
    assert site.redeem(untried, ("web", secret)).get_json()["error"] == "invalid_grant", "it is from the future"


@pytest.mark.spec("rfc6749", "4.1.2")
def test_a_spent_code_stays_spent(site: Site) -> None:
    secret = site.add_client()
    code = site.authorize()["code"]
    assert site.redeem(code, ("web", secret)).status_code == 200
    site.clock.forward(-3600)
    assert site.redeem(code, ("web", secret)).get_json()["error"] == "invalid_grant"
