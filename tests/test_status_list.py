"""Status lists: the array of bits, the signed list, and resource servers that read it."""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
from jwt import decode, get_unverified_header

from flask_oauth2 import ConfigurationError, MemoryStore
from flask_oauth2.keys import jose
from flask_oauth2.keys.jwk import read_set
from flask_oauth2.status_list import SIZE, StatusList, StatusNumbers, _scatter, write
from oauth_site import Site, make_site

ISSUER = "https://login.example"


def lst_of(content: bytes) -> str:
    return urlsafe_b64encode(zlib.compress(content, 9)).rstrip(b"=").decode()


@pytest.mark.spec("token-status-list", "4.1")
@pytest.mark.spec("token-status-list", "4.2")
@pytest.mark.parametrize(
    ("bits", "lst", "values"),
    [
        (1, "eNrbuRgAAhcBXQ", [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]),
        (2, "eNo76fITAAPfAgc", [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]),
        (8, lst_of(bytes([0, 7, 255])), [0, 7, 255]),
    ],
)
def test_published_lists_are_read(bits: int, lst: str, values: list[int]) -> None:
    found = StatusList({"bits": bits, "lst": lst})
    assert [found.find(index) for index in range(len(values))] == values
    for outside in (len(values), -1):
        with pytest.raises(ValueError, match="not in the list"):
            found.find(outside)


@pytest.mark.spec("token-status-list", "4.1")
def test_the_published_list_of_a_million_tokens() -> None:
    revoked = [0, 1993, 25460, 159495, 495669, 554353, 645645, 723232, 854545, 934534, 1000345]
    lst = write(revoked)
    assert lst.startswith("eNrt3AENwCAMAEGogklACtKQPg9LugC9k_AC")
    assert lst.endswith("ZC8L2AEb")
    found = StatusList({"bits": 1, "lst": lst})
    assert [index for index in range(SIZE) if found.find(index)] == revoked


@pytest.mark.spec("token-status-list", "8.3")
@pytest.mark.parametrize(
    "members",
    [
        None,
        [],
        {},
        {"bits": 3, "lst": "eNrbuRgAAhcBXQ"},
        {"bits": True, "lst": "eNrbuRgAAhcBXQ"},
        {"bits": 1, "lst": 7},
        {"bits": 1, "lst": "eNrbuRgAAhcBXQ==\n"},
        {"bits": 1, "lst": "not base64 !"},
        {"bits": 1, "lst": "AAAA"},
        {"bits": 1, "lst": "eNrbuRgAAhc"},
        {"bits": 1, "lst": urlsafe_b64encode(zlib.compress(b"a") + b"more").decode().rstrip("=")},
        {"bits": 1, "lst": lst_of(bytes((1 << 24) + 1))},
    ],
)
def test_malformed_lists_and_bombs_are_rejected(members: Any) -> None:
    with pytest.raises(ValueError, match=r"status_list|lst"):
        StatusList(members)


@pytest.mark.spec("token-status-list", "13.3")
@pytest.mark.spec("token-status-list", "12.4")
def test_every_token_has_its_own_index_and_none_follows_the_other() -> None:
    store = MemoryStore()
    both = [StatusNumbers(store), StatusNumbers(store)]
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda turn: both[turn % 2].take(), range(2000)))
    assert len(set(taken)) == 2000
    assert all(0 <= number < SIZE for number in taken)
    assert sum(abs(one - other) == 1 for one, other in pairwise(taken)) < 20
    assert max(taken) > SIZE // 2


def test_a_list_uses_each_index_once() -> None:
    assert {_scatter(number) for number in range(SIZE)} == set(range(SIZE))
    assert _scatter(SIZE) // SIZE == 1


@pytest.fixture
def site(new_site: Callable[..., Site]) -> Site:
    return new_site(OAUTH2_ACCESS_TOKEN_FORMAT="jwt", OAUTH2_SIGNING_ALGORITHMS=["ES256"], OAUTH2_STATUS_LISTS=True)


def status_of(token: str) -> dict[str, Any]:
    found: dict[str, Any] = decode(token, options={"verify_signature": False})["status"]["status_list"]
    return found


def fetch(site: Site, uri: str, **options: Any) -> Any:
    return site.http.get(uri.removeprefix(ISSUER), **options)


def is_revoked(site: Site, token: str) -> bool:
    status = status_of(token)
    claims = decode(fetch(site, status["uri"]).text, options={"verify_signature": False})
    return bool(StatusList(claims["status_list"]).find(status["idx"]))


