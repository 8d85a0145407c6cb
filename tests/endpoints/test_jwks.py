"""The JWK set endpoint: from memory, cached by others, and there only if something needs keys."""

from __future__ import annotations

from typing import Any

import pytest
from keys.tokens import key_of

from flask_oauth2 import ConfigurationError
from flask_oauth2.errors import TemporarilyUnavailable
from flask_oauth2.keys import changes
from flask_oauth2.keys.jwk import read_set
from flask_oauth2.keys.states import MAX_STALE, PUBLISHED_AHEAD, RELOAD_AFTER
from oauth_site import NOW, Site

PATH = "/oauth/jwks"
WELL_KNOWN = "/.well-known/oauth-authorization-server"


@pytest.fixture
def site(new_site: Any) -> Site:
    site: Site = new_site(OAUTH2_SIGNING_ALGORITHMS=["ES256", "EdDSA"])
    site.server  # noqa: B018  gives it the clock of the tests
    return site


@pytest.mark.spec("rfc7517", "5")
def test_it_is_a_set_of_public_keys(site: Site) -> None:
    answer = site.http.get(PATH)
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert answer.headers["Cache-Control"] == "public, max-age=900"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    keys = read_set(answer.data)
    assert [key.alg for key in keys.keys] == ["ES256", "EdDSA"]
    assert keys.has(site.server.keys.find_signer(NOW).kid)
    assert b'"d"' not in answer.data


@pytest.mark.spec("rfc8414", "2")
def test_metadata_name_it(site: Site, new_site: Any) -> None:
    assert site.http.get(WELL_KNOWN).get_json()["jwks_uri"] == "https://login.example/oauth/jwks"
    assert "jwks_uri" not in new_site().http.get(WELL_KNOWN).get_json()


def test_without_a_need_there_is_none_and_no_key_is_created(new_site: Any) -> None:
    site = new_site()
    assert site.http.get(PATH).status_code == 404
    assert site.store.list_keys() == []


def test_it_comes_from_memory(site: Site) -> None:
    site.http.get(PATH)
    reads = []
    real = site.store.list_keys
    site.store.list_keys = lambda: reads.append(1) or real()
    for _ in range(3):
        assert site.http.get(PATH).status_code == 200
    assert reads == []
    site.clock.forward(RELOAD_AFTER)
    assert site.http.get(PATH).status_code == 200
    assert reads == [1]


def test_who_has_it_is_not_sent_it_again(site: Site) -> None:
    answer = site.http.get(PATH)
    etag = answer.headers["ETag"]
    for named in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = site.http.get(PATH, headers={"If-None-Match": named})
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["ETag"] == etag
        assert again.headers["Cache-Control"] == answer.headers["Cache-Control"]
    for named in ('"other"', "", etag.strip('"')):
        assert site.http.get(PATH, headers={"If-None-Match": named}).data == answer.data


def test_it_changes_with_the_keys(site: Site) -> None:
    before = site.http.get(PATH)
    changes.rotate(site.server.keys, "ES256", site.clock.now)
    after = site.http.get(PATH)
    assert after.headers["ETag"] != before.headers["ETag"]
    assert len(read_set(after.data).keys) == 3
    site.clock.forward(PUBLISHED_AHEAD)
    assert site.http.get(PATH).data == after.data


def test_head_and_preflight(site: Site) -> None:
    head = site.http.head(PATH)
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["ETag"] == site.http.get(PATH).headers["ETag"]
    preflight = site.http.options(PATH, headers={"Origin": "https://app.example"})
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert site.http.post(PATH).status_code == 405


def test_with_a_store_that_is_away(site: Site) -> None:
    expected = site.http.get(PATH).data

    def fail() -> Any:
        raise TemporarilyUnavailable("the store cannot be reached", retry_after=3)

    site.store.list_keys = fail
    site.clock.forward(RELOAD_AFTER)
    assert site.http.get(PATH).data == expected
    site.clock.forward(MAX_STALE)
    answer = site.http.get(PATH)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "3"
    assert answer.headers["Cache-Control"] == "no-store"


def test_keys_of_the_application(new_site: Any) -> None:
    site = new_site(OAUTH2_SIGNING_KEYS=[key_of("ES256").jwk])
    for _ in range(2):
        assert site.http.get(PATH).get_json() == {"keys": [key_of("ES256").public_jwk]}
    with pytest.raises(ConfigurationError, match="cannot be used"):
        new_site(OAUTH2_SIGNING_KEYS=["text"]).http.get(PATH)


def test_it_is_counted(new_site: Any) -> None:
    pytest.importorskip("prometheus_client")
    site = new_site(OAUTH2_SIGNING_ALGORITHMS=["ES256"], OAUTH2_METRICS="prometheus")
    assert [site.http.get(PATH).status_code for _ in range(2)] == [200, 200]
