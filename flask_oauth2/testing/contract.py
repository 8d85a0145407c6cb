"""Tests for every store: each rule of :mod:`flask_oauth2.stores.base`, with its rejected twin."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from typing import Any, TypeVar

import pytest

from .. import values
from ..context import Context
from ..http import redirects
from ..records import Client, Grant, Session, SigningKey, Token
from ..stores.base import (
    GRANT_MEMORY,
    SIBLINGS,
    ConsentStore,
    DeviceStore,
    ExpiringStore,
    KeyStore,
    ListingStore,
    OriginStore,
    RegistrationStore,
    SessionStore,
    StatusStore,
    Store,
    Stores,
    collect,
)
from .races import TestRaces
from .samples import (
    FAR,
    NOW,
    new_authorization,
    new_client,
    new_consent,
    new_context,
    new_device,
    new_grant,
    new_key,
    new_session,
    new_signing_key,
    new_spa,
    new_status,
    new_token,
    refreshed,
    save_record,
    spent,
)

EVERYTHING = 10**12
"""A time at which everything has expired."""

UNSAVED = ("status",)
"""Fields that a store need not save: only the value of a self-contained token contains them."""

Test = TypeVar("Test", bound=Callable[..., None])


def spec(document: str, section: str) -> Callable[[Test], Test]:
    """Name the requirement of a test. It is not a mark of pytest, because a project may reject unknown marks."""

    def decorator(test: Test) -> Test:
        vars(test)["spec"] = document, section
        return test

    return decorator


def _consents(store: Store) -> ConsentStore:
    return collect(store).consents or pytest.skip("the store does not implement ConsentStore")


def _devices(store: Store) -> DeviceStore:
    return collect(store).devices or pytest.skip("the store does not implement DeviceStore")


def _listing(store: Store) -> ListingStore:
    return collect(store).listing or pytest.skip("the store does not implement ListingStore")


def _registration(store: Store) -> RegistrationStore:
    return collect(store).registration or pytest.skip("the store does not implement RegistrationStore")


def _origins(store: Store) -> OriginStore:
    return collect(store).origins or pytest.skip("the store does not implement OriginStore")


def _keys(store: Store) -> KeyStore:
    return collect(store).keys or pytest.skip("the store does not implement KeyStore")


def _sessions(store: Store) -> SessionStore:
    return collect(store).sessions or pytest.skip("the store does not implement SessionStore")


def _statuses(store: Store) -> StatusStore:
    return collect(store).statuses or pytest.skip("the store does not implement StatusStore")


def _require_purge(store: Store) -> None:
    if isinstance(store, ExpiringStore) and store.expires_by_itself:
        pytest.skip("grants and counters of the store expire by themselves")


class TestClients:
    """:rfc:`6749#section-2`."""

    def test_every_field_of_a_client_is_saved(self, store: Store) -> None:
        client, blank = new_client(), Client(client_id="")
        untested = [field.name for field in fields(Client) if getattr(client, field.name) == getattr(blank, field.name)]
        assert not untested
        store.set_client(client)
        assert store.get_client(client.client_id) == client

    def test_defaults_of_a_client_are_saved(self, store: Store) -> None:
        client = Client(client_id="plain")
        store.set_client(client)
        assert store.get_client("plain") == client

    @pytest.mark.parametrize("pkce_required", [None, True, False])
    def test_pkce_required_is_true_false_or_none(self, store: Store, pkce_required: bool | None) -> None:
        client = new_client(pkce_required=pkce_required)
        store.set_client(client)
        found = store.get_client(client.client_id)
        assert found is not None
        assert found.pkce_required is pkce_required

    @pytest.mark.parametrize("client_id", ["", "client-", "CLIENT", "client\0", "client' OR ''='", "é", "x" * 10_000])
    def test_another_client_id_is_not_found(self, store: Store, client_id: str) -> None:
        store.set_client(new_client(client_id="client"))
        assert store.get_client(client_id) is None

    def test_a_client_replaces_the_client_with_its_id(self, store: Store) -> None:
        client, other = new_client(), new_client()
        store.set_client(client)
        store.set_client(other)
        store.set_client(replace(client, name="new", secret=None, redirect_uris=(), pkce_required=None))
        assert store.get_client(client.client_id) == replace(
            client, name="new", secret=None, redirect_uris=(), pkce_required=None
        )
        assert store.get_client(other.client_id) == other

    def test_a_deleted_client_is_not_found(self, store: Store) -> None:
        client, other = new_client(), new_client()
        store.set_client(client)
        store.set_client(other)
        assert store.delete_client(client.client_id, FAR) is True
        assert store.get_client(client.client_id) is None
        assert store.get_client(other.client_id) == other

    def test_deleting_an_unknown_client_returns_false(self, store: Store) -> None:
        assert store.delete_client("nobody", FAR) is False

    def test_clients_are_listed_oldest_first(self, store: Store) -> None:
        listing = _listing(store)
        assert list(listing.list_clients()) == []
        second = new_client(client_id="a", created_at=NOW)
        third = new_client(client_id="b", created_at=NOW)
        first = new_client(client_id="c", created_at=NOW - 1)
        for client in (third, first, second):
            store.set_client(client)
        assert list(listing.list_clients()) == [first, second, third]


class TestRegistration:
    """Clients that other parties register, :rfc:`7591` and :rfc:`7592`."""

    def test_every_field_of_an_added_client_is_saved(self, store: Store) -> None:
        client = new_client()
        assert _registration(store).add_client(client) is True
        assert store.get_client(client.client_id) == client

    @spec("rfc7591", "3.2.1")
    def test_a_client_with_an_id_in_use_is_not_added(self, store: Store) -> None:
        registration, client = _registration(store), new_client()
        assert registration.add_client(client)
        assert registration.add_client(client) is False
        assert registration.add_client(replace(client, name="other", secret=None)) is False
        assert store.get_client(client.client_id) == client
        assert registration.add_client(new_client()) is True, "the store still works"

    def test_a_retained_client_does_not_expire(self, store: Store) -> None:
        registration, client, other = _registration(store), new_client(), new_client()
        registration.add_client(client)
        registration.add_client(other)
        assert registration.retain_client(client.client_id) is True
        assert registration.retain_client(client.client_id) is True
        assert registration.retain_client(client.client_id, FAR) is True
        assert store.get_client(client.client_id) == replace(client, expires_at=None)
        assert store.get_client(other.client_id) == other

    def test_retaining_a_client_never_shortens_its_expiry(self, store: Store) -> None:
        registration, client = _registration(store), new_client(expires_at=NOW + 100)
        registration.add_client(client)
        for expires_at, kept in ((NOW + 50, NOW + 100), (NOW + 200, NOW + 200), (NOW + 199, NOW + 200)):
            assert registration.retain_client(client.client_id, expires_at) is True
            assert store.get_client(client.client_id) == replace(client, expires_at=kept)

    def test_an_unknown_client_cannot_be_retained(self, store: Store) -> None:
        registration, client = _registration(store), new_client()
        assert registration.retain_client(client.client_id) is False
        assert registration.retain_client(client.client_id, FAR) is False
        assert store.get_client(client.client_id) is None

    @spec("rfc7592", "2.2")
    def test_a_change_replaces_every_field_but_the_expiry(self, store: Store) -> None:
        registration, client, other = _registration(store), new_client(), new_client()
        registration.add_client(client)
        registration.add_client(other)
        changed = new_client(client_id=client.client_id, name="new", secret=None, redirect_uris=(), metadata={})
        registration.retain_client(client.client_id)
        assert registration.change_client(changed, client) is True
        assert store.get_client(client.client_id) == replace(changed, expires_at=None)
        assert store.get_client(other.client_id) == other

    @pytest.mark.parametrize("field", ["registration_key", "secret"])
    @pytest.mark.parametrize("is_set", [True, False])
    def test_one_of_two_concurrent_client_changes_is_saved(self, store: Store, field: str, is_set: bool) -> None:
        registration = _registration(store)
        client = new_client(**({} if is_set else {field: None}))
        registration.add_client(client)
        other: dict[str, Any] = {field: new_key() if field == "registration_key" else "sha256$new"}
        first = replace(client, name="first", **other)
        assert registration.change_client(first, client) is True
        assert registration.change_client(replace(client, name="second"), client) is False
        assert store.get_client(client.client_id) == first
        assert registration.change_client(client, first) is True

    @pytest.mark.parametrize("field", ["scope", "grant_types"])
    def test_a_concurrent_reduction_is_not_undone(self, store: Store, field: str) -> None:
        registration, client = _registration(store), new_client(scope=("a", "b"), grant_types=("c", "d"))
        registration.add_client(client)
        less: dict[str, Any] = {field: getattr(client, field)[:1]}
        assert registration.change_client(replace(client, **less), client) is True
        assert registration.change_client(replace(client, name="new"), client) is False
        assert store.get_client(client.client_id) == replace(client, **less)

    @spec("rfc7592", "2.3")
    def test_a_change_does_not_restore_a_deleted_client(self, store: Store) -> None:
        registration, client = _registration(store), new_client()
        registration.add_client(client)
        store.delete_client(client.client_id, FAR)
        assert registration.change_client(replace(client, name="new"), client) is False
        assert store.get_client(client.client_id) is None

    def test_clients_of_a_developer_are_listed_oldest_first(self, store: Store) -> None:
        registration = _registration(store)
        assert list(registration.list_owned("ada")) == []
        second, first = new_client(created_at=NOW), new_client(created_at=NOW - 1)
        for client in (second, first, new_client(owner_id="bob"), new_client(owner_id=None)):
            registration.add_client(client)
        assert list(registration.list_owned("ada")) == [first, second]

    @spec("rfc7591", "5")
    def test_an_unused_client_is_purged_with_its_consents(self, store: Store) -> None:
        registration, consents = _registration(store), _consents(store)
        gone, stays = new_client(expires_at=NOW), new_client(expires_at=NOW + 1)
        for client in (gone, stays, new_client(expires_at=None)):
            registration.add_client(client)
            consents.set_consent(new_consent(client_id=client.client_id), None)
        assert store.purgeable(NOW) == 1
        assert sum(store.purge(NOW)) == 1
        assert store.purgeable(NOW) == 0
        assert store.get_client(gone.client_id) is None
        assert consents.get_consent("user", gone.client_id) is None
        assert store.get_client(stays.client_id) == stays
        assert consents.get_consent("user", stays.client_id) is not None
        assert not store.revoked(gone.client_id), "it had no tokens, so its ID is free"
        assert registration.add_client(gone)

    def test_many_unused_clients_are_purged_in_batches(self, store: Store) -> None:
        """Purge more than two batches, with several rows that expire in the same second."""
        registration = _registration(store)
        clients = [new_client(expires_at=NOW - number // 700 if number % 3 else None) for number in range(1700)]
        for client in clients:
            registration.add_client(client)
        assert sum(store.purge(NOW)) == 1133
        found = [store.get_client(client.client_id) for client in clients]
        assert found == [client if client.expires_at is None else None for client in clients]


PAGE = "https://spa.example"


class TestOrigins:
    """Origins of the pages of public clients."""

    @spec("oauth-v2-1", "3.2")
    def test_origins_of_a_public_client_are_known(self, store: Store) -> None:
        origins = _origins(store)
        assert not origins.has_origin(PAGE)
        store.set_client(new_spa(f"{PAGE}/back", f"{PAGE}/other?a=b", "https://b.example:8443/", "HTTP://[::1]:1/a"))
        for origin in (PAGE, "https://b.example:8443", "http://[::1]:1"):
            assert origins.has_origin(origin) is True
            assert origins.has_origin("https://0.example", "https://z.example", origin) is True

    @spec("oauth-v2-1", "3.2")
    @pytest.mark.parametrize(
        "origin",
        [
            "",
            "null",
            "https://",
            "http://spa.example",
            "https://spa.example:8443",
            "https://spa.example/",
            "https://spa.exampl",
            "https://spa.example\0",
            "https://SPA.example",
            "https://spa.example' OR ''='",
            "https://é.example",
            f"https://{'x' * 10_000}",
        ],
    )
    def test_other_origins_are_unknown(self, store: Store, origin: str) -> None:
        store.set_client(new_spa(f"{PAGE}/back"))
        origins = _origins(store)
        assert origins.has_origin(origin) is False
        assert origins.has_origin("https://0.example", "https://z.example", origin) is False
        assert origins.has_origin() is False

    def test_an_origin_of_a_client_with_a_secret_or_without_pages_is_unknown(self, store: Store) -> None:
        store.set_client(new_client(redirect_uris=(f"{PAGE}/back",)))
        store.set_client(new_spa("com.example.app:/back", "https://", "https://[", "https://spa.example:x/"))
        assert not _origins(store).has_origin(PAGE, "com.example.app:", "com.example.app", "https://", "")

    @spec("rfc8252", "7.3")
    def test_the_port_is_part_of_an_origin(self, store: Store) -> None:
        store.set_client(new_spa("http://127.0.0.1/back"))
        origins = _origins(store)
        assert not origins.has_origin("http://127.0.0.1:5000")
        assert origins.has_origin("http://127.0.0.1:5000", "http://127.0.0.1"), "as a loopback URI without one is asked"

    def test_the_longest_origin_is_saved_and_a_longer_one_is_not(self, store: Store) -> None:
        longest = f"https://{'x' * 253}:65535"
        client = new_spa(f"{longest}/back", f"https://x{'x' * 253}:65535/", "https://é.example/", "https://a\0b/")
        store.set_client(client)
        origins = _origins(store)
        assert origins.has_origin(longest)
        assert redirects.origins_of(client) == {longest}
        assert not origins.has_origin(f"https://x{'x' * 253}:65535")
        assert store.get_client(client.client_id) == client

    def test_origins_change_with_the_client(self, store: Store) -> None:
        origins, client = _origins(store), new_spa(f"{PAGE}/back", "https://old.example/")
        store.set_client(client)
        store.set_client(client)
        store.set_client(replace(client, redirect_uris=(f"{PAGE}/elsewhere", "https://new.example/")))
        assert origins.has_origin(PAGE)
        assert origins.has_origin("https://new.example")
        assert not origins.has_origin("https://old.example")

    def test_origins_of_a_client_that_receives_a_secret_are_deleted(self, store: Store) -> None:
        origins, client = _origins(store), new_spa(f"{PAGE}/back")
        store.set_client(client)
        store.set_client(replace(client, auth_method="client_secret_basic", secret="sha256$abc"))
        assert not origins.has_origin(PAGE)
        store.set_client(client)
        assert origins.has_origin(PAGE)

    def test_an_origin_is_deleted_with_its_last_client(self, store: Store) -> None:
        origins, client, other = _origins(store), new_spa(f"{PAGE}/back"), new_spa(f"{PAGE}/back")
        store.set_client(client)
        store.set_client(other)
        assert store.delete_client("nobody", FAR) is False
        assert store.delete_client(client.client_id, FAR) is True
        assert origins.has_origin(PAGE)
        assert store.delete_client(other.client_id, FAR) is True
        assert not origins.has_origin(PAGE)

    @spec("rfc7591", "3.2.1")
    def test_origins_of_an_added_client_are_known(self, store: Store) -> None:
        registration, origins, client = _registration(store), _origins(store), new_spa(f"{PAGE}/back")
        assert registration.add_client(client) is True
        assert registration.add_client(replace(client, redirect_uris=("https://other.example/",))) is False
        assert registration.retain_client(client.client_id) is True
        assert origins.has_origin(PAGE)
        assert not origins.has_origin("https://other.example")

    @spec("rfc7592", "2.2")
    def test_a_rejected_change_does_not_change_the_origins(self, store: Store) -> None:
        registration, origins, client = _registration(store), _origins(store), new_spa(f"{PAGE}/back")
        registration.add_client(client)
        other = replace(client, redirect_uris=("https://other.example/",), registration_key=new_key())
        assert registration.change_client(other, other) is False
        assert (origins.has_origin(PAGE), origins.has_origin("https://other.example")) == (True, False)
        assert registration.change_client(other, client) is True
        assert (origins.has_origin(PAGE), origins.has_origin("https://other.example")) == (False, True)
        assert registration.change_client(replace(other, auth_method="client_secret_basic"), other) is True
        assert not origins.has_origin("https://other.example")

    @spec("rfc7591", "5")
    def test_origins_are_purged_with_an_unused_client(self, store: Store) -> None:
        registration, origins = _registration(store), _origins(store)
        shared, gone = "https://shared.example", new_spa(f"{PAGE}/back", "https://shared.example/", expires_at=NOW)
        for client in (gone, new_spa(f"{shared}/back", expires_at=None)):
            registration.add_client(client)
        assert store.purgeable(NOW) == 1
        assert sum(store.purge(NOW)) == 1
        assert (origins.has_origin(PAGE), origins.has_origin(shared)) == (False, True)
        assert registration.add_client(gone)
        assert origins.has_origin(PAGE), "its ID is free"


EACH_FIELD = pytest.mark.parametrize("context_field", [field.name for field in fields(Context)])


class TestContext:
    """Every record with an authorization saves every field of its context."""

    @EACH_FIELD
    def test_the_context_of_a_code_is_saved(self, store: Store, context_field: str) -> None:
        grant = save_record(store, new_grant(new_authorization(context=new_context(context_field))))
        assert store.get_grant(grant.key, "code") == grant

    @EACH_FIELD
    def test_the_context_of_a_token_is_saved(self, store: Store, context_field: str) -> None:
        token = save_record(store, new_token(new_authorization(context=new_context(context_field))))
        assert store.get_access(token.access.token_hash) == token.access
        assert store.get_refresh(token.refresh_token_hash) == token

    @EACH_FIELD
    def test_the_context_of_a_device_code_is_saved(self, store: Store, context_field: str) -> None:
        devices = _devices(store)
        device, owner = save_record(store, new_device()), new_authorization(context=new_context(context_field))
        assert devices.decide(device, owner, NOW)
        assert store.get_grant(device.key, "device_code") == replace(device, authorization=owner)

    def test_every_field_of_a_context_is_saved_together(self, store: Store) -> None:
        owner = new_authorization(context=new_context(*(field.name for field in fields(Context))))
        grant, token = save_record(store, new_grant(owner)), save_record(store, new_token(owner))
        assert store.get_grant(grant.key, "code") == grant
        assert store.get_refresh(token.refresh_token_hash) == token


class TestGrants:
    """:rfc:`6749#section-4.1.2`."""

    def test_every_field_of_a_grant_is_saved(self, store: Store) -> None:
        grant = new_grant(
            new_authorization(
                consent_id="consent", context=Context(claims={"nonce": "n"}, resource=("https://a.example/é",))
            ),
            redirect_uri="https://client.example/back?a=b&c=%20",
            challenge="E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            parameters={"state": "a\0é☕", "prompt": ["login"]},
            used_at=NOW,
            user_code_key=new_key(),
            is_denied=True,
            interval=5,
            polled_at=NOW,
            confirmation={"jkt": "thumbprint"},
        )
        assert all(getattr(grant, field.name) != field.default for field in fields(Grant)), "a field is not tested"
        save_record(store, grant)
        assert store.get_grant(grant.key, "code") == grant

    def test_defaults_of_a_grant_are_saved(self, store: Store) -> None:
        grant = save_record(store, new_grant())
        assert store.get_grant(grant.key, "code") == grant

    def test_a_grant_without_a_user_and_scope_is_saved(self, store: Store) -> None:
        grant = save_record(store, new_grant(new_authorization(user_id=None, scope=())))
        assert store.get_grant(grant.key, "code") == grant

    def test_a_pending_device_code_is_found(self, store: Store) -> None:
        undecided = Grant(key=new_key(), kind="request", expires_at=NOW + 600, parameters={"client_id": "client"})
        save_record(store, undecided)
        assert store.get_grant(undecided.key, "request") == undecided

    @spec("rfc6749", "4.1.2")
    def test_a_spent_grant_is_found_as_spent(self, store: Store) -> None:
        grant = save_record(store, new_grant())
        assert store.issue(grant, [], NOW + 1)
        assert store.get_grant(grant.key, "code") == spent(grant, NOW + 1)

    def test_an_expired_grant_is_found(self, store: Store) -> None:
        grant = save_record(store, new_grant(expires_at=1))
        assert store.get_grant(grant.key, "code") == grant

    def test_another_grant_key_is_not_found(self, store: Store) -> None:
        save_record(store, new_grant())
        assert store.get_grant(new_key(), "code") is None

    def test_another_kind_of_grant_is_not_found(self, store: Store) -> None:
        grant = save_record(store, new_grant())
        assert store.get_grant(grant.key, "request") is None


class TestTokens:
    """:rfc:`6749#section-1.4` and section 1.5."""

    def test_every_field_of_a_token_is_saved(self, store: Store) -> None:
        token = new_token(
            new_authorization(
                consent_id="consent",
                context=Context(
                    claims={"act": {"sub": "é☕"}}, resource=("https://a.example/mcp", "https://b.example")
                ),
            ),
            scope=("read",),
            confirmation={"jkt": "thumbprint"},
            parent=None,
            used_at=NOW,
        )
        token = replace(token, parent=new_key())
        for record in (token, token.access, token.authorization):
            unset = [field.name for field in fields(record) if getattr(record, field.name) == field.default]
            unset = [name for name in unset if name not in UNSAVED]
            assert not unset, "fields that are not tested"
        save_record(store, token)
        assert token.refresh_token_hash is not None
        assert store.get_refresh(token.refresh_token_hash) == token
        assert store.get_access(token.access.token_hash) == token.access

    @pytest.mark.parametrize("audience", [(), ("https://a.example/mcp",), None])
    @spec("rfc8707", "2.2")
    def test_an_access_token_may_have_a_smaller_audience(self, store: Store, audience: tuple[str, ...] | None) -> None:
        owner = new_authorization(context=Context(resource=("https://a.example/mcp", "https://b.example")))
        token = new_token(owner)
        if audience is not None:
            token = replace(token, access=replace(token.access, audience=audience))
        save_record(store, token)
        found = store.get_refresh(token.refresh_token_hash or b"")
        assert found == token
        assert store.get_access(token.access.token_hash) == token.access

    def test_defaults_of_a_token_are_saved(self, store: Store) -> None:
        token = save_record(store, new_token())
        assert store.get_refresh(token.refresh_token_hash) == token
        assert store.get_access(token.access.token_hash) == token.access

    @pytest.mark.parametrize("scope", [(), ("read",), ("write", "read"), None])
    @spec("rfc6749", "6")
    def test_the_refresh_token_keeps_its_scope(self, store: Store, scope: tuple[str, ...] | None) -> None:
        token = save_record(store, new_token(new_authorization(scope=("read", "write")), scope=scope))
        found = store.get_refresh(token.refresh_token_hash)
        access = store.get_access(token.access.token_hash)
        assert found is not None
        assert access is not None
        assert found.authorization.scope == ("read", "write")
        assert found.access.scope == access.scope == (("read", "write") if scope is None else scope)

    def test_a_token_without_a_user_and_scope_is_saved(self, store: Store) -> None:
        token = save_record(store, new_token(new_authorization(user_id=None, scope=())))
        assert store.get_refresh(token.refresh_token_hash) == token
        assert store.get_access(token.access.token_hash) == token.access

    def test_several_tokens_without_a_refresh_token_are_saved(self, store: Store) -> None:
        tokens = [new_token(refresh_token_hash=None, refresh_expires_at=None) for _ in range(3)]
        assert store.issue(None, tokens, NOW)
        assert [store.get_access(token.access.token_hash) for token in tokens] == [token.access for token in tokens]

    @spec("rfc9700", "4.14.2")
    def test_a_spent_refresh_token_is_found_as_spent(self, store: Store) -> None:
        token = save_record(store, new_token())
        assert refreshed(store, token, NOW + 1)
        assert store.get_refresh(token.refresh_token_hash) == spent(token, NOW + 1)
        assert store.get_access(token.access.token_hash) == token.access

    def test_an_expired_token_is_found(self, store: Store) -> None:
        token = save_record(store, new_token(now=1))
        assert store.get_refresh(token.refresh_token_hash) == token
        assert store.get_access(token.access.token_hash) == token.access

    def test_another_token_hash_is_not_found(self, store: Store) -> None:
        token = save_record(store, new_token())
        assert store.get_access(new_key()) is None
        assert store.get_refresh(new_key()) is None
        assert store.get_access(token.refresh_token_hash) is None, "a refresh token is no access token"
        assert store.get_refresh(token.access.token_hash) is None, "an access token is no refresh token"
        assert store.get_grant(token.access.token_hash, "code") is None


class TestRevocation:
    """:rfc:`7009`: a record that every read checks."""

    @spec("rfc7009", "2.1")
    def test_revoking_a_family_revokes_its_grants_and_tokens(self, store: Store) -> None:
        family, other = new_authorization(), new_authorization()
        grant, token = save_record(store, new_grant(family)), save_record(store, new_token(family))
        other_grant, other_token = save_record(store, new_grant(other)), save_record(store, new_token(other))
        store.revoke(family.id, FAR)
        assert store.get_grant(grant.key, "code") is None
        assert store.get_access(token.access.token_hash) is None
        assert store.get_refresh(token.refresh_token_hash) is None
        assert store.get_grant(other_grant.key, "code") == other_grant
        assert store.get_access(other_token.access.token_hash) == other_token.access
        assert store.get_refresh(other_token.refresh_token_hash) == other_token

    @spec("rfc7009", "2.1")
    def test_an_access_token_can_be_revoked_alone(self, store: Store) -> None:
        token = save_record(store, new_token())
        sibling = save_record(store, new_token(token.authorization))
        store.revoke(values.text(token.access.token_hash), FAR)
        assert store.get_access(token.access.token_hash) is None
        assert store.get_refresh(token.refresh_token_hash) == token
        assert store.get_access(sibling.access.token_hash) == sibling.access

    def test_deleting_a_client_revokes_everything_issued_to_it(self, store: Store) -> None:
        consents = _consents(store)
        client = new_client(client_id="gone")
        store.set_client(client)
        owner = new_authorization(client_id="gone")
        grant, token = save_record(store, new_grant(owner)), save_record(store, new_token(owner))
        others = save_record(store, new_token(new_authorization(client_id="stays")))
        consent = new_consent(client_id="stays")
        consents.set_consent(consent, None)
        consents.set_consent(replace(consent, client_id="gone"), None)

        assert store.delete_client("gone", FAR)

        assert store.revoked("gone")
        assert store.get_grant(grant.key, "code") is None
        assert store.get_access(token.access.token_hash) is None
        assert store.get_refresh(token.refresh_token_hash) is None
        assert consents.get_consent("user", "gone") is None
        assert store.get_access(others.access.token_hash) == others.access
        assert consents.get_consent("user", "stays") == consent

    def test_an_authorization_revoked_before_its_tokens_are_saved_stays_revoked(self, store: Store) -> None:
        token = new_token()
        store.revoke(token.authorization.id, FAR)
        save_record(store, token)
        assert store.get_access(token.access.token_hash) is None
        assert token.refresh_token_hash is not None
        assert store.get_refresh(token.refresh_token_hash) is None

    def test_a_grant_without_an_authorization_cannot_be_revoked(self, store: Store) -> None:
        undecided = save_record(store, Grant(key=new_key(), kind="request", expires_at=NOW + 600))
        store.revoke("", FAR)
        store.revoke("None", FAR)
        assert store.get_grant(undecided.key, "request") == undecided

    def test_a_revocation_is_found_by_any_of_several_ids(self, store: Store) -> None:
        assert not store.revoked("family", "client", "token")
        store.revoke("client", FAR)
        assert store.revoked("client")
        assert store.revoked("family", "client", "token")
        assert store.revoked("family", "token", "client")
        assert not store.revoked("family", "token")
        assert not store.revoked("Client")

    @pytest.mark.parametrize("number", range(6))
    def test_any_number_of_ids_can_be_looked_up(self, store: Store, number: int) -> None:
        store.revoke("revoked", FAR)
        others = [f"other-{i}" for i in range(number)]
        assert store.revoked(*others, "revoked")
        assert not store.revoked(*others)

    def test_the_later_expiry_of_a_revocation_is_stored(self, store: Store) -> None:
        for revoked_id, expiries in {"up": (10, 20), "down": (20, 10)}.items():
            for expires_at in expiries:
                store.revoke(revoked_id, expires_at)
        assert store.purgeable(19) == 0
        assert sum(store.purge(19)) == 0
        assert store.revoked("up")
        assert store.revoked("down")
        assert sum(store.purge(20)) == 2
        assert not store.revoked("up", "down")


class TestUsers:
    """The revocation of a user: one record that every read checks."""

    LAST = values.last_authorization_id(NOW)

    @spec("rfc7009", "2.1")
    def test_all_of_a_user_is_revoked(self, store: Store) -> None:
        owners = [new_authorization(client_id=client_id, consent_id=None) for client_id in ("a", "b")]
        grants = [save_record(store, new_grant(owner)) for owner in owners]
        tokens = [save_record(store, new_token(owner)) for owner in owners]
        store.revoke_user("user", self.LAST, FAR)
        assert [store.get_grant(grant.key, "code") for grant in grants] == [None, None]
        assert [store.get_access(token.access.token_hash) for token in tokens] == [None, None]
        assert [store.get_refresh(token.refresh_token_hash) for token in tokens] == [None, None]
        assert all(store.revoked("a", "b", "c", user=("user", owner.id)) for owner in owners)
        assert all(store.revoked(user=("user", owner.id)) for owner in owners)

    def test_other_users_are_not_revoked(self, store: Store) -> None:
        kept = [new_authorization(user_id=user_id) for user_id in ("other", "USER", "user ", "use", None)]
        grants = [save_record(store, new_grant(owner)) for owner in kept]
        tokens = [save_record(store, new_token(owner)) for owner in kept]
        store.revoke_user("user", self.LAST, FAR)
        assert [store.get_grant(grant.key, "code") for grant in grants] == grants
        assert [store.get_access(token.access.token_hash) for token in tokens] == [token.access for token in tokens]
        assert [store.get_refresh(token.refresh_token_hash or b"") for token in tokens] == tokens
        assert not store.revoked("user", user=("other", kept[0].id))
        assert not store.revoked("user")

    @pytest.mark.parametrize(
        ("seconds", "is_kept"), [(-86400 * 365, False), (-0.001, False), (0, False), (0.001, True)]
    )
    def test_a_later_authorization_is_not_revoked(self, store: Store, seconds: float, is_kept: bool) -> None:
        owner = new_authorization(id=values.new_authorization_id(NOW + seconds))
        grant, token = save_record(store, new_grant(owner)), save_record(store, new_token(owner))
        store.revoke_user("user", self.LAST, FAR)
        assert (store.get_grant(grant.key, "code") is not None) is is_kept
        assert (store.get_access(token.access.token_hash) is not None) is is_kept
        assert (store.get_refresh(token.refresh_token_hash) is not None) is is_kept
        assert store.revoked(user=("user", owner.id)) is not is_kept

    def test_the_last_authorization_id_is_revoked(self, store: Store) -> None:
        owner = new_authorization()
        grant, token = save_record(store, new_grant(owner)), save_record(store, new_token(owner))
        store.revoke_user("user", owner.id, FAR)
        assert store.get_grant(grant.key, "code") is None
        assert store.get_access(token.access.token_hash) is None
        assert store.get_refresh(token.refresh_token_hash) is None
        assert store.revoked(user=("user", owner.id))

    def test_tokens_that_another_worker_saves_later_are_revoked(self, store: Store) -> None:
        """Another worker has read the code or the refresh token before the revocation, and saves tokens after it."""
        grant, token = save_record(store, new_grant()), save_record(store, new_token())
        store.revoke_user("user", self.LAST, FAR)
        late = new_token(grant.authorization, now=NOW + 5)
        assert store.issue(grant, [late], NOW + 5)
        child = refreshed(store, token, NOW + 5)
        assert child is not None
        for record in (late, child):
            assert store.get_access(record.access.token_hash) is None
            assert store.get_refresh(record.refresh_token_hash or b"") is None

    def test_the_later_revocation_of_a_user_is_stored(self, store: Store) -> None:
        first, second = (new_authorization(id=values.new_authorization_id(NOW + seconds)) for seconds in (0, 10))
        tokens = [save_record(store, new_token(owner)) for owner in (first, second)]
        store.revoke_user("user", values.last_authorization_id(NOW + 5), FAR)
        store.revoke_user("user", values.last_authorization_id(NOW - 5), FAR)
        assert [store.get_access(token.access.token_hash) for token in tokens] == [None, tokens[1].access]
        store.revoke_user("user", values.last_authorization_id(NOW + 10), NOW + 1)
        assert [store.get_access(token.access.token_hash) for token in tokens] == [None, None]
        assert sum(store.purge(NOW + 1)) == 0, "the later expiry is stored"

    def test_consents_of_the_user_are_deleted(self, store: Store) -> None:
        consents = _consents(store)
        other = new_consent(user_id="other")
        for consent in (new_consent(), new_consent(client_id="second"), other):
            assert consents.set_consent(consent, None)
        store.revoke_user("user", self.LAST, FAR)
        assert list(consents.list_consents("user")) == []
        assert consents.get_consent("user", "client") is None
        assert consents.delete_consent("user", "client", FAR) is False
        assert consents.get_consent("other", "client") == other

    def test_a_later_consent_is_not_revoked(self, store: Store) -> None:
        """Keep a consent of another worker whose clock is ahead."""
        consents, later = _consents(store), new_consent(id=values.new_authorization_id(NOW + 1))
        assert consents.set_consent(later, None)
        store.revoke_user("user", self.LAST, FAR)
        assert consents.get_consent("user", "client") == later
        assert list(consents.list_consents("user")) == [later]

    def test_a_revoked_consent_does_not_come_back_after_the_purge(self, store: Store) -> None:
        consents = _consents(store)
        assert consents.set_consent(new_consent(client_id="before"), None)
        store.revoke_user("user", self.LAST, NOW + 9)
        again = new_consent(client_id="again", id=values.new_authorization_id(NOW + 1))
        for consent in (new_consent(client_id="saved a moment later"), again):
            assert consents.set_consent(consent, None)
        assert sum(store.purge(NOW + 9)) == 1, "the record of the revocation"
        assert not store.revoked(user=("user", values.new_authorization_id(NOW - 1)))
        assert list(consents.list_consents("user")) == [again]

    def test_a_consent_saved_after_the_revocation_is_revoked(self, store: Store) -> None:
        consents = _consents(store)
        store.revoke_user("user", self.LAST, FAR)
        late, again = new_consent(), new_consent(id=values.new_authorization_id(NOW + 1))
        assert consents.set_consent(late, None)
        assert consents.get_consent("user", "client") is None
        assert list(consents.list_consents("user")) == []
        assert consents.set_consent(again, None)
        assert consents.get_consent("user", "client") == again
        assert consents.set_consent(new_consent(), None) is False

    def test_the_revocation_of_a_user_is_purged(self, store: Store) -> None:
        store.revoke_user("user", self.LAST, NOW)
        assert store.purgeable(NOW - 1) == 0
        assert store.purgeable(NOW) == 1
        assert sum(store.purge(NOW)) == 1
        assert not store.revoked(user=("user", values.new_authorization_id(NOW - 1)))

    def test_an_approved_device_code_is_revoked(self, store: Store) -> None:
        devices = _devices(store)
        before, after = save_record(store, new_device()), save_record(store, new_device())
        assert devices.decide(before, new_authorization(), NOW)
        store.revoke_user("user", self.LAST, FAR)
        again = new_authorization(id=values.new_authorization_id(NOW + 1))
        assert devices.decide(after, again, NOW + 1)
        assert store.get_grant(before.key, "device_code") is None
        assert store.get_grant(after.key, "device_code") == replace(after, authorization=again)


class TestIssue:
    """Records are spent and saved in one step."""

    @spec("rfc6749", "4.1.2")
    def test_a_code_is_spent_once(self, store: Store) -> None:
        grant = save_record(store, new_grant())
        token, late = new_token(grant.authorization), new_token(grant.authorization)
        assert store.issue(grant, [token], NOW) is True
        assert store.issue(grant, [late], NOW) is False
        assert store.issue(grant, [late], NOW, grace_period=30) is False, "the grace period is for refresh tokens"
        assert store.get_access(token.access.token_hash) == token.access
        assert store.get_access(late.access.token_hash) is None
        assert store.get_grant(grant.key, "code") == spent(grant)

    def test_a_grant_that_was_read_before_it_was_spent_is_spent(self, store: Store) -> None:
        stored_grant, stored_token = save_record(store, new_grant()), save_record(store, new_token())
        grant, token = store.get_grant(stored_grant.key, "code"), store.get_refresh(stored_token.refresh_token_hash)
        assert store.issue(grant, [], NOW)
        assert store.issue(token, [], NOW)
        assert store.issue(grant, [], NOW) is False
        assert store.issue(token, [], NOW) is False

    @spec("rfc9700", "4.14.2")
    def test_a_refresh_token_is_spent_once(self, store: Store) -> None:
        token = save_record(store, new_token())
        child, late = new_token(parent=token), new_token(parent=token)
        assert store.issue(token, [child], NOW) is True
        assert store.issue(token, [late], NOW) is False
        assert child.refresh_token_hash is not None
        assert late.refresh_token_hash is not None
        assert store.get_refresh(child.refresh_token_hash) == child
        assert store.get_refresh(late.refresh_token_hash) is None
        assert store.get_access(late.access.token_hash) is None

    def test_an_unknown_grant_issues_nothing(self, store: Store) -> None:
        token = new_token()
        assert store.issue(new_grant(), [token], NOW) is False
        assert store.get_access(token.access.token_hash) is None

    @pytest.mark.parametrize("seconds", [-86400, -3600, -1, 0, 86400])
    @spec("rfc6749", "4.1.2")
    def test_a_spent_grant_stays_spent_for_every_clock(self, store: Store, seconds: int) -> None:
        grant = save_record(store, new_grant())
        assert store.issue(grant, [], NOW)
        assert store.issue(grant, [new_token()], NOW + seconds, grace_period=30) is False
        found = store.get_grant(grant.key, grant.kind)
        assert found is not None
        assert found.used_at == NOW

    def test_an_unknown_refresh_token_issues_nothing(self, store: Store) -> None:
        token = new_token()
        assert store.issue(new_token(), [token], NOW, grace_period=30) is False
        assert store.get_access(token.access.token_hash) is None

    def test_several_records_are_saved_together(self, store: Store) -> None:
        spend, grant, token = save_record(store, new_grant(kind="request")), new_grant(), new_token()
        assert store.issue(spend, [grant, token], NOW)
        assert store.get_grant(grant.key, "code") == grant
        assert store.get_access(token.access.token_hash) == token.access

    @pytest.mark.parametrize("duplicate", ["access key", "refresh key", "grant key"])
    def test_a_failed_save_leaves_the_grant_unspent(self, store: Store, duplicate: str) -> None:
        grant, other_token, other_grant = (
            save_record(store, new_grant()),
            save_record(store, new_token()),
            save_record(store, new_grant()),
        )
        first, second = new_token(), new_token()
        bad: Grant | Token
        if duplicate == "access key":
            bad = replace(second, access=replace(second.access, token_hash=other_token.access.token_hash))
        elif duplicate == "refresh key":
            bad = replace(second, refresh_token_hash=other_token.refresh_token_hash)
        else:
            bad = new_grant(key=other_grant.key)

        with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
            store.issue(grant, [first, bad], NOW)

        assert store.get_grant(grant.key, "code") == grant
        assert store.get_access(first.access.token_hash) is None
        assert store.get_access(other_token.access.token_hash) == other_token.access
        assert store.get_refresh(other_token.refresh_token_hash) == other_token
        assert store.get_grant(other_grant.key, "code") == other_grant
        assert store.issue(grant, [first], NOW), "the store still works"
        assert store.get_access(first.access.token_hash) == first.access

    def test_a_failed_save_leaves_the_refresh_token_unspent(self, store: Store) -> None:
        token = save_record(store, new_token())
        child = new_token(parent=token)
        with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
            store.issue(token, [child, child], NOW)
        assert store.get_refresh(token.refresh_token_hash) == token
        assert store.get_access(child.access.token_hash) is None
        assert store.issue(token, [child], NOW)


class TestGracePeriod:
    """A client that lost the response to a refresh may repeat it, :rfc:`9700#section-4.14.2`."""

    @spec("oauth-v2-1", "4.3.1")
    def test_a_grace_period_of_zero_allows_no_repetition(self, store: Store) -> None:
        token = save_record(store, new_token())
        assert refreshed(store, token, NOW)
        assert refreshed(store, token, NOW) is None

    @spec("rfc9700", "4.14.2")
    def test_a_grace_period_of_zero_holds_for_every_clock(self, store: Store) -> None:
        token = save_record(store, new_token())
        assert refreshed(store, token, NOW + 2, 0)
        assert refreshed(store, token, NOW, 0) is None, "a worker whose clock is behind"

    def test_the_grace_period_allows_a_few_repetitions(self, store: Store) -> None:
        token = save_record(store, new_token())
        children = [refreshed(store, token, NOW + seconds, 30) for seconds in (0, 1, 29)]
        assert len(children) == 1 + SIBLINGS
        for child in children:
            assert child is not None
            assert child.refresh_token_hash is not None
            assert store.get_refresh(child.refresh_token_hash) == child
            assert store.get_access(child.access.token_hash) == child.access
        assert refreshed(store, token, NOW + 29, 30) is None
        assert store.get_refresh(token.refresh_token_hash) == spent(token, NOW), (
            "the grace period starts with the first use"
        )

    @pytest.mark.parametrize(
        ("seconds", "answered"),
        [
            *((0, True), (29, True), (30, False), (31, False), (86400, False)),
            *((-1, True), (-29, True), (-30, False), (-3600, False), (-86400, False)),  # the clock was set back
        ],
    )
    def test_the_grace_period_ends(self, store: Store, seconds: int, answered: bool) -> None:
        token = save_record(store, new_token())
        assert refreshed(store, token, NOW, 30)
        assert (refreshed(store, token, NOW + seconds, 30) is not None) is answered

    @spec("rfc9700", "4.14.2")
    def test_the_grace_period_ends_when_a_child_has_been_spent(self, store: Store) -> None:
        token = save_record(store, new_token())
        child = refreshed(store, token, NOW, 30)
        sibling = refreshed(store, token, NOW + 1, 30)
        assert child is not None
        assert sibling is not None
        assert refreshed(store, sibling, NOW + 2, 30)
        assert refreshed(store, token, NOW + 3, 30) is None
        assert refreshed(store, child, NOW + 3, 30), "the child itself can still be spent"

    def test_a_rejected_repetition_does_not_count(self, store: Store) -> None:
        token = save_record(store, new_token())
        assert refreshed(store, token, NOW, 30)
        assert refreshed(store, token, NOW + 40, 30) is None
        assert refreshed(store, token, NOW + 1, 30)
        assert refreshed(store, token, NOW + 2, 30)
        assert refreshed(store, token, NOW + 3, 30) is None

    def test_a_repetition_that_cannot_be_saved_does_not_count(self, store: Store) -> None:
        token = save_record(store, new_token())
        child = refreshed(store, token, NOW, 30)
        with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
            store.issue(token, [child], NOW, 30)  # type: ignore[list-item]
        assert all(refreshed(store, token, NOW, 30) for _ in range(SIBLINGS))
        assert refreshed(store, token, NOW, 30) is None


class TestCounters:
    """Counters, which throttling uses."""

    def test_a_counter_begins_at_zero(self, store: Store) -> None:
        assert [store.count(b"a", FAR) for _ in range(3)] == [1, 2, 3]

    def test_a_counter_counts_by_any_number(self, store: Store) -> None:
        assert store.count(b"a", FAR, by=5) == 5
        assert store.count(b"a", FAR, by=-1) == 4
        assert store.count(b"b", FAR, by=-1) == -1

    def test_each_key_has_its_own_counter(self, store: Store) -> None:
        assert store.count(b"a", FAR) == 1
        assert store.count(b"b", FAR) == 1
        assert store.count(b"a", FAR) == 2

    def test_an_expired_counter_is_purged(self, store: Store) -> None:
        _require_purge(store)
        store.count(b"a", NOW)
        store.count(b"b", NOW + 1)
        assert sum(store.purge(NOW)) == 1
        assert store.count(b"a", FAR) == 1
        assert store.count(b"b", NOW + 1) == 2

    def test_a_counter_expires_at_its_first_expiry(self, store: Store) -> None:
        _require_purge(store)
        store.count(b"a", NOW)
        store.count(b"a", FAR)
        assert sum(store.purge(NOW)) == 1


class TestConsents:
    """Consents of users for clients."""

    def test_a_consent_is_saved(self, store: Store) -> None:
        consents = _consents(store)
        consent = new_consent(scope=("read", "write"))
        consents.set_consent(consent, None)
        assert consents.get_consent("user", "client") == consent
        assert consents.get_consent("client", "user") is None
        assert consents.get_consent("user", "other") is None
        assert consents.get_consent("other", "client") is None

    def test_a_consent_replaces_the_previous_consent(self, store: Store) -> None:
        consents = _consents(store)
        first, other = new_consent(), new_consent(user_id="other")
        assert consents.set_consent(first, None)
        assert consents.set_consent(other, None)
        second = replace(first, scope=(), granted_at=NOW + 1, used_at=NOW + 2)
        assert consents.set_consent(second, first)
        assert consents.get_consent("user", "client") == second
        assert consents.get_consent("other", "client") == other

    def test_one_of_two_concurrent_consents_is_saved(self, store: Store) -> None:
        consents = _consents(store)
        first, second = new_consent(), new_consent(scope=("write",))
        assert consents.set_consent(first, None)
        assert not consents.set_consent(second, None)
        assert consents.get_consent("user", "client") == first
        wider, other = (replace(first, scope=("read", word)) for word in ("write", "admin"))
        assert consents.set_consent(wider, first)
        assert not consents.set_consent(other, first)
        assert consents.get_consent("user", "client") == wider

    @spec("rfc8707", "2.1")
    def test_a_concurrent_consent_for_another_resource_is_not_overwritten(self, store: Store) -> None:
        """Two consents may differ only in their resources."""
        consents = _consents(store)
        first = new_consent(scope=("read",), by_resource={"https://a.example": ("read",)})
        assert consents.set_consent(first, None)
        wider = replace(first, by_resource={**first.by_resource, "https://b.example": ("read",)})
        other = replace(first, by_resource={**first.by_resource, "https://c.example": ("read",)})
        assert consents.set_consent(wider, first)
        assert not consents.set_consent(other, first)
        assert consents.get_consent("user", "client") == wider
        assert consents.set_consent(replace(other, by_resource={}), wider)
        assert not consents.set_consent(wider, first)

    @spec("rfc9396", "11.2")
    def test_a_concurrent_consent_to_other_details_is_not_overwritten(self, store: Store) -> None:
        """Two consents may differ only in their authorization details."""
        consents = _consents(store)
        first = new_consent(authorization_details=())
        assert consents.set_consent(first, None)
        wider = replace(first, authorization_details=({"type": "a"},))
        other = replace(first, authorization_details=({"type": "b"},))
        assert consents.set_consent(wider, first)
        assert not consents.set_consent(other, first)
        assert consents.get_consent("user", "client") == wider
        assert consents.set_consent(first, wider)
        assert not consents.set_consent(other, wider)

    def test_a_change_does_not_restore_a_withdrawn_consent(self, store: Store) -> None:
        consents = _consents(store)
        first = new_consent()
        consents.set_consent(first, None)
        consents.delete_consent("user", "client", FAR)
        assert not consents.set_consent(replace(first, scope=("read", "write")), first)
        assert consents.get_consent("user", "client") is None
        again = new_consent()
        assert consents.set_consent(again, None)
        assert not consents.set_consent(replace(first, scope=("read", "write")), first), "it differs"
        assert consents.get_consent("user", "client") == again

    def test_consents_of_a_user_are_listed_last_used_first(self, store: Store) -> None:
        consents = _consents(store)
        assert list(consents.list_consents("user")) == []
        old = new_consent(client_id="old", used_at=NOW - 1)
        same = [new_consent(client_id="a"), new_consent(client_id="b")]
        for consent in (old, *reversed(same), new_consent(user_id="other")):
            consents.set_consent(consent, None)
        assert list(consents.list_consents("user")) == [*same, old]

    def test_the_last_use_is_recorded_and_never_decreases(self, store: Store) -> None:
        consents = _consents(store)
        consent, other = new_consent(), new_consent(client_id="other")
        consents.set_consent(consent, None)
        consents.set_consent(other, None)
        consents.use_consent("user", "client", NOW + 5)
        consents.use_consent("user", "client", NOW + 3)
        consents.use_consent("user", "nobody", NOW + 9)
        assert consents.get_consent("user", "client") == replace(consent, used_at=NOW + 5)
        assert consents.get_consent("user", "other") == other
        assert consents.get_consent("user", "nobody") is None

    @spec("rfc6819", "5.1.3")
    def test_withdrawing_a_consent_revokes_its_grants_and_tokens(self, store: Store) -> None:
        consents = _consents(store)
        consent, other = new_consent(), new_consent(client_id="other")
        consents.set_consent(consent, None)
        consents.set_consent(other, None)
        grant = save_record(store, new_grant(new_authorization(consent_id=consent.id)))
        token = save_record(store, new_token(new_authorization(consent_id=consent.id)))
        untouched = save_record(store, new_token(new_authorization(consent_id=other.id)))
        assert consents.delete_consent("user", "client", FAR) is True
        assert consents.get_consent("user", "client") is None
        assert store.get_grant(grant.key, "code") is None
        assert store.get_access(token.access.token_hash) is None
        assert store.get_refresh(token.refresh_token_hash) is None
        assert store.revoked("a", "b", "c", consent.id)
        assert store.get_access(untouched.access.token_hash) == untouched.access
        assert consents.get_consent("user", "other") == other

    def test_a_record_saved_after_its_revocation_is_revoked(self, store: Store) -> None:
        consents = _consents(store)
        consent = new_consent()
        consents.set_consent(consent, None)
        consents.delete_consent("user", "client", FAR)
        late = save_record(store, new_token(new_authorization(consent_id=consent.id)))
        assert store.get_access(late.access.token_hash) is None
        again = new_consent()
        assert consents.set_consent(again, None)
        token = save_record(store, new_token(new_authorization(consent_id=again.id)))
        assert store.get_access(token.access.token_hash) == token.access

    def test_withdrawing_an_unknown_consent_returns_false(self, store: Store) -> None:
        consents = _consents(store)
        consents.set_consent(new_consent(), None)
        assert consents.delete_consent("user", "other", FAR) is False
        assert consents.delete_consent("other", "client", FAR) is False
        assert consents.get_consent("user", "client") is not None
        assert store.purgeable(EVERYTHING) == 0


class TestDevices:
    """:rfc:`8628`: users decide about a code while its client polls."""

    @spec("rfc8628", "3.3")
    def test_a_device_code_is_found_by_its_user_code(self, store: Store) -> None:
        devices = _devices(store)
        device, other = save_record(store, new_device()), save_record(store, new_device())
        assert devices.find_device(device.user_code_key) == device
        assert devices.find_device(other.user_code_key) == other
        assert devices.find_device(device.key) is None
        assert devices.find_device(new_key()) is None

    def test_a_grant_without_a_user_code_is_not_found(self, store: Store) -> None:
        devices = _devices(store)
        for _ in range(2):
            save_record(store, new_grant())
        assert devices.find_device(b"") is None

    @spec("rfc8628", "6.1")
    def test_a_user_code_is_unique(self, store: Store) -> None:
        devices = _devices(store)
        device = save_record(store, new_device())
        second, token = new_device(user_code_key=device.user_code_key), new_token()
        with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
            store.issue(None, [token, second], NOW)
        assert devices.find_device(device.user_code_key) == device
        assert store.get_grant(second.key, "device_code") is None
        assert store.get_access(token.access.token_hash) is None

    @spec("rfc8628", "3.5")
    def test_an_approved_device_code_has_its_authorization(self, store: Store) -> None:
        devices = _devices(store)
        device = save_record(store, new_device())
        owner = new_authorization(
            consent_id="consent",
            context=Context(claims={"nonce": "é☕"}, resource=("https://a.example/mcp", "https://b.example")),
        )
        assert devices.decide(device, owner, NOW)
        approved = replace(device, authorization=owner)
        assert store.get_grant(device.key, "device_code") == approved
        assert devices.find_device(device.user_code_key) == approved

    @spec("rfc8628", "3.5")
    def test_a_denied_device_code_has_no_authorization(self, store: Store) -> None:
        devices = _devices(store)
        device = save_record(store, new_device())
        assert devices.decide(device, None, NOW)
        denied = replace(device, is_denied=True)
        assert store.get_grant(device.key, "device_code") == denied
        assert devices.find_device(device.user_code_key) == denied

    @pytest.mark.parametrize("first", ["approved", "denied"])
    @pytest.mark.parametrize("second", ["approved", "denied"])
    @spec("rfc8628", "3.3")
    def test_the_first_decision_is_final(self, store: Store, first: str, second: str) -> None:
        devices = _devices(store)
        device = save_record(store, new_device())
        owner = new_authorization() if first == "approved" else None
        assert devices.decide(device, owner, NOW)
        decided = store.get_grant(device.key, "device_code")
        assert decided is not None
        for known in (device, decided):
            assert not devices.decide(known, new_authorization() if second == "approved" else None, NOW)
        assert store.get_grant(device.key, "device_code") == decided

    @pytest.mark.parametrize(("seconds", "is_done"), [(599, True), (600, False), (601, False)])
    @spec("rfc8628", "3.2")
    def test_an_expired_device_code_cannot_be_decided(self, store: Store, seconds: int, is_done: bool) -> None:
        devices = _devices(store)
        device = save_record(store, new_device())
        assert devices.decide(device, new_authorization(), NOW + seconds) is is_done
        found = store.get_grant(device.key, "device_code")
        assert found is not None
        assert (found.authorization is not None) is is_done

    def test_a_spent_device_code_cannot_be_decided(self, store: Store) -> None:
        devices = _devices(store)
        device = save_record(store, new_device())
        assert store.issue(device, [], NOW)
        assert not devices.decide(device, new_authorization(), NOW)
        assert store.get_grant(device.key, "device_code") == spent(device)

    def test_an_unknown_device_code_cannot_be_decided(self, store: Store) -> None:
        devices = _devices(store)
        device = new_device()
        assert not devices.decide(device, new_authorization(), NOW)
        assert not devices.poll(device, NOW, 5)
        assert store.get_grant(device.key, "device_code") is None

    def test_an_authorization_code_cannot_be_decided(self, store: Store) -> None:
        devices = _devices(store)
        code = save_record(store, new_grant())
        assert not devices.decide(code, new_authorization(), NOW)
        assert store.get_grant(code.key, "code") == code

    @spec("rfc8628", "3.5")
    def test_an_approved_device_code_is_spent_once(self, store: Store) -> None:
        devices = _devices(store)
        device = save_record(store, new_device())
        owner = new_authorization()
        assert devices.decide(device, owner, NOW)
        approved = store.get_grant(device.key, "device_code")
        token = new_token(owner)
        assert store.issue(approved, [token], NOW + 1)
        assert not store.issue(approved, [new_token(owner)], NOW + 2)
        assert store.get_grant(device.key, "device_code") == replace(device, authorization=owner, used_at=NOW + 1)
        assert store.get_access(token.access.token_hash) == token.access

    def test_an_approved_device_code_is_revoked_with_its_consent(self, store: Store) -> None:
        devices = _devices(store)
        device = save_record(store, new_device())
        owner = new_authorization(consent_id="consent")
        assert devices.decide(device, owner, NOW)
        store.revoke("consent", FAR)
        assert store.get_grant(device.key, "device_code") is None

    @spec("rfc8628", "3.5")
    def test_a_poll_is_saved_with_its_interval(self, store: Store) -> None:
        devices = _devices(store)
        device = save_record(store, new_device())
        for now, interval in ((NOW + 1, 5), (NOW + 2, 10), (NOW + 2, 15)):
            assert devices.poll(device, now, interval)
            device = replace(device, polled_at=now, interval=interval)
            assert store.get_grant(device.key, "device_code") == device
            assert devices.find_device(device.user_code_key or b"") == device

    @spec("rfc8628", "3.5")
    def test_one_of_two_concurrent_polls_is_saved(self, store: Store) -> None:
        devices = _devices(store)
        device = save_record(store, new_device())
        assert devices.poll(device, NOW, 5)
        assert not devices.poll(device, NOW, 5)
        polled = replace(device, polled_at=NOW)
        assert devices.poll(polled, NOW, 10)
        assert not devices.poll(polled, NOW, 10)
        assert not devices.poll(device, NOW + 60, 5)
        assert store.get_grant(device.key, "device_code") == replace(device, polled_at=NOW, interval=10)

    def test_a_poll_does_not_change_the_decision(self, store: Store) -> None:
        devices = _devices(store)
        device, owner = save_record(store, new_device()), new_authorization()
        assert devices.decide(device, owner, NOW)
        assert devices.poll(device, NOW, 5)
        assert store.get_grant(device.key, "device_code") == replace(device, authorization=owner, polled_at=NOW)

    @spec("rfc8628", "3.5")
    def test_the_user_code_is_free_after_the_purge(self, store: Store) -> None:
        _require_purge(store)
        devices = _devices(store)
        device = save_record(store, new_device(expires_at=NOW + 600))
        assert sum(store.purge(NOW + 600 + GRANT_MEMORY - 1)) == 0
        assert devices.find_device(device.user_code_key) == device
        assert sum(store.purge(NOW + 600 + GRANT_MEMORY)) == 1
        assert devices.find_device(device.user_code_key) is None
        second = save_record(store, new_device(user_code_key=device.user_code_key))
        assert devices.find_device(device.user_code_key) == second


class TestReplayMemory:
    """A proof or an assertion is accepted once."""

    def test_a_key_is_remembered_once(self, store: Store) -> None:
        assert [store.remember(b"a", FAR) for _ in range(3)] == [True, False, False]
        assert store.remember(b"b", FAR) is True
        assert store.remember(b"a", FAR) is False

    def test_an_expired_key_is_purged(self, store: Store) -> None:
        _require_purge(store)
        assert store.remember(b"a", NOW)
        assert store.remember(b"b", NOW + 1)
        assert store.purgeable(NOW) == 1
        assert sum(store.purge(NOW)) == 1
        assert store.remember(b"a", FAR) is True
        assert store.remember(b"b", FAR) is False


class TestKeys:
    """Signing keys, whose state follows from their times."""

    def test_every_field_of_a_signing_key_is_saved(self, store: Store) -> None:
        keys = _keys(store)
        key = new_signing_key(number=2, retires_at=NOW + 7200, expires_at=NOW + 9000)
        assert all(getattr(key, field.name) != field.default for field in fields(SigningKey))
        assert keys.add_key(key) is True
        assert keys.list_keys() == [key]

    def test_signing_keys_are_listed_by_algorithm_and_number(self, store: Store) -> None:
        keys = _keys(store)
        assert keys.list_keys() == []
        added = [new_signing_key(algorithm=name, number=number) for name in ("ES256", "RS256") for number in (2, 10)]
        assert all(keys.add_key(key) for key in reversed(added))
        assert keys.list_keys() == added

    def test_a_number_is_unique_for_each_algorithm(self, store: Store) -> None:
        keys, key = _keys(store), new_signing_key()
        assert keys.add_key(key) is True
        assert keys.add_key(new_signing_key()) is False
        assert keys.add_key(new_signing_key(algorithm="ES256")) is True
        assert keys.add_key(new_signing_key(number=2)) is True
        assert key in keys.list_keys()

    def test_one_of_two_concurrent_key_changes_is_saved(self, store: Store) -> None:
        keys, key, other = _keys(store), new_signing_key(), new_signing_key(number=2)
        keys.add_key(key)
        keys.add_key(other)
        changed = replace(key, activates_at=NOW, retires_at=NOW + 1, expires_at=NOW + 2)
        assert keys.change_key(changed, key) is True
        assert keys.change_key(replace(key, retires_at=NOW + 9), key) is False
        assert keys.list_keys() == [changed, other]
        assert keys.change_key(changed, changed) is True
        assert keys.change_key(key, changed) is True
        assert keys.list_keys() == [key, other]

    def test_the_encryption_of_a_signing_key_changes_once(self, store: Store) -> None:
        keys, key, other = _keys(store), new_signing_key(), new_signing_key(number=2)
        keys.add_key(key)
        keys.add_key(other)
        changed = replace(key, encrypted=b"\x00\xfe another", retires_at=NOW + 1)
        assert keys.change_key(changed, key) is True
        assert keys.change_key(replace(key, encrypted=b"\x01"), key) is False
        assert keys.change_key(replace(changed, encrypted=b"\x01"), replace(changed, encrypted=b"\x02")) is False
        assert keys.list_keys() == [changed, other]

    def test_an_unknown_signing_key_cannot_be_changed(self, store: Store) -> None:
        keys, key = _keys(store), new_signing_key()
        assert keys.change_key(key, key) is False
        keys.add_key(key)
        same_number = new_signing_key(retires_at=NOW)
        assert keys.change_key(same_number, replace(same_number, retires_at=None)) is False
        assert keys.delete_key(same_number) is False
        assert keys.list_keys() == [key]

    def test_a_deleted_signing_key_is_not_listed(self, store: Store) -> None:
        keys, key, other = _keys(store), new_signing_key(), new_signing_key(number=2)
        keys.add_key(key)
        keys.add_key(other)
        assert keys.delete_key(key) is True
        assert keys.delete_key(key) is False
        assert keys.list_keys() == [other]

    def test_an_expired_signing_key_is_purged(self, store: Store) -> None:
        keys = _keys(store)
        stays, later = new_signing_key(), new_signing_key(number=2, expires_at=NOW + 1)
        for key in (stays, later, new_signing_key(number=3, expires_at=NOW)):
            keys.add_key(key)
        assert store.purgeable(NOW) == 1
        assert sum(store.purge(NOW)) == 1
        assert store.purgeable(NOW) == 0
        assert keys.list_keys() == [stays, later]


class TestStatuses:
    """draft-ietf-oauth-status-list section 13.3: the numbers of tokens, and which are revoked."""

    def test_numbers_are_reserved_once(self, store: Store) -> None:
        statuses = _statuses(store)
        assert [statuses.reserve_statuses(size) for size in (10, 1, 5)] == [0, 10, 11]

    def test_concurrent_calls_reserve_different_numbers(self, store: Store) -> None:
        statuses = _statuses(store)
        with ThreadPoolExecutor(8) as pool:
            firsts = list(pool.map(lambda _: statuses.reserve_statuses(4), range(40)))
        assert sorted(firsts) == list(range(0, 160, 4))

    def test_a_duplicate_number_is_an_error(self, store: Store) -> None:
        statuses, status = _statuses(store), new_status()
        statuses.add_status(status)
        with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
            statuses.add_status(replace(status, token_id="other"))

    @pytest.mark.parametrize("name", ["token_id", "authorization_id", "client_id", "consent_id"])
    def test_a_revoked_id_is_found(self, store: Store, name: str) -> None:
        statuses, status = _statuses(store), new_status(number=7, client_id="a")
        for one in (status, new_status(number=8, client_id="b", consent_id=None, user_id=None)):
            statuses.add_status(one)
        assert statuses.find_revoked_statuses(0, 100) == []
        store.revoke(getattr(status, name), FAR)
        assert statuses.find_revoked_statuses(0, 100) == [7]
        assert statuses.find_revoked_statuses(8, 8) == []
        assert statuses.find_revoked_statuses(7, 7) == [7]
        store.revoke(status.authorization_id, FAR)
        assert statuses.find_revoked_statuses(0, 100) == [7], "once"

    def test_tokens_of_a_revoked_user_are_found(self, store: Store) -> None:
        statuses, old, new = _statuses(store), new_status(number=1), new_status(number=2)
        for one in (old, new, new_status(number=3, user_id="other"), new_status(number=4, user_id=None)):
            statuses.add_status(one)
        last_id = min(old.authorization_id, new.authorization_id)
        store.revoke_user("user", last_id, FAR)
        expected = [one.number for one in (old, new) if one.authorization_id <= last_id]
        assert statuses.find_revoked_statuses(0, 100) == expected

    def test_numbers_that_no_token_has(self, store: Store) -> None:
        statuses = _statuses(store)
        assert statuses.find_revoked_statuses(0, 100) is None
        statuses.add_status(new_status(number=50))
        assert statuses.find_revoked_statuses(0, 49) is None
        assert statuses.find_revoked_statuses(51, 100) is None
        assert statuses.find_revoked_statuses(50, 50) == []

    def test_expired_tokens_are_purged(self, store: Store) -> None:
        _require_purge(store)
        statuses = _statuses(store)
        for number, expires_at in ((0, NOW), (1, NOW + 1)):
            statuses.add_status(new_status(number=number, expires_at=expires_at))
        assert store.purgeable(NOW) == 1
        assert sum(store.purge(NOW)) == 1
        assert statuses.find_revoked_statuses(0, 0) is None
        assert statuses.find_revoked_statuses(1, 1) == []
        assert statuses.reserve_statuses(1) == 0

    def test_issuers_have_their_own(self, store: Store) -> None:
        issuers = collect(store).issuers or pytest.skip("the store has one issuer")
        one, other = (_statuses(issuers.for_issuer(name)) for name in ("one", "other"))
        status = new_status(number=0)
        assert (one.reserve_statuses(5), other.reserve_statuses(1)) == (0, 0)
        for statuses in (one, other):
            statuses.add_status(status)
        issuers.for_issuer("one").revoke(status.authorization_id, FAR)
        assert (one.find_revoked_statuses(0, 0), other.find_revoked_statuses(0, 0)) == ([0], [])


class TestSessions:
    """OpenID Connect Front-Channel Logout 1.0 section 3: the sessions of users, and the clients of each."""

    def test_every_field_of_a_session_is_saved(self, store: Store) -> None:
        sessions, session = _sessions(store), new_session(ended_at=NOW + 5)
        assert all(getattr(session, field.name) != field.default for field in fields(Session))
        sessions.add_session(session)
        assert sessions.get_session(session.id) == session

    @pytest.mark.parametrize("session_id", ["", "SESSION", "session ", "session\0", "é", "x" * 10_000])
    def test_another_session_id_is_not_found(self, store: Store, session_id: str) -> None:
        sessions = _sessions(store)
        sessions.add_session(new_session(id="session"))
        assert sessions.get_session(session_id) is None

    def test_a_session_id_is_unique(self, store: Store) -> None:
        sessions, session = _sessions(store), new_session()
        sessions.add_session(session)
        with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
            sessions.add_session(replace(session, user_id="other"))
        assert sessions.get_session(session.id) == session

    def test_sessions_of_a_user_are_listed_oldest_first(self, store: Store) -> None:
        sessions = _sessions(store)
        assert sessions.list_sessions("user") == []
        second, first = new_session(created_at=NOW), new_session(created_at=NOW - 1)
        for session in (second, first, new_session(user_id="other")):
            sessions.add_session(session)
        assert sessions.list_sessions("user") == [first, second]

    def test_a_session_ends_once(self, store: Store) -> None:
        sessions, session, other = _sessions(store), new_session(), new_session()
        sessions.add_session(session)
        sessions.add_session(other)
        assert sessions.end_session(session.id, NOW + 1) is True
        assert sessions.end_session(session.id, NOW + 2) is False
        assert sessions.end_session("unknown", NOW) is False
        assert sessions.get_session(session.id) == replace(session, ended_at=NOW + 1)
        assert sessions.get_session(other.id) == other

    def test_clients_of_an_ended_session_are_listed(self, store: Store) -> None:
        sessions, session, other = _sessions(store), new_session(), new_session()
        sessions.add_session(session)
        sessions.add_session(other)
        for client_id in ("b", "a", "b"):
            sessions.add_session_client(session.id, client_id)
        sessions.add_session_client(other.id, "c")
        assert sessions.list_session_clients(session.id) == ["a", "b"]
        assert sessions.end_session(session.id, NOW)
        assert sessions.list_session_clients(session.id) == ["a", "b"]
        assert sessions.list_session_clients(other.id) == ["c"]
        assert sessions.list_session_clients("unknown") == []

    def test_a_session_is_purged_with_its_clients(self, store: Store) -> None:
        sessions, gone, stays = _sessions(store), new_session(expires_at=NOW), new_session(expires_at=NOW + 1)
        for session in (gone, stays):
            sessions.add_session(session)
            sessions.add_session_client(session.id, "client")
        assert store.purgeable(NOW) == 1
        assert sum(store.purge(NOW)) == 1
        assert store.purgeable(NOW) == 0
        assert sessions.get_session(gone.id) is None
        assert sessions.list_session_clients(gone.id) == []
        assert sessions.get_session(stays.id) == stays
        assert sessions.list_session_clients(stays.id) == ["client"]


class TestIssuers:
    """The records of one issuer are unknown to another issuer."""

    @pytest.fixture(params=["of two views", "of the store and a view"])
    def pair(self, request: pytest.FixtureRequest, store: Store) -> tuple[Store, Store]:
        """Return the stores of two issuers."""
        issuers = collect(store).issuers or pytest.skip("the store does not implement IssuerStore")
        other = issuers.for_issuer("other")
        return (store if request.param == "of the store and a view" else issuers.for_issuer("one"), other)

    def test_a_view_sees_what_another_view_of_its_issuer_saves(self, store: Store) -> None:
        issuers = collect(store).issuers or pytest.skip("the store does not implement IssuerStore")
        client = new_client()
        issuers.for_issuer("one").set_client(client)
        assert issuers.for_issuer("one").get_client(client.client_id) == client
        assert store.get_client(client.client_id) is None
        store.set_client(replace(client, name="of the store"))
        assert issuers.for_issuer("").get_client(client.client_id) == replace(client, name="of the store")

    @pytest.mark.parametrize("issuer_id", ["x" * 65, "a\0b", "é", "a\n"])
    def test_an_invalid_issuer_id_is_rejected(self, store: Store, issuer_id: str) -> None:
        issuers = collect(store).issuers or pytest.skip("the store does not implement IssuerStore")
        with pytest.raises(ValueError, match="64 printable ASCII"):
            issuers.for_issuer(issuer_id)
        issuers.for_issuer("x" * 64).count(b"a", FAR)

    def test_a_view_has_the_capabilities_of_its_store(self, store: Store, pair: tuple[Store, Store]) -> None:
        whole, view = collect(store), collect(pair[1])
        for field in fields(Stores):
            assert type(getattr(view, field.name)) is type(getattr(whole, field.name))

    def test_clients_of_another_issuer_are_unknown(self, pair: tuple[Store, Store]) -> None:
        one, other = pair
        client = new_client()
        one.set_client(client)
        assert other.get_client(client.client_id) is None
        namesake = replace(client, name="namesake")
        other.set_client(namesake)
        assert one.get_client(client.client_id) == client
        assert other.get_client(client.client_id) == namesake
        assert one.delete_client(client.client_id, FAR)
        assert other.get_client(client.client_id) == namesake
        assert not other.revoked(client.client_id)

    def test_clients_of_another_issuer_are_not_listed(self, pair: tuple[Store, Store]) -> None:
        client, (one, other) = new_client(), pair
        one.set_client(client)
        assert list(_listing(one).list_clients()) == [client]
        assert list(_listing(other).list_clients()) == []

    def test_registered_clients_of_another_issuer_are_unknown(self, pair: tuple[Store, Store]) -> None:
        one, other = map(_registration, pair)
        client, changed = new_client(), new_client()
        assert one.add_client(client)
        assert not other.retain_client(client.client_id)
        assert not other.change_client(replace(client, name="new"), client)
        assert list(other.list_owned("ada")) == []
        assert other.add_client(replace(client, name="namesake"))
        changed = replace(client, name="changed", expires_at=None)
        assert one.retain_client(client.client_id)
        assert one.change_client(changed, client)
        assert list(one.list_owned("ada")) == [changed]
        assert pair[1].get_client(client.client_id) == replace(client, name="namesake")

    @spec("oauth-v2-1", "3.2")
    def test_origins_of_another_issuer_are_unknown(self, pair: tuple[Store, Store]) -> None:
        client = new_spa(f"{PAGE}/back")
        for store in pair:
            store.set_client(client)
        one, other = map(_origins, pair)
        assert pair[0].delete_client(client.client_id, FAR)
        assert not one.has_origin(PAGE)
        assert other.has_origin(PAGE)

    @spec("rfc6749", "4.1.2")
    def test_codes_of_another_issuer_are_unknown(self, pair: tuple[Store, Store]) -> None:
        one, other = pair
        grant = save_record(one, new_grant())
        assert other.get_grant(grant.key, "code") is None
        assert not other.issue(grant, [new_token(grant.authorization)], NOW)
        assert one.get_grant(grant.key, "code") == grant
        assert one.issue(grant, [], NOW)

    @spec("rfc8628", "3.3")
    def test_device_codes_of_another_issuer_are_unknown(self, pair: tuple[Store, Store]) -> None:
        one, other = map(_devices, pair)
        device = save_record(pair[0], new_device())
        assert pair[1].get_grant(device.key, "device_code") is None
        assert other.find_device(device.user_code_key) is None
        assert not other.decide(device, new_authorization(), NOW)
        assert not other.poll(device, NOW, 5)
        assert one.find_device(device.user_code_key) == device

    @spec("rfc6749", "6")
    def test_tokens_of_another_issuer_are_unknown(self, pair: tuple[Store, Store]) -> None:
        one, other = pair
        token = save_record(one, new_token())
        assert other.get_access(token.access.token_hash) is None
        assert other.get_refresh(token.refresh_token_hash) is None
        for grace_period in (0, 30):
            assert refreshed(other, token, NOW, grace_period) is None
        child = refreshed(one, token, NOW, 30)
        assert child is not None
        assert refreshed(other, token, NOW, 30) is None
        assert one.get_access(child.access.token_hash) == child.access
        assert other.get_access(child.access.token_hash) is None

    def test_imported_tokens_of_another_issuer_are_unknown(self, pair: tuple[Store, Store]) -> None:
        one, other = (
            collect(store).imports or pytest.skip("the store does not implement ImportStore") for store in pair
        )
        token = save_record(pair[0], new_token())
        assert one.find_known([token.access.token_hash]) == {token.access.token_hash}
        assert other.find_known([token.access.token_hash, token.refresh_token_hash]) == set()

    @spec("rfc7009", "2.1")
    def test_a_revocation_is_of_one_issuer(self, pair: tuple[Store, Store]) -> None:
        """Two issuers may use the same ID for two authorizations."""
        one, other = pair
        owner = new_authorization(consent_id="consent")
        grants = [save_record(store, new_grant(owner)) for store in pair]
        tokens = [save_record(store, new_token(owner)) for store in pair]
        for revoked_id in (owner.id, owner.client_id, "consent", values.text(tokens[1].access.token_hash)):
            one.revoke(revoked_id, FAR)
        assert one.revoked(owner.id, owner.client_id)
        assert not other.revoked(owner.id, owner.client_id, "consent", user=("user", owner.id))
        assert one.get_grant(grants[0].key, "code") is None
        assert one.get_access(tokens[0].access.token_hash) is None
        assert other.get_grant(grants[1].key, "code") == grants[1]
        assert other.get_access(tokens[1].access.token_hash) == tokens[1].access
        assert other.get_refresh(tokens[1].refresh_token_hash) == tokens[1]

    @spec("rfc7009", "2.1")
    def test_the_revocation_of_a_user_is_of_one_issuer(self, pair: tuple[Store, Store]) -> None:
        one, other = pair
        consents = [_consents(store) for store in pair]
        owner, consent = new_authorization(), new_consent()
        tokens = [save_record(store, new_token(owner)) for store in pair]
        grants = [save_record(store, new_grant(owner)) for store in pair]
        for store in consents:
            assert store.set_consent(consent, None)
        one.revoke_user("user", TestUsers.LAST, FAR)
        assert one.get_access(tokens[0].access.token_hash) is None
        assert consents[0].get_consent("user", "client") is None
        assert other.get_access(tokens[1].access.token_hash) == tokens[1].access
        assert other.get_grant(grants[1].key, "code") == grants[1]
        assert consents[1].get_consent("user", "client") == consent
        assert not other.revoked(user=("user", owner.id))

    def test_consents_of_another_issuer_are_unknown(self, pair: tuple[Store, Store]) -> None:
        one, other = map(_consents, pair)
        consent, namesake = new_consent(), new_consent(scope=("write",))
        assert one.set_consent(consent, None)
        assert other.get_consent("user", "client") is None
        assert list(other.list_consents("user")) == []
        assert not other.set_consent(replace(consent, scope=("more",)), consent)
        assert not other.delete_consent("user", "client", FAR)
        assert other.set_consent(namesake, None)
        other.use_consent("user", "client", NOW + 9)
        assert one.get_consent("user", "client") == consent
        assert one.delete_consent("user", "client", FAR)
        assert other.get_consent("user", "client") == replace(namesake, used_at=NOW + 9)

    def test_deleting_a_client_deletes_consents_of_one_issuer(self, pair: tuple[Store, Store]) -> None:
        consent = new_consent()
        for store in pair:
            assert _consents(store).set_consent(consent, None)
        pair[0].delete_client("client", FAR)
        assert _consents(pair[0]).get_consent("user", "client") is None
        assert _consents(pair[1]).get_consent("user", "client") == consent

    def test_counters_and_remembered_keys_are_of_one_issuer(self, pair: tuple[Store, Store]) -> None:
        one, other = pair
        assert [store.count(b"key", FAR) for store in (one, one, other)] == [1, 2, 1]
        assert [store.remember(b"seen", FAR) for store in (one, other, one, other)] == [True, True, False, False]

    def test_signing_keys_of_another_issuer_are_unknown(self, pair: tuple[Store, Store]) -> None:
        one, other = map(_keys, pair)
        key = new_signing_key()
        assert one.add_key(key)
        assert other.list_keys() == []
        assert not other.delete_key(key)
        assert not other.change_key(replace(key, retires_at=NOW), key)
        assert other.add_key(new_signing_key())
        assert one.list_keys() == [key]

    def test_sessions_of_another_issuer_are_unknown(self, pair: tuple[Store, Store]) -> None:
        one, other = map(_sessions, pair)
        session = new_session()
        one.add_session(session)
        one.add_session_client(session.id, "client")
        assert other.get_session(session.id) is None
        assert other.list_sessions("user") == []
        assert other.list_session_clients(session.id) == []
        assert not other.end_session(session.id, NOW)
        other.add_session(replace(session, user_id="namesake"))
        assert one.get_session(session.id) == session

    def test_a_purge_includes_all_issuers(self, store: Store, pair: tuple[Store, Store]) -> None:
        """Purge the expired rows of every issuer with the store of one, and no other rows."""
        one, other = pair
        for number, view in enumerate(pair):
            view.revoke("id", NOW + number)
            view.revoke_user("user", TestUsers.LAST, NOW + number)
            _registration(view).add_client(new_client(client_id="same", expires_at=NOW + number))
            _sessions(view).add_session(new_session(id="same", expires_at=NOW + number))
            _sessions(view).add_session_client("same", "client")
            _keys(view).add_key(new_signing_key(expires_at=NOW + number))
            save_record(view, new_token(now=NOW - 10**8 if number == 0 else NOW))
        assert store.purgeable(NOW) == other.purgeable(NOW) == 6
        assert sum(other.purge(NOW)) == 6
        assert one.purgeable(NOW) == 0
        assert not one.revoked("id", user=("user", values.new_authorization_id(NOW - 1)))
        assert other.revoked("id")
        assert other.revoked(user=("user", values.new_authorization_id(NOW - 1)))
        assert (one.get_client("same"), other.get_client("same") is None) == (None, False)
        assert (_sessions(one).get_session("same"), _keys(one).list_keys()) == (None, [])
        assert _sessions(one).list_session_clients("same") == []
        assert _sessions(other).list_session_clients("same") == ["client"]
        assert len(_keys(other).list_keys()) == 1

    def test_many_rows_of_all_issuers_are_purged(self, pair: tuple[Store, Store]) -> None:
        """Purge more than two batches with live rows between them."""
        one, other = pair
        for number in range(350):
            for view in (one, other):
                view.revoke(f"id-{number}", NOW if number % 2 else NOW + 1)
        assert one.purgeable(NOW) == 350
        assert sum(one.purge(NOW)) == 350
        for view in (one, other):
            assert [view.revoked(f"id-{number}") for number in range(350)] == [number % 2 == 0 for number in range(350)]


class TestPurge:
    """Expired rows are deleted; all others stay."""

    def test_an_empty_store_has_nothing_to_purge(self, store: Store) -> None:
        assert store.purgeable(EVERYTHING) == 0
        assert sum(store.purge(EVERYTHING)) == 0

    @spec("rfc6749", "4.1.2")
    def test_a_spent_grant_is_stored_to_detect_replays(self, store: Store) -> None:
        _require_purge(store)
        unspent, grant = save_record(store, new_grant()), save_record(store, new_grant())
        assert store.issue(grant, [], NOW)
        forgotten = grant.expires_at + GRANT_MEMORY
        assert store.purgeable(forgotten - 1) == 0
        assert sum(store.purge(forgotten - 1)) == 0
        assert store.get_grant(grant.key, "code") == spent(grant)
        assert store.get_grant(unspent.key, "code") == unspent
        assert store.purgeable(forgotten) == 2
        assert sum(store.purge(forgotten)) == 2
        assert store.get_grant(grant.key, "code") is None
        assert store.get_grant(unspent.key, "code") is None

    @spec("rfc9700", "4.14.2")
    def test_a_token_is_purged_when_both_tokens_have_expired(self, store: Store) -> None:
        token = save_record(store, new_token(refresh_expires_at=NOW + 7200))
        longer = save_record(store, new_token(refresh_expires_at=NOW + 60))
        alone = save_record(store, new_token(refresh_token_hash=None, refresh_expires_at=None))
        assert refreshed(store, token)  # expires in thirty days
        assert sum(store.purge(NOW + 3599)) == 0
        assert store.purgeable(NOW + 3600) == 2
        assert sum(store.purge(NOW + 3600)) == 2
        assert store.get_refresh(longer.refresh_token_hash) is None
        assert store.get_access(longer.access.token_hash) is None
        assert store.get_access(alone.access.token_hash) is None
        assert store.get_refresh(token.refresh_token_hash) == spent(token), "a spent one is stored to detect replays"
        assert sum(store.purge(NOW + 7200)) == 1
        assert store.get_refresh(token.refresh_token_hash) is None
        assert store.get_access(token.access.token_hash) is None

    def test_a_purged_child_does_not_end_the_grace_period(self, store: Store) -> None:
        token = save_record(store, new_token())
        child = new_token(parent=token, now=NOW - 7200, refresh_token_hash=None, refresh_expires_at=None)
        assert store.issue(token, [child], NOW, 30)
        assert sum(store.purge(NOW)) == 1
        assert refreshed(store, token, NOW, 30)

    def test_expired_revocations_are_purged(self, store: Store) -> None:
        for expires_at in (NOW, NOW + 1):
            store.revoke(f"revoked {expires_at}", expires_at)
        assert store.purgeable(NOW) == 1
        assert sum(store.purge(NOW)) == 1
        assert not store.revoked(f"revoked {NOW}")
        assert store.revoked(f"revoked {NOW + 1}")
        assert store.purgeable(NOW) == 0

    def test_expired_counters_are_purged(self, store: Store) -> None:
        _require_purge(store)
        for expires_at in (NOW, NOW + 1):
            store.count(f"counter {expires_at}".encode(), expires_at)
        assert store.purgeable(NOW) == 1
        assert sum(store.purge(NOW)) == 1
        assert store.purgeable(NOW) == 0

    def test_clients_and_consents_do_not_expire(self, store: Store) -> None:
        consents = _consents(store)
        client = new_client(expires_at=None)
        consent = new_consent(client_id=client.client_id)
        store.set_client(client)
        consents.set_consent(consent, None)
        assert sum(store.purge(EVERYTHING)) == 0
        assert store.get_client(client.client_id) == client
        assert consents.get_consent("user", client.client_id) == consent

    def test_expired_tokens_are_purged_in_batches(self, store: Store) -> None:
        """Expired and live rows alternate, in more than two batches."""
        tokens = [new_token(now=NOW if number % 3 else NOW - 10**7) for number in range(1700)]
        assert store.issue(None, tokens, NOW)
        dead = [token for token in tokens if token.access.issued_at != NOW]
        assert store.purgeable(NOW) == len(dead) == 567
        assert sum(store.purge(NOW)) == len(dead)
        assert store.purgeable(NOW) == 0
        assert sum(store.purge(NOW)) == 0
        found = [store.get_access(token.access.token_hash) for token in tokens]
        assert found == [token.access if token.access.issued_at == NOW else None for token in tokens]

    def test_a_purge_can_be_interrupted_and_resumed(self, store: Store) -> None:
        assert store.issue(None, [new_token(now=1) for _ in range(1200)], NOW)
        taken = next(iter(store.purge(NOW)))
        assert 0 < taken <= 1200
        assert store.purgeable(NOW) == 1200 - taken
        assert sum(store.purge(NOW)) == 1200 - taken


class StoreContract:
    """The tests for every store. Subclass it in a test module, as ``TestMyStore``, with a fixture ``store``.

    The fixture returns a new, empty store for each test::

        class TestMyStore(StoreContract):
            @pytest.fixture
            def store(self):
                return MyStore()
    """

    TestClients = TestClients
    TestRegistration = TestRegistration
    TestOrigins = TestOrigins
    TestContext = TestContext
    TestGrants = TestGrants
    TestTokens = TestTokens
    TestRevocation = TestRevocation
    TestUsers = TestUsers
    TestIssue = TestIssue
    TestGracePeriod = TestGracePeriod
    TestCounters = TestCounters
    TestConsents = TestConsents
    TestDevices = TestDevices
    TestReplayMemory = TestReplayMemory
    TestKeys = TestKeys
    TestStatuses = TestStatuses
    TestSessions = TestSessions
    TestIssuers = TestIssuers
    TestPurge = TestPurge
    TestRaces = TestRaces
