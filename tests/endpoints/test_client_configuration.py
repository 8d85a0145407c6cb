"""Clients that read, change and delete their registration, RFC 7592."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from endpoints.test_registration import CODE, SERVER, clients, initial_token, received, register, send
from werkzeug.test import TestResponse

from flask_oauth2 import AccessDenied, hash_secret, values
from flask_oauth2.clients.metadata import describe
from oauth_site import CALLBACK, NOW, Site

__all__ = ["received"]

GIVEN = ("client_id_issued_at", "client_secret", "client_secret_expires_at")


@pytest.fixture
def site(new_site: Callable[..., Site]) -> Site:
    return new_site(OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_DEFAULT_SCOPE="profile mail")


def call(
    site: Site, method: str, client: dict[str, Any], metadata: Any = None, token: str | None = None, **options: Any
) -> TestResponse:
    """A request by the token that the client has, or by another."""
    path = urlsplit(client["registration_client_uri"]).path
    headers = {"Authorization": f"Bearer {client['registration_access_token'] if token is None else token}"}
    if metadata is not None:
        options["json"] = metadata
    answer = site.http.open(path, method=method, headers=headers, **options)
    assert answer.headers["Cache-Control"] == "no-store"
    return answer


def metadata_of(client: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the metadata of a response that a client sends back in an update."""
    response_only = (
        "registration_access_token",
        "registration_client_uri",
        "client_secret_expires_at",
        "client_id_issued_at",
    )
    return {name: value for name, value in client.items() if name not in response_only} | changes


def put(site: Site, client: dict[str, Any], metadata: Any, token: str | None = None) -> dict[str, Any]:
    answer = call(site, "PUT", client, metadata, token)
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def get(site: Site, client: dict[str, Any], token: str | None = None) -> dict[str, Any]:
    answer = call(site, "GET", client, token=token)
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def is_rejected(answer: TestResponse) -> bool:
    """Assert that the response rejects the token."""
    assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_token"), answer.text
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="oauth2", error="invalid_token"')
    return True


class TestAccess:
    """Section 2: by the registration access token of this very client."""

    @pytest.mark.spec("rfc7592", "3")
    def test_the_response_names_the_configuration_endpoint_and_its_token(self, site: Site) -> None:
        client = register(site, SERVER)
        assert client["registration_client_uri"] == f"https://login.example/oauth/register/{client['client_id']}"
        assert len(client["registration_access_token"]) > 50

    @pytest.mark.spec("rfc7592", "2")
    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    def test_a_wrong_registration_access_token_is_rejected(self, site: Site, method: str) -> None:
        client, other = register(site, SERVER), register(site, SERVER | {"client_name": "Other"})
        wrong = ["", "wrong", other["registration_access_token"], client["client_secret"], f"ora_{'x' * 50}", "a,b"]
        for token in wrong:
            assert is_rejected(call(site, method, client, {"client_id": client["client_id"]}, token))
        assert len(clients(site)) == 2
        assert get(site, client)

    @pytest.mark.spec("rfc7592", "2.1")
    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    @pytest.mark.parametrize("client_id", ["nobody", "a/b", "a%00b", "%ff", "x" * 300])
    def test_an_unknown_client_is_rejected_like_a_wrong_token(self, site: Site, method: str, client_id: str) -> None:
        client = register(site, SERVER)
        nobody = client | {"registration_client_uri": f"https://login.example/oauth/register/{client_id}"}
        assert is_rejected(call(site, method, nobody, {}))

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    def test_a_client_without_a_registration_access_token_is_rejected(self, site: Site, method: str) -> None:
        site.add_client("web")
        shared = register(site, CODE)["client_id"]
        for client_id in ("web", shared):
            uri = f"https://login.example/oauth/register/{client_id}"
            assert is_rejected(call(site, method, {"registration_client_uri": uri}, {}, "None"))

    @pytest.mark.spec("rfc7592", "2")
    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    def test_a_request_without_a_token_is_challenged(self, site: Site, method: str) -> None:
        path = urlsplit(register(site, SERVER)["registration_client_uri"]).path
        answer = site.http.open(path, method=method)
        assert (answer.status_code, answer.text) == (401, "")
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="oauth2"'

    @pytest.mark.spec("rfc7592", "5")
    def test_failed_attempts_are_counted_per_client(self, site: Site) -> None:
        client, other = register(site, SERVER), register(site, SERVER)
        for _ in range(10):
            assert is_rejected(call(site, "GET", client, token="guess"))
        assert call(site, "GET", client, token="guess").status_code == 429
        assert is_rejected(call(site, "GET", other, token="guess"))
        assert get(site, client), "who has the right one is in nobody's way"

    @pytest.mark.spec("rfc7592", "5")
    def test_the_registration_access_token_does_not_expire(self, site: Site) -> None:
        client = register(site, SERVER)
        site.clock.forward(10 * 365 * 86400)
        assert get(site, client)["client_id"] == client["client_id"]

    def test_clients_of_initial_access_tokens_can_be_configured(self, new_site: Callable[..., Site]) -> None:
        site = new_site(OAUTH2_DYNAMIC_REGISTRATION="token")
        client = register(site, CODE, initial_token(site))
        assert get(site, client)["client_id"] == client["client_id"]


