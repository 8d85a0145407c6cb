"""Secrets: their hashes, and requests that do not tell which clients exist."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
from werkzeug.security import generate_password_hash

from flask_oauth2 import values
from flask_oauth2.clients.authentication.verified import LIFETIME, VerifiedSecrets
from flask_oauth2.clients.secrets import LONG_SECRET, digest_secret, hash_secret, import_hash
from oauth_site import NOW, Site


@pytest.mark.spec("rfc6819", "5.1.4.1.3")
def test_a_generated_secret_is_kept_as_a_digest_and_a_chosen_one_as_a_slow_hash() -> None:
    generated = values.new("ocs", values.timestamp(NOW))
    assert hash_secret(generated) == "sha256$" + sha256(generated.encode()).hexdigest()
    assert hash_secret("correct horse").startswith("scrypt:")
    assert hash_secret("correct horse") != hash_secret("correct horse")


def test_what_is_no_hash_is_said_in_the_log(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.add_client()
    for kept in ("a$b$c", "plain text"):
        site.change_client(secret=kept)
        answer = site.token("client_credentials", ("web", "plain text"))
        assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_client")
    assert "hash_secret" in caplog.text


def test_a_stolen_digest_opens_nothing(site: Site) -> None:
    secret = site.add_client()
    for shown in (hash_secret(secret), hash_secret(secret).removeprefix("sha256$")):
        assert site.token("client_credentials", ("web", shown)).status_code == 401
    assert site.token("client_credentials", ("web", secret)).status_code == 200


def test_the_work_depends_on_what_is_shown_and_not_on_who_exists(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from flask_oauth2.clients import secrets as module

    site.add_client("digest")
    site.add_client("chosen", "correct horse")
    slow: list[str] = []
    check = module.check_password_hash
    monkeypatch.setattr(module, "check_password_hash", lambda kept, shown: slow.append(shown) or check(kept, shown))
    wrong = values.new("ocs", values.timestamp(NOW))
    for client_id in ("digest", "chosen", "nobody"):
        assert site.token("client_credentials", (client_id, wrong)).status_code == 401
    assert slow == []
    for client_id in ("digest", "chosen", "nobody"):
        assert site.token("client_credentials", (client_id, "guess")).status_code == 401
    assert slow == ["guess"] * 3


def test_the_hash_of_nobody_is_nobodys_secret(site: Site) -> None:
    site.add_client("web", None)
    assert site.token("client_credentials", ("nobody", "")).status_code == 401
    assert site.token("client_credentials", ("web", "x")).status_code == 401


LONG = "drawn at random, and long: 0123456789"


def test_a_long_secret_of_another_library_is_kept_as_a_digest_and_a_short_one_as_a_slow_hash() -> None:
    digest = "sha256$" + sha256(b"x" * LONG_SECRET).hexdigest()
    assert import_hash("x" * LONG_SECRET) == digest_secret("x" * LONG_SECRET) == digest
    assert import_hash("x" * (LONG_SECRET - 1)).startswith("scrypt:")
    hashed = generate_password_hash("correct horse", "pbkdf2:sha256:1000")
    assert import_hash(hashed) == hashed


@pytest.mark.parametrize(
    "kept",
    [
        "$2b$12$abcdefghijklmnopqrstuv",
        "$argon2id$v=19$m=65536$c2FsdA$aGFzaA",
        "{SSHA}aGFzaA==",
        "sha256$salt$0123456789abcdef",
        "pbkdf2_sha256$1000$salt$aGFzaA=",
        "sha256$" + "0" * 64,
    ],
)
def test_a_hash_that_cannot_be_checked_is_no_secret(kept: str) -> None:
    with pytest.raises(ValueError, match="cannot be checked here"):
        import_hash(kept)


@pytest.mark.spec("rfc6749", "2.3.1")
def test_a_secret_that_is_kept_as_a_digest_may_have_any_shape(site: Site) -> None:
    site.add_client()
    for secret in (LONG, "short", "oat_" + "x" * 50):
        site.change_client(secret=digest_secret(secret))
        assert site.token("client_credentials", ("web", secret)).status_code == 200
        for wrong in (secret[:-1], secret + "x", digest_secret(secret), digest_secret(secret).removeprefix("sha256$")):
            assert site.token("client_credentials", ("web", wrong)).status_code == 401
        site.clock.forward(300)


@pytest.mark.parametrize(("secret", "after"), [(LONG, 200), ("short", 429)])
def test_guessing_at_such_a_secret_is_counted(site: Site, secret: str, after: int) -> None:
    """Nobody guesses a long one, so no stranger locks its client out; a short one is locked."""
    site.add_client()
    site.change_client(secret=digest_secret(secret))
    for _ in range(11):
        assert site.token("client_credentials", ("web", secret)).status_code == 200
    answers = [site.token("client_credentials", ("web", f"{secret} {number}")).status_code for number in range(11)]
    assert answers == [401] * 10 + [429]
    assert site.token("client_credentials", ("web", secret)).status_code == after


def test_a_wrong_secret_takes_the_time_of_an_unknown_client(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from flask_oauth2.clients import secrets as module

    site.add_client()
    site.change_client(secret=digest_secret(LONG))
    slow: list[str] = []
    check = module.check_password_hash
    monkeypatch.setattr(module, "check_password_hash", lambda kept, shown: slow.append(shown) or check(kept, shown))
    for client_id in ("web", "nobody"):
        assert site.token("client_credentials", (client_id, f"{LONG}!")).status_code == 401
    assert slow == [f"{LONG}!"] * 2


CHOSEN = "correct horse battery"


@pytest.fixture
def slow_hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """The passwords that the real scrypt has hashed."""
    hashed: list[bytes] = []
    scrypt = hashlib.scrypt

    def count(password: bytes, **options: Any) -> bytes:
        hashed.append(password)
        return scrypt(password, **options)

    monkeypatch.setattr(hashlib, "scrypt", count)
    return hashed


def test_a_chosen_secret_is_hashed_once(site: Site, slow_hashes: list[bytes]) -> None:
    site.add_client(secret=CHOSEN)
    slow_hashes.clear()
    for _ in range(3):
        assert site.token("client_credentials", ("web", CHOSEN)).status_code == 200
    assert slow_hashes == [CHOSEN.encode()]


def test_a_verified_secret_is_forgotten_after_some_seconds(site: Site, slow_hashes: list[bytes]) -> None:
    site.add_client(secret=CHOSEN)
    slow_hashes.clear()
    for passed, runs in ((0, 1), (LIFETIME - 1, 1), (1, 2), (-1, 3)):
        site.clock.forward(passed)
        assert site.token("client_credentials", ("web", CHOSEN)).status_code == 200
        assert len(slow_hashes) == runs


@pytest.mark.spec("rfc6749", "2.3.1")
def test_a_changed_secret_is_honoured_at_once(site: Site) -> None:
    site.add_client(secret=CHOSEN)
    assert site.token("client_credentials", ("web", CHOSEN)).status_code == 200
    site.change_client(secret=hash_secret("another secret"))
    assert site.token("client_credentials", ("web", CHOSEN)).status_code == 401
    assert site.token("client_credentials", ("web", "another secret")).status_code == 200
    site.change_client(auth_method="none", secret=None)
    assert site.token("client_credentials", ("web", "another secret")).status_code == 401


@pytest.mark.spec("rfc6749", "2.3.1")
def test_a_wrong_secret_is_hashed_and_counted_although_the_right_one_is_remembered(
    site: Site, slow_hashes: list[bytes]
) -> None:
    site.add_client(secret=CHOSEN)
    assert site.token("client_credentials", ("web", CHOSEN)).status_code == 200
    slow_hashes.clear()
    for _ in range(10):
        assert site.token("client_credentials", ("web", "guess")).status_code == 401
    assert len(slow_hashes) == 10
    assert site.token("client_credentials", ("web", CHOSEN)).status_code == 429


def test_a_process_remembers_a_bounded_number_of_secrets() -> None:
    checked: list[str] = []

    def is_hash_of(secret: str, stored: str) -> bool:
        checked.append(secret)
        return stored == f"hash of {secret}"

    verified = VerifiedSecrets(lifetime=10, max_entries=2)
    for secret in ("a", "b", "c", "b", "c", "a"):
        assert verified.verify(secret, f"hash of {secret}", 0, is_hash_of)
    assert checked == ["a", "b", "c", "a"]
    assert not verified.verify("a", "hash of b", 0, is_hash_of)
    assert not verified.verify("a", "hash of b", 0, is_hash_of)
    assert checked[4:] == ["a", "a"]


def test_a_child_process_verifies_for_itself() -> None:
    verified = VerifiedSecrets()
    assert verified.verify("a", "hash", 0, lambda secret, stored: True)
    assert verified.verify("a", "hash", 0, lambda secret, stored: False)
    pid = os.fork()
    if pid == 0:
        os._exit(int(verified.verify("a", "hash", 0, lambda secret, stored: False)))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
