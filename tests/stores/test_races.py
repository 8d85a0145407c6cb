"""Many at once: threads that share a store, and processes that each have their own on the same database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from stores.workers import (
    Race,
    add,
    allow,
    change,
    decide,
    delete_client,
    post,
    purge,
    register,
    retain,
    revoke_user,
    save_device,
    set_page,
    withdraw,
    write,
)

from flask_oauth2 import Client, Grant, MemoryStore, Token, values
from flask_oauth2.clients.secrets import hash_secret
from flask_oauth2.settings import DEVICE_CODE
from flask_oauth2.stores.base import SIBLINGS, OriginStore, RegistrationStore, Store, collect
from flask_oauth2.testing.samples import (
    NOW,
    new_authorization,
    new_client,
    new_consent,
    new_device,
    new_grant,
    new_key,
    new_spa,
    new_token,
    save_record,
)

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
"""The vector of RFC 7636, appendix B."""

TOKEN, REVOKE = "/oauth/token", "/oauth/revoke"


@pytest.fixture(
    params=[
        "memory-threads",
        "sqlite-threads",
        "sqlite-processes",
        "postgresql-threads",
        "postgresql-processes",
        "mariadb-threads",
        "mariadb-processes",
        "mysql-threads",
        "redis_sqlite-threads",
        "redis_sqlite-processes",
        "redis_postgresql-processes",
    ]
)
def race(request: pytest.FixtureRequest) -> Race:
    """A store, and who races for what it holds."""
    kind, competitors = request.param.split("-")
    if kind == "memory":
        return Race(MemoryStore())
    url = " ".join(request.getfixturevalue(f"{part}_url") for part in kind.split("_"))
    open_store: Callable[[str], Store] = request.getfixturevalue("open_store")
    return Race(open_store(url), url if competitors == "processes" else None)


def add_client(store: Store, secret: str | None = None) -> Client:
    """A client that may redeem codes and refresh; public without a secret."""
    client = new_client(
        secret=secret and hash_secret(secret),
        auth_method="client_secret_basic" if secret else "none",
        grant_types=("authorization_code", "refresh_token"),
        token_format=None,
    )
    store.set_client(client)
    return client


def add_tokens(store: Store, client: Client) -> tuple[str, Token]:
    """A refresh token, and its row."""
    value = values.new("ort", values.timestamp(NOW))
    owner = new_authorization(client_id=client.client_id, scope=("read",))
    return value, save_record(store, new_token(owner, refresh_token_hash=values.key(value)))


def refresh_form(client: Client, value: str) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": value, "client_id": client.client_id}


def is_alive(store: Store, answer: dict[str, Any]) -> bool:
    """Whether either token of an answer is still good."""
    access = store.get_access(values.key(answer["access_token"]))
    refresh = store.get_refresh(values.key(answer["refresh_token"]))
    return access is not None or refresh is not None


def tokens_of(answers: list[tuple[int, Any]]) -> list[dict[str, Any]]:
    """What those got that were answered; all the others were refused for the same reason."""
    refused = [content["error"] for status, content in answers if status != 200]
    assert set(refused) <= {"invalid_grant"}
    return [content for status, content in answers if status == 200]


@pytest.mark.spec("rfc6749", "4.1.2")
@pytest.mark.spec("rfc6749", "10.5")
def test_a_code_has_one_winner_and_the_losers_end_its_family(race: Race) -> None:
    store = race.store
    client = add_client(store)
    code = values.new("oac", values.timestamp(NOW))
    owner = new_authorization(client_id=client.client_id, scope=("read",))
    grant = save_record(store, new_grant(owner, key=values.key(code), challenge=CHALLENGE))
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": VERIFIER,
        "client_id": client.client_id,
    }

    winners = tokens_of(race.run([(post, TOKEN, form)] * race.many))

    assert len(winners) == 1
    assert not is_alive(store, winners[0])
    assert store.revoked(owner.id)
    assert store.get_grant(grant.key, "code") is None


@pytest.mark.spec("rfc6749", "4.1.2")
def test_each_of_many_codes_has_its_own_winner(race: Race) -> None:
    """The refused twin: none of them is a replay."""
    client = add_client(race.store)
    competitors = []
    for _ in range(race.many):
        code = values.new("oac", values.timestamp(NOW))
        owner = new_authorization(client_id=client.client_id, scope=("read",))
        save_record(race.store, new_grant(owner, key=values.key(code), challenge=CHALLENGE))
        form = {"grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER}
        competitors.append((post, TOKEN, {**form, "client_id": client.client_id}))

    winners = tokens_of(race.run(competitors))

    assert len(winners) == race.many
    assert all(is_alive(race.store, winner) for winner in winners)


@pytest.mark.spec("rfc9700", "4.14.2")
@pytest.mark.spec("oauth-v2-1", "4.3.1")
def test_a_public_clients_refresh_token_has_one_winner_and_the_losers_end_its_family(race: Race) -> None:
    client = add_client(race.store)
    value, token = add_tokens(race.store, client)

    winners = tokens_of(race.run([(post, TOKEN, refresh_form(client, value))] * race.many))

    assert len(winners) == 1
    assert not is_alive(race.store, winners[0])
    assert race.store.revoked(token.authorization.id)
    assert race.store.get_access(token.access.token_hash) is None
    assert race.store.get_refresh(values.key(value)) is None


@pytest.mark.spec("rfc9700", "4.14.2")
def test_a_confidential_client_may_repeat_a_refresh_within_its_leeway(race: Race) -> None:
    secret = values.new("ocs", values.timestamp(NOW))
    client = add_client(race.store, secret)
    value, token = add_tokens(race.store, client)
    request = post, TOKEN, refresh_form(client, value), (client.client_id, secret)

    answers = tokens_of(race.run([request] * (1 + SIBLINGS)))

    assert len(answers) == 1 + SIBLINGS
    assert len({answer["refresh_token"] for answer in answers}) == 1 + SIBLINGS
    assert all(is_alive(race.store, answer) for answer in answers)
    assert not race.store.revoked(token.authorization.id)


@pytest.mark.spec("rfc9700", "4.14.2")
def test_surplus_requests_within_the_grace_period_revoke_nothing(race: Race) -> None:
    secret = values.new("ocs", values.timestamp(NOW))
    client = add_client(race.store, secret)
    value, token = add_tokens(race.store, client)
    request = post, TOKEN, refresh_form(client, value), (client.client_id, secret)

    answers = tokens_of(race.run([request] * race.many))

    assert len(answers) == 1 + SIBLINGS
    assert all(is_alive(race.store, answer) for answer in answers)
    assert not race.store.revoked(token.authorization.id)


@pytest.mark.spec("rfc7009", "2.1")
def test_a_revocation_beside_a_refresh_leaves_nothing_alive(race: Race) -> None:
    """Ten families, for each of which one refreshes while another revokes."""
    client = add_client(race.store)
    rows, competitors = [], []
    for _ in range(race.many // 2):
        value, token = add_tokens(race.store, client)
        rows.append(token)
        competitors += [
            (post, TOKEN, refresh_form(client, value)),
            (post, REVOKE, {"token": value, "client_id": client.client_id}),
        ]

    answers = race.run(competitors)

    assert {status for status, _ in answers[1::2]} == {200}
    assert not any(is_alive(race.store, answer) for answer in tokens_of(answers[0::2]))
    for token in rows:
        assert token.refresh_token_hash is not None
        assert race.store.get_access(token.access.token_hash) is None
        assert race.store.get_refresh(token.refresh_token_hash) is None


@pytest.mark.spec("rfc7009", "2.1")
def test_a_user_who_is_revoked_beside_their_refreshes_and_codes_keeps_nothing(race: Race) -> None:
    client = add_client(race.store)
    owner = new_authorization(client_id=client.client_id, scope=("read",))
    requests = []
    for _ in range(race.many // 2):
        value, _ = add_tokens(race.store, client)
        code = values.new("oac", values.timestamp(NOW))
        save_record(race.store, new_grant(owner, key=values.key(code), challenge=CHALLENGE))
        form = {"grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER}
        requests += [
            (post, TOKEN, refresh_form(client, value)),
            (post, TOKEN, {**form, "client_id": client.client_id}),
        ]
    stays = new_authorization(client_id=client.client_id, user_id="other", scope=("read",))
    kept = save_record(race.store, new_token(stays))

    _, *answers = race.run([(revoke_user, "user", values.last_authorization_id(NOW)), *requests[1:]])

    assert not any(is_alive(race.store, answer) for answer in tokens_of(answers))
    assert race.store.get_access(kept.access.token_hash) == kept.access


def test_a_client_that_is_deleted_beside_its_refreshes_keeps_nothing(race: Race) -> None:
    client = add_client(race.store)
    held = [add_tokens(race.store, client)[0] for _ in range(race.many - 1)]
    refreshes = [(post, TOKEN, refresh_form(client, value)) for value in held]

    (_, deleted), *answers = race.run([(delete_client, client.client_id), *refreshes])

    assert deleted is True
    assert {content["error"] for status, content in answers if status != 200} <= {"invalid_client", "invalid_grant"}
    assert not any(is_alive(race.store, content) for status, content in answers if status == 200)
    assert all(race.store.get_refresh(values.key(value)) is None for value in held)


def test_eight_that_write_and_purge_at_once_wait_for_one_another(race: Race) -> None:
    """No error such as SQLite's "database is locked", nothing lost, nothing counted twice."""
    keys = race.run([(write, 15)] * 8)
    found = [race.store.get_access(key) for written in keys for key in written]
    assert len(found) == 120
    assert None not in found
    assert race.store.count(b"counter", NOW + 3600, by=0) == 120