class TestRead:
    """Section 2.1."""

    @pytest.mark.spec("rfc7592", "2.1")
    @pytest.mark.spec("rfc7592", "3")
    def test_the_response_has_all_metadata_without_the_secret(self, site: Site) -> None:
        client = register(site, SERVER | {"client_uri": "https://notes.example/", "contacts": ["ada@notes.example"]})
        found = get(site, client)
        assert found.pop("registration_access_token")
        assert found == {
            name: value
            for name, value in client.items()
            if name not in ("registration_access_token", "client_secret", "client_secret_expires_at")
        }

    @pytest.mark.spec("rfc7592", "5")
    def test_the_registration_access_token_rotates(self, site: Site) -> None:
        client = register(site, SERVER)
        tokens = [client["registration_access_token"]]
        for _ in range(3):
            tokens.append(get(site, client, tokens[-1])["registration_access_token"])
        assert len(set(tokens)) == 4
        assert all(values.key(token)[:6] == values.timestamp(NOW) for token in tokens), "all are ours"
        for old in tokens[:2]:
            assert is_rejected(call(site, "GET", client, token=old))
        assert get(site, client, tokens[3])

    @pytest.mark.spec("rfc7592", "5")
    def test_a_read_can_be_repeated_after_a_lost_response(self, site: Site) -> None:
        client = register(site, SERVER)
        old = client["registration_access_token"]
        new = get(site, client, old)["registration_access_token"]
        assert [get(site, client, old)["registration_access_token"] for _ in range(3)] == [new] * 3
        assert get(site, client, new)["registration_access_token"] != new
        assert is_rejected(call(site, "GET", client, token=old)), "the new one has been used"

    def test_the_token_remains_valid_after_secret_key_rotation(self, site: Site, new_site: Callable[..., Site]) -> None:
        client = register(site, SERVER)
        old = client["registration_access_token"]
        new = get(site, client, old)["registration_access_token"]
        moved = new_site(
            OAUTH2_DYNAMIC_REGISTRATION="open",
            store=site.store,
            SECRET_KEY="the next key",
            SECRET_KEY_FALLBACKS=["a secret key of the tests"],
        )
        assert get(moved, client, old)["registration_access_token"] == new
        assert get(moved, client, new)["registration_access_token"]

    @pytest.mark.spec("rfc7592", "2.1")
    def test_a_read_changes_only_the_registration_access_token(self, site: Site) -> None:
        client = register(site, SERVER)
        (before,) = clients(site)
        get(site, client)
        (after,) = clients(site)
        assert replace(after, registration_key=before.registration_key) == before

    def test_concurrent_reads_return_the_same_token(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        client = register(site, SERVER)
        change, others = site.store.change_client, [True]

        def change_late(changed: Any, before: Any) -> Any:
            if others and others.pop():
                other.append(get(site, client)["registration_access_token"])
            return change(changed, before)

        other: list[str] = []
        monkeypatch.setattr(site.store, "change_client", change_late)
        assert [get(site, client)["registration_access_token"]] == other

    def test_a_client_that_keeps_changing_is_temporarily_unavailable(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = register(site, SERVER)
        monkeypatch.setattr(site.store, "change_client", lambda changed, before: False)
        answer = call(site, "GET", client)
        assert (answer.status_code, answer.get_json()["error"]) == (503, "temporarily_unavailable")


class TestUpdate:
    """Section 2.2."""

    @pytest.mark.spec("rfc7592", "2.2")
    def test_an_update_replaces_the_metadata(self, site: Site, received: list[tuple[str, dict[str, Any]]]) -> None:
        client = register(site, SERVER | {"client_uri": "https://notes.example/"})
        wanted = {
            "client_id": client["client_id"],
            "client_secret": client["client_secret"],
            "redirect_uris": ["https://notes.example/cb2"],
            "client_name": "New",
        }
        found = put(site, client, wanted)
        assert found["client_id"] == client["client_id"]
        assert (found["client_name"], found["redirect_uris"]) == ("New", ["https://notes.example/cb2"])
        assert found["grant_types"] == ["authorization_code"], "what was left out is as at first"
        assert "client_uri" not in found, "and is gone where it has no default"
        assert "client_secret" not in found
        assert found["registration_access_token"] != client["registration_access_token"]
        assert found["client_id_issued_at"] == client["client_id_issued_at"]
        assert get(site, client, found["registration_access_token"])["client_name"] == "New"
        facts = {"client_id": client["client_id"], "registered_by": "open", "issuer": "https://login.example"}
        assert received[1:] == [("client_updated", facts)]

    @pytest.mark.spec("rfc7592", "2.2")
    def test_the_metadata_of_a_response_can_be_sent_back(self, site: Site) -> None:
        client = register(site, SERVER)
        (before,) = clients(site)
        found = put(site, client, metadata_of(client))
        assert metadata_of(found) == {
            name: value for name, value in metadata_of(client).items() if name != "client_secret"
        }
        assert describe(clients(site)[0]) == describe(before)
        assert clients(site)[0].expires_at == before.expires_at

    @pytest.mark.spec("rfc7592", "2.2")
    def test_null_deletes_a_value(self, site: Site) -> None:
        client = register(site, SERVER)
        assert "client_name" not in put(site, client, metadata_of(client, client_name=None))

    @pytest.mark.spec("rfc7592", "5")
    def test_an_update_can_be_repeated_after_a_lost_response(self, site: Site) -> None:
        client = register(site, SERVER)
        first = put(site, client, metadata_of(client, client_name="New"))
        again = put(site, client, metadata_of(client, client_name="New"))
        assert again == first
        assert put(site, client, metadata_of(client, client_name="Newer"))["client_name"] == "Newer"
        get(site, client, first["registration_access_token"])
        assert is_rejected(call(site, "PUT", client, metadata_of(client)))

    @pytest.mark.spec("rfc7592", "2.2")
    @pytest.mark.parametrize(
        "change",
        [
            {"client_id": "another"},
            {"client_id": None},
            {"client_id": ["a"]},
            {"registration_access_token": "x"},
            {"registration_client_uri": "x"},
            {"client_secret_expires_at": 0},
            {"client_id_issued_at": 1},
            {"client_secret": "another"},
            {"client_secret": ""},
            {"client_secret": 7},
            {"client_secret": "\ud800"},
            {"client_name": 7},
            {"grant_types": ["implicit"]},
            {"grant_types": ["client_credentials"]},
            {"token_endpoint_auth_method": "unknown_method"},
            {"jwks": {"keys": 7}},
            {"redirect_uris": ["http://a.example"]},
            {"redirect_uris": []},
        ],
    )
    def test_invalid_metadata_is_rejected_and_changes_nothing(self, site: Site, change: dict[str, Any]) -> None:
        client = register(site, SERVER)
        before = clients(site)
        answer = call(site, "PUT", client, metadata_of(client, **change))
        error = "invalid_redirect_uri" if "redirect_uris" in change else "invalid_client_metadata"
        assert (answer.status_code, answer.get_json()["error"]) == (400, error)
        (name,) = change
        assert answer.get_json()["error_description"].startswith(f"{name}: ")
        assert clients(site) == before
        assert put(site, client, metadata_of(client))

    @pytest.mark.spec("rfc7592", "2.2")
    def test_invalid_optional_metadata_does_not_reject_an_update(self, site: Site) -> None:
        client = register(site, SERVER)
        nothing = {"registration_access_token": None, "client_secret_expires_at": None, "client_secret": None}
        dropped = {
            "contacts": [""],
            "logo_uri": 7,
            "tos_uri": "",
            "software_id": [],
            "scope": ["a"],
            "policy_uri": None,
        }
        changed = put(site, client, metadata_of(client, client_name="x" * 200, **nothing, **dropped))
        assert changed["client_name"] == "x" * 99 + "…"
        assert not {"contacts", "logo_uri", "tos_uri", "software_id", "policy_uri"} & set(changed)
        assert changed["scope"] == client["scope"]

    @pytest.mark.spec("rfc7592", "2.2")
    def test_a_body_that_is_not_json_is_rejected(self, site: Site) -> None:
        client = register(site, SERVER)
        assert call(site, "PUT", client, data=b"{", content_type="application/json").status_code == 400
        assert call(site, "PUT", client, data=b"a=b").status_code == 400
        assert put(site, client, metadata_of(client))

    def test_wrong_client_secrets_are_throttled(self, site: Site) -> None:
        client = register(site, SERVER)
        answers = [call(site, "PUT", client, metadata_of(client, client_secret="guess")) for _ in range(11)]
        assert [answer.status_code for answer in answers] == [400] * 10 + [429]

    def test_a_secret_set_by_the_operator_is_verified(self, site: Site) -> None:
        client = register(site, SERVER)
        site.change_client(client["client_id"], secret=hash_secret("a secret that a person chose"))
        assert put(site, client, metadata_of(client, client_secret="a secret that a person chose"))
        assert call(site, "PUT", client, metadata_of(client)).status_code == 400, "the one before is not"

    def test_a_client_that_becomes_public_loses_its_secret(self, site: Site) -> None:
        client = register(site, SERVER)
        public = put(site, client, metadata_of(client, token_endpoint_auth_method="none"))
        assert clients(site)[0].secret is None
        assert site.post("/introspect", (client["client_id"], client["client_secret"]), token="x").status_code == 401
        back = put(site, public, metadata_of(public, token_endpoint_auth_method="client_secret_post"))
        assert back["client_secret_expires_at"] == 0
        assert back["client_secret"] != client["client_secret"]
        assert site.post("/introspect", (client["client_id"], back["client_secret"]), token="x").status_code == 200

    def test_an_update_grants_no_more_scopes_or_privileges(self, site: Site) -> None:
        client = register(site, SERVER)
        found = put(site, client, metadata_of(client, scope="profile mail write", resource_server=True, owner_id="ada"))
        assert found["scope"] == "profile mail"
        (kept,) = clients(site)
        assert (kept.registered_by, kept.owner_id, kept.resource_server) == ("open", None, False)

    def test_an_update_keeps_scopes_and_grants_set_by_the_operator(self, site: Site) -> None:
        client = register(site, SERVER)
        grants = ("authorization_code", "client_credentials")
        site.change_client(client["client_id"], scope=("write",), grant_types=grants, pkce_required=True)
        found = put(site, client, metadata_of(client, grant_types=list(grants)))
        assert (found["scope"], found["grant_types"]) == ("write", list(grants))
        assert clients(site)[0].pkce_required is True

    def test_a_client_keeps_the_grants_of_its_initial_access_token(self, site: Site) -> None:
        client = register(site, {"grant_types": ["client_credentials"]}, initial_token(site))
        assert put(site, client, metadata_of(client))["grant_types"] == ["client_credentials"]

    @pytest.mark.spec("rfc7592", "2.2")
    def test_the_registration_policy_may_reject_an_update(self, site: Site) -> None:
        @site.provider.registration_policy
        def policy(metadata: Any, request: Any) -> Any:
            if request.method == "PUT":
                raise AccessDenied("clients are changed by the operator", status=403)

        client = register(site, SERVER)
        answer = call(site, "PUT", client, metadata_of(client))
        assert (answer.status_code, answer.get_json()["error"]) == (403, "access_denied")

    def test_a_concurrent_token_retains_the_client(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        client = register(site, SERVER)
        change = site.store.change_client

        def change_late(changed: Any, before: Any) -> Any:
            site.store.retain_client(client["client_id"])
            return change(changed, before)

        monkeypatch.setattr(site.store, "change_client", change_late)
        put(site, client, metadata_of(client, client_name="New"))
        assert (clients(site)[0].name, clients(site)[0].expires_at) == ("New", None)


class TestDelete:
    """Section 2.3."""

    @pytest.mark.spec("rfc7592", "2.3")
    def test_the_client_is_deleted(self, site: Site, received: list[tuple[str, dict[str, Any]]]) -> None:
        client = register(site, SERVER)
        answer = call(site, "DELETE", client)
        assert (answer.status_code, answer.data) == (204, b"")
        assert not clients(site)
        facts = {"client_id": client["client_id"], "registered_by": "open", "issuer": "https://login.example"}
        assert received[1:] == [("client_deleted", facts)]

    @pytest.mark.spec("rfc7592", "2.3")
    def test_tokens_and_codes_of_a_deleted_client_are_rejected(self, site: Site) -> None:
        client = register(site, SERVER | {"redirect_uris": [CALLBACK]})
        client_id, secret = client["client_id"], client["client_secret"]
        tokens = site.tokens(secret, client_id)
        code = site.authorize(client_id=client_id)["code"]
        call(site, "DELETE", client)
        assert not site.is_alive(tokens["access_token"])
        assert site.refresh(tokens["refresh_token"], secret, client_id).status_code == 401
        assert site.redeem(code, (client_id, secret)).status_code == 401
        assert site.ask(client_id=client_id).status_code == 400

    @pytest.mark.spec("rfc7592", "5")
    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    def test_the_token_of_a_deleted_client_is_rejected(self, site: Site, method: str) -> None:
        client = register(site, SERVER)
        call(site, "DELETE", client)
        assert is_rejected(call(site, method, client, {}))

    def test_the_previous_token_can_delete_the_client(self, site: Site) -> None:
        client = register(site, SERVER)
        get(site, client)
        assert call(site, "DELETE", client).status_code == 204

    @pytest.mark.spec("rfc7592", "2.3")
    def test_a_concurrent_update_does_not_restore_a_deleted_client(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = register(site, SERVER)
        change = site.store.change_client

        def change_late(changed: Any, before: Any) -> Any:
            site.store.delete_client(client["client_id"], int(NOW) + 10**7)
            return change(changed, before)

        monkeypatch.setattr(site.store, "change_client", change_late)
        assert is_rejected(call(site, "PUT", client, metadata_of(client)))
        assert not clients(site)

    def test_concurrent_deletions_send_one_signal(
        self, site: Site, received: list[tuple[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client, delete = register(site, SERVER), site.store.delete_client

        def delete_twice(client_id: str, until: int) -> Any:
            delete(client_id, until)
            return delete(client_id, until)

        monkeypatch.setattr(site.store, "delete_client", delete_twice)
        assert call(site, "DELETE", client).status_code == 204
        assert [name for name, _ in received] == ["client_created"]


def test_configured_cors_origins_may_configure_a_client(new_site: Callable[..., Site]) -> None:
    site = new_site(OAUTH2_DYNAMIC_REGISTRATION="open", OAUTH2_CORS_ORIGINS=["https://agent.example"])
    path = urlsplit(register(site, SERVER)["registration_client_uri"]).path
    for origin, may in (("https://agent.example", True), ("https://evil.example", False)):
        asked = site.http.options(path, headers={"Origin": origin, "Access-Control-Request-Method": "PUT"})
        assert asked.headers.get("Access-Control-Allow-Methods") == ("GET, PUT, DELETE" if may else None)
        answer = site.http.get(path, headers={"Origin": origin})
        assert answer.headers.get("Access-Control-Allow-Origin") == (origin if may else None)


def test_the_endpoint_is_not_found_if_registration_is_off(site: Site, new_site: Callable[..., Site]) -> None:
    client = register(site, SERVER)
    closed = new_site(store=site.store)
    assert closed.http.get(urlsplit(client["registration_client_uri"]).path).status_code == 404
    assert send(closed, SERVER).status_code == 404
