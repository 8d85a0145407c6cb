"""How secrets are kept, and that neither answer nor work tells who exists."""

from __future__ import annotations

from hashlib import sha256

import pytest
from werkzeug.security import generate_password_hash

from flask_oauth2 import values
from flask_oauth2.clients.secret import LONG_SECRET, hash_secret, keep_plain, take_over
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
    from flask_oauth2.clients import secret as module

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
    assert take_over("x" * LONG_SECRET) == keep_plain("x" * LONG_SECRET) == "sha256$" + sha256(b"x" * 32).hexdigest()
    assert take_over("x" * (LONG_SECRET - 1)).startswith("scrypt:")
    hashed = generate_password_hash("correct horse", "pbkdf2:sha256:1000")
    assert take_over(hashed) == hashed


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
        take_over(kept)


@pytest.mark.spec("rfc6749", "2.3.1")
def test_a_secret_that_is_kept_as_a_digest_may_have_any_shape(site: Site) -> None:
    site.add_client()
    for secret in (LONG, "short", "oat_" + "x" * 50):
        site.change_client(secret=keep_plain(secret))
        assert site.token("client_credentials", ("web", secret)).status_code == 200
        for wrong in (secret[:-1], secret + "x", keep_plain(secret), keep_plain(secret).removeprefix("sha256$")):
            assert site.token("client_credentials", ("web", wrong)).status_code == 401
        site.clock.forward(300)


@pytest.mark.parametrize(("secret", "after"), [(LONG, 200), ("short", 429)])
def test_guessing_at_such_a_secret_is_counted(site: Site, secret: str, after: int) -> None:
    """Nobody guesses a long one, so no stranger locks its client out; a short one is locked."""
    site.add_client()
    site.change_client(secret=keep_plain(secret))
    for _ in range(11):
        assert site.token("client_credentials", ("web", secret)).status_code == 200
    answers = [site.token("client_credentials", ("web", f"{secret} {number}")).status_code for number in range(11)]
    assert answers == [401] * 10 + [429]
    assert site.token("client_credentials", ("web", secret)).status_code == after


def test_a_wrong_secret_takes_the_time_of_an_unknown_client(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from flask_oauth2.clients import secret as module

    site.add_client()
    site.change_client(secret=keep_plain(LONG))
    slow: list[str] = []
    check = module.check_password_hash
    monkeypatch.setattr(module, "check_password_hash", lambda kept, shown: slow.append(shown) or check(kept, shown))
    for client_id in ("web", "nobody"):
        assert site.token("client_credentials", (client_id, f"{LONG}!")).status_code == 401
    assert slow == [f"{LONG}!"] * 2
