"""Signing keys: their life cycle, workers that share a store, and keys of the application."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import flask
import pytest
from keys.tokens import NOW, Local, key_of

from flask_oauth2 import ConfigurationError, MemoryStore, OAuth2Provider
from flask_oauth2.errors import TemporarilyUnavailable
from flask_oauth2.keys import states
from flask_oauth2.keys.jose import MAX_LEEWAY, Policy, Signer, sign, verify
from flask_oauth2.keys.signing import GivenKeys, PublishedSet, StoredKeys, open_keys
from flask_oauth2.keys.states import MAX_STALE, PUBLISHED_AFTER, PUBLISHED_AHEAD, RELOAD_AFTER, SET_LIFETIME
from flask_oauth2.records import CLOCKS_DIFFER
from flask_oauth2.settings import SHORTEST_ROTATION, Settings
from flask_oauth2.tokens.formats.opaque import Opaque

DAY = 86400


def settings_of(**config: Any) -> Settings:
    standard = {"SECRET_KEY": "secret", "OAUTH2_SIGNING_ALGORITHMS": ["ES256"]}
    return Settings.load({**standard, **config})


class Store(MemoryStore):
    """A store that can be unavailable, and counts how often its keys are read."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.reads = 0

    def list_keys(self) -> Any:
        self.reads += 1
        if self.is_away:
            raise TemporarilyUnavailable("the store cannot be reached", retry_after=1)
        return super().list_keys()


def worker(store: Any, **config: Any) -> StoredKeys:
    keys = open_keys(settings_of(**config), lambda: store)
    assert isinstance(keys, StoredKeys)
    return keys


def kids(published: PublishedSet) -> list[str]:
    return [jwk["kid"] for jwk in json.loads(published.body)["keys"]]


def rows_of(store: MemoryStore) -> list[Any]:
    return states.keys_only(store.list_keys())


@pytest.fixture
def store() -> Store:
    return Store()


def test_the_first_keys_are_created_on_first_use_and_sign_at_once(store: Store) -> None:
    keys = worker(store, OAUTH2_SIGNING_ALGORITHMS=None)
    assert store.list_keys() == []
    signer = keys.find_signer(NOW)
    assert signer.alg == "ES256"
    assert keys.find_signer(NOW, "RS256").alg == "RS256"
    assert [row.algorithm for row in rows_of(store)] == ["ES256", "RS256"]
    published = keys.find_published(NOW)
    assert kids(published) == [row.id for row in rows_of(store)]
    policy = Policy(
        algorithms=("ES256",), types=("JWT",), issuers=None, audience=None, keys=published.keys.find, required=()
    )
    assert verify(sign({"a": 1}, signer, "JWT", NOW), policy, NOW).claims == {"a": 1, "iat": NOW}


@pytest.mark.parametrize("algorithm", ["PS256", "EdDSA", "ES384", "RS512"])
def test_other_algorithms_on_request(store: Store, algorithm: str) -> None:
    keys = worker(store, OAUTH2_SIGNING_ALGORITHMS=[algorithm])
    assert keys.find_signer(NOW).alg == algorithm
    (jwk,) = json.loads(keys.find_published(NOW).body)["keys"]
    assert (jwk["alg"], jwk["use"], jwk["kid"]) == (algorithm, "sig", keys.find_signer(NOW).kid)
    with pytest.raises(ConfigurationError, match="nothing signs with ES256"):
        keys.find_signer(NOW, "ES256")


@pytest.mark.spec("rfc7517", "9.2")
def test_private_keys_are_neither_published_nor_stored_in_plain_text(store: Store) -> None:
    keys = worker(store)
    keys.find_signer(NOW)
    (row,) = rows_of(store)
    private = keys.open_key(row).members["d"]
    published = keys.find_published(NOW)
    assert private not in published.body.decode()
    assert set(json.loads(published.body)["keys"][0]) == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert private.encode() not in row.encrypted
    assert private not in repr(row)


def test_a_worker_reads_the_rows_once_a_minute(store: Store) -> None:
    keys = worker(store)
    keys.find_signer(NOW)
    store.reads = 0
    for second in (0, 1, RELOAD_AFTER - 1, 1 - CLOCKS_DIFFER):
        keys.find_signer(NOW + second)
        keys.find_published(NOW + second)
    assert store.reads == 0
    keys.find_signer(NOW + RELOAD_AFTER)
    assert store.reads == 1
    keys.find_signer(NOW - DAY)  # the clock was set back
    assert store.reads == 2


