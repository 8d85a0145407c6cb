"""The clients of the MCP SDKs connect to ``examples/mcp_server`` with nothing but its URL."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import flask
import httpx2
import pytest
import requests
from a2wsgi import ASGIMiddleware
from document_server import certify, serve_documents, server_tls
from example_site import serve
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.oauth2 import AuthorizationCodeResult
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl
from servers import PATIENCE, reserve_port
from werkzeug.serving import make_server

from flask_oauth2 import MemoryStore, OAuth2Provider
from flask_oauth2.testing import issue_token, register_client

from .browser import Browser
from .test_node import FOLDER, NodeClient, node, refused

__all__ = ["node"]  # a fixture

ROOT = Path(__file__).parent.parent.parent
REDIRECT_URI = "http://localhost:49733/callback"


def copy_example(folder: Path) -> Path:
    ignored = shutil.ignore_patterns("instance", "__pycache__")
    shutil.copytree(ROOT / "examples/mcp_server", folder / "examples/mcp_server", ignore=ignored)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the example, which runs as its first lines say."""
    with serve(copy_example(tmp_path_factory.mktemp("clone")), "examples/mcp_server/app.py") as url:
        yield url


@dataclass
class Storage:
    """What a client remembers."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None
    history: list[OAuthToken] = field(default_factory=list)

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens
        self.history.append(tokens)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class Person:
    """Whoever uses the client, with a browser."""

    def __init__(self, decision: str = "Allow") -> None:
        self.decision = decision
        self.requests: list[dict[str, str]] = []
        self._answer: dict[str, str] = {}

    async def visit(self, url: str) -> None:
        self.requests.append({name: values[0] for name, values in parse_qs(urlsplit(url).query).items()})
        with Browser() as browser:
            back = browser.authorize(url, self.decision, name="demo", password="demo")
        self._answer = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}

    async def come_back(self) -> AuthorizationCodeResult:
        answer = self._answer
        return AuthorizationCodeResult(code=answer["code"], state=answer.get("state"), iss=answer.get("iss"))


def connect(server: str, storage: Storage, person: Person, client_metadata_url: str | None = None) -> Any:
    metadata = OAuthClientMetadata(redirect_uris=[AnyUrl(REDIRECT_URI)], client_name="Assistant")
    auth = OAuthClientProvider(
        f"{server}/mcp", metadata, storage, person.visit, person.come_back, client_metadata_url=client_metadata_url
    )
    http = httpx2.AsyncClient(auth=auth, trust_env=False)
    return Client(streamable_http_client(f"{server}/mcp", http_client=http))


def text_of(result: Any) -> str:
    return str(result.content[0].text)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an MCP server whose provider is another process."""
    folder, ports = tmp_path_factory.mktemp("elsewhere"), [reserve_port(), reserve_port()]
    shutil.copytree(ROOT / "examples/resource_server", folder, dirs_exist_ok=True)
    login, notes = (f"http://127.0.0.1:{port}" for port in ports)
    with (
        serve(folder, "login.py", ports[0], FLASK_OAUTH2_ISSUER=login, FLASK_NOTES_URL=notes),
        serve(folder, "notes.py", ports[1], FLASK_ISSUER=login, FLASK_URL=notes),
    ):
        yield notes


@pytest.mark.spec("rfc9068", "3")
def test_from_the_url_to_a_tool_with_a_provider_in_another_process(elsewhere: str) -> None:
    storage, person = Storage(), Person()

    async def use() -> None:
        async with connect(elsewhere, storage, person) as client:
            assert text_of(await client.call_tool("read_notes", {})) == "buy milk"
            assert text_of(await client.call_tool("write_note", {"text": "call Bob"})) == "written"
            assert text_of(await client.call_tool("read_notes", {})) == "buy milk\ncall Bob"

    asyncio.run(use())
    assert [asked["resource"] for asked in person.requests] == [f"{elsewhere}/mcp"] * 2
    assert storage.tokens is not None
    assert storage.tokens.access_token.startswith("eyJ")


