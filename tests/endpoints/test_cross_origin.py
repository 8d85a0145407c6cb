"""What pages of other origins may do, as browsers ask by CORS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from flask_oauth2 import Client, MemoryStore, TemporarilyUnavailable
from oauth_site import Site, Statements

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
def test_pages_of_a_public_client_are_allowed(site: Site, path: str) -> None:
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
def test_other_origins_are_not_allowed(site: Site, path: str, origin: str) -> None:
    add_spa(site)
    answer = preflight(site, path, origin)
    assert answer.status_code == 204
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Vary"] == "Origin"
    answer = site.http.post(path, data={"client_id": "spa", "token": "x"}, headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", ENDPOINTS)
def test_confidential_and_native_clients_allow_no_origin(site: Site, path: str) -> None:
    site.add_client("web", redirect_uris=(f"{SPA}/callback",))
    site.add_client("app", secret=None, redirect_uris=("com.example.app:/back",))
    for origin in (SPA, "com.example.app:", "com.example.app"):
        assert "Access-Control-Allow-Origin" not in preflight(site, path, origin).headers


@pytest.mark.parametrize("path", CLOSED)
def test_other_endpoints_have_no_cors(site: Site, path: str) -> None:
    add_spa(site)
    assert "Access-Control-Allow-Origin" not in preflight(site, path).headers
    answer = site.http.post(path, data={"client_id": "spa"}, headers={"Origin": SPA})
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.spec("rfc8414", "3")
@pytest.mark.parametrize("path", ["/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource"])
def test_metadata_allows_any_origin(new_site: Callable[..., Site], path: str) -> None:
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


def test_cors_origins_allows_additional_origins(new_site: Callable[..., Site]) -> None:
    site = new_site(OAUTH2_CORS_ORIGINS=["http://localhost:6274"])
    assert preflight(site, "/oauth/token", "http://localhost:6274").headers["Access-Control-Allow-Origin"]
    assert "Access-Control-Allow-Origin" not in preflight(site, "/oauth/token", "http://localhost:6275").headers


def test_a_request_without_origin_has_no_cors_headers(site: Site) -> None:
    add_spa(site)
    assert "Access-Control-Allow-Origin" not in preflight(site, "/oauth/token", None).headers
    answer = site.http.post("/oauth/token", data={"client_id": "spa"})
    assert "Vary" not in answer.headers


def test_a_clientgetter_allows_origins_of_the_named_client(new_site: Callable[..., Site]) -> None:
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


class Plain:
    """A store that does not know the origins of clients, before one that would."""

    def __init__(self) -> None:
        self._kept = MemoryStore()

    def __getattr__(self, name: str) -> Any:
        if name in ("has_origin", "behind"):
            raise AttributeError(name)
        return getattr(self._kept, name)


@pytest.mark.parametrize("client_id", ["spa", "other", "", None])
def test_a_store_without_origins_allows_origins_of_the_named_client(
    new_site: Callable[..., Site], client_id: str | None
) -> None:
    site = new_site(store=Plain(), OAUTH2_CORS_ORIGINS=["http://localhost:6274"])
    add_spa(site)
    assert "Access-Control-Allow-Origin" not in preflight(site, "/oauth/token").headers
    assert "Access-Control-Allow-Origin" in preflight(site, "/oauth/token", "http://localhost:6274").headers
    data = {"grant_type": "authorization_code", "code": "x", **({} if client_id is None else {"client_id": client_id})}
    answer = site.http.post("/oauth/token", data=data, headers={"Origin": SPA})
    assert ("Access-Control-Allow-Origin" in answer.headers) is (client_id == "spa")
    answer = site.http.post("/oauth/token", data=data, headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.spec("rfc8252", "7.3")
def test_a_loopback_origin_has_any_port_if_its_client_names_none(site: Site) -> None:
    add_spa(site, redirect_uris=("http://127.0.0.1/callback", "http://localhost:3000/callback"))
    for origin in ("http://127.0.0.1", "http://127.0.0.1:5000", "http://localhost:3000"):
        assert preflight(site, "/oauth/token", origin).headers["Access-Control-Allow-Origin"] == origin
    for origin in ("http://localhost:3001", "http://localhost", "http://[::1]:5000", "https://127.0.0.1:5000"):
        assert "Access-Control-Allow-Origin" not in preflight(site, "/oauth/token", origin).headers


def test_changes_of_redirect_uris_apply_immediately(site: Site) -> None:
    add_spa(site)
    assert "Access-Control-Allow-Origin" in preflight(site, "/oauth/token").headers
    add_spa(site, redirect_uris=("https://new.example/",))
    assert "Access-Control-Allow-Origin" not in preflight(site, "/oauth/token").headers
    assert "Access-Control-Allow-Origin" in preflight(site, "/oauth/token", "https://new.example").headers
    site.store.delete_client("spa", int(site.clock.now) + 1)
    assert "Access-Control-Allow-Origin" not in preflight(site, "/oauth/token", "https://new.example").headers


@pytest.mark.parametrize("origin", ["null", "x" * 10_000, f"https://{'x' * 10_000}", "https://a b", "file://", SPA])
def test_an_invalid_origin_needs_no_statement(sql_site: Site, statements: Statements, origin: str) -> None:
    preflight(sql_site, "/oauth/token")
    statements.clear()
    preflight(sql_site, "/oauth/token", origin)
    assert len(statements) == (1 if origin == SPA else 0)


@pytest.mark.spec("oauth-v2-1", "3.2")
def test_an_invalid_redirect_uri_does_not_affect_other_clients(new_site: Callable[..., Site]) -> None:
    """``set_client()`` of a store, which operators may call, looks at nothing."""
    site = new_site(PROPAGATE_EXCEPTIONS=False)
    add_spa(site)
    add_spa(site, "bad", redirect_uris=("https://bad.example:99999/back",))
    answer = preflight(site, "/oauth/token")
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (204, SPA)


class Away(MemoryStore):
    """A store that is away whenever clients are read."""

    def get_client(self, client_id: str) -> Any:
        raise TemporarilyUnavailable("away", retry_after=1)

    def has_origin(self, *origins: str) -> bool:
        raise TemporarilyUnavailable("away", retry_after=1)


def test_an_unavailable_store_rejects_cross_origin_requests_and_logs_it(
    new_site: Callable[..., Site], caplog: pytest.LogCaptureFixture
) -> None:
    site = new_site(store=Away(), OAUTH2_CORS_ORIGINS=["http://localhost:6274"])
    answer = preflight(site, "/oauth/token")
    assert answer.status_code == 204
    assert "Access-Control-Allow-Origin" not in answer.headers
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == "Rejected a cross-origin request: the store cannot look up the origin: away"
    data = {"client_id": "spa", "grant_type": "client_credentials"}
    answer = site.http.post("/oauth/token", data=data, headers={"Origin": SPA})
    assert answer.status_code == 503
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Access-Control-Allow-Origin" in preflight(site, "/oauth/token", "http://localhost:6274").headers