def test_all_workers_have_the_same_keys(store: Store) -> None:
    workers = [worker(store) for _ in range(3)]
    assert len({keys.find_signer(NOW).kid for keys in workers}) == 1
    assert len({keys.find_published(NOW).etag for keys in workers}) == 1
    assert len({keys.find_published(NOW).body for keys in workers}) == 1


def test_two_workers_that_find_no_key_agree_on_one() -> None:
    class Slow(MemoryStore):
        """Another worker is always a little faster."""

        other: StoredKeys | None = None

        def add_key(self, key: Any) -> bool:
            if self.other is not None:
                other, self.other = self.other, None
                other.find_signer(NOW)
            return super().add_key(key)

    for algorithms in (["ES256"], ["ES256", "EdDSA"], ["EdDSA", "ES256"]):
        for others in (algorithms, ["ES256"], ["EdDSA"]):
            store = Slow()
            store.other = worker(store, OAUTH2_SIGNING_ALGORITHMS=others)
            other, keys = store.other, worker(store, OAUTH2_SIGNING_ALGORITHMS=algorithms)
            keys.find_published(NOW)
            assert sorted(kids(keys.find_published(NOW))) == sorted(row.id for row in rows_of(store))
            # what one signs with, the first set of the other contained, as nobody publishes before the set is complete
            known = set(kids(other.find_published(NOW)))
            for algorithm in algorithms:
                try:
                    assert keys.find_signer(NOW, algorithm).kid in known
                except TemporarilyUnavailable:
                    assert algorithm not in others


def test_a_key_of_a_new_algorithm_is_published_before_it_signs(store: Store) -> None:
    """Copies of the set without it are in use."""
    worker(store).find_published(NOW)
    keys = worker(store, OAUTH2_SIGNING_ALGORITHMS=["EdDSA", "ES256"])
    assert keys.find_signer(NOW + 10).alg == "ES256"
    assert len(kids(keys.find_published(NOW + 10))) == 2
    with pytest.raises(TemporarilyUnavailable, match="active yet") as caught:
        keys.find_signer(NOW + 10, "EdDSA")
    assert caught.value.headers == {"Retry-After": str(PUBLISHED_AHEAD)}
    assert keys.find_signer(NOW + 10 + PUBLISHED_AHEAD - 1).alg == "ES256"
    assert keys.find_signer(NOW + 10 + PUBLISHED_AHEAD).alg == "EdDSA"


def test_an_interrupted_first_set_is_completed(store: Store) -> None:
    """The worker that began it has ended. Nobody has published it, so its keys sign at once."""
    first = states.new_first_set([], ["ES256", "EdDSA"], NOW)
    assert first is not None
    assert store.add_key(first)
    keys = worker(store)  # whose settings name less
    keys.find_published(NOW + 60)
    assert [states.state_of(row, NOW + 60) for row in rows_of(store)] == ["active", "active"]


def test_after_an_hour_the_first_set_is_no_more_special(store: Store) -> None:
    first = states.new_first_set([], ["ES256", "EdDSA"], NOW)
    assert first is not None
    assert store.add_key(first)
    worker(store).find_published(NOW + PUBLISHED_AHEAD)
    assert [states.state_of(row, NOW + PUBLISHED_AHEAD) for row in rows_of(store)] == ["published"]


def test_a_row_that_says_otherwise_does_not_sign_earlier(store: Store) -> None:
    """The rule holds for rows that another program has written."""
    keys = worker(store)
    keys.find_signer(NOW)
    new = keys.make_row(key_of("ES256", 7), 2, NOW, NOW + 100)
    assert store.add_key(new)
    keys.forget()
    assert keys.find_signer(NOW + 100).kid != new.id
    assert keys.find_signer(NOW + 100 + PUBLISHED_AHEAD).kid == new.id