def test_from_the_url_to_a_tool(server: str) -> None:
    storage, person = Storage(), Person()

    async def use() -> None:
        async with connect(server, storage, person) as client:
            assert client.server_info.name == "notes"
            tools = await client.list_tools()
            assert [tool.name for tool in tools.tools] == ["read_notes", "write_note"]
            assert text_of(await client.call_tool("read_notes", {})).startswith("buy milk")

    asyncio.run(use())
    assert storage.client is not None
    assert [asked["scope"] for asked in person.requests] == ["notes:read"]
    assert person.requests[0]["resource"] == f"{server}/mcp"


def test_more_scope_is_asked_for_when_a_tool_needs_it(server: str) -> None:
    storage, person = Storage(), Person()

    async def use() -> None:
        async with connect(server, storage, person) as client:
            await client.call_tool("read_notes", {})
            assert text_of(await client.call_tool("write_note", {"text": "water plants"})) == "written"
            assert "water plants" in text_of(await client.call_tool("read_notes", {}))

    asyncio.run(use())
    assert [set(asked["scope"].split()) for asked in person.requests] == [{"notes:read"}, {"notes:read", "notes:write"}]


def test_what_has_expired_is_refreshed(server: str) -> None:
    storage, person = Storage(), Person()

    async def use() -> None:
        async with connect(server, storage, person) as client:
            await client.call_tool("read_notes", {})
        assert storage.tokens is not None
        storage.tokens = storage.tokens.model_copy(update={"access_token": "expired"})
        async with connect(server, storage, person) as client:
            assert "buy milk" in text_of(await client.call_tool("read_notes", {}))

    asyncio.run(use())
    assert len(storage.history) == 2


def test_by_a_metadata_document_nobody_registers(tmp_path: Path) -> None:
    (tmp_path / "authority.pem").write_bytes(certify()[0])
    with serve_documents(server_tls(tmp_path)) as documents:
        url = f"https://localhost:{documents.port}/client.json"
        documents.put(client_id=url, redirect_uris=[REDIRECT_URI])
        trusted = {
            "SSL_CERT_FILE": str(tmp_path / "authority.pem"),
            "FLASK_OAUTH2_CLIENT_ID_METADATA_DOCUMENT_ALLOWED_HOSTS": json.dumps([f"localhost:{documents.port}"]),
        }
        storage, person = Storage(), Person()
        with serve(copy_example(tmp_path), "examples/mcp_server/app.py", **trusted) as server:

            async def use() -> None:
                async with connect(server, storage, person, url) as client:
                    assert "buy milk" in text_of(await client.call_tool("read_notes", {}))
                    assert text_of(await client.call_tool("write_note", {"text": "water plants"})) == "written"

            asyncio.run(use())
        assert [asked["client_id"] for asked in person.requests] == [url, url]
        assert documents.count() == 1


def test_who_denies_is_left_alone(server: str) -> None:
    storage, person = Storage(), Person("Deny")

    async def use() -> None:
        async with connect(server, storage, person) as client:
            await client.call_tool("read_notes", {})

    with pytest.raises(BaseException) as raised:  # noqa: PT011  the SDK wraps it in groups of its own
        asyncio.run(use())
    assert raised.group_contains(KeyError) or isinstance(raised.value, KeyError)
    assert storage.tokens is None


