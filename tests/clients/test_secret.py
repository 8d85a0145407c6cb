"""How secrets are kept, and that neither answer nor work tells who exists."""

from __future__ import annotations

from hashlib import sha256

import pytest

from flask_oauth2 import values
from flask_oauth2.clients.secret import hash_secret
from oauth_site import NOW, Site


@pytest.mark.spec("rfc6819", "5.1.4.1.3")
def test_a_generated_secret_is_kept_as_a_digest_and_a_chosen_one_as_a_slow_hash() -> None:
    generated = values.new("ocs", values.stamp(NOW))
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
    wrong = values.new("ocs", values.stamp(NOW))
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
