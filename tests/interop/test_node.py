"""oauth4webapi and openid-client, the libraries of Node that certified clients are made of."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from turns import exclusive_lock

from .conftest import CALLBACK, Provider

FOLDER = Path(__file__).parent / "node"


class Refused(Exception):
    """The client's error, with the code that OAuth or the library has for it."""


class NodeClient:
    """A program of the folder ``node``, which does what its commands say."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def command(**options: Any) -> Any:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps({"name": name, **options}) + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline())
            if "error" in answer:
                raise Refused(f"{answer['error']}: {answer['message']}")
            return answer["result"]

        return command


def refused(code: str) -> Any:
    return pytest.raises(Refused, match=rf"^{code}: ")


@pytest.fixture(scope="session")
def node() -> str:
    """The program, once the libraries are there in the versions that package.json names."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None or npm is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("no Node: apt-get install nodejs npm")
    wanted = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    with exclusive_lock(FOLDER):
        if any(installed_version(name) != version for name, version in wanted.items()):
            subprocess.run([npm, "install", "--no-audit", "--no-fund"], cwd=FOLDER, check=True, timeout=300)
    return program


def installed_version(name: str) -> str | None:
    package = FOLDER / "node_modules" / name / "package.json"
    return str(json.loads(package.read_text())["version"]) if package.exists() else None