@pytest.fixture
def typescript(node: str) -> Iterator[NodeClient]:
    command = [node, "mcp.mjs"]
    with subprocess.Popen(command, cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield NodeClient(process)
        assert process.stdin is not None
        process.stdin.close()


def allow(page: str) -> str:
    """The code that the person's answer brings."""
    with Browser() as browser:
        back = browser.authorize(page, name="demo", password="demo")
    return parse_qs(urlsplit(back).query)["code"][0]


def test_typescript_from_the_url_to_a_tool(server: str, typescript: NodeClient) -> None:
    page = typescript.connect(url=f"{server}/mcp")["page"]
    assert parse_qs(urlsplit(page).query)["resource"] == [f"{server}/mcp"]
    assert typescript.finish(code=allow(page)) == {"result": "notes"}
    assert "buy milk" in typescript.call(tool="read_notes")["result"]


def test_typescript_refreshes_what_has_expired(server: str, typescript: NodeClient) -> None:
    typescript.finish(code=allow(typescript.connect(url=f"{server}/mcp")["page"]))
    before = typescript.kept()["tokens"]
    typescript.spoil_access_token()
    assert "buy milk" in typescript.call(tool="read_notes")["result"]
    assert typescript.kept()["tokens"]["refresh_token"] != before["refresh_token"]


def test_typescript_gives_up_where_a_refresh_brings_no_scope(server: str, typescript: NodeClient) -> None:
    """The SDK refreshes where it should ask people: nothing that a server could say makes it do otherwise."""
    typescript.finish(code=allow(typescript.connect(url=f"{server}/mcp")["page"]))
    with refused("403"):
        typescript.call(tool="write_note", text="x")


def test_typescript_asks_for_more_scope(server: str, typescript: NodeClient) -> None:
    typescript.finish(code=allow(typescript.connect(url=f"{server}/mcp")["page"]))
    typescript.forget_refresh_token()
    page = typescript.call(tool="write_note", text="from TypeScript")["page"]
    assert parse_qs(urlsplit(page).query)["scope"] == ["notes:read notes:write"]
    assert typescript.finish(code=allow(page)) == {"result": "notes"}
    assert typescript.call(tool="write_note", text="from TypeScript") == {"result": "written"}


class Behind:
    """A server of the SDK, mounted as part of a Flask application."""

    def __init__(self, folder: Path) -> None:
        self.app = flask.Flask("mounted", instance_path=str(folder))
        self.app.config.update(SECRET_KEY="a secret key of the tests", OAUTH2_ISSUER="http://127.0.0.1:5000")
        provider = OAuth2Provider(self.app, store=MemoryStore())
        mcp = MCPServer("mounted")

        @mcp.tool()
        def whoami(context: Context) -> str:
            return str(context.request_context.request.scope["wsgi_environ"]["REMOTE_USER"])

        asgi = mcp.streamable_http_app(streamable_http_path="/", json_response=True, stateless_http=True)
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)
        self._thread.start()
        self._stop = asyncio.Event()
        self._running = asyncio.run_coroutine_threadsafe(self._run(mcp), self._loop)
        provider.protect_mcp("/mcp", ["tools"], wsgi_app=ASGIMiddleware(asgi, loop=self._loop))

    async def _run(self, mcp: MCPServer) -> None:
        async with mcp.session_manager.run():
            await self._stop.wait()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._running.result(300)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def test_a_server_of_the_sdk_behind_the_guard(tmp_path: Path) -> None:
    behind = Behind(tmp_path)
    token = issue_token(behind.app, "ada", "tools", client=register_client(behind.app, scope="tools"), resource="/mcp")
    served = make_server("127.0.0.1", 0, behind.app, threaded=True)
    thread = Thread(target=served.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{served.server_port}/mcp"

    async def use(token: str) -> str:
        headers = {"Authorization": f"Bearer {token}"}
        async with Client(
            streamable_http_client(url, http_client=httpx2.AsyncClient(headers=headers, trust_env=False))
        ) as client:
            return text_of(await client.call_tool("whoami", {}))

    try:
        assert asyncio.run(use(token)) == "ada"
        assert requests.post(url, json={}, timeout=PATIENCE).status_code == 401
        headers = {"Authorization": f"Bearer {token}"}
        answer = requests.post(url, json={}, headers=headers, timeout=PATIENCE, allow_redirects=False)
        assert not answer.is_redirect, "each request would be sent twice"
    finally:
        served.shutdown()
        thread.join()
        served.server_close()
        behind.close()
