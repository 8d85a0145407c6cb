"""Key sets of other parties, from real servers: fetched once, kept for a while, and never too often."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from document_server import HOST, JSON, DocumentServer, client_tls, serve_documents, server_tls
from keys.tokens import NOW, claims, key_of, policy, token_of

from flask_oauth2 import ConfigurationError
from flask_oauth2.errors import FetchError
from flask_oauth2.http.fetch import Fetched, fetch
from flask_oauth2.keys import remote
from flask_oauth2.keys.encoding import JOSEError
from flask_oauth2.keys.jose import verify
from flask_oauth2.keys.jwk import Key
from flask_oauth2.keys.remote import MAX_STALE, REFETCH_AFTER, KeysUnavailable, RemoteKeys, check_url, read_inline

PATH = "/jwks"
URL = "https://client.example/jwks"
DAY = 86400


@pytest.fixture
def served() -> Iterator[DocumentServer]:
    with serve_documents() as server:
        yield server


def put(served: DocumentServer, *keys: Any, headers: dict[str, str] | None = None) -> str:
    """Serve a set of keys, each a key or a JWK. Return its URL."""
    jwks = [key.public_jwk if isinstance(key, Key) else key for key in keys]
    served.answers[PATH] = (200, JSON | (headers or {}), json.dumps({"keys": jwks}).encode())
    return served.url(PATH)


def find(keys: RemoteKeys, url: str, now: float = NOW, kid: str | None = None) -> list[str | None]:
    return [key.kid for key in keys.find_keys(url, now, True, kid, "ES256")]


def test_a_token_is_verified_with_the_keys_of_its_party(served: DocumentServer) -> None:
    url, keys = put(served, key_of("ES256", 2), key_of("ES256")), RemoteKeys()
    source = keys.source(url, NOW, may_be_own=True)
    assert verify(token_of(claims()), policy(keys=source), NOW).key.thumbprint == key_of("ES256").thumbprint
    assert served.count(PATH) == 1
    with pytest.raises(KeysUnavailable, match="not an https URL"):
        verify(token_of(claims()), policy(keys=RemoteKeys().source(url, NOW)), NOW)
    assert served.count(PATH) == 1


def test_by_https_the_server_is_identified(tmp_path: Path) -> None:
    with serve_documents(server_tls(tmp_path)) as served:
        url, keys = put(served, key_of("ES256")), RemoteKeys()
        keys.fetch = lambda url, may_be_own: fetch(
            url, deadline=5, may_be_own=may_be_own, resolve=lambda *_: ["127.0.0.1"], tls=client_tls()
        )
        assert HOST in url
        assert find(keys, url) == [key_of("ES256").kid]
        keys.fetch = remote._fetch
        with pytest.raises(KeysUnavailable):  # no such name
            find(RemoteKeys(), url)
        assert served.count(PATH) == 1


def test_private_addresses_are_rejected() -> None:
    for host in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "localhost"):
        with pytest.raises(KeysUnavailable, match="an address that is not public"):
            RemoteKeys().find_keys(f"https://{host}/jwks", NOW, False, None, "ES256")


def test_a_set_is_kept_as_long_as_its_server_says_within_bounds(served: DocumentServer) -> None:
    keys = RemoteKeys()
    for headers, lifetime in (
        ({}, 900),
        ({"Cache-Control": "max-age=120"}, 120),
        ({"Cache-Control": "max-age=1"}, 60),
        ({"Cache-Control": "no-store"}, 60),
        ({"Cache-Control": "max-age=999999"}, 3600),
    ):
        url = put(served, key_of("ES256"), headers=headers)
        keys, before = RemoteKeys(), served.count(PATH)
        for seconds in (0, 30, lifetime - 1):
            assert find(keys, url, NOW + seconds, key_of("ES256").kid)
        assert served.count(PATH) == before + 1
        assert find(keys, url, NOW + lifetime)
        assert served.count(PATH) == before + 2


def test_an_unknown_key_is_looked_for_at_a_bounded_rate(served: DocumentServer) -> None:
    url, keys = put(served, key_of("ES256")), RemoteKeys()
    new = key_of("ES256", 2)
    assert find(keys, url, NOW, "unknown") == []
    for second in range(REFETCH_AFTER):
        assert find(keys, url, NOW + second, f"unknown-{second}") == []
    assert served.count(PATH) == 1
    put(served, key_of("ES256"), new)
    assert find(keys, url, NOW + REFETCH_AFTER - 1, new.kid) == []
    assert find(keys, url, NOW + REFETCH_AFTER, new.kid) == [new.kid]
    assert served.count(PATH) == 2
    assert find(keys, url, NOW - DAY, "other") == []  # the clock was set back
    assert served.count(PATH) == 3


def test_many_requests_wait_for_one_fetch(served: DocumentServer) -> None:
    url, keys = put(served, key_of("ES256")), RemoteKeys()
    served.gate = Event()
    with ThreadPoolExecutor(16) as pool:
        waiting = [pool.submit(find, keys, url) for _ in range(16)]
        served.await_requests(1)
        served.gate.set()
        assert [one.result() for one in waiting] == [[key_of("ES256").kid]] * 16
    assert served.count(PATH) == 1


def test_a_stale_set_serves_while_a_new_one_is_fetched(served: DocumentServer) -> None:
    url, keys = put(served, key_of("ES256")), RemoteKeys()
    find(keys, url)
    served.gate = Event()
    with ThreadPoolExecutor(2) as pool:
        fetching = pool.submit(find, keys, url, NOW + 900)
        served.await_requests(2)
        assert find(keys, url, NOW + 900, key_of("ES256").kid) == [key_of("ES256").kid]  # which does not wait
        other = pool.submit(find, keys, url, NOW + 900, "unknown")  # which does
        served.gate.set()
        assert fetching.result() == [key_of("ES256").kid]
        assert other.result() == []
    assert served.count(PATH) == 2


def test_a_set_is_kept_while_its_server_is_away(served: DocumentServer) -> None:
    url, keys = put(served, key_of("ES256")), RemoteKeys()
    expected = find(keys, url)
    served.answers[PATH] = (500, {}, b"")
    for second in (900, 901, 900 + REFETCH_AFTER, 900 + MAX_STALE - 1):
        assert find(keys, url, NOW + second) == expected
    assert served.count(PATH) == 4
    with pytest.raises(KeysUnavailable, match="status 500"):
        find(keys, url, NOW + 900 + MAX_STALE + REFETCH_AFTER)
    put(served, key_of("ES256"))
    assert find(keys, url, NOW + 2 * MAX_STALE) == expected


def test_a_failure_is_remembered_for_a_moment(served: DocumentServer) -> None:
    url, keys = served.url(PATH), RemoteKeys()
    for second in range(REFETCH_AFTER):
        with pytest.raises(KeysUnavailable, match="status 404"):
            find(keys, url, NOW + second)
    assert served.count(PATH) == 1
    put(served, key_of("ES256"))
    assert find(keys, url, NOW + REFETCH_AFTER)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"keys":7}', b"<html>", b" " * (remote.MAX_SET_SIZE + 1)],
    ids=["empty", "list", "object", "number", "html", "long"],
)
def test_other_content_does_not_replace_a_set(
    served: DocumentServer, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "flask_oauth2")
    url, keys = put(served, key_of("ES256")), RemoteKeys()
    expected = find(keys, url)
    served.answers[PATH] = (200, JSON, body)
    assert find(keys, url, NOW + 900) == expected
    assert "the key set of 127.0.0.1 cannot be used" in caplog.text
    with pytest.raises(KeysUnavailable):
        find(RemoteKeys(), url)


@pytest.mark.spec("rfc7517", "5")
@pytest.mark.spec("rfc7517", "9.2")
def test_private_keys_are_refused_and_unknown_ones_ignored(served: DocumentServer) -> None:
    url, keys = put(served, {"kty": "PQC", "kid": "x"}, key_of("ES256")), RemoteKeys()
    assert find(keys, url) == [key_of("ES256").kid]
    put(served, key_of("ES256").jwk, key_of("ES256", 2))
    with pytest.raises(KeysUnavailable, match="private or symmetric"):
        find(RemoteKeys(), url)


class Counted:
    """A network that answers each URL at once, and counts."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.body = json.dumps({"keys": [key_of("ES256").public_jwk]}).encode()

    def __call__(self, url: str, may_be_own: bool) -> Fetched:
        self.urls.append(url)
        return Fetched({}, self.body)