@pytest.fixture(params=["oauth4webapi", "openid-client"])
def new_client(request: pytest.FixtureRequest, node: str, provider: Provider) -> Iterator[Callable[..., NodeClient]]:
    """Starts clients of a library, which have read the metadata of the provider."""
    with ExitStack() as stack:

        def new(client_id: str = "web", **options: Any) -> NodeClient:
            process = stack.enter_context(
                subprocess.Popen(
                    [node, f"{request.param}.mjs"],
                    cwd=FOLDER,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            client = NodeClient(process)
            secret = None if client_id in ("public", "device") else provider.secrets[client_id]
            client.discover(**{"issuer": provider.url, "client_id": client_id, "secret": secret} | options)
            return client

        yield new


def ask(client: NodeClient, provider: Provider, decision: str = "Allow", scope: str = "profile mail") -> str:
    """The URL at which the client gets the person's answer."""
    return provider.visit(client.authorize(redirect_uri=CALLBACK, scope=scope), decision)


def changed(url: str, **parameters: str | None) -> str:
    """The URL with parameters of its query set to others, or taken away."""
    parts = urlsplit(url)
    query = {**dict(parse_qsl(parts.query)), **parameters}
    return parts._replace(query=urlencode({name: value for name, value in query.items() if value is not None})).geturl()


@pytest.mark.spec("rfc8414", "3")
def test_discovery(new_client: Callable[..., NodeClient], provider: Provider) -> None:
    client = new_client()
    found = client.discover(issuer=provider.url, client_id="web", secret=provider.secrets["web"])
    assert (found["token_endpoint"], found["revocation_endpoint"]) == (provider.token, provider.revocation)


@pytest.mark.spec("rfc8414", "3.3")
def test_discovery_of_another_issuer(new_client: Callable[..., NodeClient], provider: Provider) -> None:
    new_client(issuer=provider.url.replace("127.0.0.1", "localhost"))  # another name of this machine
    with pytest.raises(Refused):
        new_client(issuer=provider.url.replace("127.0.0.1", "127.0.0.2"))


@pytest.mark.spec("rfc6749", "4.1")
@pytest.mark.parametrize("method", ["ClientSecretBasic", "ClientSecretPost"])
def test_code_flow(new_client: Callable[..., NodeClient], provider: Provider, method: str) -> None:
    client = new_client(method=method)
    tokens = client.redeem(answer=ask(client, provider))
    assert tokens["scope"] == "profile mail"
    assert client.call(url=provider.api, token=tokens["access_token"]) == {"user": provider.user, "client": "web"}


@pytest.mark.spec("rfc6749", "2.1")
def test_code_flow_of_a_public_client(new_client: Callable[..., NodeClient], provider: Provider) -> None:
    client = new_client("public")
    tokens = client.redeem(answer=ask(client, provider))
    assert client.call(url=provider.api, token=tokens["access_token"]) == {"user": provider.user, "client": "public"}


@pytest.mark.spec("rfc6749", "2.3.1")
@pytest.mark.parametrize("method", ["ClientSecretBasic", "ClientSecretPost"])
def test_wrong_secret_is_invalid_client(new_client: Callable[..., NodeClient], provider: Provider, method: str) -> None:
    client = new_client(secret=provider.secrets["api"], method=method)
    answer = ask(client, provider)
    with refused("invalid_client"):
        client.redeem(answer=answer)


@pytest.mark.spec("rfc7636", "4.6")
def test_wrong_verifier_is_invalid_grant(new_client: Callable[..., NodeClient], provider: Provider) -> None:
    client = new_client()
    answer = ask(client, provider)
    with refused("invalid_grant"):
        client.redeem(answer=answer, other_verifier="x" * 43)


@pytest.mark.spec("rfc9207", "2.4")
@pytest.mark.parametrize("issuer", ["https://evil.example", None], ids=["another", "none"])
def test_the_client_takes_no_answer_of_another_issuer(
    new_client: Callable[..., NodeClient], provider: Provider, issuer: str | None
) -> None:
    client = new_client()
    answer = ask(client, provider)
    with refused("OAUTH_INVALID_RESPONSE"):
        client.redeem(answer=changed(answer, iss=issuer))
    assert client.redeem(answer=answer)["access_token"]


@pytest.mark.spec("rfc6749", "4.1.2")
def test_replayed_code_is_invalid_grant_and_ends_the_tokens(
    new_client: Callable[..., NodeClient], provider: Provider
) -> None:
    client = new_client()
    answer = ask(client, provider)
    token = client.redeem(answer=answer)["access_token"]
    assert client.call(url=provider.api, token=token)["user"] == provider.user
    with refused("invalid_grant"):
        client.redeem(answer=answer)
    with refused("invalid_token"):
        client.call(url=provider.api, token=token)


@pytest.mark.spec("rfc6749", "4.1.2.1")
def test_a_person_who_denies_is_access_denied(new_client: Callable[..., NodeClient], provider: Provider) -> None:
    client = new_client()
    answer = ask(client, provider, "Deny")
    with refused("access_denied"):
        client.redeem(answer=answer)


@pytest.mark.spec("rfc6749", "3.3")
def test_scope_beyond_is_invalid_scope(new_client: Callable[..., NodeClient], provider: Provider) -> None:
    client = new_client()
    answer = ask(client, provider, scope="profile everything")
    with refused("invalid_scope"):
        client.redeem(answer=answer)


@pytest.mark.spec("rfc6749", "6")
def test_refresh(new_client: Callable[..., NodeClient], provider: Provider) -> None:
    client = new_client()
    old = client.redeem(answer=ask(client, provider))
    new = client.refresh(token=old["refresh_token"])
    assert new["refresh_token"] != old["refresh_token"]
    assert client.call(url=provider.api, token=new["access_token"])["user"] == provider.user
    with refused("invalid_scope"):
        client.refresh(token=new["refresh_token"], scope="everything")


@pytest.mark.spec("rfc9700", "4.14.2")
def test_refresh_token_of_a_public_client_that_comes_again(
    new_client: Callable[..., NodeClient], provider: Provider
) -> None:
    client = new_client("public")
    old = client.redeem(answer=ask(client, provider))
    new = client.refresh(token=old["refresh_token"])
    with refused("invalid_grant"):
        client.refresh(token=old["refresh_token"])
    with refused("invalid_token"):
        client.call(url=provider.api, token=new["access_token"])


@pytest.mark.spec("rfc6749", "4.4")
def test_client_credentials(new_client: Callable[..., NodeClient], provider: Provider) -> None:
    client = new_client("machine")
    tokens = client.client_credentials(scope="profile")
    assert "refresh_token" not in tokens
    assert client.call(url=provider.api, token=tokens["access_token"]) == {"user": None, "client": "machine"}


@pytest.mark.spec("rfc6749", "5.2")
def test_client_without_the_grant_is_unauthorized_client(new_client: Callable[..., NodeClient]) -> None:
    with refused("unauthorized_client"):
        new_client("web").client_credentials(scope="profile")


@pytest.mark.spec("rfc8628", "3.5")
@pytest.mark.parametrize("client_id", ["device", "box"])
def test_a_device_is_let_in(new_client: Callable[..., NodeClient], provider: Provider, client_id: str) -> None:
    client = new_client(client_id)
    codes = client.start_device(scope="profile")
    assert "Go back to your device" in provider.connect(codes["verification_uri"], codes["user_code"])
    tokens = client.poll_device(codes=codes)
    assert ("refresh_token" in tokens) is (client_id == "device")
    assert client.call(url=provider.api, token=tokens["access_token"]) == {"user": provider.user, "client": client_id}


@pytest.mark.spec("rfc8628", "3.5")
def test_a_device_waits_until_somebody_has_decided(
    new_client: Callable[..., NodeClient], provider: Provider, request: pytest.FixtureRequest
) -> None:
    client = new_client("device")
    codes = client.start_device(scope="profile")
    if "oauth4webapi" in request.node.name:  # which leaves the waiting to its caller
        with refused("authorization_pending"):
            client.poll_device(codes=codes)
        provider.slow_down(codes["device_code"], interval=600)
        with refused("slow_down"):
            client.poll_device(codes=codes)
        provider.connect(codes["verification_uri"], codes["user_code"])
        tokens = client.poll_device(codes=codes)
    else:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(client.poll_device, codes=codes)
            while not provider.has_polled(codes["device_code"]):
                assert not waiting.done()
            provider.connect(codes["verification_uri"], codes["user_code"])
            tokens = waiting.result()
    assert client.call(url=provider.api, token=tokens["access_token"])["user"] == provider.user


@pytest.mark.spec("rfc8628", "3.5")
def test_a_device_that_is_denied_is_told_so(new_client: Callable[..., NodeClient], provider: Provider) -> None:
    client = new_client("device")
    codes = client.start_device(scope="profile")
    provider.connect(codes["verification_uri"], codes["user_code"], "Deny")
    with refused("access_denied"):
        client.poll_device(codes=codes)


@pytest.mark.spec("rfc8628", "3.2")
def test_a_device_that_asks_for_too_much_or_may_not(new_client: Callable[..., NodeClient]) -> None:
    with refused("invalid_scope"):
        new_client("device").start_device(scope="everything")
    with refused("unauthorized_client"):
        new_client("web").start_device(scope="profile")


@pytest.mark.spec("rfc7009", "2.1")
def test_revocation(new_client: Callable[..., NodeClient], provider: Provider) -> None:
    client = new_client()
    tokens = client.redeem(answer=ask(client, provider))
    assert client.revoke(token=tokens["refresh_token"]) is None
    with refused("invalid_token"):
        client.call(url=provider.api, token=tokens["access_token"])
    with refused("invalid_grant"):
        client.refresh(token=tokens["refresh_token"])


@pytest.mark.spec("rfc7009", "2.1")
def test_revocation_of_a_token_of_another_client(new_client: Callable[..., NodeClient], provider: Provider) -> None:
    client = new_client()
    token = client.redeem(answer=ask(client, provider))["access_token"]
    with pytest.raises(Refused):
        new_client("machine").revoke(token=token)
    assert client.call(url=provider.api, token=token)["user"] == provider.user


@pytest.mark.spec("rfc7662", "2.2")
def test_introspection(new_client: Callable[..., NodeClient], provider: Provider) -> None:
    client, api = new_client(), new_client("api")
    tokens = client.redeem(answer=ask(client, provider))
    found = api.introspect(token=tokens["access_token"])
    assert (found["active"], found["client_id"], found["sub"]) == (True, "web", provider.user)
    client.revoke(token=tokens["access_token"])
    assert api.introspect(token=tokens["access_token"]) == {"active": False}


@pytest.mark.spec("rfc7662", "2.1")
def test_introspection_by_a_client_that_may_not(new_client: Callable[..., NodeClient], provider: Provider) -> None:
    client = new_client()
    token = client.redeem(answer=ask(client, provider))["access_token"]
    assert new_client("machine").introspect(token=token) == {"active": False}


@pytest.fixture
def stranger(node: str) -> Iterator[NodeClient]:
    """openid-client, which nobody knows here yet."""
    command = [node, "openid-client.mjs"]
    with subprocess.Popen(command, cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield NodeClient(process)
        process.kill()


METADATA = {
    "client_name": "Notes",
    "redirect_uris": [CALLBACK],
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
}


@pytest.mark.spec("rfc7591", "3")
@pytest.mark.parametrize(
    ("method", "name"), [("None", "none"), ("ClientSecretBasic", None), ("ClientSecretPost", "client_secret_post")]
)
def test_registration(stranger: NodeClient, provider: Provider, method: str, name: str | None) -> None:
    metadata = METADATA | ({"token_endpoint_auth_method": name} if name else {})
    registered = stranger.register(issuer=provider.url, metadata=metadata, method=method)
    assert ("client_secret" in registered) is (name != "none")
    tokens = stranger.redeem(answer=ask(stranger, provider))
    found = stranger.call(url=provider.api, token=tokens["access_token"])
    assert found == {"user": provider.user, "client": registered["client_id"]}
    assert stranger.refresh(token=tokens["refresh_token"])["access_token"]


@pytest.mark.spec("rfc7591", "3.2.2")
def test_registration_of_what_may_not_be(stranger: NodeClient, provider: Provider) -> None:
    with refused("invalid_redirect_uri"):
        stranger.register(issuer=provider.url, metadata=METADATA | {"redirect_uris": ["http://client.example/"]})
    with refused("invalid_token"):
        stranger.register(issuer=provider.url, metadata=METADATA, token="a guess")