@pytest.mark.spec("token-status-list", "5.1")
@pytest.mark.spec("token-status-list", "6.2")
@pytest.mark.spec("token-status-list", "8.2")
def test_the_list_is_signed_and_names_itself(site: Site) -> None:
    status = status_of(site.tokens(site.add_client())["access_token"])
    assert status["uri"] == "https://login.example/oauth/status/0"
    answer = fetch(site, status["uri"])
    assert answer.mimetype == "application/statuslist+jwt"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert get_unverified_header(answer.text)["typ"] == "statuslist+jwt"
    keys = read_set(site.http.get("/oauth/jwks").data)
    policy = jose.Policy(algorithms=("ES256",), types=("statuslist+jwt",), issuers=None, audience=None, keys=keys.find)
    claims = jose.verify(answer.text, policy, site.clock()).claims
    assert (claims["sub"], claims["iat"], claims["ttl"]) == (status["uri"], int(site.clock()), 300)
    assert claims["exp"] == claims["iat"] + 86400
    assert fetch(site, status["uri"], headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


@pytest.mark.spec("token-status-list", "7.1")
@pytest.mark.parametrize("way", ["access token", "refresh token", "user", "consent"])
def test_a_revocation_is_published_after_the_ttl(site: Site, way: str) -> None:
    secret = site.add_client()
    tokens, other = site.tokens(secret), site.token("client_credentials", ("web", secret)).get_json()
    assert [is_revoked(site, one["access_token"]) for one in (tokens, other)] == [False, False]
    if way == "user":
        with site.app.app_context():
            site.provider.revoke_user("ada")
    elif way == "consent":
        page = site.browser.get("/oauth/applications").text
        ticket = page.partition('name="ticket" value="')[2].partition('"')[0]
        assert site.browser.post("/oauth/applications", data={"ticket": ticket}).status_code == 303
    else:
        site.post("/revoke", ("web", secret), token=tokens[way.replace(" ", "_")])
    assert not is_revoked(site, tokens["access_token"])  # from memory
    site.clock.forward(300)
    assert [is_revoked(site, one["access_token"]) for one in (tokens, other)] == [True, False]


def test_a_list_is_signed_once_for_many_requests(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = status_of(site.tokens(site.add_client())["access_token"])["uri"]
    signed: list[str] = []
    sign = jose.sign
    monkeypatch.setattr(jose, "sign", lambda *arguments: signed.append("once") or sign(*arguments))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: site.app.test_client().get(uri.removeprefix(ISSUER)).text, range(16)))
    assert len(set(answers)) == len(signed) == 1


@pytest.mark.spec("token-status-list", "13.2")
def test_each_refreshed_token_has_a_fresh_index(site: Site) -> None:
    secret = site.add_client()
    first = site.tokens(secret)
    second = site.refresh(first["refresh_token"], secret).get_json()
    assert status_of(first["access_token"]) != status_of(second["access_token"])


@pytest.mark.spec("token-status-list", "8.1")
def test_unknown_lists_are_not_found(site: Site) -> None:
    secret = site.add_client()
    assert fetch(site, "/oauth/status/0").status_code == 404  # no token has been issued
    site.tokens(secret)
    assert fetch(site, "/oauth/status/0").status_code == 200
    for name in ("1", "x", "-1", "٣", "0" * 5000, "1e3", ""):
        assert fetch(site, f"/oauth/status/{name}").status_code == 404


@pytest.mark.spec("token-status-list", "8.4")
def test_a_history_is_not_implemented(site: Site) -> None:
    site.tokens(site.add_client())
    assert fetch(site, "/oauth/status/0?time=1700000000").status_code == 501


@pytest.mark.spec("token-status-list", "12.2")
def test_tokens_of_other_formats_have_no_status(new_site: Callable[..., Site], site: Site) -> None:
    secret = site.add_client(token_format="opaque")
    site.tokens(secret)
    assert fetch(site, "/oauth/status/0").status_code == 404
    plain = new_site(OAUTH2_ACCESS_TOKEN_FORMAT="jwt", OAUTH2_SIGNING_ALGORITHMS=["ES256"])
    token = plain.tokens(plain.add_client())["access_token"]
    assert "status" not in decode(token, options={"verify_signature": False})
    assert fetch(plain, "/oauth/status/0").status_code == 404


def test_a_server_without_json_web_tokens_fails_at_start(new_site: Callable[..., Site]) -> None:
    with pytest.raises(ConfigurationError, match="OAUTH2_STATUS_LISTS needs JSON Web Tokens"):
        new_site(OAUTH2_STATUS_LISTS=True).add_client()


def test_a_store_without_statuses_fails_when_it_opens(tmp_path: Any) -> None:
    class Plain:
        """A store that saves no status of tokens."""

        def __init__(self) -> None:
            self._store = MemoryStore()

        def __getattr__(self, name: str) -> Any:
            if "status" in name:
                raise AttributeError(name)
            return getattr(self._store, name)

    site = make_site(tmp_path, store=Plain(), OAUTH2_SIGNING_ALGORITHMS=["ES256"], OAUTH2_STATUS_LISTS=True)
    with pytest.raises(ConfigurationError, match="StatusStore"):
        site.add_client()


def test_a_token_costs_one_statement_more(sql_site: Site, statements: Any) -> None:
    sql_site.app.config.update(OAUTH2_ACCESS_TOKEN_FORMAT="jwt", OAUTH2_STATUS_LISTS=True)
    secret = sql_site.add_client()
    counts = []
    for _ in range(3):
        statements.clear()
        assert sql_site.token("client_credentials", ("web", secret)).status_code == 200
        counts.append(len(statements.work()))
    assert counts[1:] == [2, 2]  # the client and the status


def test_a_token_of_a_database_store(sql_site: Site) -> None:
    sql_site.app.config.update(OAUTH2_ACCESS_TOKEN_FORMAT="jwt", OAUTH2_STATUS_LISTS=True)
    secret = sql_site.add_client()
    tokens = sql_site.tokens(secret)
    assert not is_revoked(sql_site, tokens["access_token"])
    sql_site.post("/revoke", ("web", secret), token=tokens["refresh_token"])
    sql_site.clock.forward(300)
    assert is_revoked(sql_site, tokens["access_token"])