def test_keys_rotate_by_themselves(store: Store) -> None:
    keys = worker(store, OAUTH2_KEY_ROTATION_PERIOD=30 * DAY)
    first = keys.find_signer(NOW).kid
    takeover = NOW + 30 * DAY
    assert kids(keys.find_published(takeover - PUBLISHED_AHEAD - 1)) == [first]
    keys.forget()
    published = kids(keys.find_published(takeover - PUBLISHED_AHEAD))
    assert keys.find_signer(takeover - PUBLISHED_AHEAD).kid == first
    assert published[0] == first
    (second,) = published[1:]
    assert keys.find_signer(takeover - 1).kid == first
    assert keys.find_signer(takeover).kid == second
    # what the first one signed is verified until it has expired
    assert kids(keys.find_published(takeover + PUBLISHED_AFTER - 1)) == [first, second]
    assert [states.state_of(row, takeover) for row in rows_of(store)] == ["retired", "active"]
    keys.forget()
    assert kids(keys.find_published(takeover + PUBLISHED_AFTER)) == [second]
    assert sum(store.purge(takeover + PUBLISHED_AFTER)) == 2  # and the row of the first set
    assert [row.id for row in rows_of(store)] == [second]
    assert kids(keys.find_published(takeover + 30 * DAY - PUBLISHED_AHEAD))[0] == second
    assert keys.find_signer(takeover + 30 * DAY).kid != second


def test_a_rotation_that_is_late_still_publishes_first(store: Store) -> None:
    keys = worker(store, OAUTH2_KEY_ROTATION_PERIOD=30 * DAY)
    first = keys.find_signer(NOW).kid
    late = NOW + 300 * DAY
    assert keys.find_signer(late).kid == first
    assert keys.find_signer(late + PUBLISHED_AHEAD - 1).kid == first
    assert keys.find_signer(late + PUBLISHED_AHEAD).kid != first


def test_without_a_period_nothing_rotates(store: Store) -> None:
    keys = worker(store)
    first = keys.find_signer(NOW).kid
    assert keys.find_signer(NOW + 3650 * DAY).kid == first
    assert len(rows_of(store)) == 1


def test_retired_keys_stay_for_the_lifetime_of_tokens(store: Store) -> None:
    keys = worker(store, OAUTH2_KEY_ROTATION_PERIOD=30 * DAY, OAUTH2_ACCESS_TOKEN_LIFETIME=7 * DAY)
    first = keys.find_signer(NOW).kid
    keys.find_signer(NOW + 30 * DAY - PUBLISHED_AHEAD)
    assert first in kids(keys.find_published(NOW + 37 * DAY + MAX_LEEWAY - 1))
    keys.forget()
    assert first not in kids(keys.find_published(NOW + 37 * DAY + MAX_LEEWAY))


def test_so_many_keys_are_not_published(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="Use at least 50426 seconds"):
        worker(store, OAUTH2_KEY_ROTATION_PERIOD=50425, OAUTH2_ACCESS_TOKEN_LIFETIME=7 * DAY + 12)
    assert worker(store, OAUTH2_KEY_ROTATION_PERIOD=50426, OAUTH2_ACCESS_TOKEN_LIFETIME=7 * DAY + 12)
    assert worker(store, OAUTH2_KEY_ROTATION_PERIOD=SHORTEST_ROTATION)
    with pytest.raises(ConfigurationError, match="remove one of the options"):
        given(key_of("ES256").jwk, OAUTH2_KEY_ROTATION_PERIOD=DAY)


def test_a_key_is_published_longer_than_any_copy_is_used() -> None:
    assert PUBLISHED_AHEAD > MAX_STALE + RELOAD_AFTER + SET_LIFETIME + 2 * CLOCKS_DIFFER


def test_no_copy_of_the_set_lacks_the_key_that_signs(store: Store) -> None:
    """Two workers whose clocks differ and a party that uses each copy as long as it may, over two rotations.

    One worker cannot reach the store for a while, as often as possible.
    """
    period = 3 * PUBLISHED_AHEAD
    first, second = (worker(store, OAUTH2_KEY_ROTATION_PERIOD=period) for _ in range(2))
    shift = CLOCKS_DIFFER
    first.find_published(NOW - shift)
    copies: list[tuple[float, set[str]]] = []
    signed = set()
    for now in range(NOW, NOW + 3 * period, 60):
        # the first one, whose clock is slow, answers requests for the set
        store.is_away = now % (MAX_STALE + 300) > 60
        with suppress(TemporarilyUnavailable):  # rather no set than one that is too old
            copies.append((now + SET_LIFETIME, set(kids(first.find_published(now - shift)))))
        store.is_away = False
        # the second one, whose clock is fast, signs
        kid = second.find_signer(now + shift).kid
        signed.add(kid)
        copies = [(until, known) for until, known in copies if until >= now]
        assert all(kid in known for _, known in copies)
    assert len(signed) >= 3


