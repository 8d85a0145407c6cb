"""Several issuers in one application: nothing of one is accepted, seen, refreshed or revoked at another."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import flask
import pytest
from itsdangerous import BadData, URLSafeSerializer
from tenant_site import DEVICE, Tenants

from flask_oauth2 import (
    AccessToken,
    ConfigurationError,
    Issuer,
    MemoryStore,
    OAuth2Provider,
    signals,
    values,
)
from flask_oauth2.assembly import Servers
from flask_oauth2.stores.sqlalchemy import SQLAlchemyStore


@pytest.fixture(params=["path", "host"])
def way(request: Any) -> str:
    return str(request.param)


@pytest.fixture(params=["memory", "sqlite"])
def new_tenants(request: Any, way: str, tmp_path: Any) -> Callable[..., Tenants]:
    def new(**config: Any) -> Tenants:
        store: Any = MemoryStore()
        if request.param == "sqlite":
            store = SQLAlchemyStore.open(f"sqlite:///{tmp_path / 'tenants.sqlite'}")
            request.addfinalizer(store.engine.dispose)
        tenants = Tenants(way, store, **config)
        for name in tenants.known:
            tenants.add_client(name)
        return tenants

    return new


@pytest.fixture
def tenants(new_tenants: Callable[..., Tenants]) -> Tenants:
    return new_tenants()


@pytest.mark.spec("rfc8414", "3.3")
def test_each_issuer_describes_itself(tenants: Tenants, way: str) -> None:
    for name, issuer in tenants.known.items():
        path = f"/.well-known/oauth-authorization-server{f'/{name}' if way == 'path' else ''}"
        base_url = "https://login.example" if way == "path" else f"https://{name}.example"
        document = tenants.http.get(path, base_url=base_url).get_json()
        assert document["issuer"] == issuer.url
        assert document["token_endpoint"] == f"{issuer.url}/oauth/token"


def test_an_unknown_issuer_is_not_found(tenants: Tenants) -> None:
    for path in ("/oauth/token", "/oauth/authorize", "/api/me"):
        assert tenants.http.get(**tenants.path("nobody", path)).status_code in (404, 405)
    assert tenants.post("nobody", "/token", grant_type="client_credentials").status_code == 404


def test_the_code_flow_of_each_issuer(tenants: Tenants) -> None:
    for name in tenants.known:
        answer = tenants.redeem(name, tenants.tokens(name)["code"])
        assert answer.status_code == 200, answer.text
        assert tenants.call(name, answer.get_json()["access_token"]) == 200


@pytest.mark.parametrize("token_format", ["opaque", "signed"])
def test_nothing_of_one_issuer_is_accepted_at_another(new_tenants: Callable[..., Tenants], token_format: str) -> None:
    tenants = new_tenants(OAUTH2_ACCESS_TOKEN_FORMAT=token_format)
    code = tenants.tokens("acme")["code"]
    assert tenants.redeem("umbrella", code).get_json()["error"] == "invalid_grant"
    issued = tenants.redeem("acme", code).get_json()
    access, refresh = issued["access_token"], issued["refresh_token"]
    assert tenants.call("acme", access) == 200
    assert tenants.call("umbrella", access) == 401
    answer = tenants.post("umbrella", "/token", grant_type="refresh_token", refresh_token=refresh)
    assert answer.get_json()["error"] == "invalid_grant"
    for token in (access, refresh):
        assert tenants.post("umbrella", "/introspect", token=token).get_json() == {"active": False}
        assert tenants.post("acme", "/introspect", token=token).get_json()["active"] is True
        assert tenants.post("umbrella", "/revoke", token=token).status_code == 200
    assert tenants.call("acme", access) == 200, "another issuer has revoked nothing"
    assert tenants.post("acme", "/revoke", token=refresh).status_code == 200
    assert tenants.call("acme", access) == 401


def test_consent_is_of_one_issuer(tenants: Tenants) -> None:
    tenants.tokens("acme")
    page = tenants.http.get(**tenants.path("umbrella", "/oauth/applications"))
    if page.status_code == 303:  # by host, nobody is signed in there yet
        return
    assert "Client of acme" not in page.text


def test_a_form_of_one_issuer_is_no_form_of_another(tenants: Tenants) -> None:
    ticket = tenants.tokens("acme")["ticket"]
    tenants.tokens("umbrella")
    answer = tenants.http.post(
        **tenants.path("umbrella", "/oauth/consent"), data={"ticket": ticket, "decision": "allow"}
    )
    assert answer.status_code == 400


def test_clients_live_apart(tenants: Tenants) -> None:
    tenants.add_client("acme", "only-acme")
    assert tenants.server("acme").store.get_client("only-acme") is not None
    assert tenants.server("umbrella").store.get_client("only-acme") is None
    tenants.server("umbrella").store.delete_client("web", 10**12)
    assert tenants.post("umbrella", "/token", grant_type="client_credentials").status_code == 401
    assert tenants.post("acme", "/token", grant_type="client_credentials").status_code == 200


def test_a_device_is_of_one_issuer(tenants: Tenants) -> None:
    device = tenants.post("acme", "/device_authorization", scope="profile").get_json()
    assert device["verification_uri"].startswith(tenants.known["acme"].url)
    for name, error in (("umbrella", "invalid_grant"), ("acme", "authorization_pending")):
        answer = tenants.post(name, "/token", grant_type=DEVICE, device_code=device["device_code"])
        assert answer.get_json()["error"] == error


def test_counters_are_of_one_issuer(new_tenants: Callable[..., Tenants]) -> None:
    tenants = new_tenants(OAUTH2_MAX_FAILED_ATTEMPTS=1)
    for _ in range(12):
        path = tenants.path("acme", "/oauth/token")
        answer = tenants.http.post(**path, data={"grant_type": "client_credentials"}, auth=("web", "wrong-secret-x"))
    assert answer.status_code == 429
    path = tenants.path("umbrella", "/oauth/token")
    answer = tenants.http.post(**path, data={"grant_type": "client_credentials"}, auth=("web", "wrong-secret-x"))
    assert answer.status_code == 401


@pytest.mark.parametrize("token_format", ["opaque", "signed", "jwt"])
def test_a_token_of_a_former_issuer_with_the_same_url_is_not_accepted(
    new_tenants: Callable[..., Tenants], token_format: str
) -> None:
    tenants = new_tenants(OAUTH2_ACCESS_TOKEN_FORMAT=token_format)
    former = tenants.post("acme", "/token", grant_type="client_credentials", scope="profile").get_json()["access_token"]
    assert tenants.call("acme", former) == 200
    url = tenants.known["acme"].url
    tenants.known["acme"] = Issuer(id="acme-2", url=url, arguments={"tenant": "acme"})
    tenants.add_client("acme")
    assert tenants.call("acme", former) == 401
    assert tenants.post("acme", "/introspect", token=former).get_json() == {"active": False}
    token = tenants.post("acme", "/token", grant_type="client_credentials", scope="profile").get_json()["access_token"]
    assert tenants.call("acme", token) == 200


class Sealed:
    """A self-contained format of an application, which signs with one key."""

    name = "sealed"

    def __init__(self, salt: str = "sealed") -> None:
        self._serializer = URLSafeSerializer("key", salt)

    def write(self, access: AccessToken, client: Any, resource: Any) -> str:
        members = {name: getattr(access, name) for name in ("authorization_id", "client_id", "issued_at", "expires_at")}
        return str(self._serializer.dumps({**members, "id": values.text(access.token_hash), "scope": access.scope}))

    def read(self, value: str) -> AccessToken | None:
        try:
            members = self._serializer.loads(value)
        except BadData:
            return None
        key, scope = values.from_text(members.pop("id")), tuple(members.pop("scope"))
        return AccessToken(token_hash=key, scope=scope, user_id=None, type="Bearer", **members)


class SealedByIssuer(Sealed):
    """The same with another salt for each issuer."""

    def for_issuer(self, issuer_id: str) -> Sealed:
        return Sealed(f"sealed {issuer_id}")


def new_sealed_tenants(token_format: Any) -> Tenants:
    tenants = Tenants("path", MemoryStore(), OAUTH2_ACCESS_TOKEN_FORMAT="sealed")
    tenants.provider.register_token_format(token_format)
    return tenants


def test_a_registered_format_separates_issuers() -> None:
    tenants = new_sealed_tenants(SealedByIssuer())
    for name in tenants.known:
        tenants.add_client(name)
    token = tenants.post("acme", "/token", grant_type="client_credentials", scope="profile").get_json()["access_token"]
    assert tenants.call("acme", token) == 200
    assert tenants.call("umbrella", token) == 401


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({}, r"the token format sealed does not separate the issuers .* give Own a method for_issuer\(issuer_id\)"),
        ({"for_issuer": "x"}, "does not separate the issuers"),
        ({"for_issuer": lambda self, issuer_id: None}, "NoneType needs the attribute name of SelfContainedF"),
    ],
)
def test_a_registered_format_that_does_not_separate_issuers_is_an_error(members: dict[str, Any], said: str) -> None:
    tenants = new_sealed_tenants(type("Own", (Sealed,), members)())
    with pytest.raises(ConfigurationError, match=said):
        tenants.server("acme")


class CountingServers(Servers):
    """The servers of issuers, with the IDs of those that were built."""

    def __init__(self, server: Any) -> None:
        self.built: list[str] = []
        super().__init__(server, self._build_server)

    def _build_server(self, issuer: Issuer) -> Any:
        self.built.append(issuer.id)
        return replace(self.first, issuer=issuer.url, issuer_id=issuer.id)


@pytest.fixture
def servers(tenants: Tenants) -> CountingServers:
    return CountingServers(tenants.server("acme"))


def named(issuer_id: str) -> Issuer:
    return Issuer(id=issuer_id, url=f"https://{issuer_id}.example")


def test_the_least_recently_used_server_makes_room(servers: CountingServers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_oauth2.assembly._MAX_ISSUERS", 2)
    for issuer_id in ("a", "b", "a", "c", "a", "b"):
        assert servers.of(named(issuer_id)).server.issuer_id == issuer_id
    assert servers.built == ["a", "b", "c", "b"]


def test_an_issuer_with_other_settings_has_a_new_server(servers: CountingServers) -> None:
    first = servers.of(named("a"))
    assert servers.of(named("a")) is first
    changed = replace(named("a"), settings={"OAUTH2_REALM": "other"})
    assert servers.of(changed) is not first
    assert servers.built == ["a", "a"]


def test_threads_build_a_server_once(servers: CountingServers) -> None:
    start = Barrier(8)

    def find(_: int) -> Any:
        start.wait()
        return servers.of(named("a"))

    with ThreadPoolExecutor(8) as pool:
        found = set(map(id, pool.map(find, range(8))))
    assert len(found) == 1
    assert servers.built == ["a"]


def test_a_wrong_issuer_is_not_built(servers: CountingServers) -> None:
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="the url of the issuer a must be text"):
            servers.of(Issuer(id="a", url=""))
    assert servers.built == []


def test_an_issuer_has_settings_of_its_own(tenants: Tenants) -> None:
    tenants.known["acme"] = tenants.issuer("acme", OAUTH2_ACCESS_TOKEN_LIFETIME=60)
    for name, lifetime in (("acme", 60), ("umbrella", 3600)):
        answer = tenants.post(name, "/token", grant_type="client_credentials").get_json()
        assert answer["expires_in"] == lifetime
    tenants.known["acme"] = tenants.issuer("acme", OAUTH2_ACCESS_TOKEN_LIFETIME=120)
    assert tenants.post("acme", "/token", grant_type="client_credentials").get_json()["expires_in"] == 120


def test_the_issuer_of_a_request_is_looked_up_once(tenants: Tenants) -> None:
    tenants.asked.clear()
    tenants.post("acme", "/token", grant_type="client_credentials")
    assert tenants.asked == ["acme"]


def test_signals_and_audit_records_name_the_issuer(tenants: Tenants, caplog: pytest.LogCaptureFixture) -> None:
    received = []

    def receive(_: Any, issuer: str, **more: Any) -> None:
        received.append(issuer)

    urls = [issuer.url for issuer in tenants.known.values()]
    with (
        caplog.at_level("INFO", "flask_oauth2.audit"),
        signals.token_issued.connected_to(receive, tenants.app),
        signals.token_accepted.connected_to(receive, tenants.app),
        signals.request_refused.connected_to(receive, tenants.app),
    ):
        for name in tenants.known:
            token = tenants.post(name, "/token", grant_type="client_credentials", scope="profile").get_json()
            assert tenants.call(name, token["access_token"]) == 200
            assert tenants.call(name, "oat_wrong") == 401
    assert received == [url for url in urls for _ in range(3)]
    issued = [record for record in caplog.records if getattr(record, "event", "") == "token_issued"]
    assert [record.oauth2["issuer"] for record in issued] == urls  # type: ignore[attr-defined]
    assert all(f"issuer={url!r}" in record.getMessage() for record, url in zip(issued, urls, strict=True))


def test_the_path_of_an_issuer_is_no_missing_mount(tenants: Tenants, caplog: pytest.LogCaptureFixture) -> None:
    assert tenants.call("acme", "oat_wrong") == 401
    assert "invalid_token" in caplog.text
    assert "SCRIPT_NAME" not in caplog.text


def test_outside_of_a_request_the_issuer_must_be_named(tenants: Tenants) -> None:
    with tenants.app.app_context(), pytest.raises(ConfigurationError, match="several issuers"):
        _ = tenants.provider.server


def test_a_store_of_one_issuer_is_refused(way: str) -> None:
    class Plain:
        """A store without views."""

        def __init__(self) -> None:
            self._store = MemoryStore()

        def __getattr__(self, name: str) -> Any:
            if name == "for_issuer":
                raise AttributeError(name)
            return getattr(self._store, name)

    tenants = Tenants(way, Plain())
    with pytest.raises(ConfigurationError, match="one issuer only"):
        _ = tenants.server("acme").store


def test_a_variable_needs_a_value() -> None:
    app = flask.Flask("tenants")
    app.config.update(SECRET_KEY="secret", TESTING=True)
    provider = OAuth2Provider(app, store=MemoryStore(), url_prefix="/<region>/<tenant>/oauth")
    issuer = Issuer(id="acme", url="https://login.example/eu/acme")
    provider.issuergetter(lambda: issuer)
    with app.test_request_context(), pytest.raises(ConfigurationError, match="no value for a variable"):
        _ = provider.server
    issuer = Issuer(id="acme", url=issuer.url, arguments={"region": "eu", "tenant": "acme"})
    document = app.test_client().get(
        "/.well-known/oauth-authorization-server/eu/acme", base_url="https://login.example"
    )
    assert document.get_json()["token_endpoint"] == "https://login.example/eu/acme/oauth/token"


class TestCommands:
    """``flask oauth2 --issuer URL``."""

    def run(self, tenants: Tenants, *arguments: str) -> Any:
        return tenants.app.test_cli_runner().invoke(args=["oauth2", *arguments])

    def test_a_command_works_on_one_issuer(self, tenants: Tenants) -> None:
        for name, issuer in tenants.known.items():
            listed = self.run(tenants, "--issuer", issuer.url, "client", "list")
            assert listed.exit_code == 0, listed.output
            assert f"Client of {name}" in listed.output
            assert listed.output.count("Client of") == 1
        made = self.run(
            tenants,
            "--issuer",
            tenants.known["acme"].url,
            "client",
            "create",
            "Robot",
            "--grant-type",
            "client_credentials",
        )
        assert made.exit_code == 0, made.output
        assert len(list(tenants.server("acme").stores.listing.list_clients())) == 2
        assert len(list(tenants.server("umbrella").stores.listing.list_clients())) == 1

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ((), "several issuers"),
            (("--issuer", "https://nobody.example"), "there is no issuer https://nobody.example"),
            (("--issuer", "https://login.example/nobody"), "there is no issuer"),
        ],
    )
    def test_the_issuer_must_be_named_and_known(self, tenants: Tenants, arguments: tuple[str, ...], said: str) -> None:
        listed = self.run(tenants, *arguments, "client", "list")
        assert listed.exit_code == 1
        assert said in listed.output

    def test_purge_is_for_all_issuers(self, tenants: Tenants) -> None:
        for name in tenants.known:
            tenants.server(name).store.count(b"counter of " + name.encode(), 1)
        purged = self.run(tenants, "purge", "--json")
        assert purged.exit_code == 0, purged.output
        assert '"purged": 2' in purged.output
