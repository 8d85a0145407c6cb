"""What pages of other origins may do, as browsers ask by CORS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from werkzeug.test import TestResponse

from flask_oauth2 import Client, MemoryStore, TemporarilyUnavailable
from flask_oauth2.endpoints import cross_origin
from oauth_site import Site

SPA = "https://spa.example"
ENDPOINTS = ["/oauth/token", "/oauth/revoke"]
CLOSED = ["/oauth/introspect", "/oauth/authorize", "/oauth/consent", "/oauth/applications"]


def preflight(site: Site, path: str, origin: str | None = SPA, method: str = "POST") -> TestResponse:
    headers = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "content-type"}
    return site.http.options(path, headers={**headers, **({"Origin": origin} if origin else {})})


def add_spa(site: Site, client_id: str = "spa", **fields: Any) -> None:
    site.add_client(client_id, secret=None, **{"redirect_uris": (f"{SPA}/callback",), **fields})


@pytest.mark.spec("oauth-v2-1", "3.2")
@pytest.mark.parametrize("path", ENDPOINTS)
def test_the_page_of_a_public_client_may_call(site: Site, path: str) -> None:
    add_spa(site)
    answer = preflight(site, path)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == SPA
    assert answer.headers["Access-Control-Allow-Methods"] == "POST"
    assert answer.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type, MCP-Protocol-Version"
    assert answer.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    answer = site.http.post(path, data={"client_id": "spa", "token": "x", "grant_type": "x"}, headers={"Origin": SPA})
    assert answer.headers["Access-Control-Allow-Origin"] == SPA
    assert answer.headers["Access-Control-Expose-Headers"] == "WWW-Authenticate, Retry-After"
    assert answer.headers["Vary"] == "Origin"


@pytest.mark.spec("oauth-v2-1", "3.2")
@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://spa.example", "https://spa.example:8443", "null", "https://SPA.example"]
)
def test_no_other_page_may(site: Site, path: str, origin: str) -> None:
    add_spa(site)
    answer = preflight(site, path, origin)
    assert answer.status_code == 204
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Vary"] == "Origin"
    answer = site.http.post(path, data={"client_id": "spa", "token": "x"}, headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", ENDPOINTS)
def test_whoever_has_a_secret_or_no_page_opens_nothing(site: Site, path: str) -> None:
    site.add_client("web", redirect_uris=(f"{SPA}/callback",))
    site.add_client("app", secret=None, redirect_uris=("com.example.app:/back",))
    for origin in (SPA, "com.example.app:", "com.example.app"):
        assert "Access-Control-Allow-Origin" not in preflight(site, path, origin).headers


@pytest.mark.parametrize("path", CLOSED)
def test_what_pages_do_not_need_stays_closed(site: Site, path: str) -> None:
    add_spa(site)
    assert "Access-Control-Allow-Origin" not in preflight(site, path).headers
    answer = site.http.post(path, data={"client_id": "spa"}, headers={"Origin": SPA})
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.spec("rfc8414", "3")
@pytest.mark.parametrize("path", ["/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource"])
def test_any_page_may_read_metadata(new_site: Callable[..., Site], path: str) -> None:
    site = new_site()
    site.provider.protect_mcp("/mcp", ["profile"])
    for _ in range(2):
        answer = preflight(site, path, "https://any.example", "GET")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Access-Control-Allow-Methods"] == "GET"
        assert "MCP-Protocol-Version" in answer.headers["Access-Control-Allow-Headers"]
        answer = site.http.get(path, headers={"Origin": "https://any.example"})
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Vary" not in answer.headers


def test_an_option_opens_for_more(new_site: Callable[..., Site]) -> None:
    site = new_site(OAUTH2_BROWSER_ORIGINS=["http://localhost:6274"])
    assert preflight(site, "/oauth/token", "http://localhost:6274").headers["Access-Control-Allow-Origin"]
    assert "Access-Control-Allow-Origin" not in preflight(site, "/oauth/token", "http://localhost:6275").headers


def test_without_an_origin_nothing_changes(site: Site) -> None:
    add_spa(site)
    assert "Access-Control-Allow-Origin" not in preflight(site, "/oauth/token", None).headers
    answer = site.http.post("/oauth/token", data={"client_id": "spa"})
    assert "Vary" not in answer.headers


def test_with_clients_of_its_own_the_request_names_the_client(new_site: Callable[..., Site]) -> None:
    site = new_site()
    own = Client(client_id="spa", auth_method="none", redirect_uris=(f"{SPA}/callback",))
    site.provider.clientgetter({"spa": own}.get)
    assert "Access-Control-Allow-Origin" not in preflight(site, "/oauth/token").headers
    data = {"client_id": "spa", "grant_type": "authorization_code", "code": "x"}
    answer = site.http.post("/oauth/token", data=data, headers={"Origin": SPA})
    assert answer.headers["Access-Control-Allow-Origin"] == SPA
    data["client_id"] = "other"
    answer = site.http.post("/oauth/token", data=data, headers={"Origin": SPA})
    assert "Access-Control-Allow-Origin" not in answer.headers


class Away(MemoryStore):
    """A store that is away whenever clients are read."""

    def list_clients(self) -> Any:
        raise TemporarilyUnavailable("away", retry_after=1)

    def get_client(self, client_id: str) -> Any:
        raise TemporarilyUnavailable("away", retry_after=1)


def test_where_the_store_is_away_the_answer_says_so(new_site: Callable[..., Site]) -> None:
    site = new_site(store=Away())
    assert preflight(site, "/oauth/token").status_code == 204
    data = {"client_id": "spa", "grant_type": "client_credentials"}
    assert site.http.post("/oauth/token", data=data, headers={"Origin": SPA}).status_code == 503


class TestMemory:
    """The clients are read now and then, not with each request."""

    def test_an_unknown_origin_does_not_make_them_be_read_each_time(self) -> None:
        now, reads = [0.0], []
        clients = [Client(client_id="spa", auth_method="none", redirect_uris=(f"{SPA}/callback",))]

        def list_clients() -> list[Client]:
            reads.append(now[0])
            return clients

        origins = cross_origin.BrowserOrigins(list_clients, (), lambda: now[0])
        assert SPA in origins
        for _ in range(100):
            assert "https://evil.example" not in origins
        assert reads == [0.0]
        now[0] = cross_origin.PAUSE + 1
        assert "https://evil.example" not in origins
        assert reads == [0.0, now[0]]
        clients.append(replace(clients[0], redirect_uris=("https://new.example/",)))
        now[0] += cross_origin.PAUSE + 1
        assert "https://new.example" in origins
        del clients[:]
        assert SPA in origins
        now[0] += cross_origin.FRESH + 1
        assert SPA not in origins