def test_a_store_that_is_away_for_a_while_is_not_missed(store: Store) -> None:
    keys = worker(store)
    first = keys.find_signer(NOW).kid
    store.is_away, store.reads = True, 0
    assert keys.find_signer(NOW + RELOAD_AFTER).kid == first
    assert keys.find_signer(NOW + RELOAD_AFTER + 1).kid == first
    assert store.reads == 1  # it is not asked with each request
    assert keys.find_signer(NOW + MAX_STALE - 1).kid == first
    with pytest.raises(TemporarilyUnavailable, match="cannot be reached"):
        keys.find_signer(NOW + MAX_STALE)
    store.is_away = False
    assert keys.find_signer(NOW + MAX_STALE).kid == first
    store.is_away = True
    with pytest.raises(TemporarilyUnavailable, match="cannot be reached"):
        worker(store).find_signer(NOW)


def test_creation_that_never_ends_is_given_up() -> None:
    class Broken(MemoryStore):
        def add_key(self, key: Any) -> bool:
            return False

    with pytest.raises(TemporarilyUnavailable, match="being created"):
        worker(Broken()).find_signer(NOW)


def test_a_store_without_keys_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="give it the methods of KeyStore, or set OAUTH2_SIGNING_KEYS"):
        worker(None).find_signer(NOW)


def test_a_new_secret_key_opens_nothing_without_the_old_one(store: Store) -> None:
    worker(store).find_signer(NOW)
    with pytest.raises(ConfigurationError, match=r"SECRET_KEY_FALLBACKS and run: flask oauth2 keys reencrypt\. If it"):
        worker(store, SECRET_KEY="new").find_signer(NOW)
    keys = worker(store, SECRET_KEY="new", SECRET_KEY_FALLBACKS=["secret"])
    assert keys.find_signer(NOW).kid == rows_of(store)[0].id


def test_rows_that_were_exchanged_are_noticed(store: Store) -> None:
    keys = worker(store, OAUTH2_SIGNING_ALGORITHMS=["ES256", "EdDSA"])
    keys.find_signer(NOW)
    one, other = rows_of(store)
    assert store.change_key(replace(one, encrypted=other.encrypted), one)
    with pytest.raises(ConfigurationError, match="contains another key"):
        worker(store).find_signer(NOW)
    damaged = replace(one, encrypted=keys.cipher.encrypt(b"{}"))
    assert store.change_key(damaged, replace(one, encrypted=other.encrypted))
    with pytest.raises(ConfigurationError, match="is damaged: the key has an unknown kty"):
        worker(store).find_signer(NOW)


def test_issuers_have_their_own_keys(store: Store) -> None:
    one, other = worker(store.for_issuer("one")), worker(store.for_issuer("other"))
    assert one.find_signer(NOW).kid != other.find_signer(NOW).kid
    assert kids(one.find_published(NOW)) == [one.find_signer(NOW).kid]


def test_a_server_has_keys_and_creates_none_that_nothing_needs(new_site: Any) -> None:
    site = new_site()
    assert site.server.capabilities.needs_keys is False
    assert site.store.list_keys() == []
    assert site.server.keys.find_signer(NOW).alg == "ES256"
    assert len(rows_of(site.store)) == 2


def test_settings_and_parts_need_keys(new_site: Any) -> None:
    class Format(Opaque):
        name = "own"
        needs_keys = True

    assert new_site(OAUTH2_SIGNING_ALGORITHMS=["EdDSA"]).server.capabilities.needs_keys
    assert new_site(OAUTH2_SIGNING_KEYS=[key_of("ES256").jwk]).server.keys.find_signer(NOW).kid == key_of("ES256").kid
    app = flask.Flask(__name__)
    app.config.update(SECRET_KEY="secret", TESTING=True)
    provider = OAuth2Provider(app, store=MemoryStore())
    provider.register_token_format(Format("own"))
    with app.app_context():
        assert provider.server.capabilities.needs_keys