def test_what_many_allow_at_once_is_all_kept_and_ends_as_one(race: Race) -> None:
    consents = collect(race.store).consents
    assert consents is not None
    keys = race.run([(allow, f"word-{number}") for number in range(race.many)])
    consent = consents.get_consent("user", "client")
    assert consent is not None
    assert set(consent.scope) == {f"word-{number}" for number in range(race.many)}
    assert all(race.store.get_access(key) for key in keys)
    assert consents.delete_consent("user", "client", NOW + 10**7)
    assert not any(race.store.get_access(key) for key in keys)


@pytest.mark.spec("rfc6819", "5.1.3")
def test_what_is_taken_back_beside_it_leaves_no_token_that_cannot_be_ended(race: Race) -> None:
    consents = collect(race.store).consents
    assert consents is not None
    competitors = [(allow, f"word-{number}") for number in range(race.many // 2)] + [(withdraw,)] * (race.many // 2)
    keys = race.run(competitors)[: race.many // 2]
    consent = consents.get_consent("user", "client")
    alive = [access for key in keys if (access := race.store.get_access(key))]
    assert {access.consent_id for access in alive} <= {consent.id if consent else None}
    consents.delete_consent("user", "client", NOW + 10**7)
    assert not any(race.store.get_access(key) for key in keys)


def add_device(store: Store) -> tuple[Client, str, Grant]:
    """A client, the device code that it polls with, and its row."""
    client = new_client(auth_method="none", secret=None, grant_types=(DEVICE_CODE, "refresh_token"), token_format=None)
    store.set_client(client)
    value = values.new("odc", values.timestamp(NOW))
    parameters = {"client_id": client.client_id, "scope": "read"}
    return client, value, save_record(store, new_device(key=values.key(value), parameters=parameters))


def poll_form(client: Client, value: str) -> dict[str, str]:
    return {"grant_type": DEVICE_CODE, "device_code": value, "client_id": client.client_id}


@pytest.mark.spec("rfc8628", "3.3")
def test_of_many_decisions_about_a_device_one_stands(race: Race) -> None:
    _, _, device = add_device(race.store)
    users = [f"user-{number}" if number % 2 else None for number in range(race.many)]

    answers = race.run([(decide, device, user_id) for user_id in users])

    (winner,) = [user_id for user_id, is_done in zip(users, answers, strict=True) if is_done]
    found = race.store.get_grant(device.key, "device_code")
    assert found is not None
    assert found.is_denied is (winner is None)
    assert (found.authorization and found.authorization.user_id) == winner
    assert found.user_code_key == device.user_code_key


@pytest.mark.spec("rfc8628", "3.5")
@pytest.mark.spec("rfc6749", "10.5")
def test_of_many_polls_of_an_approved_device_one_wins_and_the_losers_take_nothing_from_it(race: Race) -> None:
    client, value, device = add_device(race.store)
    owner = new_authorization(client_id=client.client_id, scope=("read",))
    devices = collect(race.store).devices
    assert devices is not None
    assert devices.decide(device, owner, NOW)

    winners = tokens_of(race.run([(post, TOKEN, poll_form(client, value))] * race.many))

    assert len(winners) == 1
    assert is_alive(race.store, winners[0])


@pytest.mark.spec("rfc8628", "3.5")
def test_of_many_polls_of_a_device_that_waits_one_is_in_time(race: Race) -> None:
    client, value, device = add_device(race.store)

    answers = race.run([(post, TOKEN, poll_form(client, value))] * race.many)

    errors = [content["error"] for _, content in answers]
    assert sorted(errors) == ["authorization_pending"] + ["slow_down"] * (race.many - 1)
    found = race.store.get_grant(device.key, "device_code")
    assert found is not None
    assert found.interval is not None
    assert found.interval >= 10
    assert found.polled_at == NOW


@pytest.mark.spec("rfc8628", "3.5")
def test_a_decision_beside_polls_is_not_lost(race: Race) -> None:
    client, value, device = add_device(race.store)

    decided, *answers = race.run(
        [(decide, device, "user"), *[(post, TOKEN, poll_form(client, value))] * (race.many - 1)]
    )

    assert decided is True
    found = race.store.get_grant(device.key, "device_code")
    won = [content for status, content in answers if status == 200]
    assert len(won) <= 1
    if not won:
        assert found is not None
        assert found.authorization is not None
        assert found.used_at is None


@pytest.mark.spec("rfc8628", "6.1")
def test_of_many_devices_with_one_user_code_one_is_filed(race: Race) -> None:
    user_code_key = new_key()[6:]

    answers = race.run([(save_device, user_code_key)] * race.many)

    (key,) = filter(None, answers)
    devices = collect(race.store).devices
    assert devices is not None
    found = devices.find_device(user_code_key)
    assert found is not None
    assert found.key == key


def registration_of(store: Store) -> RegistrationStore:
    registration = collect(store).registration
    assert registration is not None
    return registration


@pytest.mark.spec("rfc7591", "3.2.1")
def test_of_many_that_register_one_id_at_once_one_is_added(race: Race) -> None:
    answers = race.run([(add, f"name-{number}") for number in range(race.many)])
    (winner,) = [name for name, was_added in answers if was_added]
    client = race.store.get_client("shared")
    assert client is not None
    assert client.name == winner


def origins_of(store: Store) -> OriginStore:
    origins = collect(store).origins
    assert origins is not None
    return origins


@pytest.mark.spec("rfc7592", "2.2")
def test_of_many_that_change_a_client_at_once_one_does(race: Race) -> None:
    client = new_spa("https://before.example/")
    race.store.set_client(client)
    answers = race.run([(change, client, f"name-{number}") for number in range(race.many)])
    (winner,) = [name for name, was_changed in answers if was_changed]
    found = race.store.get_client(client.client_id)
    assert found is not None
    assert found.name == winner
    known = [name for name, _ in [*answers, ("before", False)] if has_page(race.store, name)]
    assert known == [winner]


def has_page(store: Store, name: str) -> bool:
    return origins_of(store).has_origin(f"https://{name}.example")


def test_of_many_that_file_a_client_at_once_the_last_ones_page_is_known(race: Race) -> None:
    names = [f"page-{number}" for number in range(race.many)]
    for _ in range(2):  # where there is none of that id, and where there is one
        race.run([(set_page, "client", f"https://{name}.example/") for name in names])
        found = race.store.get_client("client")
        assert found is not None
        assert [f"https://{name}.example/" for name in names if has_page(race.store, name)] == [*found.redirect_uris]


def test_a_client_that_is_deleted_while_it_is_filed_is_there_with_its_page_or_gone_with_it(race: Race) -> None:
    for number in range(5):
        client_id, page = f"client-{number}", f"https://page-{number}.example/"
        filing, deletion = (set_page, client_id, page), (delete_client, client_id)
        race.run([filing, deletion] * 4)
        assert has_page(race.store, f"page-{number}") is (race.store.get_client(client_id) is not None)


@pytest.mark.spec("rfc7592", "2.3")
def test_a_change_beside_a_deletion_brings_nothing_back(race: Race) -> None:
    for _ in range(3):
        client = new_spa("https://before.example/")
        race.store.set_client(client)
        race.run([(delete_client, client.client_id), *[(change, client, f"name-{number}") for number in range(5)]])
        assert race.store.get_client(client.client_id) is None
        assert not [
            name for name in ("before", *(f"name-{number}" for number in range(5))) if has_page(race.store, name)
        ]


@pytest.mark.spec("rfc7591", "5")
def test_a_client_that_is_kept_beside_a_purge_stays_with_what_it_was_let_have(race: Race) -> None:
    """Each client is kept and stays, or is gone with its consents and its page and cannot be kept."""
    registration, consents = registration_of(race.store), collect(race.store).consents
    assert consents is not None
    clients = [new_spa(f"https://page-{number}.example/", expires_at=NOW - number) for number in range(60)]
    for client in clients:
        assert registration.add_client(client)
        assert consents.set_consent(new_consent(client_id=client.client_id), None)
    ids = [client.client_id for client in clients]

    up, down, *purged = race.run([(retain, ids), (retain, ids[::-1]), (purge, NOW), (purge, NOW)])

    kept = {client_id for client_id, was_there in zip(ids * 2, up + down[::-1], strict=True) if was_there}
    for number, client_id in enumerate(ids):
        client, consent = race.store.get_client(client_id), consents.get_consent("user", client_id)
        assert (client is not None) is (consent is not None) is (client_id in kept)
        assert has_page(race.store, f"page-{number}") is (client_id in kept)
        assert client is None or client.expires_at is None
    assert sum(purged) == len(ids) - len(kept)


METADATA = {"redirect_uris": ["http://127.0.0.1/cb"], "token_endpoint_auth_method": "none"}


def clients_of(store: Store) -> list[Client]:
    listing = collect(store).listing
    assert listing is not None
    return list(listing.list_clients())


@pytest.mark.spec("rfc7591", "3.2.1")
def test_copies_of_a_software_that_register_at_once_are_one_client(race: Race) -> None:
    answers = race.run([(register, METADATA)] * race.many)
    assert {status for status, _ in answers} == {201}
    (client,) = clients_of(race.store)
    assert {content["client_id"] for _, content in answers} == {client.client_id}


@pytest.mark.spec("rfc7591", "3")
def test_an_initial_access_token_registers_one_client(race: Race) -> None:
    token, key = values.generate("oit", values.timestamp(NOW))
    save_record(race.store, Grant(key=key, kind="registration", expires_at=NOW + 60))
    answers = race.run([(register, METADATA, token)] * race.many)
    assert sorted(status for status, _ in answers) == [201] + [401] * (race.many - 1)
    assert len(clients_of(race.store)) == 1