def test_the_number_of_cached_sets_is_bounded() -> None:
    keys, counted = RemoteKeys(), Counted()
    keys.fetch = counted
    for number in range(remote.MAX_SETS + 50):
        find(keys, f"https://client-{number}.example/jwks")
    assert len(keys._copies) == len(keys._tried) == len(keys._rate._visits) == remote.MAX_SETS
    find(keys, f"https://client-{remote.MAX_SETS}.example/jwks")
    assert len(counted.urls) == remote.MAX_SETS + 50
    find(keys, "https://client-0.example/jwks")
    assert len(counted.urls) == remote.MAX_SETS + 51


def test_no_host_is_flooded() -> None:
    keys, counted = RemoteKeys(), Counted()
    keys.fetch = counted
    for number in range(remote.MAX_OF_HOST):
        find(keys, f"{URL}?{number}")
    with pytest.raises(KeysUnavailable, match="too many key sets"):
        find(keys, f"{URL}?more")
    assert find(keys, "https://other.example/jwks")
    assert find(keys, f"{URL}?more", NOW + 60)


def test_a_stale_set_serves_while_its_host_is_asked_too_often() -> None:
    keys, counted = RemoteKeys(), Counted()
    keys.fetch = counted
    expected = find(keys, URL)
    for number in range(remote.MAX_OF_HOST):
        find(keys, f"{URL}?{number}", NOW + 900)
    assert find(keys, URL, NOW + 900) == expected
    assert counted.urls.count(URL) == 1