class Module:
    """A key in hardware, which signs and never leaves."""

    def __init__(self, algorithm: str = "ES256", *, is_der: bool = False, kid: str = "hsm-1") -> None:
        self._key = key_of(algorithm)
        self.kid, self.alg = kid, algorithm
        self._is_der = is_der
        self.signatures = 0

    def public_jwk(self) -> dict[str, Any]:
        return {
            name: value for name, value in self._key.public_jwk.items() if name in ("kty", "crv", "x", "y", "n", "e")
        }

    def sign(self, data: bytes) -> bytes:
        self.signatures += 1
        return b"0" + Local(self._key).sign(data) if self._is_der else Local(self._key).sign(data)


def given(*signing_keys: Any, **config: Any) -> GivenKeys:
    settings = Settings.load({"OAUTH2_SIGNING_KEYS": list(signing_keys), **config})
    keys = open_keys(settings, lambda: None)
    assert isinstance(keys, GivenKeys)
    return keys


def verified(signer: Signer, published: PublishedSet) -> bool:
    policy = Policy(
        algorithms=(signer.alg,), types=("JWT",), issuers=None, audience=None, keys=published.keys.find, required=()
    )
    return verify(sign({}, signer, "JWT", NOW), policy, NOW).key.kid == signer.kid


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_keys_of_the_application(algorithm: str) -> None:
    key = key_of(algorithm)
    pem = key.native.as_pem(private=True)
    for form in (pem, pem.decode(), key.jwk, {name: value for name, value in key.jwk.items() if name != "kid"}):
        keys = given(form)
        signer = keys.find_signer(NOW)
        assert (signer.kid, signer.alg) == (key.thumbprint, algorithm)
        assert signer.public_jwk() == key.public_jwk
        assert verified(signer, keys.find_published(NOW))
        assert key.members["d"] not in keys.find_published(NOW).body.decode()


def test_the_algorithm_of_an_rsa_key_follows_the_settings() -> None:
    pem = key_of("RS256").native.as_pem(private=True)
    assert given(pem).find_signer(NOW).alg == "RS256"
    assert given(pem, OAUTH2_SIGNING_ALGORITHMS=["PS256"]).find_signer(NOW).alg == "PS256"
    with pytest.raises(ConfigurationError, match="no private key for ES256"):
        given(pem, OAUTH2_SIGNING_ALGORITHMS=["ES256", "RS256"])


def test_the_first_key_of_an_algorithm_signs_and_all_are_published() -> None:
    one, other = key_of("ES256"), key_of("ES256", 2)
    coming = key_of("ES256", 3).native.as_pem()
    keys = given(one.jwk, other.jwk, key_of("EdDSA").jwk, coming)
    assert keys.find_signer(NOW).kid == one.kid
    assert keys.find_signer(NOW, "EdDSA").alg == "EdDSA"
    assert len(kids(keys.find_published(NOW))) == 4
    with pytest.raises(ConfigurationError, match="nothing signs with RS256"):
        keys.find_signer(NOW, "RS256")
    with pytest.raises(ConfigurationError, match="no private key for any algorithm"):
        given(coming)
    with pytest.raises(ConfigurationError, match="the same kid"):
        given(one.jwk, one.native.as_pem())


def test_a_key_in_hardware_signs() -> None:
    module = Module()
    keys = given(module)
    assert module.signatures == 0
    signer = keys.find_signer(NOW)
    assert signer.kid == "hsm-1"
    assert verified(signer, keys.find_published(NOW))
    assert verified(signer, keys.find_published(NOW))
    assert signer.public_jwk()["kid"] == "hsm-1"
    assert module.signatures == 2


def test_a_key_in_hardware_whose_signatures_are_wrong_is_noticed() -> None:
    signer = given(Module(is_der=True)).find_signer(NOW)
    with pytest.raises(ConfigurationError, match=r"R \|\| S and not DER"):
        signer.sign(b"data")


@pytest.mark.parametrize(
    "key",
    [
        "text",
        {"kty": "oct", "k": "A" * 43},
        {"kty": "EC"},
        {"kty": "OKP", "crv": "X25519", "x": "A" * 43},
        Module("ES256", kid=""),
    ],
    ids=["text", "secret", "incomplete", "not for signatures", "no kid"],
)
def test_other_keys_are_an_error_at_start(key: Any) -> None:
    with pytest.raises(ConfigurationError, match="key 2 of OAUTH2_SIGNING_KEYS cannot be used"):
        given(key_of("ES256").jwk, key)