def test_not_too_many_are_fetched_at_a_time(served: DocumentServer) -> None:
    keys = RemoteKeys()
    served.gate = Event()
    put(served, key_of("ES256"))
    urls = [served.url(f"/{number}") for number in range(remote.MAX_AT_ONCE)]
    with ThreadPoolExecutor(remote.MAX_AT_ONCE) as pool:
        for url in urls:
            served.answers[url.removeprefix(served.url(""))] = served.answers[PATH]
        waiting = [pool.submit(find, keys, url) for url in urls]
        served.await_requests(remote.MAX_AT_ONCE)
        with pytest.raises(KeysUnavailable, match="too many key sets"):
            find(keys, served.url(PATH))
        served.gate.set()
        assert all(one.result() for one in waiting)
    assert find(keys, served.url(PATH))


def test_an_unexpected_error_leaves_nothing_waiting() -> None:
    keys = RemoteKeys()

    def fail(url: str, may_be_own: bool) -> Fetched:
        raise MemoryError

    keys.fetch = fail
    with pytest.raises(MemoryError):
        find(keys, URL)
    with pytest.raises(KeysUnavailable, match="interrupted"):
        find(keys, URL)
    keys.fetch = Counted()
    assert find(keys, URL, NOW + REFETCH_AFTER)


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"install flask_oauth2\[jose\]"):
        find(RemoteKeys(), URL)


@pytest.mark.parametrize(
    "url",
    [
        *("", "x", "/jwks", "http://client.example/jwks", "ftp://client.example/jwks", "file:///etc/passwd"),
        *("https://", "https://user@client.example/jwks", "https://client.example/jwks#x", "https://2130706433/jwks"),
        *("http://127.0.0.1/jwks", "https://client.example:x/jwks"),
    ],
)
def test_other_urls_are_not_fetched(url: str) -> None:
    with pytest.raises(JOSEError, match="not an https URL"):
        check_url(url)
    check_url(URL)
    check_url("http://127.0.0.1/jwks", may_be_own=True)
    keys, counted = RemoteKeys(), Counted()
    keys.fetch = counted
    with pytest.raises(KeysUnavailable):
        keys.find_keys(url, NOW, False, None, "ES256")
    assert counted.urls == []


def test_a_server_that_does_not_answer_is_given_up() -> None:
    keys = RemoteKeys()

    def fail(url: str, may_be_own: bool) -> Fetched:
        raise FetchError("no answer in time")

    keys.fetch = fail
    with pytest.raises(KeysUnavailable, match="no answer in time"):
        find(keys, URL)


def test_inline_keys_are_read_once() -> None:
    jwks = {"keys": [key_of("ES256").public_jwk]}
    keys = read_inline(jwks)
    assert keys.find(key_of("ES256").kid, "ES256")
    assert read_inline(json.loads(json.dumps(jwks))) is keys
    for wrong in ({}, {"keys": [key_of("ES256").jwk]}):
        with pytest.raises(JOSEError):
            read_inline(wrong)
